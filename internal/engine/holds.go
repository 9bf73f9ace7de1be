package engine

import (
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// Hold is a legal hold as callers see it.
type Hold struct {
	Name       string            `json:"name"`
	Categories []abide.Category  `json:"categories,omitempty"` // closed for everything but the law; with no items either: everything
	Items      []abide.SubjectID `json:"items,omitempty"`      // kept, and nothing else about them changes
	Until      time.Time         `json:"until,omitzero"`
	Reason     string            `json:"reason,omitempty"`
	By         string            `json:"by,omitempty"`
	Since      time.Time         `json:"since,omitzero"`
}

func holdsOf(f *policy.Facts) []Hold {
	out := make([]Hold, 0, len(f.Holds))
	for i := range f.Holds {
		out = append(out, Hold(f.Holds[i]))
	}
	return out
}
