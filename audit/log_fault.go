package audit

import (
	"fmt"
)

// FaultCode says what is wrong with a log, or with a document about it. The
// codes are stable.
type FaultCode string

// What can be wrong.
const (
	KeyMalformed        FaultCode = "key_malformed"        // a key the reader gave is none
	CheckpointMalformed FaultCode = "checkpoint_malformed" // not a checkpoint
	CheckpointMissing   FaultCode = "checkpoint_missing"   // there is none
	CheckpointSignature FaultCode = "checkpoint_signature" // not signed by the log, or changed after
	CheckpointOrigin    FaultCode = "checkpoint_origin"    // of another log
	CheckpointRoot      FaultCode = "checkpoint_root"      // signs another tree than what is published
	CheckpointLate      FaultCode = "checkpoint_late"      // no new one for longer than the reader allows
	NotWitnessed        FaultCode = "not_witnessed"        // fewer witnesses signed than asked for
	LogShorter          FaultCode = "log_shorter"          // entries that were there are gone
	LogForked           FaultCode = "log_forked"           // entries that were there are others now
	TileMissing         FaultCode = "tile_missing"         // not published
	TileMalformed       FaultCode = "tile_malformed"       // of another length than its width
	TileDiffers         FaultCode = "tile_differs"         // hashes otherwise than what is above and below
	BundleMissing       FaultCode = "bundle_missing"       // not published
	BundleMalformed     FaultCode = "bundle_malformed"     // not as many entries, with their lengths, as its width
	EntryDiffers        FaultCode = "entry_differs"        // not the entry whose hash is in the tree
	SubtreeDiffers      FaultCode = "subtree_differs"      // tile and bundle agree on entries that the tree has otherwise
	ProofMalformed      FaultCode = "proof_malformed"      // not a proof
	ProofWrong          FaultCode = "proof_wrong"          // does not prove it
	ExportMalformed     FaultCode = "export_malformed"     // not an export
	DocumentMalformed   FaultCode = "document_malformed"   // not a receipt or certificate
	DocumentKey         FaultCode = "document_key"         // signed with another key than those given
	DocumentSignature   FaultCode = "document_signature"   // changed, or made by somebody else
	DocumentDiffers     FaultCode = "document_differs"     // its parts do not agree with each other
	DocumentNotProved   FaultCode = "document_not_proved"  // it came without the proof that the log has it
	TooLarge            FaultCode = "too_large"            // larger than anything of its kind may be
)

// Fault is one thing that is wrong, and where. It is an error, and what a
// verification finds.
type Fault struct {
	Code FaultCode `json:"code"`
	// Path is the resource below the log's prefix: checkpoint, tile/0/000,
	// tile/entries/000.
	Path string `json:"path,omitempty"`
	// Entry is the index in the log of the entry, or of the first of Count; -1
	// if it is about none.
	Entry int64 `json:"entry"`
	Count int64 `json:"count,omitempty"`
	// Position is the place of a hash in its tile, if the fault is about one.
	Position *int   `json:"position,omitempty"`
	What     string `json:"what"`
	Err      error  `json:"-"`
}

// Error says what is wrong and where.
func (f *Fault) Error() string {
	s := "audit: " + string(f.Code)
	if f.Path != "" {
		s += " " + f.Path
	}
	if f.Position != nil {
		s += fmt.Sprintf(" hash %d", *f.Position)
	}
	switch {
	case f.Entry >= 0 && f.Count > 1:
		s += fmt.Sprintf(" entries %d to %d", f.Entry, f.Entry+f.Count-1)
	case f.Entry >= 0:
		s += fmt.Sprintf(" entry %d", f.Entry)
	}
	s += ": " + f.What
	if f.Err != nil {
		s += ": " + f.Err.Error()
	}
	return s
}

// Unwrap returns what caused it.
func (f *Fault) Unwrap() error { return f.Err }

// Is makes errors.Is compare codes.
func (f *Fault) Is(target error) bool {
	t, ok := target.(*Fault)
	return ok && t.Code == f.Code
}
