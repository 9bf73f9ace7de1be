package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
)

// What the log says was done to a key: Act of an entry of kind key_rotated,
// whose object names the key.
const (
	actNewKey     = "new_key"
	actEmptied    = "emptied"
	actDestroyKey = "destroy_key"
	actSetting    = "setting"
)

// rewrapPage is how many keys are wrapped anew in one transaction: long enough
// to share its sync, short enough that whoever waits behind it does not notice.
const rewrapPage = 600

// Progress tells how far a rotation has come.
type Progress struct {
	Step  string `json:"step"` // rewrap, re-index, look-ups
	Done  int64  `json:"done"`
	Total int64  `json:"total"` // as counted at the beginning
}

// RotateKeys says how to rotate.
type RotateKeys struct {
	// Progress, if set, hears of every page.
	Progress func(Progress)
}

func (r *RotateKeys) tell(p Progress) {
	if r.Progress != nil {
		r.Progress(p)
	}
}

// KeyRotation is what a rotation did.
type KeyRotation struct {
	Key       string `json:"key"`                 // the new primary
	Resumed   bool   `json:"resumed,omitempty"`   // an earlier run had begun it
	Rewrapped int64  `json:"rewrapped,omitempty"` // wrapped keys
	Reindexed int64  `json:"reindexed,omitempty"` // items whose index value was made anew
	// Unfindable counts items that the policy in force does not tell how to find:
	// they keep their value and lose their index.
	Unfindable int64    `json:"unfindable,omitempty"`
	Emptied    []string `json:"emptied,omitempty"`   // epochs by which nothing is wrapped any more
	Destroyed  []string `json:"destroyed,omitempty"` // epochs whose time had come
}

// RotateKEK begins a new epoch of key-encryption keys, wraps every subject's
// keys anew while the store serves, and destroys the epochs whose backup window
// has passed.
//
// Killed at any step, it goes on where it was when called again: the rows say
// which of them are left. What each step leaves behind:
//
//  1. log entry, and the new key in the keyring's place: every node that meets
//     it loads it from there;
//  2. fence: no node wraps by the old keys any more;
//  3. pages of rows, each replaced only where it still holds the old wrapping,
//     so that no key that an erasure destroyed comes back;
//  4. a count that finds nothing, noted in the keyring: the epoch is emptied;
//  5. DestroyEpochs.
func (e *Engine) RotateKEK(ctx context.Context, c Call, o RotateKeys) (KeyRotation, error) {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return KeyRotation{}, err
	}
	ring := e.vault.Keyring()
	if _, err := ring.Refresh(ctx); err != nil {
		return KeyRotation{}, storageError(err)
	}
	old, err := e.unfinished(ctx)
	if err != nil {
		return KeyRotation{}, err
	}
	out := KeyRotation{Resumed: len(old) > 0}
	if !out.Resumed {
		was := ring.PrimaryKEK()
		if err := e.noteKey(ctx, c, actNewKey, "kek", "", 0); err != nil {
			return KeyRotation{}, err
		}
		if _, err := ring.RotateKEK(ctx, e.now()); err != nil {
			return KeyRotation{}, storageError(err)
		}
		old = []string{was}
	}
	out.Key = ring.PrimaryKEK()
	for _, id := range old {
		if err := e.keys.Fence(ctx, id); err != nil {
			return out, storageError(err)
		}
	}
	if out.Rewrapped, err = e.rewrap(ctx, &o); err != nil {
		return out, err
	}
	if out.Emptied, err = e.emptied(ctx, c, old); err != nil {
		return out, err
	}
	out.Destroyed, err = e.DestroyEpochs(ctx, c, DestroyEpochs{})
	return out, err
}

// unfinished lists the epochs that an earlier run began to give up, or by
// which something is wrapped although they are not the primary.
func (e *Engine) unfinished(ctx context.Context) ([]string, error) {
	counts, err := e.keys.WrappedBy(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	ring := e.vault.Keyring()
	var out []string
	for _, ep := range ring.Epochs() {
		left := counts[ep.ID] > 0
		if ep.ID != ring.PrimaryKEK() && ep.Destroyed.IsZero() && (ep.Emptied.IsZero() || left) {
			out = append(out, ep.ID)
		}
	}
	return out, nil
}

// rewrap goes through all wrapped keys once.
func (e *Engine) rewrap(ctx context.Context, o *RotateKeys) (int64, error) {
	counts, err := e.keys.WrappedBy(ctx)
	if err != nil {
		return 0, storageError(err)
	}
	p := Progress{Step: "rewrap"}
	for _, n := range counts {
		p.Total += n
	}
	var done int64
	var last storage.WrappedKey
	for {
		if err := ctx.Err(); err != nil {
			return done, storageError(err)
		}
		page, err := e.keys.List(ctx, last, rewrapPage)
		if err != nil {
			return done, storageError(err)
		}
		if len(page) == 0 {
			return done, nil
		}
		n, err := e.rewrapPage(ctx, page)
		if err != nil {
			return done, err
		}
		done += int64(n)
		p.Done += int64(len(page))
		o.tell(p)
		last = page[len(page)-1]
	}
}

func (e *Engine) rewrapPage(ctx context.Context, page []storage.WrappedKey) (int, error) {
	ring := e.vault.Keyring()
	to := ring.PrimaryKEK()
	var swap []storage.Rewrapped
	for _, w := range page {
		if w.KEK == to {
			continue
		}
		key, err := ring.Unwrap(w)
		if err != nil {
			// Doctor names it; one damaged row does not keep the others from
			// the new key, and keeps its epoch from being destroyed.
			e.log.Error("a wrapped key does not open and stays as it is", "subject", w.Subject.String(), "error", err.Error())
			continue
		}
		fresh, err := ring.Wrap(w.Subject, w.Compartment, w.Version, key)
		clear(key)
		if err != nil {
			return 0, storageError(err)
		}
		swap = append(swap, storage.Rewrapped{Old: w, New: fresh})
	}
	if len(swap) == 0 {
		return 0, nil
	}
	n, err := e.keys.Rewrap(ctx, swap)
	for range 3 {
		if !isOutcomeUnknown(err) {
			break
		}
		n, err = e.keys.Rewrap(ctx, swap) // rows that were replaced are left alone
	}
	return n, storageError(err)
}

// emptied notes which of the epochs wrap nothing any more.
func (e *Engine) emptied(ctx context.Context, c Call, old []string) ([]string, error) {
	counts, err := e.keys.WrappedBy(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	var out []string
	for _, id := range old {
		if counts[id] > 0 {
			return out, &abide.Error{Code: abide.CodeInternal, Detail: "keys_not_rewrapped",
				Message: "some wrapped keys do not open, so their key-encryption key is kept",
				Hint:    "run abide doctor, restore those rows, and rotate again"}
		}
		if err := e.noteKey(ctx, c, actEmptied, "kek "+id, "", 0); err != nil {
			return out, err
		}
		if err := e.vault.Keyring().EmptyKEK(ctx, id, e.now()); err != nil {
			return out, storageError(err)
		}
		out = append(out, id)
	}
	return out, storageError(e.keys.Scrub(ctx))
}

// DestroyEpochs says which epochs to destroy.
type DestroyEpochs struct {
	ID string // this one; empty: every epoch that is emptied and whose backup window has passed
	// Now destroys before the backup window has passed, for the reason stated:
	// backups made before the rotation become unreadable.
	Now    bool
	Reason string
}

// DestroyEpochs removes key-encryption keys from the keyring. From then on
// nothing that they wrapped opens, on whatever medium it is: not the keys of
// people erased since, nor backups made before the rotation.
func (e *Engine) DestroyEpochs(ctx context.Context, c Call, d DestroyEpochs) ([]string, error) {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return nil, err
	}
	if d.Now && (len(d.Reason) < 3 || len(d.Reason) > 200) {
		return nil, invalid("reason_missing", "destroying an epoch before its time needs a reason of 3 to 200 characters", "say why; it is logged", "reason")
	}
	window, err := e.BackupWindow(ctx)
	if err != nil {
		return nil, err
	}
	ring := e.vault.Keyring()
	if _, err := ring.Refresh(ctx); err != nil {
		return nil, storageError(err)
	}
	var due []keys.Epoch
	for _, ep := range ring.Epochs() {
		switch ready := !ep.Emptied.IsZero() && (d.Now || !e.now().Before(ep.Emptied.Add(window))); {
		case d.ID != "" && ep.ID != d.ID, d.ID == "" && !ready, d.ID == "" && !ep.Destroyed.IsZero():
			continue
		case !ep.Destroyed.IsZero():
			return nil, nil // it is done
		case !ready:
			return nil, tooEarly(ep, window)
		}
		due = append(due, ep)
	}
	if d.ID != "" && len(due) == 0 {
		return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "no_epoch", Message: "there is no such key epoch", Hint: "`abide keys status` lists them"}
	}
	return e.destroy(ctx, c, due, d.Reason)
}

func tooEarly(ep keys.Epoch, window time.Duration) error {
	if ep.Emptied.IsZero() {
		return &abide.Error{Code: abide.CodeConflict, Detail: "epoch_in_use",
			Message: "keys are wrapped by this epoch", Hint: "rotate first: `abide keys rotate kek`"}
	}
	return &abide.Error{Code: abide.CodeConflict, Detail: "backup_window",
		Message: "backups that need this epoch are still within their window, until " + ep.Emptied.Add(window).Format(time.RFC3339),
		Hint:    "wait, or destroy it now with a reason; backups from before the rotation are then unreadable"}
}

func (e *Engine) destroy(ctx context.Context, c Call, due []keys.Epoch, reason string) ([]string, error) {
	if len(due) == 0 {
		return nil, nil
	}
	counts, err := e.keys.WrappedBy(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	var out []string
	for _, ep := range due {
		if counts[ep.ID] > 0 {
			// An older key store was put back.
			return out, &abide.Error{Code: abide.CodeConflict, Detail: "epoch_in_use",
				Message: "keys are wrapped by this epoch again", Hint: "rotate first: `abide keys rotate kek`"}
		}
		if err := e.noteKey(ctx, c, actDestroyKey, "kek "+ep.ID, reason, 0); err != nil {
			return out, err
		}
		if err := e.vault.Keyring().RetireKEK(ctx, ep.ID, e.now()); err != nil {
			return out, storageError(err)
		}
		out = append(out, ep.ID)
	}
	return out, e.forgetOlderRings(ctx)
}

// noteKey records what is about to be done to a key.
func (e *Engine) noteKey(ctx context.Context, c Call, act, object, reason string, count int64) error {
	env := e.envelope(c, audit.KeyRotated)
	env.Act, env.Object, env.Count = act, object, count
	if reason != "" {
		env.Object += ": " + reason
	}
	return e.noteStore(ctx, c, env)
}

// RotateLog gives the log new keys; entries sealed by older ones stay as they
// are, and open. No old key is destroyed: an entry must outlive the backup
// window. It returns the numbers of the new keys, that of envelopes and that of
// system entries: each sealed row begins with the number of its key.
func (e *Engine) RotateLog(ctx context.Context, c Call) (string, error) {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return "", err
	}
	if err := e.noteKey(ctx, c, actNewKey, "log", "", 0); err != nil {
		return "", err
	}
	if err := e.vault.Keyring().RotateLog(ctx); err != nil {
		return "", storageError(err)
	}
	seals := e.vault.Keyring().LogSeals()
	return seals[0] + " " + seals[1], nil
}

// RotateSign gives receipts and certificates a new signing key, and returns its
// id. Older public keys stay, to verify what they signed.
func (e *Engine) RotateSign(ctx context.Context, c Call) (string, error) {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return "", err
	}
	if err := e.noteKey(ctx, c, actNewKey, "sign", "", 0); err != nil {
		return "", err
	}
	id, err := e.vault.Keyring().RotateSign(ctx)
	return id, storageError(err)
}

const (
	recordSetting       = "setting"
	settingBackupWindow = "backup_window"
	defaultBackupWindow = 30 * 24 * time.Hour
)

// BackupWindow is how long backups are kept, as the controller declared.
func (e *Engine) BackupWindow(ctx context.Context) (time.Duration, error) {
	window, _, err := e.backupWindow(ctx)
	return window, err
}

func (e *Engine) backupWindow(ctx context.Context) (window time.Duration, declared bool, err error) {
	var days int
	if declared, err = e.setting(ctx, settingBackupWindow, &days); err != nil || !declared {
		return defaultBackupWindow, false, err
	}
	return time.Duration(days) * 24 * time.Hour, true, nil
}

// SetBackupWindow declares how many days backups are kept, and with that when
// the epochs of keys may be destroyed, and segments of the restore ledger pruned.
func (e *Engine) SetBackupWindow(ctx context.Context, c Call, days int) error {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return err
	}
	if days < 0 || days > 3650 {
		return invalid("bad_window", "a backup window is 0 to 3650 days", "say for how many days backups are kept", "backup_window")
	}
	if err := e.noteKey(ctx, c, actSetting, "backup window, in days", "", int64(days)); err != nil {
		return err
	}
	return e.putSetting(ctx, settingBackupWindow, days)
}

func (e *Engine) setting(ctx context.Context, name string, v any) (bool, error) {
	rows, err := e.store.Records(ctx, recordSetting)
	if err != nil {
		return false, storageError(err)
	}
	i := slices.IndexFunc(rows, func(r storage.Record) bool { return r.Name == name })
	if i < 0 {
		return false, nil
	}
	return true, storageError(json.Unmarshal(rows[i].Body, v))
}

func (e *Engine) putSetting(ctx context.Context, name string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return storageError(err)
	}
	for range 5 {
		rows, err := e.recordsByName(ctx, recordSetting)
		if err != nil {
			return err
		}
		was := rows[name].Version
		err = e.store.PutRecord(ctx, &storage.Record{Kind: recordSetting, Name: name, Version: was + 1, Expect: was, Body: body, At: e.now()})
		if !errors.Is(err, storage.ErrConflict) {
			return storageError(err)
		}
	}
	return storageError(storage.ErrConflict)
}
