package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/examples"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/site"
)

// demoPeople is how many people the demo makes up.
const demoPeople = 1000

// demo is a store to try things on.
type demo struct {
	tokens map[string]string
	home   http.Handler
	people int
}

// prepareDemo publishes the sample policy, makes tokens and people, and builds
// the start page.
func (m *Main) prepareDemo(ctx context.Context, e *engine.Engine, tokensFile string) (*demo, error) {
	res, _, err := e.Publish(ctx, localCaller(), examples.Shop())
	if err != nil {
		if res != nil {
			m.findings(res)
		}
		return nil, err
	}
	d := &demo{people: demoPeople}
	if d.tokens, err = demoTokens(ctx, e); err != nil {
		return nil, err
	}
	if tokensFile != "" {
		if err := writeTokens(tokensFile, d.tokens); err != nil {
			return nil, err
		}
	}
	if err := m.demoRegister(ctx, e); err != nil {
		return nil, err
	}
	agreed, err := fillDemo(ctx, e, m.Now().UTC())
	if err != nil {
		return nil, err
	}
	d.home = (&site.Start{Tokens: d.tokens, People: agreed, Company: "Juniper Quay", Steps: demoSteps()}).Handler()
	return d, nil
}

// demoTokens makes one token for each role. app may act for every purpose of
// the sample policy.
func demoTokens(ctx context.Context, e *engine.Engine) (map[string]string, error) {
	var all []abide.Purpose
	for _, p := range e.Policy().Set().Purposes {
		all = append(all, p.Name)
	}
	wanted := []abide.Actor{
		{Kind: abide.ActorService, Name: "app", Purposes: all},
		{Kind: abide.ActorService, Name: "admin", Purposes: all, Admin: true},
		{Kind: abide.ActorService, Name: "checkout", Purposes: []abide.Purpose{"provide"}},
		{Kind: abide.ActorStaff, Name: "support", Role: "support", Purposes: []abide.Purpose{"aftersales"}},
		{Kind: abide.ActorStaff, Name: "privacy", Role: "privacy", Purposes: []abide.Purpose{"provide", "aftersales"}},
	}
	tokens := map[string]string{}
	for _, a := range wanted {
		secret, _, err := e.CreateToken(ctx, localCaller(), engine.NewToken{Name: a.Name, Actor: a})
		if err != nil {
			return nil, err
		}
		tokens[a.Name] = secret
	}
	return tokens, nil
}

// demoRegister enters the facts of the company: who signed what, which reviews
// took place, who belongs to the group.
func (m *Main) demoRegister(ctx context.Context, e *engine.Engine) error {
	now := m.Now().UTC()
	lately, later := now.AddDate(0, -2, 0), now.AddDate(2, 0, 0)
	everywhere := []string{"HK", "EU", "GB", "US", "CA"}
	for _, f := range []struct {
		kind, name string
		fact       map[string]any
	}{
		{"staff", "support", map[string]any{"undertaking_ends": later, "reviewed_at": lately}},
		{"staff", "privacy", map[string]any{"undertaking_ends": later, "reviewed_at": lately}},
		{"reviews", "machine rooms", map[string]any{"at": lately}},
		{"members", "swift-couriers", map[string]any{"class": "couriers"}},
		{"contracts", "swift-couriers-2025", map[string]any{"recipient": "swift-couriers", "signed": lately, "ends": later, "covers": everywhere}},
		{"members", "juniper-cloud", map[string]any{"class": "affiliates"}},
		{"contracts", "juniper-cloud-2025", map[string]any{"recipient": "juniper-cloud", "signed": lately, "ends": later, "covers": everywhere}},
	} {
		raw, err := json.Marshal(f.fact)
		if err != nil {
			return err
		}
		if err := e.PutRegister(ctx, localCaller(), f.kind, f.name, raw); err != nil {
			return fmt.Errorf("demo register, %s: %w", f.name, err)
		}
	}
	return nil
}

// fillDemo makes the people up, many at a time so that their writes share
// syncs, and returns those who agreed to marketing: the steps begin with them.
func fillDemo(ctx context.Context, e *engine.Engine, now time.Time) ([]abide.SubjectID, error) {
	call := localCaller(e.Policy().Purposes()...)
	var mu sync.Mutex
	var agreed []abide.SubjectID
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(128)
	for n := range demoPeople {
		p := inventPerson(n, now)
		g.Go(func() error {
			id, err := p.enter(ctx, e, call)
			if err != nil {
				return fmt.Errorf("demo person %d: %w", n, err)
			}
			if p.agrees {
				mu.Lock()
				agreed = append(agreed, id)
				mu.Unlock()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(agreed, func(a, b abide.SubjectID) int { return slices.Compare(a[:], b[:]) })
	return agreed, nil
}

// demoSteps are the guided steps of the start page.
func demoSteps() []site.Step {
	offer := map[string]any{"purpose": "marketing", "act": "contact",
		"categories": []string{"person.name", "person.email"}, "topic": "offers", "channel": "email"}
	return []site.Step{
		{Title: "A read that is permitted", Role: "app", Method: http.MethodPost, Path: "/v1/subjects/{id}/data/read", Body: offer,
			Text:   "This person agreed to marketing, so the application may have the name and the e-mail address for an offer. The look is recorded before the values leave.",
			Expect: "permitted: they agreed, and the answer says to what"},
		{Title: "A read that is refused", Role: "app", Method: http.MethodPost, Path: "/v1/subjects/{id}/data/read",
			Body:   map[string]any{"purpose": "statistics", "categories": []string{"person.email"}},
			Text:   "Statistics add up ages and orders. The notice does not say that they use an e-mail address, so they do not get it. The refusal names the clause and the line.",
			Expect: "refused, with clause and line"},
		{Title: "Consent is withdrawn", Role: "app", Method: http.MethodPost, Path: "/v1/subjects/{id}/consents",
			Body:   map[string]any{"purpose": "marketing", "action": "withdraw", "evidence": map[string]any{"source": "start page"}},
			Text:   "One event in the ledger of consent; nothing is overwritten. The answer is a signed receipt.",
			Expect: "a receipt"},
		{Title: "The same read again", Role: "app", Method: http.MethodPost, Path: "/v1/subjects/{id}/data/read", Body: offer,
			Text:   "The very call of step 1. The next decision after a withdrawal is already bound by it.",
			Expect: "refused: withdrawn"},
		{Title: "One word of the notice is edited", Role: "app", Method: http.MethodPost, Path: "/v1/policy/check",
			Edit:   &site.Edit{File: "privacy.md", From: "birthday", To: "star sign"},
			Text:   "Somebody improves the prose and forgets the rules. Words and rules no longer agree, so this policy cannot be published.",
			Expect: "does not publish, with both places"},
		{Title: "The person is erased", Role: "admin", Method: http.MethodDelete, Path: "/v1/subjects/{id}",
			Text:   "The keys to everything about them are destroyed before the answer is given. What tax law keeps is named in the certificate.",
			Expect: "a signed certificate"},
		{Title: "Nothing left", Role: "app", Method: http.MethodPost, Path: "/v1/subjects/{id}/data/read",
			Body:   map[string]any{"purpose": "provide", "categories": []string{"person.name"}},
			Text:   "Even the purpose that everybody has with a shop finds nothing more to open.",
			Expect: "refused: erased"},
	}
}

// announce says on the terminal how to go on.
func (d *demo) announce(w io.Writer, url string) {
	fmt.Fprintf(w, "abide: demo store with %d made-up people, gone when you stop the server\n\n", d.people)
	fmt.Fprintf(w, "  start here   %s/\n  the notice   %s/policy\n  the API      %s/docs\n\n", url, url, url)
	for _, role := range []string{"app", "admin", "checkout", "support", "privacy"} {
		fmt.Fprintf(w, "  export ABIDE_%s=%s\n", strings.ToUpper(role), d.tokens[role])
	}
	fmt.Fprintf(w, "\nabide: listening on %s\n", url)
	if f, ok := w.(*os.File); ok {
		_ = f.Sync()
	}
}
