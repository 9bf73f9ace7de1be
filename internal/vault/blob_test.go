package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/tink-crypto/tink-go/v2/streamingaead/subtle"
	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
)

func blobVault(t testing.TB) *Vault {
	t.Helper()
	ring, err := keys.New()
	if err != nil {
		t.Fatal(err)
	}
	return New(ring)
}

var blobOwner = BlobOf{Subject: abide.SubjectID{1}, Category: "papers.photo", Item: abide.SubjectID{2}}

func sealBlob(t testing.TB, v *Vault, of BlobOf, plain []byte) (*Blob, []byte) {
	t.Helper()
	b, err := NewBlob()
	if err != nil {
		t.Fatal(err)
	}
	b.Size = int64(len(plain))
	r, err := v.SealBlob(b, of, bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b, sealed
}

// from fetches out of memory, as far as the bytes go.
func from(sealed []byte) Fetch {
	return func(off, n int64) (io.ReadCloser, error) {
		off = min(off, int64(len(sealed)))
		return io.NopCloser(bytes.NewReader(sealed[off:min(off+n, int64(len(sealed)))])), nil
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// sizes are those at which segments begin and end, and between.
var sizes = []int{0, 1, 15, 1000, blobPlain - blobHeader - 1, blobPlain - blobHeader, blobPlain - blobHeader + 1,
	2*blobPlain - blobHeader, 2*blobPlain - blobHeader + 1, 5*blobPlain + 7}

// What is sealed opens with Tink's own reader and with ours, and takes as many
// bytes as was said.
func TestBlobFormatIsTinks(t *testing.T) {
	v := blobVault(t)
	for _, n := range sizes {
		plain := pattern(n)
		b, sealed := sealBlob(t, v, blobOwner, plain)
		if int64(len(sealed)) != SealedSize(int64(n)) {
			t.Errorf("%d bytes: %d sealed, want %d", n, len(sealed), SealedSize(int64(n)))
		}
		s, err := subtle.NewAESGCMHKDF(b.Key[:], "SHA256", keySize, blobSegment, 0)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := s.NewDecryptingReader(bytes.NewReader(sealed), v.blobAD(b, blobOwner))
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range map[string]io.Reader{"Tink": theirs, "ours": v.OpenBlob(b, blobOwner, from(sealed))} {
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s: %d bytes: got %d, %v", name, n, len(got), err)
			}
		}
	}
}

// Any range is the same as of the plaintext, in any order of reads.
func TestBlobRanges(t *testing.T) {
	v := blobVault(t)
	rapid.Check(t, func(t *rapid.T) {
		plain := pattern(rapid.SampledFrom(sizes).Draw(t, "size"))
		b, sealed := sealBlobRapid(t, v, plain)
		r := v.OpenBlob(b, blobOwner, from(sealed))
		defer func() { _ = r.Close() }()
		for range rapid.IntRange(1, 6).Draw(t, "reads") {
			off := rapid.IntRange(0, len(plain)).Draw(t, "offset")
			n := rapid.IntRange(0, len(plain)-off).Draw(t, "length")
			if _, err := r.Seek(int64(off), io.SeekStart); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, n)
			if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, plain[off:off+n]) {
				t.Fatalf("offset %d, %d bytes: %v", off, n, err)
			}
		}
	})
}

func sealBlobRapid(t *rapid.T, v *Vault, plain []byte) (*Blob, []byte) {
	b, err := NewBlob()
	if err != nil {
		t.Fatal(err)
	}
	b.Size = int64(len(plain))
	r, err := v.SealBlob(b, blobOwner, iotest.HalfReader(bytes.NewReader(plain)))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b, sealed
}

// Whatever is done to the bytes, or to where they stand, no byte that was not
// sealed here comes out, and the whole is never taken for whole.
func TestBlobDamageIsRefused(t *testing.T) {
	v := blobVault(t)
	plain := pattern(3*blobPlain + 99)
	b, sealed := sealBlob(t, v, blobOwner, plain)
	_, other := sealBlob(t, v, blobOwner, plain)
	swap := bytes.Clone(sealed)
	copy(swap[blobSegment:2*blobSegment], sealed[2*blobSegment:3*blobSegment])
	copy(swap[2*blobSegment:3*blobSegment], sealed[blobSegment:2*blobSegment])
	damage := map[string][]byte{
		"cut by one byte": sealed[:len(sealed)-1], "cut at a segment": sealed[:2*blobSegment], "cut to the header": sealed[:blobHeader],
		"empty": nil, "of another upload": other, "segments swapped": swap,
	}
	for _, at := range []int{0, 1, 20, blobHeader - 1, blobHeader, blobSegment - 1, blobSegment, len(sealed) - 1} {
		flipped := bytes.Clone(sealed)
		flipped[at] ^= 1
		damage[fmt.Sprintf("byte %d flipped", at)] = flipped
	}
	for name, bad := range damage {
		r := v.OpenBlob(b, blobOwner, from(bad))
		got, err := io.ReadAll(r)
		if !IsBlobDamage(err) {
			t.Errorf("%s: %v, want damage", name, err)
		}
		if !bytes.HasPrefix(plain, got) || len(got) == len(plain) {
			t.Errorf("%s: %d bytes came out that are not a part of what was sealed", name, len(got))
		}
	}
	for name, of := range map[string]BlobOf{
		"subject": {abide.SubjectID{9}, blobOwner.Category, blobOwner.Item}, "category": {blobOwner.Subject, "papers.other", blobOwner.Item},
		"item": {blobOwner.Subject, blobOwner.Category, abide.SubjectID{9}},
	} {
		if got, err := io.ReadAll(v.OpenBlob(b, of, from(sealed))); !IsBlobDamage(err) || len(got) > 0 {
			t.Errorf("read as of another %s: %d bytes, %v", name, len(got), err)
		}
	}
	if got, err := io.ReadAll(blobVault(t).OpenBlob(b, blobOwner, from(sealed))); !IsBlobDamage(err) || len(got) > 0 {
		t.Errorf("read in another store: %d bytes, %v", len(got), err)
	}
	empty, sealedEmpty := sealBlob(t, v, blobOwner, nil)
	sealedEmpty[len(sealedEmpty)-1] ^= 1
	if err := v.OpenBlob(empty, blobOwner, from(sealedEmpty)).Authenticate(); !IsBlobDamage(err) {
		t.Errorf("an empty upload with a flipped tag: %v", err)
	}
}

// An error of the source or of the store is passed on, and is no damage.
func TestBlobErrorsPass(t *testing.T) {
	v := blobVault(t)
	b, err := NewBlob()
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	r, err := v.SealBlob(b, blobOwner, io.MultiReader(bytes.NewReader(pattern(200_000)), iotest.ErrReader(broken)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	b.Size = 10
	_, err = io.ReadAll(v.OpenBlob(b, blobOwner, func(int64, int64) (io.ReadCloser, error) { return nil, broken }))
	if !errors.Is(err, broken) || IsBlobDamage(err) {
		t.Errorf("got %v", err)
	}
}
