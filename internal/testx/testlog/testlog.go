// Package testlog makes small logs in the published form of C2SP, from the
// primitives of golang.org/x/mod and nothing of Abide's own, so that a reader
// that accepts them does not merely agree with our writer.
package testlog

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Log is a log in memory. It is not safe for concurrent use.
type Log struct {
	Origin  string
	Key     string // the verifier key
	Entries [][]byte
	signer  note.Signer
	hashes  []tlog.Hash
}

// New makes an empty log whose key and origin have this name.
func New(origin string) (*Log, error) {
	// The key only has to differ from name to name.
	seed := sha256.Sum256([]byte("testlog " + origin))
	skey, vkey, err := note.GenerateKey(strings.NewReader(string(seed[:])), origin)
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(skey)
	return &Log{Origin: origin, Key: vkey, signer: signer}, err
}

// Fork returns a log of the same key with the first entries of this one.
func (l *Log) Fork(size int) (*Log, error) {
	f := &Log{Origin: l.Origin, Key: l.Key, signer: l.signer}
	return f, f.Append(l.Entries[:size]...)
}

// Append adds entries.
func (l *Log) Append(entries ...[]byte) error {
	for _, e := range entries {
		more, err := tlog.StoredHashes(int64(len(l.Entries)), e, l.reader())
		if err != nil {
			return err
		}
		l.Entries, l.hashes = append(l.Entries, e), append(l.hashes, more...)
	}
	return nil
}

// Grow appends entries of 32 bytes until there are size.
func (l *Log) Grow(size int, salt string) error {
	for n := len(l.Entries); n < size; n++ {
		h := sha256.Sum256(fmt.Appendf(nil, "%s entry %d", salt, n))
		if err := l.Append(h[:]); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = l.hashes[x]
		}
		return out, nil
	})
}

// Root is the root of the first entries.
func (l *Log) Root(size int) (tlog.Hash, error) { return tlog.TreeHash(int64(size), l.reader()) }

// Checkpoint signs the tree of the first entries.
func (l *Log) Checkpoint(size int) ([]byte, error) {
	root := tlog.Hash(sha256.Sum256(nil))
	if size > 0 {
		var err error
		if root, err = l.Root(size); err != nil {
			return nil, err
		}
	}
	hash, err := json.Marshal(root)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", l.Origin, size, strings.Trim(string(hash), `"`))
	return note.Sign(&note.Note{Text: text}, l.signer)
}

// Consistency proves that the tree of size continues that of old.
func (l *Log) Consistency(old, size int) ([]tlog.Hash, error) {
	return tlog.ProveTree(int64(size), int64(old), l.reader())
}

// Files returns the tiles, bundles and checkpoint of the whole log by path.
func (l *Log) Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, t := range tlog.NewTiles(8, 0, int64(len(l.Entries))) {
		data, err := tlog.ReadTileData(t, l.reader())
		if err != nil {
			return nil, err
		}
		files[tilePath(fmt.Sprint(t.L), t)] = data
		if t.L > 0 {
			continue
		}
		var bundle []byte
		for _, e := range l.Entries[t.N*256 : t.N*256+int64(t.W)] {
			bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(e))), e...)
		}
		files[tilePath("entries", t)] = bundle
	}
	var err error
	files["checkpoint"], err = l.Checkpoint(len(l.Entries))
	return files, err
}

// Publish writes the files to a directory.
func (l *Log) Publish(dir string) error {
	files, err := l.Files()
	if err != nil {
		return err
	}
	for path, data := range files {
		if err := write(dir, path, data); err != nil {
			return err
		}
	}
	return nil
}

// tilePath turns the path of x/mod, tile/8/LEVEL/N, into that of C2SP.
func tilePath(level string, t tlog.Tile) string {
	_, n, _ := strings.Cut(strings.TrimPrefix(t.Path(), "tile/8/"), "/")
	return "tile/" + level + "/" + n
}

func write(dir, path string, data []byte) error {
	path = filepath.Join(dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}
