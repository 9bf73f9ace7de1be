package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/authzen"
	"github.com/abide-privacy/abide/internal/engine"
)

// The searches of AuthZEN 1.0 (section 8). Every candidate is decided like an
// evaluation, and recorded like one; what is found is what was permitted. The
// candidates are
//
//	subjects   of a mapped type: those that the mapping lists; service and staff: who has a token
//	resources  of a mapped type: those that the mapping lists; person: all people, page by page
//	actions    on a mapped type: those of the mapping; else every act for each of the caller's purposes
type search struct {
	evaluation
	Page *searchPage `json:"page,omitempty"`
}

type searchPage struct {
	Token string `json:"token,omitempty"`
	Limit int    `json:"limit,omitempty" minimum:"0" maximum:"1000"`
}

type searchResponse struct {
	Page    searchNext `json:"page"`
	Results []any      `json:"results"`
}

type searchNext struct {
	NextToken string `json:"next_token"`
	Count     int    `json:"count"`
}

const (
	searchLimit = 100  // results of a page, if the request does not say
	maxLimit    = 1000 // and at most
	maxJudged   = 2000 // candidates that one request judges; a page may end there
)

// position is what a page's token carries, sealed.
type position struct {
	After []byte // where the listing goes on; its meaning is the lister's
	Limit int
	Query [sha256.Size]byte // of the request without its page
}

// candidate is one entity or action, what to decide about it, and where the
// listing goes on after it.
type candidate struct {
	result any
	ask    evaluation
	actor  *abide.Actor // who has a token; nil: as the evaluation says
	after  []byte
}

// lister lists at most n candidates after a position; fewer are all there are.
type lister func(ctx context.Context, call engine.Call, q search, after []byte, n int) ([]candidate, error)

func (s *server) searches() {
	for _, o := range []struct {
		name     string
		complete func(q search) bool
		list     lister
	}{
		{"subject", func(q search) bool {
			return typed(q.Subject) && q.Action != nil && q.Action.Name != "" && identified(q.Resource)
		}, s.findSubjects},
		{"resource", func(q search) bool {
			return identified(q.Subject) && q.Action != nil && q.Action.Name != "" && typed(q.Resource)
		}, s.findResources},
		{"action", func(q search) bool { return identified(q.Subject) && identified(q.Resource) }, s.findActions},
	} {
		s.authzenOperation("search-"+o.name, "/access/v1/search/"+o.name, "Search of "+o.name+"s (AuthZEN 1.0, section 8)",
			reflect.TypeFor[search](), reflect.TypeFor[searchResponse](),
			func(ctx context.Context, raw []byte) (any, error) {
				var q search
				if err := decodeAuthzen(raw, &q); err != nil {
					return nil, err
				}
				if !o.complete(q) {
					return nil, malformed("what is searched for wants a type, everything else a type and an id or a name")
				}
				out, err := s.search(ctx, q, o.name, o.list)
				if err != nil {
					return nil, err
				}
				return out, s.engine.Recorded(ctx) // before anybody learns who was found
			})
	}
}

func typed(e *authzen.Entity) bool { return e != nil && e.Type != "" }

func identified(e *authzen.Entity) bool { return typed(e) && e.ID != "" }

// search judges candidates until a page is full.
func (s *server) search(ctx context.Context, q search, kind string, list lister) (*searchResponse, error) {
	call := callOf(ctx)
	if err := mayEvaluate(call); err != nil {
		return nil, err
	}
	at, err := s.position(q, kind)
	if err != nil {
		return nil, err
	}
	out := &searchResponse{Results: []any{}}
	for judged := 0; ; {
		n := min(at.Limit, maxJudged-judged)
		found, err := list(ctx, call, q, at.After, n)
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			at.After = c.after
			judged++
			ok, err := s.permits(ctx, call, c)
			if err != nil {
				return nil, err
			}
			if ok {
				out.Results = append(out.Results, c.result)
			}
			if len(out.Results) == at.Limit {
				break
			}
		}
		out.Page.Count = len(out.Results)
		if len(found) < n && len(out.Results) < at.Limit {
			return out, nil // that was the last
		}
		if len(out.Results) == at.Limit || judged >= maxJudged {
			sealed, err := s.engine.SealPage(at)
			out.Page.NextToken = base64.RawURLEncoding.EncodeToString(sealed)
			return out, err
		}
	}
}

// permits decides one candidate.
func (s *server) permits(ctx context.Context, call engine.Call, c candidate) (bool, error) {
	if c.actor != nil {
		call.Actor.Purposes = c.actor.Purposes
	}
	got, err := s.evaluate(context.WithValue(ctx, callKey{}, call), c.ask)
	if abide.ErrorCode(err) == abide.CodeInvalid {
		return false, nil // an evaluation would be an error, and permits nothing
	}
	return got.Decision, err
}

// position opens the token of the request. All else must be as it was in the
// request that the token came from.
func (s *server) position(q search, kind string) (position, error) {
	page := searchPage{}
	if q.Page != nil {
		page = *q.Page
	}
	if page.Limit < 0 {
		return position{}, malformed("page.limit is negative")
	}
	q.Page = nil
	raw, err := json.Marshal(q)
	if err != nil {
		return position{}, malformed("the request cannot be read")
	}
	query := sha256.Sum256(append([]byte(kind+"\x00"), raw...))
	if page.Token == "" {
		limit := min(page.Limit, maxLimit)
		if limit == 0 {
			limit = searchLimit
		}
		return position{Limit: limit, Query: query}, nil
	}
	var at position
	sealed, err := base64.RawURLEncoding.DecodeString(page.Token)
	if err != nil {
		return position{}, malformed("page.token is none of ours")
	}
	if err := s.engine.OpenPage(sealed, &at); err != nil {
		return position{}, err
	}
	if at.Query != query || page.Limit != 0 && page.Limit != at.Limit {
		return position{}, malformed("page.token belongs to another request")
	}
	return at, nil
}

// onlyJSON refuses other content types: section 10.1 wants application/json.
func onlyJSON(ctx huma.Context, next func(huma.Context)) {
	if kind, _, err := mime.ParseMediaType(ctx.Header("Content-Type")); err != nil || kind != "application/json" {
		_, w := humago.Unwrap(ctx)
		p := problemOf(malformed("the content type is not application/json"))
		p.Status = http.StatusBadRequest
		writeProblemAs(w, p)
		return
	}
	next(ctx)
}
