package engine

import (
	"context"
	"encoding/hex"
	"errors"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/log"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

// LogProof shows, without this server, that an entry is in the log
// (spec/log.md, rule 15).
type LogProof = audit.LogEvidence

// ProveEntry proves an entry of a person's log.
func (e *Engine) ProveEntry(ctx context.Context, c Call, id abide.SubjectID, n uint64) (LogProof, error) {
	s, err := e.provable(ctx, c, id, opSeeLog)
	if err != nil {
		return LogProof{}, err
	}
	defer s.close()
	return e.proveEntry(ctx, s, n)
}

// provable loads whose log is to be proved, and records that it was looked at.
func (e *Engine) provable(ctx context.Context, c Call, id abide.SubjectID, op operation) (*subject, error) {
	if err := authorise(c, op, id); err != nil {
		return nil, err
	}
	s, err := e.load(ctx, id, storage.Want{})
	if err != nil {
		return nil, err
	}
	if !s.active() {
		err = erasedError()
	} else {
		err = e.looked(ctx, c, s)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (e *Engine) proveEntry(ctx context.Context, s *subject, n uint64) (LogProof, error) {
	if n == 0 {
		return LogProof{}, noSuchEntry()
	}
	rows, err := e.store.Entries(ctx, s.id, n-1, 1)
	switch {
	case err != nil:
		return LogProof{}, storageError(err)
	case len(rows) == 0 || rows[0].N != n:
		return LogProof{}, noSuchEntry()
	}
	x := &rows[0]
	opened, err := e.vault.ProveEntry(s.keys, x)
	if err != nil {
		return LogProof{}, err
	}
	number, leaf, err := log.FindEntry(ctx, e.store, storage.EntryKey{Subject: s.id, N: n}, x.At)
	if err != nil {
		return LogProof{}, notLogged(err)
	}
	return e.proof(ctx, number, leaf, x.Commitment, opened)
}

// ProveLook proves the record of a look at a person.
func (e *Engine) ProveLook(ctx context.Context, c Call, id abide.SubjectID, key LookReceipt) (LogProof, error) {
	s, err := e.provable(ctx, c, id, opSeeLog)
	if err != nil {
		return LogProof{}, err
	}
	defer s.close()
	if err := e.indexSpool(ctx); err != nil {
		return LogProof{}, err
	}
	look, err := e.store.Look(ctx, id, storage.LookKey(key))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return LogProof{}, noSuchEntry()
	case err != nil:
		return LogProof{}, storageError(err)
	}
	return e.proveLook(ctx, s, key, look)
}

func (e *Engine) proveLook(ctx context.Context, s *subject, key LookReceipt, look *storage.Look) (LogProof, error) {
	opened, err := e.vault.ProveLook(s.keys, look)
	if err != nil {
		return LogProof{}, err
	}
	number, leaf, err := log.FindLook(ctx, e.store, storage.LookKey(key))
	if err != nil {
		return LogProof{}, notLogged(err)
	}
	return e.proof(ctx, number, leaf, look.Commitment, opened)
}

func (e *Engine) proof(ctx context.Context, number, leaf uint64, commitment audit.Hash, opened vault.Opened) (LogProof, error) {
	p, checkpoint, err := log.Prove(ctx, e.store, number, leaf)
	if err != nil {
		return LogProof{}, notLogged(err)
	}
	return LogProof{Origin: checkpoint.Origin, Index: leaf, Commitment: hex.EncodeToString(commitment[:]),
		Proof: string(p.Encode()), Part: opened.Part, Envelope: opened.Envelope}, nil
}

func noSuchEntry() error {
	return &abide.Error{Code: abide.CodeNotFound, Detail: "unknown_entry", Message: "this person's log has no such entry",
		Hint: "see /v1/subjects/{id}/log for the entries"}
}

// notLogged is the error for what no checkpoint has yet.
func notLogged(err error) error {
	if !errors.Is(err, storage.ErrNotFound) {
		return storageError(err)
	}
	return &abide.Error{Code: abide.CodeConflict, Detail: "not_in_log_yet", Message: "the entry is recorded, and not yet under a checkpoint of the log",
		Hint: "ask again in a second"}
}
