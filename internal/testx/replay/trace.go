// Package replay makes from a trace of system calls what a disk could hold
// after power was lost at some instant: everything that was synced, and of what
// was not, nothing, some, or pieces. A killed process cannot show that, because
// its page cache lives on.
package replay

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Args are the arguments of strace that give the lines which Read reads: every
// thread, the calls that change files, names and data in hex.
func Args() []string {
	return []string{"-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", "4194304", "-e", "signal=none",
		"-e", "trace=write,pwrite64,fsync,fdatasync,ftruncate,open,openat,creat,unlink,unlinkat,rename,renameat,renameat2," +
			"link,linkat,writev,pwritev,pwritev2,fallocate,copy_file_range,sendfile"}
}

// kind is what a call does to a file.
type kind int

const (
	create kind = iota // if it is not there
	write
	truncate
	unlink
	move
	sync
	said // a write to standard output
)

// call is a system call. Begin and end are the numbers of the lines where it
// was entered and where it returned; end is 0 if it never did.
type call struct {
	kind       kind
	path, to   string // to: of a move
	offset     int64
	data       []byte
	begin, end int
}

// Trace is the calls of a run in the order in which they were entered.
type Trace struct {
	calls []*call
	lines int
}

var (
	entered = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	resumed = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>`)
	named   = regexp.MustCompile(`^(\d+)<([^>]*)>`)
	quoted  = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"`)
)

// Program says what is peculiar to the program that was traced. The zero value
// is one that names files by whole paths and says where it writes.
type Program struct {
	// Dir is where it ran, if it names files from there.
	Dir string
	// Beside tells files, by path, that it does without after a crash: what is done
	// to them is left out.
	Beside func(path string) bool
	// Whole tells files that it writes from their beginning at once, without
	// saying where.
	Whole func(path string) bool
	// Deaf is a disk that says it synced and did not: a test's own check.
	Deaf bool
}

// Read reads a trace. Only files under dir are kept.
func Read(r io.Reader, dir string) (*Trace, error) { return Program{}.Read(r, dir) }

// Read reads a trace of the program. Only files under dir are kept.
func (p Program) Read(r io.Reader, dir string) (*Trace, error) {
	t := &Trace{}
	open := map[string]*call{} // by thread
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		t.lines++
		text := sc.Text()
		if m := resumed.FindStringSubmatch(text); m != nil {
			if c := open[m[1]]; c != nil && succeeded(text) {
				c.end = t.lines
			} else if c != nil {
				c.kind, c.path = said, "" // it failed: it did nothing
			}
			delete(open, m[1])
			continue
		}
		m := entered.FindStringSubmatch(text)
		if m == nil {
			continue // an exit, a signal
		}
		unfinished := strings.HasSuffix(text, "<unfinished ...>")
		if !unfinished && !succeeded(text) {
			continue
		}
		c, err := p.parse(m[2], m[3], dir)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", t.lines, err)
		}
		if c == nil || c.kind == sync && p.Deaf {
			continue
		}
		c.begin = t.lines
		if unfinished {
			open[m[1]] = c
		} else {
			c.end = t.lines
		}
		t.calls = append(t.calls, c)
	}
	return t, sc.Err()
}

func succeeded(line string) bool {
	i := strings.LastIndex(line, " = ")
	return i >= 0 && !strings.HasPrefix(line[i+3:], "-1")
}

func unhex(text string) (string, error) {
	if !strings.HasPrefix(text, `\x`) {
		return text, nil
	}
	b, err := hex.DecodeString(strings.ReplaceAll(text, `\x`, ""))
	return string(b), err
}

// parse reads one call; nil if it is about no file of dir.
func (p Program) parse(name, args, dir string) (*call, error) {
	c := &call{}
	switch name {
	case "write", "pwrite64":
		c.kind = write
	case "fsync", "fdatasync":
		c.kind = sync
	case "ftruncate":
		c.kind = truncate
	case "open", "openat", "creat":
		c.kind = create
	case "unlink", "unlinkat":
		c.kind = unlink
	case "rename":
		return p.moved(args, dir)
	default:
		return nil, p.unknown(name, args, dir)
	}
	var err error
	if c.kind == create || c.kind == unlink {
		if c.kind == create && name != "creat" && !strings.Contains(args, "O_CREAT") {
			return nil, nil
		}
		q := quoted.FindStringSubmatch(args)
		if q == nil {
			return nil, fmt.Errorf("no name in %s(%.80s", name, args)
		}
		c.path, err = p.whole(q[1])
		return p.inside(c, dir), err
	}
	m := named.FindStringSubmatch(args)
	if m == nil {
		return nil, nil // closed meanwhile, or no file
	}
	if c.path, err = unhex(m[2]); err != nil {
		return nil, err
	}
	if name == "write" && m[1] == "1" {
		c.kind, c.path = said, dir
	}
	if c = p.inside(c, dir); c == nil || c.kind == sync {
		return c, nil
	}
	if name == "write" && p.Whole != nil && p.Whole(c.path) {
		name = "whole"
	}
	return c, c.numbers(name, args[len(m[0]):])
}

// moved reads a rename, within dir or about no file of it.
func (p Program) moved(args, dir string) (*call, error) {
	q := quoted.FindAllStringSubmatch(args, -1)
	if len(q) != 2 {
		return nil, fmt.Errorf("no names in rename(%.80s", args)
	}
	from, err1 := p.whole(q[0][1])
	to, err2 := p.whole(q[1][1])
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	a, b := p.inside(&call{kind: move, path: from}, dir), p.inside(&call{path: to}, dir)
	switch {
	case a == nil && b == nil:
		return nil, nil
	case a == nil || b == nil:
		return nil, fmt.Errorf("a rename of %s to %s, of which one is left out", filepath.Base(from), filepath.Base(to))
	}
	a.to = b.path
	return a, nil
}

// unknown refuses a call about a file of dir: it must not be overlooked.
func (p Program) unknown(name, args, dir string) error {
	var paths []string
	if m := named.FindStringSubmatch(args); m != nil {
		path, err := unhex(m[2])
		if err != nil {
			return err
		}
		paths = append(paths, path)
	} else {
		for _, q := range quoted.FindAllStringSubmatch(args, -1) {
			path, err := p.whole(q[1])
			if err != nil {
				return err
			}
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		if c := p.inside(&call{path: path}, dir); c != nil {
			return fmt.Errorf("%s of %s, which this reader does not know", name, filepath.Base(c.path))
		}
	}
	return nil
}

// whole is a name that the program gave, from the root on.
func (p Program) whole(name string) (string, error) {
	path, err := unhex(name)
	if err == nil && p.Dir != "" && !filepath.IsAbs(path) {
		path = filepath.Join(p.Dir, path)
	}
	return path, err
}

// inside is the call, if it is about a file of dir.
func (p Program) inside(c *call, dir string) *call {
	c.path = filepath.Clean(c.path)
	if c.path != dir && !strings.HasPrefix(c.path, dir+"/") || strings.HasSuffix(c.path, "-shm") {
		return nil // -shm is an index in memory, rebuilt after a crash
	}
	if p.Beside != nil && p.Beside(c.path) {
		return nil
	}
	return c
}

// numbers reads data, length and offset.
func (c *call) numbers(name, rest string) error {
	if q := quoted.FindStringSubmatchIndex(rest); q != nil {
		text, err := unhex(rest[q[2]:q[3]])
		if err != nil {
			return err
		}
		c.data, rest = []byte(text), rest[q[1]:]
	}
	var n []int64
	for _, f := range strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == ' ' || r == ')' }) {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			break
		}
		n = append(n, v)
	}
	switch {
	case c.kind == said:
	case name == "whole" && len(n) > 0 && n[0] == int64(len(c.data)):
	case c.kind == truncate && len(n) > 0:
		c.offset = n[0]
	case name == "pwrite64" && len(n) > 1 && n[0] == int64(len(c.data)):
		c.offset = n[1]
	default:
		return fmt.Errorf("%s of %d bytes to %s, with numbers %v, which this reader does not know", name, len(c.data), filepath.Base(c.path), n)
	}
	return nil
}
