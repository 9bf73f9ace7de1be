package sqlite

import (
	"context"

	"github.com/abide-privacy/abide/internal/storage"
)

// Commit queues the change for the next group commit.
func (s *Store) Commit(ctx context.Context, c *storage.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	return s.f.w.do(ctx, changeSize(c), func(w *writeConn) error { return w.applyChange(c) })
}

// changeSize is roughly the number of bytes that the change writes.
func changeSize(c *storage.Change) int {
	n := 512 + len(c.Row.Sealed) + len(c.Row.Law)
	for i := range c.PutItems {
		n += 128 + len(c.PutItems[i].Sealed)
	}
	for i := range c.Consents {
		n += 128 + len(c.Consents[i].Sealed)
	}
	for i := range c.Entries {
		n += 256 + len(c.Entries[i].Payload) + len(c.Entries[i].Envelope)
	}
	return n + 128*(len(c.Claims)+len(c.Stale))
}

// applyChange checks what can refuse the change (the policy epoch, look-ups
// that are taken, the subject's version) before anything is written, so that a refusal leaves
// nothing to roll back and no savepoint is needed.
func (w *writeConn) applyChange(c *storage.Change) error {
	if c.Epoch != 0 || c.Indexes() {
		now, err := w.epochNow()
		if err != nil {
			return err
		}
		if c.Epoch != 0 && now.N != c.Epoch || c.Indexes() && now.Index != c.Index {
			return storage.ErrConflict
		}
	}
	if err := w.free(c.Claims); err != nil {
		return err
	}
	for _, step := range []func(*storage.Change) error{
		w.putSubject, w.putItems, w.putConsents, w.putFacts, w.putEntries, w.putJobs, w.putLookups,
	} {
		if err := step(c); err != nil {
			return err
		}
	}
	return nil
}

// epochNow is the policy epoch and the index keys in force, read once in a
// transaction: nobody else can change them while the writer holds the lock.
func (w *writeConn) epochNow() (storage.Epoch, error) {
	if w.hasEpoch {
		return w.epoch, nil
	}
	w.epoch = storage.Epoch{}
	err := w.readEpoch(&w.epoch)
	w.hasEpoch = err == nil
	return w.epoch, err
}

func (w *writeConn) putSubject(c *storage.Change) error {
	r := &c.Row
	var n int64
	var err error
	if c.Expect == 0 {
		n, err = w.exec(`INSERT INTO subject
			(subject_id, kind, status, version, next_due_at, sealed, law, entry_n, consent_n, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			r.ID[:], string(r.Kind), string(r.Status), num(r.Version), maybeAt(r.NextDue), r.Sealed, r.Law,
			num(r.EntryN), num(r.ConsentN), at(r.Created))
	} else {
		n, err = w.exec(`UPDATE subject SET kind = ?, status = ?, version = ?, next_due_at = ?, sealed = ?, law = ?,
			entry_n = ?, consent_n = ? WHERE subject_id = ? AND version = ?`,
			string(r.Kind), string(r.Status), num(r.Version), maybeAt(r.NextDue), r.Sealed, r.Law,
			num(r.EntryN), num(r.ConsentN), r.ID[:], num(c.Expect))
	}
	if err == nil && n == 0 {
		err = storage.ErrConflict
	}
	return err
}

func (w *writeConn) putItems(c *storage.Change) error {
	id := c.Row.ID[:]
	for i := range c.DropItems {
		d := &c.DropItems[i]
		if _, err := w.exec(`DELETE FROM item WHERE subject_id = ? AND category = ? AND item_id = ?`,
			id, string(d.Category), d.ID[:]); err != nil {
			return err
		}
	}
	for i := range c.PutItems {
		t := &c.PutItems[i]
		if _, err := w.exec(`INSERT INTO item
			(subject_id, category, item_id, version, compartment, sealed, index_key, index_value, due_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET version = excluded.version, compartment = excluded.compartment,
			sealed = excluded.sealed, index_key = excluded.index_key, index_value = excluded.index_value,
			due_at = excluded.due_at`,
			id, string(t.Category), t.ID[:], num(t.Version), num(t.Compartment), t.Sealed,
			maybeText(t.IndexKey), t.Index, maybeAt(t.Due)); err != nil {
			return err
		}
	}
	return nil
}

func (w *writeConn) putConsents(c *storage.Change) error {
	id := c.Row.ID[:]
	for i := range c.Consents {
		e := &c.Consents[i]
		if _, err := w.exec(`INSERT INTO consent_event (subject_id, n, at, purpose, action, terms, sealed)
			VALUES (?, ?, ?, ?, ?, ?, ?)`,
			id, num(e.N), at(e.At), string(e.Purpose), string(e.Action), e.Terms, e.Sealed); err != nil {
			return err
		}
	}
	for i := range c.ConsentIndex {
		x := &c.ConsentIndex[i]
		if _, err := w.exec(`INSERT INTO consent_index (subject_id, purpose, terms, effect) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET terms = excluded.terms, effect = excluded.effect`,
			id, string(x.Purpose), x.Terms, x.Effect); err != nil {
			return err
		}
	}
	return nil
}

func (w *writeConn) putFacts(c *storage.Change) error {
	for i := range c.Facts {
		f := &c.Facts[i]
		if _, err := w.exec(`INSERT INTO fact (subject_id, anchor, event, at) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET at = excluded.at`,
			c.Row.ID[:], f.Anchor, f.Event, at(f.At)); err != nil {
			return err
		}
	}
	return nil
}

func (w *writeConn) putEntries(c *storage.Change) error {
	for i := range c.Entries {
		if err := w.putEntry(&c.Entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writeConn) putEntry(e *storage.Entry) error {
	if _, err := w.exec(`INSERT INTO entry (subject_id, n, at, kind, payload, envelope, commitment)
		VALUES (?, ?, ?, ?, ?, ?, ?)`,
		e.Subject[:], num(e.N), at(e.At), e.Kind, e.Payload, e.Envelope, e.Commitment[:]); err != nil {
		return err
	}
	_, err := w.exec(`INSERT INTO pending (subject_id, n, commitment) VALUES (?, ?, ?)`,
		e.Subject[:], num(e.N), e.Commitment[:])
	return err
}

func (w *writeConn) putJobs(c *storage.Change) error {
	id := c.Row.ID[:]
	if m := c.Idempotency; m != nil {
		if _, err := w.exec(`INSERT INTO idempotency (subject_id, key, digest, sealed, expires_at)
			VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET digest = excluded.digest,
			sealed = excluded.sealed, expires_at = excluded.expires_at`,
			id, m.Key, m.Digest, m.Sealed, at(m.Expires)); err != nil {
			return err
		}
	}
	if j := c.Erasure; j != nil {
		if _, err := w.exec(`INSERT INTO erasure_job (subject_id, step, certificate, started_at)
			VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET step = excluded.step,
			certificate = coalesce(excluded.certificate, certificate), started_at = excluded.started_at`,
			id, j.Step, j.Certificate, at(j.Started)); err != nil {
			return err
		}
	}
	return nil
}
