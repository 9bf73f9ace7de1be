package api

import (
	"context"
	"encoding/binary"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/authzen"
	"github.com/abide-privacy/abide/internal/engine"
)

// from cuts a whole list after the position that a number is.
func from(all []candidate, after []byte, n int) []candidate {
	var at uint64
	if len(after) == 8 {
		at = binary.BigEndian.Uint64(after)
	}
	for i := range all {
		all[i].after = binary.BigEndian.AppendUint64(nil, uint64(i)+1)
	}
	all = all[min(at, uint64(len(all))):]
	return all[:min(n, len(all))]
}

// findSubjects lists who might act: of a mapped type those that the mapping
// knows, of the built-in ones those who have a token.
func (s *server) findSubjects(ctx context.Context, call engine.Call, q search, after []byte, n int) ([]candidate, error) {
	var all []candidate
	if s.mapping.Names(q.Subject.Type) {
		for _, e := range s.mapping.Known(q.Subject.Type) {
			all = append(all, q.withSubject(authzen.Entity{Type: e.Type, ID: e.ID, Properties: q.Subject.Properties}, nil))
		}
		return from(all, after, n), nil
	}
	kind, ok := map[string]abide.ActorKind{"service": abide.ActorService, "application": abide.ActorService,
		"client": abide.ActorService, "staff": abide.ActorStaff}[q.Subject.Type]
	if !ok {
		return nil, nil
	}
	actors, err := s.engine.Actors(ctx, call, kind)
	if err != nil {
		return nil, err
	}
	for _, a := range actors {
		e := authzen.Entity{Type: q.Subject.Type, ID: a.Name}
		if kind == abide.ActorStaff {
			e.Properties = map[string]any{"role": a.Role}
		}
		all = append(all, q.withSubject(e, &a))
	}
	return from(all, after, n), nil
}

func (q search) withSubject(e authzen.Entity, a *abide.Actor) candidate {
	ask := q.evaluation
	ask.Subject = &e
	return candidate{result: authzen.Entity{Type: e.Type, ID: e.ID}, ask: ask, actor: a}
}

// findResources lists whose data it might be: of a mapped type those that the
// mapping knows, else all people.
func (s *server) findResources(ctx context.Context, call engine.Call, q search, after []byte, n int) ([]candidate, error) {
	if s.mapping.Maps(q.Resource.Type) {
		var all []candidate
		for _, e := range s.mapping.Known(q.Resource.Type) {
			all = append(all, q.withResource(e.ID))
		}
		return from(all, after, n), nil
	}
	if !isPerson(q.Resource.Type) {
		return nil, nil
	}
	var last abide.SubjectID
	copy(last[:], after)
	ids, err := s.engine.People(ctx, call, last, n)
	out := make([]candidate, len(ids))
	for i, id := range ids {
		out[i] = q.withResource(id.String())
		out[i].after = id[:]
	}
	return out, err
}

func (q search) withResource(id string) candidate {
	ask := q.evaluation
	ask.Resource = &authzen.Entity{Type: q.Resource.Type, ID: id, Properties: q.Resource.Properties}
	return candidate{result: authzen.Entity{Type: q.Resource.Type, ID: id}, ask: ask}
}

// findActions lists what might be done: the mapping's actions, or every act
// for each purpose of the caller, or for the one that the context names.
func (s *server) findActions(_ context.Context, call engine.Call, q search, after []byte, n int) ([]candidate, error) {
	var actions []authzen.Action
	if s.mapping.Maps(q.Resource.Type) {
		actions = s.mapping.Possible(s.mapping.Complete(*q.Subject), s.mapping.Complete(*q.Resource))
	} else {
		purposes := call.Actor.Purposes
		if one, ok := q.Context["purpose"].(string); ok {
			purposes = []abide.Purpose{abide.Purpose(one)}
		}
		for _, p := range purposes {
			for a := abide.ActUnknown + 1; abide.ParseAct(a.String()) == a; a++ {
				actions = append(actions, authzen.Action{Name: a.String(), Properties: map[string]any{"purpose": string(p)}})
			}
		}
	}
	var all []candidate
	for _, a := range actions {
		ask := q.evaluation
		ask.Action = &a
		all = append(all, candidate{result: a, ask: ask})
	}
	return from(all, after, n), nil
}
