package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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

Every row is taken in whole or not at all. Rows that do not fit go into the
rejects file by line and code, never by value. An import that was interrupted
goes on where it stopped when the same command is given again; no row is taken
in twice. Consents from before are graded by --grade: the policy says which
grade suffices for what.`,
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
	_ = cmd.MarkFlagRequired("map")
	_ = cmd.MarkFlagRequired("service")
	return cmd
}

// importBatch is how many rows are sent at once, importWorkers how many
// batches are under way: enough that their writes share syncs.
const (
	importBatch   = 250
	importWorkers = 8
)

func (m *Main) importCSV(cmd *cobra.Command, f *importFlags, path string) error {
	mapping, err := parseMapping(f.columns, abide.Grade(f.grade))
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
	id, size, err := importID(src, f)
	if err != nil {
		return err
	}
	state, err := openProgress(f.progress, f.rejects, id)
	if err != nil {
		return err
	}
	defer state.close()
	rows, err := newRowReader(src, f.comma, mapping, state.done.Offset, state.done.Line)
	if err != nil {
		return err
	}
	return m.with(cmd, &f.place, func(ctx context.Context, c *client.Client) error {
		run := importRun{client: c, id: id, flags: f, rows: rows, state: state, bar: m.progressBar(size), started: m.Now()}
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
func importID(src io.ReadSeeker, f *importFlags) (string, int64, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %q\n", f.columns, f.service, f.source, f.grade, f.comma)
	size, err := io.Copy(h, src)
	if err != nil {
		return "", 0, err
	}
	_, err = src.Seek(0, io.SeekStart)
	return hex.EncodeToString(h.Sum(nil)[:16]), size, err
}

// importRun is one run of an import.
type importRun struct {
	client  *client.Client
	id      string
	flags   *importFlags
	rows    *rowReader
	state   *importState
	bar     *progressBar
	started time.Time
}

// all sends batches side by side and records the prefix that is done. A batch
// is recorded after every batch before it, so what is recorded has no gap.
func (r *importRun) all(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	slots := make(chan struct{}, importWorkers)
	previous := make(chan struct{})
	close(previous)
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

// send hands in one batch and returns the rows that did not fit.
func (r *importRun) send(ctx context.Context, b rowBatch) ([]reject, int64, error) {
	rejects := b.rejects
	if len(b.people) == 0 {
		return rejects, 0, nil
	}
	var out struct {
		Outcomes []engine.ImportOutcome `json:"outcomes"`
	}
	in := engine.Import{ID: r.id, Service: abide.Service(r.flags.service), Source: r.flags.source, People: b.people}
	if err := r.sendAgain(ctx, in, &out); err != nil {
		return nil, 0, err
	}
	var repeated int64
	for _, o := range out.Outcomes {
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

// sendAgain repeats a batch while the server is not available: rows are taken
// in once, however often they are sent.
func (r *importRun) sendAgain(ctx context.Context, in engine.Import, out any) error {
	var err error
	for range 5 {
		err = r.client.Do(ctx, http.MethodPost, "/v1/imports", in, out)
		var refused *client.Error
		if err == nil || !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable {
			return err
		}
	}
	return err
}

func (r *importRun) finish(m *Main) error {
	r.bar.end()
	d := r.state.done
	if err := r.state.finished(); err != nil {
		return err
	}
	taken := d.Rows - d.Rejected
	if r.flags.place.json {
		return printJSON(m.Stdout, map[string]any{"rows": d.Rows, "taken_in": taken, "rejected": d.Rejected, "rejects": r.flags.rejects})
	}
	fmt.Fprintf(m.Stdout, "%d rows, %d taken in, %d rejected", d.Rows, taken, d.Rejected)
	if s := m.Now().Sub(r.started).Seconds(); s > 0 {
		fmt.Fprintf(m.Stdout, ", %.0f rows/s", float64(r.rows.count)/s)
	}
	fmt.Fprintln(m.Stdout)
	if d.Rejected > 0 {
		fmt.Fprintf(m.Stdout, "rows that do not fit: %s\n", r.flags.rejects)
		return quiet{exitFailed}
	}
	return nil
}

// progressRecord is what an interrupted import goes on from.
type progressRecord struct {
	ID       string `json:"id"`
	Offset   int64  `json:"offset"` // bytes of the file that are done
	Line     int64  `json:"line"`
	Rows     int64  `json:"rows"`
	Rejected int64  `json:"rejected"`
	Rejects  int64  `json:"rejects"` // bytes of the rejects file that belong to them
}

// importState is the progress file and the rejects file of an import.
type importState struct {
	path    string
	done    progressRecord
	rejects *os.File
}

// openProgress goes on with the import of this id, or begins a new one.
func openProgress(path, rejectsPath, id string) (*importState, error) {
	s := &importState{path: path, done: progressRecord{ID: id}}
	if raw, err := os.ReadFile(path); err == nil {
		var was progressRecord
		if json.Unmarshal(raw, &was) == nil && was.ID == id {
			s.done = was
		}
	}
	f, err := os.OpenFile(rejectsPath, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, notWritable(err)
	}
	s.rejects = f
	// What was written after the last record is written again.
	if err := f.Truncate(s.done.Rejects); err != nil {
		return nil, err
	}
	if _, err := f.Seek(s.done.Rejects, io.SeekStart); err != nil {
		return nil, err
	}
	if s.done.Rejects == 0 {
		n, err := io.WriteString(f, "line,code,field\n")
		if err != nil {
			return nil, err
		}
		s.done.Rejects = int64(n)
	}
	return s, nil
}

// record makes a batch part of what is done: rejects first, then the progress
// file, replaced whole. A crash between the two writes the rejects again.
func (s *importState) record(b rowBatch, rejects []reject, _ int64) error {
	var text strings.Builder
	for _, r := range rejects {
		fmt.Fprintf(&text, "%d,%s,%s\n", r.line, r.code, r.field)
	}
	if _, err := io.WriteString(s.rejects, text.String()); err != nil {
		return err
	}
	s.done.Offset, s.done.Line = b.offset, b.line
	s.done.Rows += b.rows
	s.done.Rejected += int64(len(rejects))
	s.done.Rejects += int64(text.Len())
	raw, err := json.Marshal(s.done)
	if err != nil {
		return err
	}
	tmp := s.path + ".new"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, s.path)
}

// finished forgets the progress of an import that is done, and the rejects
// file if nothing is in it.
func (s *importState) finished() error {
	if s.done.Rejected == 0 {
		if err := os.Remove(s.rejects.Name()); err != nil {
			return err
		}
	}
	if err := os.Remove(s.path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func (s *importState) close() { _ = s.rejects.Close() }
