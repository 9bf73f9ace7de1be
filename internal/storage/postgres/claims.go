package postgres

import (
	"time"

	"github.com/abide-privacy/abide/internal/storage"
)

// A change takes its look-ups first and settles them last. On one server that
// is one transaction: there is no claim without its item. On many, each
// look-up is on the shard of its value and has a transaction of its own there,
// in the same round trip.

const (
	// sharedByMany refuses a unique claim on a value that others share.
	sharedByMany = `SELECT 1 / (1 - sign(count(*))::int) FROM lookup WHERE index_value = $1
		AND index_key = $2 AND category = $3 AND subject_id <> $4
		AND holder <> '00000000-0000-0000-0000-000000000000'`
	// takeFree refuses a value that another subject claims, whenever that was.
	takeFree = `INSERT INTO lookup AS l
		(index_value, index_key, category, holder, subject_id, expires_at, claimed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (index_value, index_key, category, holder) DO UPDATE
		SET claimed_at = excluded.claimed_at / (l.subject_id = excluded.subject_id)::int,
			expires_at = CASE WHEN l.expires_at IS NULL THEN NULL ELSE excluded.expires_at END`
	settleClaim = `UPDATE lookup SET expires_at = NULL WHERE index_value = $1
		AND index_key = $2 AND category = $3 AND subject_id = $4`
	dropStale = `DELETE FROM lookup WHERE index_value = $1
		AND index_key = $2 AND category = $3 AND subject_id = $4`
)

var isTaken = refusal{divisionByZero, storage.ErrTaken}

func (d *database) queueClaims(b *batch, c *storage.Change) {
	for _, l := range inOrder(c.Claims) {
		expires := l.Expires
		if !d.sharded {
			expires = time.Time{} // confirmed by the commit
		}
		if l.Unique {
			b.refusing(isTaken, sharedByMany, lookupArgs(&l))
		}
		b.refusing(isTaken, takeFree, []any{l.Index.Value, l.Index.Key, string(l.Category), id(storage.Holder(&l)), id(l.Subject),
			maybeAt(expires), storage.Micros(c.Claimed)})
		if d.sharded {
			b.next()
		}
	}
}

func (d *database) settleLookups(b *batch, c *storage.Change) {
	if d.sharded && len(c.Claims)+len(c.Stale) > 0 {
		b.after()
	}
	for i := range c.Claims {
		if d.sharded {
			b.Queue(settleClaim, lookupArgs(&c.Claims[i])...)
		}
	}
	for i := range c.Stale {
		b.Queue(dropStale, lookupArgs(&c.Stale[i])...)
	}
}

func lookupArgs(l *storage.Lookup) []any {
	return []any{l.Index.Value, l.Index.Key, string(l.Category), id(l.Subject)}
}
