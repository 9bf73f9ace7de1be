package engine_test

import (
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
)

func policyText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/policy/privacy.md")
	must(t, err)
	return string(text)
}

func replaceOnce(s, old, new string) string { return strings.Replace(s, old, new, 1) }

func TestPublish(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		_, _, err := w.e.Publish(ctx, app, edit(t))
		wantError(t, err, abide.CodeDenied, "actor_may_not")

		_, before, err := w.e.CurrentPolicy(ctx)
		must(t, err)
		res, _, err := w.e.Publish(ctx, admin, edit(t, "e-mail address, phone", "phone")) // prose lost a category that its rules use
		wantError(t, err, abide.CodeInvalid, "policy_rejected")
		if res == nil || !res.Diagnostics.HasErrors() {
			t.Fatal("a rejected policy comes without findings")
		}
		_, after, err := w.e.CurrentPolicy(ctx)
		must(t, err)
		if before != after {
			t.Fatalf("a rejected policy came into force: %+v", after)
		}

		same := w.publish(edit(t))
		if !same.Unchanged || same.Epoch != before.Epoch {
			t.Fatalf("publishing what is in force: %+v", same)
		}
		next := w.publish(edit(t, "five years after", "four years after", "obtained + 5 * years", "obtained + 4 * years"))
		if next.Unchanged || next.Epoch != before.Epoch+1 || next.Version == before.Version {
			t.Fatalf("publishing something new: %+v", next)
		}
		back := w.publish(edit(t))
		if back.Version != before.Version || back.Epoch != before.Epoch+2 {
			t.Fatalf("going back: %+v", back)
		}
		list, err := w.e.Policies(ctx)
		must(t, err)
		if len(list) != 3 || list[0].Version != before.Version || list[2].Version != before.Version {
			t.Fatalf("history %+v", list)
		}
		fsys, err := w.e.PolicySource(ctx, next.Version)
		must(t, err)
		text, err := os.ReadFile("testdata/policy/privacy.md")
		must(t, err)
		f, err := fsys.Open("privacy.md")
		must(t, err)
		defer f.Close()
		st, err := f.Stat()
		must(t, err)
		if st.Size() != int64(len(text)) {
			t.Fatalf("the source has %d bytes, published were %d", st.Size(), len(text))
		}
	})
}

// A node decides by the policy that another node published, from the next load
// on; it compiles it once, however many requests come.
func TestPolicyOfAnotherNode(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.phone": "+85223456789"})
		other, err := engine.Open(ctx, engine.Options{Store: w.store, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now})
		must(t, err)
		defer other.Close(ctx)
		_, _, err = other.Publish(ctx, admin, edit(t, "person.phone, ", "", "phone number, account id, card", "account id, card"))
		must(t, err)
		w.faults.clear()
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if _, err := w.read(app, id, "provide", "person.phone"); abide.ErrorCode(err) != abide.CodeDenied {
					t.Errorf("under the new policy: %v", err)
				}
			})
		}
		wg.Wait()
		if n := w.faults.calls("policy"); n != 1 {
			t.Errorf("the policy was read %d times, want once", n)
		}
	})
}

// A policy that cannot be had denies, and publishing or reading it later heals.
func TestPolicyUnavailable(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.name": "Ann"})
		other, err := engine.Open(ctx, engine.Options{Store: w.store, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now})
		must(t, err)
		defer other.Close(ctx)
		must3(other.Publish(ctx, admin, edit(t, "five years after", "four years after", "obtained + 5 * years", "obtained + 4 * years")))(t)
		w.faults.set(map[string]error{"policy": storage.ErrUnavailable}, nil)
		if got, err := w.read(app, id, "provide", "person.name"); got != nil || abide.ErrorDetail(err) != string(abide.DenyPolicyUnavailable) {
			t.Fatalf("released %v, %v", got, err)
		}
		if err := w.e.Ready(ctx); abide.ErrorCode(err) != abide.CodeUnavailable {
			t.Fatalf("ready without the policy: %v", err)
		}
		w.faults.clear()
		must2(w.read(app, id, "provide", "person.name"))(t)
		must(t, w.e.Ready(ctx))
	})
}

func must3[A, B any](_ A, _ B, err error) func(*testing.T) {
	return func(t *testing.T) { t.Helper(); must(t, err) }
}

func TestNoPolicy(t *testing.T) {
	onEveryBackend(t, func(t *testing.T, fresh func(*testing.T) stores) {
		s, k := fresh(t)(t)
		defer s.Close()
		defer k.Close()
		w := &world{t: t, clock: &clock{t: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, ring: newRing(t)}
		e, err := engine.Open(t.Context(), engine.Options{Store: s, Keys: k, Keyring: w.ring, Clock: w.clock.now})
		must(t, err)
		defer e.Close(t.Context())
		got, err := e.CreateSubject(t.Context(), app, engine.NewSubject{})
		must(t, err)
		_, err = e.ReadData(t.Context(), app, engine.Read{Subject: got.ID, Purpose: "provide", Categories: []abide.Category{"person.name"}})
		wantReason(t, err, abide.DenyPolicyUnavailable)
		_, err = e.Collect(t.Context(), app, put(got.ID, "shop", items{"person.name": "Ann"}))
		wantError(t, err, abide.CodeUnavailable, "policy_unavailable")
		if e.Ready(t.Context()) == nil || e.Policy() != nil {
			t.Fatal("ready without a policy")
		}
	})
}

func TestPublishReadsNothingElse(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		folder := edit(t)
		folder[".git/config"] = &fstest.MapFile{Data: []byte("secret")}
		folder["notes.txt"] = &fstest.MapFile{Data: []byte("secret")}
		folder["systems.hcl"] = &fstest.MapFile{Data: []byte("")}
		folder["data.json"] = &fstest.MapFile{Data: []byte("[]")}
		folder["laws/ours.json"] = &fstest.MapFile{Data: []byte(`[{"place": "LI", "values": [{"key": "request_deadline", "value": "14 days", "source": "our counsel", "as_of": "2026-11-25"}]}]`)}
		info := w.publish(folder)
		fsys, err := w.e.PolicySource(t.Context(), info.Version)
		must(t, err)
		for _, name := range []string{".git/config", "notes.txt", "data.json"} {
			if f, err := fsys.Open(name); err == nil {
				f.Close()
				t.Errorf("%s was taken into the store", name)
			}
		}
		// The law profiles of the policy are, and hold with its version.
		if v, at, _ := w.e.Policy().Laws().Value("LI", policy.LawRequestDeadline); v.Value != "14 days" || at != "LI" {
			t.Errorf("the law of LI is %+v at %s", v, at)
		}
	})
}
