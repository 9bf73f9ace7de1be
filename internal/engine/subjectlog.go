package engine

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/log"
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
	rows, next, err := e.logPage(ctx, id, from, page.Limit)
	if err != nil {
		return nil, "", err
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
	case c.Actor.Kind == abide.ActorStaff || c.Actor.Admin || c.Actor.Auditor:
		kind = audit.StaffAccess
	}
	return e.recordAccess(ctx, s, partOf(c), e.envelope(c, kind))
}

func (e *Engine) recordAccess(ctx context.Context, s *subject, p audit.Part, env audit.Envelope) error {
	l, err := e.look(s, s.id, p, env)
	if err != nil {
		return storageError(err)
	}
	_, err = e.spool.record(ctx, l)
	return err
}

// logRow is an entry or a look, still sealed.
type logRow struct {
	entry *storage.Entry
	look  *storage.LookRow
}

// logPage merges the next entries and the next looks at a subject by time, up
// to limit of both together, and says where the page after it begins; empty if
// there is none. Entries keep the order of their numbers and looks that of
// their keys, so a clock that was set back between two rows makes neither
// appear twice nor be passed over.
func (e *Engine) logPage(ctx context.Context, id abide.SubjectID, from cursor, limit int) ([]logRow, string, error) {
	if err := e.indexSpool(ctx); err != nil {
		return nil, "", err
	}
	entries, err := e.store.Entries(ctx, id, from.N, limit+1)
	if err != nil {
		return nil, "", storageError(err)
	}
	looks, err := e.store.LooksOf(ctx, id, from.look(), limit+1)
	if err != nil {
		return nil, "", storageError(err)
	}
	var rows []logRow
	for len(rows) < limit && len(entries)+len(looks) > 0 {
		if len(looks) == 0 || len(entries) > 0 && !entries[0].At.After(looks[0].Look.At) {
			rows = append(rows, logRow{entry: &entries[0]})
			from.N = entries[0].N
			entries = entries[1:]
			continue
		}
		rows = append(rows, logRow{look: &looks[0]})
		from.Node, from.Batch, from.Pos = looks[0].Key.Node, looks[0].Key.Batch, looks[0].Key.Pos
		looks = looks[1:]
	}
	if len(entries)+len(looks) == 0 {
		return rows, "", nil
	}
	return rows, from.String(), nil
}

// indexSpool writes out this node's looks and makes those of all nodes findable
// by their subject; those about nobody are kept under the zero subject.
func (e *Engine) indexSpool(ctx context.Context) error {
	if err := e.spool.flush(ctx); err != nil {
		return err
	}
	return storageError(log.IndexLooks(ctx, e.store))
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

// cursor is a position in the merged log: the last entry and the last look that
// were shown.
type cursor struct {
	N     uint64 `json:"n,omitempty"` // of the entry
	Node  string `json:"o,omitempty"` // of the look, with batch and position in it
	Batch uint64 `json:"b,omitempty"`
	Pos   uint32 `json:"p,omitempty"`
}

func (c cursor) look() storage.LookKey {
	return storage.LookKey{Node: c.Node, Batch: c.Batch, Pos: c.Pos}
}

// String returns the form that a caller passes back.
func (c cursor) String() string {
	text, _ := json.Marshal(c) // numbers and a node's name always encode
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
	if err != nil || !plainName(c.Node) {
		return cursor{}, invalid("bad_cursor", "this position is not one that a listing returned", "leave after empty to begin", "after")
	}
	return c, nil
}
