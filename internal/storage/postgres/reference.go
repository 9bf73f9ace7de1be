package postgres

import (
	"context"

	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Publish puts a policy in force with its log entry.
func (s *Store) Publish(ctx context.Context, p *storage.PolicyRow, terms []storage.TermsRow, expect uint64, entry storage.Entry) error {
	if err := p.Check(expect, &entry); err != nil {
		return err
	}
	return s.d.write(ctx, func(b *batch) {
		b.refuse(`SELECT 1 / count(*) FROM (SELECT 1 FROM policy_epoch WHERE id = 1 AND n = $1 FOR UPDATE) AS held`, int64(expect))
		b.Queue(`UPDATE policy_epoch SET n = $1, version = $2, since = $3 WHERE id = 1`,
			int64(p.N), p.Version, storage.Micros(p.Published))
		b.Queue(`INSERT INTO policy_version (n, version, source, published_at, published_by) VALUES ($1, $2, $3, $4, $5)`,
			int64(p.N), p.Version, p.Source, storage.Micros(p.Published), p.By)
		for i := range terms {
			b.Queue(`INSERT INTO terms (digest, purpose, canonical) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
				terms[i].Digest, string(terms[i].Purpose), terms[i].Canonical)
		}
		b.insertNew(insertEntry, entryArgs(&entry)...)
		b.Queue(`INSERT INTO pending (subject_id, n, commitment) VALUES ($1, $2, $3)`,
			id(entry.Subject), int64(entry.N), entry.Commitment[:])
	})
}

// Epoch is the policy in force.
func (s *Store) Epoch(ctx context.Context) (storage.Epoch, error) {
	e, err := first(list(ctx, s.d, epochRow, epochQuery))
	switch {
	case err != nil:
		return storage.Epoch{}, err
	case e.N == 0:
		return *e, storage.ErrNotFound
	}
	return *e, nil
}

func policyRow(s *scanner, v *storage.PolicyRow) {
	text(s, &v.Version)
	num(s, &v.N)
	s.bytes(&v.Source)
	s.at(&v.Published)
	text(s, &v.By)
}

// Policies lists published policies without their source.
func (s *Store) Policies(ctx context.Context) ([]storage.PolicyRow, error) {
	return list(ctx, s.d, policyRow, `SELECT version, n, NULL::bytea, published_at, published_by FROM policy_version ORDER BY n`)
}

// Policy is the latest publication of a version.
func (s *Store) Policy(ctx context.Context, version string) (*storage.PolicyRow, error) {
	return first(list(ctx, s.d, policyRow, `SELECT version, n, source, published_at, published_by FROM policy_version
		WHERE version = $1 ORDER BY n DESC LIMIT 1`, version))
}

// AllTerms lists all terms ever published, by digest.
func (s *Store) AllTerms(ctx context.Context) ([]storage.TermsRow, error) {
	return list(ctx, s.d, func(s *scanner, v *storage.TermsRow) {
		text(s, &v.Digest)
		text(s, &v.Purpose)
		s.bytes(&v.Canonical)
	}, `SELECT digest, purpose, canonical FROM terms ORDER BY digest`)
}

// PutToken stores a token; one with the same hash is replaced.
func (s *Store) PutToken(ctx context.Context, t *storage.TokenRow) error {
	actor, err := storage.EncodeActor(t)
	if err != nil {
		return err
	}
	return s.d.write(ctx, func(b *batch) {
		b.Queue(`INSERT INTO token (hash, name, actor, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (hash) DO UPDATE SET name = excluded.name, actor = excluded.actor,
			created_at = excluded.created_at, expires_at = excluded.expires_at`,
			t.Hash, t.Name, string(actor), storage.Micros(t.Created), maybeAt(t.Expires))
	})
}

// Token finds a token by its hash.
func (s *Store) Token(ctx context.Context, hash []byte) (*storage.TokenRow, error) {
	return first(s.tokens(ctx, `WHERE hash = $1`, hash))
}

// Tokens lists tokens by name.
func (s *Store) Tokens(ctx context.Context) ([]storage.TokenRow, error) {
	return s.tokens(ctx, `ORDER BY name, hash`)
}

func (s *Store) tokens(ctx context.Context, tail string, args ...any) ([]storage.TokenRow, error) {
	type row struct {
		token storage.TokenRow
		actor string
	}
	rows, err := list(ctx, s.d, func(s *scanner, v *row) {
		s.bytes(&v.token.Hash)
		text(s, &v.token.Name)
		text(s, &v.actor)
		s.at(&v.token.Created)
		s.at(&v.token.Expires)
	}, `SELECT hash, name, actor, created_at, expires_at FROM token `+tail, args...)
	if err != nil {
		return nil, err
	}
	var out []storage.TokenRow
	for i := range rows {
		t := rows[i].token
		if err := storage.DecodeActor([]byte(rows[i].actor), &t); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

const dropToken = `DELETE FROM token WHERE hash = $1::bytea`

// DropToken removes every token of a name; none is storage.ErrNotFound. Each
// is removed on its own shard: over several, a commit in two phases would be
// acknowledged before the last of them refuses the token.
func (s *Store) DropToken(ctx context.Context, name string) error {
	hashes, err := list(ctx, s.d, func(s *scanner, v *[]byte) { s.bytes(v) }, `SELECT hash FROM token WHERE name = $1`, name)
	if err != nil {
		return err
	}
	groups := make([][]step, len(hashes))
	for i, hash := range hashes {
		groups[i] = []step{{dropToken, new(raw).binary(hash)}}
	}
	if _, err := s.d.each(ctx, groups); err != nil {
		return err
	}
	if len(hashes) == 0 {
		return storage.ErrNotFound
	}
	return nil
}

// PutRecord inserts or replaces a record that is at version Expect.
func (s *Store) PutRecord(ctx context.Context, r *storage.Record) error {
	if r.Expect == 0 {
		return s.d.mustChange(ctx, storage.ErrConflict, `INSERT INTO record (kind, name, version, body, at)
			VALUES ($1, $2, 1, $3, $4) ON CONFLICT DO NOTHING`, r.Kind, r.Name, r.Body, storage.Micros(r.At))
	}
	return s.d.mustChange(ctx, storage.ErrConflict, `UPDATE record SET version = version + 1, body = $4, at = $5
		WHERE kind = $1 AND name = $2 AND version = $3`, r.Kind, r.Name, int64(r.Expect), r.Body, storage.Micros(r.At))
}

// Records lists the records of a kind by name.
func (s *Store) Records(ctx context.Context, kind string) ([]storage.Record, error) {
	return list(ctx, s.d, func(s *scanner, v *storage.Record) {
		text(s, &v.Kind)
		text(s, &v.Name)
		num(s, &v.Version)
		s.bytes(&v.Body)
		s.at(&v.At)
	}, `SELECT kind, name, version, body, at FROM record WHERE kind = $1 ORDER BY name`, kind)
}

// DropRecord removes a record; none is storage.ErrNotFound.
func (s *Store) DropRecord(ctx context.Context, kind, name string) error {
	return s.d.mustChange(ctx, storage.ErrNotFound, `DELETE FROM record WHERE kind = $1 AND name = $2`, kind, name)
}

// mustChange runs a statement that finds something to change, or gives refusal.
func (d *database) mustChange(ctx context.Context, refusal error, query string, args ...any) error {
	changed := false
	err := d.write(ctx, func(b *batch) {
		b.Queue(query, args...).Exec(func(tag pgconn.CommandTag) error {
			changed = tag.RowsAffected() > 0
			return nil
		})
	})
	if err == nil && !changed {
		return refusal
	}
	return err
}

// PutMeta keeps the first value put under a name.
func (s *Store) PutMeta(ctx context.Context, name string, value []byte) ([]byte, error) {
	return s.d.putMeta(ctx, "meta", name, value)
}

func (d *database) putMeta(ctx context.Context, table, name string, value []byte) ([]byte, error) {
	var stored []byte
	err := d.writeTwice(ctx, func(b *batch) {
		b.Queue(`INSERT INTO `+table+` (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, value)
		b.Queue(`SELECT value FROM `+table+` WHERE name = $1`, name).
			QueryRow(func(row pgx.Row) error { return row.Scan(&stored) })
	})
	return stored, err
}
