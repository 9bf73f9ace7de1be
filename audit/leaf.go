package audit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	abide "github.com/abide-privacy/abide"
)

// Hash is a SHA-256 hash: of a part, or the commitment that is a leaf.
type Hash = [sha256.Size]byte

const (
	tagPart     = "abide/log/subject/1\x00"
	tagEnvelope = "abide/log/envelope/1\x00"
	tagLeaf     = "abide/log/leaf/1\x00"
	randomSize  = 32
)

// Leaf is an entry ready to be sealed. Part and Envelope are each the part's
// randomness (32 bytes), the hash of the other part (32 bytes), and the part's
// canonical JSON; whoever opens one of them can prove it against Commitment
// without the other.
type Leaf struct {
	Part       []byte
	Envelope   []byte
	Commitment Hash
}

// NewLeaf encodes and commits to an entry. The same entry twice gives two
// unrelated leaves. It refuses an envelope that names a data subject.
func NewLeaf(p *Part, e *Envelope) (Leaf, error) {
	var r [2 * randomSize]byte
	if _, err := rand.Read(r[:]); err != nil {
		return Leaf{}, fmt.Errorf("audit: no randomness: %w", err)
	}
	return newLeaf(r, p, e)
}

func newLeaf(r [2 * randomSize]byte, p *Part, e *Envelope) (Leaf, error) {
	if !e.Kind.Known() {
		return Leaf{}, fmt.Errorf("audit: unknown kind of entry %q", e.Kind)
	}
	named := e.Actor.Name != "" && (e.Actor.Kind == abide.ActorSubject || e.Actor.Kind == abide.ActorGuardian)
	if named {
		return Leaf{}, errors.New("audit: an envelope must not name a data subject or guardian")
	}
	part, okPart := encodePart(p)
	env, okEnv := encodeEnvelope(e)
	if !okPart || !okEnv {
		return Leaf{}, errors.New("audit: an entry holds a string that is not UTF-8, or a number or time out of range")
	}
	hp := hashOf(tagPart, r[:randomSize], part)
	he := hashOf(tagEnvelope, r[randomSize:], env)
	return Leaf{
		Part:       bytes.Join([][]byte{r[:randomSize], he[:], part}, nil),
		Envelope:   bytes.Join([][]byte{r[randomSize:], hp[:], env}, nil),
		Commitment: commit(hp, he),
	}, nil
}

// OpenPart decodes an opened subject's part and returns the commitment it
// proves. The caller compares it with the leaf.
func OpenPart(opened []byte) (*Part, Hash, error) {
	mine, other, body, err := split(tagPart, opened)
	if err != nil {
		return nil, Hash{}, err
	}
	var p Part
	if err := strict(body, &p); err != nil {
		return nil, Hash{}, fmt.Errorf("audit: decode subject's part: %w", err)
	}
	return &p, commit(mine, other), nil
}

// OpenEnvelope decodes an opened envelope and returns the commitment it
// proves. The caller compares it with the leaf.
func OpenEnvelope(opened []byte) (*Envelope, Hash, error) {
	mine, other, body, err := split(tagEnvelope, opened)
	if err != nil {
		return nil, Hash{}, err
	}
	var e Envelope
	if err := strict(body, &e); err != nil {
		return nil, Hash{}, fmt.Errorf("audit: decode envelope: %w", err)
	}
	return &e, commit(other, mine), nil
}

// Body returns the canonical JSON inside an opened part or envelope.
func Body(opened []byte) json.RawMessage {
	if len(opened) < randomSize+sha256.Size {
		return nil
	}
	return json.RawMessage(opened[randomSize+sha256.Size:])
}

func split(tag string, opened []byte) (mine, other Hash, body []byte, err error) {
	if len(opened) < randomSize+sha256.Size {
		return mine, other, nil, errors.New("audit: a part of a log entry is too short")
	}
	body = Body(opened)
	mine = hashOf(tag, opened[:randomSize], body)
	return mine, Hash(opened[randomSize : randomSize+sha256.Size]), body, nil
}

func hashOf(tag string, random, body []byte) Hash {
	b := make([]byte, 0, len(tag)+len(random)+len(body))
	b = append(append(append(b, tag...), random...), body...)
	return sha256.Sum256(b)
}

func commit(part, envelope Hash) Hash {
	return hashOf(tagLeaf, part[:], envelope[:])
}

// strict decodes JSON that this package wrote: an unknown field means a newer
// version wrote it, and dropping it silently would change what was proved.
func strict(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}
