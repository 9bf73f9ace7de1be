package postgres

import (
	"context"

	"github.com/abide-privacy/abide/internal/storage"
)

// Commit sends the change as one pipeline. Its first statements refuse if a
// look-up is taken, or the policy epoch or the subject's version is another one;
// the last of these also locks the subject until the commit. All others name one
// subject, so they go to one shard. Where look-ups lie on other shards, they have
// transactions of their own (claims.go); on one server they have none, so that a
// collection costs one sync.
func (s *Store) Commit(ctx context.Context, c *storage.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	return s.d.write(ctx, func(b *batch) {
		s.d.queueClaims(b, c)
		if c.Epoch != 0 {
			b.refuse(`SELECT 1 / count(*) FROM policy_epoch WHERE id = 1 AND n = $1`, int64(c.Epoch))
		}
		queueSubject(b, c)
		queueItems(b, c)
		if c.Indexes() {
			// Behind the items: from the first of them on the transaction holds a
			// lock on their table that SetIndex waits for, so either this statement
			// sees the other keys or whoever set them sees the items.
			b.refuse(`SELECT 1 / count(*) FROM policy_epoch WHERE id = 1 AND coalesce(index_keys, '') = $1`, string(c.Index))
		}
		queueConsents(b, c)
		queueFacts(b, c)
		for i := range c.Entries {
			queueEntry(b, &c.Entries[i])
		}
		queueJobs(b, c)
		s.d.settleLookups(b, c)
	})
}

func queueSubject(b *batch, c *storage.Change) {
	r := &c.Row
	if c.Expect == 0 {
		b.insertNew(`INSERT INTO subject
			(subject_id, kind, status, version, next_due_at, sealed, law, entry_n, consent_n, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			id(r.ID), string(r.Kind), string(r.Status), int64(r.Version), maybeAt(r.NextDue), r.Sealed, r.Law,
			int64(r.EntryN), int64(r.ConsentN), storage.Micros(r.Created))
		return
	}
	b.refuse(`SELECT 1 / count(*) FROM (SELECT 1 FROM subject WHERE subject_id = $1 AND version = $2 FOR UPDATE) AS held`,
		id(r.ID), int64(c.Expect))
	b.Queue(`UPDATE subject SET kind = $2, status = $3, version = $4, next_due_at = $5, sealed = $6, law = $7,
		entry_n = $8, consent_n = $9 WHERE subject_id = $1`, id(r.ID), string(r.Kind), string(r.Status), int64(r.Version), maybeAt(r.NextDue), r.Sealed, r.Law,
		int64(r.EntryN), int64(r.ConsentN))
}

func queueItems(b *batch, c *storage.Change) {
	for i := range c.DropItems {
		d := &c.DropItems[i]
		b.Queue(`DELETE FROM item WHERE subject_id = $1 AND category = $2 AND item_id = $3`,
			id(c.Row.ID), string(d.Category), id(d.ID))
	}
	for i := range c.PutItems {
		t := &c.PutItems[i]
		b.Queue(`INSERT INTO item
			(subject_id, category, item_id, version, compartment, sealed, index_key, index_value, due_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (subject_id, category, item_id) DO UPDATE SET version = excluded.version,
			compartment = excluded.compartment, sealed = excluded.sealed, index_key = excluded.index_key,
			index_value = excluded.index_value, due_at = excluded.due_at`,
			id(c.Row.ID), string(t.Category), id(t.ID), int64(t.Version), int64(t.Compartment), t.Sealed,
			maybeText(t.IndexKey), t.Index, maybeAt(t.Due))
	}
}

func queueConsents(b *batch, c *storage.Change) {
	for i := range c.Consents {
		e := &c.Consents[i]
		b.Queue(`INSERT INTO consent_event (subject_id, n, at, purpose, action, terms, sealed)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			id(c.Row.ID), int64(e.N), storage.Micros(e.At), string(e.Purpose), string(e.Action), e.Terms, e.Sealed)
	}
	for i := range c.ConsentIndex {
		x := &c.ConsentIndex[i]
		b.Queue(`INSERT INTO consent_index (subject_id, purpose, terms, effect) VALUES ($1, $2, $3, $4)
			ON CONFLICT (subject_id, purpose) DO UPDATE SET terms = excluded.terms, effect = excluded.effect`,
			id(c.Row.ID), string(x.Purpose), x.Terms, x.Effect)
	}
}

func queueFacts(b *batch, c *storage.Change) {
	for i := range c.Facts {
		f := &c.Facts[i]
		b.Queue(`INSERT INTO fact (subject_id, anchor, event, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (subject_id, anchor, event) DO UPDATE SET at = excluded.at`,
			id(c.Row.ID), f.Anchor, f.Event, storage.Micros(f.At))
	}
}

func queueEntry(b *batch, e *storage.Entry) {
	b.Queue(insertEntry, entryArgs(e)...)
	b.Queue(`INSERT INTO pending (subject_id, n, commitment) VALUES ($1, $2, $3)`,
		id(e.Subject), int64(e.N), e.Commitment[:])
}

const insertEntry = `INSERT INTO entry (subject_id, n, at, kind, payload, envelope, commitment)
	VALUES ($1, $2, $3, $4, $5, $6, $7)`

func entryArgs(e *storage.Entry) []any {
	return []any{id(e.Subject), int64(e.N), storage.Micros(e.At), e.Kind, e.Payload, e.Envelope, e.Commitment[:]}
}

func queueJobs(b *batch, c *storage.Change) {
	if m := c.Idempotency; m != nil {
		b.Queue(`INSERT INTO idempotency (subject_id, key, digest, sealed, expires_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (subject_id, key) DO UPDATE SET digest = excluded.digest, sealed = excluded.sealed,
			expires_at = excluded.expires_at`,
			id(c.Row.ID), m.Key, m.Digest, m.Sealed, storage.Micros(m.Expires))
	}
	if j := c.Erasure; j != nil {
		b.Queue(`INSERT INTO erasure_job (subject_id, step, certificate, started_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (subject_id) DO UPDATE SET step = excluded.step,
			certificate = coalesce(excluded.certificate, erasure_job.certificate), started_at = excluded.started_at`,
			id(c.Row.ID), j.Step, j.Certificate, storage.Micros(j.Started))
	}
}
