package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/client"
	"github.com/abide-privacy/abide/laws"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/diff"
	"github.com/abide-privacy/abide/policy/load"
	"github.com/abide-privacy/abide/policy/render"
)

func (m *Main) policyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "policy", GroupID: "policy", Short: "Check, say, render, compare and publish a policy"}
	cmd.AddCommand(m.policyCheck(), m.policySay(), m.policyRender(), m.policyDiff(), m.policyPublish())
	return cmd
}

// policyFolder reports an error unless there is a folder at the path.
func policyFolder(dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return &abide.Error{Code: abide.CodeNotFound, Detail: "no_policy",
			Message: "there is no policy folder at this path", Hint: "make one with `abide init DIR`"}
	}
	return nil
}

// loadPolicy reads a folder, or a folder of sidecars over the notices of
// another folder. Archive holds the terms of the policy before, if one is known.
func loadPolicy(dir, notices string, archive []policy.Terms) (*load.Result, error) {
	if err := policyFolder(dir); err != nil {
		return nil, err
	}
	profiles, err := laws.Load()
	if err != nil {
		return nil, err
	}
	if notices != "" {
		return load.LoadSidecars(os.DirFS(dir), os.DirFS(notices), profiles, archive), nil
	}
	return load.Load(os.DirFS(dir), profiles, archive), nil
}

// checked loads a policy that must be without errors, and shows its findings
// otherwise.
func (m *Main) checked(dir string, archive []policy.Terms) (*load.Result, error) {
	res, err := loadPolicy(dir, "", archive)
	if err != nil {
		return nil, err
	}
	if res.Policy == nil || res.Diagnostics.HasErrors() {
		m.findings(res)
		return nil, quiet{exitFailed}
	}
	return res, nil
}

func (m *Main) policyCheck() *cobra.Command {
	var asJSON, asHTML, verbose bool
	var notices string
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Check that words and rules agree",
		Long: `Checks a policy folder: that every rule's data, purposes and recipients are named
in the words of its clause, that what the words name is covered by a rule, that
clauses do not contradict each other, and that the examples come out as they
say. Exits 1 if anything keeps the policy from being published.`,
		Example: "  abide policy check examples/shop/policy\n  abide policy check rules/ --notices site-policy/",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			res, err := loadPolicy(args[0], notices, nil)
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				err = printJSON(m.Stdout, checkReport(res))
			case asHTML:
				err = diag.HTML(m.Stdout, res.Files, res.Diagnostics)
			default:
				m.printCheck(res, verbose)
			}
			if err == nil && res.Diagnostics.HasErrors() {
				return quiet{exitFailed}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&asHTML, "html", false, "print a page of HTML")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "list every clause")
	cmd.Flags().StringVar(&notices, "notices", "", "folder of the notices that the sidecars in DIR belong to")
	cmd.MarkFlagsMutuallyExclusive("json", "html")
	return cmd
}

func (m *Main) policySay() *cobra.Command {
	return &cobra.Command{
		Use: "say DIR", Short: "Write every rule back as one plain sentence", Args: cobra.ExactArgs(1),
		Example: "  abide policy say examples/shop/policy | less",
		RunE: func(_ *cobra.Command, args []string) error {
			res, err := m.checked(args[0], nil)
			if err != nil {
				return err
			}
			return render.Say(m.Stdout, res.Set, res.Policy)
		},
	}
}

func (m *Main) policyRender() *cobra.Command {
	var format, out, document, language string
	var rules, withExamples bool
	cmd := &cobra.Command{
		Use: "render DIR", Short: "Render the policy as the page or the text to publish", Args: cobra.ExactArgs(1),
		Example: "  abide policy render examples/shop/policy --out privacy.html",
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "html" && format != "text" {
				return usage("--format is html or text")
			}
			res, err := m.checked(args[0], nil)
			if err != nil {
				return err
			}
			if err := written(res, language); err != nil {
				return err
			}
			o := render.Options{Files: res.Files, Document: abide.DocumentName(document), Language: language, Rules: rules, Examples: withExamples}
			return m.writeTo(out, func(w io.Writer) error {
				if format == "text" {
					return render.Text(w, res.Set, res.Policy, o)
				}
				return render.HTML(w, res.Set, res.Policy, o)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "html", "html or text")
	cmd.Flags().StringVarP(&out, "out", "o", "-", "file to write; - is standard output")
	cmd.Flags().StringVar(&document, "document", "", "document to render; the first if left out")
	cmd.Flags().StringVar(&language, "language", "", "language, where the policy has several")
	cmd.Flags().BoolVar(&rules, "rules", true, "show beside each clause which rules enforce it")
	cmd.Flags().BoolVar(&withExamples, "examples", false, "print the policy's example cases")
	return cmd
}

// written refuses a language that the policy is not written in, rather than
// giving another.
func written(res *load.Result, language string) error {
	var have []string
	for _, d := range res.Set.Documents {
		if language == "" || strings.EqualFold(d.Language, language) {
			return nil
		}
		if !slices.Contains(have, d.Language) {
			have = append(have, d.Language)
		}
	}
	return usage("the policy is not written in that language; it is in " + strings.Join(have, ", "))
}

// writeTo writes a file whole or not at all, or to standard output.
func (m *Main) writeTo(path string, write func(io.Writer) error) error {
	if path == "" || path == "-" {
		return write(m.Stdout)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".abide-*")
	if err != nil {
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "output_file", Message: "the file cannot be written",
			Hint: "choose a folder that you may write to", Err: err}
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	if err := write(tmp); err != nil {
		_ = tmp.Close()
		return err
	}
	if err := tmp.Chmod(0o644); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func (m *Main) policyDiff() *cobra.Command {
	var asJSON, asHTML bool
	cmd := &cobra.Command{
		Use: "diff OLD NEW", Short: "Say exactly what becomes permitted, what becomes forbidden and who is asked again", Args: cobra.ExactArgs(2),
		Long: `Compares two policy folders over everything that can be asked of them. Who agreed
to the terms of OLD stays agreed to exactly those: where NEW asks for more, it
says what is denied until they agree again. Both folders must pass the check; it
exits 0 whether or not anything changes.`,
		Example: "  abide policy diff published/ draft/\n  abide policy diff published/ draft/ --html > changes.html",
		RunE: func(_ *cobra.Command, args []string) error {
			before, err := m.checked(args[0], nil)
			if err != nil {
				return err
			}
			after, err := m.checked(args[1], before.Policy.AllTerms())
			if err != nil {
				return err
			}
			d := diff.Diff(before.Policy, after.Policy)
			switch {
			case asJSON:
				return printJSON(m.Stdout, d)
			case asHTML:
				return d.HTML(m.Stdout)
			}
			return d.Text(m.Stdout)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&asHTML, "html", false, "print a page of HTML")
	cmd.MarkFlagsMutuallyExclusive("json", "html")
	return cmd
}

func (m *Main) policyPublish() *cobra.Command {
	p := place{create: true}
	cmd := &cobra.Command{
		Use: "publish DIR", Short: "Check a policy and put it in force", Args: cobra.ExactArgs(1),
		Long: `Checks the folder and puts it in force on a server, or in a data directory, which
is made if it is not there.`,
		Example: "  abide policy publish ./policy --server https://privacy.shop.example\n  abide policy publish ./policy --data ./data",
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := m.checked(args[0], nil); err != nil {
				return err // before a data directory is made for it
			}
			files, err := readFolder(args[0])
			if err != nil {
				return err
			}
			return m.with(cmd, &p, func(ctx context.Context, c *client.Client) error {
				var out struct {
					Publishable bool            `json:"publishable"`
					Text        string          `json:"text"`
					Published   json.RawMessage `json:"published"`
					Version     string          `json:"version"`
				}
				in := map[string]any{"files": files}
				if err := c.Do(ctx, http.MethodPost, "/v1/policy/check", in, &out); err != nil {
					return err
				}
				fmt.Fprint(m.Stderr, out.Text)
				if !out.Publishable {
					return quiet{exitFailed}
				}
				if err := c.Do(ctx, http.MethodPost, "/v1/policy", in, &out); err != nil {
					return err
				}
				if p.json {
					return printJSON(m.Stdout, out.Published)
				}
				fmt.Fprintf(m.Stdout, "in force: %s\n", out.Version)
				return nil
			})
		},
	}
	m.placeFlags(cmd, &p)
	return cmd
}

// readFolder reads a policy folder for sending.
func readFolder(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(name); (ext != ".md" && ext != ".hcl") || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		files[name] = string(text)
		return err
	})
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "no_policy", Message: "the policy folder cannot be read",
			Hint: "name a folder that holds Markdown files", Err: err}
	}
	return files, nil
}
