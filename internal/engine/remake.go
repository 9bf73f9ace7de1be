package engine

import (
	"context"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
)

// recorded is a decision as the log has it, opened.
type recorded struct {
	name string // how callers name it
	n    uint64 // of a change; 0 for a look
	part *audit.Part
	env  *audit.Envelope
}

// judged is what the record says it was judged by; of a record from before that
// was kept, what can be told otherwise.
func (r *recorded) judged() (j audit.Judged, told bool) {
	if r.part.Judged != nil {
		return *r.part.Judged, true
	}
	return audit.Judged{At: r.env.At, Carries: []abide.Purpose{r.env.Purpose}}, false
}

// collecting tells a decision about data that was handed in from one that was
// only asked for: any of the service's purposes will do for the former.
func (r *recorded) collecting() bool {
	return r.env.Act == abide.ActCollect.String() && (r.n > 0 || r.env.Kind == audit.Refused)
}

// request is what was asked, as the record has it.
func (r *recorded) request(j *audit.Judged) *policy.Request {
	actor := abide.Actor{Kind: r.env.Actor.Kind, Name: r.env.Actor.Name, Role: r.env.Actor.Role, Purposes: j.Carries}
	if j.System {
		actor = systemCall.Actor
	}
	if actor.Name == "" {
		actor.Name = r.part.Actor
	}
	return &policy.Request{Actor: actor, Purpose: r.env.Purpose, Act: abide.ParseAct(r.env.Act), Categories: r.env.Categories,
		Recipient: r.env.Recipient, Service: r.part.Service, Source: r.part.Source, Topic: r.part.Topic, Channel: r.part.Channel, Reason: r.part.Reason,
		Approvals: int(j.Approvals), ForValue: j.ForValue, At: j.At}
}

// Facts of a reconstruction that are those of today, because the record is older
// than the version of Abide that keeps them.
const (
	FromNowFacts    = "facts"    // what was known of the person: by what was kept of corrections
	FromNowActor    = "actor"    // the purposes of the actor's token
	FromNowRegister = "register" // recipients, contracts, staff, reviews
	FromNowItems    = "items"    // the stored items
	FromNowLaws     = "laws"     // the law profiles
)

// remade is a recorded decision made again.
type remade struct {
	decision abide.Decision
	policy   *policy.Policy // that the record names; nil: none was in force
	facts    policy.Facts
	request  *policy.Request
	state    *pastState
	fromNow  []string
}

// remake makes a recorded decision again, from the facts that log and ledger
// tell of that day, and the policy that the record names.
func (e *Engine) remake(ctx context.Context, h *history, r *recorded) (*remade, error) {
	j, told := r.judged()
	out := &remade{request: r.request(&j)}
	if !told {
		out.fromNow = append(out.fromNow, FromNowActor, FromNowRegister, FromNowItems)
	}
	if j.Laws != e.lawsDigest {
		out.fromNow = append(out.fromNow, FromNowLaws)
	}
	if r.env.Policy != "" {
		loaded, err := e.policyVersion(ctx, r.env.Policy)
		if err != nil {
			return nil, err
		}
		out.policy = loaded.Policy
	}
	reg, err := e.registerOf(ctx, &j, told)
	if err != nil {
		return nil, err
	}
	if err := e.factsFor(ctx, h, out, &j, r.env.At); err != nil {
		return nil, err
	}
	if out.policy == nil {
		out.decision = unavailableDecision()
		return out, nil
	}
	if err := addFacts(&out.facts, j.Brought, j.At); err != nil {
		return nil, err
	}
	out.decision = decideAgain(out, reg, &j, r)
	return out, nil
}

func decideAgain(out *remade, reg *policy.Register, j *audit.Judged, r *recorded) abide.Decision {
	p, req := out.policy, out.request
	if r.collecting() {
		for _, svc := range j.Joins {
			out.facts.Services = append(slices.Clone(out.facts.Services), policy.Taking{Service: svc, Since: j.At})
		}
		purposes := j.Purposes
		if len(purposes) == 0 {
			purposes = []abide.Purpose{req.Purpose}
		}
		return decideAny(p, &out.facts, reg, req, purposes)
	}
	list := candidates(j.Items)
	if j.Together {
		for _, c := range list {
			req.Items = append(req.Items, c.fact)
		}
		return p.Decide(&out.facts, reg, req)
	}
	d := p.Decide(&out.facts, reg, req)
	switch {
	case !d.Allowed():
	case r.env.Kind == audit.Decided:
		judgeHeld(p, &out.facts, reg, req, list, false, &d)
	default:
		judgeEach(p, &out.facts, reg, req, list, &d)
	}
	return d
}

// registerOf is what the registers said when it was decided, or say now.
func (e *Engine) registerOf(ctx context.Context, j *audit.Judged, told bool) (*policy.Register, error) {
	if !told {
		return e.readRegister(ctx)
	}
	var part registerPart
	if len(j.Register) > 0 {
		if err := strictJSON(j.Register, &part); err != nil {
			return nil, storageError(err)
		}
	}
	return part.register(), nil
}

// factsFor fills in the facts that a decision was judged by.
func (e *Engine) factsFor(ctx context.Context, h *history, out *remade, j *audit.Judged, at time.Time) error {
	out.state = h.at(j.State)
	if j.State == 0 {
		out.state = h.when(at)
	}
	if !h.whole || out.state == nil {
		out.fromNow = append(out.fromNow, FromNowFacts)
		facts, err := e.factsOf(ctx, h.subject, j.At)
		out.facts = facts
		out.facts.RestoredGap = j.Gap
		return err
	}
	out.facts = h.factsOf(out.state)
	out.facts.RestoredGap = j.Gap
	if j.State == 0 { // the person came to be with it
		out.facts.Consents, out.facts.Accepted = nil, nil
	}
	if !j.AsOf {
		return nil
	}
	list, _, err := e.openPast(h.subject)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(p past) bool { return p.Until.After(at) })
	out.facts = factsAt(out.facts, list, j.At)
	out.facts.Consents, out.facts.Accepted = consent.Fold(h.known(out.state), j.At)
	return nil
}

// openRecorded opens a row of the person's log if it is a decision, and nil
// otherwise.
func (e *Engine) openRecorded(s *subject, r *logRow) (*recorded, error) {
	out := &recorded{}
	var sealed []byte
	var commitment audit.Hash
	var err error
	if r.entry != nil {
		out.n, out.name = r.entry.N, rowNumber(r.entry.N)
		sealed, commitment = r.entry.Envelope, r.entry.Commitment
	} else {
		out.name = rowPlace(r.look.Key)
		sealed, commitment = r.look.Look.Envelope, r.look.Look.Commitment
	}
	if out.env, err = e.vault.OpenEnvelope(sealed, commitment); err != nil || out.env.Effect == "" {
		return nil, err
	}
	if r.entry != nil {
		out.part, err = e.vault.OpenEntry(s.keys, r.entry)
	} else {
		out.part, err = e.vault.OpenLook(s.keys, &r.look.Look)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// logRows returns all rows of a person's log, still sealed: changes in their
// order, then looks in that of their keys.
func (e *Engine) logRows(ctx context.Context, id abide.SubjectID) ([]logRow, error) {
	if err := e.indexSpool(ctx); err != nil {
		return nil, err
	}
	var rows []logRow
	for after := uint64(0); ; {
		page, err := e.store.Entries(ctx, id, after, 500)
		if err != nil {
			return nil, storageError(err)
		}
		for i := range page {
			after = page[i].N
			rows = append(rows, logRow{entry: &page[i]})
		}
		if len(page) < 500 {
			break
		}
	}
	for after := (storage.LookKey{}); ; {
		page, err := e.store.LooksOf(ctx, id, after, 500)
		if err != nil {
			return nil, storageError(err)
		}
		for i := range page {
			after = page[i].Key
			rows = append(rows, logRow{look: &page[i]})
		}
		if len(page) < 500 {
			return rows, nil
		}
	}
}
