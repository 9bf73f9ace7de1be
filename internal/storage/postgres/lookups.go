package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Look-ups lie on the shard of their value. On one server what is done to
// several of them is one transaction, so a page of a rotation or of an import
// costs one sync and not a thousand; it goes in the order of their keys, so that
// two who touch the same rows wait for each other and do not lock each other out.
// On a distributed database each has a transaction of its own on its shard, all
// in one round trip.

// Claim tries every claim; one that is taken does not undo the others. A
// confirmed claim stays confirmed when its own subject claims it again. The row
// that both a claim and its refusal are about is on the shard of the value.
func (s *Store) Claim(ctx context.Context, claims []storage.Lookup, now time.Time) error {
	if s.d.sharded {
		return s.claimEach(ctx, claims, now)
	}
	if len(claims) == 0 {
		return s.d.usable(ctx)
	}
	claims = inOrder(claims)
	taken := make([]bool, len(claims))
	for {
		err := s.d.writeTwice(ctx, func(b *batch) { queueBorne(b, claims, taken, now) })
		var held heldClaim
		switch {
		case errors.As(err, &held):
			taken[held] = true // it undid the others: again, without it
		case err != nil:
			return err
		case slices.Contains(taken, true):
			return storage.ErrTaken
		default:
			return nil
		}
	}
}

// heldClaim is a refused claim of a batch, by its place.
type heldClaim int

func (heldClaim) Error() string { return storage.ErrTaken.Error() }
func (heldClaim) Unwrap() error { return storage.ErrTaken }

// queueBorne queues those claims that are not known to be taken, and marks the
// ones that turn out to be.
func queueBorne(b *batch, claims []storage.Lookup, taken []bool, now time.Time) {
	for i := range claims {
		l := &claims[i]
		if taken[i] {
			continue
		}
		if l.Unique {
			b.refusing(refusal{divisionByZero, heldClaim(i)}, heldByMany, append(lookupArgs(l), maybeAt(now)))
		}
		b.Queue(insertClaim, append(lookupArgs(l), id(storage.Holder(l)), maybeAt(l.Expires), maybeAt(now), l.Borne)...).
			Exec(func(tag pgconn.CommandTag) error {
				taken[i] = tag.RowsAffected() == 0
				return nil
			})
	}
}

func (s *Store) claimEach(ctx context.Context, claims []storage.Lookup, now time.Time) error {
	groups := make([][]step, len(claims))
	for i := range claims {
		l := &claims[i]
		if l.Unique {
			groups[i] = append(groups[i], step{heldByMany, lookupKey(l).maybeAt(now)})
		}
		holder := storage.Holder(l)
		groups[i] = append(groups[i], step{insertClaim, lookupKey(l).binary(holder[:]).maybeAt(l.Expires).maybeAt(now).text(strconv.FormatBool(l.Borne))})
	}
	changed, err := s.d.each(ctx, groups)
	if err != nil {
		return err
	}
	if slices.Contains(changed, 0) {
		return storage.ErrTaken
	}
	return nil
}

// inOrder is the look-ups in the order of their keys.
func inOrder(of []storage.Lookup) []storage.Lookup {
	return slices.SortedStableFunc(slices.Values(of), func(a, b storage.Lookup) int {
		return cmp.Or(bytes.Compare(a.Index.Value, b.Index.Value), cmp.Compare(a.Index.Key, b.Index.Key), cmp.Compare(a.Category, b.Category),
			bytes.Compare(a.Subject[:], b.Subject[:]))
	})
}

const (
	// heldByMany refuses a unique claim on a value that others share already.
	heldByMany = `SELECT 1 / (1 - sign(count(*))::int) FROM lookup WHERE index_value = $1::bytea
		AND index_key = $2::text AND category = $3::text AND subject_id <> $4::uuid
		AND holder <> '00000000-0000-0000-0000-000000000000' AND (expires_at IS NULL OR expires_at > $5::bigint)`
	insertClaim = `INSERT INTO lookup AS l
		(index_value, index_key, category, holder, subject_id, expires_at, claimed_at)
		VALUES ($1::bytea, $2::text, $3::text, $5::uuid, $4::uuid, $6::bigint, $7::bigint)
		ON CONFLICT (index_value, index_key, category, holder) DO UPDATE
		SET subject_id = excluded.subject_id, claimed_at = excluded.claimed_at, expires_at =
			CASE WHEN l.subject_id = excluded.subject_id AND (l.expires_at IS NULL OR $8::boolean AND l.expires_at > excluded.claimed_at)
			THEN l.expires_at ELSE excluded.expires_at END
		WHERE l.subject_id = excluded.subject_id OR l.expires_at <= excluded.claimed_at`
	confirmClaim = `UPDATE lookup SET expires_at = NULL WHERE index_value = $1::bytea
		AND index_key = $2::text AND category = $3::text AND subject_id = $4::uuid`
	dropClaim = `DELETE FROM lookup WHERE index_value = $1::bytea
		AND index_key = $2::text AND category = $3::text AND subject_id = $4::uuid`
)

// lookupKey is the first four parameters of the statements here.
func lookupKey(l *storage.Lookup) *raw {
	return new(raw).binary(l.Index.Value).text(l.Index.Key).text(string(l.Category)).binary(l.Subject[:])
}

// Confirm makes claims permanent. A claim that expired and was taken by
// another subject meanwhile is left alone.
func (s *Store) Confirm(ctx context.Context, claims []storage.Lookup) error {
	return s.eachLookup(ctx, claims, confirmClaim)
}

// Drop removes look-ups.
func (s *Store) Drop(ctx context.Context, claims []storage.Lookup) error {
	return s.eachLookup(ctx, claims, dropClaim)
}

func (s *Store) eachLookup(ctx context.Context, claims []storage.Lookup, query string) error {
	if len(claims) == 0 {
		return s.d.usable(ctx)
	}
	if s.d.sharded {
		groups := make([][]step, len(claims))
		for i := range claims {
			groups[i] = []step{{query, lookupKey(&claims[i])}}
		}
		_, err := s.d.each(ctx, groups)
		return err
	}
	claims = inOrder(claims)
	return s.d.writeTwice(ctx, func(b *batch) {
		for i := range claims {
			b.Queue(query, lookupArgs(&claims[i])...)
		}
	})
}

// Find returns claims on any of the values, expired ones too: the finder
// checks each against the subject's item.
func (s *Store) Find(ctx context.Context, category abide.Category, values []storage.IndexValue, limit int) ([]storage.Lookup, storage.IndexKeys, error) {
	var found []storage.Claimed
	var now storage.Epoch
	err := s.d.read(ctx, func(b *pgx.Batch) {
		found = nil
		for _, v := range values {
			columns := func(s *scanner, c *storage.Claimed) {
				c.Category, c.Index = category, v
				s.id(&c.Subject)
				s.dest = append(s.dest, &c.Unique)
				s.at(&c.Expires)
				num(s, &c.At)
			}
			many(b, columns, func(rows []storage.Claimed) { found = append(found, rows...) },
				`SELECT subject_id, holder <> subject_id, expires_at, claimed_at FROM lookup
				WHERE index_value = $1 AND index_key = $2 AND category = $3 ORDER BY claimed_at DESC, subject_id LIMIT $4`,
				v.Value, v.Key, string(category), limit)
		}
		one(b, epochRow, func(e storage.Epoch) { now = e }, epochQuery) // last: a rotation that began before it is seen
	})
	if err != nil {
		return nil, "", err
	}
	return storage.NewestFirst(found, limit), now.Index, nil
}
