package postgres

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
)

// PurgeItems drops the look-ups of a page of items, which live on other shards,
// and then the items: if the process dies in between, the items are still there
// to tell which look-ups are theirs. So are those whose index value was replaced
// meanwhile: their turn comes with the look-ups that they have now.
func (s *Store) PurgeItems(ctx context.Context, subject abide.SubjectID, compartments []storage.Compartment, limit int) ([]storage.Lookup, bool, error) {
	set := make([]int64, len(compartments))
	law := false
	for i, c := range compartments {
		set[i] = int64(c)
		law = law || c == storage.Law
	}
	page, err := s.purgePage(ctx, subject, set, limit)
	if err != nil {
		return nil, false, err
	}
	dropped := storage.LookupsOf(subject, page)
	if err := s.Drop(ctx, dropped); err != nil {
		return nil, false, err
	}
	inCompartments, any := false, false
	erased := func(b *batch) {
		b.refuse(`SELECT 1 / count(*) FROM subject WHERE subject_id = $1 AND status IN ('erasing', 'erased')`, id(subject))
	}
	err = s.d.writeTwice(ctx, func(b *batch) {
		erased(b)
		for i := range page {
			b.Queue(`DELETE FROM item WHERE subject_id = $1 AND category = $2 AND item_id = $3 AND index_value IS NOT DISTINCT FROM $4::bytea`,
				id(subject), string(page[i].Category), id(page[i].ID), page[i].Index)
		}
		b.Queue(`DELETE FROM idempotency WHERE subject_id = $1`, id(subject))
		b.Queue(`DELETE FROM consent_index WHERE subject_id = $1`, id(subject))
		b.Queue(`SELECT EXISTS (SELECT 1 FROM item WHERE subject_id = $1 AND compartment = ANY($2))`, id(subject), set).
			QueryRow(func(row pgx.Row) error { return row.Scan(&inCompartments) })
		b.Queue(`SELECT EXISTS (SELECT 1 FROM item WHERE subject_id = $1)`, id(subject)).
			QueryRow(func(row pgx.Row) error { return row.Scan(&any) })
	})
	if err != nil || inCompartments || !law && any {
		return dropped, inCompartments, err
	}
	// The last page: what goes with the last item. Nobody adds items to a
	// subject that is being erased, and whoever is killed in between comes by
	// here again.
	return dropped, false, s.d.writeTwice(ctx, func(b *batch) {
		erased(b)
		if law {
			b.Queue(`DELETE FROM consent_event WHERE subject_id = $1`, id(subject))
		}
		if !any { // otherwise deadlines of what law keeps may still wait for facts
			b.Queue(`DELETE FROM fact WHERE subject_id = $1`, id(subject))
		}
	})
}

func (s *Store) purgePage(ctx context.Context, subject abide.SubjectID, set []int64, limit int) ([]storage.Item, error) {
	l, err := s.Load(ctx, subject, storage.Want{})
	switch {
	case err != nil:
		return nil, err
	case l.Subject.Status != abide.StatusErasing && l.Subject.Status != abide.StatusErased:
		return nil, storage.ErrConflict
	}
	return list(ctx, s.d, itemRow, `SELECT `+itemColumns+` FROM item WHERE subject_id = $1 AND compartment = ANY($2)
		ORDER BY category, item_id LIMIT $3`, id(subject), set, limit)
}
