package api

import (
	"context"
	"net/http"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// SubjectPath is the part of the input that names the data subject. An id is
// random and says nothing about the person.
type SubjectPath struct {
	ID string `path:"id" doc:"The subject's id, or the caller's own reference as ~reference of POST /v1/subjects/lookup finds it" example:"0197b6a2-1c00-7000-8000-0123456789ab"`
}

func (p SubjectPath) subject() (abide.SubjectID, error) { return abide.ParseSubjectID(p.ID) }

type newSubject struct {
	Kind          string `json:"kind,omitempty" enum:"person,visitor,other" doc:"person unless said otherwise; other is known only through somebody else"`
	Jurisdiction  string `json:"jurisdiction,omitempty" maxLength:"16" doc:"Where the person lives: ISO 3166" example:"HK"`
	Whereabouts   string `json:"whereabouts,omitempty" maxLength:"16" doc:"Where the person is, if elsewhere"`
	BirthDate     string `json:"birth_date,omitempty" maxLength:"10" doc:"YYYY-MM-DD" example:"1990-04-02"`
	DeclaredMinor bool   `json:"declared_minor,omitempty"`
	Reference     string `json:"reference,omitempty" maxLength:"512" doc:"Your own id of this person; the same reference finds the same subject"`
}

func (s *server) subjects() {
	operation(s, "create-subject", http.MethodPost, "/v1/subjects", "Subjects", "Create a data subject",
		"The same reference again answers 200 with the same id.", http.StatusCreated,
		func(ctx context.Context, in *struct {
			Mutating
			Body newSubject
		}) (*created[engine.CreatedSubject], error) {
			born, err := optionalDate(in.Body.BirthDate)
			if err != nil {
				return nil, err
			}
			got, err := s.engine.CreateSubject(ctx, in.call(ctx), engine.NewSubject{
				Kind: abide.SubjectKind(in.Body.Kind), Jurisdiction: abide.Place(in.Body.Jurisdiction),
				Whereabouts: abide.Place(in.Body.Whereabouts), BirthDate: born,
				DeclaredMinor: in.Body.DeclaredMinor, Reference: in.Body.Reference,
			})
			if err != nil {
				return nil, err
			}
			status := http.StatusCreated
			if got.Existing {
				status = http.StatusOK
			}
			return &created[engine.CreatedSubject]{Status: status, Body: got}, nil
		})

	operation(s, "get-subject", http.MethodGet, "/v1/subjects/{id}", "Subjects", "What is held, in counts",
		"Status and number of items by category; no values.", http.StatusOK,
		func(ctx context.Context, in *struct{ SubjectPath }) (*body[engine.SubjectView], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.Subject(ctx, callOf(ctx), id)
			return answer(got, err)
		})

	operation(s, "update-subject", http.MethodPatch, "/v1/subjects/{id}", "Subjects", "Change what is known of a subject",
		"Jurisdiction, birth date, restriction (GDPR Art. 18), guardian. Fields left out stay as they are.", http.StatusOK,
		func(ctx context.Context, in *struct {
			Mutating
			SubjectPath
			Body engine.SubjectPatch
		}) (*body[engine.SubjectView], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.UpdateSubject(ctx, in.call(ctx), id, in.Body)
			return answer(got, err)
		})

	operation(s, "erase-subject", http.MethodDelete, "/v1/subjects/{id}", "Subjects", "Erase a person",
		"Answers once every read is refused and the keys are destroyed, with a signed certificate. Again: the same certificate.", http.StatusOK,
		func(ctx context.Context, in *struct {
			Mutating
			SubjectPath
		}) (*body[engine.Certificate], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.Erase(ctx, in.call(ctx), id)
			return answer(got, err)
		})

	operation(s, "record-event", http.MethodPost, "/v1/subjects/{id}/events", "Subjects", "Report a fact that deadlines wait for",
		"The policy's services say which facts your application reports: order.closed.", http.StatusNoContent,
		func(ctx context.Context, in *struct {
			Mutating
			SubjectPath
			Body struct {
				Anchor string    `json:"anchor" minLength:"1" maxLength:"64" example:"order.closed"`
				Ref    string    `json:"ref,omitempty" maxLength:"128" doc:"Which one: the order's number"`
				At     time.Time `json:"at,omitempty" doc:"Now, unless said otherwise"`
			}
		}) (*struct{}, error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			return nil, s.engine.RecordEvent(ctx, in.call(ctx), id, in.Body.Anchor, in.Body.Ref, in.Body.At)
		})

	s.services()
	s.subjectLog()
	s.retention()
}

func (s *server) services() {
	operation(s, "list-services", http.MethodGet, "/v1/subjects/{id}/services", "Services", "Services, and what each still lacks",
		"Which data is missing for which service, and the clause that asks for it.", http.StatusOK,
		func(ctx context.Context, in *struct{ SubjectPath }) (*body[struct {
			Services []engine.ServiceState `json:"services"`
		}], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.Services(ctx, callOf(ctx), id)
			if err != nil {
				return nil, err
			}
			out := &body[struct {
				Services []engine.ServiceState `json:"services"`
			}]{}
			out.Body.Services = got
			return out, nil
		})

	operation(s, "change-service", http.MethodPost, "/v1/subjects/{id}/services", "Services", "Join or leave a service",
		"Leaving names the sources that must stop; later writes for the service are refused and raised.", http.StatusOK,
		func(ctx context.Context, in *struct {
			Mutating
			SubjectPath
			Body struct {
				Service string `json:"service" minLength:"1" maxLength:"64"`
				Action  string `json:"action" enum:"join,leave"`
			}
		}) (*body[engine.ServiceState], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			change := s.engine.JoinService
			if in.Body.Action == "leave" {
				change = s.engine.LeaveService
			}
			got, err := change(ctx, in.call(ctx), id, abide.Service(in.Body.Service))
			return answer(got, err)
		})
}

func (s *server) subjectLog() {
	type page struct {
		Entries []engine.LogEntry `json:"entries"`
		Next    string            `json:"next,omitempty" doc:"Pass it as after to go on"`
	}
	operation(s, "read-log", http.MethodGet, "/v1/subjects/{id}/log", "Log", "Everything that touched this person",
		"Changes, looks, refusals and disclosures, oldest first.", http.StatusOK,
		func(ctx context.Context, in *struct {
			SubjectPath
			After string `query:"after" maxLength:"200"`
			Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
		}) (*body[page], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			entries, next, err := s.engine.SubjectLog(ctx, callOf(ctx), id, engine.Page{After: in.After, Limit: in.Limit})
			return answer(page{Entries: entries, Next: next}, err)
		})
}

// answer pairs a result with its error for huma.
func answer[T any](got T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{Body: got}, nil
}

func optionalDate(s string) (abide.Date, error) {
	if s == "" {
		return abide.Date{}, nil
	}
	d, err := abide.ParseDate(s)
	if err != nil {
		return d, withField(err, "birth_date")
	}
	return d, nil
}
