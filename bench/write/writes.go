package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
)

// subjectsEach is how many subjects a client writes to in turn: enough that the
// rows of one batch lie all over the tables.
const subjectsEach = 200

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[int(q*float64(len(d)-1))]
}

// subjectOf is the id of a client's i-th subject: a UUIDv7 whose random part is
// spread, as real ones are.
func subjectOf(client, i int) abide.SubjectID {
	h := sha256.Sum256(fmt.Appendf(nil, "%d/%d", client, i%subjectsEach))
	var id abide.SubjectID
	copy(id[:], h[:16])
	binary.BigEndian.PutUint32(id[:4], 0x019a0000+uint32(h[20]))
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}

// Sizes of sealed values as the engine makes them: nonce, tag and content.
var (
	state    = make([]byte, 420)
	evidence = make([]byte, 380)
	payload  = make([]byte, 240)
	envelope = make([]byte, 200)
	answer   = make([]byte, 600)
)

// consent is the i-th write of a client.
func consent(client, i int) *storage.Change {
	id := subjectOf(client, i)
	n := uint64(i/subjectsEach) + 1 // the subject's n-th consent
	now := time.Unix(1_790_000_000+int64(i), 0)
	entry := storage.Entry{Subject: id, N: n, At: now, Kind: "consented", Payload: payload, Envelope: envelope}
	binary.BigEndian.PutUint64(entry.Commitment[:], n)
	key := sha256.Sum256(fmt.Appendf(nil, "%d %d", client, i))
	return &storage.Change{
		Expect: n,
		Row: storage.SubjectRow{ID: id, Kind: abide.Person, Status: abide.StatusActive, Version: n + 1, Sealed: state,
			EntryN: n, ConsentN: n, Created: now},
		Consents: []storage.ConsentRow{{N: n, At: now, Purpose: "marketing", Action: abide.ConsentGiven,
			Terms: "5c1f0c2a9b7de3f4a1b2c3d4e5f60718", Sealed: evidence}},
		ConsentIndex: []storage.ConsentIndexRow{{Subject: id, Purpose: "marketing", Terms: "5c1f0c2a9b7de3f4a1b2c3d4e5f60718", Effect: "given"}},
		Entries:      []storage.Entry{entry},
		Idempotency:  &storage.IdempotencyRow{Key: key[:], Digest: key[:], Sealed: answer, Expires: now.Add(24 * time.Hour)},
	}
}

// seed makes the subjects.
func seed(ctx context.Context, s storage.Store, n int) error {
	failed := make(chan error, n)
	for client := range n {
		go func() {
			for i := range subjectsEach {
				c := &storage.Change{Row: storage.SubjectRow{ID: subjectOf(client, i), Kind: abide.Person,
					Status: abide.StatusActive, Version: 1, Sealed: state}}
				if err := s.Commit(ctx, c); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range n {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

// byStore writes through the store.
func byStore(c config) (result, error) {
	ctx := context.Background()
	path := filepath.Join(c.dir, "store.db")
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return result{}, err
	}
	if err := seed(ctx, s, c.clients); err != nil {
		return result{}, err
	}
	r := clients(c.clients, c.length, func(client, i int) error { return s.Commit(ctx, consent(client, i)) })
	if err := s.Close(); err != nil {
		return r, err
	}
	r.Rows, err = countRows(path)
	return r, err
}

// countRows counts what a write leaves behind besides its subject.
func countRows(path string) (int64, error) {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var n int64
	err = db.QueryRow(`SELECT (SELECT count(*) FROM consent_event) + (SELECT count(*) FROM entry)
		+ (SELECT count(*) FROM pending) + (SELECT count(*) FROM idempotency)`).Scan(&n)
	return n, err
}
