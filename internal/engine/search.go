package engine

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
)

// People pages through the ids of people in order, after one of them. It says
// who there is and nothing about them: a transport that answers "for whom may
// I do this" asks Decide about each and hands out those that are permitted.
func (e *Engine) People(ctx context.Context, c Call, after abide.SubjectID, limit int) ([]abide.SubjectID, error) {
	if err := authorise(c, opDecide, abide.SubjectID{}); err != nil {
		return nil, err
	}
	rows, err := e.store.ListSubjects(ctx, after, limit)
	if err != nil {
		return nil, storageError(err)
	}
	ids := make([]abide.SubjectID, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	return ids, nil
}

// Recorded returns once all that was decided before it is on record for good. A
// decision alone may be durable up to a second later; whoever hands out more
// than a decision, such as the ids of those for whom it was yes, waits for this
// first.
func (e *Engine) Recorded(ctx context.Context) error { return e.spool.flush(ctx) }

// Actors lists those services or members of staff that have a token, to an
// administrator; to everybody else itself alone. None has more purposes than
// who asks.
func (e *Engine) Actors(ctx context.Context, c Call, kind abide.ActorKind) ([]abide.Actor, error) {
	if err := authorise(c, opDecide, abide.SubjectID{}); err != nil {
		return nil, err
	}
	actors := []abide.Actor{c.Actor}
	if c.Actor.Admin {
		rows, err := e.store.Tokens(ctx)
		if err != nil {
			return nil, storageError(err)
		}
		actors = actors[:0]
		for _, r := range rows {
			a := r.Actor
			a.Purposes = slices.DeleteFunc(slices.Clone(a.Purposes), func(p abide.Purpose) bool { return !slices.Contains(c.Actor.Purposes, p) })
			if r.Expires.IsZero() || e.now().Before(r.Expires) {
				actors = append(actors, a)
			}
		}
	}
	actors = slices.DeleteFunc(actors, func(a abide.Actor) bool { return a.Kind != kind })
	slices.SortStableFunc(actors, func(a, b abide.Actor) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(actors, func(a, b abide.Actor) bool { return a.Name == b.Name }), nil
}

// SealPage seals where a listing goes on, for any node to open: a token says
// nothing to who carries it.
func (e *Engine) SealPage(position any) ([]byte, error) {
	plain, err := json.Marshal(position)
	if err != nil {
		return nil, storageError(err)
	}
	sealed, err := e.vault.SealPage(plain)
	return sealed, storageError(err)
}

// OpenPage opens what SealPage sealed.
func (e *Engine) OpenPage(token []byte, into any) error {
	plain, err := e.vault.OpenPage(token)
	if err == nil {
		err = json.Unmarshal(plain, into)
	}
	if err != nil {
		return invalid("bad_page_token", "this is no page token of ours", "begin again without a token", "page.token")
	}
	return nil
}
