package engine

import (
	"context"
	"fmt"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
)

const (
	settingDrill      = "drill"
	settingDrillEvery = "drill_every"
	defaultDrillEvery = 180
)

// Drill is the outcome of the last rehearsal of a recovery.
type Drill struct {
	At     time.Time `json:"at"`
	Passed bool      `json:"passed"`
	Failed string    `json:"failed,omitempty"` // code of what went wrong
	Set    string    `json:"set,omitempty"`    // of the shares
	Backup time.Time `json:"backup,omitzero"`  // when the backup was made
}

// Rehearse reads the canary back in a store that was restored from a backup and
// opened with a ring that shares gave, and sees that this ring opens every
// wrapped key by its epoch. It looks at nobody's data.
func (e *Engine) Rehearse(ctx context.Context, c Call) error {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return err
	}
	if err := e.readCanary(ctx); err != nil {
		return err
	}
	counts, err := e.keys.WrappedBy(ctx)
	if err != nil {
		return storageError(err)
	}
	for _, ep := range e.vault.Keyring().Epochs() {
		if ep.Destroyed.IsZero() {
			delete(counts, ep.ID)
		}
	}
	if len(counts) > 0 {
		return &abide.Error{Code: abide.CodeInternal, Detail: "epochs_missing",
			Message: fmt.Sprintf("the shares open the canary, but lack %d key epochs by which the backup's keys are wrapped", len(counts)),
			Hint:    "the epochs were destroyed since: rehearse with a newer backup"}
	}
	return nil
}

// CompareRing refuses a ring that shares gave if it has not the keys of the
// store's own ring.
func (e *Engine) CompareRing(ctx context.Context, c Call, other *keys.Keyring) error {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return err
	}
	ring := e.vault.Keyring()
	if _, err := ring.Refresh(ctx); err != nil {
		return storageError(err)
	}
	if ring.SameKeys(other) {
		return nil
	}
	return &abide.Error{Code: abide.CodeConflict, Detail: "escrow_outdated",
		Message: "the shares open another keyring than the one in use: it lacks keys, or holds one that was destroyed",
		Hint:    "write the recovery copy anew: `abide keys escrow rewrite`"}
}

// RecordDrill records how a rehearsal ended: in the log, and for the findings.
func (e *Engine) RecordDrill(ctx context.Context, c Call, d Drill) error {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return err
	}
	d.At = e.now()
	object := "recovery rehearsed"
	if !d.Passed {
		object = "recovery rehearsed, failed: " + d.Failed
	}
	if err := e.noteKey(ctx, c, actDrill, object, "", 0); err != nil {
		return err
	}
	return e.putSetting(ctx, settingDrill, d)
}

// SetDrillEvery declares after how many days a recovery is to be rehearsed
// again.
func (e *Engine) SetDrillEvery(ctx context.Context, c Call, days int) error {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return err
	}
	if days < 1 || days > 3650 {
		return invalid("bad_window", "a recovery is rehearsed every 1 to 3650 days", "say after how many days", "drill_every")
	}
	if err := e.noteKey(ctx, c, actSetting, "days between drills", "", int64(days)); err != nil {
		return err
	}
	return e.putSetting(ctx, settingDrillEvery, days)
}
