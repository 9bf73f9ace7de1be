package storagetest

import (
	"errors"
	"sync/atomic"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// startLog makes the first log, held in epoch 1.
func (e *env) startLog() *storage.LogHead {
	e.Helper()
	h := &storage.LogHead{Log: 1, Origin: "example.org/log", Epoch: 1, Holder: "n1"}
	e.must(e.s.StartLog(e.ctx, h, &storage.Growth{Log: 1}))
	return get(e.s.LogHead(e.ctx))(e)
}

// grown is a growth of the first log with one tile and one map row.
func grown(epoch, from, to uint64, sources ...storage.LeafSource) *storage.Growth {
	g := &storage.Growth{Log: 1, Epoch: epoch, From: from, To: to, Root: [32]byte{byte(to)},
		Tiles: []storage.Tile{{TileKey: storage.TileKey{Level: 0, N: 0}, Data: make([]byte, 32*to)},
			{TileKey: storage.TileKey{Level: storage.EntriesLevel, N: 0}, Data: make([]byte, 34*to)}}}
	if len(sources) == 0 {
		sources = []storage.LeafSource{{Count: to - from}}
	}
	g.Maps = []storage.LeafMap{{Log: 1, First: from, Count: to - from, At: day, Sources: sources}}
	return g
}

var logCases = []testCase{
	{name: "log/starts with the next number, and stops the one before", data: func(e *env) {
		_, err := e.s.LogHead(e.ctx)
		e.want(err, storage.ErrNotFound)
		e.want(e.s.StartLog(e.ctx, &storage.LogHead{Log: 2, Origin: "x"}, &storage.Growth{Log: 2}), storage.ErrConflict)
		one := e.startLog()
		equal(e, *one, storage.LogHead{Log: 1, Origin: "example.org/log", Epoch: 1, Holder: "n1"})
		e.want(e.s.StartLog(e.ctx, &storage.LogHead{Log: 1, Origin: "x"}, &storage.Growth{Log: 1}), storage.ErrConflict)
		g := grown(1, 0, 1)
		g.Log, g.Maps[0].Log = 2, 2
		e.must(e.s.StartLog(e.ctx, &storage.LogHead{Log: 2, Origin: "example.org/log/2", Epoch: 1}, g))
		e.want(e.s.GrowLog(e.ctx, grown(1, 0, 1)), storage.ErrConflict)
		e.want(e.s.BeatLog(e.ctx, 1, 1), storage.ErrConflict)
		heads := get(e.s.LogHeads(e.ctx))(e)
		equal(e, len(heads), 2)
		equal(e, heads[1], *get(e.s.LogHead(e.ctx))(e))
		equal(e, heads[1].Size, 1)
		equal(e, len(get(e.s.LeafMaps(e.ctx, 2, 0, 10))(e)), 1)
	}},
	{name: "log/grows by compare-and-set on epoch and size, all or nothing", data: func(e *env) {
		e.startLog()
		e.must(e.s.GrowLog(e.ctx, grown(1, 0, 3)))
		for _, stale := range []*storage.Growth{grown(1, 0, 4), grown(1, 2, 4), grown(1, 4, 5), grown(2, 3, 4), grown(0, 3, 4)} {
			e.want(e.s.GrowLog(e.ctx, stale), storage.ErrConflict)
		}
		h := get(e.s.LogHead(e.ctx))(e)
		equal(e, h.Size, 3)
		equal(e, h.Root, [32]byte{3})
		tiles := get(e.s.Tiles(e.ctx, 1, []storage.TileKey{{Level: storage.EntriesLevel}, {Level: 7}, {Level: 0}}))(e)
		equal(e, []int{len(tiles[0]), len(tiles[1]), len(tiles[2])}, []int{3 * 34, 0, 3 * 32})
		equal(e, len(get(e.s.LeafMaps(e.ctx, 1, 0, 10))(e)), 1)
		// A map row that is there already takes head and tiles back with it.
		torn := grown(1, 3, 5)
		torn.Maps[0].First = 0
		if err := e.s.GrowLog(e.ctx, torn); err == nil {
			e.Fatal("two map rows for one leaf")
		}
		equal(e, get(e.s.LogHead(e.ctx))(e).Size, 3)
		equal(e, len(get(e.s.Tiles(e.ctx, 1, []storage.TileKey{{}}))(e)[0]), 3*32)
		e.must(e.s.GrowLog(e.ctx, grown(1, 3, 5)))
		equal(e, get(e.s.LogHead(e.ctx))(e).Size, 5)
		keys := get(e.s.TileKeys(e.ctx, 1, nil, 10))(e)
		equal(e, keys, []storage.TileKey{{Level: storage.EntriesLevel}, {Level: 0}})
		equal(e, get(e.s.TileKeys(e.ctx, 1, &keys[0], 10))(e), keys[1:])
	}},
	{name: "log/who takes over raises the epoch, and only if nothing was seen since", data: func(e *env) {
		seen := e.startLog()
		e.must(e.s.BeatLog(e.ctx, 1, 1))
		e.want(e.s.TakeLog(e.ctx, seen, "n2"), storage.ErrConflict)
		seen = get(e.s.LogHead(e.ctx))(e)
		e.must(e.s.GrowLog(e.ctx, grown(1, 0, 1)))
		e.want(e.s.TakeLog(e.ctx, seen, "n2"), storage.ErrConflict)
		seen = get(e.s.LogHead(e.ctx))(e)
		e.must(e.s.TakeLog(e.ctx, seen, "n2"))
		e.want(e.s.TakeLog(e.ctx, seen, "n3"), storage.ErrConflict)
		h := get(e.s.LogHead(e.ctx))(e)
		equal(e, h.Epoch, 2)
		equal(e, h.Holder, "n2")
		e.want(e.s.GrowLog(e.ctx, grown(1, 1, 2)), storage.ErrConflict)
		e.want(e.s.BeatLog(e.ctx, 1, 1), storage.ErrConflict)
		e.must(e.s.LeaveLog(e.ctx, 1, 1))
		equal(e, get(e.s.LogHead(e.ctx))(e).Holder, "n2")
		e.must(e.s.GrowLog(e.ctx, grown(2, 1, 2)))
		e.must(e.s.LeaveLog(e.ctx, 1, 2))
		equal(e, get(e.s.LogHead(e.ctx))(e).Holder, "")
	}},
	{name: "log/of many that let it grow from one size one succeeds", data: func(e *env) {
		e.startLog()
		var grew atomic.Int64
		together(8, func(int) {
			switch err := e.s.GrowLog(e.ctx, grown(1, 0, 2)); {
			case err == nil:
				grew.Add(1)
			case !errors.Is(err, storage.ErrConflict):
				e.Errorf("grow: %v", err)
			}
		})
		equal(e, grew.Load(), 1)
		seen := get(e.s.LogHead(e.ctx))(e)
		var took atomic.Int64
		together(8, func(int) {
			switch err := e.s.TakeLog(e.ctx, seen, "n"); {
			case err == nil:
				took.Add(1)
			case !errors.Is(err, storage.ErrConflict):
				e.Errorf("take: %v", err)
			}
		})
		equal(e, took.Load(), 1)
	}},
	{name: "log/what is settled waits no longer, what is not stays", data: func(e *env) {
		e.startLog()
		ids := e.create(3)
		for _, id := range ids {
			c := e.next(id)
			c.Entries = []storage.Entry{e.entry(id, 1), e.entry(id, 2)}
			e.commit(c)
		}
		b1, b2 := e.batch("n1", 1, e.look(ids[0], 1), e.look(abide.SubjectID{}, 2)), e.batch("n2", 1, e.look(ids[1], 3))
		e.must(e.s.Spool(e.ctx, b2))
		e.must(e.s.Spool(e.ctx, b1))
		waiting := get(e.s.Unlogged(e.ctx, storage.SpoolKey{}, 10))(e)
		equal(e, waiting, []storage.SpoolLeaves{
			{Key: storage.SpoolKey{Node: "n1", Batch: 1}, Leaves: [][32]byte{b1.Looks[0].Commitment, b1.Looks[1].Commitment}},
			{Key: storage.SpoolKey{Node: "n2", Batch: 1}, Leaves: [][32]byte{b2.Looks[0].Commitment}}})
		equal(e, get(e.s.Unlogged(e.ctx, waiting[0].Key, 10))(e), waiting[1:])
		_, _, err := e.s.SpoolLeaf(e.ctx, waiting[0].Key)
		e.want(err, storage.ErrNotFound)

		g := grown(1, 0, 5, storage.LeafSource{Count: 3, Entries: []storage.EntryKey{{Subject: ids[0], N: 1}, {Subject: ids[0], N: 2}, {Subject: ids[2], N: 1}}},
			storage.LeafSource{Count: 2, Spool: waiting[0].Key})
		e.must(e.s.GrowLog(e.ctx, g))
		equal(e, len(get(e.s.Pending(e.ctx, storage.EntryKey{}, 10))(e)), 6)
		m := get(e.s.Unsettled(e.ctx, 10))(e)
		equal(e, m, g.Maps)
		for range 2 {
			e.must(e.s.Settle(e.ctx, &m[0]))
		}
		equal(e, len(get(e.s.Unsettled(e.ctx, 10))(e)), 0)
		left := get(e.s.Pending(e.ctx, storage.EntryKey{}, 10))(e)
		equal(e, len(left), 3)
		equal(e, left[0].Key, storage.EntryKey{Subject: ids[1], N: 1})
		equal(e, get(e.s.Unlogged(e.ctx, storage.SpoolKey{}, 10))(e), waiting[1:])
		log, leaf, err := e.s.SpoolLeaf(e.ctx, waiting[0].Key)
		e.must(err)
		equal(e, []uint64{log, leaf}, []uint64{1, 3})
		// The looks are found by their subjects all the same, and the batch is taken once.
		equal(e, get(e.s.SpoolBatches(e.ctx, 10))(e), []storage.SpoolBatch{*b1, *b2})
		e.index(b1)
		e.must(e.s.Spool(e.ctx, b1))
		equal(e, len(get(e.s.Unlogged(e.ctx, storage.SpoolKey{}, 10))(e)), 1)
	}},
	{name: "log/a batch that is indexed still waits for the log", data: func(e *env) {
		b := e.batch("n1", 1, e.look(e.id(), 1))
		e.must(e.s.Spool(e.ctx, b))
		e.index(b)
		equal(e, len(get(e.s.Unlogged(e.ctx, storage.SpoolKey{}, 10))(e)[0].Leaves), 1)
	}},
	{name: "log/maps are found by leaf and by time", data: func(e *env) {
		e.startLog()
		for i := range uint64(4) {
			g := grown(1, 10*i, 10*i+10)
			if i == 3 {
				g.Maps[0].Sources = []storage.LeafSource{{Count: 4, Lost: true}, {Count: 6}}
			}
			g.Maps[0].At, g.Maps[0].Settled = day.Add(time.Duration(i)*time.Minute), true
			e.must(e.s.GrowLog(e.ctx, g))
		}
		firsts := func(ms []storage.LeafMap, err error) (out []uint64) {
			e.must(err)
			for _, m := range ms {
				out = append(out, m.First)
			}
			return out
		}
		equal(e, firsts(e.s.LeafMaps(e.ctx, 1, 10, 2)), []uint64{10, 20})
		equal(e, firsts(e.s.LeafMapsSince(e.ctx, 1, day.Add(90*time.Second), 10)), []uint64{20, 30})
		equal(e, len(firsts(e.s.LeafMapsSince(e.ctx, 1, day.Add(time.Hour), 10))), 0)
		m := get(e.s.LeafMapOf(e.ctx, 1, 39))(e)
		equal(e, m.First, 30)
		equal(e, m.Sources, []storage.LeafSource{{Count: 4, Lost: true}, {Count: 6}})
		_, err := e.s.LeafMapOf(e.ctx, 1, 40)
		e.want(err, storage.ErrNotFound)
		equal(e, len(get(e.s.Unsettled(e.ctx, 10))(e)), 0)
	}},
	{name: "log/the largest checkpoint is the one that counts", data: func(e *env) {
		e.startLog()
		_, err := e.s.Checkpoint(e.ctx, 1)
		e.want(err, storage.ErrNotFound)
		row := func(size int, note string) *storage.CheckpointRow {
			return &storage.CheckpointRow{Log: 1, Size: uint64(size), At: day, Note: []byte(note)}
		}
		e.must(e.s.KeepCheckpoint(e.ctx, row(7, "seven")))
		e.must(e.s.KeepCheckpoint(e.ctx, row(5, "five")))
		equal(e, *get(e.s.Checkpoint(e.ctx, 1))(e), *row(7, "seven"))
		e.must(e.s.KeepCheckpoint(e.ctx, row(7, "seven, cosigned")))
		equal(e, get(e.s.Checkpoints(e.ctx, 1))(e), []storage.CheckpointRow{*row(5, "five"), *row(7, "seven, cosigned")})
		for i := range storage.CheckpointsKept {
			e.must(e.s.KeepCheckpoint(e.ctx, row(8+i, "n")))
		}
		kept := get(e.s.Checkpoints(e.ctx, 1))(e)
		equal(e, len(kept), storage.CheckpointsKept)
		equal(e, kept[0].Size, 8)
	}},
}
