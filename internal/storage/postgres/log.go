package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/abide-privacy/abide/internal/storage"
)

const headColumns = `log, origin, size, root, epoch, beat, holder`

func headRow(s *scanner, v *storage.LogHead) {
	num(s, &v.Log)
	text(s, &v.Origin)
	num(s, &v.Size)
	s.digest(&v.Root)
	num(s, &v.Epoch)
	num(s, &v.Beat)
	text(s, &v.Holder)
}

// LogHead is the head of the log that grows.
func (s *Store) LogHead(ctx context.Context) (*storage.LogHead, error) {
	return first(list(ctx, s.d, headRow, `SELECT `+headColumns+` FROM log_head ORDER BY log DESC LIMIT 1`))
}

// LogHeads lists all logs.
func (s *Store) LogHeads(ctx context.Context) ([]storage.LogHead, error) {
	return list(ctx, s.d, headRow, `SELECT `+headColumns+` FROM log_head ORDER BY log`)
}

// StartLog makes a log that is the next one. The epoch of the one before is
// raised, so that whoever lets it grow is stopped.
func (s *Store) StartLog(ctx context.Context, h *storage.LogHead, g *storage.Growth) error {
	return s.d.write(ctx, func(b *batch) {
		b.Queue(`UPDATE log_head SET epoch = epoch + 1, beat = beat + 1, holder = '' WHERE log = $1`, int64(h.Log-1))
		b.refuse(`SELECT 1 / (CASE WHEN coalesce((SELECT max(log) FROM log_head), 0) = $1 THEN 1 ELSE 0 END)`, int64(h.Log-1))
		b.insertNew(`INSERT INTO log_head (log, origin, size, root, epoch, beat, holder) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			int64(h.Log), h.Origin, int64(g.To), g.Root[:], int64(h.Epoch), int64(h.Beat), h.Holder)
		putGrowth(b, g)
	})
}

// TakeLog raises the epoch.
func (s *Store) TakeLog(ctx context.Context, seen *storage.LogHead, holder string) error {
	return s.d.mustChange(ctx, storage.ErrConflict, `UPDATE log_head SET epoch = epoch + 1, beat = beat + 1, holder = $4
		WHERE log = $1 AND epoch = $2 AND beat = $3`,
		int64(seen.Log), int64(seen.Epoch), int64(seen.Beat), holder)
}

// BeatLog counts a sign of life.
func (s *Store) BeatLog(ctx context.Context, log, epoch uint64) error {
	return s.d.mustChange(ctx, storage.ErrConflict, `UPDATE log_head SET beat = beat + 1
		WHERE log = $1 AND epoch = $2`, int64(log), int64(epoch))
}

// LeaveLog takes the holder's name away.
func (s *Store) LeaveLog(ctx context.Context, log, epoch uint64) error {
	return s.d.writeTwice(ctx, func(b *batch) {
		b.Queue(`UPDATE log_head SET holder = '', beat = beat + 1 WHERE log = $1 AND epoch = $2`, int64(log), int64(epoch))
	})
}

// GrowLog moves the head. The head's row is locked first: a successor that has
// taken over, or is about to, waits or refuses this.
func (s *Store) GrowLog(ctx context.Context, g *storage.Growth) error {
	return s.d.write(ctx, func(b *batch) {
		b.refuse(`SELECT 1 / count(*) FROM (SELECT 1 FROM log_head WHERE log = $1 AND epoch = $2 AND size = $3 FOR UPDATE) AS held`,
			int64(g.Log), int64(g.Epoch), int64(g.From))
		b.Queue(`UPDATE log_head SET size = $2, root = $3, beat = beat + 1 WHERE log = $1`, int64(g.Log), int64(g.To), g.Root[:])
		putGrowth(b, g)
	})
}

func putGrowth(b *batch, g *storage.Growth) {
	for i := range g.Tiles {
		t := &g.Tiles[i]
		b.Queue(`INSERT INTO tile (log, level, n, data) VALUES ($1, $2, $3, $4)
			ON CONFLICT (log, level, n) DO UPDATE SET data = excluded.data`, int64(g.Log), int64(t.Level), int64(t.N), t.Data)
	}
	for i := range g.Maps {
		m := &g.Maps[i]
		b.Queue(`INSERT INTO leaf_map (log, first, count, at, sources, settled) VALUES ($1, $2, $3, $4, $5, $6)`,
			int64(g.Log), int64(m.First), int64(m.Count), storage.Micros(m.At), storage.EncodeSources(m.Sources), flag(m.Settled))
	}
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Tiles reads tiles by key, in one round trip.
func (s *Store) Tiles(ctx context.Context, log uint64, keys []storage.TileKey) ([][]byte, error) {
	var out [][]byte
	err := s.d.read(ctx, func(b *pgx.Batch) {
		out = make([][]byte, len(keys))
		for i, k := range keys {
			b.Queue(`SELECT data FROM tile WHERE log = $1 AND level = $2 AND n = $3`, int64(log), int64(k.Level), int64(k.N)).
				Query(func(rows pgx.Rows) error {
					for rows.Next() {
						if err := rows.Scan(&out[i]); err != nil {
							return err
						}
					}
					return rows.Err()
				})
		}
	})
	return out, err
}

// TileKeys pages through tiles.
func (s *Store) TileKeys(ctx context.Context, log uint64, after *storage.TileKey, limit int) ([]storage.TileKey, error) {
	level, n := int64(storage.EntriesLevel-1), uint64(0)
	if after != nil {
		level, n = int64(after.Level), after.N
	}
	return list(ctx, s.d, func(s *scanner, v *storage.TileKey) {
		level := new(int64)
		num(s, level)
		s.after = append(s.after, func() { v.Level = int(*level) })
		num(s, &v.N)
	}, `SELECT level, n FROM tile WHERE log = $1 AND (level, n) > ($2, $3) ORDER BY level, n LIMIT $4`,
		int64(log), level, int64(n), limit)
}

const mapColumns = `log, first, count, at, sources, settled`

func (s *Store) leafMaps(ctx context.Context, tail string, args ...any) ([]storage.LeafMap, error) {
	type row struct {
		m       storage.LeafMap
		sources []byte
		settled int64
	}
	rows, err := list(ctx, s.d, func(s *scanner, v *row) {
		num(s, &v.m.Log)
		num(s, &v.m.First)
		num(s, &v.m.Count)
		s.at(&v.m.At)
		s.bytes(&v.sources)
		num(s, &v.settled)
	}, `SELECT `+mapColumns+` FROM leaf_map `+tail, args...)
	if err != nil {
		return nil, err
	}
	var out []storage.LeafMap
	for i := range rows {
		m := rows[i].m
		if m.Sources, err = storage.DecodeSources(rows[i].sources, m.Count); err != nil {
			return nil, err
		}
		m.Settled = rows[i].settled != 0
		out = append(out, m)
	}
	return out, nil
}

// LeafMaps pages through map rows.
func (s *Store) LeafMaps(ctx context.Context, log, from uint64, limit int) ([]storage.LeafMap, error) {
	return s.leafMaps(ctx, `WHERE log = $1 AND first >= $2 ORDER BY first LIMIT $3`, int64(log), int64(from), limit)
}

// LeafMapsSince finds the first map row of a time and pages from there.
func (s *Store) LeafMapsSince(ctx context.Context, log uint64, since time.Time, limit int) ([]storage.LeafMap, error) {
	return s.leafMaps(ctx, `WHERE log = $1 AND first >= (SELECT min(first) FROM leaf_map WHERE log = $1 AND at >= $2) ORDER BY first LIMIT $3`,
		int64(log), storage.Micros(since), limit)
}

// LeafMapOf finds the map row of a leaf.
func (s *Store) LeafMapOf(ctx context.Context, log, leaf uint64) (*storage.LeafMap, error) {
	return first(s.leafMaps(ctx, `WHERE log = $1 AND first <= $2 AND first + count > $2 ORDER BY first DESC LIMIT 1`, int64(log), int64(leaf)))
}

// Unsettled lists map rows whose sources wait.
func (s *Store) Unsettled(ctx context.Context, limit int) ([]storage.LeafMap, error) {
	return s.leafMaps(ctx, `WHERE settled = 0 ORDER BY log, first LIMIT $1`, limit)
}

const (
	deletePending = `DELETE FROM pending WHERE subject_id = $1::uuid AND n = $2::bigint`
	markLogged    = `UPDATE spool SET leaves = NULL, log = $3::bigint, leaf = $4::bigint WHERE node = $1::text AND batch = $2::bigint`
	// On one server a page goes at once. A distributed one would have to visit all shards.
	deletePendingPage = `DELETE FROM pending USING unnest($1::uuid[], $2::bigint[]) AS done(subject_id, n)
		WHERE pending.subject_id = done.subject_id AND pending.n = done.n`
	markLoggedPage = `UPDATE spool SET leaves = NULL, log = $4, leaf = done.leaf
		FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS done(node, batch, leaf)
		WHERE spool.node = done.node AND spool.batch = done.batch`
)

// Settle takes the sources of a map row off what waits and then marks the row.
// On a sharded database each source commits by itself. Whoever is killed in
// between leaves the row unmarked, and doing it again changes nothing more.
func (s *Store) Settle(ctx context.Context, m *storage.LeafMap) error {
	take := s.settlePage
	if s.d.sharded {
		take = s.settleEach
	}
	if err := take(ctx, m); err != nil {
		return err
	}
	return s.d.writeTwice(ctx, func(b *batch) {
		b.Queue(`UPDATE leaf_map SET settled = 1 WHERE log = $1 AND first = $2`, int64(m.Log), int64(m.First))
	})
}

func (s *Store) settlePage(ctx context.Context, m *storage.LeafMap) error {
	var subjects [][16]byte
	var ns, batches, leaves []int64
	var nodes []string
	leaf := m.First
	for i := range m.Sources {
		src := &m.Sources[i]
		for _, k := range src.Entries {
			subjects, ns = append(subjects, id(k.Subject)), append(ns, int64(k.N))
		}
		if src.Spool != (storage.SpoolKey{}) {
			nodes, batches, leaves = append(nodes, src.Spool.Node), append(batches, int64(src.Spool.Batch)), append(leaves, int64(leaf))
		}
		leaf += src.Count
	}
	return s.d.writeTwice(ctx, func(b *batch) {
		if len(ns) > 0 {
			b.Queue(deletePendingPage, subjects, ns)
		}
		if len(nodes) > 0 {
			b.Queue(markLoggedPage, nodes, batches, leaves, int64(m.Log))
		}
	})
}

func (s *Store) settleEach(ctx context.Context, m *storage.LeafMap) error {
	var groups [][]step
	leaf := m.First
	for i := range m.Sources {
		src := &m.Sources[i]
		for _, k := range src.Entries {
			groups = append(groups, []step{{deletePending, new(raw).binary(k.Subject[:]).number(int64(k.N))}})
		}
		if src.Spool != (storage.SpoolKey{}) {
			groups = append(groups, []step{{markLogged, new(raw).text(src.Spool.Node).number(int64(src.Spool.Batch)).
				number(int64(m.Log)).number(int64(leaf))}})
		}
		leaf += src.Count
	}
	_, err := s.d.each(ctx, groups)
	return err
}

// Unlogged pages through the leaves of spool rows that wait.
func (s *Store) Unlogged(ctx context.Context, after storage.SpoolKey, limit int) ([]storage.SpoolLeaves, error) {
	type row struct {
		key    storage.SpoolKey
		leaves []byte
	}
	rows, err := list(ctx, s.d, func(s *scanner, v *row) {
		text(s, &v.key.Node)
		num(s, &v.key.Batch)
		s.bytes(&v.leaves)
	}, `SELECT node, batch, leaves FROM spool WHERE leaves IS NOT NULL AND (node, batch) > ($1, $2)
		ORDER BY node, batch LIMIT $3`, after.Node, int64(after.Batch), limit)
	if err != nil {
		return nil, err
	}
	out := make([]storage.SpoolLeaves, len(rows))
	for i := range rows {
		out[i].Key = rows[i].key
		if out[i].Leaves, err = storage.SplitLeaves(rows[i].leaves); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SpoolLeaf finds the first leaf of a spool row.
func (s *Store) SpoolLeaf(ctx context.Context, k storage.SpoolKey) (log, leaf uint64, err error) {
	r, err := first(list(ctx, s.d, func(s *scanner, v *[2]uint64) {
		num(s, &v[0])
		num(s, &v[1])
	}, `SELECT log, leaf FROM spool WHERE node = $1 AND batch = $2 AND leaf IS NOT NULL`, k.Node, int64(k.Batch)))
	if err != nil {
		return 0, 0, err
	}
	return r[0], r[1], nil
}

// KeepCheckpoint keeps a checkpoint.
func (s *Store) KeepCheckpoint(ctx context.Context, c *storage.CheckpointRow) error {
	err := s.d.writeTwice(ctx, func(b *batch) {
		b.Queue(`INSERT INTO checkpoint (log, size, at, note) VALUES ($1, $2, $3, $4)
			ON CONFLICT (log, size) DO UPDATE SET at = excluded.at, note = excluded.note`,
			int64(c.Log), int64(c.Size), storage.Micros(c.At), c.Note)
	})
	if err != nil {
		return err
	}
	oldest, err := list(ctx, s.d, func(s *scanner, v *int64) { num(s, v) },
		`SELECT size FROM checkpoint WHERE log = $1 ORDER BY size DESC LIMIT 1 OFFSET $2`, int64(c.Log), int64(storage.CheckpointsKept))
	if err != nil || len(oldest) == 0 {
		return err
	}
	return s.d.writeTwice(ctx, func(b *batch) {
		b.Queue(`DELETE FROM checkpoint WHERE log = $1 AND size <= $2`, int64(c.Log), oldest[0])
	})
}

// Checkpoint is the largest checkpoint of a log.
func (s *Store) Checkpoint(ctx context.Context, log uint64) (*storage.CheckpointRow, error) {
	return first(s.checkpoints(ctx, `WHERE log = $1 ORDER BY size DESC LIMIT 1`, int64(log)))
}

// Checkpoints lists the checkpoints of a log.
func (s *Store) Checkpoints(ctx context.Context, log uint64) ([]storage.CheckpointRow, error) {
	return s.checkpoints(ctx, `WHERE log = $1 ORDER BY size`, int64(log))
}

func (s *Store) checkpoints(ctx context.Context, tail string, args ...any) ([]storage.CheckpointRow, error) {
	return list(ctx, s.d, func(s *scanner, v *storage.CheckpointRow) {
		num(s, &v.Log)
		num(s, &v.Size)
		s.at(&v.At)
		s.bytes(&v.Note)
	}, `SELECT log, size, at, note FROM checkpoint `+tail, args...)
}
