package engine_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

// edited is a store in which somebody changed one bit of the log.
type edited struct {
	storage.Store
	tile       *storage.TileKey
	checkpoint bool
	entry      bool // the row of an entry, commitment and all
	pending    bool
	spool      bool
	dropped    bool // a pending row is gone
	headless   bool // the row of the head is gone
	epochless  bool // and that of the policy in force
}

func (s *edited) Epoch(ctx context.Context) (storage.Epoch, error) {
	if s.epochless {
		return storage.Epoch{}, storage.ErrNotFound
	}
	return s.Store.Epoch(ctx)
}

func (s *edited) LogHeads(ctx context.Context) ([]storage.LogHead, error) {
	if s.headless {
		return nil, nil
	}
	return s.Store.LogHeads(ctx)
}

func (s *edited) Tiles(ctx context.Context, log uint64, keys []storage.TileKey) ([][]byte, error) {
	tiles, err := s.Store.Tiles(ctx, log, keys)
	for i, k := range keys {
		if s.tile != nil && k == *s.tile && err == nil {
			tiles[i] = slices.Clone(tiles[i])
			tiles[i][40] ^= 1
		}
	}
	return tiles, err
}

func (s *edited) Checkpoints(ctx context.Context, log uint64) ([]storage.CheckpointRow, error) {
	rows, err := s.Store.Checkpoints(ctx, log)
	if s.checkpoint && err == nil && len(rows) > 0 {
		rows[0].Note = slices.Clone(rows[0].Note)
		rows[0].Note[len(rows[0].Note)-20] ^= 1
	}
	return rows, err
}

func (s *edited) Entries(ctx context.Context, id abide.SubjectID, after uint64, limit int) ([]storage.Entry, error) {
	rows, err := s.Store.Entries(ctx, id, after, limit)
	if s.entry && err == nil && len(rows) > 0 && !id.IsZero() && rows[0].N == 1 {
		rows[0].Commitment[3] ^= 1
	}
	return rows, err
}

func (s *edited) Pending(ctx context.Context, after storage.EntryKey, limit int) ([]storage.PendingRow, error) {
	rows, err := s.Store.Pending(ctx, after, limit)
	if s.pending && err == nil && len(rows) > 0 {
		rows[0].Commitment[3] ^= 1
	}
	if s.dropped && len(rows) > 0 {
		rows = rows[1:]
	}
	return rows, err
}

func (s *edited) Unlogged(ctx context.Context, after storage.SpoolKey, limit int) ([]storage.SpoolLeaves, error) {
	rows, err := s.Store.Unlogged(ctx, after, limit)
	if s.spool && err == nil && len(rows) > 0 {
		rows[0].Leaves[0][3] ^= 1
	}
	return rows, err
}

// TestDoctorNamesWhatWasChangedInTheLog: a tile, a bundle, a checkpoint, an
// entry, a row that waits, a batch that waits; and one that is gone. An untouched
// store has nothing.
func TestDoctorNamesWhatWasChangedInTheLog(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.person(engine.NewSubject{})
		w.consent(w.person(engine.NewSubject{}), "give")
		must(t, w.sequencer().Step(t.Context()))
		id := w.person(engine.NewSubject{}) // waits
		must2(w.e.Consents(t.Context(), app, id))(t)
		_, _, err := w.e.Publish(t.Context(), admin, edit(t, "five years after", "four years after", "obtained + 5 * years", "obtained + 4 * years"))
		must(t, err)
		for name, c := range map[string]struct {
			s    edited
			want string
		}{
			"nothing":    {edited{}, ""},
			"tile":       {edited{tile: &storage.TileKey{Level: 0}}, engine.AilLogTree + " tile_differs tile/0/000"},
			"bundle":     {edited{tile: &storage.TileKey{Level: storage.EntriesLevel}}, engine.AilLogTree + " entry_differs tile/entries/000"},
			"checkpoint": {edited{checkpoint: true}, engine.AilCheckpoint + " checkpoint of"},
			"entry":      {edited{entry: true}, engine.AilEntry + " log entry 1 is not the one in the log"},
			"pending":    {edited{pending: true}, engine.AilPending + " log entry"},
			"spool":      {edited{spool: true}, engine.AilPending + " batch 1 of node"},
			"dropped":    {edited{dropped: true}, engine.AilPending + " 1 entries are neither"},
			"epochless":  {edited{epochless: true}, engine.AilPolicy + " none is in force"},
			"headless":   {edited{headless: true}, engine.AilLogTree + " the head of log 1 is missing"},
		} {
			c.s.Store = w.store
			e, err := engine.Open(t.Context(), engine.Options{Store: &inspectable{&c.s, w.store.(storage.Inspector)}, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now})
			must(t, err)
			var found []string
			_, err = e.Doctor(t.Context(), admin, engine.Checkup{Found: func(a engine.Ailment) {
				found = append(found, a.Code+" "+strings.TrimPrefix(a.What, "shop.example/log: "))
			}})
			must(t, err)
			must(t, e.Close(context.WithoutCancel(t.Context())))
			if c.want == "" && len(found) > 0 || c.want != "" && !slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, c.want) }) {
				t.Errorf("%s: found %q, want %q", name, found, c.want)
			}
		}
	})
}

// inspectable is a store with what a check of the whole needs.
type inspectable struct {
	*edited
	storage.Inspector
}
