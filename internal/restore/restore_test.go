package restore_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/restore"
)

type key string

func (k key) Digest(message []byte) ([]byte, error) {
	h := hmac.New(sha256.New, []byte(k))
	h.Write(message)
	return h.Sum(nil), nil
}

var store = [16]byte{1}

func open(t *testing.T, dir string) *restore.Ledger {
	t.Helper()
	l, err := restore.Open(dir, store, key("k"))
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func record(subject, version byte) restore.Record {
	return restore.Record{Kind: restore.Facts, Subject: abide.SubjectID{15: subject}, Call: [16]byte{subject, version}, Generation: 1,
		Version: uint64(version), At: time.Unix(1e9, 0).UTC(), EntryN: uint64(version), Commitment: [32]byte{version}, Payload: []byte(fmt.Sprint("sealed ", subject, version))}
}

func write(t *testing.T, l *restore.Ledger, records ...restore.Record) {
	t.Helper()
	for _, r := range records {
		ticket, err := l.Append(t.Context(), []restore.Record{r})
		must(t, err)
		l.Settle(ticket)
	}
}

// read lists what lies beyond the marks as subject.version.
func read(t *testing.T, l *restore.Ledger, marks map[string]restore.Mark) ([]string, *restore.Tail) {
	t.Helper()
	tail, err := l.Tail(marks)
	must(t, err)
	var got []string
	must(t, tail.Each(func(id abide.SubjectID, records []restore.Record) error {
		for _, r := range records {
			if r.Subject != id {
				t.Fatal("a record of another subject")
			}
			got = append(got, fmt.Sprintf("%d.%d", id[15], r.Version))
		}
		return nil
	}))
	return got, tail
}

func want(t *testing.T, got []string, want string) {
	t.Helper()
	if fmt.Sprint(got) != want {
		t.Fatalf("got %v, want %s", got, want)
	}
}

// settled is the one segment that the ledger wrote, and how far it is settled.
func settled(t *testing.T, l *restore.Ledger) (string, restore.Mark) {
	t.Helper()
	all := l.Settled()
	if len(all) != 1 {
		t.Fatalf("%d segments", len(all))
	}
	for name, m := range all {
		return name, m
	}
	return "", restore.Mark{}
}

// A segment that ended is settled like the one that is written, and ends where
// its last record does; one that is written, or goes on behind the mark, has not
// ended.
func TestTurn(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	one, err := l.Append(t.Context(), []restore.Record{record(1, 1)})
	must(t, err)
	two, err := l.Append(t.Context(), []restore.Record{record(1, 2)})
	must(t, err)
	l.Settle(one)
	first, half := settled(t, l)
	l.Turn()
	write(t, l, record(1, 3))
	l.Settle(two)
	ended := func(l *restore.Ledger, name string, m restore.Mark) bool {
		t.Helper()
		yes, err := l.Ended(name, m)
		must(t, err)
		return yes
	}
	marks := l.Settled()
	if len(marks) != 2 || marks[first].Seq != 2 {
		t.Fatalf("%+v", marks)
	}
	other := open(t, dir)
	for name, m := range marks {
		for _, l := range []*restore.Ledger{l, other} {
			if got := ended(l, name, m); got != (name == first) {
				t.Errorf("ended: %v, of the segment with %d records", got, m.Seq)
			}
		}
	}
	if ended(l, first, half) {
		t.Error("it ended, and goes on behind the mark")
	}
	must(t, l.Close())
	must(t, other.Close())
	want(t, must1(read(t, open(t, dir), nil)), "[1.1 1.2 1.3]")
}

func must1(got []string, _ *restore.Tail) []string { return got }

// segments returns the paths of the segments, oldest first.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	must(t, err)
	return all
}

func TestRecordsComeBackInTheirOrder(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	write(t, l, record(2, 5), record(1, 3))
	must(t, l.Close())
	l = open(t, dir) // another start, another segment
	write(t, l, record(1, 2), record(2, 6))
	must(t, l.Close())
	if n := len(segments(t, dir)); n != 2 {
		t.Fatalf("%d segments", n)
	}
	l = open(t, dir)
	got, tail := read(t, l, nil)
	want(t, got, "[1.2 1.3 2.5 2.6]")
	if tail.Gap != nil || tail.Live != 0 || tail.Records != 4 {
		t.Fatalf("%+v", tail)
	}
	got, _ = read(t, l, tail.Marks)
	want(t, got, "[]")
	n, wrong, err := l.Verify(tail.Marks)
	must(t, err)
	if n != 4 || len(wrong) > 0 {
		t.Fatal(n, wrong)
	}
}

// A segment that another process writes is that process's business.
func TestLiveSegmentIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	start(t, a)
	write(t, a, record(1, 1))
	got, tail := read(t, b, nil)
	want(t, got, "[]")
	if tail.Live != 1 || b.Alone() {
		t.Fatalf("live %d, alone %v", tail.Live, b.Alone())
	}
	must(t, a.Close())
	if !b.Alone() {
		t.Fatal("not alone")
	}
	got, _ = read(t, b, nil)
	want(t, got, "[1.1]")
}

func start(t *testing.T, l *restore.Ledger) {
	t.Helper()
	started, err := l.Start(t.Context())
	must(t, err)
	must(t, started())
}

// Who waits for its turn does not count; who has started does.
func TestStartsTakeTurns(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	started, err := a.Start(t.Context())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	turn := make(chan error, 1)
	go func() {
		_, err := b.Start(ctx)
		turn <- err
	}()
	cancel()
	if err := <-turn; !errors.Is(err, context.Canceled) {
		t.Fatalf("two started at once: %v", err)
	}
	if !a.Alone() {
		t.Fatal("the first is not alone")
	}
	must(t, started())
	start(t, b)
	if a.Alone() || b.Alone() {
		t.Fatal("alone, and two have started")
	}
}

// The mark passes no record whose change is not in the store.
func TestMarkWaitsForWhatIsUnderWay(t *testing.T) {
	l := open(t, t.TempDir())
	first, err := l.Append(t.Context(), []restore.Record{record(1, 1), record(1, 2)})
	must(t, err)
	second, err := l.Append(t.Context(), []restore.Record{record(2, 1)})
	must(t, err)
	l.Settle(second)
	if _, m := settled(t, l); m.Seq != 0 {
		t.Fatalf("settled to %d", m.Seq)
	}
	l.Settle(first)
	if _, m := settled(t, l); m.Seq != 3 {
		t.Fatalf("settled to %d", m.Seq)
	}
}

// Records that wait share a sync, and all are there afterwards.
func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() { write(t, l, record(byte(i), 1)) })
	}
	wg.Wait()
	must(t, l.Close())
	_, tail := read(t, open(t, dir), nil)
	if tail.Records != 200 {
		t.Fatal(tail.Records)
	}
}

// Of a request that was built twice, the last build counts, once.
func TestRequestsBuiltAgain(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	a, b := record(1, 1), record(1, 3)
	b.Call = a.Call
	write(t, l, a, record(1, 2), b, b)
	must(t, l.Close())
	got, _ := read(t, open(t, dir), nil)
	want(t, got, "[1.2 1.3]")
}

func TestDamage(t *testing.T) {
	edit := func(at int, what func(b []byte, at int) []byte) func([]byte) []byte {
		return func(b []byte) []byte { return what(b, at) }
	}
	flip := func(b []byte, at int) []byte {
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 1
		return b
	}
	for name, c := range map[string]struct {
		edit func([]byte) []byte
		gap  error // nil: what is lost was never acknowledged, as far as anyone remembers
		got  string
	}{
		"a record edited":            {edit(200, flip), restore.ErrDamaged, ""},
		"the header edited":          {edit(30, flip), restore.ErrDamaged, "[]"},
		"the last record torn":       {func(b []byte) []byte { return b[:len(b)-5] }, nil, "[1.1 1.2]"},
		"the last record half there": {edit(-50, flip), nil, "[1.1 1.2]"},
		"the first taken out": {func(b []byte) []byte {
			n := 4 + int(b[74]) + 32
			return append(b[:71:71], b[71+n:]...)
		}, restore.ErrDamaged, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir)
			write(t, l, record(1, 1), record(1, 2), record(1, 3))
			must(t, l.Close())
			path := segments(t, dir)[0]
			raw, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, c.edit(raw), 0o600))
			got, tail := read(t, open(t, dir), nil)
			if !errors.Is(tail.Gap, c.gap) || (tail.Gap != nil) != (c.gap != nil) {
				t.Fatalf("gap %v, want %v", tail.Gap, c.gap)
			}
			if c.got != "" {
				want(t, got, c.got)
			}
		})
	}
}

// What was cut off, lost or exchanged is noticed by what the store remembers.
func TestMarksNotice(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(t *testing.T, path string)
		gap  error
	}{
		"a cut tail": {func(t *testing.T, path string) {
			st, err := os.Stat(path)
			must(t, err)
			must(t, os.Truncate(path, st.Size()-1))
		}, restore.ErrShort},
		"a lost segment": {func(t *testing.T, path string) { must(t, os.Remove(path)) }, restore.ErrShort},
		"an edited record": {func(t *testing.T, path string) {
			raw, err := os.ReadFile(path)
			must(t, err)
			raw[len(raw)-1] ^= 1
			must(t, os.WriteFile(path, raw, 0o600))
		}, restore.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir)
			write(t, l, record(1, 1), record(1, 2))
			segment, m := settled(t, l)
			must(t, l.Close())
			c.edit(t, segments(t, dir)[0])
			l = open(t, dir)
			marks := map[string]restore.Mark{segment: m}
			_, tail := read(t, l, marks)
			if !errors.Is(tail.Gap, c.gap) {
				t.Fatalf("gap %v, want %v", tail.Gap, c.gap)
			}
			if _, wrong, err := l.Verify(marks); err != nil || len(wrong) == 0 {
				t.Fatal("verify found nothing", err)
			}
		})
	}
}

func TestOtherStore(t *testing.T) {
	dir := t.TempDir()
	must(t, open(t, dir).Close())
	if _, err := restore.Open(dir, [16]byte{2}, key("k")); abide.ErrorDetail(err) != "other_ledger" {
		t.Fatal(err)
	}
}

// A write that fails leaves the segment for good: what a failed sync left on
// disk is not known.
func TestFailedWrite(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	write(t, l, record(1, 1))
	must(t, os.RemoveAll(dir))
	write(t, l, record(1, 2)) // the open file still takes it
	must(t, l.Close())
	l = open(t, dir)
	must(t, os.RemoveAll(dir))
	if _, err := l.Append(t.Context(), []restore.Record{record(1, 3)}); err == nil {
		t.Fatal("acknowledged without a file")
	}
	must(t, os.Mkdir(dir, 0o700))
	write(t, l, record(1, 4))
}
