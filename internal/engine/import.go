package engine

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

const (
	// importLife is how long a row that was added to a known person is
	// remembered: within it an interrupted import can go on.
	importLife    = 90 * 24 * time.Hour
	maxImportRows = 1000
	importAtOnce  = 64 // rows of one batch under way at once, so that their writes share syncs
	importPause   = 20 * time.Millisecond
	// importPatience is how often a row waits for another request about the
	// same values: longer than a claim lives, because a killed run leaves some.
	importPatience = int(2 * claimLife / importPause)
)

// Import takes in people with their data and consents from before Abide. Each
// row is one change: its subject, items, consents and log entries are written
// together or not at all. A row of the same import is taken in once, however
// often it is sent: a person that it creates carries the import and the row in
// the item of the reference, a person that it adds to remembers the row as it
// remembers other repeated requests.
//
// The outcomes come in the order of the rows. A row that does not fit has a
// code and harms no other; an error of Import itself is about the store.
func (e *Engine) Import(ctx context.Context, c Call, in Import) ([]ImportOutcome, error) {
	if err := authorise(c, opImport, abide.SubjectID{}); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	force, err := e.refresh(ctx)
	if err != nil {
		return nil, err
	}
	if force == nil {
		return nil, noPolicy()
	}
	call := importCall(c, force.policy)
	outcomes := make([]ImportOutcome, len(in.People))
	b := &importBatch{e: e, call: call, in: &in, rows: make([]importing, len(in.People))}
	for i := range in.People {
		outcomes[i].Row = in.People[i].Row
		b.rows[i] = importing{person: &in.People[i], out: &outcomes[i]}
	}
	if err := b.run(ctx); err != nil {
		return nil, err
	}
	if err := e.importRest(ctx, call, &in, b.rows); err != nil {
		return nil, err
	}
	return outcomes, nil
}

// importRest takes in what the batch left, row by row: rows of one person in
// their order, different people side by side.
func (e *Engine) importRest(ctx context.Context, c Call, in *Import, rows []importing) error {
	people := map[string][]*importing{}
	for i := range rows {
		if r := &rows[i]; !r.settled {
			people[r.person.Reference] = append(people[r.person.Reference], r)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(importAtOnce)
	for _, of := range people {
		g.Go(func() error {
			for _, r := range of {
				if err := e.importRow(ctx, c, in, r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (in *Import) check() error {
	switch {
	case in.ID == "" || len(in.ID) > 64:
		return invalid("bad_import_id", "the import has no id of 1 to 64 characters", "use the same id for all batches of one import", "id")
	case in.Service == "":
		return invalid("no_service", "the import names no service", "name the service that the data was collected for", "service")
	case len(in.People) > maxImportRows:
		return &abide.Error{Code: abide.CodeTooLarge, Detail: "too_many_rows", Message: "too many rows at once", Hint: "send at most 1,000"}
	}
	if in.Source == "" {
		in.Source = "import"
	}
	return nil
}

// importCall is whom the rows are written by: the administrator who runs the
// import, for every purpose of the policy.
func importCall(c Call, p *policy.Policy) Call {
	actor := abide.Actor{Kind: abide.ActorService, Name: c.Actor.Name, Admin: true}
	for _, pu := range p.Purposes() {
		actor.Purposes = append(actor.Purposes, pu.Name)
	}
	return Call{Actor: actor, Token: c.Token}
}

// importRow takes in one row and turns what is wrong with it into a code.
func (e *Engine) importRow(ctx context.Context, c Call, in *Import, r *importing) error {
	if r.person.Reference == "" {
		r.out.Code = "no_reference"
		return nil
	}
	pause := time.NewTicker(importPause) // real time: waiting for another request about the same person
	defer pause.Stop()
	var err error
	for range importPatience {
		r.out.Repeated, err = e.importOnce(ctx, c, in, r.person)
		if !comesAgain(err) {
			break
		}
		select {
		case <-ctx.Done():
			return storageError(ctx.Err())
		case <-pause.C:
		}
	}
	return r.out.failed(err)
}

// failed makes what is wrong with a row its code. Anything else is about the
// store, and returned.
func (o *ImportOutcome) failed(err error) error {
	switch abide.ErrorCode(err) {
	case abide.CodeInvalid, abide.CodeConflict, abide.CodeDenied, abide.CodeErased, abide.CodeTooLarge, abide.CodeUnauthorized:
		o.Code, o.Field = rowCode(err), abide.ErrorField(err)
		return nil
	}
	return storageError(err)
}

// comesAgain reports whether another row or request was in the way and the row
// may be tried again. A unique value that another person bears stays theirs.
func comesAgain(err error) bool {
	if errors.Is(err, storage.ErrTaken) {
		return abide.ErrorDetail(err) == "value_being_taken" || abide.ErrorField(err) == "" || abide.ErrorField(err) == string(vault.Reference)
	}
	return errors.Is(err, storage.ErrConflict)
}

// rowCode is the finest code of what is wrong with a row: for a refusal, its
// first reason.
func rowCode(err error) string {
	var known *abide.Error
	if errors.As(err, &known) && known.Decision != nil && len(known.Decision.Reasons) > 0 {
		return string(known.Decision.Reasons[0].Code)
	}
	if d := abide.ErrorDetail(err); d != "" {
		return d
	}
	return string(abide.ErrorCode(err))
}

// importCreation is how the row's person comes to be, if nobody has its
// reference. Run and row stand in the item of the reference.
func (e *Engine) importCreation(ctx context.Context, c Call, in *Import, p *ImportPerson) (*creation, error) {
	n := NewSubject{Kind: abide.Person, Jurisdiction: p.Jurisdiction, BirthDate: p.BirthDate, Reference: p.Reference}
	if err := n.check(); err != nil {
		return nil, err
	}
	cr, err := e.newCreation(ctx, c, n)
	if err != nil {
		return nil, err
	}
	cr.source, cr.ref = "import "+in.ID, strconv.FormatInt(p.Row, 10)
	return cr, nil
}

// importOnce adds the row to the person of its reference, or creates them with
// it. It reports whether the row had been taken in before.
func (e *Engine) importOnce(ctx context.Context, c Call, in *Import, p *ImportPerson) (bool, error) {
	cr, err := e.importCreation(ctx, c, in, p)
	if err != nil {
		return false, err
	}
	id, err := e.bearer(ctx, cr.index, cr.finds[0])
	if err != nil {
		return false, err
	}
	if id.IsZero() {
		return false, cr.createWith(ctx, func(ch *change) error { return e.importInto(ctx, ch, in, p) })
	}
	mine, err := e.createdBy(ctx, id, cr)
	if err != nil || mine {
		return mine, err
	}
	return e.importMore(ctx, c, id, in, p)
}

// createdBy reports whether the subject was created by this very row.
func (e *Engine) createdBy(ctx context.Context, id abide.SubjectID, cr *creation) (bool, error) {
	s, err := e.load(ctx, id, storage.Want{Items: []abide.Category{vault.Reference}})
	if err != nil {
		return false, err
	}
	defer s.close()
	if !s.active() {
		return false, erasedError()
	}
	items, err := e.open(s, vault.Reference)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(items, func(o opened) bool { return o.record.Source == cr.source && o.record.Ref == cr.ref }), nil
}

// importMore adds a row to a person who is known already.
func (e *Engine) importMore(ctx context.Context, c Call, id abide.SubjectID, in *Import, p *ImportPerson) (bool, error) {
	c.Token, c.IdempotencyKey = "import", in.ID+" "+strconv.FormatInt(p.Row, 10)
	repeated := true
	req := in.collect(id, p)
	_, err := update(ctx, e, c, opImport, id, req.want, p, func(ch *change) (ImportOutcome, error) {
		repeated = false
		ch.answerLife = importLife
		return ImportOutcome{}, e.importInto(ctx, ch, in, p)
	})
	return repeated && err == nil, err
}

func (in *Import) collect(id abide.SubjectID, p *ImportPerson) *Collect {
	return &Collect{Subject: id, Service: in.Service, Source: in.Source, Items: p.Items, Obtained: p.Obtained}
}

// importInto puts a row's items and consents into a change.
func (e *Engine) importInto(ctx context.Context, ch *change, in *Import, p *ImportPerson) error {
	if len(p.Items) > 0 {
		req := in.collect(ch.id, p)
		if err := req.check(); err != nil {
			return err
		}
		b := &collecting{change: ch, ctx: ctx, req: *req}
		if _, err := b.run(ctx); err != nil {
			return err
		}
	}
	for i := range p.Consents {
		if err := ch.importConsent(in, &p.Consents[i]); err != nil {
			return named(err, abide.Category(p.Consents[i].Purpose))
		}
	}
	return nil
}

// importConsent appends a consent from before, unless the ledger ends with that
// very event already: another import of a file that says the same again.
func (ch *change) importConsent(in *Import, one *ImportConsent) error {
	action, ok := consentActions[one.Action]
	if !ok {
		return invalid("bad_action", "this is no action of the ledger", "use tell, give, indicate_no_objection, refuse, withdraw or object", "")
	}
	asked := in.Evidence[one.Purpose]
	w := ConsentWrite{Purpose: one.Purpose, Action: one.Action, At: one.At, Grade: one.Grade, Terms: one.Terms,
		Evidence: abide.Evidence{Wording: asked.Wording, Language: asked.Language, Separate: asked.Separate, Source: one.Source, Note: "import " + in.ID}}
	if w.Terms == "" {
		w.Terms = asked.Terms
	}
	if w.Grade == "" {
		w.Grade = abide.GradeUnknown
	}
	if now := consent.Of(&ch.facts).Find(one.Purpose); !one.At.IsZero() && now.Last.Equal(one.At) && says(&now, action) {
		return nil
	}
	_, err := ch.writeConsent(w, action, true)
	return err
}

// says reports whether the state of a purpose is what the action makes it.
func says(c *policy.Consent, action abide.ConsentAction) bool {
	if action == abide.ConsentObjected {
		return c.Objected
	}
	return string(c.State) == string(action)
}

// buildWith makes the subject, with what add puts in and the claims it takes,
// ready to commit; the caller closes it.
func (cr *creation) buildWith(ctx context.Context, force *inForce, add func(*change) error) (*newborn, error) {
	e, now := cr.e, cr.e.now()
	id := abide.NewSubjectID(now)
	b, err := cr.build(id, now)
	if err != nil {
		return nil, err
	}
	b.force, b.Epoch = force, force.epoch.N
	if err := add(&b.change); err != nil {
		b.close()
		if r := b.refused; r != nil {
			// The person does not exist: the refusal is on record for the store.
			err = e.refuse(ctx, cr.call, nil, abide.SubjectID{}, r.request, audit.Part{}, r.decision)
		}
		return nil, err
	}
	for _, f := range cr.finds {
		b.claims = append(b.claims, claimOn(f.category, id, f.values, true, now.Add(claimLife)))
	}
	return b, nil
}

// createWith creates the subject and, in the same change, what add puts in.
func (cr *creation) createWith(ctx context.Context, add func(*change) error) error {
	force, err := cr.e.refresh(ctx)
	if err != nil {
		return err
	}
	if force == nil {
		return noPolicy()
	}
	b, err := cr.buildWith(ctx, force, add)
	if err != nil {
		return err
	}
	defer b.close()
	if err := cr.e.putKeys(ctx, b); err != nil {
		return err
	}
	if err := cr.e.claim(ctx, cr.index, b.claims, b.now); err != nil {
		return err
	}
	return b.land(ctx) // which confirms them with the subject
}
