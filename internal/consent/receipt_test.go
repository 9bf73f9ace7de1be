package consent_test

import (
	"reflect"
	"strings"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/internal/keys"
)

// A receipt says all of what the event says, but for the wording itself, whose
// hash it has, and verifies with the store's public key alone.
func TestReceiptOfAnEvent(t *testing.T) {
	ring, err := keys.New()
	if err != nil {
		t.Fatal(err)
	}
	e := &abide.ConsentEvent{N: 3, At: day(1), Action: abide.ConsentGiven, Purpose: "marketing", Document: "agreement", Terms: "sha256:aa",
		Topics: []abide.Topic{"news"}, Channels: []abide.Channel{"sms"}, Grade: abide.GradeProved, Expires: day(9),
		Actor: abide.Actor{Kind: abide.ActorService, Name: "shop"},
		Evidence: abide.Evidence{Wording: "I agree", WordingHash: strings.Repeat("a", 64), LayoutHash: strings.Repeat("b", 64), Language: "en",
			Separate: true, Source: "checkout", Jurisdiction: "HK", Note: "a note", Signal: "gpc", Cites: "r-0"}}
	want := consent.Receipt("r-1", "Lantern", abide.SubjectID{1}, e, "sha256:bb", 7)
	doc, err := audit.SignReceipt(want, ring)
	if err != nil {
		t.Fatal(err)
	}
	got, err := audit.VerifyReceipt(doc, ring.PublicKeys()[0].Key)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v\nwant %+v\n%v", got, want, err)
	}
	if strings.Contains(string(doc), "I agree") || strings.Contains(string(doc), "a note") {
		t.Error("a receipt repeats the wording or an operator's note")
	}
	v := reflect.ValueOf(got).Elem()
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the receipt lacks %s", v.Type().Field(i).Name)
		}
	}
}
