package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/testx/s3"
)

// Every backend keeps the same promises. Each factory makes an empty store.
func TestConformance(t *testing.T) {
	server := s3.Start(t)
	n := 0
	backends := map[string]func(t *testing.T) blob.Store{
		"directory": func(t *testing.T) blob.Store {
			d, err := blob.OpenDir(filepath.Join(t.TempDir(), "new", "uploads"))
			must(t, err)
			return d
		},
		"s3": func(t *testing.T) blob.Store {
			n++
			return open(t, server, fmt.Sprintf("case-%d", n), nil)
		},
	}
	for name, fresh := range backends {
		for _, c := range cases {
			t.Run(name+"/"+c.name, func(t *testing.T) { c.run(t, fresh(t)) })
		}
	}
}

func open(t *testing.T, server s3.Server, prefix string, transport http.RoundTripper) blob.Store {
	t.Helper()
	o, err := blob.ParseS3("s3://" + server.Bucket + "/" + prefix + "?endpoint=" + server.Endpoint + "&region=us-east-1")
	must(t, err)
	o.AccessKey, o.SecretKey, o.Transport = server.AccessKey, server.SecretKey, transport
	s, err := blob.OpenS3(o)
	must(t, err)
	return s
}

var cases = []struct {
	name string
	run  func(t *testing.T, s blob.Store)
}{
	{"what is put is read, whole and in ranges", putAndRead},
	{"a reader that fails leaves nothing", failingReader},
	{"a cancelled write leaves nothing", cancelled},
	{"names stay inside", names},
	{"deleted is gone, twice is no error", deleted},
	{"listing finds what is under a prefix", listed},
	{"what was begun long ago is tidied, what was finished is not", tidied},
	{"many at once", together},
}

func putAndRead(t *testing.T, s blob.Store) {
	ctx := t.Context()
	must(t, s.Ready(ctx))
	// From nothing to more than two parts of a multipart write.
	for i, n := range []int{0, 1, 70_000, 17 << 20} {
		name, want := fmt.Sprintf("b/0%d/x-%d", i, n), pattern(n)
		must(t, s.Put(ctx, name, iotest.HalfReader(bytes.NewReader(want))))
		size, err := s.Size(ctx, name)
		must(t, err)
		if size != int64(n) {
			t.Errorf("size %d, want %d", size, n)
		}
		for _, r := range [][2]int{{0, n}, {0, 1}, {n / 2, 10}, {n - 1, 1}, {n - 1, 100}, {n, 5}, {n + 9, 5}, {0, 0}} {
			off, to := min(max(r[0], 0), n), min(max(r[0], 0)+r[1], n)
			if got := ranged(t, s, name, int64(max(r[0], 0)), int64(r[1])); !bytes.Equal(got, want[min(off, to):max(off, to)]) {
				t.Errorf("%d bytes from %d of %d: got %d", r[1], r[0], n, len(got))
			}
		}
	}
	_, err := s.Size(ctx, "b/00/none")
	want(t, err, blob.ErrNotFound)
	body, err := s.Range(ctx, "b/00/none", 0, 10)
	if err == nil {
		_, err = io.ReadAll(body)
	}
	want(t, err, blob.ErrNotFound)
}

func failingReader(t *testing.T, s blob.Store) {
	broken := errors.New("the sender went away")
	for _, n := range []int{0, 100, 9 << 20} {
		name := fmt.Sprintf("b/00/broken-%d", n)
		err := s.Put(t.Context(), name, io.MultiReader(bytes.NewReader(pattern(n)), iotest.ErrReader(broken)))
		want(t, err, broken)
		_, err = s.Size(t.Context(), name)
		want(t, err, blob.ErrNotFound)
	}
}

// cancelling cancels its context in the middle of being read.
type cancelling struct {
	r      io.Reader
	after  int
	cancel func()
}

func (c *cancelling) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.after -= n; c.after < 0 {
		c.cancel()
	}
	return n, err
}

func cancelled(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := s.Put(ctx, "b/00/cancelled", &cancelling{bytes.NewReader(pattern(12 << 20)), 9 << 20, cancel})
	if err == nil {
		t.Error("a write whose context was cancelled succeeded")
	}
	_, err = s.Size(t.Context(), "b/00/cancelled")
	want(t, err, blob.ErrNotFound)
}

func names(t *testing.T, s blob.Store) {
	for _, name := range []string{"", "/", "/a", "a/", "a//b", "../a", "a/../b", "A", "a b", "a\x00", "a.b", "ä", strings.Repeat("a", 201)} {
		if s.Put(t.Context(), name, strings.NewReader("x")) == nil || s.Delete(t.Context(), name) == nil {
			t.Errorf("%q is taken for a name", name)
		}
		_, err := s.Size(t.Context(), name)
		_, rerr := s.Range(t.Context(), name, 0, 1)
		if err == nil || rerr == nil {
			t.Errorf("%q can be read", name)
		}
	}
}

func deleted(t *testing.T, s blob.Store) {
	ctx := t.Context()
	must(t, s.Put(ctx, "b/00/a", strings.NewReader("a")))
	must(t, s.Put(ctx, "b/00/c", strings.NewReader("c")))
	for range 2 {
		must(t, s.Delete(ctx, "b/00/a"))
	}
	_, err := s.Size(ctx, "b/00/a")
	want(t, err, blob.ErrNotFound)
	must(t, s.Delete(ctx, "b/00/c"))
	must(t, s.Delete(ctx, "b/none/c"))
	if got := list(t, s, "b/"); len(got) > 0 {
		t.Errorf("listed: %v", got)
	}
	must(t, s.Put(ctx, "b/00/a", strings.NewReader("again")))
}

func listed(t *testing.T, s blob.Store) {
	ctx := t.Context()
	if got := list(t, s, "none/"); len(got) > 0 {
		t.Errorf("listed: %v", got)
	}
	var all []string
	for i := range 7 {
		name := fmt.Sprintf("b/a/%d", i)
		all = append(all, name)
		must(t, s.Put(ctx, name, strings.NewReader("x")))
	}
	must(t, s.Put(ctx, "b/ab/0", strings.NewReader("x")))
	must(t, s.Put(ctx, "p/a/0", strings.NewReader("x")))
	if got := list(t, s, "b/a/"); !slices.Equal(got, all) {
		t.Errorf("listed: %v, want %v", got, all)
	}
	if got := list(t, s, "b/"); len(got) != 8 {
		t.Errorf("listed: %v", got)
	}
	enough := errors.New("enough")
	want(t, s.List(ctx, "b/", func(string, time.Time) error { return enough }), enough)
}

func tidied(t *testing.T, s blob.Store) {
	ctx := t.Context()
	must(t, s.Put(ctx, "b/00/done", strings.NewReader("x")))
	must(t, s.Tidy(ctx, time.Now().Add(time.Hour)))
	if got := list(t, s, "b/"); len(got) != 1 {
		t.Errorf("listed: %v", got)
	}
}

func together(t *testing.T, s blob.Store) {
	ctx := t.Context()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			// All in one directory, which empties and fills again.
			name := fmt.Sprintf("b/00/n-%d", i)
			for range 4 {
				if err := errors.Join(s.Put(ctx, name, bytes.NewReader(pattern(1000+i))), check(ctx, s, name, pattern(1000+i)), s.Delete(ctx, name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func check(ctx context.Context, s blob.Store, name string, want []byte) error {
	r, err := s.Range(ctx, name, 0, int64(len(want))+1)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("other bytes were read than written")
	}
	return errors.Join(err, r.Close())
}

// A directory write that ends at any step leaves no blob, and Tidy removes the
// rest; not before its time.
func TestDirectoryWriteEndsAnywhere(t *testing.T) {
	for _, step := range []string{"write", "sync", "rename", "sync directory"} {
		root := t.TempDir()
		d, err := blob.OpenDir(root)
		must(t, err)
		broken := errors.New("ended at " + step)
		seen := false
		err = d.WithSteps(func(s string) error {
			if s == step {
				seen = true
				return broken
			}
			return nil
		}).Put(t.Context(), "b/00/x", strings.NewReader("bytes"))
		want(t, err, broken)
		if !seen {
			t.Fatalf("step %s is never taken", step)
		}
		if n := len(files(t, root)); n > 0 {
			t.Errorf("%s: %d files are left", step, n)
		}
	}
	// What a process that died left: its temporary file.
	root := t.TempDir()
	d, err := blob.OpenDir(root)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(root, "incoming", "left"), []byte("x"), 0o600))
	must(t, d.Tidy(t.Context(), time.Now().Add(-time.Hour)))
	if len(files(t, root)) != 1 {
		t.Error("a write that may still run was tidied away")
	}
	must(t, d.Tidy(t.Context(), time.Now().Add(time.Hour)))
	if len(files(t, root)) != 0 {
		t.Error("what a dead process left was not tidied away")
	}
}

// What a node that died left of a multipart write is aborted by Tidy.
func TestTidyAbortsMultipartWrites(t *testing.T) {
	server := s3.Start(t)
	// The node is gone before it can complete or abort.
	dead := &gate{next: http.DefaultTransport}
	s := open(t, server, "p", dead)
	dead.closeOn = func(r *http.Request) bool {
		return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") || r.Method == http.MethodDelete
	}
	if err := s.Put(t.Context(), "b/00/x", bytes.NewReader(pattern(17<<20))); !errors.Is(err, blob.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	alive := open(t, server, "p", nil)
	_, err := alive.Size(t.Context(), "b/00/x")
	want(t, err, blob.ErrNotFound)
	before := onDisk(t, server.Dir)
	if before < 16<<20 {
		t.Fatalf("only %d bytes of parts on the server: the test looks in the wrong place", before)
	}
	must(t, alive.Tidy(t.Context(), time.Now().Add(-time.Hour)))
	if onDisk(t, server.Dir) != before {
		t.Error("a write that may still run was aborted")
	}
	must(t, alive.Tidy(t.Context(), time.Now().Add(time.Hour)))
	if n := onDisk(t, server.Dir); n > 1<<20 {
		t.Errorf("%d bytes of parts stay on the server", n)
	}
}

// gate refuses requests from the first that closes it.
type gate struct {
	next    http.RoundTripper
	closeOn func(*http.Request) bool
	mu      sync.Mutex
	closed  bool
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	g.closed = g.closed || g.closeOn != nil && g.closeOn(r)
	closed := g.closed
	g.mu.Unlock()
	if closed {
		return nil, errors.New("connection refused")
	}
	return g.next.RoundTrip(r)
}

// A wrong secret is refused, so the signatures are looked at; a bucket that is
// not there, and a server that is not, are not ready.
func TestS3Refuses(t *testing.T) {
	server := s3.Start(t)
	bad := server
	bad.SecretKey = "not the secret"
	s := open(t, bad, "p", nil)
	want(t, s.Put(t.Context(), "b/00/x", strings.NewReader("x")), blob.ErrUnavailable)
	want(t, s.Ready(t.Context()), blob.ErrUnavailable)
	bad = server
	bad.Bucket = "another"
	want(t, open(t, bad, "p", nil).Ready(t.Context()), blob.ErrNotFound)
	full := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>QuotaExceeded</Code><Message>no room</Message></Error>`)
	}))
	defer full.Close()
	bad = server
	bad.Endpoint = full.URL
	want(t, open(t, bad, "p", nil).Put(t.Context(), "b/00/x", strings.NewReader("x")), blob.ErrFull)
}

func TestParseS3(t *testing.T) {
	o, err := blob.ParseS3("s3://bucket/a/b/?endpoint=https://h:9000&region=eu")
	if err != nil || o.Bucket != "bucket" || o.Prefix != "a/b" || o.Endpoint != "https://h:9000" || o.Region != "eu" {
		t.Errorf("got %+v, %v", o, err)
	}
	for _, bad := range []string{"", "bucket", "http://bucket", "s3://", "s3://key:secret@bucket", "s3://b?secret=x", "s3://b#x"} {
		if _, err := blob.ParseS3(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, bad := range []blob.S3Options{{Bucket: "b", Endpoint: "h:9000"}, {Bucket: "b", Endpoint: "https://h/path"}, {Bucket: "b", Prefix: "../x"}} {
		if _, err := blob.OpenS3(bad); err == nil {
			t.Errorf("%+v is opened", bad)
		}
	}
}

func ranged(t *testing.T, s blob.Store, name string, off, n int64) []byte {
	t.Helper()
	r, err := s.Range(t.Context(), name, off, n)
	must(t, err)
	got, err := io.ReadAll(r)
	must(t, errors.Join(err, r.Close()))
	return got
}

func list(t *testing.T, s blob.Store, prefix string) []string {
	t.Helper()
	var out []string
	must(t, s.List(t.Context(), prefix, func(name string, at time.Time) error {
		if d := time.Since(at); d > time.Hour || d < -time.Hour {
			t.Errorf("written %s ago", d)
		}
		out = append(out, name)
		return nil
	}))
	slices.Sort(out)
	return out
}

func pattern(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(7, uint64(n)))
	for i := 0; i+8 <= n; i += 8 {
		v := r.Uint64()
		for k := range 8 {
			b[i+k] = byte(v >> (8 * k))
		}
	}
	return b
}

func files(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			out = append(out, path)
		}
		return err
	}))
	return out
}

func onDisk(t *testing.T, root string) (n int64) {
	t.Helper()
	for _, f := range files(t, root) {
		if info, err := os.Stat(f); err == nil {
			n += info.Size()
		}
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got %v, want %v", err, target)
	}
}
