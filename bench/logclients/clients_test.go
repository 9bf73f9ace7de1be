// Package logclients lets clients that share no code with Abide read its log,
// and lets Abide read, and witness, a log that shares no code with it.
package logclients

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/testx/testlog"
	"github.com/abide-privacy/abide/internal/witness"
)

// TestClients reads a log with tessera's client and file-system check, and with
// torchwood. The log is the one at ABIDE_LOG_URL under ABIDE_LOG_KEY, or else a
// small one made here, which shows that the test itself works.
func TestClients(t *testing.T) {
	prefix, key := os.Getenv("ABIDE_LOG_URL"), os.Getenv("ABIDE_LOG_KEY")
	if prefix == "" {
		l, err := testlog.New("shop.example/log")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Grow(70000, ""); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := l.Publish(dir); err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
		defer srv.Close()
		prefix, key = srv.URL, l.Key
	}
	readAll(t, strings.TrimSuffix(prefix, "/"), key)
}

// readAll reads the whole log with each client.
func readAll(t *testing.T, prefix, key string) {
	t.Helper()
	ctx, hc := t.Context(), &http.Client{Timeout: 30 * time.Second}
	v, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := url.Parse(prefix + "/")
	if err != nil {
		t.Fatal(err)
	}
	f, err := client.NewHTTPFetcher(root, hc)
	if err != nil {
		t.Fatal(err)
	}
	cp, raw, _, err := client.FetchCheckpoint(ctx, f.ReadCheckpoint, v, v.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := fsck.New(v.Name(), v, f, hashBundle, fsck.Opts{N: 4}).Check(ctx); err != nil {
		t.Errorf("tessera's check: %v", err)
	}
	proofs(t, f, cp.Size, cp.Hash)

	tree := tlog.Tree{N: int64(cp.Size), Hash: tlog.Hash(cp.Hash)}
	tf, err := torchwood.NewTileFetcher(prefix, torchwood.WithHTTPClient(hc), torchwood.WithUserAgent("abide test (loopback@abide.example)"))
	if err != nil {
		t.Fatal(err)
	}
	tc, err := torchwood.NewClient(tf)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for i := range tc.AllEntries(ctx, tree, 0) {
		if i != n {
			t.Fatalf("torchwood reads entry %d after %d", i, n)
		}
		n++
	}
	if err := tc.Err(); err != nil || n != tree.N {
		t.Errorf("torchwood reads %d of %d entries: %v", n, tree.N, err)
	}
	ours(t, prefix, key, v, tree.N)
	t.Logf("%s: %d entries\n%s", v.Name(), tree.N, raw)
}

// proofs checks inclusion and consistency with transparency-dev/merkle.
func proofs(t *testing.T, f *client.HTTPFetcher, size uint64, root []byte) {
	t.Helper()
	pb, err := client.NewProofBuilder(t.Context(), size, f.ReadTile)
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(0); i < size; i += 1 + size/50 {
		p, err := pb.InclusionProof(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := client.GetEntryBundle(t.Context(), f.ReadEntryBundle, i/256, size)
		if err != nil {
			t.Fatal(err)
		}
		leaf := rfc6962.DefaultHasher.HashLeaf(bundle.Entries[i%256])
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, i, size, leaf, p, root); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
}

// ours makes proofs with package audit that torchwood must accept, and reads the
// whole log with it.
func ours(t *testing.T, prefix, key string, v note.Verifier, size int64) {
	t.Helper()
	src, err := audit.URL(prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := audit.NewKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	l := audit.NewLog(src, keys)
	c, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state, err := l.Verify(t.Context(), &c.Checkpoint, audit.Verification{Found: func(f *audit.Fault) { t.Error(f) }})
	if err != nil || state.Size != c.Size {
		t.Errorf("%+v, %v", state, err)
	}
	policy := torchwood.ThresholdPolicy(2, torchwood.SingleVerifierPolicy(v), torchwood.OriginPolicy(v.Name()))
	for _, i := range []int64{0, size / 2, size - 1} {
		p, err := l.Prove(t.Context(), c, i)
		if err != nil {
			t.Fatal(err)
		}
		if err := torchwood.VerifyProof(policy, tlog.RecordHash(p.Extra), p.Encode()); err != nil {
			t.Errorf("torchwood on the proof of entry %d: %v", i, err)
		}
		if err := torchwood.VerifyProof(policy, tlog.RecordHash([]byte("another")), p.Encode()); err == nil {
			t.Errorf("torchwood accepts the proof of entry %d for another", i)
		}
	}
}

func hashBundle(raw []byte) ([][]byte, error) {
	var out [][]byte
	for len(raw) > 0 {
		entry, rest, err := torchwood.ReadTileEntry(raw)
		if err != nil {
			return nil, err
		}
		out, raw = append(out, rfc6962.DefaultHasher.HashLeaf(entry)), rest
	}
	return out, nil
}

// TestTesseraLog lets tessera write a log and have it witnessed by Abide's
// witness, and reads it with package audit.
func TestTesseraLog(t *testing.T) {
	skey, vkey, err := note.GenerateKey(rand.Reader, "tessera.example/log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	cosigner, err := audit.NewCosigner("witness.example/w1", bytes.Repeat([]byte{7}, ed25519.SeedSize), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.New(witness.Options{Cosigner: cosigner, Logs: []string{vkey}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(w)
	defer srv.Close()
	at, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := tessera.NewWitness(cosigner.VerifierKey(), at)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	old := writeTessera(t, dir, signer, theirs, 300, 0)
	now := writeTessera(t, dir, signer, theirs, 1000, 300)

	keys, err := audit.NewKeys(vkey, cosigner.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	keys.Quorum = 1
	since, err := keys.Open(old)
	if err != nil {
		t.Fatal(err)
	}
	l := audit.NewLog(audit.Dir(dir), keys)
	c, err := l.Checkpoint(t.Context())
	if err != nil || !bytes.Equal(c.Note, now) {
		t.Fatal(err)
	}
	n := 0
	state, err := l.Verify(t.Context(), &c.Checkpoint, audit.Verification{Since: &since.Checkpoint,
		Found: func(f *audit.Fault) { t.Error(f) },
		Entry: func(_ int64, _ []byte) error { n++; return nil }})
	if err != nil || n != 1000 || state.Size != 1000 {
		t.Errorf("%d entries, %+v, %v", n, state, err)
	}
	if got := w.Latest()["tessera.example/log"]; got != 1000 {
		t.Errorf("the witness stands at %d", got)
	}
}

// writeTessera appends entries until there are size, and returns the checkpoint.
func writeTessera(t *testing.T, dir string, signer note.Signer, w tessera.Witness, size, have int) []byte {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	opts := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(100, 50*time.Millisecond).
		WithCheckpointInterval(200*time.Millisecond).WithWitnesses(tessera.NewWitnessGroup(1, w), nil)
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, opts)
	if err != nil {
		t.Fatal(err)
	}
	await := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 50*time.Millisecond)
	var futures []tessera.IndexFuture
	for i := have; i < size; i++ {
		h := sha256.Sum256(fmt.Append(nil, i))
		futures = append(futures, appender.Add(ctx, tessera.NewEntry(h[:])))
	}
	for _, f := range futures {
		if _, err := f(); err != nil {
			t.Fatal(err)
		}
	}
	_, cp, err := await.Await(ctx, futures[len(futures)-1])
	if err != nil {
		t.Fatal(err)
	}
	for !bytes.Contains(cp, fmt.Appendf(nil, "\n%d\n", size)) {
		if _, cp, err = await.Await(ctx, futures[len(futures)-1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	return cp
}
