package postgres

import (
	"context"
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Spool makes a batch durable. A batch that is there already stays as it is.
func (s *Store) Spool(ctx context.Context, spooled *storage.SpoolBatch) error {
	looks, leaves := storage.EncodeLooks(spooled.Looks), storage.JoinLeaves(spooled.Looks)
	return s.d.write(ctx, func(b *batch) {
		b.Queue(`INSERT INTO spool (node, batch, at, looks, leaves) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			spooled.Node, int64(spooled.Batch), storage.Micros(spooled.At), looks, leaves)
	})
}

// SpoolBatches lists batches not yet indexed.
func (s *Store) SpoolBatches(ctx context.Context, limit int) ([]storage.SpoolBatch, error) {
	type row struct {
		batch storage.SpoolBatch
		looks []byte
	}
	rows, err := list(ctx, s.d, func(s *scanner, v *row) {
		text(s, &v.batch.Node)
		num(s, &v.batch.Batch)
		s.at(&v.batch.At)
		s.bytes(&v.looks)
	}, `SELECT node, batch, at, looks FROM spool WHERE looks IS NOT NULL ORDER BY node, batch LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	out := make([]storage.SpoolBatch, len(rows))
	for i := range rows {
		out[i] = rows[i].batch
		if out[i].Looks, err = storage.DecodeLooks(rows[i].looks); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// IndexLooks writes the looks to their subjects and then marks the batch. No
// transaction holds two subjects: on a sharded database each look commits by
// itself, on one server all of them under one sync. Whoever is killed in
// between leaves the batch unmarked, and doing it again writes the same rows.
// A batch that is indexed already stays as it is; an unknown one is
// storage.ErrNotFound.
func (s *Store) IndexLooks(ctx context.Context, node string, number uint64, rows []storage.LookRow) error {
	waiting, err := first(list(ctx, s.d, func(s *scanner, v *bool) { s.dest = append(s.dest, v) },
		`SELECT looks IS NOT NULL FROM spool WHERE node = $1 AND batch = $2`, node, int64(number)))
	if err != nil || !*waiting {
		return err
	}
	if s.d.sharded {
		groups := make([][]step, len(rows))
		for i := range rows {
			groups[i] = []step{{insertLook, lookArgs(&rows[i])}}
		}
		_, err = s.d.each(ctx, groups)
	} else if len(rows) > 0 {
		err = s.d.writeTwice(ctx, func(b *batch) {
			for i := range rows {
				b.Queue(insertLook, lookValues(&rows[i])...)
			}
		})
	}
	if err != nil {
		return err
	}
	return s.d.writeTwice(ctx, func(b *batch) {
		b.Queue(`UPDATE spool SET looks = NULL, subjects = $3 WHERE node = $1 AND batch = $2`, node, int64(number), storage.JoinSubjects(rows))
	})
}

const insertLook = `INSERT INTO look (subject_id, node, batch, pos, at, kind, payload, envelope, commitment)
	VALUES ($1::uuid, $2::text, $3::bigint, $4::bigint, $5::bigint, $6::text, $7::bytea, $8::bytea, $9::bytea)
	ON CONFLICT (subject_id, node, batch, pos) DO NOTHING`

func lookValues(r *storage.LookRow) []any {
	k, l := &r.Key, &r.Look
	return []any{id(l.Subject), k.Node, int64(k.Batch), int64(k.Pos), storage.Micros(l.At), l.Kind, l.Payload, l.Envelope, l.Commitment[:]}
}

func lookArgs(r *storage.LookRow) *raw {
	k, l := &r.Key, &r.Look
	return new(raw).binary(l.Subject[:]).text(k.Node).number(int64(k.Batch)).number(int64(k.Pos)). //nolint:gosec // far below
													number(storage.Micros(l.At)).text(l.Kind).binary(l.Payload).binary(l.Envelope).binary(l.Commitment[:])
}

// SpoolSubjects finds whom the looks of an indexed batch are about.
func (s *Store) SpoolSubjects(ctx context.Context, k storage.SpoolKey) ([]abide.SubjectID, error) {
	raw, err := first(list(ctx, s.d, func(s *scanner, v *[]byte) { s.bytes(v) },
		`SELECT subjects FROM spool WHERE node = $1 AND batch = $2 AND subjects IS NOT NULL`, k.Node, int64(k.Batch)))
	if err != nil {
		return nil, err
	}
	return storage.SplitSubjects(*raw)
}

// LooksOf pages through the looks at a subject. The zero key starts at the
// oldest.
func (s *Store) LooksOf(ctx context.Context, subject abide.SubjectID, after storage.LookKey, limit int) ([]storage.LookRow, error) {
	columns := func(s *scanner, v *storage.LookRow) {
		v.Look.Subject = subject
		text(s, &v.Key.Node)
		num(s, &v.Key.Batch)
		num(s, &v.Key.Pos)
		s.at(&v.Look.At)
		text(s, &v.Look.Kind)
		s.bytes(&v.Look.Payload)
		s.bytes(&v.Look.Envelope)
		s.digest(&v.Look.Commitment)
	}
	const start = `SELECT node, batch, pos, at, kind, payload, envelope, commitment FROM look WHERE subject_id = $1 `
	const order = ` ORDER BY at, node, batch, pos LIMIT $2`
	if after == (storage.LookKey{}) {
		return list(ctx, s.d, columns, start+order, id(subject), limit)
	}
	return list(ctx, s.d, columns, start+`AND (at, node, batch, pos) >
		((SELECT at FROM look WHERE subject_id = $1 AND node = $3 AND batch = $4 AND pos = $5), $3, $4, $5)`+order,
		id(subject), limit, after.Node, int64(after.Batch), int64(after.Pos))
}

// Look finds one look at a subject.
func (s *Store) Look(ctx context.Context, subject abide.SubjectID, k storage.LookKey) (*storage.Look, error) {
	return first(list(ctx, s.d, func(s *scanner, v *storage.Look) {
		v.Subject = subject
		s.at(&v.At)
		text(s, &v.Kind)
		s.bytes(&v.Payload)
		s.bytes(&v.Envelope)
		s.digest(&v.Commitment)
	}, `SELECT at, kind, payload, envelope, commitment FROM look
		WHERE subject_id = $1 AND node = $2 AND batch = $3 AND pos = $4`, id(subject), k.Node, int64(k.Batch), int64(k.Pos)))
}

// AddCounters adds to counters, in the order of their keys, so that two nodes
// never wait for each other.
func (s *Store) AddCounters(ctx context.Context, counts []storage.Counter) error {
	if len(counts) == 0 {
		return s.d.usable(ctx)
	}
	counts = slices.Clone(counts)
	slices.SortFunc(counts, func(a, b storage.Counter) int {
		return strings.Compare(a.Name+"\x00"+a.Period+"\x00"+a.Value, b.Name+"\x00"+b.Period+"\x00"+b.Value)
	})
	return s.d.write(ctx, func(b *batch) {
		for _, c := range counts {
			b.Queue(`INSERT INTO counter AS c (name, period, value, n) VALUES ($1, $2, $3, $4)
				ON CONFLICT (name, period, value) DO UPDATE SET n = c.n + excluded.n`, c.Name, c.Period, c.Value, c.N)
		}
	})
}

// Counters lists the counters of a name by period and value.
func (s *Store) Counters(ctx context.Context, name string) ([]storage.Counter, error) {
	return list(ctx, s.d, func(s *scanner, v *storage.Counter) {
		text(s, &v.Name)
		text(s, &v.Value)
		text(s, &v.Period)
		num(s, &v.N)
	}, `SELECT name, value, period, n FROM counter WHERE name = $1 ORDER BY period, value`, name)
}
