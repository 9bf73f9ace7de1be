package engine_test

import (
	"encoding/hex"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/engine"
)

// After a rotation new entries are sealed and new documents signed by new keys;
// what the older ones sealed opens and what they signed verifies, on every node.
func TestLogAndSigningKeysRotate(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, path string) {
		ctx := t.Context()
		id := w.people(1)[0]
		gone := w.person(engine.NewSubject{})
		receipt := w.consent(id, "give")
		cert := val(w.e.Erase(ctx, admin, gone))(t)
		other := w.second(path, nil) // hears of nothing
		was, signed := w.ring.LogSeals(), w.ring.SigningKeyID()
		sealedBy := func() string {
			entries := val(w.store.Entries(ctx, id, 0, 1000))(t)
			return hex.EncodeToString(entries[len(entries)-1].Envelope[1:5])
		}
		if sealedBy() != was[0] {
			t.Fatalf("an entry names key %s, envelopes are sealed by %s", sealedBy(), was[0])
		}

		_, err := w.e.RotateLog(ctx, app)
		wantError(t, err, abide.CodeDenied, "actor_may_not")
		now := val(w.e.RotateLog(ctx, admin))(t)
		key := val(w.e.RotateSign(ctx, admin))(t)
		after := w.ring.LogSeals()
		if now != after[0]+" "+after[1] || after[0] == was[0] || after[1] == was[1] || key == signed {
			t.Fatalf("keys of the log: %v, then %v (%q); signing: %s, then %s", was, after, now, signed, key)
		}
		later := w.consent(id, "withdraw")
		if sealedBy() != after[0] {
			t.Errorf("a new entry is sealed by %s, want %s", sealedBy(), after[0])
		}
		for _, e := range []*engine.Engine{other, w.e} {
			entries, _, err := e.SubjectLog(ctx, self(id), id, engine.Page{Limit: 1000})
			must(t, err)
			if n := len(val(w.store.Entries(ctx, id, 0, 1000))(t)); len(entries) < n {
				t.Errorf("%d entries open, of %d", len(entries), n)
			}
			must2(e.Certificate(ctx, admin, gone))(t)
		}
		published := map[string]bool{}
		for _, k := range w.e.PublicKeys() {
			if _, err := audit.VerifyReceipt(val(audit.Canonical(receipt))(t), k.Key); err == nil {
				published["receipt of before by "+k.ID] = true
			}
			if _, err := audit.VerifyReceipt(val(audit.Canonical(later))(t), k.Key); err == nil {
				published["receipt of after by "+k.ID] = true
			}
		}
		if len(published) != 2 || !published["receipt of before by "+signed] || !published["receipt of after by "+key] {
			t.Errorf("verified: %v; signed by %s, then %s", published, signed, key)
		}
		if again := val(w.e.Certificate(ctx, admin, gone))(t); again.Key != cert.Key || again.Key != signed {
			t.Errorf("the certificate names key %s, then %s", cert.Key, again.Key)
		}
		if ills := w.checkup(); len(ills) != 0 {
			t.Errorf("the doctor says %v", ills)
		}
	})
}
