package wire_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/abide-privacy/abide/internal/wire"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		list := rapid.SliceOf(rapid.String()).Draw(t, "list")
		at := time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "sec"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
		b := wire.AppendTime(wire.AppendStrings(wire.AppendString([]byte{1}, s), list), at)
		r := wire.NewReader(string(b))
		r.Form(1)
		if got := r.String(); got != s {
			t.Fatalf("string %q, want %q", got, s)
		}
		got := wire.Strings[string](r)
		if len(got) != len(list) {
			t.Fatalf("list %q, want %q", got, list)
		}
		for i := range got {
			if got[i] != list[i] {
				t.Fatalf("list %q, want %q", got, list)
			}
		}
		if got := r.Time(); got != at {
			t.Fatalf("time %v, want %v", got, at)
		}
		if err := r.Done(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestZeroTimeStaysZero(t *testing.T) {
	r := wire.NewReader(string(wire.AppendTime(nil, time.Time{})))
	if got := r.Time(); !got.IsZero() || got != (time.Time{}) || r.Done() != nil {
		t.Errorf("got %v, %v", got, r.Done())
	}
}

func TestDamageIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		read func(*wire.Reader)
		want error
	}{
		"nothing":             {"", func(r *wire.Reader) { r.Form(1) }, wire.ErrDamaged},
		"older form":          {"\x00", func(r *wire.Reader) { r.Form(1) }, wire.ErrDamaged},
		"newer form":          {"\x02", func(r *wire.Reader) { r.Form(1) }, wire.ErrNewer},
		"unknown bit":         {"\x04", func(r *wire.Reader) { r.Mask(2) }, wire.ErrNewer},
		"known bits":          {"\x03", func(r *wire.Reader) { r.Mask(2) }, nil},
		"cut string":          {"\x05ab", func(r *wire.Reader) { _ = r.String() }, wire.ErrDamaged},
		"huge count":          {"\xff\xff\xff\xff\x0f", func(r *wire.Reader) { r.Count(1) }, wire.ErrDamaged},
		"integer too long":    {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", func(r *wire.Reader) { r.Uvarint() }, wire.ErrDamaged},
		"integer overflows":   {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", func(r *wire.Reader) { r.Uvarint() }, wire.ErrDamaged},
		"cut time":            {"12345678901", func(r *wire.Reader) { r.Time() }, wire.ErrDamaged},
		"nanoseconds too big": {"\x00\x00\x00\x00\x00\x00\x00\x00\x3b\x9a\xca\x00", func(r *wire.Reader) { r.Time() }, wire.ErrDamaged},
		"bytes left over":     {"\x00\x00", func(r *wire.Reader) { r.Byte() }, wire.ErrDamaged},
		"too few bytes":       {"\x00", func(r *wire.Reader) { r.Raw(2) }, wire.ErrDamaged},
		"no byte":             {"", func(r *wire.Reader) { r.Byte() }, wire.ErrDamaged},
	} {
		r := wire.NewReader(c.in)
		c.read(r)
		if err := r.Done(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestFirstErrorSticks(t *testing.T) {
	r := wire.NewReader("\x02abc")
	r.Form(1)
	if s := r.String(); s != "" {
		t.Errorf("read %q after an error", s)
	}
	if err := r.Done(); !errors.Is(err, wire.ErrNewer) {
		t.Errorf("got %v, want the first error", err)
	}
}
