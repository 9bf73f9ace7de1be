// Package witness makes it hard for a log to show different people different
// histories: a witness signs a checkpoint only if it continues the last one that
// it signed, which it keeps durably (c2sp.org/tlog-witness). Server is a
// witness; Client asks one.
package witness

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/abide-privacy/abide/audit"
)

// Limits of a request (tlog-witness, add-checkpoint).
const (
	maxProof   = 63
	maxRequest = 256 << 10
)

// encodeRequest is the body of add-checkpoint.
func encodeRequest(old int64, proof []audit.Hash, checkpoint []byte) []byte {
	var b strings.Builder
	b.WriteString("old " + strconv.FormatInt(old, 10) + "\n")
	for _, h := range proof {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	return append([]byte(b.String()+"\n"), checkpoint...)
}

var errRequest = errors.New("witness: not an add-checkpoint request")

// parseRequest is the inverse of encodeRequest.
func parseRequest(raw []byte) (old int64, proof []audit.Hash, checkpoint []byte, err error) {
	head, rest, ok := strings.Cut(string(raw), "\n\n")
	if !ok {
		return 0, nil, nil, errRequest
	}
	lines := strings.Split(head, "\n")
	size, ok := strings.CutPrefix(lines[0], "old ")
	if old, err = parseSize(size); !ok || err != nil || len(lines)-1 > maxProof {
		return 0, nil, nil, errRequest
	}
	for _, l := range lines[1:] {
		b, err := base64.StdEncoding.Strict().DecodeString(l)
		if err != nil || len(b) != len(audit.Hash{}) || len(l) != base64.StdEncoding.EncodedLen(len(b)) {
			return 0, nil, nil, errRequest
		}
		proof = append(proof, audit.Hash(b))
	}
	return old, proof, []byte(rest), nil
}

// parseSize reads a decimal without sign and leading zeroes.
func parseSize(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != s {
		return 0, errRequest
	}
	return n, nil
}
