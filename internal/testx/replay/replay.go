package replay

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mode is what happens to the writes that were not synced.
type Mode int

// The modes.
const (
	None Mode = iota // none reaches the disk
	Some             // each does or does not
	Torn             // and of those that do, each sector does or does not
)

func (m Mode) String() string { return [...]string{"none", "some", "torn"}[m] }

// sector is what a disk writes whole.
const sector = 512

// Cuts draws n instants at which power is lost: in turns one at which something
// was just said to be done, when a lie costs most, and any one.
func (t *Trace) Cuts(n int, r *rand.Rand) []int {
	var sayings []int
	for _, c := range t.calls {
		if c.kind == said {
			sayings = append(sayings, c.begin+1)
		}
	}
	var cuts []int
	for i := range n {
		if i%2 == 0 && len(sayings) > 0 {
			cuts = append(cuts, sayings[r.IntN(len(sayings))])
		} else {
			cuts = append(cuts, 1+r.IntN(t.lines))
		}
	}
	return cuts
}

// Said is what had been written to standard output at an instant.
func (t *Trace) Said(cut int) string {
	var b strings.Builder
	for _, c := range t.calls {
		if c.kind == said && c.begin < cut {
			b.Write(c.data)
		}
	}
	return b.String()
}

// Disk makes in the directory to what the disk could hold at an instant, from
// the base that the run began with and the calls that were entered before.
func (t *Trace) Disk(base, from, to string, cut int, m Mode, r *rand.Rand) error {
	files, err := read(base)
	if err != nil {
		return err
	}
	for i, c := range t.calls {
		if c.begin >= cut {
			break
		}
		if c.kind == sync || c.kind == said {
			continue
		}
		kept := t.synced(i, cut) || m != None && r.IntN(2) == 0
		if !kept {
			continue
		}
		rel, err := filepath.Rel(from, c.path)
		if err != nil {
			return err
		}
		if c.kind == move {
			to, err := filepath.Rel(from, c.to)
			if err != nil {
				return err
			}
			if data, there := files[rel]; there {
				files[to] = data
				delete(files, rel)
			}
			continue
		}
		apply(files, rel, c, m == Torn && !t.synced(i, cut), r)
	}
	return put(files, to)
}

// synced reports whether call i was durable before the cut: a sync of its file
// (of its directory, if it made, removed or renamed the file) began after it had
// returned, and returned itself.
func (t *Trace) synced(i, cut int) bool {
	c := t.calls[i]
	if c.end == 0 || c.end >= cut {
		return false
	}
	path := c.path
	switch c.kind {
	case create, unlink:
		path = filepath.Dir(path)
	case move: // within one directory, or done for good in the one it came to
		path = filepath.Dir(c.to)
	}
	for _, s := range t.calls[i+1:] {
		if s.begin >= cut {
			break
		}
		if s.kind == sync && s.path == path && s.begin > c.end && s.end != 0 && s.end < cut {
			return true
		}
	}
	return false
}

// apply does a call to the files. A write to a file whose name did not reach
// the disk is lost with it.
func apply(files map[string][]byte, rel string, c *call, torn bool, r *rand.Rand) {
	data, there := files[rel]
	switch c.kind {
	case create:
		if !there {
			files[rel] = nil
		}
	case unlink:
		delete(files, rel)
	case truncate:
		if there {
			files[rel] = resize(data, c.offset)
		}
	case write:
		if !there {
			return
		}
		end := c.offset + int64(len(c.data))
		if end > int64(len(data)) {
			data = resize(data, end)
		}
		if !torn {
			copy(data[c.offset:], c.data)
		} else {
			tear(data, c, r)
		}
		files[rel] = data
	}
}

// tear writes some of the sectors that a write touches.
func tear(data []byte, c *call, r *rand.Rand) {
	end := c.offset + int64(len(c.data))
	for at := c.offset; at < end; {
		next := min(end, (at/sector+1)*sector)
		if r.IntN(2) == 0 {
			copy(data[at:next], c.data[at-c.offset:next-c.offset])
		}
		at = next
	}
}

func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

// read reads the files under a directory, without those that live in memory
// only. A directory has a name that ends with a slash.
func read(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	return files, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasSuffix(path, "-shm") {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			files[rel+"/"] = nil
			return nil
		}
		files[rel], err = os.ReadFile(path)
		return err
	})
}

// put writes files under a directory.
func put(files map[string][]byte, to string) error {
	for _, rel := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(to, rel)
		if strings.HasSuffix(rel, "/") {
			if err := os.MkdirAll(path, 0o700); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[rel], 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Copy copies the files under a directory.
func Copy(from, to string) error {
	files, err := read(from)
	if err != nil {
		return err
	}
	return put(files, to)
}
