package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/internal/restore"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
)

// RestoreLedger is the append-only record outside database and backup that a
// restore replays; *restore.Ledger is one.
type RestoreLedger interface {
	// Append returns when the records are durable. On an error they may be.
	Append(ctx context.Context, records []restore.Record) (restore.Ticket, error)
	// Settle says that the change of the records is in the store.
	Settle(t restore.Ticket)
	// Settled tells how far each segment of this process is settled.
	Settled() map[string]restore.Mark
	ID() string
	// Start waits for this process's turn to replay, and returns what ends it.
	Start(ctx context.Context) (started func() error, err error)
	// Alone reports whether no other process that has started uses the ledger.
	Alone() bool
	// Covers fails with restore.ErrPruned if a store with these marks, which
	// knows of so many prunings, lacks something that is gone.
	Covers(marks map[string]restore.Mark, pruned uint64) error
	Tail(marks map[string]restore.Mark) (*restore.Tail, error)
	Verify(marks map[string]restore.Mark) (records int, wrong []error, err error)

	// Turn ends the segment of this process; Ended tells whether nobody writes a
	// segment, and the mark is that of its end. Prune deletes some that the store
	// has seen to their end, and returns how often the ledger was pruned.
	Turn()
	Ended(segment string, m restore.Mark) (bool, error)
	Prune(what map[string]restore.Mark, now, forget time.Time, seen uint64) (uint64, error)
	Pruned() uint64
	Gone(segment string, n uint64) bool // it went with one of the first n prunings
}

// What a change says no to goes into the ledger before the change is
// committed, and everything else after it: killed between the two, a process
// leaves a no that the store does not know (the next start applies it), or a
// yes or a correction that the ledger does not know, which nobody was told is
// done. So a restore may deny what was not acknowledged, and never permits what
// was not.

// ledgered is the records of a change, by when they are appended.
type ledgered struct{ before, after []restore.Record }

// Forms of payloads.
type (
	ledgerFacts struct {
		Residence     abide.Place     `json:"residence,omitempty"`
		Whereabouts   abide.Place     `json:"whereabouts,omitempty"`
		BirthDate     abide.Date      `json:"birth_date,omitzero"`
		DeclaredMinor bool            `json:"declared_minor,omitempty"`
		Restricted    bool            `json:"restricted,omitempty"`
		Guardian      policy.Guardian `json:"guardian,omitzero"`
	}
	ledgerRemoved struct {
		storage.ItemKey
		Version uint32 // that was taken out; a later one is another change's
	}
	ledgerErasure struct {
		Kind        abide.SubjectKind `json:"kind"`
		Certificate *Certificate      `json:"certificate"`
		Law         []byte            `json:"law,omitempty"` // sealed
		Items       []storage.Item    `json:"items,omitempty"`
	}
)

func ledgerFactsOf(f *policy.Facts) ledgerFacts {
	return ledgerFacts{f.Residence, f.Whereabouts, f.BirthDate, f.DeclaredMinor, f.Restricted, f.Guardian}
}

// moved is what a change did to something of a person. A replay does the same
// again and leaves alone what the change did not touch: the record of a no whose
// commit failed must not undo what another change, acknowledged, did meanwhile.
type moved[T any] struct {
	Was T `json:"was"`
	Now T `json:"now"`
}

// carry does to the facts what the change did to them, and reports whether any
// are different now.
func carry(m *moved[ledgerFacts], f *policy.Facts) bool {
	had := ledgerFactsOf(f)
	was, now := &m.Was, &m.Now
	carryOne(&f.Residence, was.Residence, now.Residence)
	carryOne(&f.Whereabouts, was.Whereabouts, now.Whereabouts)
	carryOne(&f.BirthDate, was.BirthDate, now.BirthDate)
	carryOne(&f.DeclaredMinor, was.DeclaredMinor, now.DeclaredMinor)
	carryOne(&f.Restricted, was.Restricted, now.Restricted)
	carryOne(&f.Guardian.Verified, was.Guardian.Verified, now.Guardian.Verified)
	f.Guardian.Consents = carryList(f.Guardian.Consents, was.Guardian.Consents, now.Guardian.Consents, func(p abide.Purpose) abide.Purpose { return p })
	return !sameJSON(had, ledgerFactsOf(f))
}

func carryOne[T comparable](to *T, was, now T) {
	if was != now {
		*to = now
	}
}

// carryList takes out of a list what the change took out, and puts in what it
// put in or altered.
func carryList[T any, K comparable](list, was, now []T, key func(T) K) []T {
	if sameJSON(list, was) {
		return now
	}
	at := func(in []T, k K) int { return slices.IndexFunc(in, func(t T) bool { return key(t) == k }) }
	out := slices.DeleteFunc(slices.Clone(list), func(t T) bool { return at(was, key(t)) >= 0 && at(now, key(t)) < 0 })
	for _, t := range now {
		if i := at(was, key(t)); i >= 0 && sameJSON(was[i], t) {
			continue
		}
		if i := at(out, key(t)); i >= 0 {
			out[i] = t
		} else {
			out = append(out, t)
		}
	}
	return out
}

func sameJSON(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

// callID names a request in the ledger: by its idempotency key, so that a retry
// has the same name, or at random.
func callID(id abide.SubjectID, idem idempotency) (out [16]byte) {
	if idem.key != nil {
		sum := sha256.Sum256(slices.Concat([]byte("abide/restore/call\x00"), id[:], idem.key))
		return [16]byte(sum[:16])
	}
	if _, err := rand.Read(out[:]); err != nil {
		panic("engine: no randomness: " + err.Error()) // crypto/rand never fails on supported systems
	}
	return out
}

// recording collects the records of one change.
type recording struct {
	ch      *change
	out     ledgered
	was     policy.Facts // as they were loaded
	n       uint32
	failure error
}

// ledgered finds out what of a change a restore must bring back, by comparing
// the person before and after it: a use case cannot forget to say. A person who
// is being created or erased is no business of it: a backup that does not know
// somebody has nothing to restore, and erasures are recorded by certify.
func (ch *change) ledgered() (ledgered, error) {
	e := ch.engine
	if e.restore == nil || ch.replaying || ch.Expect == 0 || ch.Row.Status != abide.StatusActive {
		return ledgered{}, nil
	}
	r := &recording{ch: ch, was: ch.before}
	r.facts()
	r.consents()
	r.items()
	return r.out, storageError(r.failure)
}

func (r *recording) add(kind restore.Kind, c storage.Compartment, no bool, body any) {
	plain, err := json.Marshal(body)
	if err != nil {
		r.failure = err
		return
	}
	ch := r.ch
	sealed, err := ch.engine.vault.SealRestore(ch.keys, c, string(kind), plain)
	if err != nil {
		r.failure = err
		return
	}
	rec := restore.Record{Kind: kind, Subject: ch.id, Call: ch.callID, Pos: r.n, Generation: ch.engine.generation.Load(),
		Version: ch.Row.Version, At: ch.now, Payload: sealed}
	if n := len(ch.Entries); n > 0 {
		rec.EntryN, rec.Commitment = ch.Entries[n-1].N, ch.Entries[n-1].Commitment
	}
	r.n++
	if no {
		r.out.before = append(r.out.before, rec)
	} else {
		r.out.after = append(r.out.after, rec)
	}
}

func (r *recording) facts() {
	was, now := &r.was, &r.ch.facts
	if a, b := ledgerFactsOf(was), ledgerFactsOf(now); !sameJSON(a, b) {
		r.add(restore.Facts, storage.Live, restricts(was, now), moved[ledgerFacts]{a, b})
	}
	if !sameJSON(was.Holds, now.Holds) {
		r.add(restore.Holds, storage.Live, true, moved[[]policy.Hold]{was.Holds, now.Holds})
	}
	if left, changed := services(was.Services, now.Services); changed {
		r.add(restore.Services, storage.Live, left, moved[[]policy.Taking]{was.Services, now.Services})
	}
	var events []policy.Event
	for _, ev := range now.Events {
		if !slices.Contains(was.Events, ev) {
			events = append(events, ev)
		}
	}
	if len(events) > 0 {
		r.add(restore.Event, storage.Live, false, events)
	}
}

// restricts reports whether less is permitted than before.
func restricts(was, now *policy.Facts) bool {
	fewer := slices.ContainsFunc(was.Guardian.Consents, func(p abide.Purpose) bool { return !slices.Contains(now.Guardian.Consents, p) })
	younger := !now.BirthDate.IsZero() && now.BirthDate.String() > was.BirthDate.String()
	return fewer || younger || now.Restricted && !was.Restricted || now.DeclaredMinor && !was.DeclaredMinor ||
		was.Guardian.Verified && !now.Guardian.Verified
}

// services reports whether a service was left, and whether anything changed but
// that the person takes part in one that they had nothing to do with: what is
// lost of that is refused, and asked again.
func services(was, now []policy.Taking) (left, changed bool) {
	known := map[abide.Service]bool{}
	for _, t := range was {
		known[t.Service] = true
		if !slices.Contains(now, t) {
			changed = true
		}
	}
	for _, t := range now {
		if slices.Contains(was, t) {
			continue
		}
		left = left || !t.Left.IsZero()
		changed = changed || known[t.Service] || !t.Left.IsZero()
	}
	return left, changed
}

func (r *recording) consents() {
	events := r.ch.events
	if !slices.ContainsFunc(events, func(ev abide.ConsentEvent) bool { return overrides(consent.Of(&r.was), &ev) }) {
		return
	}
	for i := range events {
		for j := range r.ch.Consents {
			if r.ch.Consents[j].N == events[i].N {
				r.add(restore.Consent, storage.Live, refusing(events[i].Action), r.ch.Consents[j])
			}
		}
	}
}

// overrides reports whether the person had taken a stand that the event
// changes, or takes one against. The first yes of a person is not in the
// ledger: without it they count as not asked, which permits nothing.
func overrides(was consent.State, ev *abide.ConsentEvent) bool {
	if ev.Action == abide.ConsentAccepted {
		return slices.ContainsFunc(was.Accepted, func(a policy.Accepted) bool { return a.Document == ev.Document })
	}
	if refusing(ev.Action) || ev.Action == abide.ConsentObjectionLifted || ev.Action == abide.ConsentExpired {
		return true
	}
	c := was.Find(ev.Purpose)
	switch c.State {
	case policy.StateNone, policy.StateAsked, policy.StateTold:
		return c.Objected || len(c.RefusedTopics)+len(c.RefusedChannels) > 0
	}
	return true
}

func (r *recording) items() {
	old := map[storage.ItemKey]uint32{}
	for i := range r.ch.items {
		it := &r.ch.items[i]
		old[storage.ItemKey{Category: it.Category, ID: it.ID}] = it.Version
	}
	for i := range r.ch.PutItems {
		it := &r.ch.PutItems[i]
		was, held := old[storage.ItemKey{Category: it.Category, ID: it.ID}]
		if held && it.Version > was && !isPseudo(it.Category) {
			r.add(restore.Item, it.Compartment, false, it)
		}
	}
	for _, k := range r.ch.DropItems {
		if !r.ch.sweeping && !isPseudo(k.Category) {
			r.add(restore.Removed, storage.Live, true, ledgerRemoved{k, old[k]})
		}
	}
}

// appendLedger appends records, if there is a ledger. Whether they are there
// after an error is not known.
func (e *Engine) appendLedger(ctx context.Context, records []restore.Record) (restore.Ticket, error) {
	if e.restore == nil || len(records) == 0 {
		return restore.Ticket{}, nil
	}
	t, err := e.restore.Append(context.WithoutCancel(ctx), records)
	if err != nil {
		e.metrics.ledgerFailed()
		e.log.Error("the restore ledger did not take a record", "error", err.Error())
		return t, &abide.Error{Code: abide.CodeOutcomeUnknown, Detail: "restore_ledger_failed", Err: err,
			Message: "the restore ledger did not take the record of this change, so it is not acknowledged",
			Hint:    "send it again with the same Idempotency-Key; the operator looks after the directory of --restore-ledger"}
	}
	return t, nil
}

func (e *Engine) settle(t restore.Ticket) {
	if e.restore != nil {
		e.restore.Settle(t)
	}
}

// appendErasure records an erasure before any key is destroyed.
func (e *Engine) appendErasure(ctx context.Context, s *subject, cert *Certificate) (restore.Ticket, error) {
	if e.restore == nil {
		return restore.Ticket{}, nil
	}
	body := ledgerErasure{Kind: s.row.Kind, Certificate: cert, Law: s.row.Law}
	for _, it := range s.items {
		if s.row.Law != nil && it.Compartment == storage.Law {
			it.Sealed = nil // the backup has it, or it is lost
			body.Items = append(body.Items, it)
		}
	}
	plain, err := json.Marshal(body)
	if err != nil {
		return restore.Ticket{}, storageError(err)
	}
	sealed, err := e.vault.SealRestoreErasure(s.id, plain)
	if err != nil {
		return restore.Ticket{}, storageError(err)
	}
	// Built again, it has another certificate; the last one counts.
	return e.appendLedger(ctx, []restore.Record{{Kind: restore.Erasure, Subject: s.id, Call: callID(s.id, idempotency{key: []byte(cert.ID)}),
		Generation: e.generation.Load(), Version: s.row.Version + 1, At: s.now, Commitment: sha256.Sum256(plain), Payload: sealed}})
}

// replayedNote is what log entries say that a replay writes.
const replayedNote = "replayed from the restore ledger"

var systemCall = Call{Actor: abide.Actor{Kind: abide.ActorSystem, Name: "abide"}}

// logReplay logs what a replay did to a person.
func (ch *change) logReplay(items []audit.Item) {
	ch.log(audit.Part{Items: items, Note: replayedNote}, ch.engine.envelope(systemCall, audit.Restored))
}
