package engine

import (
	"context"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
)

// KeyStatus tells how the keys of the store stand.
type KeyStatus struct {
	Store        string           `json:"store"`
	Generation   uint64           `json:"generation"` // of the keyring
	Place        string           `json:"place"`
	Master       string           `json:"master,omitempty"` // key of a key service; empty: none
	Epochs       []EpochStatus    `json:"epochs"`
	Index        []IndexStatus    `json:"index"`
	Log          [2]string        `json:"log"`  // numbers of the keys that seal envelopes and system entries
	Sign         []keys.PublicKey `json:"sign"` // the primary first
	BackupWindow int              `json:"backup_window_days"`
	Fingerprint  string           `json:"fingerprint"` // of the keyring, as it stands on shares and in backups
	Escrow       *EscrowStatus    `json:"escrow,omitempty"`
	Drill        *Drill           `json:"drill,omitempty"` // the last one
	DrillEvery   int              `json:"drill_every_days"`
	Findings     []Finding        `json:"findings,omitempty"` // what is to be done
}

// EpochStatus is one key-encryption key.
type EpochStatus struct {
	keys.Epoch
	State        string    `json:"state"` // current, giving_up, emptied, destroyed
	Keys         int64     `json:"keys"`  // wrapped by it
	DestroyAfter time.Time `json:"destroy_after,omitzero"`
}

// IndexStatus is one index key.
type IndexStatus struct {
	ID        string    `json:"id"`
	State     string    `json:"state"` // current, waiting (a rotation made it and ended there), giving_up, destroyed
	Items     int64     `json:"items"` // that have their index value under it
	Destroyed time.Time `json:"destroyed,omitzero"`
}

// KeyStatus reports on the keys. It counts the wrapped keys and the items that
// are found by their value.
func (e *Engine) KeyStatus(ctx context.Context, c Call) (KeyStatus, error) {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return KeyStatus{}, err
	}
	ring := e.vault.Keyring()
	if _, err := ring.Refresh(ctx); err != nil {
		return KeyStatus{}, storageError(err)
	}
	counts, err := e.keys.WrappedBy(ctx)
	if err != nil {
		return KeyStatus{}, storageError(err)
	}
	duties, err := e.keyDuties(ctx)
	if err != nil {
		return KeyStatus{}, err
	}
	window := duties.window
	print, err := ring.Fingerprint()
	if err != nil {
		return KeyStatus{}, storageError(err)
	}
	s := KeyStatus{Store: ring.Store().String(), Generation: ring.Generation(), Place: ring.Place(), Master: ring.Master(),
		Log: ring.LogSeals(), Sign: ring.PublicKeys(), BackupWindow: int(window / (24 * time.Hour)),
		Fingerprint: print, Escrow: duties.escrow, Drill: duties.drill, DrillEvery: duties.every, Findings: duties.findings}
	for _, ep := range ring.Epochs() {
		st := EpochStatus{Epoch: ep, Keys: counts[ep.ID]}
		switch {
		case !ep.Destroyed.IsZero():
			st.State = "destroyed"
		case ep.ID == ring.PrimaryKEK():
			st.State = "current"
		case !ep.Emptied.IsZero():
			st.State, st.DestroyAfter = "emptied", ep.Emptied.Add(window)
		default:
			st.State = "giving_up"
		}
		s.Epochs = append(s.Epochs, st)
	}
	s.Index, err = e.indexStatus(ctx)
	return s, err
}

// indexStatus lists the index keys, those that were destroyed first.
func (e *Engine) indexStatus(ctx context.Context) ([]IndexStatus, error) {
	in, err := e.store.Index(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	counts, err := e.store.IndexedBy(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	var out []IndexStatus
	for _, x := range e.vault.Keyring().RetiredIndex() {
		out = append(out, IndexStatus{ID: x.ID, State: "destroyed", Items: counts[x.ID], Destroyed: x.Destroyed})
	}
	roots := e.vault.Keyring().IndexKeys()
	for _, x := range roots {
		st := IndexStatus{ID: x.ID, State: "giving_up", Items: counts[x.ID]}
		switch {
		case in.IDs()[0] == x.ID:
			st.State = "current"
		case !in.Has(x.ID) && x.ID != roots[0].ID:
			st.State = "waiting"
		}
		out = append(out, st)
	}
	return out, nil
}
