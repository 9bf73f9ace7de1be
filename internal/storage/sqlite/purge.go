package sqlite

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// PurgeItems drops the look-ups of a page of items, then the items. The
// look-ups go first, in a transaction of their own as on a sharded database:
// if the process dies in between, the items are still there to tell which
// look-ups are theirs. So are those whose index value was replaced meanwhile:
// their turn comes with the look-ups that they have now.
func (s *Store) PurgeItems(ctx context.Context, id abide.SubjectID, compartments []storage.Compartment, limit int) ([]storage.Lookup, bool, error) {
	set := compartmentSet(compartments)
	var page []storage.Item
	err := s.f.readers.snapshot(ctx, func(c *conn) error {
		page = nil
		if err := c.mustBeErasing(id); err != nil {
			return err
		}
		return c.query(`SELECT `+itemColumns+` FROM item WHERE subject_id = ? AND (1 << compartment) & ? <> 0
			ORDER BY category, item_id LIMIT ?`, func(r *row) error {
			page = append(page, scanItem(r))
			return nil
		}, id[:], set, int64(limit))
	})
	if err != nil {
		return nil, false, err
	}
	dropped := storage.LookupsOf(id, page)
	if err := s.Drop(ctx, dropped); err != nil {
		return nil, false, err
	}
	var more bool
	err = s.f.w.do(ctx, 1024*len(page), func(w *writeConn) error {
		more = false
		if err := w.mustBeErasing(id); err != nil {
			return err
		}
		return w.purge(id, set, page, &more)
	})
	return dropped, more, err
}

func compartmentSet(compartments []storage.Compartment) int64 {
	var set int64
	for _, c := range compartments {
		set |= 1 << c
	}
	return set
}

func (c *conn) mustBeErasing(id abide.SubjectID) error {
	var status abide.Status
	found, err := c.one(`SELECT status FROM subject WHERE subject_id = ?`, func(r *row) { status = abide.Status(r.text()) }, id[:])
	switch {
	case err != nil:
		return err
	case !found:
		return storage.ErrNotFound
	case status != abide.StatusErasing && status != abide.StatusErased:
		return storage.ErrConflict
	}
	return nil
}

func (w *writeConn) purge(id abide.SubjectID, set int64, page []storage.Item, more *bool) error {
	for i := range page {
		if _, err := w.exec(`DELETE FROM item WHERE subject_id = ? AND category = ? AND item_id = ? AND index_value IS ?`,
			id[:], string(page[i].Category), page[i].ID[:], page[i].Index); err != nil {
			return err
		}
	}
	for _, q := range []string{`DELETE FROM idempotency WHERE subject_id = ?`, `DELETE FROM consent_index WHERE subject_id = ?`} {
		if _, err := w.exec(q, id[:]); err != nil {
			return err
		}
	}
	var err error
	if *more, err = w.one(`SELECT 1 FROM item WHERE subject_id = ? AND (1 << compartment) & ? <> 0 LIMIT 1`,
		func(*row) {}, id[:], set); err != nil || *more {
		return err
	}
	if set&(1<<storage.Law) != 0 {
		if _, err := w.exec(`DELETE FROM consent_event WHERE subject_id = ?`, id[:]); err != nil {
			return err
		}
	}
	// Deadlines of what law keeps may still wait for facts.
	_, err = w.exec(`DELETE FROM fact WHERE subject_id = ?1 AND NOT EXISTS (SELECT 1 FROM item WHERE subject_id = ?1)`, id[:])
	return err
}
