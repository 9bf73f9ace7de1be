package consent_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/internal/wire"
)

// leaves calls f with every settable leaf within v.
func leaves(v reflect.Value, path string, f func(string, reflect.Value)) {
	if v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]() {
		for i := range v.NumField() {
			leaves(v.Field(i), path+"."+v.Type().Field(i).Name, f)
		}
		return
	}
	f(path, v)
}

func fillLeaf(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch x := v.Addr().Interface().(type) {
	case *bool:
		*x = true
	case *uint64:
		*x = 1 << 40
	case *time.Time:
		*x = day(3).Add(time.Nanosecond)
	default:
		switch v.Kind() {
		case reflect.String:
			v.SetString("at " + path)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range 2 {
				v.Index(i).SetString(fmt.Sprint(path, i))
			}
		default:
			t.Fatalf("%s is a %s: teach this test, and the codec, about it", path, v.Kind())
		}
	}
}

// Every field of an event survives, found by reflection: alone and with all
// others.
func TestEveryFieldOfEventSurvives(t *testing.T) {
	var all abide.ConsentEvent
	n := 0
	leaves(reflect.ValueOf(&all).Elem(), "event", func(path string, v reflect.Value) {
		n++
		fillLeaf(t, path, v)
		var one abide.ConsentEvent
		leaves(reflect.ValueOf(&one).Elem(), "event", func(p string, v reflect.Value) {
			if p == path {
				fillLeaf(t, p, v)
			}
		})
		if got, err := consent.Decode(consent.Encode(&one)); err != nil || !reflect.DeepEqual(got, &one) {
			t.Errorf("%s alone: got %+v, %v", path, got, err)
		}
	})
	if got, err := consent.Decode(consent.Encode(&all)); err != nil || !reflect.DeepEqual(got, &all) {
		t.Errorf("all fields: got %+v, %v", got, err)
	}
	if n < 20 {
		t.Errorf("only %d fields found", n)
	}
}

func TestEventsAreDeterministic(t *testing.T) {
	gen := anyEvents()
	rapid.Check(t, func(t *rapid.T) {
		for _, e := range gen.Draw(t, "events") {
			b := consent.Encode(&e)
			got, err := consent.Decode(b)
			if err != nil || !reflect.DeepEqual(got, &e) || !bytes.Equal(consent.Encode(got), b) {
				t.Fatalf("got %+v, want %+v, %v", got, e, err)
			}
		}
	})
}

func TestNewerEventIsRefused(t *testing.T) {
	b := consent.Encode(&abide.ConsentEvent{N: 1})
	for i := range b {
		if _, err := consent.Decode(b[:i]); err == nil {
			t.Errorf("cut after %d bytes: accepted", i)
		}
	}
	b[0]++
	if _, err := consent.Decode(b); !errors.Is(err, wire.ErrNewer) {
		t.Errorf("a later form: %v", err)
	}
	if _, err := consent.Decode([]byte{1, 0xff, 0xff, 0xff, 0x0f}); !errors.Is(err, wire.ErrNewer) {
		t.Errorf("unknown fields: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	e := yes()
	f.Add(consent.Encode(&e))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := consent.Decode(in)
		if err != nil {
			return
		}
		b, err := consent.Decode(consent.Encode(a))
		if err != nil || !bytes.Equal(consent.Encode(a), consent.Encode(b)) {
			t.Fatalf("%+v became %+v, %v", a, b, err)
		}
	})
}
