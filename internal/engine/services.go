package engine

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
)

// taking returns the person's latest part in a service, nil if there never was
// one.
func taking(f *policy.Facts, svc abide.Service) *policy.Taking {
	for i := len(f.Services) - 1; i >= 0; i-- {
		if f.Services[i].Service == svc {
			return &f.Services[i]
		}
	}
	return nil
}

func takesPart(f *policy.Facts, svc abide.Service) bool {
	t := taking(f, svc)
	return t != nil && t.Left.IsZero()
}

// needs lists the categories that the services of a policy need, so that what
// is missing can be told from one load.
func needs(p *policy.Policy) []abide.Category {
	if p == nil {
		return nil
	}
	var out []abide.Category
	for _, svc := range p.Services() {
		out = append(out, svc.Needs...)
	}
	return out
}

func wantNeeds(p *policy.Policy) storage.Want { return storage.Want{Items: needs(p)} }

// Services tells how a person stands to each service of the policy: since
// when, and which data is missing for it, with the clause that asks for it.
func (e *Engine) Services(ctx context.Context, c Call, id abide.SubjectID) ([]ServiceState, error) {
	if err := authorise(c, opSeeServices, id); err != nil {
		return nil, err
	}
	s, err := e.loadWith(ctx, id, wantNeeds)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if !s.active() {
		return nil, erasedError()
	}
	if s.force == nil {
		return nil, noPolicy()
	}
	has, err := e.holds(s)
	if err != nil {
		return nil, err
	}
	out := []ServiceState{}
	for _, svc := range s.policy().Services() {
		out = append(out, serviceState(s.policy(), &s.facts, svc.Name, has))
	}
	return out, nil
}

// JoinService records that the person takes part in a service. Joining twice
// changes nothing.
func (e *Engine) JoinService(ctx context.Context, c Call, id abide.SubjectID, svc abide.Service) (ServiceState, error) {
	return update(ctx, e, c, opJoin, id, wantNeeds, svc, func(ch *change) (ServiceState, error) {
		known, ok := ch.policy().Service(svc)
		if !ok {
			return ServiceState{}, unknownService()
		}
		if len(known.Serves) > 0 && !mayActFor(c.Actor, known.Serves...) {
			return ServiceState{}, mayNot("this token carries no purpose of the service")
		}
		ch.join(svc)
		has, err := e.holds(ch.subject)
		if err != nil {
			return ServiceState{}, err
		}
		return serviceState(ch.policy(), &ch.facts, svc, has), nil
	})
}

// join makes the person take part, unless they do.
func (ch *change) join(svc abide.Service) {
	if takesPart(&ch.facts, svc) {
		return
	}
	ch.facts.Services = append(append([]policy.Taking(nil), ch.facts.Services...), policy.Taking{Service: svc, Since: ch.now})
	p := partOf(ch.call)
	p.Service = svc
	ch.log(p, ch.engine.envelope(ch.call, audit.JoinedService))
}

// LeaveService records that the person left a service and names the sources
// that must stop feeding it. Later writes for it are refused and raised.
func (e *Engine) LeaveService(ctx context.Context, c Call, id abide.SubjectID, svc abide.Service) (ServiceState, error) {
	return update(ctx, e, c, opLeave, id, wantNeeds, svc, func(ch *change) (ServiceState, error) {
		known, ok := ch.policy().Service(svc)
		if !ok {
			return ServiceState{}, unknownService()
		}
		if takesPart(&ch.facts, svc) {
			ch.facts.Services = append([]policy.Taking(nil), ch.facts.Services...)
			taking(&ch.facts, svc).Left = ch.now
			p := partOf(ch.call)
			p.Service = svc
			ch.log(p, e.envelope(ch.call, audit.LeftService))
		}
		state := serviceState(ch.policy(), &ch.facts, svc, nil)
		state.Stop = append(state.Stop, known.Sources...)
		return state, nil
	})
}

func unknownService() *abide.Error {
	return invalid("unknown_service", "the policy knows no such service", "see /v1/policy for the services", "service")
}

// serviceState describes one service for a person. What is missing is told for
// services the person has not left; has may be nil if they have.
func serviceState(p *policy.Policy, f *policy.Facts, name abide.Service, has func(abide.Category) bool) ServiceState {
	svc, _ := p.Service(name)
	state := ServiceState{Service: name, Title: svc.Title, Clause: svc.Clause}
	if t := taking(f, name); t != nil {
		state.Since, state.Left = t.Since, t.Left
	}
	if state.Left.IsZero() && has != nil {
		state.Missing = p.Missing(name, has)
	}
	return state
}

// holds tells which of the loaded categories the subject holds something of
// that has not passed its deadline. What the company's own systems keep counts
// as held: Abide cannot tell, and does not claim that it is missing.
func (e *Engine) holds(s *subject) (func(abide.Category) bool, error) {
	held := map[abide.Category]bool{}
	for i := range s.items {
		it := &s.items[i]
		if held[it.Category] {
			continue
		}
		r, err := e.vault.OpenItem(s.keys, it)
		if err != nil {
			return nil, err
		}
		o := opened{it, r}
		if !e.past(s, &s.facts, o.fact()) {
			held[it.Category] = true
		}
	}
	return func(c abide.Category) bool {
		if cat, ok := s.policy().Category(c); ok && cat.Elsewhere {
			return true
		}
		return held[c]
	}, nil
}

// past reports whether no purpose may keep an item any more.
func (e *Engine) past(s *subject, facts *policy.Facts, f policy.ItemFact) bool {
	due, _, ok := s.policy().Deadline(f.Category, f, facts)
	return ok && !due.IsZero() && !s.now.Before(due)
}
