package storage

import (
	"encoding/json"

	abide "github.com/abide-privacy/abide"
)

// sealedActor is how both adapters keep a token's actor, with the seal of the
// row beside it.
type sealedActor struct {
	abide.Actor
	Seal []byte `json:"seal,omitempty"`
}

// EncodeActor makes the actor column of a token.
func EncodeActor(t *TokenRow) ([]byte, error) {
	return json.Marshal(sealedActor{t.Actor, t.Seal})
}

// DecodeActor is the inverse of EncodeActor.
func DecodeActor(column []byte, t *TokenRow) error {
	var a sealedActor
	if err := json.Unmarshal(column, &a); err != nil {
		return err
	}
	t.Actor, t.Seal = a.Actor, a.Seal
	return nil
}
