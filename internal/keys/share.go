package keys

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	abide "github.com/abide-privacy/abide"
)

// Share is one custodian's part of a recovery secret. Fewer than the threshold
// tell nothing about it.
type Share struct {
	Set       [8]byte // which escrow it belongs to: a digest of its public key
	Keyring   [8]byte // fingerprint of the keyring that the escrow opens
	Threshold int
	Number    int // from 1
	value     [32]byte
}

// The form of a share as text: a marker, and then these bytes and the first
// four of their SHA-256 in Crockford's base 32, in groups of four. Case,
// spaces and hyphens do not matter, O is read as 0, I and L as 1.
//
//	form (1) | set (8) | keyring (8) | threshold (1) | number (1) | value (32) | check (4)
const (
	shareMark   = "ABIDE-SHARE-1"
	shareForm   = 1
	shareBody   = 1 + 8 + 8 + 1 + 1 + 32
	shareCheck  = 4
	shareLetter = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	shareText   = (shareBody + shareCheck) * 8 / 5 // 55 bytes are 88 letters exactly
)

// MaxShares is how many custodians an escrow may have.
const MaxShares = 32

// field is that of the shares' values: the scalars of ristretto255.
var field = group.Ristretto255

// Text is the share as people print and type it.
func (s Share) Text() string {
	body := make([]byte, 0, shareBody+shareCheck)
	body = append(body, shareForm)
	body = append(body, s.Set[:]...)
	body = append(body, s.Keyring[:]...)
	body = append(body, byte(s.Threshold), byte(s.Number))
	body = append(body, s.value[:]...)
	sum := sha256.Sum256(body)
	body = append(body, sum[:shareCheck]...)
	var b strings.Builder
	b.WriteString(shareMark)
	for i, letter := range letters(body) {
		switch {
		case i%24 == 0:
			b.WriteString("\n  ")
		case i%4 == 0:
			b.WriteByte('-')
		}
		b.WriteByte(letter)
	}
	clear(body)
	return b.String()
}

// String names the share and keeps its value out of what is printed by accident.
func (s Share) String() string {
	return fmt.Sprintf("share %d of set %s", s.Number, hex.EncodeToString(s.Set[:]))
}

// GoString is String.
func (s Share) GoString() string { return s.String() }

func letters(raw []byte) []byte {
	out := make([]byte, 0, shareText)
	var bits, n uint
	for _, b := range raw {
		bits, n = bits<<8|uint(b), n+8
		for n >= 5 {
			n -= 5
			out = append(out, shareLetter[bits>>n&31])
		}
	}
	return out
}

// ParseShares reads every share that a text holds, whatever stands around them.
// Errors name a share by its place among those given.
func ParseShares(text string) ([]Share, error) {
	parts := strings.Split(strings.ToUpper(text), shareMark)
	if len(parts) == 1 {
		return nil, shareError("no_share", "there is no share in what was given",
			"a share begins with "+shareMark+"; give the whole of it")
	}
	var out []Share
	for i, part := range parts[1:] {
		s, err := parseShare(part, i+1)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func shareError(detail, message, hint string) error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: detail, Message: message, Hint: hint}
}

func parseShare(text string, place int) (Share, error) {
	damaged := shareError("share_damaged", fmt.Sprintf("share %d of those given is damaged: a letter is wrong, missing or out of place", place),
		"compare it with the paper, letter by letter")
	raw := make([]byte, 0, shareBody+shareCheck)
	var bits, n uint
	count := 0
	for _, r := range text {
		if count == shareText {
			break
		}
		switch r {
		case ' ', '\t', '\n', '\r', '-':
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		at := strings.IndexRune(shareLetter, r)
		if at < 0 {
			return Share{}, damaged
		}
		count++
		bits, n = bits<<5|uint(at), n+5
		if n >= 8 {
			n -= 8
			raw = append(raw, byte(bits>>n))
		}
	}
	defer clear(raw)
	if count < shareText {
		return Share{}, damaged
	}
	sum := sha256.Sum256(raw[:shareBody])
	if !bytes.Equal(sum[:shareCheck], raw[shareBody:]) {
		return Share{}, damaged
	}
	if raw[0] != shareForm {
		return Share{}, shareError("share_form", fmt.Sprintf("share %d of those given is of a form that this program does not know", place), "use a newer abide")
	}
	s := Share{Set: [8]byte(raw[1:9]), Keyring: [8]byte(raw[9:17]), Threshold: int(raw[17]), Number: int(raw[18]), value: [32]byte(raw[19:51])}
	if s.Threshold < 2 || s.Number < 1 {
		return Share{}, damaged
	}
	return s, nil
}

// digest names a share without telling it: its value is drawn from 2^252.
func (s Share) digest() []byte {
	sum := sha256.Sum256(lengthPrefixed("abide/share/1", s.Set[:], []byte{byte(s.Number)}, s.value[:]))
	return sum[:]
}

// split draws a recovery secret and n parts of it, of which any threshold give
// it back. The shares still lack the names of set and keyring.
func split(n, threshold int) (secret []byte, shares []Share, err error) {
	scalar := field.RandomNonZeroScalar(rand.Reader)
	for i, part := range secretsharing.New(rand.Reader, uint(threshold-1), scalar).Share(uint(n)) {
		raw, err := part.Value.MarshalBinary()
		if err != nil || len(raw) != 32 {
			return nil, nil, errors.Join(errors.New("keys: encode a share"), err)
		}
		shares = append(shares, Share{Threshold: threshold, Number: i + 1, value: [32]byte(raw)})
		clear(raw)
	}
	secret, err = stretch(scalar)
	return secret, shares, err
}

// stretch makes the input of a key pair from the shared scalar: HKDF-SHA-256
// (RFC 5869), 32 bytes.
func stretch(scalar group.Scalar) ([]byte, error) {
	raw, err := scalar.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("keys: recovery secret: %w", err)
	}
	defer clear(raw)
	return hkdf.Key(sha256.New, raw, nil, "abide/recovery/1", 32)
}

// join gives the secret back. The shares belong to one set and are distinct;
// there are at least as many as the threshold.
func join(shares []Share) ([]byte, error) {
	parts := make([]secretsharing.Share, len(shares))
	for i, s := range shares {
		value := field.NewScalar()
		if err := value.UnmarshalBinary(s.value[:]); err != nil {
			return nil, fmt.Errorf("keys: share: %w", err)
		}
		parts[i] = secretsharing.Share{ID: field.NewScalar().SetUint64(uint64(s.Number)), Value: value}
	}
	scalar, err := secretsharing.Recover(uint(shares[0].Threshold-1), parts)
	if err != nil {
		return nil, fmt.Errorf("keys: join shares: %w", err)
	}
	return stretch(scalar)
}

// agree checks shares against what a recovery copy says of its set, and names
// the first that does not belong.
func (c *recoveryCopy) agree(shares []Share) error {
	if len(shares) == 0 {
		return shareError("no_share", "there is no share in what was given", "give as many shares as the escrow asks for")
	}
	seen := map[int]bool{}
	for i, s := range shares {
		which := fmt.Sprintf("share %d of those given", i+1)
		switch {
		case hex.EncodeToString(s.Keyring[:]) != c.Keyring:
			return shareError("share_other_keyring", which+" belongs to the keyring of another store", "find the share of this store")
		case hex.EncodeToString(s.Set[:]) != c.Set:
			return shareError("share_other_set", which+" belongs to another set of shares than this copy: "+hex.EncodeToString(s.Set[:])+", not "+c.Set,
				"shares of different sets do not go together; find the one of this set, and destroy shares of earlier sets")
		case seen[s.Number]:
			return shareError("share_twice", which+" was given already: it is number "+fmt.Sprint(s.Number), "each share counts once")
		case s.Threshold != c.Threshold, s.Number > len(c.Shares), !slices.Equal(s.digest(), c.Shares[s.Number-1]):
			return shareError("share_wrong", which+" is not the one that was made: it is well formed, and not number "+fmt.Sprint(s.Number)+" of this set", "it was forged or exchanged: ask its custodian")
		}
		seen[s.Number] = true
	}
	if len(shares) < c.Threshold {
		return shareError("shares_too_few", fmt.Sprintf("%d of the shares that are needed were given, and %d are needed", len(shares), c.Threshold), "ask more custodians")
	}
	return nil
}
