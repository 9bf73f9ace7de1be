// Package replay makes from a trace of system calls what a disk could hold
// after power was lost at some instant: everything that was synced, and of what
// was not, nothing, some, or pieces. A killed process cannot show that, because
// its page cache lives on.
package replay

import (
	"bufio"
	"encoding/hex"
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
		"-e", "trace=write,pwrite64,fsync,fdatasync,ftruncate,open,openat,creat,unlink,unlinkat,rename,renameat,renameat2"}
}

// kind is what a call does to a file.
type kind int

const (
	create kind = iota // if it is not there
	write
	truncate
	unlink
	sync
	said // a write to standard output
)

// call is a system call. Begin and end are the numbers of the lines where it
// was entered and where it returned; end is 0 if it never did.
type call struct {
	kind       kind
	path       string
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

// Read reads a trace. Only files under dir are kept.
func Read(r io.Reader, dir string) (*Trace, error) {
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
		c, err := parse(m[2], m[3], dir)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", t.lines, err)
		}
		if c == nil {
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
func parse(name, args, dir string) (*call, error) {
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
	default:
		if strings.Contains(args, hex2(dir)) {
			return nil, fmt.Errorf("a rename, which this reader does not know")
		}
		return nil, nil
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
		c.path, err = unhex(q[1])
		return inside(c, dir), err
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
	if c = inside(c, dir); c == nil || c.kind == sync {
		return c, nil
	}
	return c, c.numbers(name, args[len(m[0]):])
}

func hex2(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	return b.String()
}

func inside(c *call, dir string) *call {
	c.path = filepath.Clean(c.path)
	if c.path != dir && !strings.HasPrefix(c.path, dir+"/") || strings.HasSuffix(c.path, "-shm") {
		return nil // -shm is an index in memory, rebuilt after a crash
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
	case c.kind == truncate && len(n) > 0:
		c.offset = n[0]
	case name == "pwrite64" && len(n) > 1 && n[0] == int64(len(c.data)):
		c.offset = n[1]
	default:
		return fmt.Errorf("%s of %d bytes to %s, with numbers %v, which this reader does not know", name, len(c.data), filepath.Base(c.path), n)
	}
	return nil
}
