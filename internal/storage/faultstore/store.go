package faultstore

import (
	"context"
	"fmt"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

type store struct {
	f *Faults
	s storage.Store
}

func nothing() string { return "" }

func (w *store) Commit(ctx context.Context, c *storage.Change) error {
	return w.f.write("Commit", func() string { return w.f.change(c) }, func() error { return w.s.Commit(ctx, c) })
}

func (w *store) PurgeItems(ctx context.Context, id abide.SubjectID, cs []storage.Compartment, limit int) (dropped []storage.Lookup, more bool, err error) {
	err = w.f.write("PurgeItems", func() string { return w.f.name(id) + compartments(cs) + fmt.Sprintf(" more:%t", more) }, func() (err error) {
		dropped, more, err = w.s.PurgeItems(ctx, id, cs, limit)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return dropped, more, nil
}

func (w *store) Claim(ctx context.Context, claims []storage.Lookup, now time.Time) error {
	return w.f.write("Claim", func() string { return w.f.lookups(claims) }, func() error { return w.s.Claim(ctx, claims, now) })
}

func (w *store) Confirm(ctx context.Context, claims []storage.Lookup) error {
	return w.f.write("Confirm", func() string { return w.f.lookups(claims) }, func() error { return w.s.Confirm(ctx, claims) })
}

func (w *store) Drop(ctx context.Context, claims []storage.Lookup) error {
	return w.f.write("Drop", func() string { return w.f.lookups(claims) }, func() error { return w.s.Drop(ctx, claims) })
}

func (w *store) Spool(ctx context.Context, b *storage.SpoolBatch) error {
	return w.f.write("Spool", func() string { return fmt.Sprintf("%d:%s", b.Batch, kinds(b.Looks)) }, func() error { return w.s.Spool(ctx, b) })
}

func (w *store) IndexLooks(ctx context.Context, node string, batch uint64, rows []storage.LookRow) error {
	return w.f.write("IndexLooks", func() string { return fmt.Sprintf("%d: %d looks", batch, len(rows)) },
		func() error { return w.s.IndexLooks(ctx, node, batch, rows) })
}

func (w *store) SpoolSubjects(ctx context.Context, k storage.SpoolKey) ([]abide.SubjectID, error) {
	return read(w.f, "SpoolSubjects", func() ([]abide.SubjectID, error) { return w.s.SpoolSubjects(ctx, k) })
}

func (w *store) AddCounters(ctx context.Context, counts []storage.Counter) error {
	return w.f.write("AddCounters", func() string { return fmt.Sprint(len(counts)) }, func() error { return w.s.AddCounters(ctx, counts) })
}

func (w *store) Publish(ctx context.Context, p *storage.PolicyRow, terms []storage.TermsRow, expect uint64, e storage.Entry) error {
	return w.f.write("Publish", func() string { return fmt.Sprintf("epoch %d with %d terms", p.N, len(terms)) },
		func() error { return w.s.Publish(ctx, p, terms, expect, e) })
}

func (w *store) PutToken(ctx context.Context, t *storage.TokenRow) error {
	return w.f.write("PutToken", func() string { return t.Name }, func() error { return w.s.PutToken(ctx, t) })
}

func (w *store) DropToken(ctx context.Context, name string) error {
	return w.f.write("DropToken", func() string { return name }, func() error { return w.s.DropToken(ctx, name) })
}

func (w *store) PutRecord(ctx context.Context, r *storage.Record) error {
	return w.f.write("PutRecord", func() string { return r.Kind + " " + r.Name }, func() error { return w.s.PutRecord(ctx, r) })
}

func (w *store) DropRecord(ctx context.Context, kind, name string) error {
	return w.f.write("DropRecord", func() string { return kind + " " + name }, func() error { return w.s.DropRecord(ctx, kind, name) })
}

func (w *store) PutMeta(ctx context.Context, name string, value []byte) (stored []byte, err error) {
	err = w.f.write("PutMeta", func() string { return name }, func() (err error) {
		stored, err = w.s.PutMeta(ctx, name, value)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

func (w *store) Scrub(ctx context.Context) error {
	return w.f.write("Scrub", nothing, func() error { return w.s.Scrub(ctx) })
}

// Close always reaches the store.
func (w *store) Close() error { return w.s.Close() }

func (w *store) Ready(ctx context.Context) error {
	_, err := read(w.f, "Ready", func() (struct{}, error) { return struct{}{}, w.s.Ready(ctx) })
	return err
}

func (w *store) Load(ctx context.Context, id abide.SubjectID, want storage.Want) (*storage.Loaded, error) {
	return read(w.f, "Load", func() (*storage.Loaded, error) { return w.s.Load(ctx, id, want) })
}

func (w *store) Entries(ctx context.Context, id abide.SubjectID, after uint64, limit int) ([]storage.Entry, error) {
	return read(w.f, "Entries", func() ([]storage.Entry, error) { return w.s.Entries(ctx, id, after, limit) })
}

func (w *store) ConsentEvents(ctx context.Context, id abide.SubjectID, after uint64, limit int) ([]storage.ConsentRow, error) {
	return read(w.f, "ConsentEvents", func() ([]storage.ConsentRow, error) { return w.s.ConsentEvents(ctx, id, after, limit) })
}

func (w *store) ListSubjects(ctx context.Context, after abide.SubjectID, limit int) ([]storage.SubjectRow, error) {
	return read(w.f, "ListSubjects", func() ([]storage.SubjectRow, error) { return w.s.ListSubjects(ctx, after, limit) })
}

func (w *store) DueSubjects(ctx context.Context, at time.Time, after storage.Due, limit int) ([]storage.Due, error) {
	return read(w.f, "DueSubjects", func() ([]storage.Due, error) { return w.s.DueSubjects(ctx, at, after, limit) })
}

func (w *store) DueItems(ctx context.Context, at time.Time) (items map[abide.Category]int64, subjects int64, err error) {
	items, err = read(w.f, "DueItems", func() (items map[abide.Category]int64, err error) {
		items, subjects, err = w.s.DueItems(ctx, at)
		return items, err
	})
	return items, subjects, err
}

func (w *store) Candidates(ctx context.Context, p abide.Purpose, effect string, after abide.SubjectID, limit int) ([]storage.ConsentIndexRow, error) {
	return read(w.f, "Candidates", func() ([]storage.ConsentIndexRow, error) { return w.s.Candidates(ctx, p, effect, after, limit) })
}

func (w *store) ErasureJobs(ctx context.Context, limit int) ([]storage.ErasureJob, error) {
	return read(w.f, "ErasureJobs", func() ([]storage.ErasureJob, error) { return w.s.ErasureJobs(ctx, limit) })
}

func (w *store) Pending(ctx context.Context, after storage.EntryKey, limit int) ([]storage.PendingRow, error) {
	return read(w.f, "Pending", func() ([]storage.PendingRow, error) { return w.s.Pending(ctx, after, limit) })
}

func (w *store) Count(ctx context.Context) (map[string]int64, error) {
	return read(w.f, "Count", func() (map[string]int64, error) { return w.s.Count(ctx) })
}

func (w *store) Find(ctx context.Context, c abide.Category, values []storage.IndexValue, limit int) (found []storage.Lookup, now storage.IndexKeys, err error) {
	found, err = read(w.f, "Find", func() (found []storage.Lookup, err error) {
		found, now, err = w.s.Find(ctx, c, values, limit)
		return found, err
	})
	return found, now, err
}

func (w *store) SpoolBatches(ctx context.Context, limit int) ([]storage.SpoolBatch, error) {
	return read(w.f, "SpoolBatches", func() ([]storage.SpoolBatch, error) { return w.s.SpoolBatches(ctx, limit) })
}

func (w *store) LooksOf(ctx context.Context, id abide.SubjectID, after storage.LookKey, limit int) ([]storage.LookRow, error) {
	return read(w.f, "LooksOf", func() ([]storage.LookRow, error) { return w.s.LooksOf(ctx, id, after, limit) })
}

func (w *store) Counters(ctx context.Context, name string) ([]storage.Counter, error) {
	return read(w.f, "Counters", func() ([]storage.Counter, error) { return w.s.Counters(ctx, name) })
}

func (w *store) Epoch(ctx context.Context) (storage.Epoch, error) {
	return read(w.f, "Epoch", func() (storage.Epoch, error) { return w.s.Epoch(ctx) })
}

func (w *store) Policies(ctx context.Context) ([]storage.PolicyRow, error) {
	return read(w.f, "Policies", func() ([]storage.PolicyRow, error) { return w.s.Policies(ctx) })
}

func (w *store) Policy(ctx context.Context, version string) (*storage.PolicyRow, error) {
	return read(w.f, "Policy", func() (*storage.PolicyRow, error) { return w.s.Policy(ctx, version) })
}

func (w *store) AllTerms(ctx context.Context) ([]storage.TermsRow, error) {
	return read(w.f, "AllTerms", func() ([]storage.TermsRow, error) { return w.s.AllTerms(ctx) })
}

func (w *store) Token(ctx context.Context, hash []byte) (*storage.TokenRow, error) {
	return read(w.f, "Token", func() (*storage.TokenRow, error) { return w.s.Token(ctx, hash) })
}

func (w *store) Tokens(ctx context.Context) ([]storage.TokenRow, error) {
	return read(w.f, "Tokens", func() ([]storage.TokenRow, error) { return w.s.Tokens(ctx) })
}

func (w *store) Records(ctx context.Context, kind string) ([]storage.Record, error) {
	return read(w.f, "Records", func() ([]storage.Record, error) { return w.s.Records(ctx, kind) })
}
