package node

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// UseCase is a call that changes something, on people that Prepare makes. Run
// may be called again, in another process, with the same idempotency key.
type UseCase struct {
	Name string
	// Operation is the operation of the API that it stands for.
	Operation string
	Prepare   func(ctx context.Context, e *engine.Engine) error
	Run       func(ctx context.Context, e *engine.Engine, key string) error
	// Repeats names the code of the error that a retry may end with, for calls
	// whose answer is a secret that is kept nowhere.
	Repeats string
}

// Unkeyed are the changing operations that take no idempotency key, with the
// reason why doing them twice does no harm.
var Unkeyed = map[string]string{
	"count":         "counts about nobody gather in memory, and a retry may count twice: a key would link a count to a request",
	"ask-approval":  "a request asked twice stands twice and opens nothing; approvals count for one request",
	"resolve-gap":   "it ends a refusal, for whoever restored; ended twice it is ended",
	"run-retention": "what is past its deadline goes once; called again, it finds what is left",
	"import":        "each row has a key of its own: the import's id and the row's number",
}

// Looks are the operations that change nothing although they are no GET; those
// that release something record it before they do.
var Looks = []string{"evaluate", "evaluate-many", "search-subject", "search-resource", "search-action", "decide", "check-policy", "lookup", "read-data"}

func lead(key string) engine.Call {
	return engine.Call{Actor: abide.Actor{Kind: abide.ActorStaff, Name: "lead", Admin: true}, Token: "lead", IdempotencyKey: key}
}

func app(key string) engine.Call {
	return engine.Call{Actor: abide.Actor{Kind: abide.ActorService, Name: "app",
		Purposes: []abide.Purpose{"provide", "books", "chat", "newsletter"}}, Token: "app", IdempotencyKey: key}
}

func staff(name string) engine.Call {
	return engine.Call{Actor: abide.Actor{Kind: abide.ActorStaff, Name: name, Role: "support", Purposes: []abide.Purpose{"provide"}}, Token: name}
}

// found is the person whom Prepare made under a reference.
func found(ctx context.Context, e *engine.Engine, reference string) (abide.SubjectID, error) {
	ids, err := e.Lookup(ctx, app(""), engine.Lookup{Category: "~reference", Value: fmt.Appendf(nil, "%q", reference)})
	if err != nil {
		return abide.SubjectID{}, err
	}
	if len(ids) != 1 {
		return abide.SubjectID{}, fmt.Errorf("%d subjects of the reference %s", len(ids), reference)
	}
	return ids[0], nil
}

func person(reference string) engine.NewSubject {
	return engine.NewSubject{Reference: reference, Jurisdiction: "HK", BirthDate: abide.Date{Year: 1990, Month: 4, Day: 2}}
}

func items(m map[abide.Category]any) map[abide.Category]json.RawMessage {
	out := map[abide.Category]json.RawMessage{}
	for c, v := range m {
		raw, err := json.Marshal(v)
		if err != nil {
			panic("node: " + err.Error()) // constants of this package
		}
		out[c] = raw
	}
	return out
}

func asked(id abide.SubjectID, action string) engine.ConsentWrite {
	return engine.ConsentWrite{Subject: id, Purpose: "newsletter", Action: action,
		Evidence: abide.Evidence{Wording: "May we send you our newsletter?", Language: "en", Source: "form"}}
}

// populate makes two people of whom something of every kind is held.
func populate(ctx context.Context, e *engine.Engine) error {
	for _, ref := range []string{"ann", "bob"} {
		got, err := e.CreateSubject(ctx, app(""), person(ref))
		if err != nil {
			return err
		}
		for _, c := range []engine.Collect{
			{Subject: got.ID, Service: "shop", Source: "checkout", Items: items(map[abide.Category]any{
				"person.name": ref, "person.email": ref + "@example.test", "person.orders": []any{map[string]int{"n": 1}}})},
			{Subject: got.ID, Service: "chat", Source: "form", Items: items(map[abide.Category]any{"person.account": "account of " + ref})},
		} {
			if _, err := e.Collect(ctx, app(""), c); err != nil {
				return err
			}
		}
		if _, err := e.WriteConsent(ctx, app(""), asked(got.ID, "give")); err != nil {
			return err
		}
	}
	return nil
}

// onAnn is a use case about the person ann.
func onAnn(f func(ctx context.Context, e *engine.Engine, id abide.SubjectID, key string) error) func(context.Context, *engine.Engine, string) error {
	return func(ctx context.Context, e *engine.Engine, key string) error {
		id, err := found(ctx, e, "ann")
		if err != nil {
			return err
		}
		return f(ctx, e, id, key)
	}
}

func collects(service abide.Service, m map[abide.Category]any) func(context.Context, *engine.Engine, string) error {
	return onAnn(func(ctx context.Context, e *engine.Engine, id abide.SubjectID, key string) error {
		_, err := e.Collect(ctx, app(key), engine.Collect{Subject: id, Service: service, Source: "checkout", Items: items(m)})
		return err
	})
}

func writes(action string) func(context.Context, *engine.Engine, string) error {
	return onAnn(func(ctx context.Context, e *engine.Engine, id abide.SubjectID, key string) error {
		_, err := e.WriteConsent(ctx, app(key), asked(id, action))
		return err
	})
}

func nothing(context.Context, *engine.Engine) error { return nil }

// UseCases are all of them. A test compares them with the API's description,
// so that none is forgotten.
func UseCases() []UseCase {
	return append(aboutPeople(), aboutTheCompany()...)
}

func aboutPeople() []UseCase {
	return []UseCase{
		{Name: "create", Operation: "create-subject", Prepare: nothing,
			Run: func(ctx context.Context, e *engine.Engine, key string) error {
				_, err := e.CreateSubject(ctx, app(key), person("new"))
				return err
			}},
		{Name: "create without reference", Operation: "create-subject", Prepare: nothing,
			Run: func(ctx context.Context, e *engine.Engine, key string) error {
				_, err := e.CreateSubject(ctx, app(key), person(""))
				return err
			}},
		{Name: "collect", Operation: "put-data", Prepare: populate, Run: collects("shop", map[abide.Category]any{"person.phone": []string{"+85291234567"}})},
		{Name: "correct", Operation: "put-data", Prepare: populate, Run: collects("shop", map[abide.Category]any{"person.email": "new@example.test"})},
		{Name: "correct a unique value", Operation: "put-data", Prepare: populate, Run: collects("chat", map[abide.Category]any{"person.account": "another"})},
		{Name: "message", Operation: "put-data", Prepare: populate,
			Run: onAnn(func(ctx context.Context, e *engine.Engine, id abide.SubjectID, key string) error {
				bob, err := found(ctx, e, "bob")
				if err != nil {
					return err
				}
				_, err = e.Collect(ctx, app(key), engine.Collect{Subject: id, Other: bob, Service: "chat", Source: "chat",
					Items: items(map[abide.Category]any{"person.message": []string{"hello"}})})
				return err
			})},
		{Name: "give", Operation: "write-consent", Prepare: populate, Run: writes("give")},
		{Name: "withdraw", Operation: "write-consent", Prepare: populate, Run: writes("withdraw")},
		{Name: "object", Operation: "write-consent", Prepare: populate, Run: writes("object")},
		{Name: "update", Operation: "update-subject", Prepare: populate,
			Run: onAnn(func(ctx context.Context, e *engine.Engine, id abide.SubjectID, key string) error {
				where := abide.Place("GB")
				_, err := e.UpdateSubject(ctx, app(key), id, engine.SubjectPatch{Whereabouts: &where})
				return err
			})},
		{Name: "event", Operation: "record-event", Prepare: populate,
			Run: onAnn(func(ctx context.Context, e *engine.Engine, id abide.SubjectID, key string) error {
				return e.RecordEvent(ctx, app(key), id, "order.closed", "1", time.Time{})
			})},
		{Name: "leave", Operation: "change-service", Prepare: populate,
			Run: onAnn(func(ctx context.Context, e *engine.Engine, id abide.SubjectID, key string) error {
				_, err := e.LeaveService(ctx, app(key), id, "chat")
				return err
			})},
		{Name: "join", Operation: "change-service",
			Prepare: func(ctx context.Context, e *engine.Engine) error {
				_, err := e.CreateSubject(ctx, app(""), person("ann"))
				return err
			},
			Run: onAnn(func(ctx context.Context, e *engine.Engine, id abide.SubjectID, key string) error {
				_, err := e.JoinService(ctx, app(key), id, "chat")
				return err
			})},
		{Name: "upload", Operation: "put-upload", Prepare: populate,
			Run: onAnn(func(ctx context.Context, e *engine.Engine, id abide.SubjectID, key string) error {
				_, err := e.PutUpload(ctx, app(key), engine.Upload{Subject: id, Category: "person.papers", Service: "shop", Source: "checkout",
					Name: "a.pdf", MediaType: "application/pdf", Size: -1}, strings.NewReader("a file"))
				return err
			})},
		{Name: "hold", Operation: "place-hold", Prepare: populate,
			Run: onAnn(func(ctx context.Context, e *engine.Engine, id abide.SubjectID, key string) error {
				_, err := e.PlaceHold(ctx, lead(key), id, claim)
				return err
			})},
		{Name: "release", Operation: "release-hold",
			Prepare: func(ctx context.Context, e *engine.Engine) error {
				if err := populate(ctx, e); err != nil {
					return err
				}
				return onAnn(func(ctx context.Context, e *engine.Engine, id abide.SubjectID, _ string) error {
					_, err := e.PlaceHold(ctx, lead(""), id, claim)
					return err
				})(ctx, e, "")
			},
			Run: onAnn(func(ctx context.Context, e *engine.Engine, id abide.SubjectID, key string) error {
				_, err := e.ReleaseHold(ctx, lead(key), id, claim.Name, "settled")
				return err
			})},
		{Name: "sweep", Operation: "run-retention", Prepare: overdue, Run: sweeps},
		{Name: "erase", Operation: "erase-subject", Prepare: populate, Run: erases},
	}
}

// claim is a hold of what somebody has a claim about.
var claim = engine.Hold{Name: "claim 17", Categories: []abide.Category{"person.orders"}, Reason: "a claim before the court"}

// overdue leaves ann with a phone number and a file whose order was closed so
// long ago that they are past their deadline.
func overdue(ctx context.Context, e *engine.Engine) error {
	if err := populate(ctx, e); err != nil {
		return err
	}
	return onAnn(func(ctx context.Context, e *engine.Engine, id abide.SubjectID, _ string) error {
		old := time.Now().AddDate(-3, 0, 0)
		if _, err := e.Collect(ctx, app(""), engine.Collect{Subject: id, Service: "shop", Source: "checkout", Ref: "old", Obtained: old,
			Items: items(map[abide.Category]any{"person.phone": []string{"+85291234567"}})}); err != nil {
			return err
		}
		if _, err := e.PutUpload(ctx, app(""), engine.Upload{Subject: id, Category: "person.papers", Service: "shop", Source: "checkout", Ref: "old",
			Obtained: old, Name: "a.pdf", MediaType: "application/pdf", Size: -1}, strings.NewReader("a file")); err != nil {
			return err
		}
		return e.RecordEvent(ctx, app(""), id, "order.closed", "old", old.AddDate(0, 1, 0))
	})(ctx, e, "")
}

// sweeps lets go what is past its deadline, and wants all of it gone.
func sweeps(ctx context.Context, e *engine.Engine, _ string) error {
	got, err := e.Sweep(ctx, lead(""), engine.Sweep{})
	if err != nil {
		return err
	}
	id, err := found(ctx, e, "ann")
	if err != nil {
		return err
	}
	kept, err := e.Retention(ctx, lead(""), id)
	if err != nil {
		return err
	}
	for _, k := range kept.Items {
		if k.Past {
			return fmt.Errorf("%s is past its deadline and was not swept: %+v", k.Category, got)
		}
	}
	return nil
}

// erases erases ann. Once nobody finds her by her reference, it is done: the
// reference is the first thing that an erasure makes useless.
func erases(ctx context.Context, e *engine.Engine, key string) error {
	ids, err := e.Lookup(ctx, app(""), engine.Lookup{Category: "~reference", Value: []byte(`"ann"`)})
	if err != nil || len(ids) == 0 {
		return err
	}
	_, err = e.Erase(ctx, lead(key), ids[0])
	return err
}

func aboutTheCompany() []UseCase {
	return []UseCase{
		{Name: "publish", Operation: "publish-policy", Prepare: nothing,
			Run: func(ctx context.Context, e *engine.Engine, key string) error {
				_, _, err := e.Publish(ctx, lead(key), edition(2))
				return err
			}},
		{Name: "import", Operation: "import", Prepare: populate, Run: imports},
		{Name: "register", Operation: "put-register", Prepare: nothing,
			Run: func(ctx context.Context, e *engine.Engine, key string) error {
				return e.PutRegister(ctx, lead(key), "members", "dispatch", []byte(`{"class":"affiliates"}`))
			}},
		{Name: "drop from register", Operation: "drop-register",
			Prepare: func(ctx context.Context, e *engine.Engine) error {
				return e.PutRegister(ctx, lead(""), "members", "dispatch", []byte(`{"class":"affiliates"}`))
			},
			Run: func(ctx context.Context, e *engine.Engine, key string) error {
				return e.DropRegister(ctx, lead(key), "members", "dispatch")
			}},
		{Name: "make token", Operation: "create-token", Prepare: nothing, Repeats: "token_exists",
			Run: func(ctx context.Context, e *engine.Engine, key string) error {
				_, _, err := e.CreateToken(ctx, lead(key), engine.NewToken{Name: "till", Actor: app("").Actor})
				return err
			}},
		{Name: "revoke token", Operation: "revoke-token",
			Prepare: func(ctx context.Context, e *engine.Engine) error {
				_, _, err := e.CreateToken(ctx, lead(""), engine.NewToken{Name: "till", Actor: app("").Actor})
				return err
			},
			Run: func(ctx context.Context, e *engine.Engine, key string) error {
				return e.RevokeToken(ctx, lead(key), "till")
			}},
		{Name: "approve", Operation: "approve",
			Prepare: func(ctx context.Context, e *engine.Engine) error {
				if err := populate(ctx, e); err != nil {
					return err
				}
				id, err := found(ctx, e, "ann")
				if err != nil {
					return err
				}
				_, err = e.AskApproval(ctx, staff("sam"), engine.ApprovalRequest{Subject: id, Purpose: "provide",
					Categories: []abide.Category{"person.card"}, Reason: "a complaint"})
				return err
			},
			Run: func(ctx context.Context, e *engine.Engine, _ string) error {
				asked, err := e.Approvals(ctx, lead(""))
				if err != nil || len(asked) != 1 {
					return fmt.Errorf("%d approvals: %w", len(asked), err)
				}
				_, err = e.Approve(ctx, staff("kim"), asked[0].ID)
				return err
			}},
	}
}

// imports takes in two new people and a row about one who is known.
func imports(ctx context.Context, e *engine.Engine, _ string) error {
	in := engine.Import{ID: "old shop", Service: "shop"}
	for i, ref := range []string{"new 1", "new 2", "ann"} {
		in.People = append(in.People, engine.ImportPerson{Row: int64(i + 2), Reference: ref, Jurisdiction: "HK",
			BirthDate: abide.Date{Year: 1980, Month: 1, Day: 1},
			Items:     items(map[abide.Category]any{"person.phone": []string{fmt.Sprintf("+8529123456%d", i)}}),
			Consents:  []engine.ImportConsent{{Purpose: "newsletter", Action: "give", Grade: abide.GradeClaimed, At: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}}})
	}
	out, err := e.Import(ctx, lead(""), in)
	if err != nil {
		return err
	}
	for _, o := range out {
		if o.Code != "" && o.Code != "out_of_order" && o.Code != "weaker_evidence" {
			return fmt.Errorf("row %d: %s", o.Row, o.Code)
		}
	}
	return nil
}
