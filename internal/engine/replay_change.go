package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/internal/restore"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// replaying is one build of what the ledger holds of a person.
type replaying struct {
	*change
	ctx      context.Context
	receipts [][]byte // of the ledger of consent, loaded when needed
	loaded   bool
	changed  bool
	past     bool // the facts as they were are kept
	logged   []audit.Item
	unclaim  bool
}

// replayChanges brings back everything but an erasure. What the store holds is
// recognised by its log entry, or by what it says. count is false if the person
// is erased right after, which is what is counted.
func (e *Engine) replayChanges(ctx context.Context, id abide.SubjectID, records []restore.Record, count bool) error {
	missing, err := e.notHeld(ctx, id, records)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		e.replayed.Held += len(records)
		return nil
	}
	err = e.replayMissing(ctx, id, missing, count, false)
	if errors.Is(err, storage.ErrTaken) {
		// Somebody else holds a value that was this person's: the value comes
		// back all the same, and does not find them.
		err = e.replayMissing(ctx, id, missing, count, true)
		e.replayed.Unclaimed++
	}
	if err == nil {
		e.replayed.Held += len(records) - len(missing)
	}
	return err
}

// notHeld leaves the records whose log entry is not in the store.
func (e *Engine) notHeld(ctx context.Context, id abide.SubjectID, records []restore.Record) ([]restore.Record, error) {
	var out []restore.Record
	for i := range records {
		r := &records[i]
		if r.EntryN > 0 {
			got, err := e.store.Entries(ctx, id, r.EntryN-1, 1)
			if err != nil {
				return nil, storageError(err)
			}
			if len(got) == 1 && got[0].N == r.EntryN && got[0].Commitment == r.Commitment {
				continue
			}
		}
		out = append(out, *r)
	}
	return out, nil
}

func (e *Engine) replayMissing(ctx context.Context, id abide.SubjectID, records []restore.Record, count, unclaim bool) error {
	s, err := e.load(ctx, id, storage.Want{AllItems: true})
	switch {
	case isNotFoundError(err):
		if count {
			e.replayed.Unknown++
		}
		return nil
	case abide.ErrorDetail(err) == "keys_missing":
		e.replayed.Unreadable += len(records)
		return nil
	case err != nil:
		return err
	}
	defer s.close()
	if !s.active() {
		return nil // erased, or about to be: everything else is moot
	}
	b := &replaying{change: &change{subject: s, call: systemCall, engine: e, replaying: true}, ctx: ctx, unclaim: unclaim}
	b.Expect, b.Row = s.row.Version, s.row
	if s.force != nil {
		b.Epoch = s.force.epoch.N
	}
	unreadable := 0
	for i := range records {
		plain, err := e.vault.OpenRestore(s.keys, string(records[i].Kind), records[i].Payload)
		if err != nil {
			unreadable++
			continue
		}
		if err := b.apply(&records[i], plain); err != nil {
			return storageError(err)
		}
	}
	if b.changed {
		if s.force != nil {
			// What a hold covers lies under the law key; the backup may be older.
			sealed, err := b.reseal()
			if err != nil {
				return err
			}
			b.logged = append(b.logged, sealed...)
		}
		b.logReplay(b.logged)
		if err := e.beginReplay(ctx); err != nil {
			return err
		}
		if err := b.land(ctx); err != nil {
			return err
		}
		if count {
			e.replayed.Changed++
		}
	}
	e.replayed.Unreadable += unreadable
	return nil
}

func (b *replaying) apply(r *restore.Record, plain []byte) error {
	switch r.Kind {
	case restore.Facts:
		return b.facts(r, plain)
	case restore.Holds:
		return carryTo(b, plain, &b.change.facts.Holds, func(h policy.Hold) string { return h.Name })
	case restore.Services:
		return carryTo(b, plain, &b.change.facts.Services, func(t policy.Taking) abide.Service { return t.Service })
	case restore.Event:
		return b.events(plain)
	case restore.Consent:
		return b.consent(plain)
	case restore.Item:
		return b.item(plain)
	case restore.Removed:
		return b.removed(plain)
	}
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "written_by_newer_version",
		Message: "a record of the restore ledger was written by a newer version of abide", Hint: "run the newest version on every node"}
}

// carryTo does to a list what a change did to it.
func carryTo[T any, K comparable](b *replaying, plain []byte, to *[]T, key func(T) K) error {
	var m moved[[]T]
	if err := json.Unmarshal(plain, &m); err != nil {
		return err
	}
	if list := carryList(*to, m.Was, m.Now, key); !sameJSON(list, *to) {
		*to, b.changed = list, true
	}
	return nil
}

func (b *replaying) facts(r *restore.Record, plain []byte) error {
	var m moved[ledgerFacts]
	if err := json.Unmarshal(plain, &m); err != nil {
		return err
	}
	now := b.change.facts
	if !carry(&m, &now) {
		return nil
	}
	if !b.past {
		if err := b.keepPast(r.At); err != nil {
			return err
		}
	}
	b.change.facts, b.past, b.changed = now, true, true
	return nil
}

func (b *replaying) events(plain []byte) error {
	var events []policy.Event
	if err := json.Unmarshal(plain, &events); err != nil {
		return err
	}
	for _, ev := range events {
		if slices.Contains(b.change.facts.Events, ev) {
			continue
		}
		if err := b.putEvent(ev); err != nil {
			return err
		}
		b.changed = true
	}
	return nil
}

// consent appends an event to the ledger of consent, under the next number and
// with the receipt that the person has.
func (b *replaying) consent(plain []byte) error {
	var row storage.ConsentRow
	if err := json.Unmarshal(plain, &row); err != nil {
		return err
	}
	ev, receipt, err := b.engine.vault.OpenConsent(b.keys, &row)
	if err != nil {
		return err
	}
	if err := b.loadReceipts(); err != nil {
		return err
	}
	if slices.ContainsFunc(b.receipts, func(r []byte) bool { return bytes.Equal(r, receipt) }) {
		return nil
	}
	b.Row.ConsentN++
	ev.N = b.Row.ConsentN
	sealed, err := b.engine.vault.SealConsent(b.keys, ev, receipt)
	if err != nil {
		return err
	}
	b.Consents, b.receipts = append(b.Consents, sealed), append(b.receipts, receipt)
	state := consent.Apply(consent.Of(&b.change.facts), ev)
	state.Put(&b.change.facts)
	if ev.Purpose != "" {
		now := state.Find(ev.Purpose)
		b.ConsentIndex = append(b.ConsentIndex, storage.ConsentIndexRow{Subject: b.id, Purpose: ev.Purpose, Terms: now.Terms, Effect: effectOf(&now)})
	}
	b.changed = true
	return nil
}

func (b *replaying) loadReceipts() error {
	if b.loaded {
		return nil
	}
	for after := uint64(0); ; {
		rows, err := b.engine.store.ConsentEvents(b.ctx, b.id, after, 500)
		if err != nil {
			return err
		}
		for i := range rows {
			after = rows[i].N
			_, receipt, err := b.engine.vault.OpenConsent(b.keys, &rows[i])
			if err != nil {
				return err
			}
			b.receipts = append(b.receipts, receipt)
		}
		if len(rows) < 500 {
			b.loaded = true
			return nil
		}
	}
}

// item puts a corrected value back, unless a later one is held. The only value
// of a category takes the place of whichever is held.
func (b *replaying) item(plain []byte) error {
	var it storage.Item
	if err := json.Unmarshal(plain, &it); err != nil {
		return err
	}
	if at := b.find(it.Category, it.ID); at >= 0 && b.items[at].Version >= it.Version {
		return nil
	}
	cat := b.known(it.Category)
	if cat != nil && !cat.Many {
		for _, old := range slices.Clone(b.items) {
			if old.Category == it.Category && old.ID != it.ID {
				if err := b.drop(storage.ItemKey{Category: old.Category, ID: old.ID}); err != nil {
					return err
				}
			}
		}
	}
	values, err := b.claimAgain(cat, &it)
	if err != nil {
		return err
	}
	if at := b.find(it.Category, it.ID); at >= 0 {
		if old := b.items[at]; !bearing(&old, values) {
			if err := b.giveUp(&old); err != nil {
				return err
			}
		}
		b.items[at] = it
	} else {
		b.items = append(b.items, it)
	}
	b.PutItems = append(b.PutItems, it)
	b.logged = append(b.logged, audit.Item{Category: it.Category, ID: it.ID, Version: it.Version, Digest: vault.Digest(it.Sealed)})
	b.changed = true
	return nil
}

func (b *replaying) known(c abide.Category) *policy.Category {
	if b.force == nil {
		return nil
	}
	cat, ok := b.policy().Category(c)
	if !ok {
		return nil
	}
	return cat
}

// claimAgain makes a value findable that was: under the index keys of today.
func (b *replaying) claimAgain(cat *policy.Category, it *storage.Item) ([]storage.IndexValue, error) {
	if it.IndexKey == "" {
		return nil, nil
	}
	if cat == nil || cat.Find == "" || b.unclaim {
		it.IndexKey, it.Index = "", nil
		return nil, nil
	}
	r, err := b.engine.vault.OpenItem(b.keys, it)
	if err != nil {
		return nil, err
	}
	_, normal, unfit := vault.Normalize(cat.Format, r.Value, region(&b.change.facts))
	if unfit != nil || normal == nil {
		it.IndexKey, it.Index = "", nil // the policy wants another format by now
		return nil, nil                 //nolint:nilerr // it comes back without being findable
	}
	values, err := b.engine.indexValues(b.ctx, b.index, it.Category, normal)
	if err != nil {
		return nil, err
	}
	it.IndexKey, it.Index = values[0].Key, values[0].Value
	b.claims = append(b.claims, claimOn(it.Category, b.id, values, cat.Find == "unique", b.now.Add(claimLife)))
	return values, nil
}

func (b *replaying) removed(plain []byte) error {
	var was ledgerRemoved
	if err := json.Unmarshal(plain, &was); err != nil {
		return err
	}
	if at := b.find(was.Category, was.ID); at >= 0 && b.items[at].Version > was.Version {
		return nil
	}
	return b.drop(was.ItemKey)
}

// drop takes an item out, if it is held.
func (b *replaying) drop(k storage.ItemKey) error {
	at := b.find(k.Category, k.ID)
	if at < 0 {
		return nil
	}
	if err := b.giveUp(&b.items[at]); err != nil {
		return err
	}
	b.items = slices.Delete(slices.Clone(b.items), at, at+1)
	b.PutItems = slices.DeleteFunc(b.PutItems, func(it storage.Item) bool { return it.Category == k.Category && it.ID == k.ID })
	b.DropItems = append(b.DropItems, k)
	b.changed = true
	return nil
}

func (b *replaying) find(c abide.Category, id abide.SubjectID) int {
	return slices.IndexFunc(b.items, func(it storage.Item) bool { return it.Category == c && it.ID == id })
}

// earliest is the first deadline of items; zero if none has one.
func earliest(items []storage.Item) time.Time {
	var next time.Time
	for i := range items {
		next = sooner(next, items[i].Due)
	}
	return next
}
