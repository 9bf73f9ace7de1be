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
