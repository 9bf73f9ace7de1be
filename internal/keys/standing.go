package keys

import (
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"time"
)

// standing is what a keyring says about itself beside its keys. It lies in the
// clear, so that it is there when a key service is not, and is bound to the
// ring by a keyed hash: whoever can write to the ring's place, and cannot open
// it, cannot make it seal its keys to a recovery key of their own.
type standing struct {
	Escrow    *Escrow  `json:"escrow,omitempty"`
	Recovered Recovery `json:"recovered,omitzero"`
}

// Recovery tells which recovery a ring came from. Of two rings of a store, only
// the one of the later recovery counts.
type Recovery struct {
	N   int       `json:"n"`  // counts recoveries of the store
	ID  string    `json:"id"` // random: two recoveries from one copy are two rings
	Set string    `json:"set"`
	At  time.Time `json:"at"`
}

// Recovered returns the recovery that the ring came from; N is 0 for none.
func (k *Keyring) Recovered() Recovery { return k.ring.Load().standing.Recovered }

func (r *ring) standingMAC(raw []byte) ([]byte, error) {
	out, err := r.stable().ComputePRF(lengthPrefixed("abide/keyring-standing/1", raw), 32)
	if err != nil {
		return nil, fmt.Errorf("keys: hash the keyring's standing: %w", err)
	}
	return out, nil
}

// writeStanding puts the standing into a file of the ring.
func (r *ring) writeStanding(f *file) error {
	if r.standing.Escrow == nil && r.standing.Recovered.N == 0 {
		return nil
	}
	raw, err := json.Marshal(r.standing)
	if err != nil {
		return fmt.Errorf("keys: write: %w", err)
	}
	f.Standing = raw
	f.StandingMAC, err = r.standingMAC(raw)
	return err
}

// readStanding takes the standing over from a file whose keys the ring holds.
func (r *ring) readStanding(f *file) error {
	if len(f.Standing) == 0 {
		return nil
	}
	var raw bytes.Buffer
	if err := json.Compact(&raw, f.Standing); err != nil {
		return badKeyring()
	}
	want, err := r.standingMAC(raw.Bytes())
	if err != nil {
		return err
	}
	if !hmac.Equal(want, f.StandingMAC) || json.Unmarshal(raw.Bytes(), &r.standing) != nil {
		return badKeyring()
	}
	return nil
}
