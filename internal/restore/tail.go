package restore

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"slices"

	abide "github.com/abide-privacy/abide"
)

// Tail is what a ledger holds beyond the marks of a store.
type Tail struct {
	l *Ledger
	// Marks are how far each segment reaches that was read: what the store
	// remembers once the tail is replayed.
	Marks map[string]Mark
	// Gap says why the ledger is not all that the store has seen: a segment is
	// missing, short, or changed. Nil if it is.
	Gap error
	// Live counts segments that other processes are writing. They are left to
	// those.
	Live int
	// Records is how many there are, Generation the highest among them.
	Records    int
	Generation uint64

	names []string
	live  map[string]bool
	index []place
}

// place is where a record lies. A tail of millions is sorted by these and not
// by its records.
type place struct {
	subject    abide.SubjectID
	generation uint64
	version    uint64
	at         int64
	seq        uint64
	start, end int64
	segment    uint32
	pos        uint32
}

// Tail reads what lies beyond the marks. Of a damaged segment it holds what
// comes before the damage.
func (l *Ledger) Tail(marks map[string]Mark) (*Tail, error) {
	t := &Tail{l: l, Marks: map[string]Mark{}, live: map[string]bool{}}
	names, err := l.names()
	t.names = names
	if err != nil {
		return nil, unusable(err)
	}
	for name, m := range marks {
		if m.Seq > 0 && !slices.Contains(names, name) && l.lost(name) {
			t.gap(errors.Join(ErrShort, errors.New("restore: segment "+name+" is missing")))
		}
	}
	for i, name := range names {
		if err := t.read(uint32(i), name, marks[name]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(t.index, func(a, b place) int {
		return cmp.Or(bytes.Compare(a.subject[:], b.subject[:]), cmp.Compare(a.generation, b.generation), cmp.Compare(a.version, b.version),
			cmp.Compare(a.at, b.at), cmp.Compare(a.segment, b.segment), cmp.Compare(a.pos, b.pos), cmp.Compare(a.seq, b.seq))
	})
	t.Records = len(t.index)
	return t, nil
}

// Reaches reports whether the segments hold as much as these marks say, or held
// it when they were pruned. What another process is writing is left to it.
func (t *Tail) Reaches(marks map[string]Mark) bool {
	for name, m := range marks {
		if !t.live[name] && t.Marks[name].Seq < m.Seq && !t.l.held(name, m) {
			return false
		}
	}
	return true
}

func (t *Tail) gap(err error) {
	if t.Gap == nil {
		t.Gap = err
	}
}

// read indexes one segment from its mark on.
func (t *Tail) read(n uint32, name string, from Mark) error {
	s, err := openSegment(t.l.path(name), name, t.l.ids, t.l.key)
	switch {
	case errors.Is(err, errTorn):
		if from.Seq > 0 {
			t.gap(ErrShort)
		}
		return nil
	case errors.Is(err, ErrDamaged):
		t.gap(err)
		return nil
	case err != nil:
		return unusable(err)
	}
	defer s.close()
	if beingWritten(s.f) {
		t.Live++
		t.live[name] = true
		return nil
	}
	if err := s.seek(from); err != nil {
		if !errors.Is(err, ErrShort) && !errors.Is(err, ErrDamaged) {
			return unusable(err)
		}
		t.gap(err)
		if _, err := s.f.Seek(0, io.SeekStart); err != nil {
			return unusable(err)
		}
		if err := s.begin(t.l.ids); err != nil { // all that is there, then
			return nil
		}
	}
	for {
		body, err := s.next()
		var r Record
		if err == nil {
			r, err = DecodeRecord(body)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			t.Marks[name] = s.at
			return nil
		case errors.Is(err, ErrDamaged):
			t.gap(err)
			return nil
		case err != nil:
			return unusable(err)
		}
		t.index = append(t.index, place{subject: r.Subject, generation: r.Generation, version: r.Version, at: r.At.UnixMicro(),
			seq: s.at.Seq, start: s.at.Start, end: s.at.End, segment: n, pos: r.Pos})
		t.Generation = max(t.Generation, r.Generation)
	}
}

// Each calls fn for each subject with its records in the order in which they
// are to be replayed: of a request that was built several times, the last.
func (t *Tail) Each(fn func(subject abide.SubjectID, records []Record) error) error {
	files := map[uint32]*os.File{}
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for i := 0; i < len(t.index); {
		id := t.index[i].subject
		var records []Record
		for ; i < len(t.index) && t.index[i].subject == id; i++ {
			p := &t.index[i]
			f := files[p.segment]
			if f == nil {
				var err error
				if f, err = os.Open(t.l.path(t.names[p.segment])); err != nil {
					return unusable(err)
				}
				files[p.segment] = f
			}
			body := make([]byte, p.end-p.start-int64(frameExtra))
			if _, err := f.ReadAt(body, p.start+4); err != nil {
				return unusable(err)
			}
			r, err := DecodeRecord(body)
			if err != nil {
				return unusable(err)
			}
			records = append(records, r)
		}
		if err := fn(id, lastOfEach(records)); err != nil {
			return err
		}
	}
	return nil
}

// lastOfEach leaves, of each request, the records of its last build, once.
func lastOfEach(records []Record) []Record {
	last := map[[16]byte][32]byte{}
	for i := range records {
		last[records[i].Call] = records[i].Commitment
	}
	type one struct {
		call [16]byte
		pos  uint32
	}
	seen := map[one]bool{}
	return slices.DeleteFunc(records, func(r Record) bool {
		k := one{r.Call, r.Pos}
		if r.Commitment != last[r.Call] || seen[k] {
			return true
		}
		seen[k] = true
		return false
	})
}

// Verify reads the whole ledger and reports how many records it holds, and what
// is wrong with it: a chain that is broken, a segment that is shorter than the
// store remembers.
func (l *Ledger) Verify(marks map[string]Mark) (records int, wrong []error, err error) {
	names, err := l.names()
	if err != nil {
		return 0, nil, unusable(err)
	}
	for name, m := range marks {
		if m.Seq > 0 && !slices.Contains(names, name) && l.lost(name) {
			wrong = append(wrong, errors.Join(ErrShort, errors.New("restore: segment "+name+" is missing")))
		}
	}
	for _, name := range names {
		n, bad, err := l.verify(name, marks[name])
		records += n
		if err != nil {
			return records, wrong, err
		}
		if bad != nil {
			wrong = append(wrong, bad)
		}
	}
	return records, wrong, nil
}

func (l *Ledger) verify(name string, mark Mark) (n int, bad, err error) {
	s, err := openSegment(l.path(name), name, l.ids, l.key)
	if errors.Is(err, errTorn) {
		if mark.Seq > 0 {
			return 0, ErrShort, nil
		}
		return 0, nil, nil
	}
	if errors.Is(err, ErrDamaged) {
		return 0, err, nil
	}
	if errors.Is(err, os.ErrNotExist) && !l.lost(name) {
		return 0, nil, nil // pruned a moment ago
	}
	if err != nil {
		return 0, nil, unusable(err)
	}
	defer s.close()
	for {
		_, err := s.next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			if s.at.Seq < mark.Seq {
				return n, errors.Join(ErrShort, errors.New("restore: segment "+name)), nil
			}
			return n, nil, nil
		case errors.Is(err, ErrDamaged):
			return n, err, nil
		case err != nil:
			return n, nil, unusable(err)
		}
		n++
		if s.at.Seq == mark.Seq && s.at.Hash != mark.Hash {
			return n, ErrDamaged, nil
		}
	}
}
