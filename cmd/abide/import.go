package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/client"
	"github.com/abide-privacy/abide/internal/engine"
)

type importFlags struct {
	place    place
	columns  []string
	service  string
	source   string
	grade    string
	comma    string
	rejects  string
	progress string
	wording  []string
	terms    []string
	language string
	separate bool
}

func (m *Main) importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:     "import FILE.csv",
		GroupID: "people",
		Short:   "Take in people with their data and consents from a CSV file",
		Long: `Takes in a CSV file with a header. Each --map says what a column holds:

  COLUMN=person.email          an item of that category
  COLUMN=~reference            your own id of the person (needed)
  COLUMN=~jurisdiction         where the person lives
  COLUMN=~birth_date           YYYY-MM-DD
  COLUMN=~obtained             when the data was obtained
  COLUMN=consent:marketing     yes, no, withdrawn, objected or indicated; empty is nothing
  COLUMN=consent_at:marketing  when
  COLUMN=told_at:marketing     when they were given notice; an indication needs it

Every row is taken in whole or not at all. Rows that do not fit go into the
rejects file by line and code, never by value. An import that was interrupted
goes on where it stopped when the same command is given again; no row is taken
in twice. Consents from before are graded by --grade: the policy says which
grade suffices for what. A consent is proved only with the wording that was
shown (--wording); --separate says that each purpose was asked on its own.`,
		Example: "  abide import customers.csv --data ./data --service shop \\\n    --map id=~reference --map country=~jurisdiction --map mail=person.email \\\n    --map news=consent:newsletter --map news_on=consent_at:newsletter --grade claimed",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return m.importCSV(cmd, &f, args[0]) },
	}
	m.placeFlags(cmd, &f.place)
	fl := cmd.Flags()
	fl.StringArrayVar(&f.columns, "map", nil, "COLUMN=WHAT; repeat it for every column to take in")
	fl.StringVar(&f.service, "service", "", "service that the data was collected for")
	fl.StringVar(&f.source, "source", "import", "source to record")
	fl.StringVar(&f.grade, "grade", string(abide.GradeUnknown), "how well the consents are evidenced: proved, claimed or unknown")
	fl.StringVar(&f.comma, "separator", ",", "what separates the columns")
	fl.StringVar(&f.rejects, "rejects", "", "file for the rows that do not fit (FILE.rejects.csv)")
	fl.StringVar(&f.progress, "progress", "", "file that remembers how far the import has come (FILE.progress)")
	fl.StringArrayVar(&f.wording, "wording", nil, "PURPOSE=FILE with the exact text people were shown; may be repeated")
	fl.StringVar(&f.language, "language", "", "language of that text (BCP 47)")
	fl.StringArrayVar(&f.terms, "terms", nil, "PURPOSE=DIGEST of the terms that the text is mapped to (those in force); may be repeated")
	fl.BoolVar(&f.separate, "separate", false, "people were asked for each purpose on its own")
	_ = cmd.MarkFlagRequired("map")
	_ = cmd.MarkFlagRequired("service")
	return cmd
}

// importBatch is how many rows are sent at once, importWorkers how many
// batches are under way: enough that their writes share syncs.
const (
	importBatch   = 250
	importWorkers = 4
)

func (m *Main) importCSV(cmd *cobra.Command, f *importFlags, path string) error {
	mapping, err := parseMapping(f.columns, abide.Grade(f.grade))
	if err != nil {
		return err
	}
	evidence, err := f.evidence(mapping)
	if err != nil {
		return err
	}
	if f.rejects == "" {
		f.rejects = strings.TrimSuffix(path, filepath.Ext(path)) + ".rejects.csv"
	}
	if f.progress == "" {
		f.progress = path + ".progress"
	}
	src, err := os.Open(path)
	if err != nil {
		return &abide.Error{Code: abide.CodeNotFound, Detail: "no_file", Message: "the CSV file cannot be opened", Hint: "check the name", Err: err}
	}
	defer func() { _ = src.Close() }()
	for _, other := range []string{f.rejects, f.progress} {
		if sameFile(path, other) {
			return usage("the rejects file and the progress file must not be the CSV file itself")
		}
	}
	id, size, err := importID(src, f, evidence)
	if err != nil {
		return err
	}
	state, err := openProgress(f.progress, f.rejects, id)
	if err != nil {
		return err
	}
	defer state.close()
	if state.done.Rows > 0 {
		fmt.Fprintf(m.Stderr, "abide: going on after line %d\n", state.done.Line)
	}
	rows, err := newRowReader(src, f.comma, mapping, state.done.Offset, state.done.Line)
	if err != nil {
		return err
	}
	return m.with(cmd, &f.place, func(ctx context.Context, c *client.Client) error {
		run := importRun{client: c, id: id, asked: evidence, flags: f, rows: rows, state: state, bar: m.progressBar(size), started: m.Now()}
		if err := run.all(ctx); err != nil {
			if errors.Is(err, context.Canceled) {
				fmt.Fprintln(m.Stderr, "abide: interrupted; give the same command again to go on")
				return quiet{exitFailed}
			}
			return err
		}
		return run.finish(m)
	})
}

// importID names an import by its file's content and its mapping, so that the
// same command goes on and a changed file is another import.
func importID(src io.ReadSeeker, f *importFlags, evidence map[abide.Purpose]engine.ImportEvidence) (string, int64, error) {
	asked, err := json.Marshal(evidence)
	if err != nil {
		return "", 0, err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %q %s\n", f.columns, f.service, f.source, f.grade, f.comma, asked)
	size, err := io.Copy(h, src)
	if err != nil {
		return "", 0, err
	}
	_, err = src.Seek(0, io.SeekStart)
	return hex.EncodeToString(h.Sum(nil)[:16]), size, err
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// evidence is how people were asked, by purpose.
func (f *importFlags) evidence(m *mapping) (map[abide.Purpose]engine.ImportEvidence, error) {
	of := map[abide.Purpose]engine.ImportEvidence{}
	for _, c := range m.columns {
		if c.what == "consent" || c.what == "told_at" {
			of[abide.Purpose(c.name)] = engine.ImportEvidence{Separate: f.separate}
		}
	}
	set := func(flag string, values []string, put func(*engine.ImportEvidence, string) error) error {
		for _, v := range values {
			purpose, value, ok := strings.Cut(v, "=")
			e, mapped := of[abide.Purpose(purpose)]
			if !ok || value == "" || !mapped {
				return usage("--" + flag + " names a purpose that a column is mapped to, and what: PURPOSE=…")
			}
			if err := put(&e, value); err != nil {
				return err
			}
			of[abide.Purpose(purpose)] = e
		}
		return nil
	}
	err := set("terms", f.terms, func(e *engine.ImportEvidence, v string) error { e.Terms = v; return nil })
	if err != nil {
		return nil, err
	}
	err = set("wording", f.wording, func(e *engine.ImportEvidence, path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return &abide.Error{Code: abide.CodeNotFound, Detail: "no_file", Message: "the file with the wording cannot be read", Hint: "check the name", Err: err}
		}
		e.Wording, e.Language = string(text), f.language
		return nil
	})
	if err != nil {
		return nil, err
	}
	for p, e := range of {
		if m.grade == abide.GradeProved && e.Wording == "" {
			return nil, usage("consents to " + string(p) + " are not proved without the wording that was shown; name it with --wording, or grade them as claimed")
		}
	}
	return of, nil
}

// importRun is one run of an import.
type importRun struct {
	client  *client.Client
	id      string
	asked   map[abide.Purpose]engine.ImportEvidence
	flags   *importFlags
	rows    *rowReader
	state   *importState
	bar     *progressBar
	started time.Time
}

// all sends batches side by side and records the prefix that is done. A batch
// is recorded after every batch before it, so what is recorded has no gap. One
// with a person of a batch under way is sent after that batch, so that the rows
// of a person take effect in their order.
func (r *importRun) all(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	slots := make(chan struct{}, importWorkers)
	previous := make(chan struct{})
	close(previous)
	latest := map[string]chan struct{}{} // by reference: the last batch that has it, while under way
	var readErr error
	for {
		batch, err := r.rows.next(importBatch)
		if err != nil && !errors.Is(err, io.EOF) {
			readErr = err
			break
		}
		if batch.empty() {
			break
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return errors.Join(g.Wait(), ctx.Err())
		}
		before, mine := previous, make(chan struct{})
		previous = mine
		for _, p := range batch.people {
			if other := latest[p.Reference]; other != nil && other != mine {
				select {
				case <-other:
				case <-ctx.Done():
					return errors.Join(g.Wait(), ctx.Err())
				}
			}
			latest[p.Reference] = mine
		}
		if len(latest) > 4*importBatch*importWorkers {
			maps.DeleteFunc(latest, func(_ string, c chan struct{}) bool { return isClosed(c) })
		}
		g.Go(func() error {
			defer func() { <-slots }()
			rejects, repeated, err := r.send(ctx, batch)
			if err != nil {
				return err
			}
			select {
			case <-before:
			case <-ctx.Done():
				return ctx.Err()
			}
			defer close(mine)
			if err := r.state.record(batch, rejects, repeated); err != nil {
				return err
			}
			r.bar.show(r.state.done.Offset)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return readErr
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// send hands in one batch and returns the rows that did not fit.
func (r *importRun) send(ctx context.Context, b rowBatch) ([]reject, int64, error) {
	rejects := b.rejects
	if len(b.people) == 0 {
		return rejects, 0, nil
	}
	outcomes, err := r.sendPeople(ctx, b.people)
	if err != nil {
		return nil, 0, err
	}
	var repeated int64
	for _, o := range outcomes {
		if o.Code != "" {
			rejects = append(rejects, reject{o.Row, o.Code, o.Field})
		}
		if o.Repeated {
			repeated++
		}
	}
	sortRejects(rejects)
	return rejects, repeated, nil
}

// sendPeople hands in people, in two parts if they are too much for one
// request.
func (r *importRun) sendPeople(ctx context.Context, people []engine.ImportPerson) ([]engine.ImportOutcome, error) {
	var out struct {
		Outcomes []engine.ImportOutcome `json:"outcomes"`
	}
	in := engine.Import{ID: r.id, Service: abide.Service(r.flags.service), Source: r.flags.source, Evidence: r.asked, People: people}
	err := r.sendAgain(ctx, in, &out)
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusRequestEntityTooLarge {
		return out.Outcomes, err
	}
	if len(people) == 1 {
		return []engine.ImportOutcome{{Row: people[0].Row, Code: "row_too_long"}}, nil
	}
	first, err := r.sendPeople(ctx, people[:len(people)/2])
	if err != nil {
		return nil, err
	}
	second, err := r.sendPeople(ctx, people[len(people)/2:])
	return append(first, second...), err
}

// sendAgain repeats a batch while the server is not reached, not available or
// asks to be spared: rows are taken in once, however often they are sent.
func (r *importRun) sendAgain(ctx context.Context, in engine.Import, out any) error {
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		err := r.client.Do(ctx, http.MethodPost, "/v1/imports", in, out)
		if err == nil || !passing(err) || pause > 15*time.Second {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// passing reports whether what failed may succeed later.
func passing(err error) bool {
	var refused *client.Error
	if errors.As(err, &refused) {
		return refused.Status == http.StatusServiceUnavailable || refused.Status == http.StatusTooManyRequests
	}
	var network *url.Error
	return errors.As(err, &network) && !errors.Is(err, context.Canceled)
}

func (r *importRun) finish(m *Main) error {
	r.bar.end()
	d := r.state.done
	if err := r.state.finished(); err != nil {
		return err
	}
	taken := d.Rows - d.Rejected
	var failed error
	if d.Rejected > 0 {
		failed = quiet{exitFailed}
	}
	if r.flags.place.json {
		err := printJSON(m.Stdout, map[string]any{"rows": d.Rows, "taken_in": taken, "rejected": d.Rejected, "repeated": d.Repeated, "rejects": r.flags.rejects})
		return errors.Join(err, failed)
	}
	fmt.Fprintf(m.Stdout, "%d rows, %d taken in, %d rejected", d.Rows, taken, d.Rejected)
	if d.Repeated > 0 {
		fmt.Fprintf(m.Stdout, ", %d of them before", d.Repeated)
	}
	if s := m.Now().Sub(r.started).Seconds(); s > 0 {
		fmt.Fprintf(m.Stdout, ", %.0f rows/s", float64(r.rows.count)/s)
	}
	fmt.Fprintln(m.Stdout)
	if failed != nil {
		fmt.Fprintf(m.Stdout, "rows that do not fit: %s\n", r.flags.rejects)
	}
	return failed
}
