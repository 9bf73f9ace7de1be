package audit

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	abide "github.com/abide-privacy/abide"
)

// FormExport is the form of an export of log entries: JSON, one object a line.
// The first line is an ExportHeader, then come ExportedEntry, the last is an
// ExportEnd, so that a file that was cut is noticed.
const FormExport = "abide-log-export/1"

const maxExportLine = 4 << 20

// ExportHeader says what an export is of. It is not signed.
type ExportHeader struct {
	Form    string          `json:"form"`
	Origin  string          `json:"origin"`
	At      time.Time       `json:"at"`
	Subject abide.SubjectID `json:"subject,omitzero"`
	// From and To are a range of the log, if it is of one.
	From int64 `json:"from,omitempty"`
	To   int64 `json:"to,omitempty"`
}

// ExportedEntry is an entry opened, with the proof that it is in the log. Part
// and Envelope are as OpenPart and OpenEnvelope take them; one of them may be
// missing, because the reader may not see it or because it was erased.
type ExportedEntry struct {
	Index      int64  `json:"index"`
	Commitment string `json:"commitment"` // hex
	Proof      string `json:"proof"`      // c2sp.org/tlog-proof
	Part       Bytes  `json:"part,omitempty"`
	Envelope   Bytes  `json:"envelope,omitempty"`
	Lost       bool   `json:"lost,omitempty"` // the payload was lost in a restore
}

// ExportEnd is the last line.
type ExportEnd struct {
	Entries int64 `json:"entries"`
	// Waiting are entries that were not in the log yet when it was made.
	Waiting int64 `json:"waiting,omitempty"`
	// Others are entries of the person in another log of the same store.
	Others int64 `json:"others,omitempty"`
}

// VerifiedEntry is an entry of an export that was verified.
type VerifiedEntry struct {
	Index      int64
	Part       *Part     // nil if not exported
	Envelope   *Envelope // nil if not exported
	Checkpoint *SignedCheckpoint
}

// VerifyExport checks an export without a connection: that every entry opens to
// the commitment that is in the log at its index, under a checkpoint that these
// keys accept, and that the file is whole. It tells each fault and goes on;
// memory does not grow with the file. Which entries were left out, nobody can
// tell from the file alone; of a range it is checked that none is.
func VerifyExport(r io.Reader, k *Keys, each func(*VerifiedEntry) error, found func(*Fault)) (*ExportHeader, *ExportEnd, error) {
	x := exportReader{k: k, each: each, found: found}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxExportLine)
	for lines.Scan() {
		if err := x.line(lines.Bytes()); err != nil {
			return nil, nil, err
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, nil, malformedExport(x.n+1, fmt.Sprintf("it has more than %d bytes", maxExportLine))
		}
		return nil, nil, err
	}
	if x.end == nil {
		return nil, nil, malformedExport(x.n, "the last line is missing: the file was cut")
	}
	return x.header, x.end, nil
}

type exportReader struct {
	k       *Keys
	each    func(*VerifiedEntry) error
	found   func(*Fault)
	n       int // lines read
	entries int64
	next    int64 // of a range
	header  *ExportHeader
	end     *ExportEnd
	last    *SignedCheckpoint // whose signature was verified already
}

func malformedExport(line int, what string) *Fault {
	return &Fault{Code: ExportMalformed, Path: fmt.Sprintf("line %d", line), Entry: -1, What: what}
}

func (x *exportReader) line(raw []byte) error {
	x.n++
	switch {
	case x.end != nil:
		return malformedExport(x.n, "something follows the last line")
	case x.header == nil:
		x.header = &ExportHeader{}
		if err := strict(raw, x.header); err != nil || x.header.Form != FormExport {
			return malformedExport(x.n, "the first line is not that of an export")
		}
		if x.header.Origin != x.k.Origin() {
			return &Fault{Code: CheckpointOrigin, Path: "line 1", Entry: -1, What: "the export is of another log than the key"}
		}
		x.next = x.header.From
		return nil
	case bytes.HasPrefix(raw, []byte(`{"entries":`)):
		x.end = &ExportEnd{}
		if err := strict(raw, x.end); err != nil || x.end.Entries != x.entries {
			return malformedExport(x.n, fmt.Sprintf("the file has %d entries, not as many as its last line says", x.entries))
		}
		if x.header.To > 0 && x.next != x.header.To {
			return malformedExport(x.n, fmt.Sprintf("the range ends before entry %d", x.next))
		}
		return nil
	}
	var e ExportedEntry
	if err := strict(raw, &e); err != nil {
		return malformedExport(x.n, "it is not an exported entry")
	}
	x.entries++
	if x.header.To > 0 {
		if e.Index != x.next {
			return malformedExport(x.n, fmt.Sprintf("the range leaves out entry %d", x.next))
		}
		x.next++
	}
	v, err := x.entry(&e)
	var f *Fault
	if errors.As(err, &f) {
		f.Path = fmt.Sprintf("line %d", x.n)
		if f.Entry < 0 {
			f.Entry = e.Index
		}
		if x.found != nil {
			x.found(f)
		}
		return nil
	}
	if err != nil || x.each == nil {
		return err
	}
	return x.each(v)
}

// entry verifies one.
func (x *exportReader) entry(e *ExportedEntry) (*VerifiedEntry, error) {
	bad := func(what string) (*VerifiedEntry, error) {
		return nil, &Fault{Code: ProofWrong, Entry: e.Index, What: what}
	}
	p, err := ParseProof([]byte(e.Proof))
	if err != nil {
		return nil, err
	}
	commitment, err := hex.DecodeString(e.Commitment)
	if err != nil || hex.EncodeToString(commitment) != e.Commitment {
		return bad("the commitment is not hexadecimal in lower case")
	}
	if p.Index != e.Index {
		return bad("the proof is of another entry")
	}
	if x.last == nil || !bytes.Equal(x.last.Note, p.Checkpoint) {
		if x.last, err = x.k.Open(p.Checkpoint); err != nil {
			return nil, err
		}
	}
	if err := checkInclusion(&x.last.Checkpoint, p.Index, LeafHash(commitment), p.Hashes); err != nil {
		return nil, err
	}
	v := &VerifiedEntry{Index: e.Index, Checkpoint: x.last}
	var proved Hash
	if e.Part != nil {
		if v.Part, proved, err = OpenPart(e.Part); err != nil || !bytes.Equal(proved[:], commitment) {
			return bad("the subject's part is not the one that was committed to")
		}
		if want := x.header.Subject; !want.IsZero() && !v.Part.Subject.IsZero() && v.Part.Subject != want && v.Part.Other != want {
			return bad("the entry is about another person than the export")
		}
	}
	if e.Envelope != nil {
		if v.Envelope, proved, err = OpenEnvelope(e.Envelope); err != nil || !bytes.Equal(proved[:], commitment) {
			return bad("the envelope is not the one that was committed to")
		}
	}
	return v, nil
}

// ExportWriter writes an export line by line.
type ExportWriter struct {
	lines *json.Encoder
	end   ExportEnd
}

// NewExport begins an export.
func NewExport(w io.Writer, h ExportHeader) (*ExportWriter, error) {
	h.Form, h.At = FormExport, utc(h.At)
	x := ResumeExport(w, ExportEnd{})
	return x, x.lines.Encode(h)
}

// ResumeExport goes on with an export that has so much.
func ResumeExport(w io.Writer, so ExportEnd) *ExportWriter {
	x := &ExportWriter{lines: json.NewEncoder(w), end: so}
	x.lines.SetEscapeHTML(false)
	return x
}

// Add writes an entry.
func (x *ExportWriter) Add(e *ExportedEntry) error {
	x.end.Entries++
	return x.lines.Encode(e)
}

// Wait counts entries that are not in the log yet, and those in another.
func (x *ExportWriter) Wait(waiting, others int64) {
	x.end.Waiting += waiting
	x.end.Others += others
}

// So is what was written and counted.
func (x *ExportWriter) So() ExportEnd { return x.end }

// End writes the last line.
func (x *ExportWriter) End() (ExportEnd, error) { return x.end, x.lines.Encode(x.end) }
