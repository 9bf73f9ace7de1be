package replay_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/abide-privacy/abide/internal/testx/replay"
)

func hex(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	return b.String()
}

func pwrite(file, data string, at int) string {
	return fmt.Sprintf(`7 pwrite64(9<%s>, "%s", %d, %d) = %d`, hex("/d/"+file), hex(data), len(data), at, len(data))
}

func fsync(path string) string { return fmt.Sprintf(`8 fsync(9<%s>) = 0`, hex(path)) }

func open(file string) string {
	return fmt.Sprintf(`7 open("%s", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 9<%s>`, hex("/d/"+file), hex("/d/"+file))
}

// TestDisk cuts at the end of short traces, with nothing kept that was not
// synced, on a base in which the file a holds "base".
func TestDisk(t *testing.T) {
	dir := fsync("/d")
	for name, c := range map[string]struct {
		trace []string
		want  string // files and what they hold
	}{
		"nothing":                     {nil, "a=base"},
		"not synced":                  {[]string{pwrite("a", "new", 0)}, "a=base"},
		"synced":                      {[]string{pwrite("a", "new", 0), fsync("/d/a")}, "a=newe"},
		"synced before":               {[]string{fsync("/d/a"), pwrite("a", "new", 0)}, "a=base"},
		"another synced":              {[]string{pwrite("a", "new", 0), fsync("/d/b")}, "a=base"},
		"the sync failed":             {[]string{pwrite("a", "new", 0), `8 fsync(9<` + hex("/d/a") + `>) = -1 EIO (Input/output error)`}, "a=base"},
		"the write failed":            {[]string{`7 pwrite64(9<` + hex("/d/a") + `>, "` + hex("new") + `", 3, 0) = -1 ENOSPC (No space)`, fsync("/d/a")}, "a=base"},
		"the sync had not returned":   {[]string{pwrite("a", "new", 0), `8 fsync(9<` + hex("/d/a") + `> <unfinished ...>`}, "a=base"},
		"synced by two threads":       {[]string{pwrite("a", "new", 0), `8 fsync(9<` + hex("/d/a") + `> <unfinished ...>`, `8 <... fsync resumed>) = 0`}, "a=newe"},
		"entered before the write":    {[]string{`8 fsync(9<` + hex("/d/a") + `> <unfinished ...>`, pwrite("a", "new", 0), `8 <... fsync resumed>) = 0`}, "a=base"},
		"longer":                      {[]string{pwrite("a", "long", 4), fsync("/d/a")}, "a=baselong"},
		"cut short":                   {[]string{`7 ftruncate(9<` + hex("/d/a") + `>, 2) = 0`, fsync("/d/a")}, "a=ba"},
		"a new file without its name": {[]string{open("b"), pwrite("b", "x", 0), fsync("/d/b")}, "a=base"},
		"a new file":                  {[]string{open("b"), pwrite("b", "x", 0), fsync("/d/b"), dir}, "a=base b=x"},
		"removed":                     {[]string{`7 unlink("` + hex("/d/a") + `") = 0`, dir}, ""},
		"removed, not for good":       {[]string{`7 unlink("` + hex("/d/a") + `") = 0`}, "a=base"},
		"renamed":                     {[]string{`7 rename("` + hex("/d/a") + `", "` + hex("/d/b") + `") = 0`, dir}, "b=base"},
		"renamed, not for good":       {[]string{`7 rename("` + hex("/d/a") + `", "` + hex("/d/b") + `") = 0`}, "a=base"},
		"renamed, then written":       {[]string{`7 rename("` + hex("/d/a") + `", "` + hex("/d/b") + `") = 0`, dir, pwrite("b", "new", 0), fsync("/d/b")}, "b=newe"},
		"an index in memory":          {[]string{open("a-shm"), dir}, "a=base"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := disk(t, c.trace, replay.None); got != c.want {
				t.Errorf("the disk holds %q; want %q", got, c.want)
			}
		})
	}
}

func disk(t *testing.T, lines []string, m replay.Mode) string {
	t.Helper()
	return diskOf(t, replay.Program{}, lines, m)
}

func diskOf(t *testing.T, p replay.Program, lines []string, m replay.Mode) string {
	t.Helper()
	base, to := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(base, "a"), []byte("base"), 0o600); err != nil {
		t.Fatal(err)
	}
	tr, err := p.Read(strings.NewReader(strings.Join(lines, "\n")), "/d")
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Disk(base, "/d", to, len(lines)+1, m, rand.New(rand.NewPCG(1, 2))); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(to, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var holds []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		holds = append(holds, filepath.Base(f)+"="+string(data))
	}
	return strings.Join(holds, " ")
}

// A program may name files from where it runs, write some whole without saying
// where, and do without others; a disk may say that it synced and did not.
func TestProgram(t *testing.T) {
	lines := []string{
		`7 openat(AT_FDCWD, "` + hex("b") + `", O_RDWR|O_CREAT, 0600) = 9<` + hex("/d/b") + `>`, fsync("/d"),
		`7 write(9<` + hex("/d/b") + `>, "` + hex("one") + `", 3) = 3`, `7 write(9<` + hex("/d/b") + `>, "` + hex("two") + `", 3) = 3`, fsync("/d/b"),
		pwrite("a", "lost", 0), fsync("/d/a"),
	}
	p := replay.Program{Dir: "/d", Whole: func(path string) bool { return path == "/d/b" }, Beside: func(path string) bool { return path == "/d/a" }}
	if got := diskOf(t, p, lines, replay.None); got != "a=base b=two" {
		t.Errorf("the disk holds %q", got)
	}
	p.Deaf = true
	if got := diskOf(t, p, lines, replay.None); got != "a=base" {
		t.Errorf("the disk that syncs nothing holds %q", got)
	}
}

// Torn writes leave whole sectors, some of them; what was synced is never torn.
func TestTorn(t *testing.T) {
	page := strings.Repeat("x", 64*512)
	torn := strings.TrimPrefix(disk(t, []string{pwrite("a", page, 0), pwrite("a", page, 0), pwrite("a", page, 0)}, replay.Torn), "a=")
	kept := 0
	for i := 0; i+512 <= len(torn); i += 512 {
		s := torn[i : i+512]
		switch n := strings.Count(s, "x"); n {
		case 512:
			kept++
		case 0:
		default:
			t.Fatalf("a sector with %d of its bytes", n)
		}
	}
	if kept == 0 || kept == 64 {
		t.Fatalf("%d of 64 sectors kept; want some", kept)
	}
	if got := disk(t, []string{pwrite("a", page, 0), fsync("/d/a")}, replay.Torn); got != "a="+page {
		t.Fatal("a synced write was torn")
	}
}

// A call that the reader does not know must not be overlooked.
func TestUnknownCallsAreErrors(t *testing.T) {
	for _, line := range []string{
		`7 rename("` + hex("/d/a") + `", "` + hex("/e/b") + `") = 0`,
		`7 renameat2(AT_FDCWD, "` + hex("/d/a") + `", AT_FDCWD, "` + hex("/d/b") + `", RENAME_EXCHANGE) = 0`,
		`7 link("` + hex("/d/a") + `", "` + hex("/d/b") + `") = 0`,
		`7 pwritev(9<` + hex("/d/a") + `>, [{iov_base="` + hex("x") + `", iov_len=1}], 1, 0) = 1`,
		`7 write(9<` + hex("/d/a") + `>, "` + hex("x") + `", 1) = 1`,
		`7 pwrite64(9<` + hex("/d/a") + `>, "` + hex("x") + `"..., 100, 0) = 100`,
	} {
		if _, err := replay.Read(strings.NewReader(line), "/d"); err == nil {
			t.Errorf("read without an error: %s", line)
		}
	}
}
