package engine_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/laws"
)

var offices = []string{"finance", "legal", "notary", "board", "it"}

// escrow makes shares and returns them with the file of the recovery copy.
func (w *world) escrow() ([]keys.Share, string) {
	w.t.Helper()
	n, err := w.e.PrepareEscrow(admin, offices, 3, filepath.Join(w.t.TempDir(), "recovery.json"))
	must(w.t, err)
	must(w.t, w.e.BeginEscrow(w.t.Context(), admin, n))
	return n.Given, n.Copy
}

func recovered(t *testing.T, file string, shares []keys.Share) *keys.Keyring {
	t.Helper()
	ring, err := keys.OpenCopy(must1(os.ReadFile(file))(t), shares[1:4])
	must(t, err)
	return ring
}

// The canary's key is of nobody, and goes all the same through rotations and
// past housekeeping, which collects keys of nobody.
func TestCanaryIsKept(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, _ string) {
		wantError(t, w.e.Rehearse(t.Context(), admin), abide.CodeNotFound, "no_canary")
		w.escrow()
		must(t, w.e.Rehearse(t.Context(), admin))
		must2(w.e.RotateKEK(t.Context(), admin, engine.RotateKeys{}))(t)
		for range 9 {
			w.clock.add(day + 1)
			w.keep(engine.Tidied{})
		}
		if ills := w.checkup(); len(ills) != 0 { // by now it would be a finding
			t.Errorf("the doctor says %v", ills)
		}
		w.clock.add(31 * day)
		if gone := must1(w.e.DestroyEpochs(t.Context(), admin, engine.DestroyEpochs{}))(t); len(gone) != 1 {
			t.Fatalf("destroyed %v", gone)
		}
		must(t, w.e.Rehearse(t.Context(), admin))
	})
}

// A store that was opened with a recovered ring refuses the ring before it, a
// second recovery, and a ring that still holds a destroyed epoch.
func TestSupersededRingIsRefused(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, path string) {
		ctx := t.Context()
		id := w.person(engine.NewSubject{})
		shares, file := w.escrow()
		before := must1(os.ReadFile(path))(t)
		first, second := recovered(t, file, shares), recovered(t, file, shares)
		must(t, first.Recover(ctx, keys.FilePlace(path), keys.Master{}, file, w.clock.now()))
		w.shut()
		w.ring = first
		w.start()
		must2(w.e.Subject(ctx, admin, id))(t)

		refuse := func(what string, ring *keys.Keyring) {
			t.Helper()
			s, k := w.open(t)
			defer func() { _ = s.Close(); _ = k.Close() }()
			e, err := engine.Open(ctx, engine.Options{Store: s, Keys: k, Keyring: ring, Laws: must1(laws.Load())(t), Clock: w.clock.now})
			if abide.ErrorDetail(err) != "keyring_superseded" {
				t.Errorf("%s: %v, want keyring_superseded", what, err)
			}
			if err == nil {
				must(t, e.Close(ctx))
			}
		}
		elsewhere := filepath.Join(t.TempDir(), "keyring.json")
		must(t, os.WriteFile(elsewhere, before, 0o600))
		refuse("the ring from before the recovery", must1(keys.Open(elsewhere))(t))
		must(t, second.Recover(ctx, keys.FilePlace(filepath.Join(t.TempDir(), "k.json")), keys.Master{}, filepath.Join(t.TempDir(), "r.json"), w.clock.now()))
		refuse("a second recovery from the same copy", second)

		stale := must1(os.ReadFile(path))(t)
		old := w.ring.PrimaryKEK()
		must2(w.e.RotateKEK(ctx, admin, engine.RotateKeys{}))(t)
		must2(w.e.DestroyEpochs(ctx, admin, engine.DestroyEpochs{ID: old, Now: true, Reason: "rehearsal"}))(t)
		must(t, os.WriteFile(elsewhere, stale, 0o600))
		refuse("a ring that holds a destroyed epoch", must1(keys.Open(elsewhere))(t))
	})
}

// What is to be done about keys stands in the findings until it is done, and
// the ages in the metrics.
func TestDutiesAboutKeys(t *testing.T) {
	w, path := fileWorld(t, backends["sqlite"](t))
	ctx := t.Context()
	codes := func() (out []string) {
		t.Helper()
		for _, f := range must1(w.e.Findings(ctx, admin))(t) {
			if f.Code != engine.FindingReviewOverdue {
				out = append(out, f.Code)
			}
		}
		slices.Sort(out)
		return out
	}
	want := func(what string, codesWanted ...string) {
		t.Helper()
		if got := codes(); !slices.Equal(got, codesWanted) {
			t.Errorf("%s: %v, want %v", what, got, codesWanted)
		}
	}
	must2(w.e.RotateKEK(ctx, admin, engine.RotateKeys{}))(t) // an epoch by the clock of the test
	w.clock.add(-day)
	must2(w.e.RotateKEK(ctx, admin, engine.RotateKeys{}))(t)
	w.clock.add(day)
	want("without shares", engine.FindingEscrowMissing)
	_, file := w.escrow()
	want("with shares")
	must(t, os.Rename(file, file+".away"))
	want("without the copy", engine.FindingEscrowOutdated)
	must(t, os.Rename(file+".away", file))
	must(t, w.e.RecordDrill(ctx, admin, engine.Drill{Failed: "share_twice"}))
	want("after a failed drill", engine.FindingDrillFailed)
	must(t, w.e.RecordDrill(ctx, admin, engine.Drill{Passed: true, Set: w.ring.Escrow().Set}))
	want("after one that passed")
	w.clock.add(30 * day)
	want("after the backup window", engine.FindingRotationOverdue)
	w.clock.add(3 * day)
	want("and two days more", engine.FindingDestructionOverdue, engine.FindingDestructionOverdue, engine.FindingRotationOverdue)
	must2(w.e.DestroyEpochs(ctx, admin, engine.DestroyEpochs{}))(t)
	must2(w.e.RotateKEK(ctx, admin, engine.RotateKeys{}))(t)
	want("after what was to be done")
	must(t, w.e.SetDrillEvery(ctx, admin, 33))
	want("as often as was declared", engine.FindingDrillOverdue)

	w.shut()
	reg := prometheus.NewRegistry()
	s, k := w.open(t)
	e, err := engine.Open(ctx, engine.Options{Store: s, Keys: k, Keyring: must1(keys.Open(path))(t), Laws: must1(laws.Load())(t), Clock: w.clock.now, Metrics: reg})
	must(t, err)
	t.Cleanup(func() { _ = e.Close(ctx); _ = s.Close(); _ = k.Close() })
	got := map[string]float64{}
	for _, family := range must1(reg.Gather())(t) {
		if m := family.GetMetric(); len(m) == 1 && m[0].GetGauge() != nil {
			got[family.GetName()] = m[0].GetGauge().GetValue()
		}
	}
	for name, seconds := range map[string]float64{"abide_drill_age_seconds": 33 * 86400, "abide_escrow_age_seconds": 33 * 86400,
		"abide_key_epoch_age_seconds": 0, "abide_escrow_covers_keyring": 1} {
		if v, ok := got[name]; !ok || v != seconds {
			t.Errorf("%s is %v, want %v", name, v, seconds)
		}
	}
	if v, ok := got["abide_key_epoch_overdue_seconds"]; ok {
		t.Errorf("an epoch is overdue by %v", v)
	}
}
