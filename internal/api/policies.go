package api

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/diag"
)

type policyFiles struct {
	Files   map[string]string `json:"files" doc:"The policy folder: path to text"`
	Version string            `json:"version,omitempty" doc:"As /v1/policy/source gives it; it is computed anew"`
}

type policyReport struct {
	Publishable bool                `json:"publishable"`
	Version     string              `json:"version,omitempty"`
	Diagnostics diag.List           `json:"diagnostics"`
	Text        string              `json:"text" doc:"The findings as a terminal shows them"`
	Published   *engine.PublishInfo `json:"published,omitempty"`
}

type policySummary struct {
	Version    string            `json:"version"`
	Published  []publishedPolicy `json:"published"`
	Documents  []string          `json:"documents"`
	Purposes   []purposeSummary  `json:"purposes"`
	Categories []categorySummary `json:"categories"`
	Services   []string          `json:"services"`
	Recipients []string          `json:"recipients"`
}

type publishedPolicy = engine.PublishInfo

type purposeSummary struct {
	Name   abide.Purpose `json:"name"`
	Clause string        `json:"clause"`
	Terms  []string      `json:"terms" doc:"Digests of what a person agrees to; more than one where places differ"`
}

type categorySummary struct {
	Name   abide.Category `json:"name"`
	Clause string         `json:"clause"`
	Format string         `json:"format"`
}

func (s *server) policies() {
	operation(s, "get-policy", http.MethodGet, "/v1/policy", "Policy", "The policy in force, for machines",
		"Names, clauses and terms digests. The text itself is at /policy.", http.StatusOK,
		func(ctx context.Context, _ *struct{}) (*body[policySummary], error) {
			res, _, err := s.engine.CurrentPolicy(ctx)
			if err != nil {
				return nil, err
			}
			versions, err := s.engine.Policies(ctx)
			if err != nil {
				return nil, err
			}
			return answer(summary(res.Policy, versions), nil)
		})

	operation(s, "check-policy", http.MethodPost, "/v1/policy/check", "Policy", "Check a policy without publishing it",
		"Words and rules, contradictions, names: every finding with its place.", http.StatusOK,
		func(ctx context.Context, in *struct{ Body policyFiles }) (*body[policyReport], error) {
			fsys, err := folder(in.Body.Files)
			if err != nil {
				return nil, err
			}
			res, err := s.engine.CheckPolicy(ctx, callOf(ctx), fsys)
			if err != nil {
				return nil, err
			}
			return answer(report(res.Files, res.Diagnostics, res.Policy), nil)
		})

	operation(s, "publish-policy", http.MethodPost, "/v1/policy", "Policy", "Check a policy and put it in force",
		"Does not publish while words and rules disagree: then publishable is false and the status 422.", http.StatusOK,
		func(ctx context.Context, in *struct {
			Mutating
			Body policyFiles
		}) (*created[policyReport], error) {
			fsys, err := folder(in.Body.Files)
			if err != nil {
				return nil, err
			}
			res, info, err := s.engine.Publish(ctx, in.call(ctx), fsys)
			if abide.ErrorDetail(err) == "policy_rejected" && res != nil {
				return &created[policyReport]{Status: http.StatusUnprocessableEntity, Body: report(res.Files, res.Diagnostics, nil)}, nil
			}
			if err != nil {
				return nil, err
			}
			rep := report(res.Files, res.Diagnostics, res.Policy)
			rep.Published = &info
			return &created[policyReport]{Status: http.StatusOK, Body: rep}, nil
		})

	type sources struct {
		Version string            `json:"version"`
		Files   map[string]string `json:"files"`
	}
	operation(s, "policy-source", http.MethodGet, "/v1/policy/source", "Policy", "The policy in force, as it was published",
		"Every file of the published folder; systems.hcl only for administrators.", http.StatusOK,
		func(ctx context.Context, _ *struct{}) (*body[sources], error) {
			_, info, err := s.engine.CurrentPolicy(ctx)
			if err != nil {
				return nil, err
			}
			fsys, err := s.engine.PolicySource(ctx, info.Version)
			if err != nil {
				return nil, err
			}
			out := sources{Version: info.Version, Files: map[string]string{}}
			err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				if path.Base(name) == "systems.hcl" && !callOf(ctx).Actor.Admin {
					return nil
				}
				text, err := fs.ReadFile(fsys, name)
				out.Files[name] = string(text)
				return err
			})
			return answer(out, err)
		})
}

// folder makes a file system of the caller's files, by way of an archive in
// memory. Names that would leave the folder are refused.
func folder(files map[string]string) (fs.FS, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, text := range files {
		if !fs.ValidPath(name) || strings.HasPrefix(name, ".") {
			return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "bad_file_name",
				Message: "a file name leaves the policy folder", Hint: "use relative names with forward slashes", Field: "files"}
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
}

func report(files *diag.Files, list diag.List, p *policy.Policy) policyReport {
	var text bytes.Buffer
	_ = diag.Terminal(&text, files, list, false) // a buffer takes everything
	out := policyReport{Publishable: !list.HasErrors(), Diagnostics: list, Text: text.String()}
	if p != nil {
		out.Version = p.Version()
	}
	return out
}

func summary(p *policy.Policy, versions []engine.PublishInfo) policySummary {
	out := policySummary{Version: p.Version(), Published: versions}
	digests := map[abide.Purpose][]string{}
	for _, t := range p.AllTerms() {
		digests[t.Purpose] = append(digests[t.Purpose], t.Digest())
	}
	set := p.Set()
	for _, d := range set.Documents {
		out.Documents = append(out.Documents, string(d.Name))
	}
	for _, r := range set.Purposes {
		out.Purposes = append(out.Purposes, purposeSummary{Name: r.Name, Clause: r.Clause.FullID(), Terms: digests[r.Name]})
	}
	for _, g := range set.Groups {
		for _, c := range g.Categories {
			out.Categories = append(out.Categories, categorySummary{Name: c.Name, Clause: g.Clause.FullID(), Format: c.Format})
		}
	}
	for _, r := range set.Services {
		out.Services = append(out.Services, string(r.Name))
	}
	for _, r := range set.Recipients {
		out.Recipients = append(out.Recipients, string(r.Name))
	}
	return out
}
