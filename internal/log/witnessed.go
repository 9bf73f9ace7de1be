package log

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/abide-privacy/abide/audit"
)

// Witnessed says how far the witnesses that are asked have signed.
type Witnessed struct {
	Size      int64        `json:"size"` // of the published checkpoint
	Witnesses []SignedUpTo `json:"witnesses"`
}

// SignedUpTo is the largest checkpoint that a witness signed, among those that
// are kept; size 0 is none of them.
type SignedUpTo struct {
	Witness string `json:"witness"`
	Size    int64  `json:"size"`
	At      string `json:"at,omitempty"`
	// Unwitnessed are the entries that the published checkpoint has beyond it.
	Unwitnessed int64 `json:"unwitnessed"`
}

// witnessed reads it off the checkpoints that are kept, so every node can tell.
func (h *Handler) witnessed(w http.ResponseWriter, r *http.Request, number uint64) error {
	rows, err := h.store.Checkpoints(r.Context(), number)
	if err != nil {
		return err
	}
	out := Witnessed{Witnesses: []SignedUpTo{}}
	signed := map[string]audit.Cosigned{}
	sizes := map[string]int64{}
	for i := len(rows) - 1; i >= 0 && len(signed) < len(h.Witnesses); i-- {
		origin, _, _ := strings.Cut(string(rows[i].Note), "\n")
		vkeys, err := VerifierKeys(h.keys, origin)
		if err != nil {
			return err
		}
		keys, err := audit.NewKeys(strings.Join(vkeys, "\n"), h.Witnesses...)
		if err != nil {
			return err
		}
		c, err := keys.Open(rows[i].Note)
		if err != nil {
			return err
		}
		for _, by := range c.Cosigned {
			if _, ok := signed[by.Witness]; !ok {
				signed[by.Witness], sizes[by.Witness] = by, c.Size
			}
		}
	}
	if len(rows) > 0 {
		out.Size = int64(rows[len(rows)-1].Size)
	}
	for _, key := range h.Witnesses {
		name, _, _ := strings.Cut(key, "+")
		s := SignedUpTo{Witness: name, Size: sizes[name], Unwitnessed: out.Size - sizes[name]}
		if by, ok := signed[name]; ok {
			s.At = by.At.Format("2006-01-02T15:04:05Z")
		}
		out.Witnesses = append(out.Witnesses, s)
	}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	send(w, "application/json", mutable, append(body, '\n'))
	return nil
}
