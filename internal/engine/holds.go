package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

const (
	maxHolds     = 100 // of one person
	maxHoldName  = 64  // characters
	maxHoldItems = 500
)

// Hold is a legal hold as callers see it.
type Hold struct {
	Name       string            `json:"name"`
	Categories []abide.Category  `json:"categories,omitempty"` // closed for everything but the law; with no items either: everything
	Items      []abide.SubjectID `json:"items,omitempty"`      // kept, and nothing else about them changes
	Until      time.Time         `json:"until,omitzero"`
	Reason     string            `json:"reason,omitempty"`
	By         string            `json:"by,omitempty"`
	Since      time.Time         `json:"since,omitzero"`
}

func holdsOf(f *policy.Facts) []Hold {
	out := make([]Hold, 0, len(f.Holds))
	for i := range f.Holds {
		out = append(out, Hold(f.Holds[i]))
	}
	return out
}

// PlaceHold keeps items of a person beyond their deadline, for a legal ground,
// until the hold is released or ends. What it covers is sealed anew under the
// law key, so that an erasure leaves it. Under the name of a hold that stands,
// it takes that one's place.
//
// An administrator places holds, or a member of staff whose role may approve
// (see mayHold), with a reason. The restore ledger has the hold before it is
// answered.
func (e *Engine) PlaceHold(ctx context.Context, c Call, id abide.SubjectID, h Hold) (Retention, error) {
	if err := h.check(e.now()); err != nil {
		return Retention{}, err
	}
	h.By, h.Since = "", time.Time{} // those of the one that stands, or of the caller
	_, err := update(ctx, e, c, opHold, id, everything, h, func(ch *change) (struct{}, error) {
		if err := ch.mayHold(); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, ch.hold(h)
	})
	if err != nil {
		return Retention{}, err
	}
	return e.Retention(ctx, c, id)
}

// ReleaseHold ends a hold. What only it kept goes with the next sweep, and is
// unreadable until then as it was before.
func (e *Engine) ReleaseHold(ctx context.Context, c Call, id abide.SubjectID, name, reason string) (Retention, error) {
	if strings.TrimSpace(reason) == "" || len(reason) > 500 {
		return Retention{}, invalid("reason_missing", "a hold is released with a reason of at most 500 characters", "say why it ends", "reason")
	}
	_, err := update(ctx, e, c, opHold, id, everything, []string{"release", name, reason}, func(ch *change) (struct{}, error) {
		if err := ch.mayHold(); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, ch.release(name, reason)
	})
	if err != nil {
		return Retention{}, err
	}
	return e.Retention(ctx, c, id)
}

func (h *Hold) check(now time.Time) error {
	switch {
	case h.Name == "" || len(h.Name) > maxHoldName || !plainName(h.Name):
		return invalid("bad_hold_name", "a hold has a name of at most 64 characters", "name the case, never the person", "name")
	case strings.TrimSpace(h.Reason) == "" || len(h.Reason) > 500:
		return invalid("reason_missing", "a hold has a reason of at most 500 characters", "say which claim or order the data is kept for", "reason")
	case !representable(h.Until) || !h.Until.IsZero() && !h.Until.After(now):
		return invalid("bad_time", "a hold ends in the future, or has no end yet", "send until, or leave it out", "until")
	case len(h.Items) > maxHoldItems:
		return invalid("too_many_items", "a hold names at most 500 items", "hold their category", "items")
	case len(h.Items) > 0 && len(h.Categories) > 0:
		return invalid("hold_of_both", "a hold is of items or of categories", "place two holds", "items")
	}
	return nil
}

// mayHold refuses whoever could not have agreed to a look that wants others'
// agreement: staff of a role that the policy does not let that far up.
func (ch *change) mayHold() error {
	a := ch.call.Actor
	if a.Admin || a.Kind == abide.ActorSystem {
		return nil
	}
	if ch.policy().MayApprove(a.Role) {
		return nil
	}
	return mayNot("a hold is placed and released by an administrator, or by staff whose role opens a level that wants approvals")
}

func (ch *change) hold(h Hold) error {
	for _, id := range h.Items {
		if !slices.ContainsFunc(ch.items, func(it storage.Item) bool { return it.ID == id && !isPseudo(it.Category) }) {
			return invalid("no_such_item", "the person has no such item", "abide retention show lists them", "items")
		}
	}
	for _, c := range h.Categories {
		if _, ok := ch.policy().Category(c); !ok {
			return invalid("unknown_category", "the policy knows no such category", "see /v1/policy for the categories", "categories")
		}
	}
	h.Since, h.By = ch.now, ch.call.Actor.Name
	h.Until = h.Until.UTC().Truncate(time.Microsecond)
	ch.facts.Holds = slices.DeleteFunc(slices.Clone(ch.facts.Holds), func(old policy.Hold) bool { return old.Name == h.Name || ended(&old, ch.now) })
	if len(ch.facts.Holds) >= maxHolds {
		return &abide.Error{Code: abide.CodeTooLarge, Detail: "too_many_holds", Message: "too many holds stand on this person", Hint: "release those that ended"}
	}
	ch.facts.Holds = append(ch.facts.Holds, policy.Hold(h))
	sealed, err := ch.reseal()
	if err != nil {
		return err
	}
	ch.logHold(audit.HoldPlaced, h.Name, h.Reason, h.Categories, sealed)
	return nil
}

func (ch *change) release(name, reason string) error {
	i := slices.IndexFunc(ch.facts.Holds, func(h policy.Hold) bool { return h.Name == name })
	if i < 0 {
		return &abide.Error{Code: abide.CodeNotFound, Detail: "no_such_hold", Message: "no such hold stands on this person", Hint: "abide retention show lists them"}
	}
	cats := ch.facts.Holds[i].Categories
	ch.facts.Holds = slices.Delete(slices.Clone(ch.facts.Holds), i, i+1)
	if err := ch.rearm(); err != nil {
		return err
	}
	ch.logHold(audit.HoldEnded, name, reason, cats, nil)
	return nil
}

// ended reports whether a hold keeps nothing any more.
func ended(h *policy.Hold, now time.Time) bool { return !h.Until.IsZero() && !now.Before(h.Until) }

func (ch *change) logHold(kind audit.Kind, name, reason string, cats []abide.Category, sealed []audit.Item) {
	env := ch.engine.envelope(ch.call, kind)
	env.Categories, env.Object, env.Policy = cats, "hold", ch.policy().Version()
	p := partOf(ch.call)
	p.Ref, p.Reason, p.Items = name, reason, sealed
	ch.log(p, env)
}

// reseal moves what holds cover into the law compartment, arms all deadlines
// anew, and returns what it sealed.
func (ch *change) reseal() (sealed []audit.Item, err error) {
	d := deadlinesOf(ch.engine, ch.subject, &ch.facts)
	for i := range ch.items {
		it := ch.items[i]
		if isPseudo(it.Category) || it.Compartment == storage.Law {
			continue
		}
		o, err := d.open(&ch.items[i])
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(ch.facts.Holds, func(h policy.Hold) bool { return h.Covers(it.Category, it.ID) && !ended(&h, ch.now) }) {
			continue
		}
		it.Compartment, it.Version = storage.Law, it.Version+1
		if err := ch.engine.vault.SealItem(ch.keys, &it, o.record); err != nil {
			return nil, storageError(err)
		}
		ch.items[i] = it
		ch.PutItems = append(ch.PutItems, it)
		sealed = append(sealed, audit.Item{Category: it.Category, ID: it.ID, Version: it.Version, Digest: vault.Digest(it.Sealed)})
	}
	return sealed, ch.rearm()
}

// heldCategory reports whether a hold keeps all items of a category: what comes
// in while it stands is sealed under the law key from the first.
func heldCategory(f *policy.Facts, c abide.Category, now time.Time) bool {
	return slices.ContainsFunc(f.Holds, func(h policy.Hold) bool {
		return len(h.Items) == 0 && h.Covers(c, abide.SubjectID{}) && !ended(&h, now)
	})
}
