package engine

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// envelope begins the part of a log entry that names no subject.
func (e *Engine) envelope(c Call, kind audit.Kind) audit.Envelope {
	env := audit.Envelope{Kind: kind, At: e.now(), Actor: audit.WhoIs(&c.Actor)}
	if c.Token != "" && c.Token != env.Actor.Name {
		env.Object = "token " + c.Token
	}
	return env
}

// asked completes an envelope with what was asked for.
func asked(env audit.Envelope, r *policy.Request, d *abide.Decision) audit.Envelope {
	env.Purpose, env.Act, env.Categories, env.Recipient = r.Purpose, r.Act.String(), r.Categories, r.Recipient
	if d != nil {
		env.Decision(d)
	}
	return env
}

// part begins the subject's part of a log entry. Persons and guardians are
// named here and not in the envelope.
func partOf(c Call) audit.Part {
	if c.Actor.Kind == abide.ActorSubject || c.Actor.Kind == abide.ActorGuardian {
		return audit.Part{Actor: c.Actor.Name}
	}
	return audit.Part{}
}

// look seals the record of what changed nothing, under the subject's log key
// while there is one, and under the system key otherwise, where it may hold
// only ids.
func (e *Engine) look(s *subject, id abide.SubjectID, p audit.Part, env audit.Envelope) (storage.Look, error) {
	var keys *vault.SubjectKeys
	if s != nil && s.active() && s.keys.Has(storage.Log) {
		keys = s.keys
	} else {
		p = audit.Part{Items: p.Items, Other: p.Other}
	}
	return e.vault.SealLook(keys, id, p, env)
}

// refuse records a refusal and returns it as the error to answer with. The
// refusal is on record before anyone hears of it.
func (e *Engine) refuse(ctx context.Context, c Call, s *subject, id abide.SubjectID, r *policy.Request, p audit.Part, d abide.Decision) error {
	e.metrics.decided(r.Act.String(), d.Effect.String())
	l, err := e.look(s, id, p, asked(e.envelope(c, audit.Refused), r, &d))
	if err != nil {
		return storageError(err)
	}
	if _, err := e.spool.record(ctx, l); err != nil {
		return err
	}
	return abide.Denied(d)
}

// refuseErased records that somebody wanted to change an erased person, and
// returns the error to answer with.
func (e *Engine) refuseErased(ctx context.Context, c Call, s *subject) error {
	env := e.envelope(c, audit.Refused)
	env.Effect, env.Reasons = abide.Deny.String(), []audit.Ground{{Code: abide.DenyErased}}
	l, err := e.look(s, s.id, audit.Part{}, env)
	if err != nil {
		return storageError(err)
	}
	if _, err := e.spool.record(ctx, l); err != nil {
		return err
	}
	return erasedError()
}

// noteStore records something about no subject. It is durable before the thing
// itself is done, so that nothing of the kind happens unrecorded.
func (e *Engine) noteStore(ctx context.Context, c Call, env audit.Envelope) error {
	l, err := e.vault.SealLook(nil, abide.SubjectID{}, audit.Part{}, env)
	if err != nil {
		return storageError(err)
	}
	_, err = e.spool.record(ctx, l)
	return err
}
