package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// maxLogSize bounds the size that a checkpoint may claim, so that no arithmetic
// on it overflows.
const maxLogSize = 1 << 60

// Checkpoint is what a log says of itself (c2sp.org/tlog-checkpoint): how many
// entries it has, and the root of the RFC 6962 Merkle tree over them.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   Hash
	// Extensions are further lines, which mean nothing to this package.
	Extensions []string
}

// SignedCheckpoint is a checkpoint whose signatures were verified.
type SignedCheckpoint struct {
	Checkpoint
	Note []byte // as it was published, with all signatures
	// Cosigned are the witnesses that the reader knows and whose cosignature is
	// on the checkpoint.
	Cosigned []Cosigned

	own []note.Signature // of the log
}

// Uncosigned returns the signed note with the log's verified signatures only.
func (c *SignedCheckpoint) Uncosigned() ([]byte, error) {
	return note.Sign(&note.Note{Text: c.Text(), Sigs: c.own})
}

// Cosigned is a witness's statement that, at that time, this was the largest
// checkpoint it had seen of the log, consistent with all before.
type Cosigned struct {
	Witness string    `json:"witness"`
	At      time.Time `json:"at"` // whole seconds
}

// Text returns the checkpoint as it is signed.
func (c *Checkpoint) Text() string {
	var b strings.Builder
	b.WriteString(c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n")
	for _, x := range c.Extensions {
		b.WriteString(x + "\n")
	}
	return b.String()
}

// ParseCheckpoint reads the text of a checkpoint, without signatures. It
// accepts nothing that Text would write otherwise.
func ParseCheckpoint(text string) (Checkpoint, error) {
	bad := func(what string) (Checkpoint, error) {
		return Checkpoint{}, &Fault{Code: CheckpointMalformed, Path: checkpointPath, Entry: -1, What: what}
	}
	body, ended := strings.CutSuffix(text, "\n")
	lines := strings.Split(body, "\n")
	if !ended || len(lines) < 3 {
		return bad("a checkpoint has at least three lines: origin, size and root")
	}
	for _, l := range lines {
		if l == "" {
			return bad("a checkpoint has no empty line")
		}
	}
	c := Checkpoint{Origin: lines[0]}
	var ok bool
	if c.Size, ok = parseSize(lines[1]); !ok {
		return bad("the second line is not a size in decimal")
	}
	if c.Root, ok = parseHash(lines[2]); !ok {
		return bad("the third line is not a hash in base64")
	}
	if c.Size == 0 && c.Root != emptyRoot {
		return Checkpoint{}, &Fault{Code: CheckpointRoot, Path: checkpointPath, Entry: -1, What: "the root of an empty log is the hash of nothing"}
	}
	if len(lines) > 3 {
		c.Extensions = lines[3:]
	}
	return c, nil
}

// parseSize reads a decimal without sign and leading zeroes.
func parseSize(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && n <= maxLogSize && strconv.FormatInt(n, 10) == s
}

func parseHash(s string) (h Hash, ok bool) {
	b, ok := decodeBase64(s)
	if !ok || len(b) != len(h) {
		return h, false
	}
	return Hash(b), true
}

// Keys are whom a reader of a log believes: the log, and witnesses. They come
// to the reader by another way than the log itself.
type Keys struct {
	// Quorum is how many of the witnesses must have signed a checkpoint for it
	// to count.
	Quorum    int
	log       []note.Verifier
	witnesses []note.Verifier
}

// NewKeys reads verifier keys (c2sp.org/signed-note): the log's, of type
// Ed25519, one a line if it has had several, and those of witnesses, of type
// timestamped Ed25519 cosignature. The name in the log's keys is the origin its
// checkpoints must have.
func NewKeys(log string, witnesses ...string) (*Keys, error) {
	k := &Keys{}
	for line := range strings.FieldsSeq(log) {
		v, err := note.NewVerifier(line)
		if err == nil && !strings.HasPrefix(line, fmt.Sprintf("%s+%08x+", v.Name(), v.KeyHash())) {
			err = errors.New("the id is eight hexadecimal digits in lower case")
		}
		if err != nil {
			return nil, &Fault{Code: KeyMalformed, Entry: -1, What: "the log's key is not a verifier key of Ed25519 in signed-note form", Err: err}
		}
		if len(k.log) > 0 && v.Name() != k.Origin() {
			return nil, &Fault{Code: KeyMalformed, Entry: -1, What: "the keys are of different logs"}
		}
		k.log = append(k.log, v)
	}
	if len(k.log) == 0 {
		return nil, &Fault{Code: KeyMalformed, Entry: -1, What: "there is no key of the log"}
	}
	seen := map[string]bool{}
	for _, w := range witnesses {
		v, err := NewCosignatureVerifier(strings.TrimSpace(w))
		if err != nil {
			return nil, err
		}
		if seen[v.Name()] {
			return nil, &Fault{Code: KeyMalformed, Entry: -1, What: "two witnesses have the name " + v.Name()}
		}
		seen[v.Name()] = true
		k.witnesses = append(k.witnesses, v)
	}
	return k, nil
}

// Origin is the origin that the log's checkpoints must have.
func (k *Keys) Origin() string { return k.log[0].Name() }

// Open verifies a published checkpoint. It refuses one without a valid
// signature of the log, of another origin, with a wrong signature of any known
// key, or cosigned by fewer witnesses than the quorum.
func (k *Keys) Open(signed []byte) (*SignedCheckpoint, error) {
	bad := func(code FaultCode, what string, err error) (*SignedCheckpoint, error) {
		return nil, &Fault{Code: code, Path: checkpointPath, Entry: -1, What: what, Err: err}
	}
	n, err := note.Open(signed, note.VerifierList(slices.Concat(k.log, k.witnesses)...))
	if err != nil {
		return bad(CheckpointSignature, "no valid signature of "+k.Origin(), err)
	}
	if !strictSignatures(signed) {
		return bad(CheckpointSignature, "a signature is not written as it was", nil)
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return nil, err
	}
	if c.Origin != k.Origin() {
		return bad(CheckpointOrigin, "the checkpoint is of another log than the key", nil)
	}
	out := &SignedCheckpoint{Checkpoint: c, Note: signed}
	for _, s := range n.Sigs {
		if slices.ContainsFunc(k.log, func(v note.Verifier) bool { return v.Name() == s.Name && v.KeyHash() == s.Hash }) {
			out.own = append(out.own, s)
			continue
		}
		at, err := CosignatureTime(s)
		if err != nil {
			return bad(CheckpointSignature, "a cosignature carries no time", err)
		}
		out.Cosigned = append(out.Cosigned, Cosigned{Witness: s.Name, At: at})
	}
	if len(out.own) == 0 {
		return bad(CheckpointSignature, "witnesses signed, the log did not", nil)
	}
	if len(out.Cosigned) < k.Quorum {
		return bad(NotWitnessed, "signed by "+strconv.Itoa(len(out.Cosigned))+" known witnesses, "+strconv.Itoa(k.Quorum)+" are asked for", nil)
	}
	return out, nil
}
