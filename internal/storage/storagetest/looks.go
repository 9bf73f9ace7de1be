package storagetest

import (
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// look is a look at a subject, at a minute of the day.
func (e *env) look(id abide.SubjectID, minute int) storage.Look {
	return storage.Look{Subject: id, At: e.now.Add(time.Duration(minute) * time.Minute), Kind: "looked_at",
		Payload: []byte{1, byte(minute)}, Envelope: []byte{2, byte(minute)}, Commitment: commitment(id, uint64(minute))}
}

func (e *env) batch(node string, n uint64, looks ...storage.Look) *storage.SpoolBatch {
	return &storage.SpoolBatch{Node: node, Batch: n, At: e.now, Looks: looks}
}

// index indexes a batch in the way the sequencer does.
func (e *env) index(b *storage.SpoolBatch) {
	e.Helper()
	e.must(e.s.IndexLooks(e.ctx, b.Node, b.Batch, lookRows(b)))
}

func lookRows(b *storage.SpoolBatch) []storage.LookRow {
	rows := make([]storage.LookRow, len(b.Looks))
	for i := range rows {
		rows[i] = storage.LookRow{Key: storage.LookKey{Node: b.Node, Batch: b.Batch, Pos: uint32(i)}, Look: b.Looks[i]}
	}
	return rows
}

var lookCases = []testCase{
	{name: "spool/batches come back by node and number until indexed", data: func(e *env) {
		a := e.id()
		b2, b1 := e.batch("n1", 2, e.look(a, 2)), e.batch("n1", 1, e.look(a, 1), e.look(abide.SubjectID{}, 3))
		n2 := e.batch("n2", 1, e.look(a, 4))
		for _, b := range []*storage.SpoolBatch{n2, b2, b1} {
			e.must(e.s.Spool(e.ctx, b))
		}
		equal(e, get(e.s.SpoolBatches(e.ctx, 10))(e), []storage.SpoolBatch{*b1, *b2, *n2})
		equal(e, get(e.s.SpoolBatches(e.ctx, 1))(e), []storage.SpoolBatch{*b1})
		e.index(b1)
		equal(e, get(e.s.SpoolBatches(e.ctx, 10))(e), []storage.SpoolBatch{*b2, *n2})
	}},
	{name: "spool/the same batch twice is taken once, even after indexing", data: func(e *env) {
		a := e.id()
		b := e.batch("n1", 1, e.look(a, 1))
		e.must(e.s.Spool(e.ctx, b))
		e.must(e.s.Spool(e.ctx, e.batch("n1", 1, e.look(a, 9))))
		equal(e, get(e.s.SpoolBatches(e.ctx, 10))(e), []storage.SpoolBatch{*b})
		e.index(b)
		e.must(e.s.Spool(e.ctx, b))
		equal(e, len(get(e.s.SpoolBatches(e.ctx, 10))(e)), 0)
	}},
	{name: "looks/a batch is indexed once and only if it exists", data: func(e *env) {
		a := e.id()
		b := e.batch("n1", 1, e.look(a, 1))
		e.want(e.s.IndexLooks(e.ctx, "n1", 1, lookRows(b)), storage.ErrNotFound)
		equal(e, len(get(e.s.LooksOf(e.ctx, a, storage.LookKey{}, 10))(e)), 0)
		e.must(e.s.Spool(e.ctx, b))
		_, err := e.s.Look(e.ctx, a, storage.LookKey{Node: "n1", Batch: 1})
		e.want(err, storage.ErrNotFound)
		e.index(b)
		e.index(b)
		equal(e, *get(e.s.Look(e.ctx, a, storage.LookKey{Node: "n1", Batch: 1}))(e), b.Looks[0])
		_, err = e.s.Look(e.ctx, a, storage.LookKey{Node: "n1", Batch: 1, Pos: 1})
		e.want(err, storage.ErrNotFound)
		equal(e, get(e.s.LooksOf(e.ctx, a, storage.LookKey{}, 10))(e), lookRows(b))
	}},
	{name: "spool/whom an indexed batch is about stays, in its order", data: func(e *env) {
		a, other := e.id(), e.id()
		b := e.batch("n1", 1, e.look(a, 1), e.look(abide.SubjectID{}, 2), e.look(other, 3), e.look(a, 4))
		key := storage.SpoolKey{Node: "n1", Batch: 1}
		_, err := e.s.SpoolSubjects(e.ctx, key)
		e.want(err, storage.ErrNotFound)
		e.must(e.s.Spool(e.ctx, b))
		_, err = e.s.SpoolSubjects(e.ctx, key)
		e.want(err, storage.ErrNotFound)
		e.index(b)
		e.index(b)
		equal(e, get(e.s.SpoolSubjects(e.ctx, key))(e), []abide.SubjectID{a, {}, other, a})
	}},
	{name: "looks/of one subject come oldest first over all nodes, page by page", data: func(e *env) {
		a, other := e.id(), e.id()
		n2 := e.batch("n2", 1, e.look(a, 1), e.look(other, 1), e.look(a, 5))
		n1 := e.batch("n1", 1, e.look(a, 3), e.look(a, 3), e.look(a, 7))
		for _, b := range []*storage.SpoolBatch{n1, n2} {
			e.must(e.s.Spool(e.ctx, b))
			e.index(b)
		}
		r1, r2 := lookRows(n1), lookRows(n2)
		want := []storage.LookRow{r2[0], r1[0], r1[1], r2[2], r1[2]}
		equal(e, get(e.s.LooksOf(e.ctx, a, storage.LookKey{}, 10))(e), want)
		var paged []storage.LookRow
		after := storage.LookKey{}
		for range 3 {
			page := get(e.s.LooksOf(e.ctx, a, after, 2))(e)
			paged = append(paged, page...)
			after = page[len(page)-1].Key
		}
		equal(e, paged, want)
		equal(e, len(get(e.s.LooksOf(e.ctx, a, after, 2))(e)), 0)
		equal(e, get(e.s.LooksOf(e.ctx, other, storage.LookKey{}, 10))(e), r2[1:2])
	}},
	{name: "counters/add up and name nobody", data: func(e *env) {
		e.must(e.s.AddCounters(e.ctx, []storage.Counter{
			{Name: "device", Value: "P1 2.0", Period: "2026-W48", N: 2}, {Name: "device", Value: "P1 2.0", Period: "2026-W47", N: 1},
			{Name: "other", Value: "x", Period: "2026-W48", N: 5}, {Name: "device", Value: "P1 2.0", Period: "2026-W48", N: 3}}))
		e.must(e.s.AddCounters(e.ctx, []storage.Counter{{Name: "device", Value: "A9", Period: "2026-W48", N: 1}, {Name: "device", Value: "P1 2.0", Period: "2026-W48", N: 1}}))
		e.must(e.s.AddCounters(e.ctx, nil))
		equal(e, get(e.s.Counters(e.ctx, "device"))(e), []storage.Counter{
			{Name: "device", Value: "P1 2.0", Period: "2026-W47", N: 1}, {Name: "device", Value: "A9", Period: "2026-W48", N: 1},
			{Name: "device", Value: "P1 2.0", Period: "2026-W48", N: 6}})
		equal(e, len(get(e.s.Counters(e.ctx, "none"))(e)), 0)
	}},
}
