package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

// Where a level of the policy opens only if others agree (CLAUSES C17), whoever
// wants to look asks first, others of the staff approve, and the look names
// the approval. An approval is for one person's data, one purpose, the
// categories asked for, by the one who asked, for a day.
const (
	recordApproval = "approval"
	approvalLife   = 24 * time.Hour
)

// ApprovalRequest asks others to agree to a look.
type ApprovalRequest struct {
	Subject    abide.SubjectID  `json:"subject"`
	Purpose    abide.Purpose    `json:"purpose"`
	Act        abide.Act        `json:"act"`
	Categories []abide.Category `json:"categories"`
	Reason     string           `json:"reason"`
}

// Approval is a request with those who agreed to it.
type Approval struct {
	ID string `json:"id"`
	ApprovalRequest
	AskedBy    string    `json:"asked_by"`
	ApprovedBy []string  `json:"approved_by"`
	Asked      time.Time `json:"asked"`
	Expires    time.Time `json:"expires"`
}

// AskApproval puts a request before the others. Nothing opens by asking.
func (e *Engine) AskApproval(ctx context.Context, c Call, r ApprovalRequest) (Approval, error) {
	if err := authorise(c, opAskApproval, r.Subject); err != nil {
		return Approval{}, err
	}
	switch {
	case r.Reason == "" || len(r.Reason) > 500:
		return Approval{}, invalid("reason_missing", "an approval is asked for with a reason of at most 500 characters", "say why the data must be seen", "reason")
	case len(r.Categories) == 0:
		return Approval{}, invalid("no_categories", "the request names no data", "name the categories", "categories")
	case !carries(c.Actor, r.Purpose):
		return Approval{}, mayNot("this token does not carry the purpose")
	}
	if r.Act == abide.ActUnknown {
		r.Act = abide.ActRead
	}
	defer e.alone(r.Subject)() // an erasure drops what was asked before it, not after
	s, err := e.load(ctx, r.Subject, storage.Want{})
	if err != nil {
		return Approval{}, err
	}
	defer s.close()
	if !s.active() {
		return Approval{}, erasedError()
	}
	now := e.now()
	a := Approval{ID: abide.NewSubjectID(now).String(), ApprovalRequest: r, AskedBy: c.Actor.Name,
		ApprovedBy: []string{}, Asked: now, Expires: now.Add(approvalLife)}
	if err := e.noteApproval(ctx, c, audit.ApprovalAsked, &a, s); err != nil {
		return Approval{}, err
	}
	return a, e.putApproval(ctx, &a, 0)
}

// Approve adds the caller to those who agree. Nobody approves their own
// request, and nobody counts twice.
func (e *Engine) Approve(ctx context.Context, c Call, id string) (Approval, error) {
	if err := authorise(c, opApprove, abide.SubjectID{}); err != nil {
		return Approval{}, err
	}
	for range changeTries {
		a, version, err := e.approval(ctx, id)
		switch {
		case err != nil:
			return Approval{}, err
		case !mayActFor(c.Actor, a.Purpose):
			return Approval{}, mayNot("this token does not carry the purpose")
		case a.AskedBy == c.Actor.Name:
			return Approval{}, mayNot("somebody else must approve what you asked for")
		case slices.Contains(a.ApprovedBy, c.Actor.Name):
			return *a, nil
		}
		s, err := e.load(ctx, a.Subject, storage.Want{})
		if err != nil {
			return Approval{}, err
		}
		if !s.active() {
			s.close()
			return Approval{}, erasedError()
		}
		err = e.noteApproval(ctx, c, audit.Approved, a, s)
		s.close()
		if err != nil {
			return Approval{}, err
		}
		a.ApprovedBy = append(a.ApprovedBy, c.Actor.Name)
		if err = e.putApproval(ctx, a, version); err == nil {
			return *a, nil
		}
		if !errors.Is(err, storage.ErrConflict) {
			return Approval{}, err
		}
	}
	return Approval{}, storageError(storage.ErrConflict)
}

// Approvals lists what waits for agreement or was agreed to and has not
// expired, of the purposes that the caller may act for: a reason speaks of a
// person. What has expired is forgotten here.
func (e *Engine) Approvals(ctx context.Context, c Call) ([]Approval, error) {
	if err := authorise(c, opApprove, abide.SubjectID{}); err != nil {
		return nil, err
	}
	rows, err := e.store.Records(ctx, recordApproval)
	if err != nil {
		return nil, storageError(err)
	}
	out := []Approval{}
	for i := range rows {
		a, err := e.openApproval(&rows[i])
		if err != nil {
			return nil, err
		}
		if e.now().Before(a.Expires) {
			if mayActFor(c.Actor, a.Purpose) {
				out = append(out, *a)
			}
			continue
		}
		if err := e.store.DropRecord(ctx, recordApproval, rows[i].Name); err != nil && !isNotFound(err) {
			return nil, storageError(err)
		}
	}
	return out, nil
}

// dropApprovals forgets what was asked about a person who is erased: a reason
// speaks of them, and is not sealed under their key.
func (e *Engine) dropApprovals(ctx context.Context, id abide.SubjectID) error {
	rows, err := e.store.Records(ctx, recordApproval)
	if err != nil {
		return storageError(err)
	}
	for i := range rows {
		a, err := e.openApproval(&rows[i])
		if err != nil {
			// It opens nothing, and must not keep others from being erased.
			e.log.Warn("an approval cannot be read", "error", err.Error())
			continue
		}
		if a.Subject != id {
			continue
		}
		if err := e.store.DropRecord(ctx, recordApproval, rows[i].Name); err != nil && !isNotFound(err) {
			return storageError(err)
		}
	}
	return nil
}

// approved returns how many others agreed to this look, and the reason they
// agreed to. A look that is not the one asked for was agreed to by nobody.
func (e *Engine) approved(ctx context.Context, c Call, r *Read) (int, error) {
	if r.Approval == "" {
		return approvals(c, r.Approvals), nil
	}
	a, _, err := e.approval(ctx, r.Approval)
	if err != nil {
		return 0, err
	}
	if a.AskedBy != c.Actor.Name || a.Subject != r.Subject || a.Purpose != r.Purpose || a.Act != r.Act {
		return 0, nil
	}
	for _, cat := range r.Categories {
		if !slices.Contains(a.Categories, cat) {
			return 0, nil
		}
	}
	if r.Reason == "" {
		r.Reason = a.Reason
	}
	return len(a.ApprovedBy), nil
}

func (e *Engine) approval(ctx context.Context, id string) (*Approval, uint64, error) {
	missing := &abide.Error{Code: abide.CodeNotFound, Detail: "no_such_approval",
		Message: "there is no such approval, or it has expired", Hint: "ask for one again"}
	rows, err := e.recordsByName(ctx, recordApproval)
	if err != nil {
		return nil, 0, err
	}
	row, ok := rows[id]
	if !ok {
		return nil, 0, missing
	}
	a, err := e.openApproval(&row)
	if err != nil {
		return nil, 0, err
	}
	if !e.now().Before(a.Expires) {
		return nil, 0, missing
	}
	return a, row.Version, nil
}

func (e *Engine) openApproval(r *storage.Record) (*Approval, error) {
	plain, err := e.vault.Keyring().OpenSystem(r.Body, approvalContext(r.Name))
	if err != nil {
		return nil, storageError(err)
	}
	var a Approval
	if err := json.Unmarshal(plain, &a); err != nil {
		return nil, storageError(err)
	}
	return &a, nil
}

// putApproval stores a request, sealed: its reason may speak of the person.
func (e *Engine) putApproval(ctx context.Context, a *Approval, expect uint64) error {
	plain, err := json.Marshal(a)
	if err != nil {
		return storageError(err)
	}
	sealed, err := e.vault.Keyring().SealSystem(plain, approvalContext(a.ID))
	if err != nil {
		return storageError(err)
	}
	err = e.store.PutRecord(ctx, &storage.Record{Kind: recordApproval, Name: a.ID, Expect: expect, Version: expect + 1, Body: sealed, At: e.now()})
	if errors.Is(err, storage.ErrConflict) {
		return storage.ErrConflict
	}
	return storageError(err)
}

func approvalContext(name string) []byte { return []byte(recordApproval + "\x00" + name) }

// noteApproval puts who asked or agreed on record before it counts.
func (e *Engine) noteApproval(ctx context.Context, c Call, kind audit.Kind, a *Approval, s *subject) error {
	env := e.envelope(c, kind)
	env.Purpose, env.Act, env.Categories, env.Object = a.Purpose, a.Act.String(), a.Categories, "approval "+a.ID
	part := partOf(c)
	part.Reason = a.Reason
	l, err := e.look(s, a.Subject, part, env)
	if err != nil {
		return storageError(err)
	}
	_, err = e.spool.record(ctx, l)
	return err
}
