package faultstore

import (
	"context"
	"fmt"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

func (w *store) StartLog(ctx context.Context, h *storage.LogHead, g *storage.Growth) error {
	return w.f.write("StartLog", func() string { return fmt.Sprintf("%d at %d", h.Log, g.To) },
		func() error { return w.s.StartLog(ctx, h, g) })
}

func (w *store) TakeLog(ctx context.Context, seen *storage.LogHead, holder string) error {
	return w.f.write("TakeLog", func() string { return fmt.Sprintf("%d epoch %d", seen.Log, seen.Epoch+1) },
		func() error { return w.s.TakeLog(ctx, seen, holder) })
}

func (w *store) BeatLog(ctx context.Context, log, epoch uint64) error {
	return w.f.write("BeatLog", nothing, func() error { return w.s.BeatLog(ctx, log, epoch) })
}

func (w *store) LeaveLog(ctx context.Context, log, epoch uint64) error {
	return w.f.write("LeaveLog", nothing, func() error { return w.s.LeaveLog(ctx, log, epoch) })
}

func (w *store) GrowLog(ctx context.Context, g *storage.Growth) error {
	return w.f.write("GrowLog", func() string { return fmt.Sprintf("%d to %d", g.From, g.To) },
		func() error { return w.s.GrowLog(ctx, g) })
}

func (w *store) Settle(ctx context.Context, m *storage.LeafMap) error {
	return w.f.write("Settle", func() string { return fmt.Sprintf("%d leaves from %d", m.Count, m.First) },
		func() error { return w.s.Settle(ctx, m) })
}

func (w *store) KeepCheckpoint(ctx context.Context, c *storage.CheckpointRow) error {
	return w.f.write("KeepCheckpoint", func() string { return fmt.Sprint(c.Size) },
		func() error { return w.s.KeepCheckpoint(ctx, c) })
}

func (w *store) LogHead(ctx context.Context) (*storage.LogHead, error) {
	return read(w.f, "LogHead", func() (*storage.LogHead, error) { return w.s.LogHead(ctx) })
}

func (w *store) LogHeads(ctx context.Context) ([]storage.LogHead, error) {
	return read(w.f, "LogHeads", func() ([]storage.LogHead, error) { return w.s.LogHeads(ctx) })
}

func (w *store) Tiles(ctx context.Context, log uint64, keys []storage.TileKey) ([][]byte, error) {
	return read(w.f, "Tiles", func() ([][]byte, error) { return w.s.Tiles(ctx, log, keys) })
}

func (w *store) TileKeys(ctx context.Context, log uint64, after *storage.TileKey, limit int) ([]storage.TileKey, error) {
	return read(w.f, "TileKeys", func() ([]storage.TileKey, error) { return w.s.TileKeys(ctx, log, after, limit) })
}

func (w *store) LeafMaps(ctx context.Context, log, from uint64, limit int) ([]storage.LeafMap, error) {
	return read(w.f, "LeafMaps", func() ([]storage.LeafMap, error) { return w.s.LeafMaps(ctx, log, from, limit) })
}

func (w *store) LeafMapsSince(ctx context.Context, log uint64, at time.Time, limit int) ([]storage.LeafMap, error) {
	return read(w.f, "LeafMapsSince", func() ([]storage.LeafMap, error) { return w.s.LeafMapsSince(ctx, log, at, limit) })
}

func (w *store) LeafMapOf(ctx context.Context, log, leaf uint64) (*storage.LeafMap, error) {
	return read(w.f, "LeafMapOf", func() (*storage.LeafMap, error) { return w.s.LeafMapOf(ctx, log, leaf) })
}

func (w *store) Unsettled(ctx context.Context, limit int) ([]storage.LeafMap, error) {
	return read(w.f, "Unsettled", func() ([]storage.LeafMap, error) { return w.s.Unsettled(ctx, limit) })
}

func (w *store) Unlogged(ctx context.Context, after storage.SpoolKey, limit int) ([]storage.SpoolLeaves, error) {
	return read(w.f, "Unlogged", func() ([]storage.SpoolLeaves, error) { return w.s.Unlogged(ctx, after, limit) })
}

func (w *store) SpoolLeaf(ctx context.Context, k storage.SpoolKey) (log, leaf uint64, err error) {
	at, err := read(w.f, "SpoolLeaf", func() (at [2]uint64, err error) {
		at[0], at[1], err = w.s.SpoolLeaf(ctx, k)
		return at, err
	})
	return at[0], at[1], err
}

func (w *store) Look(ctx context.Context, id abide.SubjectID, k storage.LookKey) (*storage.Look, error) {
	return read(w.f, "Look", func() (*storage.Look, error) { return w.s.Look(ctx, id, k) })
}

func (w *store) Checkpoint(ctx context.Context, log uint64) (*storage.CheckpointRow, error) {
	return read(w.f, "Checkpoint", func() (*storage.CheckpointRow, error) { return w.s.Checkpoint(ctx, log) })
}

func (w *store) Checkpoints(ctx context.Context, log uint64) ([]storage.CheckpointRow, error) {
	return read(w.f, "Checkpoints", func() ([]storage.CheckpointRow, error) { return w.s.Checkpoints(ctx, log) })
}
