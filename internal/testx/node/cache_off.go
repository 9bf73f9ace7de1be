//go:build !abide_cacheconsent

package node

import "github.com/abide-privacy/abide/internal/storage"

// cached is the store itself: what is decided by is read anew each time.
func cached(s storage.Store) storage.Store { return s }
