package sqlite

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Publish puts a policy in force with its log entry.
func (s *Store) Publish(ctx context.Context, p *storage.PolicyRow, terms []storage.TermsRow, expect uint64, entry storage.Entry) error {
	if err := p.Check(expect, &entry); err != nil {
		return err
	}
	return s.f.w.do(ctx, len(p.Source), func(w *writeConn) error {
		if now, err := w.epochNow(); err != nil || now.N != expect {
			return orConflict(err)
		}
		taken, err := w.one(`SELECT 1 FROM entry WHERE subject_id = ? AND n = ?`, func(*row) {}, entry.Subject[:], num(entry.N))
		if err != nil || taken {
			return orConflict(err)
		}
		w.hasEpoch = false
		return w.publish(p, terms, &entry)
	})
}

func orConflict(err error) error {
	if err == nil {
		return storage.ErrConflict
	}
	return err
}

func (w *writeConn) publish(p *storage.PolicyRow, terms []storage.TermsRow, entry *storage.Entry) error {
	if _, err := w.exec(`INSERT INTO policy_version (n, version, source, published_at, published_by) VALUES (?, ?, ?, ?, ?)`,
		num(p.N), p.Version, p.Source, at(p.Published), p.By); err != nil {
		return err
	}
	if _, err := w.exec(`INSERT INTO policy_epoch (id, n, version, since) VALUES (1, ?, ?, ?)
		ON CONFLICT DO UPDATE SET n = excluded.n, version = excluded.version, since = excluded.since`,
		num(p.N), p.Version, at(p.Published)); err != nil {
		return err
	}
	for i := range terms {
		if _, err := w.exec(`INSERT INTO terms (digest, purpose, canonical) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			terms[i].Digest, string(terms[i].Purpose), terms[i].Canonical); err != nil {
			return err
		}
	}
	return w.putEntry(entry)
}

// Epoch is the policy in force.
func (s *Store) Epoch(ctx context.Context) (storage.Epoch, error) {
	var e storage.Epoch
	err := s.f.readers.read(ctx, func(c *conn) error { return c.readEpoch(&e) })
	if err == nil && e.N == 0 {
		err = storage.ErrNotFound
	}
	return e, err
}

// Policies lists published policies without their source.
func (s *Store) Policies(ctx context.Context) ([]storage.PolicyRow, error) {
	return list(ctx, s, `SELECT version, n, NULL, published_at, published_by FROM policy_version ORDER BY n`, scanPolicy)
}

// Policy is the latest publication of a version.
func (s *Store) Policy(ctx context.Context, version string) (*storage.PolicyRow, error) {
	rows, err := list(ctx, s, `SELECT version, n, source, published_at, published_by FROM policy_version
		WHERE version = ? ORDER BY n DESC LIMIT 1`, scanPolicy, version)
	return first(rows, err)
}

func scanPolicy(r *row) storage.PolicyRow {
	return storage.PolicyRow{Version: r.text(), N: uint64(r.int()), Source: r.bytes(), Published: r.at(), By: r.text()}
}

func first[T any](rows []T, err error) (*T, error) {
	switch {
	case err != nil:
		return nil, err
	case len(rows) == 0:
		return nil, storage.ErrNotFound
	}
	return &rows[0], nil
}

// AllTerms lists all terms ever published, by digest.
func (s *Store) AllTerms(ctx context.Context) ([]storage.TermsRow, error) {
	return list(ctx, s, `SELECT digest, purpose, canonical FROM terms ORDER BY digest`, func(r *row) storage.TermsRow {
		return storage.TermsRow{Digest: r.text(), Purpose: abide.Purpose(r.text()), Canonical: r.bytes()}
	})
}

// PutToken stores a token; one with the same hash is replaced.
func (s *Store) PutToken(ctx context.Context, t *storage.TokenRow) error {
	actor, err := storage.EncodeActor(t)
	if err != nil {
		return err
	}
	return s.f.w.do(ctx, 512, func(w *writeConn) error {
		_, err := w.exec(`INSERT INTO token (hash, name, actor, created_at, expires_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET name = excluded.name, actor = excluded.actor,
			created_at = excluded.created_at, expires_at = excluded.expires_at`,
			t.Hash, t.Name, string(actor), at(t.Created), maybeAt(t.Expires))
		return err
	})
}

// Token finds a token by its hash.
func (s *Store) Token(ctx context.Context, hash []byte) (*storage.TokenRow, error) {
	return first(s.tokens(ctx, `WHERE hash = ?`, hash))
}

// Tokens lists tokens by name.
func (s *Store) Tokens(ctx context.Context) ([]storage.TokenRow, error) {
	return s.tokens(ctx, `ORDER BY name, hash`)
}

func (s *Store) tokens(ctx context.Context, tail string, args ...any) ([]storage.TokenRow, error) {
	var out []storage.TokenRow
	err := s.f.readers.read(ctx, func(c *conn) error {
		out = nil
		return c.query(`SELECT hash, name, actor, created_at, expires_at FROM token `+tail, func(r *row) error {
			t := storage.TokenRow{Hash: r.bytes(), Name: r.text()}
			if err := storage.DecodeActor([]byte(r.text()), &t); err != nil {
				return err
			}
			t.Created, t.Expires = r.at(), r.maybeAt()
			out = append(out, t)
			return nil
		}, values(args)...)
	})
	return out, err
}

// DropToken removes every token of a name; none is storage.ErrNotFound.
func (s *Store) DropToken(ctx context.Context, name string) error {
	return s.f.w.mustChange(ctx, `DELETE FROM token WHERE name = ?`, name)
}

// PutRecord inserts or replaces a record that is at version Expect.
func (s *Store) PutRecord(ctx context.Context, r *storage.Record) error {
	return s.f.w.do(ctx, len(r.Body), func(w *writeConn) error {
		var n int64
		var err error
		if r.Expect == 0 {
			n, err = w.exec(`INSERT INTO record (kind, name, version, body, at) VALUES (?, ?, 1, ?, ?) ON CONFLICT DO NOTHING`,
				r.Kind, r.Name, r.Body, at(r.At))
		} else {
			n, err = w.exec(`UPDATE record SET version = version + 1, body = ?, at = ? WHERE kind = ? AND name = ? AND version = ?`,
				r.Body, at(r.At), r.Kind, r.Name, num(r.Expect))
		}
		if err == nil && n == 0 {
			err = storage.ErrConflict
		}
		return err
	})
}

// Records lists the records of a kind by name.
func (s *Store) Records(ctx context.Context, kind string) ([]storage.Record, error) {
	return list(ctx, s, `SELECT kind, name, version, body, at FROM record WHERE kind = ? ORDER BY name`, func(r *row) storage.Record {
		return storage.Record{Kind: r.text(), Name: r.text(), Version: uint64(r.int()), Body: r.bytes(), At: r.at()}
	}, kind)
}

// DropRecord removes a record; none is storage.ErrNotFound.
func (s *Store) DropRecord(ctx context.Context, kind, name string) error {
	return s.f.w.mustChange(ctx, `DELETE FROM record WHERE kind = ? AND name = ?`, kind, name)
}

// mustChange runs a statement that finds something to change, or refuses.
func (w *writer) mustChange(ctx context.Context, query string, args ...any) error {
	return w.do(ctx, 64, func(w *writeConn) error {
		n, err := w.exec(query, values(args)...)
		if err == nil && n == 0 {
			err = storage.ErrNotFound
		}
		return err
	})
}

// PutMeta keeps the first value put under a name.
func (s *Store) PutMeta(ctx context.Context, name string, value []byte) ([]byte, error) {
	return s.f.w.putMeta(ctx, name, value)
}

func (w *writer) putMeta(ctx context.Context, name string, value []byte) ([]byte, error) {
	var stored []byte
	err := w.do(ctx, len(value), func(w *writeConn) error {
		if _, err := w.exec(`INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, value); err != nil {
			return err
		}
		_, err := w.one(`SELECT value FROM meta WHERE name = ?`, func(r *row) { stored = r.bytes() }, name)
		return err
	})
	return stored, err
}
