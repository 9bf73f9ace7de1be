package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/testx/testlog"
)

const origin = "shop.example/log"

// published is a log that was published to memory, so that tests can change it.
type published struct {
	log   *testlog.Log
	keys  *audit.Keys
	mu    sync.Mutex
	files map[string][]byte
	reads int
}

func (p *published) Read(_ context.Context, path string, limit int64) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads++
	raw, ok := p.files[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	if int64(len(raw)) > limit {
		return nil, &audit.Fault{Code: audit.TooLarge, Path: path, Entry: -1}
	}
	return raw, nil
}

func (p *published) reader() *audit.Log { return audit.NewLog(p, p.keys) }

// publish makes a log of that size.
func publish(t testing.TB, size int) *published {
	t.Helper()
	l, err := testlog.New(origin)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Grow(size, ""); err != nil {
		t.Fatal(err)
	}
	return publishLog(t, l)
}

func publishLog(t testing.TB, l *testlog.Log) *published {
	t.Helper()
	files, err := l.Files()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := audit.NewKeys(l.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &published{log: l, keys: keys, files: files}
}

func (p *published) checkpoint(t testing.TB) *audit.SignedCheckpoint {
	t.Helper()
	c, err := p.reader().Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (p *published) checkpointOf(t testing.TB, size int) *audit.Checkpoint {
	t.Helper()
	raw, err := p.log.Checkpoint(size)
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.keys.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &c.Checkpoint
}

// faults verifies the whole log and returns what is wrong, one line each: code,
// path, entries.
func (p *published) faults(t testing.TB, v audit.Verification) []string {
	t.Helper()
	var out []string
	v.Found = func(f *audit.Fault) {
		line := string(f.Code) + " " + f.Path
		if f.Position != nil {
			line += fmt.Sprintf(" #%d", *f.Position)
		}
		if f.Entry >= 0 {
			line += fmt.Sprintf(" @%d", f.Entry)
		}
		if f.Count > 1 {
			line += fmt.Sprintf("+%d", f.Count)
		}
		out = append(out, line)
	}
	state, err := p.reader().Verify(t.Context(), &p.checkpoint(t).Checkpoint, v)
	if err != nil {
		t.Fatal(err)
	}
	if v.Resume == nil && int(state.Faults) != len(out) {
		t.Errorf("%d faults counted, %d told", state.Faults, len(out))
	}
	return out
}

func (p *published) wants(t *testing.T, v audit.Verification, want ...string) {
	t.Helper()
	if got := p.faults(t, v); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func flip(raw []byte, at int) []byte {
	out := bytes.Clone(raw)
	out[at] ^= 1
	return out
}

func TestVerifyWholeLogs(t *testing.T) {
	for _, size := range []int{0, 1, 2, 255, 256, 257, 511, 512, 1000, 65535, 65536, 65537, 70000} {
		p := publish(t, size)
		next := int64(0)
		p.wants(t, audit.Verification{Entry: func(i int64, e []byte) error {
			if i != next || !bytes.Equal(e, p.log.Entries[i]) {
				return fmt.Errorf("entry %d is not the one appended, or out of order", i)
			}
			next++
			return nil
		}})
		if next != int64(size) {
			t.Errorf("of %d entries %d were handed on", size, next)
		}
	}
}

// TestVerifyNamesEveryByte changes bytes of everything that is published, one
// at a time, and wants each change named, and nothing else.
func TestVerifyNamesEveryByte(t *testing.T) {
	p := publish(t, 600)
	step := 41
	if os.Getenv("ABIDE_PROOF") != "" {
		step = 1
	}
	changed := 0
	for path, raw := range p.files {
		for at := 0; at < len(raw); at += step {
			p.files[path] = flip(raw, at)
			changed++
			if path == "checkpoint" {
				if _, err := p.reader().Checkpoint(t.Context()); !errors.As(err, new(*audit.Fault)) {
					t.Errorf("byte %d of the checkpoint changed: %v", at, err)
				}
				continue
			}
			if got, want := p.faults(t, audit.Verification{}), wantChange(path, at); len(got) != 1 || !strings.HasPrefix(got[0], want) {
				t.Errorf("byte %d of %s changed: found %q, want %q", at, path, got, want)
			}
		}
		p.files[path] = raw
	}
	if changed < 900 {
		t.Fatalf("only %d bytes were changed", changed)
	}
	t.Logf("%d bytes changed, each named", changed)
}

// wantChange says what the change of a byte in the log of 600 must be called. A
// changed length moves everything after it: there the bundle is named.
func wantChange(path string, at int) string {
	n := int64(path[strings.Index(path, "/00")+3] - '0')
	switch {
	case strings.HasPrefix(path, "tile/entries/") && at%34 < 2:
		return "bundle_malformed " + path
	case strings.HasPrefix(path, "tile/entries/"):
		return fmt.Sprintf("entry_differs %s @%d", path, n*256+int64(at/34))
	case strings.HasPrefix(path, "tile/1/"):
		return fmt.Sprintf("tile_differs %s #%d @%d+256", path, at/32, at/32*256)
	}
	return fmt.Sprintf("tile_differs %s #%d @%d", path, at/32, n*256+int64(at/32))
}

// change replaces a resource for the length of a test.
func (p *published) change(t *testing.T, path string, raw []byte) {
	t.Helper()
	old, ok := p.files[path]
	if !ok {
		t.Fatalf("%s is not published", path)
	}
	t.Cleanup(func() { p.files[path] = old })
	if raw == nil {
		delete(p.files, path)
		return
	}
	p.files[path] = raw
}

// TestVerifyTellsWhichOfSeveral changes several things of one log of 70,000
// entries: three levels of tiles.
func TestVerifyTellsWhichOfSeveral(t *testing.T) {
	p := publish(t, 70000)
	get := func(path string) []byte { return p.files[path] }
	for _, c := range []struct {
		name   string
		change map[string][]byte
		want   []string
	}{
		{"an entry in the middle and one at the end", map[string][]byte{
			"tile/entries/100":       flip(get("tile/entries/100"), 34*7+9),
			"tile/entries/273.p/112": flip(get("tile/entries/273.p/112"), 34*111+33),
		}, []string{"entry_differs tile/entries/100 @25607", "entry_differs tile/entries/273.p/112 @69999"}},
		{"tiles of every level", map[string][]byte{
			"tile/0/005":      flip(get("tile/0/005"), 32*3),
			"tile/1/000":      flip(get("tile/1/000"), 32*200),
			"tile/2/000.p/1":  flip(get("tile/2/000.p/1"), 0),
			"tile/1/001.p/17": flip(get("tile/1/001.p/17"), 32*16),
		}, []string{
			"tile_differs tile/0/005 #3 @1283",
			"tile_differs tile/1/000 #200 @51200+256",
			"tile_differs tile/1/001.p/17 #16 @69632+256",
			"tile_differs tile/2/000.p/1 #0 @0+65536",
		}},
		{"a bundle together with its tile", map[string][]byte{
			"tile/entries/100": flip(get("tile/entries/100"), 34*7+9),
			"tile/0/100":       rehash(t, flip(get("tile/entries/100"), 34*7+9)),
		}, []string{"subtree_differs tile/0/100 @25600+256"}},
		{"an entry, its tile and the one above", map[string][]byte{
			"tile/entries/100": flip(get("tile/entries/100"), 34*7+9),
			"tile/0/100":       flip(get("tile/0/100"), 0),
			"tile/1/000":       flip(get("tile/1/000"), 32*100),
		}, []string{
			// Nothing decides below level 2; that and the root disown all of it.
			"tile_differs tile/0/100 #0 @25600", "tile_differs tile/0/100 #7 @25607",
			"tile_differs tile/1/000 #100 @25600+256", "subtree_differs tile/1/000 @0+65536",
		}},
		{"a bundle missing", map[string][]byte{"tile/entries/100": nil}, []string{"bundle_missing tile/entries/100 @25600+256"}},
		{"a tile missing", map[string][]byte{"tile/0/100": nil}, []string{"tile_missing tile/0/100 @25600+256"}},
		{"a bundle and its tile missing", map[string][]byte{"tile/0/100": nil, "tile/entries/100": nil},
			[]string{"bundle_missing tile/entries/100 @25600+256", "tile_missing tile/0/100 @25600+256"}},
		{"a tile of level 1 missing", map[string][]byte{"tile/1/000": nil}, []string{"tile_missing tile/1/000 @0+65536"}},
		{"a tile too short", map[string][]byte{"tile/0/100": get("tile/0/100")[:8191]}, []string{"tile_malformed tile/0/100"}},
		{"a bundle of other entries", map[string][]byte{"tile/entries/100": get("tile/entries/101")}, everyEntry(100)},
		{"bytes after a bundle", map[string][]byte{"tile/entries/100": append(bytes.Clone(get("tile/entries/100")), 0)},
			[]string{"bundle_malformed tile/entries/100"}},
		{"an endless tile", map[string][]byte{"tile/0/100": make([]byte, 8193)}, []string{"too_large tile/0/100"}},
		{"the last bundle and its tile", map[string][]byte{
			"tile/entries/273.p/112": flip(get("tile/entries/273.p/112"), 34*111+33),
			"tile/0/273.p/112":       rehash(t, flip(get("tile/entries/273.p/112"), 34*111+33)),
		}, []string{"checkpoint_root checkpoint @0+70000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for path, raw := range c.change {
				p.change(t, path, raw)
			}
			p.wants(t, audit.Verification{}, c.want...)
		})
	}
	p.wants(t, audit.Verification{})
}

// rehash is the tile of level 0 that fits a bundle.
func rehash(t *testing.T, bundle []byte) (tile []byte) {
	t.Helper()
	entries, err := audit.ParseBundle("", 0, bundle, len(bundle)/34)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		h := audit.LeafHash(e)
		tile = append(tile, h[:]...)
	}
	return tile
}

func everyEntry(bundle int) (out []string) {
	for i := range 256 {
		out = append(out, fmt.Sprintf("entry_differs tile/entries/%03d @%d", bundle, bundle*256+i))
	}
	return out
}

// TestVerifySince compares with what the log signed earlier, at every kind of
// size, and with forks and cut tails of it.
func TestVerifySince(t *testing.T) {
	p := publish(t, 66000)
	fork, err := p.log.Fork(1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := fork.Grow(66100, "another"); err != nil {
		t.Fatal(err)
	}
	other := publishLog(t, fork)
	for _, size := range []int{0, 1, 255, 256, 257, 512, 1000, 1001, 65535, 65536, 65537, 65999, 66000} {
		old := p.checkpointOf(t, size)
		p.wants(t, audit.Verification{Since: old})
		var want []string
		if size > 1000 {
			want = []string{fmt.Sprintf("log_forked checkpoint @0+%d", size)}
		}
		other.wants(t, audit.Verification{Since: old}, want...)
		if err := p.reader().CheckConsistency(t.Context(), old, &p.checkpoint(t).Checkpoint); err != nil {
			t.Errorf("since %d: %v", size, err)
		}
		err := other.reader().CheckConsistency(t.Context(), old, &other.checkpoint(t).Checkpoint)
		if forked := errors.Is(err, &audit.Fault{Code: audit.LogForked}); forked != (size > 1000) {
			t.Errorf("since %d, forked at 1000: %v", size, err)
		}
	}
	other.wants(t, audit.Verification{Since: other.checkpointOf(t, 66100)})

	cut, err := p.log.Fork(65000)
	if err != nil {
		t.Fatal(err)
	}
	publishLog(t, cut).wants(t, audit.Verification{Since: p.checkpointOf(t, 66000)}, "log_shorter checkpoint @65000+1000")
}

// TestVerifyResumes stops after every bundle and goes on from what was saved,
// under a checkpoint that is newer.
func TestVerifyResumes(t *testing.T) {
	p := publish(t, 1500)
	var saved [][]byte
	p.wants(t, audit.Verification{Passed: func(s *audit.VerifyState) {
		raw, err := s.Save(origin)
		if err != nil {
			t.Fatal(err)
		}
		saved = append(saved, raw)
	}})
	if len(saved) != 6 {
		t.Fatalf("%d states saved", len(saved))
	}
	old := []*audit.Checkpoint{p.checkpointOf(t, 100), p.checkpointOf(t, 1400)}
	if err := p.log.Grow(66000, ""); err != nil {
		t.Fatal(err)
	}
	p = publishLog(t, p.log)
	for i, raw := range saved {
		state, err := audit.LoadState(raw, origin)
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(min(i+1, 5) * 256); state.Size != want {
			t.Errorf("state %d goes on at %d, not at %d", i, state.Size, want)
		}
		for _, since := range old {
			before := p.reads
			p.wants(t, audit.Verification{Resume: state, Since: since})
			if read := p.reads - before; read > 2*258+20 {
				t.Errorf("going on at %d took %d reads", state.Size, read)
			}
		}
	}
	state, err := audit.LoadState(saved[3], origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.LoadState(saved[3], "another.example/log"); err == nil {
		t.Error("the state of another log was taken")
	}
	fork, err := p.log.Fork(900)
	if err != nil {
		t.Fatal(err)
	}
	publishLog(t, fork).wants(t, audit.Verification{Resume: state}, "log_shorter checkpoint @900+124")
	if err := fork.Grow(2000, "another"); err != nil {
		t.Fatal(err)
	}
	publishLog(t, fork).wants(t, audit.Verification{Resume: state}, "log_forked tile/1/000.p/7 @768+256")
}

// TestVerifyStops ends with the context, and on a source that fails, with what
// was done so far.
func TestVerifyStops(t *testing.T) {
	p := publish(t, 5000)
	ctx, cancel := context.WithCancel(t.Context())
	done := 0
	state, err := p.reader().Verify(ctx, &p.checkpoint(t).Checkpoint, audit.Verification{Passed: func(*audit.VerifyState) {
		if done++; done == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || state.Size != 3*256 {
		t.Errorf("stopped at %d: %v", state.Size, err)
	}
}
