package durable

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// traceArgs are the arguments of strace that give the lines which Judge reads:
// every thread, the calls that write and sync, files by name, data in hex.
var traceArgs = []string{"-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", "16384", "-e", "signal=none",
	"-e", "trace=write,pwrite64,fsync,fdatasync"}

// call is one system call of the trace. Begin and end are the numbers of the
// lines where it was entered and where it returned.
type call struct {
	name       string
	file       string
	data       []byte
	begin, end int
}

var (
	// 123 pwrite64(7</tmp/x/data.db-wal>, "\x01\x02"..., 4096, 0) = 4096
	whole = regexp.MustCompile(`^(\d+) +(\w+)\(\d+<([^>]*)>(?:, "((?:\\x[0-9a-f]{2})*)")?.*$`)
	// 123 <... fsync resumed>) = 0
	resumed = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>`)
)

// readTrace reads the output of strace into calls, in the order in which they
// were entered. A call that failed is left out.
func readTrace(r io.Reader) ([]*call, error) {
	var calls []*call
	open := map[string]*call{} // by thread
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for line := 1; sc.Scan(); line++ {
		text := sc.Text()
		if m := resumed.FindStringSubmatch(text); m != nil {
			if c := open[m[1]]; c != nil && succeeded(text) {
				c.end = line
			}
			delete(open, m[1])
			continue
		}
		m := whole.FindStringSubmatch(text)
		if m == nil {
			continue // an exit, a signal
		}
		data, err := hex.DecodeString(strings.ReplaceAll(m[4], `\x`, ""))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		file, err := unescape(m[3])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		c := &call{name: m[2], file: file, data: data, begin: line}
		switch {
		case strings.HasSuffix(text, "<unfinished ...>"):
			open[m[1]] = c
		case succeeded(text):
			c.end = line
		}
		calls = append(calls, c)
	}
	return calls, sc.Err()
}

func succeeded(line string) bool {
	i := strings.LastIndex(line, " = ")
	return i >= 0 && !strings.HasPrefix(line[i+3:], "-1")
}

// unescape turns the name of a file into text: -xx puts it in hex as well.
func unescape(name string) (string, error) {
	if !strings.HasPrefix(name, `\x`) {
		return name, nil
	}
	b, err := hex.DecodeString(strings.ReplaceAll(name, `\x`, ""))
	return string(b), err
}

// log is what a trace tells of one write-ahead log.
type log struct {
	tokens map[[16]byte]int // the line at which a token's first write had returned
	syncs  []*call          // that returned, in order of entry
}

func logOf(calls []*call, name string) *log {
	l := &log{tokens: map[[16]byte]int{}}
	for _, c := range calls {
		switch {
		case c.end == 0 || !strings.HasSuffix(c.file, "/"+name):
		case strings.HasSuffix(c.name, "sync"):
			l.syncs = append(l.syncs, c)
		default:
			l.find(c)
		}
	}
	return l
}

// find notes the tokens in the data of a write.
func (l *log) find(c *call) {
	for rest := c.data; ; rest = rest[1:] {
		i := bytes.Index(rest, []byte(tokenMark))
		if i < 0 || len(rest)-i < 16 {
			return
		}
		rest = rest[i:]
		token := [16]byte(rest[:16])
		if end, ok := l.tokens[token]; !ok || c.end < end {
			l.tokens[token] = c.end
		}
	}
}

// unsynced says why a token was not durable before a line of the trace, or "".
func (l *log) unsynced(token [16]byte, before int) string {
	logged, ok := l.tokens[token]
	if !ok || logged >= before {
		return "it was not written to the log before"
	}
	i := sort.Search(len(l.syncs), func(i int) bool { return l.syncs[i].begin > logged })
	for ; i < len(l.syncs) && l.syncs[i].begin < before; i++ {
		if l.syncs[i].end < before {
			return ""
		}
	}
	return "the log was written and not synced before"
}

// Judge reads a trace of the writer and returns how many acknowledgements it
// holds, and what is wrong with them. For each acknowledgement and each of the
// two databases it wants this order of calls, each ended before the next began:
// the write of the token to the write-ahead log, a sync of that log, the write
// of the acknowledgement.
func Judge(trace io.Reader) (acks int, wrong []string, err error) {
	calls, err := readTrace(trace)
	if err != nil {
		return 0, nil, err
	}
	logs := map[string]*log{dataFile: logOf(calls, dataFile+"-wal"), keysFile: logOf(calls, keysFile+"-wal")}
	for _, c := range calls {
		if c.name != "write" || !bytes.HasPrefix(c.data, []byte("ack ")) {
			continue
		}
		a, err := ParseAck(strings.TrimSpace(string(c.data)))
		if err != nil {
			return acks, wrong, err
		}
		acks++
		for _, db := range []string{dataFile, keysFile} {
			if why := logs[db].unsynced(a.Token, c.begin); why != "" {
				wrong = append(wrong, fmt.Sprintf("acknowledgement %d: %s: %s", acks, db, why))
			}
		}
	}
	return acks, wrong, nil
}

// TraceArgs are the arguments of strace that give the lines which Judge reads.
func TraceArgs() []string { return slices.Clone(traceArgs) }
