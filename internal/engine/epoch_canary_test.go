package engine_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/internal/testx/canary"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

// medium is a deployment whose raw files a test can copy while it runs.
var media = map[string]func(t *testing.T) (open stores, raw []string){
	"sqlite": func(t *testing.T) (stores, []string) {
		dir := t.TempDir()
		return func(t *testing.T) (storage.Store, storage.KeyStore) {
			s, err := sqlite.Open(t.Context(), filepath.Join(dir, "data.db"), sqlite.Options{})
			must(t, err)
			k, err := sqlite.OpenKeys(t.Context(), filepath.Join(dir, "keys.db"))
			must(t, err)
			return s, k
		}, []string{dir}
	},
	"postgres": func(t *testing.T) (stores, []string) {
		server, err := pg.Start()
		must(t, err)
		t.Cleanup(server.Stop)
		server.Exec(t, "CREATE DATABASE data")
		server.Exec(t, "CREATE DATABASE keys")
		return func(t *testing.T) (storage.Store, storage.KeyStore) {
			s, err := postgres.Open(t.Context(), server.URL("data"), postgres.Options{})
			must(t, err)
			k, err := postgres.OpenKeys(t.Context(), server.URL("keys"))
			must(t, err)
			return s, k
		}, []string{filepath.Join(server.Data(), "base"), filepath.Join(server.Data(), "pg_wal")}
	},
}

// copyFiles reads every file below the folders into memory: an old medium.
func copyFiles(t *testing.T, dirs []string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, dir := range dirs {
		must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			raw, err := os.ReadFile(path)
			if err == nil {
				out[path] = raw
			}
			if filepath.Base(filepath.Dir(path)) == "pg_wal" {
				out[path+" joined"] = joinLog(raw)
			}
			return err
		}))
	}
	return out
}

// joinLog takes the headers of pages out of a segment of PostgreSQL's log: a
// record that goes over the end of a page is in one piece then. Headers are 24
// bytes, the first of a segment 40 (access/xlog_internal.h).
func joinLog(segment []byte) (out []byte) {
	const page, first, next = 8192, 40, 24
	for at := 0; at+page <= len(segment); at += page {
		header := next
		if at == 0 {
			header = first
		}
		out = append(out, segment[at+header:at+page]...)
	}
	return out
}

// forensics reads old media with a keyring, as somebody would who has both. It
// knows nothing of tables: it tries every key of the ring on whatever looks
// like a wrapped key, wherever it lies, and every subject key it gets on
// whatever looks sealed, and searches what comes out. The cipher's counter mode
// needs neither length nor associated data, so parts of a row are enough.
type forensics struct {
	ring     *keys.Keyring
	subjects []abide.SubjectID
	set      *canary.Set
}

const wrappedSize = 5 + 24 + 32 + 16 // prefix, nonce, key, tag

func (f *forensics) search(t *testing.T, medium map[string][]byte) (opened int, found []canary.Find) {
	t.Helper()
	var blocks []cipher.Block
	seen := map[string]bool{}
	for _, ep := range f.ring.Epochs() {
		number, err := hex.DecodeString(ep.ID)
		must(t, err)
		prefix := append([]byte{1}, number...)
		for _, raw := range medium {
			each(raw, prefix, func(at int) {
				if at+wrappedSize > len(raw) {
					return
				}
				for _, key := range f.unwrap(ep.ID, raw[at:at+wrappedSize]) {
					if seen[string(key)] {
						continue
					}
					seen[string(key)] = true
					block, err := aes.NewCipher(key)
					must(t, err)
					blocks = append(blocks, block)
				}
			})
		}
	}
	for path, raw := range medium {
		each(raw, []byte{1, 1}, func(at int) { // form and version of what is sealed
			if at+14+16 > len(raw) {
				return
			}
			body := raw[at+14 : min(at+14+1024, len(raw))]
			plain := make([]byte, len(body))
			for _, block := range blocks {
				counter := append(bytes.Clone(raw[at+2:at+14]), 0, 0, 0, 2)
				cipher.NewCTR(block, counter).XORKeyStream(plain, body)
				found = append(found, f.set.Search(filepath.Base(path), plain)...)
			}
		})
	}
	return len(blocks), found
}

// each calls do at every place where b occurs.
func each(raw, b []byte, do func(at int)) {
	for from := 0; ; {
		i := bytes.Index(raw[from:], b)
		if i < 0 {
			return
		}
		do(from + i)
		from += i + 1
	}
}

// unwrap tries a blob as every key of every subject.
func (f *forensics) unwrap(kek string, blob []byte) (out [][]byte) {
	for _, id := range f.subjects {
		for _, c := range []storage.Compartment{storage.Live, storage.Log, storage.Law} {
			key, err := f.ring.Unwrap(storage.WrappedKey{Subject: id, Compartment: c, Version: 1, KEK: kek, Wrapped: blob})
			if err == nil {
				out = append(out, key)
			}
		}
	}
	return out
}

// G4, for old media: after the epoch of their key-encryption key is destroyed,
// a raw copy of the data directory from before an erasure, free pages,
// write-ahead log and all, yields nothing with every key that is left.
func TestOldMediaAreUnreadableAfterTheirEpochIsDestroyed(t *testing.T) {
	for name, fresh := range media {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			open, dirs := fresh(t)
			w, path := fileWorld(t, open)
			var set canary.Set
			var ids []abide.SubjectID
			for i := range 3 {
				mail := fmt.Sprintf("kanarie-%d-zwitschert@vogelhaus.example", i)
				set.Add(fmt.Sprint("mail ", i), mail)
				id := w.person(engine.NewSubject{Reference: fmt.Sprint("bird ", i)})
				w.collect(id, "shop", items{"person.email": mail})
				ids = append(ids, id)
			}
			before := copyFiles(t, dirs)
			oldRing, err := os.ReadFile(path)
			must(t, err)
			oldKey := w.ring.PrimaryKEK()
			must2(w.e.Erase(ctx, admin, ids[0]))(t)
			w.purged(ids[0])

			detect := func(ring *keys.Keyring, medium map[string][]byte) (int, int) {
				f := forensics{ring: ring, subjects: ids, set: &set}
				opened, found := f.search(t, medium)
				return opened, len(found)
			}
			// The detector finds the erased person on the old medium as long as
			// the epoch exists: nothing but its destruction is what protects.
			if opened, found := detect(w.ring, before); opened != 9 || found < 3 {
				t.Fatalf("before the destruction the detector opens %d keys and finds %d values", opened, found)
			}
			must2(w.e.RotateKEK(ctx, admin, engine.RotateKeys{}))(t)
			between := copyFiles(t, dirs)
			gone, err := w.e.DestroyEpochs(ctx, admin, engine.DestroyEpochs{ID: oldKey, Now: true, Reason: "rehearsal"})
			must(t, err)
			if len(gone) != 1 {
				t.Fatalf("destroyed %v", gone)
			}
			left := must1(keys.Open(path))(t)
			if opened, found := detect(left, before); opened != 0 || found != 0 {
				t.Errorf("the old medium yields %d keys and %d values", opened, found)
			}
			// Those who were not erased are there, on newer media; the erased is not.
			if opened, found := detect(left, between); opened != 6 || found < 2 {
				t.Errorf("the newer medium yields %d keys and %d values; two people have six keys", opened, found)
			}
			f := forensics{ring: left, subjects: ids[:1], set: &set}
			if opened, _ := f.search(t, copyFiles(t, dirs)); opened != 0 {
				t.Errorf("%d keys of the erased person open", opened)
			}
			// The keyring file, and what lies beside it, no longer holds the key.
			var doc struct {
				Keysets map[string]struct {
					Key []struct{ KeyData struct{ Value string } }
				}
			}
			unmarshal(t, oldRing, &doc)
			var keyring canary.Set
			keyring.AddBytes("old key-encryption key", []byte(doc.Keysets["kek"].Key[0].KeyData.Value))
			if len(keyring.Search("old file", oldRing)) == 0 {
				t.Fatal("the detector does not find the key in the old file")
			}
			if found, err := keyring.SearchDir(filepath.Dir(path)); err != nil || len(found) > 0 {
				t.Errorf("%v %v", found, err)
			}
			w.clock.add(time.Hour)
			got, err := w.read(app, ids[1], "provide", "person.email")
			must(t, err)
			if len(got.Data["person.email"]) != 1 {
				t.Error("a person who was not erased is not readable")
			}
		})
	}
}
