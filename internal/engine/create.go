package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

const (
	claimLife   = 30 * time.Second // how long an unconfirmed claim keeps others out
	claimMargin = 10 * time.Second // of which so much must be left when its item is committed
	claimWait   = 5 * time.Second  // how long to wait for another's unconfirmed claim to be settled
)

// errClaimLate means that the claim could have expired by the time its item
// commits: it is made anew.
var errClaimLate = errors.New("engine: claim too old to commit under")

// CreateSubject registers a data subject. The same reference, or the same
// idempotency key, again returns the subject that the first call made,
// whichever node it reached.
//
// What survives a crash, step by step: the claim (expires by itself), the keys
// (collected as orphans), the subject with its items, the confirmed claim (an
// unconfirmed one is confirmed by whoever finds the subject by it).
func (e *Engine) CreateSubject(ctx context.Context, c Call, n NewSubject) (CreatedSubject, error) {
	if err := authorise(c, opCreate, abide.SubjectID{}); err != nil {
		return CreatedSubject{}, err
	}
	if err := n.check(); err != nil {
		return CreatedSubject{}, err
	}
	// Real time: waiting for another node is not a matter of the policy's clock.
	deadline := time.NewTimer(claimWait)
	defer deadline.Stop()
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		got, err := e.createOnce(ctx, c, n)
		if !errors.Is(err, storage.ErrTaken) && !errors.Is(err, errClaimLate) && !errors.Is(err, storage.ErrConflict) {
			e.metrics.changed(opCreate, outcome(err))
			return got, storageError(err)
		}
		select {
		case <-ctx.Done():
			return CreatedSubject{}, storageError(ctx.Err())
		case <-deadline.C:
			return CreatedSubject{}, unavailable("reference_being_created", "another request is creating a subject with this reference")
		case <-pause.C:
		}
	}
}

func (e *Engine) createOnce(ctx context.Context, c Call, n NewSubject) (CreatedSubject, error) {
	cr, err := e.newCreation(ctx, c, n)
	if err != nil {
		return CreatedSubject{}, err
	}
	return cr.attempt(ctx)
}

func (n *NewSubject) check() error {
	switch n.Kind {
	case "":
		n.Kind = abide.Person
	case abide.Person, abide.Visitor, abide.Other:
	default:
		return invalid("bad_kind", "this is not a kind of data subject", "use person, visitor or other", "kind")
	}
	if len(n.Reference) > 512 {
		return invalid("reference_too_long", "a reference has at most 512 bytes", "send your own id of the person", "reference")
	}
	if !plainName(n.Reference) {
		return invalid("bad_text", "a reference holds control characters, or is not UTF-8", "send your own id of the person", "reference")
	}
	if err := checkPlace(n.Jurisdiction, "jurisdiction"); err != nil {
		return err
	}
	return checkPlace(n.Whereabouts, "whereabouts")
}

// checkPlace accepts ISO 3166-1 alpha-2, perhaps with a subdivision. Whether
// the policy knows the place is for the decision to say.
func checkPlace(p abide.Place, field string) error {
	if p == "" {
		return nil
	}
	bad := invalid("bad_place", "this is not a place", "use ISO 3166 codes in capitals: HK, US-CA", field)
	if len(p) < 2 || len(p) > 6 || len(p) == 3 {
		return bad
	}
	for i, r := range string(p) {
		upper := 'A' <= r && r <= 'Z'
		switch {
		case i < 2 && !upper, i == 2 && r != '-', i > 2 && !upper && !('0' <= r && r <= '9'):
			return bad
		}
	}
	return nil
}

// creation is one call of CreateSubject.
type creation struct {
	e      *Engine
	call   Call
	n      NewSubject
	digest []byte
	index  storage.IndexKeys // that the values of finds were made under
	finds  []finder          // how an earlier subject of the same call is found
	// source and ref are kept with the item of the reference: for an import,
	// which run and row the subject comes from.
	source, ref string
}

// finder is a unique look-up that leads to the new subject.
type finder struct {
	category abide.Category
	values   []storage.IndexValue
	content  []byte // what the item that bears it holds
	due      time.Time
}

func (e *Engine) newCreation(ctx context.Context, c Call, n NewSubject) (*creation, error) {
	cr := &creation{e: e, call: c, n: n, index: e.indexKeys()}
	if n.Reference != "" {
		values, err := e.indexReference(ctx, cr.index, n.Reference)
		if err != nil {
			return nil, err
		}
		content, err := json.Marshal(n.Reference)
		if err != nil {
			return nil, storageError(err)
		}
		cr.finds = append(cr.finds, finder{category: vault.Reference, values: values, content: content})
	}
	if c.IdempotencyKey != "" {
		values, err := e.vault.IndexCreation(c.keyScope(), c.IdempotencyKey)
		if err != nil {
			return nil, storageError(err)
		}
		idem, err := e.idempotency(c, opCreate, n)
		if err != nil {
			return nil, err
		}
		cr.digest = idem.digest
		content, err := json.Marshal(cr.digest)
		if err != nil {
			return nil, storageError(err)
		}
		cr.finds = append(cr.finds, finder{category: vault.Creation, values: values, content: content, due: e.now().Add(idempotencyLife)})
	}
	return cr, nil
}

// attempt finds the subject or makes it. storage.ErrTaken: another call holds
// a claim and has not made its subject yet.
func (cr *creation) attempt(ctx context.Context) (CreatedSubject, error) {
	// The idempotency key comes last in finds and is asked first: a retry with
	// another request is an error even if its reference exists.
	for i := len(cr.finds) - 1; i >= 0; i-- {
		id, err := cr.e.bearer(ctx, cr.index, cr.finds[i])
		if err != nil {
			return CreatedSubject{}, err
		}
		if id.IsZero() {
			continue
		}
		if cr.finds[i].category == vault.Creation {
			if err := cr.sameRequest(ctx, id); err != nil {
				return CreatedSubject{}, err
			}
		}
		return CreatedSubject{ID: id, Existing: cr.finds[i].category != vault.Creation}, nil
	}
	return cr.create(ctx)
}

// bearer returns the active subject that holds the item of a unique look-up,
// zero if there is none. A claim whose subject does not bear the value is no
// answer: it dangles, or its subject is still being made.
func (e *Engine) bearer(ctx context.Context, in storage.IndexKeys, f finder) (abide.SubjectID, error) {
	found, err := e.findIn(ctx, in, f.category, f.values, 4)
	if err != nil {
		return abide.SubjectID{}, err
	}
	for _, l := range found {
		bears, err := e.bears(ctx, in, l, f.values)
		if err != nil {
			return abide.SubjectID{}, err
		}
		if !bears {
			continue
		}
		if !l.Expires.IsZero() {
			// Its creator was cut off between commit and confirmation.
			if err := e.store.Confirm(ctx, claimOn(f.category, l.Subject, f.values, true, time.Time{})); err != nil {
				return abide.SubjectID{}, storageError(err)
			}
		}
		return l.Subject, nil
	}
	return abide.SubjectID{}, nil
}

// bears reports whether the claim's subject is active and holds an item with
// one of the values, made under the index keys in. With others in force,
// an item may have its value under these: storage.ErrConflict.
func (e *Engine) bears(ctx context.Context, in storage.IndexKeys, l storage.Lookup, values []storage.IndexValue) (bool, error) {
	loaded, err := e.store.Load(ctx, l.Subject, storage.Want{Items: []abide.Category{l.Category}})
	if isNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, storageError(err)
	}
	if loaded.Subject.Status != abide.StatusActive {
		return false, nil
	}
	holds := holdsValue(loaded.Items, l.Category, values)
	if !holds && e.moved(in, loaded.Epoch.Index) {
		return false, storage.ErrConflict
	}
	return holds, nil
}

// sameRequest reports an error unless the subject was created by this very
// request.
func (cr *creation) sameRequest(ctx context.Context, id abide.SubjectID) error {
	s, err := cr.e.load(ctx, id, storage.Want{Items: []abide.Category{vault.Creation}})
	if err != nil {
		return err
	}
	defer s.close()
	if !s.active() {
		return erasedError()
	}
	items, err := cr.e.open(s, vault.Creation)
	if err != nil {
		return err
	}
	for _, o := range items {
		var digest []byte
		if json.Unmarshal(o.record.Value, &digest) == nil && string(digest) == string(cr.digest) {
			return nil
		}
	}
	return mismatch()
}

// create claims the look-ups, makes keys and subject, and confirms.
func (cr *creation) create(ctx context.Context) (CreatedSubject, error) {
	e, now := cr.e, cr.e.now()
	id := abide.NewSubjectID(now)
	var all []claim
	for _, f := range cr.finds {
		all = append(all, claimOn(f.category, id, f.values, true, now.Add(claimLife)))
	}
	if len(all) > 0 {
		if err := e.claim(ctx, cr.index, all, now); err != nil {
			return CreatedSubject{}, err
		}
	}
	ch, err := cr.build(id, now)
	if err != nil {
		return CreatedSubject{}, err
	}
	defer ch.close()
	if err := e.putKeys(ctx, ch); err != nil {
		return CreatedSubject{}, err
	}
	if len(all) > 0 && e.late(now) {
		return CreatedSubject{}, errClaimLate
	}
	if err := ch.change.commit(ctx); err != nil {
		return CreatedSubject{}, err
	}
	if len(all) > 0 {
		if err := e.store.Confirm(context.WithoutCancel(ctx), lookups(all)); err != nil {
			// The subject exists and bears the values; the next finder confirms.
			e.log.Warn("look-up not confirmed yet", "subject", id.String(), "error", err.Error())
		}
	}
	return CreatedSubject{ID: id}, nil
}

type newborn struct {
	change
	wrapped []storage.WrappedKey
}

func (cr *creation) build(id abide.SubjectID, now time.Time) (*newborn, error) {
	e := cr.e
	keys, wrapped, err := e.vault.NewSubjectKeys(id)
	if err != nil {
		return nil, storageError(err)
	}
	row := storage.SubjectRow{ID: id, Kind: cr.n.Kind, Status: abide.StatusActive, Created: now}
	b := &newborn{wrapped: wrapped}
	b.subject = &subject{id: id, row: row, keys: keys, index: cr.index, now: now}
	b.engine, b.call, b.Row = e, cr.call, row
	b.facts = policy.Facts{Kind: cr.n.Kind, Status: abide.StatusActive, Residence: cr.n.Jurisdiction,
		Whereabouts: cr.n.Whereabouts, BirthDate: cr.n.BirthDate, DeclaredMinor: cr.n.DeclaredMinor}
	for _, f := range cr.finds {
		it := storage.Item{Category: f.category, ID: abide.NewSubjectID(now), Version: 1, Compartment: storage.Live,
			IndexKey: f.values[0].Key, Index: f.values[0].Value, Due: f.due}
		if err := e.vault.SealItem(keys, &it, &vault.Record{Value: f.content, Source: cr.source, Ref: cr.ref, Obtained: now}); err != nil {
			return nil, storageError(err)
		}
		b.PutItems = append(b.PutItems, it)
	}
	b.change.log(partOf(cr.call), e.envelope(cr.call, audit.Created))
	return b, nil
}
