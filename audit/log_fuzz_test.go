package audit_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/abide-privacy/abide/audit"
)

func FuzzParseCheckpoint(f *testing.F) {
	p := publish(f, 3)
	f.Add(p.checkpointOf(f, 3).Text())
	f.Add("o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nextension\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := audit.ParseCheckpoint(text)
		if err == nil && c.Text() != text {
			t.Errorf("%q is read, and written as %q", text, c.Text())
		}
		if err != nil && !errors.As(err, new(*audit.Fault)) {
			t.Errorf("%v", err)
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	p := publish(f, 3)
	f.Add(p.files["tile/entries/000.p/3"], 3)
	f.Fuzz(func(t *testing.T, raw []byte, width int) {
		if width < 1 || width > 256 {
			return
		}
		entries, err := audit.ParseBundle("b", 0, raw, width)
		if err != nil {
			if !errors.As(err, new(*audit.Fault)) {
				t.Errorf("%v", err)
			}
			return
		}
		var again []byte
		for _, e := range entries {
			again = append(append(again, byte(len(e)>>8), byte(len(e))), e...)
		}
		if len(entries) != width || !bytes.Equal(again, raw) {
			t.Errorf("%x with %d entries is read as %x", raw, width, entries)
		}
	})
}

func FuzzParseProof(f *testing.F) {
	p := publish(f, 9)
	proof, err := p.reader().Prove(f.Context(), p.checkpoint(f), 4)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(proof.Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		q, err := audit.ParseProof(raw)
		if err != nil {
			if !errors.As(err, new(*audit.Fault)) {
				t.Errorf("%v", err)
			}
			return
		}
		if !bytes.Equal(q.Encode(), raw) {
			t.Errorf("%q is written as %q", raw, q.Encode())
		}
		if _, err := q.Verify(p.keys, q.Extra); err == nil && !bytes.Equal(q.Extra, p.log.Entries[q.Index]) {
			t.Errorf("%q proves what is not in the log", raw)
		}
	})
}

func FuzzLoadState(f *testing.F) {
	p := publish(f, 600)
	p.faults(f, audit.Verification{Passed: func(s *audit.VerifyState) {
		raw, err := s.Save(origin)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := audit.LoadState(raw, origin)
		if err != nil {
			return
		}
		// Whatever state is loaded, the run ends; that it says the truth is up to
		// whoever keeps the state.
		if _, err := p.reader().Verify(t.Context(), p.checkpointOf(t, 600), audit.Verification{Resume: s}); err != nil {
			t.Errorf("%v", err)
		}
	})
}

// FuzzVerify replaces one resource of a log by garbage: it is found, under its
// own name.
func FuzzVerify(f *testing.F) {
	p := publish(f, 600)
	var paths []string
	for path := range p.files {
		if path != "checkpoint" {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	for i, path := range paths {
		f.Add(i, p.files[path])
		f.Add(i, []byte{})
	}
	f.Fuzz(func(t *testing.T, which int, raw []byte) {
		if which < 0 {
			return
		}
		path := paths[which%len(paths)]
		old := p.files[path]
		p.files[path] = raw
		defer func() { p.files[path] = old }()
		found, named := 0, false
		_, err := p.reader().Verify(t.Context(), p.checkpointOf(t, 600), audit.Verification{Found: func(f *audit.Fault) {
			found++
			named = named || f.Path == path
		}})
		if same := bytes.Equal(raw, old); err != nil || same != (found == 0) || !same && !named {
			t.Errorf("%s replaced by %x: %d faults, named: %v, error: %v", path, raw, found, named, err)
		}
	})
}
