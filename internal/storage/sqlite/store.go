package sqlite

import (
	"context"

	"github.com/abide-privacy/abide/internal/storage"
)

// Store is a storage.Store in one SQLite file.
type Store struct{ f *file }

var _ storage.Store = (*Store)(nil)

// Open opens the store in the file path, or makes one there.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	f, err := openFile(ctx, path, "data", opts)
	if err != nil {
		return nil, err
	}
	return &Store{f}, nil
}

// Ready reports nil if a durable write would be accepted now.
func (s *Store) Ready(ctx context.Context) error { return s.f.ready(ctx) }

// Scrub returns when nothing that was deleted before the call is left in any
// file of the store. It fails with storage.ErrUnavailable if a reader keeps an
// older snapshot for longer than ten seconds.
func (s *Store) Scrub(ctx context.Context) error { return s.f.w.scrub(ctx) }

// Close waits for reads and queued writes to finish.
func (s *Store) Close() error { return s.f.close() }
