// Command gen writes the description of the API and the list of finding codes
// into docs/, so that readers have them without a server. CI rebuilds both and
// compares.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"

	"github.com/abide-privacy/abide/internal/api"
	"github.com/abide-privacy/abide/policy/diag"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: gen DIR")
	}
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(dir string) error {
	spec, err := openAPI()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), spec, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "findings.md"), findings(), 0o644)
}

// openAPI asks the handler for its own description.
func openAPI() ([]byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "/openapi.json", nil)
	if err != nil {
		return nil, err
	}
	w := &page{header: http.Header{}}
	api.New(api.Options{}).ServeHTTP(w, req)
	var out bytes.Buffer
	if err := json.Indent(&out, w.body.Bytes(), "", "  "); err != nil {
		return nil, fmt.Errorf("the description is no JSON: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// page collects an answer.
type page struct {
	header http.Header
	body   bytes.Buffer
}

func (p *page) Header() http.Header         { return p.header }
func (p *page) Write(b []byte) (int, error) { return p.body.Write(b) }
func (p *page) WriteHeader(int)             {}

func findings() []byte {
	var out bytes.Buffer
	out.WriteString("# Findings\n\nWhat `abide policy check` may report, by code. Errors keep a policy from being published.\nMade from the code by `go generate`.\n\n| code | severity | what | what to do |\n|---|---|---|---|\n")
	for _, c := range diag.Codes() {
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", c.Code, c.Severity, c.Title, c.Hint)
	}
	return out.Bytes()
}
