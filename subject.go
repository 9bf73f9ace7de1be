package abide

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// SubjectID names a data subject. It is a UUIDv7 (RFC 9562, section 5.7): the
// first 48 bits are milliseconds since 1970, so ids created together lie
// together on disk; 74 bits are random.
type SubjectID [16]byte

// NewSubjectID draws an id for a subject created at now.
func NewSubjectID(now time.Time) SubjectID {
	var id SubjectID
	if _, err := rand.Read(id[:]); err != nil {
		panic("abide: no randomness: " + err.Error()) // crypto/rand never fails on supported systems
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(id[:6], ms[2:])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// String returns the 36-character form of RFC 9562, section 4.
func (id SubjectID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:], id[10:])
	return string(b[:])
}

// IsZero reports whether no subject is named.
func (id SubjectID) IsZero() bool { return id == SubjectID{} }

// MarshalText implements encoding.TextMarshaler.
func (id SubjectID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *SubjectID) UnmarshalText(b []byte) error {
	got, err := ParseSubjectID(string(b))
	if err != nil {
		return err
	}
	*id = got
	return nil
}

// ParseSubjectID reads the 36-character form. The error never repeats the
// input: callers sometimes send an e-mail address where an id belongs.
func ParseSubjectID(s string) (SubjectID, error) {
	var id SubjectID
	bad := &Error{Code: CodeInvalid, Detail: "bad_subject_id",
		Message: "this is not a subject id", Hint: "send the 36-character id that creating the subject returned, or find it by reference"}
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, bad
	}
	var h [32]byte
	n := 0
	for i := 0; i < 36; i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			continue
		}
		h[n] = s[i]
		n++
	}
	if _, err := hex.Decode(id[:], h[:]); err != nil {
		return SubjectID{}, bad
	}
	return id, nil
}

// SubjectKind tells how Abide came to know a person.
type SubjectKind string

// The kinds of data subject.
const (
	Person  SubjectKind = "person"  // has, or had, a relation with the controller
	Visitor SubjectKind = "visitor" // made a choice on the website without signing in
	Other   SubjectKind = "other"   // known only through somebody else (CLAUSES C01): never marketed to
)

// Status is the state of a subject as a whole.
type Status string

// The states of a subject. They only ever move downwards.
const (
	StatusActive  Status = "active"
	StatusErasing Status = "erasing" // intent is durable: every read is refused from here on
	StatusErased  Status = "erased"  // keys are destroyed; the certificate exists
)

// Date is a calendar date without a time zone, such as a birthday. The zero
// Date means unknown.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// ParseDate reads the form 2006-01-02 (RFC 3339 full-date).
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Date{}, &Error{Code: CodeInvalid, Detail: "bad_date",
			Message: "this is not a date", Hint: "write dates as YYYY-MM-DD"}
	}
	return Date{t.Year(), t.Month(), t.Day()}, nil
}

// IsZero reports whether the date is unknown.
func (d Date) IsZero() bool { return d == Date{} }

// String returns the form 2006-01-02, or "" if unknown.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day)
}

// MarshalText implements encoding.TextMarshaler.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; "" is unknown.
func (d *Date) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Date{}
		return nil
	}
	got, err := ParseDate(string(b))
	if err != nil {
		return err
	}
	*d = got
	return nil
}

// AgeAt returns the number of completed years at t, and false if the date is
// unknown or lies after t. Someone born on 29 February completes a year on
// 1 March of common years.
func (d Date) AgeAt(t time.Time) (int, bool) {
	if d.IsZero() {
		return 0, false
	}
	y, m, day := t.Date()
	age := y - d.Year
	if m < d.Month || (m == d.Month && day < d.Day) {
		age--
	}
	return age, age >= 0
}
