package storage

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawLooks(t *rapid.T) []Look {
	n := rapid.IntRange(0, 5).Draw(t, "n")
	looks := make([]Look, n)
	for i := range looks {
		l := &looks[i]
		copy(l.Subject[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "subject"))
		copy(l.Commitment[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "commitment"))
		l.At = FromMicros(rapid.Int64Range(-62135596800000000, 4e15).Draw(t, "at"))
		l.Kind = rapid.String().Draw(t, "kind")
		if p := rapid.SliceOf(rapid.Byte()).Draw(t, "payload"); len(p) > 0 {
			l.Payload = p
		}
		if p := rapid.SliceOf(rapid.Byte()).Draw(t, "envelope"); len(p) > 0 {
			l.Envelope = p
		}
	}
	return looks
}

func TestLooksComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		looks := drawLooks(t)
		got, err := DecodeLooks(EncodeLooks(looks))
		if err != nil || !reflect.DeepEqual(got, looks) {
			t.Fatalf("got %+v, %v; want %+v", got, err, looks)
		}
	})
}

func TestDamagedLooksAreRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := EncodeLooks(drawLooks(t))
		cut := b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]
		if got, err := DecodeLooks(cut); err == nil {
			t.Fatalf("%d of %d bytes gave %+v", len(cut), len(b), got)
		}
		if got, err := DecodeLooks(append(b, 0)); err == nil {
			t.Fatalf("a byte too many gave %+v", got)
		}
	})
}

// FuzzDecodeLooks wants an error or looks, and never a panic.
func FuzzDecodeLooks(f *testing.F) {
	f.Add(EncodeLooks(nil))
	f.Add(EncodeLooks([]Look{{Kind: "looked_at", Payload: []byte("p")}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		looks, err := DecodeLooks(b)
		if err != nil {
			return
		}
		if again, err := DecodeLooks(EncodeLooks(looks)); err != nil || !reflect.DeepEqual(again, looks) {
			t.Errorf("%+v comes back as %+v, %v", looks, again, err)
		}
	})
}

func TestTheZeroTimeStaysZero(t *testing.T) {
	if got := FromMicros(Micros(time.Time{})); !got.IsZero() {
		t.Errorf("got %v", got)
	}
}
