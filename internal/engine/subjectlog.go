package engine

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

const defaultPage = 100

// SubjectLog returns everything that touched a person, oldest first: changes
// and looks, merged by time. Looks of this node are written out and indexed
// first, so that what was answered before is seen.
func (e *Engine) SubjectLog(ctx context.Context, c Call, id abide.SubjectID, page Page) ([]LogEntry, string, error) {
	if err := authorise(c, opSeeLog, id); err != nil {
		return nil, "", err
	}
	from, err := parseCursor(page.After)
	if err != nil {
		return nil, "", err
	}
	if page.Limit < 1 || page.Limit > 1000 {
		page.Limit = defaultPage
	}
	s, err := e.load(ctx, id, storage.Want{})
	if err != nil {
		return nil, "", err
	}
	defer s.close()
	if !s.active() {
		return nil, "", erasedError()
	}
	if err := e.looked(ctx, c, s); err != nil {
		return nil, "", err
	}
	rows, err := e.logRows(ctx, id)
	if err != nil {
		return nil, "", err
	}
	rows = slices.DeleteFunc(rows, func(r logRow) bool { return r.cursor.compare(from) <= 0 })
	next := ""
	if len(rows) > page.Limit {
		rows = rows[:page.Limit]
		next = rows[page.Limit-1].cursor.String()
	}
	out := make([]LogEntry, 0, len(rows))
	for i := range rows {
		entry, err := e.openLog(s, &rows[i])
		if err != nil {
			return nil, "", err
		}
		out = append(out, entry)
	}
	return out, next, nil
}

// looked records that somebody other than the person looked at their log or
// ledger, before it is shown.
func (e *Engine) looked(ctx context.Context, c Call, s *subject) error {
	kind := audit.Looked
	switch {
	case c.Actor.Kind == abide.ActorSubject || c.Actor.Kind == abide.ActorGuardian:
		return nil
	case c.Actor.Kind == abide.ActorStaff || c.Actor.Admin:
		kind = audit.StaffAccess
	}
	l, err := e.look(s, s.id, partOf(c), e.envelope(c, kind))
	if err != nil {
		return storageError(err)
	}
	_, err = e.spool.record(ctx, l)
	return err
}

// logRow is an entry or a look, still sealed.
type logRow struct {
	cursor cursor
	entry  *storage.Entry
	look   *storage.LookRow
}

// logRows gathers all rows about a subject in the order of time.
func (e *Engine) logRows(ctx context.Context, id abide.SubjectID) ([]logRow, error) {
	if err := e.indexSpool(ctx); err != nil {
		return nil, err
	}
	var out []logRow
	for after := uint64(0); ; {
		entries, err := e.store.Entries(ctx, id, after, 500)
		if err != nil {
			return nil, storageError(err)
		}
		for i := range entries {
			out = append(out, logRow{cursor: cursor{At: entries[i].At, N: entries[i].N}, entry: &entries[i]})
			after = entries[i].N
		}
		if len(entries) < 500 {
			break
		}
	}
	for after := (storage.LookKey{}); ; {
		looks, err := e.store.LooksOf(ctx, id, after, 500)
		if err != nil {
			return nil, storageError(err)
		}
		for i := range looks {
			k := looks[i].Key
			out = append(out, logRow{cursor: cursor{At: looks[i].Look.At, Node: k.Node, Batch: k.Batch, Pos: k.Pos}, look: &looks[i]})
			after = k
		}
		if len(looks) < 500 {
			break
		}
	}
	slices.SortFunc(out, func(a, b logRow) int { return a.cursor.compare(b.cursor) })
	return out, nil
}

// indexSpool writes out this node's looks and makes those of all nodes findable
// by their subject.
func (e *Engine) indexSpool(ctx context.Context) error {
	if err := e.spool.flush(ctx); err != nil {
		return err
	}
	for {
		batches, err := e.store.SpoolBatches(ctx, 100)
		if err != nil {
			return storageError(err)
		}
		for _, b := range batches {
			var rows []storage.LookRow
			for i, l := range b.Looks {
				if !l.Subject.IsZero() {
					rows = append(rows, storage.LookRow{Key: storage.LookKey{Node: b.Node, Batch: b.Batch, Pos: uint32(i)}, Look: l})
				}
			}
			if err := e.store.IndexLooks(ctx, b.Node, b.Batch, rows); err != nil {
				return storageError(err)
			}
		}
		if len(batches) < 100 {
			return nil
		}
	}
}

func (e *Engine) openLog(s *subject, r *logRow) (LogEntry, error) {
	var part *audit.Part
	var env *audit.Envelope
	var err error
	out := LogEntry{}
	if r.entry != nil {
		out.At, out.Kind, out.N, out.Commitment = r.entry.At, r.entry.Kind, r.entry.N, hex.EncodeToString(r.entry.Commitment[:])
		if part, err = e.vault.OpenEntry(s.keys, r.entry); err != nil {
			return out, err
		}
		env, err = e.vault.OpenEnvelope(r.entry.Envelope, r.entry.Commitment)
	} else {
		l := &r.look.Look
		k := LookReceipt(r.look.Key)
		out.At, out.Kind, out.Look, out.Commitment = l.At, l.Kind, &k, hex.EncodeToString(l.Commitment[:])
		if part, err = e.vault.OpenLook(s.keys, l); err != nil {
			return out, err
		}
		env, err = e.vault.OpenEnvelope(l.Envelope, l.Commitment)
	}
	if err != nil {
		return out, err
	}
	if out.Subject, err = json.Marshal(part); err != nil {
		return out, storageError(err)
	}
	if out.Envelope, err = json.Marshal(env); err != nil {
		return out, storageError(err)
	}
	return out, nil
}

// cursor is a position in the merged log: by time, changes before looks.
type cursor struct {
	At    time.Time `json:"t"`
	N     uint64    `json:"n,omitempty"` // of an entry; 0 for a look
	Node  string    `json:"o,omitempty"`
	Batch uint64    `json:"b,omitempty"`
	Pos   uint32    `json:"p,omitempty"`
}

func (a cursor) compare(b cursor) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Node, b.Node), cmp.Compare(a.N, b.N), cmp.Compare(a.Batch, b.Batch), cmp.Compare(a.Pos, b.Pos))
}

// String returns the form that a caller passes back.
func (a cursor) String() string {
	text, _ := json.Marshal(a) // times, numbers and a node's name always encode
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseCursor(s string) (cursor, error) {
	var c cursor
	if s == "" {
		return c, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, invalid("bad_cursor", "this position is not one that a listing returned", "leave after empty to begin", "after")
	}
	return c, nil
}
