package audit

import (
	"encoding/json"
	"errors"
	"slices"
)

// formState is the form of a saved VerifyState.
const formState = "abide-log-state/1"

type savedState struct {
	Form   string    `json:"form"`
	Origin string    `json:"origin"`
	Size   int64     `json:"size"`
	Edge   [][]Bytes `json:"edge"`
	Faults int64     `json:"faults"`
}

// Save encodes the state for Resume, bound to the log it is of. It must be kept
// where the log's operator cannot write.
func (s *VerifyState) Save(origin string) ([]byte, error) {
	out := savedState{Form: formState, Origin: origin, Size: s.Size - s.Size%tileWidth, Faults: s.Faults, Edge: make([][]Bytes, len(s.Edge))}
	for i, tile := range s.Edge {
		out.Edge[i] = []Bytes{}
		for _, h := range tile {
			out.Edge[i] = append(out.Edge[i], slices.Clone(h[:]))
		}
	}
	return json.Marshal(out)
}

// LoadState decodes a saved state of the log of that origin.
func LoadState(raw []byte, origin string) (*VerifyState, error) {
	var in savedState
	if err := strict(raw, &in); err != nil || in.Form != formState {
		return nil, errors.New("audit: this is not the saved state of a verification")
	}
	if in.Origin != origin {
		return nil, errors.New("audit: this is the saved state of another log")
	}
	s := &VerifyState{Size: in.Size, Faults: in.Faults, Edge: make([][]Hash, len(in.Edge))}
	for i, tile := range in.Edge {
		for _, h := range tile {
			if len(h) != len(Hash{}) {
				return nil, errors.New("audit: the saved state of the verification is damaged")
			}
			s.Edge[i] = append(s.Edge[i], Hash(h))
		}
	}
	return s, s.check()
}

// check refuses a state whose tiles are not as wide as its size says.
func (s *VerifyState) check() error {
	damaged := errors.New("audit: the saved state of the verification is damaged")
	if s.Size < 0 || s.Size > maxLogSize || s.Size%tileWidth != 0 || len(s.Edge) > 8 || s.Size>>(tileHeight*(len(s.Edge)+1)) != 0 {
		return damaged
	}
	for i, tile := range s.Edge {
		if int64(len(tile)) != s.Size>>(tileHeight*(i+1))%tileWidth {
			return damaged
		}
	}
	return nil
}

func (s *VerifyState) clone() *VerifyState {
	out := &VerifyState{Size: s.Size, Faults: s.Faults, Edge: make([][]Hash, len(s.Edge))}
	for i, tile := range s.Edge {
		out.Edge[i] = slices.Clone(tile)
	}
	return out
}
