package engine_test

import (
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// Events carry their own time. What arrives late, or in another order than it
// happened in, never permits what the person's own order of words does not: a no
// counts whenever it arrives, a yes only if nothing later is known.
func TestEventsThatArriveLate(t *testing.T) {
	type said struct {
		action string
		day    int // after the policy was published
		code   string
	}
	for name, c := range map[string]struct {
		arrive []said
		want   abide.ReasonCode // "": permitted
		days   map[int]bool     // by day: permitted then
	}{
		"in order": {[]said{{"refuse", 3, ""}, {"give", 5, ""}}, "", map[int]bool{2: false, 4: false, 6: true}},
		"a yes from before a no": {[]said{{"refuse", 5, ""}, {"give", 3, "out_of_order"}}, abide.DenyRefused,
			map[int]bool{4: false, 6: false}},
		"a no from before a yes": {[]said{{"give", 5, ""}, {"refuse", 3, ""}}, abide.DenyRefused,
			map[int]bool{4: false, 6: false}},
		"a withdrawal between": {[]said{{"give", 3, ""}, {"give", 9, ""}, {"withdraw", 6, ""}}, abide.DenyWithdrawn,
			map[int]bool{4: true, 7: false, 10: false}},
		"an objection from before": {[]said{{"give", 5, ""}, {"object", 3, ""}}, abide.DenyObjected, map[int]bool{4: false, 6: false}},
		"a yes that lies ahead":    {[]said{{"refuse", 2, ""}, {"give", 400, "in_the_future"}}, abide.DenyRefused, map[int]bool{3: false}},
		"the same yes twice":       {[]said{{"give", 5, ""}, {"give", 5, ""}}, "", map[int]bool{4: false, 6: true}},
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(t *testing.T, w *world) {
				start := w.clock.now()
				w.clock.add(30 * day)
				at := func(n int) time.Time { return start.Add(time.Duration(n) * day) }
				for i, s := range c.arrive {
					p := engine.ImportPerson{Row: int64(i + 1), Reference: "c-1", Jurisdiction: "HK",
						Consents: []engine.ImportConsent{{Purpose: "newsletter", Action: s.action, Grade: abide.GradeProved, At: at(s.day)}}}
					out, err := w.e.Import(t.Context(), admin, engine.Import{ID: "file", Service: "shop", People: []engine.ImportPerson{p},
						Evidence: map[abide.Purpose]engine.ImportEvidence{"newsletter": {Wording: "May we?", Separate: true}}})
					must(t, err)
					if out[0].Code != s.code {
						t.Fatalf("%s of day %d: %+v, want code %q", s.action, s.day, out[0], s.code)
					}
				}
				id := w.byReference("c-1")
				d := w.newsletter(id, time.Time{})
				if d.Allowed() != (c.want == "") || c.want != "" && !hasReason(d, c.want) {
					t.Errorf("now: %+v, want %q", d, c.want)
				}
				v, err := w.e.Consents(t.Context(), app, id)
				must(t, err)
				kept := 0
				for _, said := range c.arrive {
					if said.code == "" && (kept == 0 || said != c.arrive[kept-1]) {
						if e := v.Events[kept]; !e.At.Equal(at(said.day)) {
							t.Errorf("the ledger dates %s of day %d %s", e.Action, said.day, e.At)
						}
						kept++
					}
				}
				if len(v.Events) != kept {
					t.Errorf("%d events in the ledger, want %d: what was refused leaves nothing", len(v.Events), kept)
				}
				for n, permitted := range c.days {
					if d := w.newsletter(id, at(n)); d.Allowed() != permitted {
						t.Errorf("on day %d: %+v, want permitted %v", n, d, permitted)
					}
				}
			})
		})
	}
}
