package audit

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	proofHeader  = "c2sp.org/tlog-proof@v1"
	maxProofPath = 63
	maxProofFile = 2 << 20
)

// Proof shows, without a connection, that an entry is in a log
// (c2sp.org/tlog-proof). Its file ends in .tlog-proof.
type Proof struct {
	// Extra is not signed. Abide's proofs carry the entry, which the proof then
	// proves.
	Extra      []byte
	Index      int64
	Hashes     []Hash
	Checkpoint []byte // the signed note, as it was published
}

// Prove makes the proof of an entry under a verified checkpoint, with the entry
// in it.
func (l *Log) Prove(ctx context.Context, c *SignedCheckpoint, index int64) (*Proof, error) {
	entry, err := l.Entry(ctx, &c.Checkpoint, index)
	if err != nil {
		return nil, err
	}
	_, hashes, err := l.ProveInclusion(ctx, &c.Checkpoint, index)
	if err != nil {
		return nil, err
	}
	return &Proof{Extra: entry, Index: index, Hashes: hashes, Checkpoint: c.Note}, nil
}

// Encode writes the proof.
func (p *Proof) Encode() []byte {
	var b strings.Builder
	b.WriteString(proofHeader + "\n")
	if len(p.Extra) > 0 {
		b.WriteString("extra " + base64.StdEncoding.EncodeToString(p.Extra) + "\n")
	}
	b.WriteString("index " + strconv.FormatInt(p.Index, 10) + "\n")
	for _, h := range p.Hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	return append([]byte(b.String()+"\n"), p.Checkpoint...)
}

// ParseProof reads a proof. Nothing in it is verified yet.
func ParseProof(raw []byte) (*Proof, error) {
	bad := func(what string) (*Proof, error) {
		return nil, &Fault{Code: ProofMalformed, Entry: -1, What: what}
	}
	if len(raw) > maxProofFile {
		return bad(fmt.Sprintf("a proof has at most %d bytes", maxProofFile))
	}
	head, checkpoint, ok := strings.Cut(string(raw), "\n\n")
	if !ok {
		return bad("an empty line comes before the checkpoint")
	}
	lines := strings.Split(head, "\n")
	if lines[0] != proofHeader {
		return bad("the first line is " + proofHeader)
	}
	lines = lines[1:]
	p := &Proof{Checkpoint: []byte(checkpoint)}
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		if p.Extra, ok = decodeBase64(lines[0][len("extra "):]); !ok || len(p.Extra) == 0 {
			return bad("the extra line is not base64")
		}
		lines = lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return bad("the index is missing")
	}
	if p.Index, ok = parseSize(lines[0][len("index "):]); !ok {
		return bad("the index is not a decimal number")
	}
	if len(lines)-1 > maxProofPath {
		return bad(fmt.Sprintf("a proof has at most %d hashes", maxProofPath))
	}
	for _, l := range lines[1:] {
		h, ok := parseHash(l)
		if !ok {
			return bad("a line of the proof is not a hash in base64")
		}
		p.Hashes = append(p.Hashes, h)
	}
	return p, nil
}

// Verify checks that the entry is in the log at the proof's index, under a
// checkpoint that these keys accept. It needs no connection.
func (p *Proof) Verify(k *Keys, entry []byte) (*SignedCheckpoint, error) {
	c, err := k.Open(p.Checkpoint)
	if err != nil {
		return nil, err
	}
	return c, checkInclusion(&c.Checkpoint, p.Index, LeafHash(entry), p.Hashes)
}

func checkInclusion(c *Checkpoint, index int64, leaf Hash, hashes []Hash) error {
	path := make(tlog.RecordProof, len(hashes))
	for i, h := range hashes {
		path[i] = tlog.Hash(h)
	}
	if err := tlog.CheckRecord(path, c.Size, tlog.Hash(c.Root), index, tlog.Hash(leaf)); err != nil {
		return &Fault{Code: ProofWrong, Entry: index, What: "the hashes do not lead from this entry to the checkpoint's root"}
	}
	return nil
}

// CheckConsistencyProof verifies a proof that the new checkpoint continues the
// old one (RFC 6962, section 2.1.2).
func CheckConsistencyProof(old, now *Checkpoint, hashes []Hash) error {
	if done, err := compareCheckpoints(old, now); done {
		if err == nil && len(hashes) > 0 {
			return &Fault{Code: ProofWrong, Entry: -1, What: "there is nothing to prove, and yet a proof"}
		}
		return err
	}
	path := make(tlog.TreeProof, len(hashes))
	for i, h := range hashes {
		path[i] = tlog.Hash(h)
	}
	if err := tlog.CheckTree(path, now.Size, tlog.Hash(now.Root), old.Size, tlog.Hash(old.Root)); err != nil {
		return &Fault{Code: ProofWrong, Entry: -1, What: fmt.Sprintf("it does not prove that %d entries continue %d", now.Size, old.Size)}
	}
	return nil
}
