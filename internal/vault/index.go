package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"sync"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
)

// Pseudo-categories of look-ups that are no personal data of a policy. A
// category of a policy never begins with a tilde.
const (
	Reference abide.Category = "~reference" // the caller's own id of a subject
	Creation  abide.Category = "~creation"  // idempotency key of creating a subject
)

// StableKey is the id of the index key of creations, which no rotation
// replaces: their values cannot be made anew, because the key that a caller
// sent once is not kept, and tell nothing about anybody.
const StableKey = "stable"

// Index returns the blind index values of a normalised value: one for each
// index key in force, in their order; with none, for the ring's primary. A
// look-up asks for all of them; an item keeps the first.
//
// The value is HMAC-SHA-256 under a key of the category's own, so equal values
// of two categories do not match. Who holds the index key can try out all
// phone numbers; who holds only the database can tell that two subjects share
// a value, and nothing more.
func (v *Vault) Index(in storage.IndexKeys, category abide.Category, normal []byte) ([]storage.IndexValue, error) {
	if in == "" {
		in = storage.IndexKeysOf(v.ring.IndexKeys()[0].ID)
	}
	ids := in.IDs()
	out := make([]storage.IndexValue, len(ids))
	for i, id := range ids {
		root, err := v.ring.IndexKey(id)
		if err != nil {
			return nil, err
		}
		value, err := v.mac(root, string(category), normal)
		if err != nil {
			return nil, err
		}
		out[i] = storage.IndexValue{Key: root.ID, Value: value}
	}
	return out, nil
}

// IndexReference returns the look-up values of the caller's own reference. The
// reference is compared byte by byte: two of the caller's ids that differ in
// case are two subjects.
func (v *Vault) IndexReference(in storage.IndexKeys, reference string) ([]storage.IndexValue, error) {
	return v.Index(in, Reference, []byte(reference))
}

// IndexCreation returns the look-up values by which a retried creation finds
// the subject that the first try made.
func (v *Vault) IndexCreation(scope, key string) ([]storage.IndexValue, error) {
	value, err := v.ring.Digest(append([]byte("abide/index/creation/1\x00"), v.IdempotencyKey(scope, key)...))
	if err != nil {
		return nil, fmt.Errorf("vault: index a creation: %w", err)
	}
	return []storage.IndexValue{{Key: StableKey, Value: value}}, nil
}

// ForgetIndex drops the keys that were derived from roots which the ring does
// not hold any more.
func (v *Vault) ForgetIndex() {
	held := map[string]bool{}
	for _, root := range v.ring.IndexKeys() {
		held[root.ID] = true
	}
	v.index.Range(func(name, _ any) bool {
		if !held[name.(indexName).root] {
			v.index.Delete(name)
		}
		return true
	})
}

type indexName struct{ root, info string }

// mac computes HMAC-SHA-256 under the key derived from root for info. The
// states of hash functions keyed once are pooled.
func (v *Vault) mac(root keys.IndexKey, info string, message []byte) ([]byte, error) {
	name := indexName{root.ID, info}
	pool, ok := v.index.Load(name)
	if !ok {
		key, err := root.Derive("abide/index/1\x00" + info)
		if err != nil {
			return nil, fmt.Errorf("vault: index %s: %w", info, err)
		}
		pool, _ = v.index.LoadOrStore(name, &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }})
	}
	p := pool.(*sync.Pool)
	h := p.Get().(hash.Hash)
	h.Reset()
	h.Write(message)
	out := h.Sum(nil)
	p.Put(h)
	return out, nil
}
