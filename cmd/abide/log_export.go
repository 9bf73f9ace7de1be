package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/client"
)

// exportJob is an export under way. It is kept beside the file after every page,
// so that a run that was interrupted goes on where it stopped.
type exportJob struct {
	Header audit.ExportHeader `json:"header"`
	Log    uint64             `json:"log,omitempty"`
	Next   string             `json:"next,omitempty"` // after, or from, of the page that comes
	So     audit.ExportEnd    `json:"so"`
	Bytes  int64              `json:"bytes"` // of the file, up to the last whole page
}

// exportedPage is what the server answers with.
type exportedPage struct {
	Origin  string                `json:"origin"`
	Size    int64                 `json:"size"`
	Entries []audit.ExportedEntry `json:"entries"`
	Waiting int64                 `json:"waiting"`
	Others  int64                 `json:"others"`
	Next    string                `json:"next"`
}

func (m *Main) logExportCommand() *cobra.Command {
	var p place
	var subject, stretch, out string
	var number uint64
	cmd := &cobra.Command{
		Use:   "export --subject ID | --range FROM:TO",
		Short: "Export log entries with their proofs, which anyone can check offline",
		Long: `Writes entries of the log in a file that ` + "`abide log verify --export`" + ` checks without
a connection: one entry a line, opened, with the randomness that it was committed to
with and the proof that the log has it.

With --subject, everything that touched one person: for an auditor, or for the
person. With --range, a stretch of the log, TO not included: what was done, by whom
and by which rule, and nobody it was done to; for an auditor, whose token
` + "`abide token create NAME --auditor`" + ` makes. Of an erased person the envelopes are
left. That it was exported is on record, page by page, before a page is handed out.

The file is written page by page; when the run is interrupted, the same command goes
on where it stopped.`,
		Example: "  abide log export --subject 0197b6a2-… --out ann.jsonl\n  abide log export --range 0:100000 --out quarter.jsonl\n  abide log verify --export quarter.jsonl --key shop.key",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			job := &exportJob{Log: number, Header: audit.ExportHeader{At: m.Now()}}
			if err := job.of(subject, stretch); err != nil {
				return err
			}
			return m.with(cmd, &p, func(ctx context.Context, c *client.Client) error { return m.logExport(ctx, c, job, out) })
		},
	}
	m.placeFlags(cmd, &p)
	f := cmd.Flags()
	f.StringVar(&subject, "subject", "", "the person whose entries to export")
	f.StringVar(&stretch, "range", "", "stretch of the log: FROM:TO, or FROM: up to its end")
	f.StringVar(&out, "out", "", "file to write")
	f.Uint64Var(&number, "log", 0, "number of the log, if it had to be renewed; the one in force unless said otherwise")
	cmd.MarkFlagsOneRequired("subject", "range")
	cmd.MarkFlagsMutuallyExclusive("subject", "range")
	_ = cmd.MarkFlagRequired("out")
	return cmd
}

// of says what the export is of.
func (j *exportJob) of(subject, stretch string) (err error) {
	if subject != "" {
		j.Header.Subject, err = abide.ParseSubjectID(subject)
		return err
	}
	from, to, ok := strings.Cut(stretch, ":")
	if !ok {
		return usage("--range is FROM:TO, such as 0:1000, or FROM:")
	}
	if j.Header.From, err = strconv.ParseInt(from, 10, 64); err != nil || j.Header.From < 0 {
		return usage("--range is FROM:TO, such as 0:1000, or FROM:")
	}
	if to != "" {
		if j.Header.To, err = strconv.ParseInt(to, 10, 64); err != nil || j.Header.To <= j.Header.From {
			return usage("--range is FROM:TO with TO after FROM, such as 0:1000")
		}
	}
	return nil
}

// path is the request for the page that comes.
func (j *exportJob) path() string {
	q := url.Values{}
	if j.Log > 0 {
		q.Set("log", strconv.FormatUint(j.Log, 10))
	}
	if !j.Header.Subject.IsZero() {
		if j.Next != "" {
			q.Set("after", j.Next)
		}
		return "/v1/subjects/" + j.Header.Subject.String() + "/log/export?" + q.Encode()
	}
	q.Set("from", strconv.FormatInt(j.Header.From, 10))
	if j.Next != "" {
		q.Set("from", j.Next)
	}
	if j.Header.To > 0 {
		q.Set("to", strconv.FormatInt(j.Header.To, 10))
	}
	return "/v1/log/export?" + q.Encode()
}

// same reports whether another job is of the same export.
func (j *exportJob) same(o *exportJob) bool {
	return j.Header.Subject == o.Header.Subject && j.Header.From == o.Header.From && j.Log == o.Log &&
		(j.Header.To == o.Header.To || j.Header.To == 0)
}

func (m *Main) logExport(ctx context.Context, c *client.Client, job *exportJob, out string) error {
	partial, state := out+".partial", out+".state"
	file, err := m.resumeExport(job, partial, state)
	if err != nil {
		return err
	}
	defer func() {
		_ = file.Close()
		if job.Header.Origin == "" {
			_ = os.Remove(partial) // nothing was begun
		}
	}()
	failed := func(err error) error {
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "file", Message: "the file cannot be written: " + partial, Hint: "is there room? run it again to go on", Err: err}
	}
	w := bufio.NewWriter(file)
	x := audit.ResumeExport(w, job.So)
	for more := true; more; {
		var page exportedPage
		if err := c.Do(ctx, http.MethodGet, job.path(), nil, &page); err != nil {
			return err
		}
		if job.Header.Origin == "" {
			if job.Header.Origin = page.Origin; job.Header.Subject.IsZero() && job.Header.To == 0 {
				job.Header.To = page.Size
			}
			if x, err = audit.NewExport(w, job.Header); err != nil {
				return failed(err)
			}
		}
		for i := range page.Entries {
			if err := x.Add(&page.Entries[i]); err != nil {
				return failed(err)
			}
		}
		x.Wait(page.Waiting, page.Others)
		if err := errors.Join(w.Flush(), file.Sync()); err != nil {
			return failed(err)
		}
		job.Next, job.So, more = page.Next, x.So(), page.Next != ""
		if more {
			if err := job.keep(file, state); err != nil {
				return failed(err)
			}
		}
		m.exportProgress(job)
	}
	if _, err := x.End(); err != nil {
		return failed(err)
	}
	if err := errors.Join(w.Flush(), file.Sync(), os.Rename(partial, out)); err != nil {
		return failed(err)
	}
	_ = os.Remove(state) // without its file it is begun anew
	return m.exportDone(job, out)
}

// resumeExport opens the file of an export, and takes up a job that was
// interrupted. What was written after its last whole page is cut off.
func (m *Main) resumeExport(job *exportJob, partial, state string) (*os.File, error) {
	var kept exportJob
	if raw, err := os.ReadFile(state); err == nil && json.Unmarshal(raw, &kept) == nil {
		if !job.same(&kept) {
			return nil, usage("there is an export of something else under way: remove " + state + " or choose another --out")
		}
		*job = kept
	}
	file, err := os.OpenFile(partial, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		if err = file.Truncate(job.Bytes); err == nil {
			_, err = file.Seek(job.Bytes, io.SeekStart)
		}
	}
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeUnavailable, Detail: "file", Message: "the file cannot be written: " + partial, Hint: "choose a folder that you may write to", Err: err}
	}
	if job.Bytes > 0 {
		fmt.Fprintf(m.Stderr, "abide: going on after %d entries\n", job.So.Entries)
	}
	return file, nil
}

func (j *exportJob) keep(file *os.File, state string) error {
	at, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	j.Bytes = at
	raw, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return keepFile(state, raw)
}

// exportProgress says how far it is: in one line on a terminal, now and then
// elsewhere.
func (m *Main) exportProgress(job *exportJob) {
	line := fmt.Sprintf("%d entries", job.So.Entries)
	if job.Header.To > 0 {
		line = fmt.Sprintf("%d of %d entries", job.So.Entries, job.Header.To-job.Header.From)
	}
	if width, tty := terminal(m.Stderr); tty {
		fmt.Fprintf(m.Stderr, "\r%-*.*s", width-1, width-1, line)
	} else if job.So.Entries%10000 == 0 && job.So.Entries > 0 {
		fmt.Fprintf(m.Stderr, "abide: %s\n", line)
	}
}

func (m *Main) exportDone(job *exportJob, out string) error {
	if _, tty := terminal(m.Stderr); tty {
		fmt.Fprintln(m.Stderr)
	}
	fmt.Fprintf(m.Stdout, "%s: %d entries of %s, %s\n", out, job.So.Entries, job.Header.Origin, job.Header.At.UTC().Format(time.RFC3339))
	if job.So.Waiting > 0 {
		fmt.Fprintf(m.Stdout, "%d were not in the log yet\n", job.So.Waiting)
	}
	if job.So.Others > 0 {
		fmt.Fprintf(m.Stdout, "%d are in another log of this store: export them with --log\n", job.So.Others)
	}
	return nil
}
