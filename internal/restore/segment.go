package restore

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	segmentMagic  = "abide restore ledger/1\n"
	segmentSuffix = ".segment"
	headerSize    = len(segmentMagic) + 16 + 16 + 16 // ledger, store, segment
	frameExtra    = 4 + sha256.Size                  // length and hash around a body
	maxBody       = 64 << 20
)

// Mark is how far a segment is known: after record Seq, which ends at End and
// has the hash Hash. The zero Mark is a segment of which nothing is known.
type Mark struct {
	Seq   uint64 `json:"seq"`
	Start int64  `json:"start"` // of the frame of record Seq
	End   int64  `json:"end"`
	Hash  string `json:"hash"` // hex
}

// Keyed computes the store's keyed hash. A ring of keys satisfies it.
type Keyed interface {
	Digest(message []byte) ([]byte, error)
}

// chain hashes what comes next: a header after nothing, a body after a hash.
func chain(k Keyed, before, next []byte) ([]byte, error) {
	h := sha256.New()
	h.Write([]byte("abide/restore-ledger/1\x00"))
	h.Write(before)
	h.Write(next)
	return k.Digest(h.Sum(nil))
}

// Errors of reading a segment.
var (
	// ErrDamaged: a record was changed, taken out or put in.
	ErrDamaged = errors.New("restore: the ledger was changed")
	// ErrShort: the segment ends before a mark that the store remembers.
	ErrShort = errors.New("restore: the ledger ends before what the store has seen of it")
	// errTorn: the last frame is not whole; it was never acknowledged.
	errTorn = errors.New("restore: last record incomplete")
)

// segment reads the frames of one segment in order.
type segment struct {
	name string
	key  Keyed
	f    *os.File
	r    *bufio.Reader
	size int64
	at   Mark   // the last frame that was read
	hash []byte // its hash
}

// openSegment opens a segment and checks its header.
func openSegment(path, name string, id ids, k Keyed) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &segment{name: name, key: k, f: f}
	if err := s.begin(id); err != nil {
		_ = f.Close()
		return nil, err
	}
	return s, nil
}

func (s *segment) begin(id ids) error {
	st, err := s.f.Stat()
	if err != nil {
		return err
	}
	s.size = st.Size()
	s.r = bufio.NewReaderSize(s.f, 1<<16)
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(s.r, header); err != nil {
		return errTorn // its first record was never acknowledged
	}
	want := id.header(header[headerSize-16:])
	if string(header) != string(want) {
		return fmt.Errorf("%w: segment %s belongs to another ledger", ErrDamaged, s.name)
	}
	s.hash, err = chain(s.key, nil, header)
	s.at.Start, s.at.End = int64(headerSize), int64(headerSize)
	return err
}

func (s *segment) close() { _ = s.f.Close() }

// next reads one frame and returns its body. io.EOF: no more; errTorn: the rest
// of the file is no whole frame.
func (s *segment) next() ([]byte, error) {
	var length [4]byte
	switch _, err := io.ReadFull(s.r, length[:]); {
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case err != nil:
		return nil, errTorn
	}
	n := binary.BigEndian.Uint32(length[:])
	end := s.at.End + int64(n) + int64(frameExtra)
	if n > maxBody || end > s.size {
		if end > s.size && n <= maxBody {
			return nil, errTorn
		}
		return nil, fmt.Errorf("%w: segment %s at byte %d", ErrDamaged, s.name, s.at.End)
	}
	frame := make([]byte, int(n)+sha256.Size)
	if _, err := io.ReadFull(s.r, frame); err != nil {
		return nil, err
	}
	body := frame[:n]
	hash, err := chain(s.key, s.hash, body)
	if err != nil {
		return nil, err
	}
	if string(hash) != string(frame[n:]) {
		if end == s.size {
			return nil, errTorn // a write that lost power may leave its pages in any order
		}
		return nil, fmt.Errorf("%w: segment %s at byte %d", ErrDamaged, s.name, s.at.End)
	}
	s.at = Mark{Seq: s.at.Seq + 1, Start: s.at.End, End: end, Hash: hex.EncodeToString(hash)}
	s.hash = hash
	return body, nil
}

// seek goes to the end of the frame that a mark names, if it is the one that
// the mark remembers.
func (s *segment) seek(m Mark) error {
	if m.Seq == 0 {
		return nil
	}
	want, err := hex.DecodeString(m.Hash)
	if err != nil || len(want) != sha256.Size || m.End < m.Start+int64(frameExtra) {
		return fmt.Errorf("%w: the store's mark of segment %s cannot be read", ErrDamaged, s.name)
	}
	if m.End > s.size {
		return fmt.Errorf("%w: segment %s", ErrShort, s.name)
	}
	got := make([]byte, sha256.Size)
	if _, err := s.f.ReadAt(got, m.End-sha256.Size); err != nil {
		return err
	}
	if string(got) != string(want) {
		return fmt.Errorf("%w: segment %s is not the one that the store has seen", ErrDamaged, s.name)
	}
	if _, err := s.f.Seek(m.End, io.SeekStart); err != nil {
		return err
	}
	s.r.Reset(s.f)
	s.at, s.hash = m, want
	return nil
}
