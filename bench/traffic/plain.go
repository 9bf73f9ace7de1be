package traffic

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// plainStore is what the plain server needs of a database. Writes are durable
// when they return.
type plainStore interface {
	token(ctx context.Context, hash []byte) error
	// read returns a person's values and keeps an audit row of the look.
	read(ctx context.Context, person, purpose string, categories []string) (map[string]string, error)
	// consent replaces the person's answer and appends an event.
	consent(ctx context.Context, person, purpose, action string, evidence []byte) error
	// collect replaces values and keeps the address findable.
	collect(ctx context.Context, person, source string, values map[string]string) error
}

// plainTables serve both engines: the rows that one would keep if nothing were
// sealed, decided or proved.
var plainTables = []string{
	`CREATE TABLE person (id TEXT PRIMARY KEY, version BIGINT NOT NULL DEFAULT 0, newsletter TEXT NOT NULL DEFAULT '')`,
	`CREATE TABLE item (person TEXT NOT NULL, category TEXT NOT NULL, value TEXT NOT NULL, source TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (person, category))`,
	`CREATE INDEX item_value ON item (category, value)`,
	`CREATE TABLE consent (person TEXT NOT NULL, at BIGINT NOT NULL, purpose TEXT NOT NULL, action TEXT NOT NULL, evidence TEXT NOT NULL, PRIMARY KEY (person, at))`,
	`CREATE TABLE audit (at BIGINT NOT NULL, person TEXT NOT NULL, purpose TEXT NOT NULL, what TEXT NOT NULL, PRIMARY KEY (at, person))`,
	`CREATE TABLE token (hash TEXT PRIMARY KEY, name TEXT NOT NULL)`,
}

// Credentials are part of every plain call. Exported, because huma fills embedded
// structs by reflection.
type Credentials struct {
	ID            string `path:"id"`
	Authorization string `header:"Authorization"`
}

// plainHandler is the same router with bodies of the same shapes.
func plainHandler(s plainStore) http.Handler {
	mux := http.NewServeMux()
	c := huma.DefaultConfig("plain", "1")
	c.SchemasPath, c.DocsPath, c.CreateHooks = "", "", nil
	api := humago.New(mux, c)
	authorised := func(ctx context.Context, header string) error {
		hash := sha256.Sum256([]byte(header))
		if err := s.token(ctx, hash[:]); err != nil {
			return huma.Error401Unauthorized("no such token")
		}
		return nil
	}
	type answer struct {
		Body struct {
			Data map[string]string `json:"data,omitempty"`
			At   time.Time         `json:"at"`
		}
	}
	done := func(data map[string]string, err error) (*answer, error) {
		a := &answer{}
		a.Body.Data, a.Body.At = data, time.Now()
		return a, err
	}
	huma.Register(api, huma.Operation{OperationID: "read", Method: http.MethodPost, Path: "/v1/subjects/{id}/data/read"},
		func(ctx context.Context, in *struct {
			Credentials
			Body struct {
				Purpose    string   `json:"purpose"`
				Categories []string `json:"categories"`
			}
		}) (*answer, error) {
			if err := authorised(ctx, in.Authorization); err != nil {
				return nil, err
			}
			return done(s.read(ctx, in.ID, in.Body.Purpose, in.Body.Categories))
		})
	huma.Register(api, huma.Operation{OperationID: "consent", Method: http.MethodPost, Path: "/v1/subjects/{id}/consents", DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct {
			Credentials
			Body struct {
				Purpose  string            `json:"purpose"`
				Action   string            `json:"action"`
				Evidence map[string]string `json:"evidence"`
			}
		}) (*answer, error) {
			if err := authorised(ctx, in.Authorization); err != nil {
				return nil, err
			}
			evidence, err := json.Marshal(in.Body.Evidence)
			if err != nil {
				return nil, err
			}
			return done(nil, s.consent(ctx, in.ID, in.Body.Purpose, in.Body.Action, evidence))
		})
	huma.Register(api, huma.Operation{OperationID: "collect", Method: http.MethodPut, Path: "/v1/subjects/{id}/data"},
		func(ctx context.Context, in *struct {
			Credentials
			Body struct {
				Purpose string            `json:"purpose"`
				Source  string            `json:"source"`
				Items   map[string]string `json:"items"`
			}
		}) (*answer, error) {
			if err := authorised(ctx, in.Authorization); err != nil {
				return nil, err
			}
			return done(nil, s.collect(ctx, in.ID, in.Body.Source, in.Body.Items))
		})
	return mux
}
