package storagetest

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

func keyOf(id abide.SubjectID, c storage.Compartment, version uint32) storage.WrappedKey {
	return storage.WrappedKey{Subject: id, Compartment: c, Version: version, KEK: "kek-1", Wrapped: []byte{id[5], byte(c), byte(version), 0xff}}
}

func keysOf(id abide.SubjectID) []storage.WrappedKey {
	return []storage.WrappedKey{keyOf(id, storage.Live, 1), keyOf(id, storage.Log, 1), keyOf(id, storage.Law, 1)}
}

var keyCases = []testCase{
	{name: "keys/come back by compartment, newest version first", keys: func(e *env, k storage.KeyStore) {
		a, b := e.id(), e.id()
		e.must(k.Put(e.ctx, keysOf(a)))
		e.must(k.Put(e.ctx, keysOf(b)))
		e.must(k.Put(e.ctx, []storage.WrappedKey{keyOf(a, storage.Live, 2)}))
		equal(e, get(k.Get(e.ctx, a))(e), append([]storage.WrappedKey{keyOf(a, storage.Live, 2)}, keysOf(a)...))
		equal(e, get(k.Get(e.ctx, b))(e), keysOf(b))
		equal(e, len(get(k.Get(e.ctx, e.id()))(e)), 0)
		e.must(k.Put(e.ctx, nil))
	}},
	{name: "keys/one that exists is a conflict and changes nothing", keys: func(e *env, k storage.KeyStore) {
		a := e.id()
		e.must(k.Put(e.ctx, []storage.WrappedKey{keyOf(a, storage.Law, 1)}))
		again := keysOf(a)
		again[2].Wrapped = []byte("other")
		e.want(k.Put(e.ctx, again), storage.ErrConflict)
		equal(e, get(k.Get(e.ctx, a))(e), []storage.WrappedKey{keyOf(a, storage.Law, 1)})
	}},
	{name: "keys/destroying takes all versions of the compartments named", keys: func(e *env, k storage.KeyStore) {
		a, b := e.id(), e.id()
		e.must(k.Put(e.ctx, append(keysOf(a), keyOf(a, storage.Live, 2))))
		e.must(k.Put(e.ctx, keysOf(b)))
		for range 2 { // destroying what is gone is no error
			e.must(k.Destroy(e.ctx, a, []storage.Compartment{storage.Live, storage.Log}))
			equal(e, get(k.Get(e.ctx, a))(e), []storage.WrappedKey{keyOf(a, storage.Law, 1)})
		}
		equal(e, get(k.Get(e.ctx, b))(e), keysOf(b))
		e.must(k.Destroy(e.ctx, a, nil))
		e.must(k.Destroy(e.ctx, e.id(), []storage.Compartment{storage.Live}))
	}},
	{name: "keys/orphans are paged by subject, each once", keys: func(e *env, k storage.KeyStore) {
		var all ids
		for range 5 {
			id := e.id()
			e.must(k.Put(e.ctx, keysOf(id)))
			all = append(all, id)
		}
		e.must(k.Destroy(e.ctx, all[2], []storage.Compartment{storage.Live, storage.Log, storage.Law}))
		all = append(all[:2], all[3:]...)
		equal(e, get(k.Orphans(e.ctx, abide.SubjectID{}, 10))(e), all)
		equal(e, get(k.Orphans(e.ctx, all[0], 2))(e), all[1:3])
		equal(e, len(get(k.Orphans(e.ctx, all[3], 2))(e)), 0)
	}},
	{name: "keys/the store keeps its constants, is ready, scrubs, and closes once", keys: func(e *env, k storage.KeyStore) {
		equal(e, get(k.PutMeta(e.ctx, "check", []byte("first")))(e), []byte("first"))
		equal(e, get(k.PutMeta(e.ctx, "check", []byte("second")))(e), []byte("first"))
		e.must(k.Ready(e.ctx))
		e.must(k.Scrub(e.ctx))
		ended, cancel := context.WithCancel(e.ctx)
		cancel()
		e.want(k.Put(ended, keysOf(e.id())), context.Canceled)
		equal(e, len(get(k.Orphans(e.ctx, abide.SubjectID{}, 10))(e)), 0)
		e.must(k.Close())
		e.must(k.Close())
		e.want(k.Put(e.ctx, keysOf(e.id())), storage.ErrClosed)
		_, err := k.Get(e.ctx, e.id())
		e.want(err, storage.ErrClosed)
	}},
}

func rewrapped(old storage.WrappedKey, kek string) storage.Rewrapped {
	k := old
	k.KEK, k.Wrapped = kek, append([]byte(kek), old.Wrapped...)
	return storage.Rewrapped{Old: old, New: k}
}

var epochCases = []testCase{
	{name: "keys/all are listed in order, page by page", keys: func(e *env, k storage.KeyStore) {
		a, b := e.id(), e.id()
		e.must(k.Put(e.ctx, append(keysOf(a), keyOf(a, storage.Log, 2))))
		e.must(k.Put(e.ctx, keysOf(b)))
		all := []storage.WrappedKey{keyOf(a, storage.Live, 1), keyOf(a, storage.Log, 1), keyOf(a, storage.Log, 2), keyOf(a, storage.Law, 1)}
		all = append(all, keysOf(b)...)
		equal(e, get(k.List(e.ctx, storage.WrappedKey{}, 100))(e), all)
		for i := range all {
			equal(e, get(k.List(e.ctx, all[i], 2))(e), append([]storage.WrappedKey(nil), all[i+1:min(i+3, len(all))]...))
		}
		equal(e, get(k.WrappedBy(e.ctx))(e), map[string]int64{"kek-1": 7})
	}},
	{name: "keys/a new wrapping replaces exactly the old one", keys: func(e *env, k storage.KeyStore) {
		a := e.id()
		old := keysOf(a)
		e.must(k.Put(e.ctx, old))
		one, two := rewrapped(old[0], "kek-2"), rewrapped(old[1], "kek-2")
		stale := rewrapped(old[2], "kek-2")
		stale.Old.Wrapped = []byte("another")
		equal(e, get(k.Rewrap(e.ctx, []storage.Rewrapped{one, two, stale}))(e), 2)
		equal(e, get(k.Get(e.ctx, a))(e), []storage.WrappedKey{one.New, two.New, old[2]})
		equal(e, get(k.WrappedBy(e.ctx))(e), map[string]int64{"kek-1": 1, "kek-2": 2})
		equal(e, get(k.Rewrap(e.ctx, []storage.Rewrapped{one, two}))(e), 0) // again: nothing is left to do
		equal(e, get(k.Rewrap(e.ctx, nil))(e), 0)
	}},
	{name: "keys/a new wrapping brings no destroyed key back", keys: func(e *env, k storage.KeyStore) {
		a := e.id()
		old := keysOf(a)
		e.must(k.Put(e.ctx, old))
		e.must(k.Destroy(e.ctx, a, []storage.Compartment{storage.Live}))
		equal(e, get(k.Rewrap(e.ctx, []storage.Rewrapped{rewrapped(old[0], "kek-2")}))(e), 0)
		equal(e, get(k.Get(e.ctx, a))(e), old[1:])
	}},
	{name: "keys/nothing is wrapped under a fenced key-encryption key", keys: func(e *env, k storage.KeyStore) {
		a, b := e.id(), e.id()
		e.must(k.Put(e.ctx, keysOf(a)))
		e.must(k.Fence(e.ctx, "kek-1"))
		e.must(k.Fence(e.ctx, "kek-1"))
		e.want(k.Put(e.ctx, keysOf(b)), storage.ErrFenced)
		equal(e, len(get(k.Get(e.ctx, b))(e)), 0)
		to := rewrapped(keysOf(a)[0], "kek-2")
		equal(e, get(k.Rewrap(e.ctx, []storage.Rewrapped{to}))(e), 1)
		_, err := k.Rewrap(e.ctx, []storage.Rewrapped{{Old: to.New, New: to.Old}})
		e.want(err, storage.ErrFenced)
		equal(e, get(k.WrappedBy(e.ctx))(e), map[string]int64{"kek-1": 2, "kek-2": 1})
		e.must(k.Destroy(e.ctx, a, []storage.Compartment{storage.Log})) // a fence keeps nothing from being destroyed
	}},
	{name: "keys/fencing waits for keys on their way", keys: func(e *env, k storage.KeyStore) {
		done := make(chan int)
		start := make(chan struct{})
		const writers, each = 4, 30
		ids := make([][]abide.SubjectID, writers)
		for i := range ids {
			for range each {
				ids[i] = append(ids[i], e.id())
			}
		}
		for i := range writers {
			go func() {
				n := 0
				defer func() { done <- n }()
				for j, id := range ids[i] {
					if j == each/3 {
						start <- struct{}{}
					}
					err := k.Put(e.ctx, keysOf(id))
					if isError(err, storage.ErrFenced) {
						return
					}
					if err != nil {
						e.Errorf("put: %v", err)
						return
					}
					n += 3
				}
			}()
		}
		for range writers {
			<-start
		}
		e.must(k.Fence(e.ctx, "kek-1"))
		seen := get(k.WrappedBy(e.ctx))(e)["kek-1"]
		put := 0
		for range writers {
			put += <-done
		}
		equal(e, get(k.WrappedBy(e.ctx))(e)["kek-1"], seen)
		equal(e, int64(put), seen)
	}},
	{name: "keys/a keyring is replaced by its next generation only", keys: func(e *env, k storage.KeyStore) {
		_, _, err := k.Keyring(e.ctx)
		e.want(err, storage.ErrNotFound)
		e.want(k.PutKeyring(e.ctx, []byte("two"), 2, 1), storage.ErrConflict)
		e.must(k.PutKeyring(e.ctx, []byte("one"), 1, 0))
		e.want(k.PutKeyring(e.ctx, []byte("other"), 1, 0), storage.ErrConflict)
		e.must(k.PutKeyring(e.ctx, []byte("two"), 2, 1))
		e.want(k.PutKeyring(e.ctx, []byte("other"), 2, 1), storage.ErrConflict)
		raw, n, err := k.Keyring(e.ctx)
		e.must(err)
		equal(e, string(raw), "two")
		equal(e, n, uint64(2))
	}},
}
