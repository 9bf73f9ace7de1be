//go:build abide_cacheconsent

package node

import (
	"context"
	"sync"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// cacheLife is how long a consent is believed without asking again.
const cacheLife = 200 * time.Millisecond

// cached keeps what was loaded for a while, as a well-meant optimisation would.
// This build exists so that the check of histories can be seen to catch it.
func cached(s storage.Store) storage.Store {
	return &caching{Store: s, loads: map[abide.SubjectID]kept{}}
}

type caching struct {
	storage.Store
	mu    sync.Mutex
	loads map[abide.SubjectID]kept
}

type kept struct {
	loaded *storage.Loaded
	at     time.Time
}

// Load answers looks from the cache; changes always load anew, and a node
// forgets what it changed itself.
func (c *caching) Load(ctx context.Context, id abide.SubjectID, want storage.Want) (*storage.Loaded, error) {
	if want.Idempotency != nil {
		return c.Store.Load(ctx, id, want)
	}
	c.mu.Lock()
	k, ok := c.loads[id]
	c.mu.Unlock()
	if ok && time.Since(k.at) < cacheLife {
		return k.loaded, nil
	}
	want.AllItems = true
	l, err := c.Store.Load(ctx, id, want)
	if err == nil {
		c.mu.Lock()
		c.loads[id] = kept{l, time.Now()}
		c.mu.Unlock()
	}
	return l, err
}

func (c *caching) Commit(ctx context.Context, ch *storage.Change) error {
	defer func() {
		c.mu.Lock()
		delete(c.loads, ch.Row.ID)
		c.mu.Unlock()
	}()
	return c.Store.Commit(ctx, ch)
}
