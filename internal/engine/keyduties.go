package engine

import (
	"context"
	"time"

	"github.com/abide-privacy/abide/internal/keys"
)

// What somebody should do about the keys. Each stands until it is done.
const (
	// FindingEscrowMissing: nobody but the keyring opens the store.
	FindingEscrowMissing = "escrow_missing"
	// FindingEscrowOutdated: the shares would not open what the keyring opens.
	// Name is how the recovery copy stands (keys.CopyOutdated and so on).
	FindingEscrowOutdated = "escrow_outdated"
	// FindingDrillOverdue: the recovery was not rehearsed in time. Name is the
	// set of shares.
	FindingDrillOverdue = "drill_overdue"
	// FindingDrillFailed: the last rehearsal failed. Name is why.
	FindingDrillFailed = "drill_failed"
	// FindingRotationOverdue: keys have been wrapped by one epoch for longer
	// than backups are kept. Name is the epoch.
	FindingRotationOverdue = "epoch_rotation_overdue"
	// FindingDestructionOverdue: an epoch that no backup needs any more is still
	// there. Name is the epoch.
	FindingDestructionOverdue = "epoch_destruction_overdue"
)

// destructionGrace is how long after its time an epoch may still be there:
// `abide keys destroy` is run daily.
const destructionGrace = 48 * time.Hour

// EscrowStatus is how the escrow stands.
type EscrowStatus struct {
	Set        string    `json:"set"`
	Made       time.Time `json:"made"`
	Threshold  int       `json:"threshold"`
	Custodians []string  `json:"custodians"`
	Copy       string    `json:"copy"`  // file
	State      string    `json:"state"` // current, outdated, missing, unreadable, damaged
}

// keyDuties is what the findings and the metrics about keys are made from.
type keyDuties struct {
	escrow   *EscrowStatus
	drill    *Drill
	every    int // days between drills
	window   time.Duration
	epochs   []keys.Epoch
	primary  string
	findings []Finding
}

// keyDuties looks at the ring as it is in memory, its recovery copy, and the
// settings. A ring that lives in memory has no duties.
func (e *Engine) keyDuties(ctx context.Context) (*keyDuties, error) {
	ring := e.vault.Keyring()
	d := &keyDuties{every: defaultDrillEvery, epochs: ring.Epochs(), primary: ring.PrimaryKEK()}
	var err error
	if d.window, err = e.BackupWindow(ctx); err != nil {
		return nil, err
	}
	if _, err := e.setting(ctx, settingDrillEvery, &d.every); err != nil {
		return nil, err
	}
	var last Drill
	if found, err := e.setting(ctx, settingDrill, &last); err != nil {
		return nil, err
	} else if found {
		d.drill = &last
	}
	if x := ring.Escrow(); x != nil {
		d.escrow = &EscrowStatus{Set: x.Set, Made: x.Made, Threshold: x.Threshold, Custodians: x.Custodians, Copy: x.Copy, State: ring.CopyState()}
	}
	if ring.InMemory() {
		return d, nil
	}
	d.judge(e.now())
	return d, nil
}

func (d *keyDuties) add(code, name string, since time.Time) {
	d.findings = append(d.findings, Finding{Code: code, Name: name, Day: since.Format(time.DateOnly), Count: 1, Last: since})
}

// judge says what is to be done at a time.
func (d *keyDuties) judge(now time.Time) {
	since := now
	for _, ep := range d.epochs {
		if !ep.Created.IsZero() && ep.Created.Before(since) {
			since = ep.Created
		}
	}
	if d.escrow == nil {
		d.add(FindingEscrowMissing, "", since)
	} else {
		if d.escrow.State != keys.CopyCurrent {
			d.add(FindingEscrowOutdated, d.escrow.State, now)
		}
		due := d.escrow.Made
		if d.drill != nil && d.drill.Passed && d.drill.Set == d.escrow.Set {
			due = d.drill.At
		}
		if due = due.AddDate(0, 0, d.every); !now.Before(due) {
			d.add(FindingDrillOverdue, d.escrow.Set, due)
		}
		if d.drill != nil && !d.drill.Passed {
			d.add(FindingDrillFailed, d.drill.Failed, d.drill.At)
		}
	}
	for _, ep := range d.epochs {
		switch {
		case !ep.Destroyed.IsZero():
		case ep.ID == d.primary:
			if due := ep.Created.Add(d.window); !ep.Created.IsZero() && now.After(due) {
				d.add(FindingRotationOverdue, ep.ID, due)
			}
		case !ep.Emptied.IsZero():
			if due := ep.Emptied.Add(d.window); now.After(due.Add(destructionGrace)) {
				d.add(FindingDestructionOverdue, ep.ID, due)
			}
		}
	}
}

// KeyFindings lists what is to be done about the keys.
func (e *Engine) KeyFindings(ctx context.Context) ([]Finding, error) {
	d, err := e.keyDuties(ctx)
	if err != nil {
		return nil, err
	}
	return d.findings, nil
}

// gaugeKeys shows the ages of what the duties are about.
func (e *Engine) gaugeKeys(ctx context.Context) error {
	d, err := e.keyDuties(ctx)
	if err != nil {
		return err
	}
	e.metrics.keyDuties(d, e.now())
	return nil
}
