package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// openedEntry is the subject's part of an entry; nil if its key is gone.
type openedEntry struct{ part *audit.Part }

// examination is one look at one person.
type examination struct {
	*doctor
	ctx     context.Context
	row     storage.SubjectRow
	items   []storage.Item
	keys    *vault.SubjectKeys
	state   *policy.Facts // nil if it does not open
	logged  map[storage.ItemKey]audit.Item
	version string // of the state, as last logged
	commits map[uint64][32]byte
	entries int
	counted int64 // looks that the tally counts
	found   []Ailment
}

func (x *examination) note(code, what string) {
	x.found = append(x.found, Ailment{Code: code, What: what})
}

func entryName(n uint64) string { return "log entry " + strconv.FormatUint(n, 10) }

func itemName(c abide.Category, id abide.SubjectID) string { return string(c) + " " + id.String() }

func lookName(k storage.LookKey) string { return fmt.Sprintf("look %s/%d/%d", k.Node, k.Batch, k.Pos) }

func (d *doctor) examine(ctx context.Context, id abide.SubjectID) (*examination, error) {
	x := &examination{doctor: d, ctx: ctx, logged: map[storage.ItemKey]audit.Item{}, commits: map[uint64][32]byte{}}
	loaded, err := d.e.store.Load(ctx, id, storage.Want{AllItems: true, Erasure: true})
	if isNotFound(err) {
		return x, nil
	}
	if err != nil {
		return nil, storageError(err)
	}
	x.row, x.items = loaded.Subject, loaded.Items
	if err := x.unlock(); err != nil {
		return nil, err
	}
	defer x.keys.Close()
	x.openState()
	steps := []func() error{x.log, x.pendingRows, x.looks}
	switch x.row.Status {
	case abide.StatusActive:
		steps = append(steps, x.values, x.consents, x.rest)
	case abide.StatusErased:
		steps = append(steps, func() error { return x.erased(loaded.Erasure) })
	case abide.StatusErasing:
	default:
		x.note(AilSubjectRow, "status")
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// unlock opens the keys one by one, and leaves out those that do not.
func (x *examination) unlock() error {
	wrapped, err := x.e.keys.Get(x.ctx, x.row.ID)
	if err != nil {
		return storageError(err)
	}
	good := wrapped[:0:0]
	for _, w := range wrapped {
		if one, err := x.e.vault.Unlock(x.row.ID, []storage.WrappedKey{w}); err != nil {
			x.note(AilKeyDamaged, fmt.Sprintf("compartment %d, version %d", w.Compartment, w.Version))
		} else {
			one.Close()
			good = append(good, w)
		}
	}
	if x.keys, err = x.e.vault.Unlock(x.row.ID, good); err != nil {
		return err
	}
	for _, c := range vault.Compartments() {
		there := slices.ContainsFunc(wrapped, func(w storage.WrappedKey) bool { return w.Compartment == c })
		switch name := fmt.Sprintf("compartment %d", c); {
		case x.row.Status == abide.StatusActive && !there:
			x.note(AilKeyMissing, name)
		case x.row.Status == abide.StatusErased && there && (c != storage.Law || x.row.Law == nil):
			x.note(AilKeyOfErased, name)
		}
	}
	return nil
}

func (x *examination) openState() {
	if x.row.Status != abide.StatusActive || !x.keys.Has(storage.Live) {
		return
	}
	var f policy.Facts
	if err := x.e.vault.OpenState(x.keys, &x.row, &f); err != nil || f.Kind != x.row.Kind || f.Status != x.row.Status {
		x.note(AilState, "row version "+strconv.FormatUint(x.row.Version, 10))
		return
	}
	x.state = &f
}

// log reads all entries and remembers what they say was written last.
func (x *examination) log() error {
	after := uint64(0)
	for {
		entries, err := x.e.store.Entries(x.ctx, x.row.ID, after, 500)
		if err != nil {
			return storageError(err)
		}
		for i := range entries {
			n := entries[i].N
			if n != after+1 {
				x.note(AilEntry, entryName(after+1)+" is missing")
			}
			after = n
			x.entries++
			x.commits[n] = entries[i].Commitment
			opened, ok := x.opens(x.keys, &entries[i])
			if !ok {
				x.note(AilEntry, entryName(n))
			} else if opened.part != nil {
				x.remember(opened.part)
			}
		}
		if len(entries) < 500 {
			break
		}
	}
	if after < x.row.EntryN {
		x.note(AilEntry, entryName(after+1)+" is missing")
	}
	x.stateIsLatest(after)
	return nil
}

func (x *examination) remember(p *audit.Part) {
	for _, it := range p.Items {
		if it.Digest != "" && p.N > 0 {
			x.logged[storage.ItemKey{Category: it.Category, ID: it.ID}] = it
		}
	}
	for _, it := range p.Removed {
		delete(x.logged, storage.ItemKey{Category: it.Category, ID: it.ID})
	}
	if p.State != "" {
		x.version = p.State
	}
}

// stateIsLatest compares the row with what the log says it was last.
func (x *examination) stateIsLatest(last uint64) {
	if x.row.Status != abide.StatusActive {
		return
	}
	is := strconv.FormatUint(x.row.Version, 10) + ":" + vault.Digest(x.row.Sealed)
	if last > x.row.EntryN || x.version != "" && x.version != is {
		said, _, _ := strings.Cut(x.version, ":")
		x.note(AilStateRolledBack, fmt.Sprintf("row version %d, the log knows version %s", x.row.Version, said))
	}
}

func (x *examination) pendingRows() error {
	for at := (storage.EntryKey{Subject: x.row.ID}); ; {
		rows, err := x.e.store.Pending(x.ctx, at, 500)
		if err != nil {
			return storageError(err)
		}
		for _, r := range rows {
			if r.Key.Subject != x.row.ID {
				return nil
			}
			at = r.Key
			if c, ok := x.commits[r.Key.N]; !ok || c != r.Commitment {
				x.note(AilPending, entryName(r.Key.N))
			}
		}
		if len(rows) < 500 {
			return nil
		}
	}
}

func (x *examination) looks() error {
	for at := (storage.LookKey{}); ; {
		rows, err := x.e.store.LooksOf(x.ctx, x.row.ID, at, 500)
		if err != nil {
			return storageError(err)
		}
		for i := range rows {
			at = rows[i].Key
			l := &rows[i].Look
			if x.tally != nil && x.tally.counts(storage.SpoolKey{Node: at.Node, Batch: at.Batch}) {
				x.counted++
			}
			env, err := x.e.vault.OpenEnvelope(l.Envelope, l.Commitment)
			if err == nil && string(env.Kind) == l.Kind && env.At.Equal(l.At) {
				_, err = x.e.vault.OpenLook(x.keys, l)
				if abide.ErrorCode(err) == abide.CodeErased {
					err = nil
				}
				if err == nil {
					continue
				}
			}
			x.note(AilLook, lookName(at))
		}
		if len(rows) < 500 {
			return nil
		}
	}
}

// values checks that each value opens where it stands, is the last one that was
// logged, and is found by what it holds.
func (x *examination) values() error {
	for i := range x.items {
		it := &x.items[i]
		name := itemName(it.Category, it.ID)
		key := storage.ItemKey{Category: it.Category, ID: it.ID}
		said, logged := x.logged[key]
		delete(x.logged, key)
		if !x.keys.Has(it.Compartment) {
			continue // said already: the key is missing or damaged
		}
		r, err := x.e.vault.OpenItem(x.keys, it)
		switch {
		case err != nil:
			x.note(AilItem, name)
			continue
		case !logged:
			x.note(AilItemUnlogged, name)
		case said.Version != it.Version || said.Digest != vault.Digest(it.Sealed):
			x.note(AilItemRolledBack, fmt.Sprintf("%s: version %d, the log knows version %d", name, it.Version, said.Version))
		}
		if err := errors.Join(x.index(it, r, name), x.upload(it, r, name)); err != nil {
			return err
		}
	}
	for key := range x.logged {
		x.note(AilItemMissing, itemName(key.Category, key.ID))
	}
	return nil
}

func (x *examination) index(it *storage.Item, r *vault.Record, name string) error {
	if it.IndexKey == "" {
		return nil
	}
	normal, known := x.normal(it, r)
	if known {
		values, err := x.e.vault.Index(storage.IndexKeys(it.IndexKey), it.Category, normal)
		if err != nil && abide.ErrorDetail(err) != "index_key_unknown" {
			return storageError(err)
		}
		if !bearing(it, values) {
			x.note(AilIndex, name)
		}
	}
	found, _, err := x.e.store.Find(x.ctx, it.Category, []storage.IndexValue{{Key: it.IndexKey, Value: it.Index}}, 2*maxFound)
	if err != nil {
		return storageError(err)
	}
	if len(found) < 2*maxFound && !slices.ContainsFunc(found, func(l storage.Lookup) bool { return l.Subject == x.row.ID }) {
		x.note(AilLookupMissing, name)
	}
	return nil
}

// normal is what a value's index was made from. It is not known of the key of a
// creation, nor of a category that the policy in force does not have, or has in
// another format.
func (x *examination) normal(it *storage.Item, r *vault.Record) ([]byte, bool) {
	if it.Category == vault.Reference {
		var reference string
		err := json.Unmarshal(r.Value, &reference)
		return []byte(reference), err == nil
	}
	if x.policy == nil || x.state == nil {
		return nil, false
	}
	cat, ok := x.policy.Category(it.Category)
	if !ok || cat.Find == "" {
		return nil, false
	}
	canonical, normal, err := vault.Normalize(cat.Format, r.Value, region(x.state))
	if err != nil {
		return nil, false
	}
	if coarse, _, err := vault.Coarsen(cat.Coarsen, cat.Format, canonical, r.Obtained); err != nil || !bytes.Equal(coarse, canonical) {
		return nil, false
	}
	return normal, normal != nil && bytes.Equal(canonical, r.Value)
}

// consents folds the ledger of consent again.
func (x *examination) consents() error {
	if !x.keys.Has(storage.Law) {
		return nil
	}
	var state consent.State
	whole := true
	after := uint64(0)
	for {
		rows, err := x.e.store.ConsentEvents(x.ctx, x.row.ID, after, 500)
		if err != nil {
			return storageError(err)
		}
		for i := range rows {
			n := rows[i].N
			ev, _, err := x.e.vault.OpenConsent(x.keys, &rows[i])
			if err != nil || n != after+1 {
				x.note(AilConsent, "event "+strconv.FormatUint(min(n, after+1), 10))
				whole = false
			} else {
				state = consent.Apply(state, ev)
				if ev.Terms != "" && !x.terms[ev.Terms] {
					x.note(AilTerms, "event "+strconv.FormatUint(n, 10)+": its terms are missing")
				}
			}
			after = n
		}
		if len(rows) < 500 {
			break
		}
	}
	switch {
	case after != x.row.ConsentN:
		x.note(AilConsent, fmt.Sprintf("event %d of %d", after, x.row.ConsentN))
	case whole && x.state != nil && !sameJSON(state, consent.Of(x.state)):
		x.note(AilConsentState, "")
	}
	return nil
}

// rest checks the small tables against the state that they are made from.
func (x *examination) rest() error {
	rest, err := x.inspect.Rest(x.ctx, x.row.ID)
	if err != nil {
		return storageError(err)
	}
	for i := range rest.Idempotency {
		if _, err := x.e.vault.OpenAnswer(x.keys, &rest.Idempotency[i]); err != nil {
			x.note(AilAnswer, "")
		}
	}
	if x.state == nil {
		return nil
	}
	indexed := map[abide.Purpose]storage.ConsentIndexRow{}
	for _, r := range rest.ConsentIndex {
		indexed[r.Purpose] = r
	}
	for i := range x.state.Consents {
		c := &x.state.Consents[i]
		if r, ok := indexed[c.Purpose]; !ok || r.Effect != effectOf(c) || r.Terms != c.Terms {
			x.note(AilConsentIndex, string(c.Purpose))
		}
		delete(indexed, c.Purpose)
	}
	for p := range indexed {
		x.note(AilConsentIndex, string(p))
	}
	return x.facts(rest.Facts)
}

func (x *examination) facts(rows []storage.FactRow) error {
	held := map[storage.FactRow]bool{}
	for _, r := range rows {
		r.At = r.At.UTC()
		held[r] = true
	}
	for _, ev := range x.state.Events {
		name, err := x.e.vault.EventName(x.row.ID, ev.Anchor, ev.Ref)
		if err != nil {
			return storageError(err)
		}
		r := storage.FactRow{Anchor: ev.Anchor, Event: name, At: ev.At.UTC()}
		if !held[r] {
			x.note(AilFact, ev.Anchor)
		}
		delete(held, r)
	}
	for r := range held {
		x.note(AilFact, r.Anchor)
	}
	return nil
}

// signed reports whether one of the store's keys signed the certificate.
func (x *examination) signed(certificate []byte) bool {
	for _, k := range x.e.vault.Keyring().PublicKeys() {
		if _, err := audit.VerifyCertificate(certificate, k.Key); err == nil {
			return true
		}
	}
	return false
}

// erased checks what may be left of an erased person: the certificate, and
// what law retains.
func (x *examination) erased(job *storage.ErasureJob) error {
	s := &subject{id: x.row.ID, erasure: job}
	cert, err := x.e.openCertificate(s)
	good := err == nil && cert.Subject == x.row.ID
	if good {
		raw, err := json.Marshal(cert)
		good = err == nil && x.signed(raw)
	}
	if !good {
		x.note(AilCertificate, "")
	}
	if _, err := x.e.vault.OpenLaw(x.keys, &x.row); err != nil {
		x.note(AilState, "what law retains")
	}
	done := job != nil && job.Step == storage.ErasureDone
	for i := range x.items {
		it := &x.items[i]
		name := itemName(it.Category, it.ID)
		switch {
		case it.Compartment == storage.Law && x.row.Law != nil:
			r, err := x.e.vault.OpenItem(x.keys, it)
			if err != nil {
				x.note(AilItem, name)
			} else if err := x.upload(it, r, name); err != nil {
				return err
			}
		case done:
			x.note(AilItemOfErased, name)
		}
	}
	return nil
}
