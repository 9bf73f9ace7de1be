// Package whole checks a whole store for half states: what no crash, at any
// instant, may leave behind. It reads through the storage interface and opens
// everything with the keyring, so it sees what a server would see.
//
// Allowed are the remains that the order of the steps is chosen for (see
// docs/architecture.md): keys whose subject was never written, claims of
// look-ups that expire, an erasure that has its intent and no certificate yet.
package whole

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// Report is what a check saw and what it found.
type Report struct {
	Subjects, Items, Entries, Events, Looks, Erased, Erasing int
	Orphans                                                  int // subjects that have keys and no data
	Findings                                                 []string
}

func (r *Report) found(format string, args ...any) {
	r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
}

func (r *Report) String() string {
	return fmt.Sprintf("%d subjects (%d erased, %d in erasure, %d orphaned keys), %d items, %d entries, %d events, %d looks; %d half states",
		r.Subjects, r.Erased, r.Erasing, r.Orphans, r.Items, r.Entries, r.Events, r.Looks, len(r.Findings))
}

// Store is the two stores of one deployment, the keyring that opens them, and
// the files of uploads.
type Store struct {
	Data  storage.Store
	Keys  storage.KeyStore
	Ring  *keys.Keyring
	Blobs blob.Store
}

const page = 500

// Check checks everything. An error is about reading, not about what was read.
func Check(ctx context.Context, s Store) (*Report, error) {
	c := &check{Store: s, v: vault.New(s.Ring), r: &Report{}, pending: map[storage.EntryKey][32]byte{}}
	for _, step := range []func(context.Context) error{c.loadPending, c.subjects, c.store, c.spool, c.orphans} {
		if err := step(ctx); err != nil {
			return c.r, err
		}
	}
	for k := range c.pending {
		c.r.found("%s: pending entry %d is not in the log", name(k.Subject), k.N)
	}
	return c.r, nil
}

type check struct {
	Store
	v       *vault.Vault
	r       *Report
	pending map[storage.EntryKey][32]byte // commitments not yet matched with their entry
}

func name(id abide.SubjectID) string {
	if id.IsZero() {
		return "the store"
	}
	return "subject " + id.String()
}

func (c *check) loadPending(ctx context.Context) error {
	for after := (storage.EntryKey{}); ; {
		rows, err := c.Data.Pending(ctx, after, page)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, p := range rows {
			c.pending[p.Key] = p.Commitment
		}
		after = rows[len(rows)-1].Key
	}
}

func (c *check) subjects(ctx context.Context) error {
	for after := (abide.SubjectID{}); ; {
		rows, err := c.Data.ListSubjects(ctx, after, page)
		if err != nil || len(rows) == 0 {
			return err
		}
		for i := range rows {
			if err := c.subject(ctx, rows[i].ID); err != nil {
				return err
			}
		}
		after = rows[len(rows)-1].ID
	}
}

// person is one subject while it is checked.
type person struct {
	*storage.Loaded
	id      abide.SubjectID
	keys    *vault.SubjectKeys
	entries []storage.Entry
	parts   []*audit.Part // nil where the key is gone
}

func (c *check) subject(ctx context.Context, id abide.SubjectID) error {
	c.r.Subjects++
	l, err := c.Data.Load(ctx, id, storage.Want{AllItems: true, Erasure: true})
	if err != nil {
		return err
	}
	wrapped, err := c.Keys.Get(ctx, id)
	if err != nil {
		return err
	}
	p := &person{Loaded: l, id: id}
	if p.keys, err = c.v.Unlock(id, wrapped); err != nil {
		c.r.found("%s: keys: %v", name(id), err)
		return nil
	}
	defer p.keys.Close()
	if err := c.log(ctx, p); err != nil {
		return err
	}
	switch l.Subject.Status {
	case abide.StatusActive:
		return c.active(ctx, p)
	case abide.StatusErasing:
		c.r.Erasing++
		if l.Erasure == nil || l.Subject.Sealed != nil {
			c.r.found("%s: in erasure without its job, or with its state", name(id))
		}
	case abide.StatusErased:
		c.erased(p)
	default:
		c.r.found("%s: status %q", name(id), l.Subject.Status)
	}
	return nil
}

// log wants entries 1 to EntryN, each with the commitment that waits for the
// tree, and opens them.
func (c *check) log(ctx context.Context, p *person) error {
	for after := uint64(0); ; {
		rows, err := c.Data.Entries(ctx, p.id, after, page)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		p.entries = append(p.entries, rows...)
		after = rows[len(rows)-1].N
	}
	if n := len(p.entries); uint64(n) != p.Subject.EntryN || n == 0 {
		c.r.found("%s: %d log entries, the row says %d", name(p.id), n, p.Subject.EntryN)
	}
	for i := range p.entries {
		e := &p.entries[i]
		c.r.Entries++
		if e.N != uint64(i+1) {
			c.r.found("%s: log entry %d stands at %d", name(p.id), e.N, i+1)
		}
		part, err := c.entry(e, p.keys)
		if err != nil && !(abide.ErrorCode(err) == abide.CodeErased && p.Subject.Status != abide.StatusActive) {
			c.r.found("%s: log entry %d: %v", name(p.id), e.N, err)
		}
		p.parts = append(p.parts, part)
	}
	return nil
}

// entry opens one log entry and matches it with its pending commitment.
func (c *check) entry(e *storage.Entry, k *vault.SubjectKeys) (*audit.Part, error) {
	key := storage.EntryKey{Subject: e.Subject, N: e.N}
	if got, ok := c.pending[key]; !ok || got != e.Commitment {
		return nil, errors.New("its commitment does not wait for the tree")
	}
	delete(c.pending, key)
	if _, err := c.v.OpenEnvelope(e.Envelope, e.Commitment); err != nil {
		return nil, err
	}
	return c.v.OpenEntry(k, e)
}

func (c *check) active(ctx context.Context, p *person) error {
	for _, compartment := range vault.Compartments() {
		if !p.keys.Has(compartment) {
			c.r.found("%s: data without its key (compartment %d)", name(p.id), compartment)
		}
	}
	if p.Erasure != nil {
		c.r.found("%s: active with an erasure job at %s", name(p.id), p.Erasure.Step)
	}
	var facts policy.Facts
	if err := c.v.OpenState(p.keys, &p.Subject, &facts); err != nil {
		c.r.found("%s: %v", name(p.id), err)
		return nil
	}
	if err := c.items(ctx, p); err != nil {
		return err
	}
	return c.ledger(ctx, p, &facts)
}

// items opens every item, finds it in the log with the digest of its bytes, and
// finds the subject by the item's look-up value.
func (c *check) items(ctx context.Context, p *person) error {
	logged := map[storage.ItemKey]audit.Item{}
	for _, part := range p.parts {
		if part == nil {
			continue
		}
		for _, it := range part.Items {
			logged[storage.ItemKey{Category: it.Category, ID: it.ID}] = it
		}
	}
	for i := range p.Items {
		it := &p.Items[i]
		c.r.Items++
		if _, err := c.v.OpenItem(p.keys, it); err != nil {
			c.r.found("%s: item of %s: %v", name(p.id), it.Category, err)
		}
		if !strings.HasPrefix(string(it.Category), "~") {
			if l, ok := logged[storage.ItemKey{Category: it.Category, ID: it.ID}]; !ok || l.Version != it.Version || l.Digest != vault.Digest(it.Sealed) {
				c.r.found("%s: item of %s without a log entry of its own", name(p.id), it.Category)
			}
		}
		if it.IndexKey == "" {
			continue
		}
		found, _, err := c.Data.Find(ctx, it.Category, []storage.IndexValue{{Key: it.IndexKey, Value: it.Index}}, 1000)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(found, func(l storage.Lookup) bool { return l.Subject == p.id }) {
			c.r.found("%s: item of %s is not found by its value", name(p.id), it.Category)
		}
	}
	return nil
}

// ledger wants events 1 to ConsentN, each with its log entry; the state they
// fold to; and the index that says the same.
func (c *check) ledger(ctx context.Context, p *person, facts *policy.Facts) error {
	logged := map[uint64]bool{}
	for _, part := range p.parts {
		if part != nil && part.Consent > 0 {
			logged[part.Consent] = true
		}
	}
	var events []abide.ConsentEvent
	for after := uint64(0); ; {
		rows, err := c.Data.ConsentEvents(ctx, p.id, after, page)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		for i := range rows {
			c.r.Events++
			ev, receipt, err := c.v.OpenConsent(p.keys, &rows[i])
			if err != nil || len(receipt) == 0 {
				c.r.found("%s: event %d: %v", name(p.id), rows[i].N, err)
				continue
			}
			if !logged[ev.N] || ev.N != uint64(len(events)+1) {
				c.r.found("%s: event %d without a log entry, or out of its place", name(p.id), ev.N)
			}
			events = append(events, *ev)
		}
		after = rows[len(rows)-1].N
	}
	if uint64(len(events)) != p.Subject.ConsentN || len(events) != len(logged) {
		c.r.found("%s: %d events, the row says %d, the log %d", name(p.id), len(events), p.Subject.ConsentN, len(logged))
	}
	var folded policy.Facts
	for i := range events {
		consent.Apply(consent.Of(&folded), &events[i]).Put(&folded)
	}
	if got := (policy.Facts{Consents: facts.Consents, Accepted: facts.Accepted}); !bytes.Equal(vault.EncodeState(&got), vault.EncodeState(&folded)) {
		c.r.found("%s: the state of its consents is not what its ledger says", name(p.id))
	}
	return c.index(ctx, p, facts)
}

func (c *check) index(ctx context.Context, p *person, facts *policy.Facts) error {
	for _, one := range facts.Consents {
		effect := string(one.State)
		if one.Objected {
			effect = "objected"
		}
		rows, err := c.Data.Candidates(ctx, one.Purpose, effect, before(p.id), 1)
		if err != nil {
			return err
		}
		if len(rows) != 1 || rows[0].Subject != p.id || rows[0].Terms != one.Terms {
			c.r.found("%s: the index of consents does not say %s for %s", name(p.id), effect, one.Purpose)
		}
	}
	return nil
}

// before is the greatest id less than id.
func before(id abide.SubjectID) abide.SubjectID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]--
		if id[i] != 0xff {
			break
		}
	}
	return id
}

// erased wants the keys gone, but for what law retains, and a certificate that
// opens and names the subject.
func (c *check) erased(p *person) {
	c.r.Erased++
	if p.keys.Has(storage.Live) || p.keys.Has(storage.Log) || p.keys.Has(storage.Law) != (p.Subject.Law != nil) {
		c.r.found("%s: certified as erased, and its keys are not as the certificate says", name(p.id))
	}
	if p.Subject.Sealed != nil {
		c.r.found("%s: erased, and its state is there", name(p.id))
	}
	if p.Erasure == nil {
		c.r.found("%s: erased without a certificate", name(p.id))
		return
	}
	plain, err := c.v.OpenCertificate(p.Erasure)
	if err != nil || !bytes.Contains(plain, []byte(p.id.String())) {
		c.r.found("%s: its certificate does not open or names another: %v", name(p.id), err)
	}
}

// store checks the entries about no subject against the policies published.
func (c *check) store(ctx context.Context) error {
	entries, err := c.Data.Entries(ctx, abide.SubjectID{}, 0, 10000)
	if err != nil {
		return err
	}
	published := 0
	for i := range entries {
		c.r.Entries++
		if _, err := c.entry(&entries[i], nil); err != nil {
			c.r.found("the store: log entry %d: %v", entries[i].N, err)
		}
		if entries[i].Kind == string(audit.Published) {
			published++
		}
	}
	ep, err := c.Data.Epoch(ctx)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if uint64(published) != ep.N {
		c.r.found("the store: epoch %d with %d entries of publishing", ep.N, published)
	}
	row, err := c.Data.Policy(ctx, ep.Version)
	if err != nil || len(row.Source) == 0 {
		c.r.found("the store: the policy in force is not there: %v", err)
	}
	return nil
}

// spool wants each node's batches numbered from 1 without a gap.
func (c *check) spool(ctx context.Context) error {
	batches, err := c.Data.SpoolBatches(ctx, 1<<20)
	if err != nil {
		return err
	}
	last := map[string]uint64{}
	for i := range batches {
		b := &batches[i]
		if n, seen := last[b.Node]; seen && b.Batch != n+1 {
			c.r.found("node %s: batch %d follows %d", b.Node, b.Batch, n)
		}
		last[b.Node] = b.Batch
		for j := range b.Looks {
			c.r.Looks++
			if _, err := c.v.OpenEnvelope(b.Looks[j].Envelope, b.Looks[j].Commitment); err != nil {
				c.r.found("node %s: batch %d: %v", b.Node, b.Batch, err)
			}
		}
	}
	return nil
}

func (c *check) orphans(ctx context.Context) error {
	for after := (abide.SubjectID{}); ; {
		ids, err := c.Keys.Orphans(ctx, after, page)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if _, err := c.Data.Load(ctx, id, storage.Want{}); errors.Is(err, storage.ErrNotFound) {
				c.r.Orphans++
			} else if err != nil {
				return err
			}
		}
		after = ids[len(ids)-1]
	}
}

// Summary tells what a store holds, without ids and times, so that two stores
// to which the same happened give the same text: what happened twice shows.
func Summary(ctx context.Context, s Store) (string, error) {
	var people []string
	for after := (abide.SubjectID{}); ; {
		rows, err := s.Data.ListSubjects(ctx, after, page)
		if err != nil {
			return "", err
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			text, err := describe(ctx, s, row)
			if err != nil {
				return "", err
			}
			people = append(people, text)
		}
		after = rows[len(rows)-1].ID
	}
	slices.Sort(people)
	rest, err := registers(ctx, s)
	return strings.Join(append(people, rest...), "\n"), err
}

func describe(ctx context.Context, s Store, row storage.SubjectRow) (string, error) {
	l, err := s.Data.Load(ctx, row.ID, storage.Want{AllItems: true, Erasure: true})
	if err != nil {
		return "", err
	}
	entries, err := s.Data.Entries(ctx, row.ID, 0, 10000)
	if err != nil {
		return "", err
	}
	events, err := s.Data.ConsentEvents(ctx, row.ID, 0, 10000)
	if err != nil {
		return "", err
	}
	wrapped, err := s.Keys.Get(ctx, row.ID)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, %d keys, items", row.Kind, l.Subject.Status, len(wrapped))
	var cats []string
	for _, it := range l.Items {
		cats = append(cats, string(it.Category))
	}
	slices.Sort(cats)
	fmt.Fprintf(&b, " %v, log", cats)
	for _, e := range entries {
		fmt.Fprintf(&b, " %s", e.Kind)
	}
	b.WriteString(", ledger")
	for _, e := range events {
		fmt.Fprintf(&b, " %s:%s", e.Purpose, e.Action)
	}
	if l.Erasure != nil {
		fmt.Fprintf(&b, ", erasure %s", l.Erasure.Step)
	}
	return b.String(), nil
}

// registers tells of what is about no subject.
func registers(ctx context.Context, s Store) ([]string, error) {
	policies, err := s.Data.Policies(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := s.Data.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	out := []string{fmt.Sprintf("%d policies", len(policies))}
	for _, t := range tokens {
		out = append(out, "token "+t.Name)
	}
	for _, kind := range []string{"member", "contract", "staff", "review", "approval", "copy"} {
		rows, err := s.Data.Records(ctx, kind)
		if err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprintf("%d of %s", len(rows), kind))
	}
	return out, nil
}

// ClaimsExpire is how far a clock moves until the claims of a killed process
// keep nobody out any more.
const ClaimsExpire = time.Minute
