package engine

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/abide-privacy/abide/internal/keys"
)

// keyGauges are ages, so that an alert needs no clock of its own: absent while
// there is nothing whose age it could be.
type keyGauges struct{ epoch, kept, escrow, drill, covers *prometheus.GaugeVec }

func newKeyGauges(reg prometheus.Registerer) keyGauges {
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, nil)
		if reg != nil {
			reg.MustRegister(g)
		}
		return g
	}
	return keyGauges{
		epoch:  gauge("abide_key_epoch_age_seconds", "Age of the epoch that wraps keys now."),
		kept:   gauge("abide_key_epoch_overdue_seconds", "How long ago the oldest epoch that is still there could have been destroyed; absent if none."),
		escrow: gauge("abide_escrow_age_seconds", "Age of the shares that open the keyring; absent if there are none."),
		drill:  gauge("abide_drill_age_seconds", "Time since a recovery was last rehearsed with success; absent if never."),
		covers: gauge("abide_escrow_covers_keyring", "1 if the shares open the keyring as it is, 0 if not."),
	}
}

func (m *metrics) keyDuties(d *keyDuties, now time.Time) {
	set := func(g *prometheus.GaugeVec, since time.Time) {
		g.Reset()
		if !since.IsZero() {
			g.WithLabelValues().Set(now.Sub(since).Seconds())
		}
	}
	var epoch, kept, escrow, drill time.Time
	for _, ep := range d.epochs {
		due := ep.Emptied.Add(d.window)
		switch {
		case ep.ID == d.primary:
			epoch = ep.Created
		case ep.Destroyed.IsZero() && !ep.Emptied.IsZero() && now.After(due) && (kept.IsZero() || due.Before(kept)):
			kept = due
		}
	}
	covers := 0.0
	if d.escrow != nil {
		escrow = d.escrow.Made
		if d.escrow.State == keys.CopyCurrent {
			covers = 1
		}
	}
	if d.drill != nil && d.drill.Passed {
		drill = d.drill.At
	}
	set(m.keys.epoch, epoch)
	set(m.keys.kept, kept)
	set(m.keys.escrow, escrow)
	set(m.keys.drill, drill)
	m.keys.covers.WithLabelValues().Set(covers)
}
