package sqlite

import (
	"context"
	"time"

	"github.com/abide-privacy/abide/internal/storage"
)

const headColumns = `log, origin, size, root, epoch, beat, holder`

func scanHead(r *row) storage.LogHead {
	return storage.LogHead{Log: uint64(r.int()), Origin: r.text(), Size: uint64(r.int()), Root: r.digest(),
		Epoch: uint64(r.int()), Beat: uint64(r.int()), Holder: r.text()}
}

// LogHead is the head of the log that grows.
func (s *Store) LogHead(ctx context.Context) (*storage.LogHead, error) {
	return first(list(ctx, s, `SELECT `+headColumns+` FROM log_head ORDER BY log DESC LIMIT 1`, scanHead))
}

// LogHeads lists all logs.
func (s *Store) LogHeads(ctx context.Context) ([]storage.LogHead, error) {
	return list(ctx, s, `SELECT `+headColumns+` FROM log_head ORDER BY log`, scanHead)
}

// StartLog makes a log that is the next one. The epoch of the one before is
// raised, so that whoever lets it grow is stopped.
func (s *Store) StartLog(ctx context.Context, h *storage.LogHead, g *storage.Growth) error {
	return s.f.w.do(ctx, growthSize(g), func(w *writeConn) error {
		var last uint64
		if _, err := w.one(`SELECT max(log) FROM log_head`, func(r *row) { last = uint64(r.int()) }); err != nil {
			return err
		}
		if last+1 != h.Log {
			return storage.ErrConflict
		}
		if _, err := w.exec(`UPDATE log_head SET epoch = epoch + 1, beat = beat + 1, holder = '' WHERE log = ?`, num(last)); err != nil {
			return err
		}
		if _, err := w.exec(`INSERT INTO log_head (log, origin, size, root, epoch, beat, holder) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			num(h.Log), h.Origin, num(g.To), g.Root[:], num(h.Epoch), num(h.Beat), h.Holder); err != nil {
			return err
		}
		return w.putGrowth(g)
	})
}

// TakeLog raises the epoch.
func (s *Store) TakeLog(ctx context.Context, seen *storage.LogHead, holder string) error {
	return s.f.w.compareAndSet(ctx, `UPDATE log_head SET epoch = epoch + 1, beat = beat + 1, holder = ?
		WHERE log = ? AND epoch = ? AND beat = ?`,
		holder, num(seen.Log), num(seen.Epoch), num(seen.Beat))
}

// BeatLog counts a sign of life.
func (s *Store) BeatLog(ctx context.Context, log, epoch uint64) error {
	return s.f.w.compareAndSet(ctx, `UPDATE log_head SET beat = beat + 1
		WHERE log = ? AND epoch = ?`, num(log), num(epoch))
}

// LeaveLog takes the holder's name away.
func (s *Store) LeaveLog(ctx context.Context, log, epoch uint64) error {
	return s.f.w.do(ctx, 64, func(w *writeConn) error {
		_, err := w.exec(`UPDATE log_head SET holder = '', beat = beat + 1 WHERE log = ? AND epoch = ?`, num(log), num(epoch))
		return err
	})
}

// compareAndSet runs an update that changes one row, or refuses.
func (w *writer) compareAndSet(ctx context.Context, query string, args ...any) error {
	return w.do(ctx, 64, func(w *writeConn) error {
		n, err := w.exec(query, values(args)...)
		if err == nil && n == 0 {
			err = storage.ErrConflict
		}
		return err
	})
}

func growthSize(g *storage.Growth) int {
	n := 512
	for i := range g.Tiles {
		n += 64 + len(g.Tiles[i].Data)
	}
	for i := range g.Maps {
		for j := range g.Maps[i].Sources {
			n += 64 + 24*len(g.Maps[i].Sources[j].Entries)
		}
	}
	return n
}

// GrowLog moves the head.
func (s *Store) GrowLog(ctx context.Context, g *storage.Growth) error {
	return s.f.w.do(ctx, growthSize(g), func(w *writeConn) error {
		n, err := w.exec(`UPDATE log_head SET size = ?, root = ?, beat = beat + 1
			WHERE log = ? AND epoch = ? AND size = ?`,
			num(g.To), g.Root[:], num(g.Log), num(g.Epoch), num(g.From))
		switch {
		case err != nil:
			return err
		case n == 0:
			return storage.ErrConflict
		}
		return w.putGrowth(g)
	})
}

func (w *writeConn) putGrowth(g *storage.Growth) error {
	for i := range g.Tiles {
		t := &g.Tiles[i]
		if _, err := w.exec(`INSERT INTO tile (log, level, n, data) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET data = excluded.data`, num(g.Log), int64(t.Level), num(t.N), t.Data); err != nil {
			return err
		}
	}
	for i := range g.Maps {
		m := &g.Maps[i]
		if _, err := w.exec(`INSERT INTO leaf_map (log, first, count, at, sources, settled) VALUES (?, ?, ?, ?, ?, ?)`,
			num(g.Log), num(m.First), num(m.Count), at(m.At), storage.EncodeSources(m.Sources), flag(m.Settled)); err != nil {
			return err
		}
	}
	return nil
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Tiles reads tiles by key.
func (s *Store) Tiles(ctx context.Context, log uint64, keys []storage.TileKey) ([][]byte, error) {
	var out [][]byte
	err := s.f.readers.read(ctx, func(c *conn) error {
		out = make([][]byte, len(keys))
		for i, k := range keys {
			if _, err := c.one(`SELECT data FROM tile WHERE log = ? AND level = ? AND n = ?`,
				func(r *row) { out[i] = r.bytes() }, num(log), int64(k.Level), num(k.N)); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// TileKeys pages through tiles.
func (s *Store) TileKeys(ctx context.Context, log uint64, after *storage.TileKey, limit int) ([]storage.TileKey, error) {
	level, n := int64(storage.EntriesLevel-1), uint64(0)
	if after != nil {
		level, n = int64(after.Level), after.N
	}
	return list(ctx, s, `SELECT level, n FROM tile WHERE log = ? AND (level, n) > (?, ?) ORDER BY level, n LIMIT ?`,
		func(r *row) storage.TileKey { return storage.TileKey{Level: int(r.int()), N: uint64(r.int())} }, log, level, n, limit)
}

const mapColumns = `log, first, count, at, sources, settled`

func (s *Store) leafMaps(ctx context.Context, tail string, args ...any) ([]storage.LeafMap, error) {
	var out []storage.LeafMap
	err := s.f.readers.read(ctx, func(c *conn) error {
		out = nil
		return c.query(`SELECT `+mapColumns+` FROM leaf_map `+tail, func(r *row) error {
			m := storage.LeafMap{Log: uint64(r.int()), First: uint64(r.int()), Count: uint64(r.int()), At: r.at()}
			var err error
			m.Sources, err = storage.DecodeSources(r.bytes(), m.Count)
			m.Settled = r.int() != 0
			out = append(out, m)
			return err
		}, values(args)...)
	})
	return out, err
}

// LeafMaps pages through map rows.
func (s *Store) LeafMaps(ctx context.Context, log, from uint64, limit int) ([]storage.LeafMap, error) {
	return s.leafMaps(ctx, `WHERE log = ? AND first >= ? ORDER BY first LIMIT ?`, log, from, limit)
}

// LeafMapsSince finds the first map row of a time and pages from there.
func (s *Store) LeafMapsSince(ctx context.Context, log uint64, since time.Time, limit int) ([]storage.LeafMap, error) {
	return s.leafMaps(ctx, `WHERE log = ? AND first >= (SELECT min(first) FROM leaf_map WHERE log = ? AND at >= ?) ORDER BY first LIMIT ?`,
		log, log, storage.Micros(since), limit)
}

// LeafMapOf finds the map row of a leaf.
func (s *Store) LeafMapOf(ctx context.Context, log, leaf uint64) (*storage.LeafMap, error) {
	return first(s.leafMaps(ctx, `WHERE log = ? AND first <= ? AND first + count > ? ORDER BY first DESC LIMIT 1`, log, leaf, leaf))
}

// Unsettled lists map rows whose sources wait.
func (s *Store) Unsettled(ctx context.Context, limit int) ([]storage.LeafMap, error) {
	return s.leafMaps(ctx, `WHERE settled = 0 ORDER BY log, first LIMIT ?`, limit)
}

// Settle takes the sources of a map row off what waits.
func (s *Store) Settle(ctx context.Context, m *storage.LeafMap) error {
	return s.f.w.do(ctx, 64*int(m.Count), func(w *writeConn) error {
		leaf := m.First
		for i := range m.Sources {
			src := &m.Sources[i]
			for _, k := range src.Entries {
				if _, err := w.exec(`DELETE FROM pending WHERE subject_id = ? AND n = ?`, k.Subject[:], num(k.N)); err != nil {
					return err
				}
			}
			if src.Spool != (storage.SpoolKey{}) {
				if _, err := w.exec(`UPDATE spool SET leaves = NULL, log = ?, leaf = ? WHERE node = ? AND batch = ?`,
					num(m.Log), num(leaf), src.Spool.Node, num(src.Spool.Batch)); err != nil {
					return err
				}
			}
			leaf += src.Count
		}
		_, err := w.exec(`UPDATE leaf_map SET settled = 1 WHERE log = ? AND first = ?`, num(m.Log), num(m.First))
		return err
	})
}

// Unlogged pages through the leaves of spool rows that wait.
func (s *Store) Unlogged(ctx context.Context, after storage.SpoolKey, limit int) ([]storage.SpoolLeaves, error) {
	var out []storage.SpoolLeaves
	err := s.f.readers.read(ctx, func(c *conn) error {
		out = nil
		return c.query(`SELECT node, batch, leaves FROM spool WHERE leaves IS NOT NULL AND (node, batch) > (?, ?)
			ORDER BY node, batch LIMIT ?`, func(r *row) error {
			l := storage.SpoolLeaves{Key: storage.SpoolKey{Node: r.text(), Batch: uint64(r.int())}}
			var err error
			l.Leaves, err = storage.SplitLeaves(r.bytes())
			out = append(out, l)
			return err
		}, after.Node, num(after.Batch), int64(limit))
	})
	return out, err
}

// SpoolLeaf finds the first leaf of a spool row.
func (s *Store) SpoolLeaf(ctx context.Context, k storage.SpoolKey) (log, leaf uint64, err error) {
	r, err := first(list(ctx, s, `SELECT log, leaf FROM spool WHERE node = ? AND batch = ? AND leaf IS NOT NULL`,
		func(r *row) [2]uint64 { return [2]uint64{uint64(r.int()), uint64(r.int())} }, k.Node, k.Batch))
	if err != nil {
		return 0, 0, err
	}
	return r[0], r[1], nil
}

// KeepCheckpoint keeps a checkpoint.
func (s *Store) KeepCheckpoint(ctx context.Context, c *storage.CheckpointRow) error {
	return s.f.w.do(ctx, len(c.Note), func(w *writeConn) error {
		if _, err := w.exec(`INSERT INTO checkpoint (log, size, at, note) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET at = excluded.at, note = excluded.note`, num(c.Log), num(c.Size), at(c.At), c.Note); err != nil {
			return err
		}
		_, err := w.exec(`DELETE FROM checkpoint WHERE log = ? AND size <= (SELECT size FROM checkpoint WHERE log = ?
			ORDER BY size DESC LIMIT 1 OFFSET ?)`, num(c.Log), num(c.Log), int64(storage.CheckpointsKept))
		return err
	})
}

// Checkpoint is the largest checkpoint of a log.
func (s *Store) Checkpoint(ctx context.Context, log uint64) (*storage.CheckpointRow, error) {
	return first(s.checkpoints(ctx, `WHERE log = ? ORDER BY size DESC LIMIT 1`, log))
}

// Checkpoints lists the checkpoints of a log.
func (s *Store) Checkpoints(ctx context.Context, log uint64) ([]storage.CheckpointRow, error) {
	return s.checkpoints(ctx, `WHERE log = ? ORDER BY size`, log)
}

func (s *Store) checkpoints(ctx context.Context, tail string, args ...any) ([]storage.CheckpointRow, error) {
	return list(ctx, s, `SELECT log, size, at, note FROM checkpoint `+tail, func(r *row) storage.CheckpointRow {
		return storage.CheckpointRow{Log: uint64(r.int()), Size: uint64(r.int()), At: r.at(), Note: r.bytes()}
	}, args...)
}
