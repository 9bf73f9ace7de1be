package vault

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/policy"
)

var update = flag.Bool("update", false, "rewrite testdata/stored.txt")

// What is stored today must open tomorrow. testdata/stored.txt holds records
// in every form ever written; a form that changes gets a new number, and a new
// line here, and the old line stays.
func TestStoredFormsStayReadable(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 3, 4, 5, time.UTC)
	facts := policy.Facts{Kind: abide.Person, Status: abide.StatusActive, Residence: "HK", Whereabouts: "GB", Restricted: true, RestoredGap: true,
		BirthDate: abide.Date{Year: 1990, Month: 4, Day: 2}, DeclaredMinor: true, Guardian: policy.Guardian{Verified: true, Consents: []abide.Purpose{"provide"}},
		Holds: []policy.Hold{{Name: "claim", Categories: []abide.Category{"person.invoice"}, Until: at}},
		Consents: []policy.Consent{
			{Purpose: "marketing", State: policy.StateIndicated, Told: true, Terms: "A", ToldTerms: "A", Grade: abide.GradeProved, Separate: true, Expires: at,
				Since: at, Last: at, Topics: []abide.Topic{"news"}, Channels: []abide.Channel{"sms"}, RefusedTopics: []abide.Topic{"offers"}, RefusedChannels: []abide.Channel{"post"}},
			{Purpose: "provide", State: policy.StateExpired, Terms: "A", ToldTerms: "B", Grade: abide.GradeClaimed, Since: at, Last: at.Add(1), Objected: true}},
		Accepted: []policy.Accepted{{Document: "agreement", Digest: "D", At: at}},
		Services: []policy.Taking{{Service: "shop", Since: at, Left: at}},
		Events:   []policy.Event{{Anchor: "order.closed", Ref: "A-1", At: at}}}
	held := policy.Facts{Kind: abide.Person, Status: abide.StatusActive, Holds: []policy.Hold{{Name: "claim 1", Items: []abide.SubjectID{{5}, {6}},
		Until: at, Reason: "a claim", By: "mara", Since: at}, {Name: "all"}}}
	event := abide.ConsentEvent{N: 3, At: at, Action: abide.ConsentGiven, Purpose: "marketing", Document: "d", Terms: "A", Topics: []abide.Topic{"news"},
		Channels: []abide.Channel{"sms"}, Grade: abide.GradeProved, Expires: at,
		Actor: abide.Actor{Kind: abide.ActorStaff, Name: "s-1", Role: "care", Purposes: []abide.Purpose{"provide"}, Admin: true},
		Evidence: abide.Evidence{Wording: "w", WordingHash: "wh", LayoutHash: "lh", Language: "en", Separate: true, Source: "s", Jurisdiction: "HK",
			Note: "n", Signal: "gpc", Cites: "r"}}
	record := Record{Value: json.RawMessage(`"v"`), Source: "checkout", Obtained: at, Service: "shop", Ref: "A-1", Purposes: []abide.Purpose{"provide"},
		Derived: true, From: []ItemRef{{"person.orders", abide.SubjectID{1}}}, Other: abide.SubjectID{2}}

	upload := Record{Value: json.RawMessage(`{"size":5}`), Obtained: at, Blob: &Blob{ID: abide.SubjectID{3}, Key: [32]byte{4}, Size: 5}}

	forms := []struct {
		name   string
		encode func() []byte
		decode func([]byte) (any, error)
		want   any
	}{
		{"state-1", func() []byte { return EncodeState(&facts) }, func(b []byte) (any, error) {
			var f policy.Facts
			err := DecodeState(b, &f)
			return &f, err
		}, &facts},
		{"state-1-held-items", func() []byte { return EncodeState(&held) }, func(b []byte) (any, error) {
			var f policy.Facts
			err := DecodeState(b, &f)
			return &f, err
		}, &held},
		{"event-1", func() []byte { return consent.Encode(&event) }, func(b []byte) (any, error) { return consent.Decode(b) }, &event},
		{"record-1", func() []byte { return encodeRecord(&record) }, func(b []byte) (any, error) { return decodeRecord(b) }, &record},
		{"record-1-upload", func() []byte { return encodeRecord(&upload) }, func(b []byte) (any, error) { return decodeRecord(b) }, &upload},
	}
	const file = "testdata/stored.txt"
	if *update {
		var out strings.Builder
		for _, f := range forms {
			out.WriteString(f.name + " " + hex.EncodeToString(f.encode()) + "\n")
		}
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		stored[name] = digits
	}
	for _, f := range forms {
		old, err := hex.DecodeString(stored[f.name])
		if err != nil || len(old) == 0 {
			t.Errorf("%s: no stored bytes (%v)", f.name, err)
			continue
		}
		if got, err := f.decode(old); err != nil || !reflect.DeepEqual(got, f.want) {
			t.Errorf("%s: stored bytes read as %+v, %v", f.name, got, err)
		}
		if hex.EncodeToString(f.encode()) != stored[f.name] {
			t.Errorf("%s: written differently than before; give the form a new number and keep reading the old", f.name)
		}
	}
	if len(stored) != len(forms) {
		t.Errorf("%d stored forms, %d known", len(stored), len(forms))
	}
}
