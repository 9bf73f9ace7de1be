// Command writer writes to a store and says so: each write that the store
// acknowledged becomes a line on standard output. The durability proof kills
// it, and watches its system calls.
//
//	writer DIR CLIENTS WRITES
//
// WRITES 0 means without end.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/durable"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "writer: error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: writer DIR CLIENTS WRITES")
	}
	clients, err1 := strconv.Atoi(args[1])
	writes, err2 := strconv.ParseInt(args[2], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	ctx := context.Background()
	data, keys, err := durable.Open(ctx, args[0])
	if err != nil {
		return err
	}
	var left atomic.Int64
	left.Store(writes)
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			w := client{data: data, keys: keys}
			for errs[i] == nil && (writes == 0 || left.Add(-1) >= 0) {
				errs[i] = w.write(ctx)
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, data.Close(), keys.Close())...)
}

// client makes a subject, changes it twice, and goes on to the next.
type client struct {
	data storage.Store
	keys storage.KeyStore
	row  storage.SubjectRow
}

func (w *client) write(ctx context.Context) error {
	now := time.Now()
	if w.row.Version%3 == 0 {
		w.row = storage.SubjectRow{ID: abide.NewSubjectID(now), Kind: abide.Person, Status: abide.StatusActive, Created: now}
	}
	token := durable.NewToken()
	expect := w.row.Version
	w.row.Version++
	w.row.EntryN++
	key := storage.WrappedKey{Subject: w.row.ID, Compartment: storage.Live, Version: uint32(w.row.Version), KEK: "kek", Wrapped: token[:]}
	if err := w.keys.Put(ctx, []storage.WrappedKey{key}); err != nil {
		return err
	}
	if err := w.data.Commit(ctx, &storage.Change{Expect: expect, Row: w.row,
		PutItems: []storage.Item{{Category: "person.note", ID: token, Version: 1, Compartment: storage.Live, Sealed: token[:]}},
		Entries:  []storage.Entry{{Subject: w.row.ID, N: w.row.EntryN, At: now, Kind: "collected", Commitment: [32]byte{1}}},
	}); err != nil {
		return err
	}
	// One write each: a line is whole or absent whenever the process is killed.
	_, err := os.Stdout.WriteString(durable.Ack{Subject: w.row.ID, Version: w.row.Version, Token: token}.Line())
	return err
}
