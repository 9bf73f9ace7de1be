package keys_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
)

var offices = []string{"finance", "legal", "notary", "operations", "board"}

// escrowed is a ring on disk with an escrow of five shares, of which three open
// its recovery copy.
type escrowed struct {
	ring       *keys.Keyring
	path, copy string
	shares     []keys.Share
}

func escrow(t *testing.T) *escrowed {
	t.Helper()
	ring, path := create(t)
	x := &escrowed{ring: ring, path: path, copy: filepath.Join(t.TempDir(), "recovery.json")}
	x.renew(t)
	return x
}

func (x *escrowed) renew(t *testing.T) {
	t.Helper()
	n, err := x.ring.PrepareEscrow(offices, 3, x.copy, day)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.ring.BeginEscrow(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	x.shares = n.Given
}

func (x *escrowed) open(t *testing.T, shares ...keys.Share) (*keys.Keyring, error) {
	t.Helper()
	raw, err := os.ReadFile(x.copy)
	if err != nil {
		t.Fatal(err)
	}
	return keys.OpenCopy(raw, shares)
}

func wantDetail(t *testing.T, what string, err error, want string) {
	t.Helper()
	if abide.ErrorDetail(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

func TestAnyThreeOfFiveSharesOpenTheRing(t *testing.T) {
	x := escrow(t)
	w, key := wrap(t, x.ring)
	for a := range 5 {
		for b := range a {
			for c := range b {
				got, err := x.open(t, x.shares[a], x.shares[c], x.shares[b])
				if err != nil {
					t.Fatal(err)
				}
				if out, err := got.Unwrap(w); err != nil || !bytes.Equal(out, key) || !got.SameKeys(x.ring) {
					t.Fatalf("shares %d %d %d give another ring (%v)", a, b, c, err)
				}
			}
			_, err := x.open(t, x.shares[a], x.shares[b])
			wantDetail(t, "two shares", err, "shares_too_few")
		}
	}
	if got, err := x.open(t, x.shares...); err != nil || !got.SameKeys(x.ring) {
		t.Errorf("all five: %v", err)
	}
}

// The shares stay good however often keys are rotated, and what was destroyed
// does not come back by them.
func TestSharesFollowTheRingAndNotTheDestroyed(t *testing.T) {
	x := escrow(t)
	ctx := t.Context()
	old, _ := wrap(t, x.ring)
	before, err := os.ReadFile(x.copy)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func() error{
		"kek":   func() error { _, err := x.ring.RotateKEK(ctx, day); return err },
		"log":   func() error { return x.ring.RotateLog(ctx) },
		"sign":  func() error { _, err := x.ring.RotateSign(ctx); return err },
		"index": func() error { _, err := x.ring.RotateIndex(ctx); return err },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		got, err := x.open(t, x.shares[:3]...)
		if err != nil || !got.SameKeys(x.ring) || x.ring.CopyState() != keys.CopyCurrent {
			t.Fatalf("after rotating %s the copy is %s (%v)", name, x.ring.CopyState(), err)
		}
	}
	w, key := wrap(t, x.ring)
	if err := x.ring.RetireKEK(ctx, old.KEK, day); err != nil {
		t.Fatal(err)
	}
	got, err := x.open(t, x.shares[2:]...)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := got.Unwrap(w); err != nil || !bytes.Equal(out, key) {
		t.Errorf("a key of the newest epoch: %v", err)
	}
	_, err = got.Unwrap(old)
	wantDetail(t, "a key of the destroyed epoch, by the shares", err, "kek_unknown")

	// No older copy is left lying about: neither beside the new one nor beside
	// the ring.
	var was struct{ Sealed string }
	if err := json.Unmarshal(before, &was); err != nil || len(was.Sealed) < 1000 {
		t.Fatalf("what the copy seals was not found (%v)", err)
	}
	for _, dir := range []string{filepath.Dir(x.copy), filepath.Dir(x.path)} {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		hidden, err2 := filepath.Glob(filepath.Join(dir, ".*"))
		if err = errors.Join(err, err2); err != nil || len(files) == 0 {
			t.Fatalf("no files in %s (%v)", dir, err)
		}
		for _, f := range append(files, hidden...) {
			if raw, err := os.ReadFile(f); err == nil && bytes.Contains(raw, []byte(was.Sealed[:200])) {
				t.Errorf("%s holds the older copy", f)
			}
		}
	}
}

func TestBadSharesAreNamed(t *testing.T) {
	x, stranger := escrow(t), escrow(t)
	first := x.shares
	x.renew(t)
	forged := readShares(t, reseal(t, x.shares[1].Text()))[0]
	for name, c := range map[string]struct {
		shares []keys.Share
		detail string
	}{
		"none":                      {nil, "no_share"},
		"two":                       {x.shares[:2], "shares_too_few"},
		"one of them twice":         {[]keys.Share{x.shares[0], x.shares[1], x.shares[0]}, "share_twice"},
		"one of an earlier set":     {[]keys.Share{x.shares[0], first[1], x.shares[2]}, "share_other_set"},
		"one of another keyring":    {[]keys.Share{x.shares[0], x.shares[1], stranger.shares[2]}, "share_other_keyring"},
		"one forged, well formed":   {[]keys.Share{x.shares[0], forged, x.shares[2]}, "share_wrong"},
		"a whole set of an earlier": {first, "share_other_set"},
	} {
		_, err := x.open(t, c.shares...)
		wantDetail(t, name, err, c.detail)
	}
}

// reseal changes a share's value and makes its checksum right again.
func reseal(t *testing.T, text string) string {
	t.Helper()
	out, err := keys.ForgeShare(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readShares(t *testing.T, text string) []keys.Share {
	t.Helper()
	out, err := keys.ParseShares(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestShareAsPeopleTypeIt(t *testing.T) {
	x := escrow(t)
	want := x.shares[3]
	text := want.Text()
	for _, line := range strings.Split(text, "\n") {
		if len(line) > 40 {
			t.Errorf("a line of %d letters is hard to type: %q", len(line), line)
		}
	}
	for name, typed := range map[string]string{
		"as printed":        text,
		"in small letters":  strings.ToLower(text),
		"without hyphens":   strings.ReplaceAll(strings.Replace(text, "ABIDE-SHARE-1", "abide-share-1 ", 1), "\n", " "),
		"with O for 0":      strings.NewReplacer("0", "O", "\n", "\r\n").Replace(text),
		"with l for 1":      "abide-share-1" + strings.ReplaceAll(strings.TrimPrefix(text, "ABIDE-SHARE-1"), "1", "l"),
		"with words around": "Share 4 of 5\nfinance\n\n" + text + "\n\nKeep it apart.\n",
	} {
		got, err := keys.ParseShares(typed)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	all := ""
	for _, s := range x.shares {
		all += s.Text() + "\n\f"
	}
	if got := readShares(t, all); !slices.Equal(got, x.shares) {
		t.Error("five shares in one text are not the five")
	}
	_, err := keys.ParseShares("good morning")
	wantDetail(t, "no share", err, "no_share")
	for _, printed := range []string{fmt.Sprint(want), fmt.Sprintf("%+v %#v %s %x", want, want, want, want), fmt.Sprintf("%v", x.shares)} {
		if strings.Contains(printed, text[20:40]) || len(printed) > 200 {
			t.Errorf("a share is printed by accident: %s", printed)
		}
	}
}

// Every single letter that is wrong, missing or exchanged with its neighbour is
// noticed, and every single bit.
func TestDamagedShareIsRefused(t *testing.T) {
	x := escrow(t)
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	mark, body, _ := strings.Cut(x.shares[0].Text(), "\n")
	body = strings.NewReplacer("\n", "", " ", "", "-", "").Replace(body)
	try := func(what, changed string) {
		t.Helper()
		_, err := keys.ParseShares(mark + "\n" + changed)
		wantDetail(t, what, err, "share_damaged")
	}
	for i := range body {
		at := strings.IndexByte(alphabet, body[i])
		for bit := range 5 {
			try(fmt.Sprintf("letter %d, bit %d", i, bit), body[:i]+string(alphabet[at^1<<bit])+body[i+1:])
		}
		try(fmt.Sprintf("without letter %d", i), body[:i]+body[i+1:])
		if i > 0 && body[i] != body[i-1] {
			try(fmt.Sprintf("letters %d and %d exchanged", i-1, i), body[:i-1]+string(body[i])+string(body[i-1])+body[i+1:])
		}
	}
	try("a letter that there is not", "U"+body[1:])
	try("nothing", "")
}

func FuzzParseShares(f *testing.F) {
	f.Add("ABIDE-SHARE-1\n  00YV-KQ3Z")
	f.Add(strings.Repeat("0", 88) + "ABIDE-SHARE-1" + strings.Repeat("Z", 88))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := keys.ParseShares(text)
		if err == nil && len(got) == 0 {
			t.Error("neither shares nor an error")
		}
		for _, s := range got {
			if again, err := keys.ParseShares(s.Text()); err != nil || again[0] != s {
				t.Errorf("a share that was read is written as another (%v)", err)
			}
		}
	})
}

// The ring is not changed while its copy cannot be: a key that the shares do
// not open must not come into use, and none be called destroyed that they do.
func TestRingDoesNotChangeWithoutItsCopy(t *testing.T) {
	x := escrow(t)
	ctx := t.Context()
	kek := x.ring.PrimaryKEK()
	away := x.copy + ".away"
	if err := os.Rename(x.copy, away); err != nil {
		t.Fatal(err)
	}
	if got := x.ring.CopyState(); got != keys.CopyMissing {
		t.Errorf("the copy is %s", got)
	}
	_, err := x.ring.RotateKEK(ctx, day)
	wantDetail(t, "rotation without the copy", err, "recovery_copy_unreachable")
	if x.ring.PrimaryKEK() != kek || reopen(t, x.path).PrimaryKEK() != kek {
		t.Error("the ring was changed all the same")
	}
	if err := os.WriteFile(x.copy, []byte("minutes of a meeting"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantDetail(t, "another file in its place", x.ring.RewriteCopy(ctx, ""), "recovery_copy_in_the_way")
	if err := os.Remove(x.copy); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "elsewhere.json")
	if err := x.ring.RewriteCopy(ctx, moved); err != nil {
		t.Fatal(err)
	}
	x.copy = moved
	if got, err := x.open(t, x.shares[:3]...); err != nil || !got.SameKeys(x.ring) || x.ring.CopyState() != keys.CopyCurrent {
		t.Errorf("after it was written anew: %s, %v", x.ring.CopyState(), err)
	}
	if err := x.ring.EndEscrow(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(moved); !errors.Is(err, os.ErrNotExist) || x.ring.Escrow() != nil || reopen(t, x.path).Escrow() != nil {
		t.Errorf("something is left of an escrow that was ended (%v)", err)
	}
	wantDetail(t, "an escrow that is not there", x.ring.EndEscrow(ctx), "no_escrow")
}

// failing is a place whose writes fail, before or after they are durable.
type failing struct {
	keys.Place
	before, after error
}

func (p *failing) Write(ctx context.Context, raw []byte, generation, expect uint64) error {
	if p.before != nil {
		return p.before
	}
	return errors.Join(p.Place.Write(ctx, raw, generation, expect), p.after)
}

// A write of the ring that fails, whether it is durable or not, leaves a copy
// that opens whatever the ring opens.
func TestCopySurvivesAFailedWriteOfTheRing(t *testing.T) {
	broken := errors.New("disk gone")
	for name, p := range map[string]*failing{"not durable": {before: broken}, "durable": {after: broken}} {
		t.Run(name, func(t *testing.T) {
			x := escrow(t)
			before, after := p.before, p.after
			p.Place, p.before, p.after = keys.FilePlace(x.path), nil, nil
			ring, err := keys.OpenAt(t.Context(), p, keys.Master{})
			if err != nil {
				t.Fatal(err)
			}
			w, _ := wrap(t, ring)
			p.before, p.after = before, after
			if _, err := ring.RotateKEK(t.Context(), day); !errors.Is(err, broken) {
				t.Fatalf("rotation: %v", err)
			}
			now := reopen(t, x.path) // the process was started again
			fresh, _ := wrap(t, now)
			got, err := x.open(t, x.shares[:3]...)
			if err != nil {
				t.Fatal(err)
			}
			_, err1 := got.Unwrap(w)
			_, err2 := got.Unwrap(fresh)
			if err := errors.Join(err1, err2); err != nil {
				t.Errorf("the shares do not open what the ring seals: %v", err)
			}
			if want := map[string]string{"not durable": keys.CopyOutdated, "durable": keys.CopyCurrent}[name]; now.CopyState() != want {
				t.Errorf("the copy is %s, want %s", now.CopyState(), want)
			}
			if err := now.RotateLog(t.Context()); err != nil || now.CopyState() != keys.CopyCurrent {
				t.Errorf("the next change leaves the copy %s (%v)", now.CopyState(), err)
			}
		})
	}
}

// An old keyring that was put back does not overwrite the one file from which
// the shares could still bring the newer keys.
func TestOldRingLeavesTheNewerCopy(t *testing.T) {
	x := escrow(t)
	old := mustRead(t, x.path)
	for range 2 {
		if err := x.ring.RotateLog(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	newest := mustRead(t, x.copy)
	if err := os.WriteFile(x.path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	back, err := keys.Open(x.path)
	if err != nil {
		t.Fatal(err)
	}
	wantDetail(t, "a change of an old ring", back.RotateLog(t.Context()), "keyring_older")
	if !bytes.Equal(mustRead(t, x.copy), newest) || !bytes.Equal(mustRead(t, x.path), old) {
		t.Fatal("the copy or the ring was written")
	}
	if got, err := x.open(t, x.shares[:3]...); err != nil || !got.SameKeys(x.ring) {
		t.Fatalf("the shares do not bring the newer keys: %v", err)
	}
}

func TestProcessesThatRotateTogetherLeaveOneCopy(t *testing.T) {
	x := escrow(t)
	var wg sync.WaitGroup
	for range 4 {
		ring := reopen(t, x.path)
		wg.Go(func() {
			if _, err := ring.RotateKEK(t.Context(), day); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	now := reopen(t, x.path)
	if got, err := x.open(t, x.shares[:3]...); err != nil || !got.SameKeys(now) || len(now.Epochs()) != 5 {
		t.Errorf("the copy has not the keys of the ring, which has %d epochs (%v)", len(now.Epochs()), err)
	}
}

// Whoever can write the ring's file, and cannot open it, must not make it seal
// its keys to a recovery key of their own.
func TestForeignRecoveryKeyIsNotTakenOver(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "keyring.json")
	master := keys.Master{URI: "test-kms://one", AEAD: service(t)}
	ring, err := keys.CreateAt(ctx, keys.FilePlace(path), master)
	if err != nil {
		t.Fatal(err)
	}
	x, thief := &escrowed{ring: ring, path: path, copy: filepath.Join(t.TempDir(), "r.json")}, escrow(t)
	x.renew(t)
	theirs, err := os.ReadFile(thief.path)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var a, b map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(ours, &a), json.Unmarshal(theirs, &b)); err != nil {
		t.Fatal(err)
	}
	a["standing"], a["standing_mac"] = b["standing"], b["standing_mac"]
	forged, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = ring.RotateKEK(ctx, day)
	wantDetail(t, "change", err, "bad_keyring")
	_, err = keys.OpenAt(ctx, keys.FilePlace(path), master)
	wantDetail(t, "open", err, "bad_keyring")
}

// A recovery copy that was edited is noticed without any share, and does not
// open with them.
func TestEditedCopyIsNoticed(t *testing.T) {
	x := escrow(t)
	raw, err := os.ReadFile(x.copy)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(){
		"generation": func() { doc["generation"] = 99 },
		"keys":       func() { doc["keys"] = strings.Repeat("0", 32) },
		"sealed":     func() { s := doc["sealed"].(string); doc["sealed"] = s[:500] + "AAAA" + s[504:] },
	} {
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		change()
		edited, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(x.copy, edited, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := x.ring.CopyState(); got != keys.CopyDamaged {
			t.Errorf("%s: the copy is %s", name, got)
		}
		_, err = x.open(t, x.shares[:3]...)
		wantDetail(t, name, err, "recovery_copy_damaged")
	}
}

func TestEscrowIsRefused(t *testing.T) {
	ring, _ := create(t)
	for name, c := range map[string]struct {
		custodians []string
		threshold  int
		detail     string
	}{
		"one is enough":        {offices, 1, "bad_threshold"},
		"more than there are":  {offices, 6, "bad_threshold"},
		"nobody":               {nil, 2, "bad_threshold"},
		"the same twice":       {[]string{"legal", "legal"}, 2, "bad_custodian"},
		"somebody unnamed":     {[]string{"legal", ""}, 2, "bad_custodian"},
		"more than can be had": {make([]string, 33), 2, "bad_threshold"},
	} {
		_, err := ring.PrepareEscrow(c.custodians, c.threshold, "copy", day)
		wantDetail(t, name, err, c.detail)
	}
	memory, err := keys.New()
	if err != nil {
		t.Fatal(err)
	}
	n, err := memory.PrepareEscrow(offices, 3, "copy", day)
	if err != nil {
		t.Fatal(err)
	}
	wantDetail(t, "a ring in memory", memory.BeginEscrow(t.Context(), n), "keyring_in_memory")
}
