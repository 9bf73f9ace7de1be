package sqlite

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Spool makes a batch durable. A batch that is there already stays as it is.
func (s *Store) Spool(ctx context.Context, b *storage.SpoolBatch) error {
	looks, leaves := storage.EncodeLooks(b.Looks), storage.JoinLeaves(b.Looks)
	return s.f.w.do(ctx, len(looks), func(w *writeConn) error {
		_, err := w.exec(`INSERT INTO spool (node, batch, at, looks, leaves) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			b.Node, num(b.Batch), at(b.At), looks, leaves)
		return err
	})
}

// SpoolBatches lists batches not yet indexed.
func (s *Store) SpoolBatches(ctx context.Context, limit int) ([]storage.SpoolBatch, error) {
	var out []storage.SpoolBatch
	err := s.f.readers.read(ctx, func(c *conn) error {
		out = nil
		return c.query(`SELECT node, batch, at, looks FROM spool WHERE looks IS NOT NULL ORDER BY node, batch LIMIT ?`,
			func(r *row) error {
				b := storage.SpoolBatch{Node: r.text(), Batch: uint64(r.int()), At: r.at()}
				var err error
				b.Looks, err = storage.DecodeLooks(r.bytes())
				out = append(out, b)
				return err
			}, int64(limit))
	})
	return out, err
}

// IndexLooks moves a batch into the looks of its subjects. A batch that is
// indexed already stays as it is; an unknown one is storage.ErrNotFound.
func (s *Store) IndexLooks(ctx context.Context, node string, batch uint64, rows []storage.LookRow) error {
	size := 0
	for i := range rows {
		size += 256 + len(rows[i].Look.Payload) + len(rows[i].Look.Envelope)
	}
	return s.f.w.do(ctx, size, func(w *writeConn) error {
		waiting := false
		there, err := w.one(`SELECT looks IS NOT NULL FROM spool WHERE node = ? AND batch = ?`,
			func(r *row) { waiting = r.int() != 0 }, node, num(batch))
		switch {
		case err != nil:
			return err
		case !there:
			return storage.ErrNotFound
		case !waiting:
			return nil
		}
		if _, err := w.exec(`UPDATE spool SET looks = NULL, subjects = ? WHERE node = ? AND batch = ?`, storage.JoinSubjects(rows), node, num(batch)); err != nil {
			return err
		}
		for i := range rows {
			k, l := &rows[i].Key, &rows[i].Look
			if _, err := w.exec(`INSERT INTO look (subject_id, node, batch, pos, at, kind, payload, envelope, commitment)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				l.Subject[:], k.Node, num(k.Batch), num(k.Pos), at(l.At), l.Kind, l.Payload, l.Envelope, l.Commitment[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// SpoolSubjects finds whom the looks of an indexed batch are about.
func (s *Store) SpoolSubjects(ctx context.Context, k storage.SpoolKey) ([]abide.SubjectID, error) {
	raw, err := first(list(ctx, s, `SELECT subjects FROM spool WHERE node = ? AND batch = ? AND subjects IS NOT NULL`,
		func(r *row) []byte { return r.bytes() }, k.Node, num(k.Batch)))
	if err != nil {
		return nil, err
	}
	return storage.SplitSubjects(*raw)
}

// LooksOf pages through the looks at a subject. The zero key starts at the
// oldest.
func (s *Store) LooksOf(ctx context.Context, id abide.SubjectID, after storage.LookKey, limit int) ([]storage.LookRow, error) {
	const columns = `SELECT node, batch, pos, at, kind, payload, envelope, commitment FROM look WHERE subject_id = ? `
	const order = ` ORDER BY at, node, batch, pos LIMIT ?`
	scan := func(r *row) storage.LookRow {
		return storage.LookRow{
			Key: storage.LookKey{Node: r.text(), Batch: uint64(r.int()), Pos: uint32(r.int())},
			Look: storage.Look{Subject: id, At: r.at(), Kind: r.text(), Payload: r.bytes(), Envelope: r.bytes(),
				Commitment: r.digest()},
		}
	}
	if after == (storage.LookKey{}) {
		return list(ctx, s, columns+order, scan, id[:], limit)
	}
	return list(ctx, s, columns+`AND (at, node, batch, pos) >
		((SELECT at FROM look WHERE subject_id = ? AND node = ? AND batch = ? AND pos = ?), ?, ?, ?)`+order, scan,
		id[:], id[:], after.Node, after.Batch, after.Pos, after.Node, after.Batch, after.Pos, limit)
}

// Look finds one look at a subject.
func (s *Store) Look(ctx context.Context, id abide.SubjectID, k storage.LookKey) (*storage.Look, error) {
	return first(list(ctx, s, `SELECT at, kind, payload, envelope, commitment FROM look
		WHERE subject_id = ? AND node = ? AND batch = ? AND pos = ?`, func(r *row) storage.Look {
		return storage.Look{Subject: id, At: r.at(), Kind: r.text(), Payload: r.bytes(), Envelope: r.bytes(), Commitment: r.digest()}
	}, id[:], k.Node, k.Batch, k.Pos))
}

// AddCounters adds to counters.
func (s *Store) AddCounters(ctx context.Context, counts []storage.Counter) error {
	return s.f.w.do(ctx, 64*len(counts), func(w *writeConn) error {
		for i := range counts {
			c := &counts[i]
			if _, err := w.exec(`INSERT INTO counter (name, period, value, n) VALUES (?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET n = n + excluded.n`, c.Name, c.Period, c.Value, c.N); err != nil {
				return err
			}
		}
		return nil
	})
}

// Counters lists the counters of a name by period and value.
func (s *Store) Counters(ctx context.Context, name string) ([]storage.Counter, error) {
	return list(ctx, s, `SELECT name, value, period, n FROM counter WHERE name = ? ORDER BY period, value`,
		func(r *row) storage.Counter {
			return storage.Counter{Name: r.text(), Value: r.text(), Period: r.text(), N: r.int()}
		}, name)
}
