package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/restore"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/internal/wire"
	"github.com/abide-privacy/abide/policy"
)

const (
	changeTries     = 8              // builds of one change before giving up on a subject that others keep changing
	idempotencyLife = 24 * time.Hour // how long an answer is remembered
)

// change is a storage.Change being built on a subject. Build functions set its
// rows and the subject's facts; commit seals the facts and adds the log
// entries and the remembered answer.
type change struct {
	*subject
	storage.Change
	call    Call
	engine  *Engine
	entries []pendingEntry
	refused *refusal
	claims  []claim          // taken and confirmed with the commit
	borne   []storage.Lookup // of values that the person had before; confirmed after it
	doomed  []string         // names of blobs that no item holds after it
	// answerLife is how long the answer is remembered; zero: idempotencyLife.
	answerLife time.Duration
	answer     []byte               // to remember
	events     []abide.ConsentEvent // of the ledger of consent, as they are in Consents
	callID     [16]byte             // names the request in the restore ledger
	sweeping   bool                 // what goes is past its deadline: by the facts that a restore brings back it is so again
	replaying  bool                 // from the restore ledger, which has it already
	before     policy.Facts         // as they were loaded
}

type pendingEntry struct {
	part     audit.Part
	envelope audit.Envelope
	system   bool // sealed under the system key: about an erasure
}

type refusal struct {
	request  *policy.Request
	part     audit.Part
	decision abide.Decision
}

// log adds an entry to the change.
func (ch *change) log(p audit.Part, env audit.Envelope) {
	ch.entries = append(ch.entries, pendingEntry{part: p, envelope: env})
}

// deny ends a build with a refusal; it is recorded before it is answered.
func (ch *change) deny(r *policy.Request, p audit.Part, d abide.Decision) error {
	ch.refused = &refusal{r, p, d}
	return abide.Denied(d)
}

// update carries out one changing use case for one subject: load, build,
// commit; again from the load if another change came first. build may run
// several times and must not act outside of the change. A build that leaves no
// log entry changes nothing, and its answer is returned as it is.
//
// want says what to load, given the policy this node knows; build runs only if
// that is the policy in force.
func update[T any](ctx context.Context, e *Engine, c Call, op operation, id abide.SubjectID, want wants, request any, build func(*change) (T, error)) (T, error) {
	var none T
	if err := authorise(c, op, id); err != nil {
		return none, err
	}
	idem, err := e.idempotency(c, op, request)
	if err != nil {
		return none, err
	}
	idem.call = callID(id, idem)
	defer e.alone(id)()
	for range changeTries {
		answer, err := attempt(ctx, e, c, id, want, idem, build)
		if errors.Is(err, storage.ErrConflict) {
			e.metrics.conflict()
			continue
		}
		e.metrics.changed(op, outcome(err))
		return answer, err
	}
	e.metrics.changed(op, "conflict")
	return none, storageError(storage.ErrConflict)
}

// wants says which parts of a subject a use case needs under a policy, which
// is nil if this node knows none.
type wants func(*policy.Policy) storage.Want

func nothing(*policy.Policy) storage.Want    { return storage.Want{} }
func everything(*policy.Policy) storage.Want { return storage.Want{AllItems: true} }

func attempt[T any](ctx context.Context, e *Engine, c Call, id abide.SubjectID, want wants, idem idempotency, build func(*change) (T, error)) (T, error) {
	var none T
	known := e.Policy()
	w := want(known)
	w.Idempotency = idem.key
	s, err := e.load(ctx, id, w)
	if err != nil {
		return none, err
	}
	defer s.close()
	switch {
	case !s.active():
		return none, e.refuseErased(ctx, c, s)
	case s.idempotency != nil && s.now.Before(s.idempotency.Expires):
		return remembered[T](ctx, e, s, idem.digest)
	case s.force == nil:
		return none, noPolicy()
	case s.policy() != known:
		return none, storage.ErrConflict // load again what the new policy needs
	}
	ch := &change{subject: s, call: c, engine: e, callID: idem.call}
	ch.Expect, ch.Row, ch.Epoch = s.row.Version, s.row, s.force.epoch.N
	answer, err := build(ch)
	if ch.refused != nil {
		return none, e.refuse(ctx, c, s, id, ch.refused.request, ch.refused.part, ch.refused.decision)
	}
	if err != nil || len(ch.entries) == 0 {
		return answer, err
	}
	if err := ch.remember(idem, answer); err != nil {
		return none, err
	}
	if err := ch.land(ctx); err != nil {
		return none, err
	}
	return answer, nil
}

// land marks the blobs that the change gives up, commits it with its look-ups,
// and settles the blobs: a marked one is found to be held or not by whoever
// carries on after a crash. If a unique value is claimed, it finds out by whom,
// and the change is built again once the value is free.
func (ch *change) land(ctx context.Context) error {
	e := ch.engine
	for _, name := range ch.doomed {
		if err := e.mark(ctx, name); err != nil {
			return err
		}
	}
	if err := ch.reindex(ctx); err != nil {
		return err
	}
	if len(ch.claims) > 0 && e.late(ch.now) {
		return storage.ErrConflict // build again, with fresh claims
	}
	ch.Claims, ch.Claimed = lookups(ch.claims), ch.now
	err := ch.commit(ctx)
	if errors.Is(err, storage.ErrTaken) {
		if err = e.claim(ctx, ch.index, ch.claims, ch.now); err == nil {
			err = storage.ErrConflict // free now, and ours
		}
	}
	if err != nil {
		return err
	}
	after := context.WithoutCancel(ctx)
	if len(ch.borne) > 0 {
		if err := e.store.Confirm(after, ch.borne); err != nil {
			e.log.Warn("look-up not confirmed yet", "subject", ch.id.String(), "error", err.Error())
		}
	}
	for _, name := range ch.doomed {
		e.discard(after, name)
	}
	return nil
}

// commit seals and commits the change, and has the restore ledger record what
// of it a restore must bring back. It returns storage.ErrConflict bare, for the
// caller to build again; everything else is mapped.
func (ch *change) commit(ctx context.Context) error {
	e := ch.engine
	ch.Row.Version = ch.Expect + 1
	ch.Index = ch.index
	if ch.Row.Status == abide.StatusActive {
		ch.facts.Kind, ch.facts.Status = ch.Row.Kind, ch.Row.Status
		ch.facts.RestoredGap = false // the store's, and no fact of the person
		sealed, err := e.vault.SealState(ch.keys, ch.Row.Version, &ch.facts)
		if err != nil {
			return storageError(err)
		}
		ch.Row.Sealed = sealed
	}
	if err := ch.logRows(); err != nil {
		return storageError(err)
	}
	for i := range ch.entries {
		p := &ch.entries[i]
		keys := ch.keys
		if p.system {
			keys = nil
		}
		ch.Row.EntryN++
		entry, err := e.vault.SealEntry(keys, ch.id, ch.Row.EntryN, p.part, p.envelope)
		if err != nil {
			return storageError(err)
		}
		ch.Entries = append(ch.Entries, entry)
	}
	records, err := ch.ledgered()
	if err != nil {
		return err
	}
	if err := ch.sealAnswer(records.after); err != nil {
		return err
	}
	return ch.persist(ctx, records)
}

// logRows has the last entry name every row that was written and that no entry
// names yet, so that an old row put back in its place is found later, and what
// became of the person's facts, so that those of any day can be told.
func (ch *change) logRows() (err error) {
	if len(ch.entries) == 0 || ch.Row.Status != abide.StatusActive {
		return nil
	}
	last := &ch.entries[len(ch.entries)-1]
	if last.system {
		return nil
	}
	// The use case may have changed the loaded facts in place: the row has them
	// as they were.
	if ch.Expect > 0 {
		if err := ch.engine.vault.OpenState(ch.keys, &ch.subject.row, &ch.before); err != nil {
			return err
		}
	}
	if last.part.Facts, err = factsChanged(&ch.before, &ch.facts, ch.ledgerEvents()); err != nil {
		return err
	}
	named := map[storage.ItemKey]string{}
	for i := range ch.items {
		it := &ch.items[i]
		named[storage.ItemKey{Category: it.Category, ID: it.ID}] = vault.Digest(it.Sealed)
	}
	for i := range ch.entries {
		for _, it := range ch.entries[i].part.Items {
			named[storage.ItemKey{Category: it.Category, ID: it.ID}] = it.Digest
		}
	}
	p := &last.part
	p.Items = slices.Clone(p.Items)
	for i := range ch.PutItems {
		it := &ch.PutItems[i]
		if d := vault.Digest(it.Sealed); named[storage.ItemKey{Category: it.Category, ID: it.ID}] != d {
			p.Items = append(p.Items, audit.Item{Category: it.Category, ID: it.ID, Version: it.Version, Digest: d})
		}
	}
	for _, k := range ch.DropItems {
		p.Removed = append(p.Removed, audit.Item{Category: k.Category, ID: k.ID})
	}
	p.State = strconv.FormatUint(ch.Row.Version, 10) + ":" + vault.Digest(ch.Row.Sealed)
	return nil
}

// persist commits the change between the two halves of its records. What is
// not known to be committed stays unsettled: the next start applies a no that
// the ledger holds and the store does not.
func (ch *change) persist(ctx context.Context, records ledgered) error {
	e := ch.engine
	no, err := e.appendLedger(ctx, records.before)
	if err != nil {
		return err
	}
	if err := e.commit(ctx, &ch.Change); err != nil {
		if abide.ErrorCode(err) != abide.CodeOutcomeUnknown {
			e.settle(no)
		}
		return err
	}
	e.settle(no)
	rest, err := e.appendLedger(ctx, records.after)
	e.settle(rest)
	return err
}

// commit makes a change durable. If the store cannot tell the outcome, the same
// change is handed in again: either it takes effect now, or it conflicts with
// itself, which the random commitment of its log entry shows.
func (e *Engine) commit(ctx context.Context, c *storage.Change) error {
	// A request that is cut off must not leave its own outcome unknown.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	err := e.store.Commit(ctx, c)
	for range 3 {
		if !isOutcomeUnknown(err) {
			break
		}
		err = e.store.Commit(ctx, c)
		if errors.Is(err, storage.ErrConflict) {
			ours, lerr := e.landed(ctx, c)
			switch {
			case lerr != nil:
				err = storage.ErrOutcomeUnknown
			case ours:
				err = nil
			}
		}
	}
	if errors.Is(err, storage.ErrConflict) {
		return storage.ErrConflict
	}
	return storageError(err)
}

// landed reports whether the change is in the store, by its last log entry.
func (e *Engine) landed(ctx context.Context, c *storage.Change) (bool, error) {
	if len(c.Entries) == 0 {
		return false, nil
	}
	last := c.Entries[len(c.Entries)-1]
	got, err := e.store.Entries(ctx, c.Row.ID, last.N-1, 1)
	if err != nil {
		return false, err
	}
	return len(got) == 1 && got[0].N == last.N && got[0].Commitment == last.Commitment, nil
}

// idempotency is the caller's key, hashed, and what tells its request from
// others under the same key. The zero value: no key was given.
type idempotency struct {
	key, digest []byte
	call        [16]byte // the request in the restore ledger
}

func (e *Engine) idempotency(c Call, op operation, request any) (idempotency, error) {
	if c.IdempotencyKey == "" {
		return idempotency{}, nil
	}
	if len(c.IdempotencyKey) > 255 {
		return idempotency{}, invalid("bad_idempotency_key", "an Idempotency-Key has at most 255 characters", "use a random one per request", "Idempotency-Key")
	}
	body, err := json.Marshal(struct {
		Op      operation
		Request any
	}{op, request})
	if err != nil {
		return idempotency{}, invalid("bad_json_value", "a value is not JSON", "send a JSON value", "items")
	}
	digest, err := e.vault.RequestDigest(body)
	if err != nil {
		return idempotency{}, storageError(err)
	}
	return idempotency{key: e.vault.IdempotencyKey(c.keyScope(), c.IdempotencyKey), digest: digest}, nil
}

// remembered returns the answer that an earlier request under the same key got,
// or would have got if the restore ledger had taken its records: it takes them
// now.
func remembered[T any](ctx context.Context, e *Engine, s *subject, digest []byte) (T, error) {
	var answer T
	if !bytes.Equal(s.idempotency.Digest, digest) {
		return answer, mismatch()
	}
	plain, err := e.vault.OpenAnswer(s.keys, s.idempotency)
	if err != nil {
		return answer, err
	}
	plain, records, err := splitAnswer(plain)
	if err != nil {
		return answer, storageError(err)
	}
	if err := json.Unmarshal(plain, &answer); err != nil {
		return answer, storageError(err)
	}
	t, err := e.appendLedger(ctx, records)
	e.settle(t)
	return answer, err
}

func mismatch() error {
	return &abide.Error{Code: abide.CodeConflict, Detail: "idempotency_mismatch",
		Message: "another request was made with this Idempotency-Key", Hint: "use a new key for a new request"}
}

// remember adds the answer to the change, for retries.
func (ch *change) remember(idem idempotency, answer any) (err error) {
	if idem.key == nil {
		return nil
	}
	if ch.answer, err = json.Marshal(answer); err != nil {
		return storageError(err)
	}
	life := ch.answerLife
	if life == 0 {
		life = idempotencyLife
	}
	ch.Idempotency = &storage.IdempotencyRow{Key: idem.key, Digest: idem.digest, Expires: ch.now.Add(life)}
	return nil
}

// sealAnswer seals the remembered answer, with the records that the restore
// ledger takes after the commit.
func (ch *change) sealAnswer(records []restore.Record) error {
	if ch.Idempotency == nil {
		return nil
	}
	sealed, err := ch.engine.vault.SealAnswer(ch.keys, ch.Idempotency.Key, joinAnswer(ch.answer, records))
	if err != nil {
		return storageError(err)
	}
	ch.Idempotency.Sealed = sealed
	return nil
}

// answerForm begins a remembered answer that has records with it; JSON begins
// with no such byte.
const answerForm = 1

func joinAnswer(answer []byte, records []restore.Record) []byte {
	if len(records) == 0 {
		return answer
	}
	b := wire.AppendBytes([]byte{answerForm}, answer)
	b = binary.AppendUvarint(b, uint64(len(records)))
	for i := range records {
		b = wire.AppendBytes(b, records[i].Append(nil))
	}
	return b
}

func splitAnswer(plain []byte) ([]byte, []restore.Record, error) {
	if len(plain) == 0 || plain[0] != answerForm {
		return plain, nil, nil
	}
	r := wire.NewReader(string(plain[1:]))
	answer := []byte(r.String())
	records := make([]restore.Record, r.Count(1))
	for i := range records {
		body := r.String()
		var err error
		if records[i], err = restore.DecodeRecord([]byte(body)); err != nil {
			return nil, nil, err
		}
	}
	return answer, records, r.Done()
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return string(abide.ErrorCode(err))
}
