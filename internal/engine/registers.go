package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
)

// The registers are facts of the company: who belongs to a class of
// recipients, which contracts stand, what staff have signed, which reviews
// took place.
const (
	recordMember   = "member"
	recordContract = "contract"
	recordStaff    = "staff"
	recordReview   = "review"
)

// registerAge bounds how old the register may be in decisions that concern
// neither a recipient nor a member of staff. Those see reviews only, which age
// by the clock and are only ever added: an old copy refuses, it never permits.
const registerAge = time.Second

// registers keeps the last register read.
type registers struct {
	mu   sync.Mutex
	last *policy.Register
	read time.Time
}

// registerFor returns the register to decide with: read now if the request
// concerns a recipient or staff, so that a contract that ended binds the next
// decision on every node; otherwise at most a second old.
func (e *Engine) registerFor(ctx context.Context, a abide.Actor, r abide.Recipient) (*policy.Register, error) {
	e.register.mu.Lock()
	last, read := e.register.last, e.register.read
	e.register.mu.Unlock()
	age := e.now().Sub(read)
	if r == "" && a.Kind != abide.ActorStaff && last != nil && age >= 0 && age < registerAge {
		return last, nil
	}
	reg, err := e.readRegister(ctx)
	if err != nil {
		return nil, err
	}
	e.register.mu.Lock()
	e.register.last, e.register.read = reg, e.now()
	e.register.mu.Unlock()
	return reg, nil
}

func (e *Engine) readRegister(ctx context.Context) (*policy.Register, error) {
	v, err := e.registers(ctx)
	if err != nil {
		return nil, err
	}
	return registerPart(v).register(), nil
}

func (e *Engine) registers(ctx context.Context) (RegisterView, error) {
	v := RegisterView{Members: []MemberView{}, Contracts: []ContractView{}, Staff: []StaffView{}, Reviews: []ReviewView{}}
	err := errors.Join(
		readRecords(ctx, e, recordMember, &v.Members),
		readRecords(ctx, e, recordContract, &v.Contracts),
		readRecords(ctx, e, recordStaff, &v.Staff),
		readRecords(ctx, e, recordReview, &v.Reviews))
	return v, storageError(err)
}

func readRecords[T any](ctx context.Context, e *Engine, kind string, out *[]T) error {
	rows, err := e.store.Records(ctx, kind)
	if err != nil {
		return err
	}
	for i := range rows {
		body, err := e.openRegister(&rows[i])
		if err != nil {
			return err
		}
		var v T
		if err := json.Unmarshal(body, &v); err != nil {
			return err
		}
		*out = append(*out, v)
	}
	return nil
}

// RegisterView is the registers as they stand.
type RegisterView struct {
	Members   []MemberView   `json:"members"`
	Contracts []ContractView `json:"contracts"`
	Staff     []StaffView    `json:"staff"`
	Reviews   []ReviewView   `json:"reviews"`
}

// MemberView is a company that belongs to a class of recipients.
type MemberView struct {
	Name  abide.Recipient `json:"name"`
	Class abide.Recipient `json:"class"`
	Left  time.Time       `json:"left,omitzero"`
}

// ContractView is a contract with a member, or with a class without members.
type ContractView struct {
	Name      string          `json:"name"`
	Recipient abide.Recipient `json:"recipient"`
	Signed    time.Time       `json:"signed"`
	Ends      time.Time       `json:"ends,omitzero"`
	Covers    []abide.Place   `json:"covers,omitempty"`
}

// StaffView is what a member of staff has signed, and when their access was
// reviewed.
type StaffView struct {
	Name            string    `json:"name"`
	UndertakingEnds time.Time `json:"undertaking_ends,omitzero"`
	ReviewedAt      time.Time `json:"reviewed_at,omitzero"`
}

// ReviewView is a review, and when it last took place.
type ReviewView struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// The kinds of register, as callers name them.
var registerKinds = map[string]string{
	"members": recordMember, "contracts": recordContract, "staff": recordStaff, "reviews": recordReview,
}

// Register returns the registers as they stand.
func (e *Engine) Register(ctx context.Context, c Call) (RegisterView, error) {
	if err := authorise(c, opSeeRegister, abide.SubjectID{}); err != nil {
		return RegisterView{}, err
	}
	return e.registers(ctx)
}

// PutRegister enters a fact of the company, or what changed about it: a member
// and the day it left, a contract and the day it ends. Kind is members,
// contracts, staff or reviews; body is the view of that kind without its name.
func (e *Engine) PutRegister(ctx context.Context, c Call, kind, name string, body json.RawMessage) error {
	if err := authorise(c, opRegister, abide.SubjectID{}); err != nil {
		return err
	}
	record, ok := registerKinds[kind]
	if !ok {
		return invalid("unknown_register", "there is no such register", "use members, contracts, staff or reviews", "kind")
	}
	raw, err := registerBody(record, name, body)
	if err != nil {
		return err
	}
	if err := e.noteRegister(ctx, c, record, name); err != nil {
		return err
	}
	for range 5 {
		rows, err := e.recordsByName(ctx, record)
		if err != nil {
			return err
		}
		was := rows[name].Version
		row := &storage.Record{Kind: record, Name: name, Expect: was, Version: was + 1, Body: raw, At: e.now()}
		if err := e.sealRegister(row); err != nil {
			return err
		}
		err = e.store.PutRecord(ctx, row)
		if errors.Is(err, storage.ErrConflict) {
			continue
		}
		e.forgetRegister()
		return storageError(err)
	}
	return storageError(storage.ErrConflict)
}

// DropRegister removes a fact; what rested on it closes with the next decision.
func (e *Engine) DropRegister(ctx context.Context, c Call, kind, name string) error {
	if err := authorise(c, opRegister, abide.SubjectID{}); err != nil {
		return err
	}
	record, ok := registerKinds[kind]
	if !ok {
		return invalid("unknown_register", "there is no such register", "use members, contracts, staff or reviews", "kind")
	}
	if !plainName(name) {
		return nil // no fact has such a name
	}
	if err := e.noteRegister(ctx, c, record, name); err != nil {
		return err
	}
	err := e.store.DropRecord(ctx, record, name)
	e.forgetRegister()
	if isNotFound(err) {
		return nil
	}
	return storageError(err)
}

func (e *Engine) noteRegister(ctx context.Context, c Call, record, name string) error {
	env := e.envelope(c, audit.Registered)
	env.Object = record + " " + name
	return e.noteStore(ctx, c, env)
}

func (e *Engine) forgetRegister() {
	e.register.mu.Lock()
	e.register.last = nil
	e.register.mu.Unlock()
}

// fact is a row of a register: complete gives it its name and says what it
// lacks, "" if nothing.
type fact interface{ complete(name string) string }

func (m *MemberView) complete(name string) string {
	m.Name = abide.Recipient(name)
	if m.Class == "" {
		return "class"
	}
	return ""
}

func (k *ContractView) complete(name string) string {
	k.Name = name
	switch {
	case k.Recipient == "":
		return "recipient"
	case k.Signed.IsZero():
		return "signed"
	}
	return ""
}

func (s *StaffView) complete(name string) string {
	s.Name = name
	return ""
}

func (r *ReviewView) complete(name string) string {
	r.Name = name
	if r.At.IsZero() {
		return "at"
	}
	return ""
}

// registerBody checks a fact and returns the form in which it is kept.
func registerBody(record, name string, body json.RawMessage) ([]byte, error) {
	if name == "" || len(name) > 100 || !plainName(name) {
		return nil, invalid("bad_register_name", "a fact of the register needs a name of at most 100 characters", "", "name")
	}
	f := map[string]fact{recordMember: &MemberView{}, recordContract: &ContractView{},
		recordStaff: &StaffView{}, recordReview: &ReviewView{}}[record]
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		return nil, invalid("bad_register_fact", "this is not a fact of that register", "members: {class, left}; contracts: {recipient, signed, ends, covers}; staff: {undertaking_ends, reviewed_at}; reviews: {at}", "body")
	}
	if lacks := f.complete(name); lacks != "" {
		return nil, invalid("register_fact_incomplete", "the fact lacks a field", "send it and try again", lacks)
	}
	return json.Marshal(f)
}
