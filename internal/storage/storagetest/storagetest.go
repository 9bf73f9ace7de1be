// Package storagetest is the suite that every storage backend passes. Its
// cases are the promises of package storage, one by one. They are the same
// for every backend, none is skipped, and each gets a fresh store.
package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Backend makes fresh, empty stores. It closes them with t.Cleanup; closing a
// store that is closed already must be harmless.
type Backend interface {
	Open(t *testing.T) storage.Store
	OpenKeys(t *testing.T) storage.KeyStore
}

// testCase is one promise.
type testCase struct {
	name string
	data func(e *env)
	keys func(e *env, k storage.KeyStore)
}

func cases() []testCase {
	var all []testCase
	for _, group := range [][]testCase{
		changeCases, pageCases, purgeCases, dueCases, lookupCases, expiryCases, lookCases, indexCases, referenceCases, keyCases,
		epochCases, concurrencyCases, logCases,
	} {
		all = append(all, group...)
	}
	return all
}

// Names lists the cases in the order in which Run runs them.
func Names() []string {
	var names []string
	for _, c := range cases() {
		names = append(names, c.name)
	}
	return names
}

// Run runs every case on a fresh store, and returns the names of those that
// ran to their end.
func Run(t *testing.T, b Backend) []string { return RunSome(t, b, "") }

// RunSome is Run for the cases whose names begin with prefix.
func RunSome(t *testing.T, b Backend, prefix string) []string {
	var ran []string
	for _, c := range cases() {
		if !strings.HasPrefix(c.name, prefix) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			e := &env{T: t, ctx: t.Context(), now: day}
			if c.data != nil {
				e.s = b.Open(t)
				c.data(e)
			} else {
				c.keys(e, b.OpenKeys(t))
			}
			ran = append(ran, c.name)
		})
	}
	return ran
}

// day is when the tests take place. Stores keep microseconds.
var day = time.Date(2026, 11, 24, 9, 30, 0, 123456000, time.UTC)

// env is a test with its store and a clock that moves only when told.
type env struct {
	*testing.T
	ctx context.Context
	s   storage.Store
	now time.Time
	ids uint64
}

// id gives ids in order.
func (e *env) id() abide.SubjectID {
	e.ids++
	return idOf(e.ids)
}

func idOf(n uint64) abide.SubjectID {
	id := abide.SubjectID{6: 0x70, 8: 0x80}
	for i := range 6 {
		id[5-i] = byte(n >> (8 * i))
	}
	return id
}

// must fails the test on an error.
func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatalf("unexpected error: %v", err)
	}
}

// want checks for a sentinel.
func (e *env) want(err, sentinel error) {
	e.Helper()
	if err == nil || !isError(err, sentinel) {
		e.Fatalf("error is %v; want %v", err, sentinel)
	}
}

func equal[T any](e *env, got, want T) {
	e.Helper()
	if !reflect.DeepEqual(got, want) {
		e.Fatalf("got\n%+v\nwant\n%+v", got, want)
	}
}

// get is for calls that return a value and an error.
func get[T any](v T, err error) func(e *env) T {
	return func(e *env) T {
		e.Helper()
		e.must(err)
		return v
	}
}

// subject is a change that makes a subject.
func (e *env) subject(id abide.SubjectID) *storage.Change {
	return &storage.Change{Row: storage.SubjectRow{
		ID: id, Kind: abide.Person, Status: abide.StatusActive, Version: 1, Sealed: []byte("sealed state"), Created: e.now,
	}}
}

// next is a change to a subject as it is now.
func (e *env) next(id abide.SubjectID) *storage.Change {
	e.Helper()
	l := e.load(id, storage.Want{})
	c := &storage.Change{Expect: l.Subject.Version, Row: l.Subject}
	c.Row.Version++
	return c
}

func (e *env) commit(c *storage.Change) {
	e.Helper()
	e.must(e.s.Commit(e.ctx, c))
}

// create makes n subjects and returns their ids.
func (e *env) create(n int) []abide.SubjectID {
	e.Helper()
	ids := make([]abide.SubjectID, n)
	for i := range ids {
		ids[i] = e.id()
		e.commit(e.subject(ids[i]))
	}
	return ids
}

func (e *env) load(id abide.SubjectID, want storage.Want) *storage.Loaded {
	e.Helper()
	return get(e.s.Load(e.ctx, id, want))(e)
}

func (e *env) items(id abide.SubjectID) []storage.Item {
	e.Helper()
	return e.load(id, storage.Want{AllItems: true}).Items
}

func (e *env) entry(id abide.SubjectID, n uint64) storage.Entry {
	return storage.Entry{Subject: id, N: n, At: e.now, Kind: "collected", Payload: fmt.Appendf(nil, "payload %d", n),
		Envelope: fmt.Appendf(nil, "envelope %d", n), Commitment: commitment(id, n)}
}

func commitment(id abide.SubjectID, n uint64) (c [32]byte) {
	copy(c[:], id[:])
	c[31] = byte(n)
	return c
}

func (e *env) item(c abide.Category, n uint64, compartment storage.Compartment) storage.Item {
	return storage.Item{Category: c, ID: idOf(n), Version: 1, Compartment: compartment, Sealed: bytes.Repeat([]byte{byte(n)}, 40)}
}

// publish puts the epoch after n in force.
func (e *env) publish(n uint64, version string) {
	e.Helper()
	e.must(e.s.Publish(e.ctx, e.policy(n+1, version), nil, n, e.entry(abide.SubjectID{}, n+1)))
}

func (e *env) policy(n uint64, version string) *storage.PolicyRow {
	return &storage.PolicyRow{Version: version, N: n, Source: []byte("archive of " + version), Published: e.now, By: "lead"}
}
