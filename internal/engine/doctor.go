package engine

import (
	"context"
	"errors"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/restore"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// Ailment is something that a check of the store found, with a stable code.
// What names the row; no value of a person stands in it.
type Ailment struct {
	Code    string          `json:"code"`
	Subject abide.SubjectID `json:"subject,omitzero"`
	What    string          `json:"what,omitempty"`
	Info    bool            `json:"info,omitempty"` // it needs nobody: housekeeping sees to it
}

// The codes of ailments.
const (
	AilKeyDamaged      = "key_damaged"       // a wrapped key does not open, or stands in another's row
	AilKeyMissing      = "key_missing"       // a person who is not erased lacks a key
	AilKeyOfErased     = "key_of_erased"     // a key of an erased person is back
	AilSubjectRow      = "subject_damaged"   // a subject's row says what cannot be
	AilState           = "state_damaged"     // the sealed state does not open
	AilStateRolledBack = "state_rolled_back" // the row is an older one, put back
	AilItem            = "item_damaged"      // a value does not open: edited, or moved from another row
	AilItemRolledBack  = "item_rolled_back"  // a value is an older one, put back
	AilItemUnlogged    = "item_unlogged"     // no log entry names the value
	AilItemMissing     = "item_missing"      // a value that the log names is gone
	AilItemOfErased    = "item_of_erased"    // a value of an erased person is back
	AilIndex           = "index_damaged"     // a value's blind index is another's
	AilLookupMissing   = "lookup_missing"    // a value does not find its person
	AilConsent         = "consent_damaged"   // an event of the ledger does not open, or is missing
	AilConsentState    = "consent_state"     // the state is not what the events add up to
	AilConsentIndex    = "consent_index"     // the index of consents says something else than the state
	AilFact            = "fact_damaged"      // a fact that deadlines wait for says something else than the state
	AilEntry           = "entry_damaged"     // a log entry does not open, or is missing
	AilPending         = "pending_damaged"   // a commitment that waits for the log is not its entry's
	AilLook            = "look_damaged"      // a record of a look does not open
	AilAnswer          = "answer_damaged"    // a remembered answer does not open
	AilCertificate     = "certificate_damaged"
	AilStray           = "stray_row"      // a row of a subject that does not exist
	AilPolicy          = "policy_damaged" // a published policy is not the one that was published
	AilTerms           = "terms_damaged"
	AilLedger          = "ledger_damaged"     // the restore ledger was changed, or is not all there
	AilLogTree         = "log_damaged"        // a tile, a bundle or an entry of the log was changed
	AilCheckpoint      = "checkpoint_damaged" // a checkpoint was changed, or the log does not continue it
	AilLookupDangling  = "lookup_dangling"    // a look-up leads to somebody who does not bear the value
	AilKeyOrphan       = "key_orphan"         // keys of nobody
	AilSpoolGap        = "spool_gap"          // a batch of looks is missing
	AilToken           = "token_damaged"
	AilRegister        = "register_damaged"
	AilUploadMissing   = "upload_missing" // a file that an item holds is gone
	AilUploadDamaged   = "upload_damaged" // its bytes are not those that were taken in
	AilUploadNobodys   = "upload_nobodys" // a blob that no item holds
	AilGap             = FindingRestoredGap
)

// Doctored is what a check looked at.
type Doctored struct {
	Subjects int             `json:"subjects"`
	Items    int             `json:"items"`
	Entries  int             `json:"entries"`
	Ailments int             `json:"findings"`
	Infos    int             `json:"infos,omitempty"`
	Lost     int             `json:"payload_lost,omitempty"` // in the log, and lost with a restore
	Last     abide.SubjectID `json:"last,omitzero"`          // the last subject that was looked at
}

// Checkup says what to check and whom to tell.
type Checkup struct {
	After  abide.SubjectID // go on after this subject
	Found  func(Ailment)
	Passed func(Doctored) // after each page of subjects; may be nil
}

// doctorPage is how many subjects are listed at once.
const doctorPage = 200

// Doctor checks the store from end to end: that every key, value, event and
// entry opens where it stands, that values and states are the last ones the log
// names, that indexes say what they were made from, that files are there and
// unchanged, and that the restore ledger is all there. It may run beside a server: whoever changes while being looked
// at is looked at again. Memory does not grow with the number of people.
func (e *Engine) Doctor(ctx context.Context, c Call, up Checkup) (Doctored, error) {
	if err := authorise(c, opDoctor, abide.SubjectID{}); err != nil {
		return Doctored{}, err
	}
	inspect, ok := e.store.(storage.Inspector)
	if !ok {
		return Doctored{}, errors.New("engine: this store cannot be inspected")
	}
	d := &doctor{e: e, inspect: inspect, up: up}
	if f, err := e.refresh(ctx); err == nil && f != nil {
		d.policy = f.policy
	}
	for _, step := range []func(context.Context) error{d.policies, d.own, d.ledger, d.ownEntries, d.spool, d.spoolGaps, d.logs, d.strays,
		d.orphans, d.countLooks, d.ownLooks, d.subjects, d.missedLooks, d.lookups, d.uploads, d.allWait} {
		if err := step(ctx); err != nil {
			return d.did, err
		}
	}
	return d.did, nil
}

type doctor struct {
	e       *Engine
	inspect storage.Inspector
	policy  *policy.Policy // nil: none can be used
	terms   map[string]bool
	tally   *lookTally // nil: looks are not counted
	up      Checkup
	did     Doctored
}

func (d *doctor) found(code string, id abide.SubjectID, what string) {
	d.did.Ailments++
	d.up.Found(Ailment{Code: code, Subject: id, What: what})
}

func (d *doctor) policies(ctx context.Context) error {
	rows, err := d.e.store.Policies(ctx)
	if err != nil {
		return storageError(err)
	}
	ep, err := d.e.store.Epoch(ctx)
	switch {
	case err == nil && (len(rows) == 0 || rows[len(rows)-1].N != ep.N || rows[len(rows)-1].Version != ep.Version):
		d.found(AilPolicy, abide.SubjectID{}, "the policy in force is not the last one published")
	case isNotFound(err) && len(rows) > 0:
		d.found(AilPolicy, abide.SubjectID{}, "none is in force, though some were published")
	case err != nil && !isNotFound(err):
		return storageError(err)
	}
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.Version] {
			continue
		}
		seen[r.Version] = true
		if _, err := d.e.compilePublished(ctx, r.Version); err != nil {
			if ctx.Err() != nil {
				return storageError(ctx.Err())
			}
			d.found(AilPolicy, abide.SubjectID{}, r.Version)
		}
	}
	terms, err := d.e.store.AllTerms(ctx)
	if err != nil {
		return storageError(err)
	}
	d.terms = map[string]bool{}
	for _, r := range terms {
		d.terms[r.Digest] = true
		if t, err := policy.ParseTerms(r.Canonical); err != nil || t.Digest() != r.Digest || t.Purpose != r.Purpose {
			d.found(AilTerms, abide.SubjectID{}, r.Digest)
		}
	}
	return nil
}

// ledger reads the restore ledger from its beginning and compares it with what
// the store remembers of it.
func (d *doctor) ledger(ctx context.Context) error {
	if g := d.e.gap.Load(); g != nil {
		d.found(AilGap, abide.SubjectID{}, g.Why)
	}
	if d.e.restore == nil {
		return nil
	}
	known, err := d.e.loadMarks(ctx)
	if err != nil {
		return err
	}
	if known.Ledger != d.e.restore.ID() {
		d.found(AilLedger, abide.SubjectID{}, "the store goes with another restore ledger")
		return nil
	}
	_, wrong, err := d.e.restore.Verify(known.marks)
	if err != nil {
		return err
	}
	for _, w := range wrong {
		what := "a record was changed, taken out or put in"
		if errors.Is(w, restore.ErrShort) {
			what = "it ends before what the store has seen of it"
		}
		d.found(AilLedger, abide.SubjectID{}, what)
	}
	return nil
}

// ownEntries checks the entries about no subject.
func (d *doctor) ownEntries(ctx context.Context) error {
	var none abide.SubjectID
	for after := uint64(0); ; {
		entries, err := d.e.store.Entries(ctx, none, after, 500)
		if err != nil {
			return storageError(err)
		}
		for i := range entries {
			x := &entries[i]
			if x.N != after+1 {
				d.found(AilEntry, none, entryName(after+1))
			}
			after = x.N
			d.did.Entries++
			if _, ok := d.opens(nil, x); !ok {
				d.found(AilEntry, none, entryName(x.N))
			}
		}
		if len(entries) < 500 {
			return nil
		}
	}
}

// unreadable tells a row that is damaged from a store that does not answer.
func (d *doctor) unreadable(ctx context.Context, err error) bool {
	return ctx.Err() == nil && abide.ErrorCode(storageError(err)) == abide.CodeInternal
}

// spool checks the looks that wait to be indexed.
func (d *doctor) spool(ctx context.Context) error {
	batches, err := d.e.store.SpoolBatches(ctx, 1000)
	if err != nil {
		if d.unreadable(ctx, err) {
			d.found(AilLook, abide.SubjectID{}, "a batch of looks cannot be read")
			return nil
		}
		return storageError(err)
	}
	for _, b := range batches {
		for i := range b.Looks {
			l := &b.Looks[i]
			ok, err := d.waitingOpens(ctx, l)
			if err != nil {
				return err
			}
			if !ok {
				d.found(AilLook, l.Subject, lookName(storage.LookKey{Node: b.Node, Batch: b.Batch, Pos: uint32(i)}))
			}
		}
	}
	return d.leaves(ctx, batches)
}

func (d *doctor) strays(ctx context.Context) error {
	rows, err := d.inspect.Strays(ctx, 100)
	if err != nil {
		return storageError(err)
	}
	for _, r := range rows {
		d.found(AilStray, r.Subject, "table "+r.Table)
	}
	return nil
}

func (d *doctor) subjects(ctx context.Context) error {
	for after := d.up.After; ; {
		rows, err := d.e.store.ListSubjects(ctx, after, doctorPage)
		if err != nil {
			return storageError(err)
		}
		for i := range rows {
			after = rows[i].ID
			if err := d.subject(ctx, after); err != nil {
				return err
			}
			d.did.Subjects++
			d.did.Last = after
		}
		if d.up.Passed != nil && len(rows) > 0 {
			d.up.Passed(d.did)
		}
		if len(rows) < doctorPage {
			return nil
		}
	}
}

// subject looks at one person, and again if they changed meanwhile.
func (d *doctor) subject(ctx context.Context, id abide.SubjectID) error {
	for try := 0; ; try++ {
		x, err := d.examine(ctx, id)
		if err != nil {
			return err
		}
		if len(x.found) > 0 && try < 5 {
			now, err := d.e.store.Load(ctx, id, storage.Want{})
			if err != nil && !isNotFound(err) {
				return storageError(err)
			}
			if err != nil || now.Subject.Version != x.row.Version || now.Subject.Status == abide.StatusErasing {
				continue
			}
		}
		for _, a := range x.found {
			d.found(a.Code, id, a.What)
		}
		d.looked(x)
		d.did.Items += len(x.items)
		d.did.Entries += x.entries
		return nil
	}
}

// opens reports whether an entry opens and says what its columns say. Of an
// erased person only the envelope is left to open.
func (d *doctor) opens(k *vault.SubjectKeys, x *storage.Entry) (*openedEntry, bool) {
	env, err := d.e.vault.OpenEnvelope(x.Envelope, x.Commitment)
	if err != nil || string(env.Kind) != x.Kind || !env.At.Equal(x.At) {
		return nil, false
	}
	part, err := d.e.vault.OpenEntry(k, x)
	if abide.ErrorCode(err) == abide.CodeErased {
		return &openedEntry{}, true
	}
	return &openedEntry{part}, err == nil
}
