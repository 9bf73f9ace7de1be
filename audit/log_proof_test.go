package audit_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/testx/testlog"
)

func isFault(err error, code audit.FaultCode) bool { return errors.Is(err, &audit.Fault{Code: code}) }

// TestProofs proves entries of logs of many sizes, reads the files back, and
// wants any changed byte to fail.
func TestProofs(t *testing.T) {
	for _, size := range []int{1, 2, 7, 256, 257, 600} {
		p := publish(t, size)
		c := p.checkpoint(t)
		for i := int64(0); i < int64(size); i += 1 + int64(size)/40 {
			proof, err := p.reader().Prove(t.Context(), c, i)
			if err != nil {
				t.Fatal(err)
			}
			read, err := audit.ParseProof(proof.Encode())
			if err != nil || !bytes.Equal(read.Encode(), proof.Encode()) {
				t.Fatalf("entry %d of %d: %v", i, size, err)
			}
			if _, err := read.Verify(p.keys, p.log.Entries[i]); err != nil {
				t.Errorf("entry %d of %d: %v", i, size, err)
			}
			if other := p.log.Entries[(i+1)%int64(size)]; size > 1 {
				if _, err := read.Verify(p.keys, other); !isFault(err, audit.ProofWrong) {
					t.Errorf("entry %d of %d proves another: %v", i, size, err)
				}
			}
		}
	}
}

func TestProofChangedAnywhere(t *testing.T) {
	p := publish(t, 600)
	proof, err := p.reader().Prove(t.Context(), p.checkpoint(t), 300)
	if err != nil {
		t.Fatal(err)
	}
	raw := proof.Encode()
	for at := range raw {
		changed, err := audit.ParseProof(flip(raw, at))
		if err == nil {
			_, err = changed.Verify(p.keys, changed.Extra)
		}
		if err == nil {
			t.Errorf("byte %d (%q) changed and not noticed", at, raw[at])
		}
	}
}

// TestConsistencyProofs checks proofs between all pairs of sizes against a log
// that was forked.
func TestConsistencyProofs(t *testing.T) {
	p := publish(t, 300)
	now := &p.checkpoint(t).Checkpoint
	fork, err := p.log.Fork(100)
	if err != nil {
		t.Fatal(err)
	}
	if err := fork.Grow(300, "another"); err != nil {
		t.Fatal(err)
	}
	for size := range 301 {
		old := p.checkpointOf(t, size)
		hashes, err := p.reader().ProveConsistency(t.Context(), now, int64(size))
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.CheckConsistencyProof(old, now, hashes); err != nil {
			t.Errorf("from %d: %v", size, err)
		}
		other := publishLogCheckpoint(t, fork, p.keys, size)
		err = audit.CheckConsistencyProof(other, now, hashes)
		if want := size > 100; (err != nil) != want {
			t.Errorf("from %d of a log forked at 100: %v", size, err)
		}
		if err := audit.CheckConsistencyProof(old, now, append(hashes, audit.Hash{})); err == nil {
			t.Errorf("from %d, with a hash too many", size)
		}
	}
}

func publishLogCheckpoint(t *testing.T, l *testlog.Log, keys *audit.Keys, size int) *audit.Checkpoint {
	t.Helper()
	raw, err := l.Checkpoint(size)
	if err != nil {
		t.Fatal(err)
	}
	c, err := keys.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &c.Checkpoint
}

// TestProofsNameTheTile changes the tiles and bundles that a proof is made from,
// one at a time: it is refused with the tile's name.
func TestProofsNameTheTile(t *testing.T) {
	p := publish(t, 70000)
	c := p.checkpoint(t)
	for path, want := range map[string]audit.FaultCode{
		"tile/0/100":       audit.TileDiffers,
		"tile/1/000":       audit.TileDiffers,
		"tile/1/001.p/17":  audit.CheckpointRoot,
		"tile/2/000.p/1":   audit.CheckpointRoot,
		"tile/0/273.p/112": audit.CheckpointRoot,
		"tile/entries/100": audit.EntryDiffers,
	} {
		good := p.files[path]
		p.files[path] = flip(good, 34*7%len(good)+9%len(good))
		_, err := p.reader().Prove(t.Context(), c, 25607)
		var f *audit.Fault
		if !errors.As(err, &f) || f.Code != want || !strings.Contains(f.Path, path) {
			t.Errorf("%s changed: %v", path, err)
		}
		p.files[path] = good[:len(good)-1]
		if _, err := p.reader().Prove(t.Context(), c, 25607); !isFault(err, audit.TileMalformed) && !isFault(err, audit.BundleMalformed) {
			t.Errorf("%s cut: %v", path, err)
		}
		p.files[path] = good
	}
	if _, err := p.reader().Prove(t.Context(), c, 25607); err != nil {
		t.Error(err)
	}
	for _, index := range []int64{-1, 70000, 1 << 62} {
		if _, err := p.reader().Prove(t.Context(), c, index); err == nil {
			t.Errorf("entry %d is proved", index)
		}
	}
}

// TestPartialTilesMayBeGone reads a log under a checkpoint whose partial tiles
// were dropped when the full ones came.
func TestPartialTilesMayBeGone(t *testing.T) {
	p := publish(t, 512+256)
	var err error
	if p.files["checkpoint"], err = p.log.Checkpoint(700); err != nil {
		t.Fatal(err)
	}
	p.files["tile/1/000.p/2"] = p.files["tile/1/000.p/3"][:64]
	p.wants(t, audit.Verification{})
	if _, err := p.reader().Prove(t.Context(), p.checkpoint(t), 699); err != nil {
		t.Error(err)
	}
	p.files["tile/0/002"] = flip(p.files["tile/0/002"], 32*187)
	p.files["tile/entries/002"] = flip(p.files["tile/entries/002"], 34*188) // beyond the checkpoint
	p.wants(t, audit.Verification{}, "bundle_malformed tile/entries/002 @701", "checkpoint_root checkpoint @0+700")
}

func TestCosignatures(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	witness, err := audit.NewCosigner("witness.example/w1", bytes.Repeat([]byte{7}, 32), func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	p := publish(t, 10)
	keys, err := audit.NewKeys(p.log.Key, witness.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(p.files["checkpoint"], note.VerifierList(mustVerifier(t, p.log.Key)))
	if err != nil {
		t.Fatal(err)
	}
	cosigned, err := note.Sign(n, witness)
	if err != nil {
		t.Fatal(err)
	}
	c, err := keys.Open(cosigned)
	if err != nil || len(c.Cosigned) != 1 || !c.Cosigned[0].At.Equal(at) || c.Cosigned[0].Witness != "witness.example/w1" {
		t.Fatalf("%+v, %v", c, err)
	}
	keys.Quorum = 1
	if _, err := keys.Open(p.files["checkpoint"]); !isFault(err, audit.NotWitnessed) {
		t.Errorf("a checkpoint without its witness: %v", err)
	}
	if _, err := keys.Open(cosigned); err != nil {
		t.Error(err)
	}
	for at := range cosigned {
		if c, err := keys.Open(flip(cosigned, at)); err == nil {
			t.Errorf("byte %d changed: %+v", at, c)
		}
	}
	if c, err := p.keys.Open(cosigned); err != nil || len(c.Cosigned) != 0 {
		t.Errorf("a reader that knows no witness: %+v, %v", c, err)
	}
}

func TestKeysAreChecked(t *testing.T) {
	w, err := audit.NewCosigner("w.example", bytes.Repeat([]byte{7}, 32), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	p := publish(t, 1)
	for _, bad := range []string{"", "w.example", "w.example+00000000+AA==", p.log.Key, strings.Replace(w.VerifierKey(), "w.", "v.", 1),
		strings.Replace(w.VerifierKey(), "w.", "w +", 1)} {
		if _, err := audit.NewKeys(p.log.Key, bad); !isFault(err, audit.KeyMalformed) {
			t.Errorf("witness key %q: %v", bad, err)
		}
	}
	if _, err := audit.NewKeys(p.log.Key, w.VerifierKey(), w.VerifierKey()); !isFault(err, audit.KeyMalformed) {
		t.Errorf("a witness twice: %v", err)
	}
	if _, err := audit.NewKeys(w.VerifierKey()); !isFault(err, audit.KeyMalformed) {
		t.Errorf("the key of a witness as that of a log: %v", err)
	}
}

func mustVerifier(t *testing.T, vkey string) note.Verifier {
	t.Helper()
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCheckpointsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := audit.Checkpoint{
			Origin: rapid.StringMatching(`[a-z./ +]{1,20}`).Draw(t, "origin"),
			Size:   rapid.Int64Range(1, 1<<60).Draw(t, "size"),
			Root:   audit.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root")),
		}
		c.Extensions = rapid.SliceOfN(rapid.StringMatching(`[a-z ]{1,20}`), 0, 3).Draw(t, "extensions")
		got, err := audit.ParseCheckpoint(c.Text())
		if err != nil || got.Text() != c.Text() {
			t.Fatalf("%q: %v", c.Text(), err)
		}
	})
}

func TestTilePaths(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{audit.TilePath(0, 0, 256), "tile/0/000"},
		{audit.TilePath(3, 1234067, 256), "tile/3/x001/x234/067"},
		{audit.TilePath(1, 999, 17), "tile/1/999.p/17"},
		{audit.TilePath(1, 1000, 17), "tile/1/x001/000.p/17"},
		{audit.BundlePath(1000, 255), "tile/entries/x001/000.p/255"},
		{audit.BundlePath(1e6, 256), "tile/entries/x001/x000/000"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

// TestReadOverHTTP reads a log from a server that compresses, one that answers
// without end, and one that fails.
func TestReadOverHTTP(t *testing.T) {
	p := publish(t, 600)
	var endless, down atomic.Bool
	srv := httptest.NewServer(http.StripPrefix("/log/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, ok := p.files[r.URL.Path]
		switch {
		case endless.Load():
			for range 2 << 10 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		case r.URL.Path == "tile/0/000" && down.Load():
			http.Error(w, "no", http.StatusServiceUnavailable)
		case !ok:
			http.NotFound(w, r)
		default:
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(raw)
			_ = z.Close()
		}
	})))
	defer srv.Close()
	src, err := audit.URL(srv.URL+"/log/", srv.Client())
	if err != nil {
		t.Fatal(err)
	}
	l := audit.NewLog(src, p.keys)
	c, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state, err := l.Verify(t.Context(), &c.Checkpoint, audit.Verification{})
	if err != nil || state.Faults != 0 {
		t.Errorf("%+v, %v", state, err)
	}
	down.Store(true)
	state, err = l.Verify(t.Context(), &c.Checkpoint, audit.Verification{})
	if err == nil || errors.As(err, new(*audit.Fault)) || state.Faults != 0 {
		t.Errorf("a server that is down is not a log that was changed: %+v, %v", state, err)
	}
	endless.Store(true)
	if _, err := l.Checkpoint(t.Context()); !isFault(err, audit.TooLarge) {
		t.Errorf("an endless checkpoint: %v", err)
	}
	for _, bad := range []string{"", "shop.example/log", "ftp://shop.example", "https://shop.example/log?x=1", "https://"} {
		if _, err := audit.URL(bad, nil); err == nil {
			t.Errorf("%q is taken for the URL of a log", bad)
		}
	}
	if _, err := audit.Dir(t.TempDir()).Read(t.Context(), "tile/../../etc/passwd", 10); err == nil {
		t.Error("a path left the log")
	}
}
