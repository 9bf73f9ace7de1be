package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/client"
)

var someone = abide.SubjectID{1, 2, 3}

// server answers with what answer says, and remembers the requests.
func server(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) (*client.Client, *[]*http.Request) {
	t.Helper()
	var n atomic.Int32
	var seen []*http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r)
		answer(int(n.Add(1)), w, r)
	}))
	t.Cleanup(s.Close)
	c, err := client.New(s.URL+"/", "secret")
	if err != nil {
		t.Fatal(err)
	}
	return c, &seen
}

func problem(w http.ResponseWriter, status int, class, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:abide:problem:" + class, "title": "t", "status": status, "detail": "d", "code": code,
		"decision": abide.Decision{Reasons: []abide.Reason{{Code: abide.DenyWithdrawn, Clause: "privacy#C07"}}}})
}

func TestAChangeOfUnknownOutcomeIsRepeatedUnderItsKey(t *testing.T) {
	c, seen := server(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < 3 {
			problem(w, http.StatusServiceUnavailable, "outcome_unknown", "outcome_unknown")
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"form":"abide-receipt/1"}`))
	})
	receipt, err := c.Consent(t.Context(), someone, client.ConsentRequest{Purpose: "marketing", Action: "withdraw"})
	if err != nil || !strings.Contains(string(receipt), "abide-receipt") {
		t.Fatalf("%s, %v", receipt, err)
	}
	if len(*seen) != 3 {
		t.Fatalf("%d requests, want 3", len(*seen))
	}
	key := (*seen)[0].Header.Get("Idempotency-Key")
	for _, r := range *seen {
		if key == "" || r.Header.Get("Idempotency-Key") != key {
			t.Errorf("key %q, want %q every time", r.Header.Get("Idempotency-Key"), key)
		}
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Error("no token")
		}
	}
	if _, err := c.Erase(client.WithIdempotencyKey(t.Context(), "mine"), someone); err != nil {
		t.Fatal(err)
	}
	if got := (*seen)[3].Header.Get("Idempotency-Key"); got != "mine" {
		t.Errorf("key %q, want the caller's", got)
	}
}

func TestARefusalCarriesItsDecisionAndIsNotRepeated(t *testing.T) {
	c, seen := server(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusForbidden, "denied", "denied")
	})
	_, err := c.Read(t.Context(), someone, client.ReadRequest{Purpose: "marketing", Categories: []abide.Category{"person.email"}})
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Class() != abide.CodeDenied || refused.Decision == nil || refused.Decision.Reasons[0].Clause != "privacy#C07" {
		t.Fatalf("%v", err)
	}
	if _, err := c.Put(t.Context(), someone, client.PutRequest{}); err == nil {
		t.Error("a refused change reports no error")
	}
	if len(*seen) != 2 {
		t.Errorf("%d requests for two refused calls", len(*seen))
	}
}

func TestWhatIsNoAbideServer(t *testing.T) {
	c, _ := server(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("<html>"))
	})
	_, err := c.Decide(t.Context(), client.DecideRequest{Subject: someone, Purpose: "p", Act: "read"})
	var e *client.Error
	if !errors.As(err, &e) || e.Hint == "" {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", "ftp://x", "http://", "://", "localhost:8080"} {
		if _, err := client.New(bad, ""); abide.ErrorCode(err) != abide.CodeInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestACancelledCallEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, seen := server(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		cancel()
		problem(w, http.StatusServiceUnavailable, "unavailable", "storage_unavailable")
	})
	if _, err := c.CreateSubject(ctx, client.NewSubject{}); err == nil {
		t.Error("no error")
	}
	if len(*seen) > 1 {
		t.Errorf("repeated %d times after it was cancelled", len(*seen)-1)
	}
}
