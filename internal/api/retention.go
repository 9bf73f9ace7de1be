package api

import (
	"context"
	"net/http"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

func (s *server) retention() {
	operation(s, "see-retention", http.MethodGet, "/v1/subjects/{id}/retention", "Retention", "When each item goes, and which ground keeps it",
		"The longest lawful ground with its clause, what becomes of the item then, and the holds that keep it after that. No values.", http.StatusOK,
		func(ctx context.Context, in *struct{ SubjectPath }) (*body[engine.Retention], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.Retention(ctx, callOf(ctx), id)
			return answer(got, err)
		})

	operation(s, "run-retention", http.MethodPost, "/v1/retention/run", "Retention", "Let go what is past its deadline",
		"The server does so by itself every minute; past its deadline an item is unreadable before that. One call takes about so many people; while the answer has next, call again with it as after.", http.StatusOK,
		func(ctx context.Context, in *struct {
			Body struct {
				DryRun bool   `json:"dry_run,omitempty" doc:"Say what would go, and change nothing"`
				After  string `json:"after,omitempty" maxLength:"80" doc:"next of the answer before"`
				People int    `json:"people,omitempty" minimum:"1" maximum:"100000" doc:"2,000 unless said otherwise"`
			}
		}) (*body[engine.Swept], error) {
			people := in.Body.People
			if people == 0 {
				people = 2000
			}
			got, err := s.engine.Sweep(ctx, callOf(ctx), engine.Sweep{DryRun: in.Body.DryRun, After: in.Body.After, People: people})
			return answer(got, err)
		})

	operation(s, "forecast-retention", http.MethodGet, "/v1/retention/forecast", "Retention", "What goes in the days to come",
		"In counts by category, if no fact comes in between.", http.StatusOK,
		func(ctx context.Context, in *struct {
			Days []int `query:"days" maxItems:"20" doc:"How many days ahead; 7, 30 and 90 unless said otherwise"`
		}) (*body[forecasts], error) {
			days := in.Days
			if len(days) == 0 {
				days = []int{7, 30, 90}
			}
			got, err := s.engine.Forecast(ctx, callOf(ctx), days)
			return answer(forecasts{got}, err)
		})

	s.holds()
}

type forecasts struct {
	Forecast []engine.Forecast `json:"forecast"`
}

type newHold struct {
	Name       string    `json:"name" minLength:"1" maxLength:"64" doc:"Of the case; the same name again changes the hold"`
	Items      []string  `json:"items,omitempty" maxItems:"500" doc:"These items, by id; they stay readable for their purposes until their own deadline"`
	Categories []string  `json:"categories,omitempty" maxItems:"100" doc:"All of these, now and later, closed for everything but the law; with no items either: everything"`
	Until      time.Time `json:"until,omitempty" doc:"Left out: until it is released"`
	Reason     string    `json:"reason" minLength:"1" maxLength:"500" doc:"Kept sealed with the person, and in their log"`
}

func (s *server) holds() {
	operation(s, "place-hold", http.MethodPost, "/v1/subjects/{id}/holds", "Retention", "Keep items for a legal ground",
		"For an administrator, or staff whose role opens a level that wants approvals. An erasure leaves what is held.", http.StatusOK,
		func(ctx context.Context, in *struct {
			Mutating
			SubjectPath
			Body newHold
		}) (*body[engine.Retention], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			h := engine.Hold{Name: in.Body.Name, Until: in.Body.Until, Reason: in.Body.Reason}
			for _, c := range in.Body.Categories {
				h.Categories = append(h.Categories, abide.Category(c))
			}
			for _, one := range in.Body.Items {
				item, err := abide.ParseSubjectID(one)
				if err != nil {
					return nil, withField(err, "items")
				}
				h.Items = append(h.Items, item)
			}
			got, err := s.engine.PlaceHold(ctx, in.call(ctx), id, h)
			return answer(got, err)
		})

	operation(s, "release-hold", http.MethodPost, "/v1/subjects/{id}/holds/release", "Retention", "End a hold",
		"Deadlines count anew; what only the hold kept goes with the next sweep.", http.StatusOK,
		func(ctx context.Context, in *struct {
			Mutating
			SubjectPath
			Body struct {
				Name   string `json:"name" minLength:"1" maxLength:"64"`
				Reason string `json:"reason" minLength:"1" maxLength:"500"`
			}
		}) (*body[engine.Retention], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.ReleaseHold(ctx, in.call(ctx), id, in.Body.Name, in.Body.Reason)
			return answer(got, err)
		})
}
