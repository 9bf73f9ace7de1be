package engine

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/log"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

const (
	exportPage    = 200
	maxExportPage = 500
)

// LogExport is a page of an export of log entries: each opened as far as the
// reader may see it, with its proof, so that audit.VerifyExport checks it without
// this server.
type LogExport struct {
	Origin  string                `json:"origin"`
	Size    uint64                `json:"size" doc:"Entries under the checkpoint"`
	Entries []audit.ExportedEntry `json:"entries"`
	Waiting int64                 `json:"waiting,omitempty" doc:"Entries that no checkpoint has yet"`
	Others  int64                 `json:"others,omitempty" doc:"Entries that are in another log of this store: one that was given up, or that came after it"`
	Next    string                `json:"next,omitempty" doc:"Pass as after for the next page; absent at the end"`
}

// ExportSubjectLog exports the entries of one person and the looks at them,
// oldest first, with both parts: to the person, or to an auditor. Of an erased
// person the parts are gone and the envelopes are left, for the auditor alone.
// That it was exported is on record before anything is handed out, page by page.
func (e *Engine) ExportSubjectLog(ctx context.Context, c Call, id abide.SubjectID, number uint64, page Page) (LogExport, error) {
	if err := authorise(c, opExportLog, id); err != nil {
		return LogExport{}, err
	}
	from, err := parseCursor(page.After)
	if err != nil {
		return LogExport{}, err
	}
	head, err := e.exported(ctx, number)
	if err != nil {
		return LogExport{}, err
	}
	s, err := e.load(ctx, id, storage.Want{})
	if err != nil {
		return LogExport{}, err
	}
	defer s.close()
	kind := audit.StaffAccess
	if c.Actor.Kind == abide.ActorSubject || c.Actor.Kind == abide.ActorGuardian {
		kind = audit.Exported
		if !s.active() {
			return LogExport{}, erasedError()
		}
	}
	env := e.envelope(c, kind)
	env.Act = "export log"
	if err := e.recordAccess(ctx, s, partOf(c), env); err != nil {
		return LogExport{}, err
	}
	rows, next, err := e.logPage(ctx, id, from, exportLimit(page.Limit))
	if err != nil {
		return LogExport{}, err
	}
	out := LogExport{Origin: head.Origin, Size: head.Size, Entries: []audit.ExportedEntry{}, Next: next}
	for i := range rows {
		if err := e.exportRow(ctx, s, head, &rows[i], &out); err != nil {
			return LogExport{}, err
		}
	}
	return out, nil
}

func exportLimit(n int) int {
	if n < 1 {
		return exportPage
	}
	return min(n, maxExportPage)
}

// exported is the log that is exported from: the one in force, unless another is
// asked for by its number. Its size is that of the checkpoint.
func (e *Engine) exported(ctx context.Context, number uint64) (*storage.LogHead, error) {
	heads, err := e.store.LogHeads(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	for i := len(heads) - 1; i >= 0; i-- {
		if number == 0 || heads[i].Log == number {
			c, err := e.store.Checkpoint(ctx, heads[i].Log)
			if err != nil {
				return nil, notLogged(err)
			}
			heads[i].Size = c.Size
			return &heads[i], nil
		}
	}
	if number == 0 {
		return nil, notLogged(storage.ErrNotFound)
	}
	return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "unknown_log", Message: "this store has no log of that number", Hint: "leave log out for the one in force"}
}

// exportRow adds one row of a person's log, or counts it.
func (e *Engine) exportRow(ctx context.Context, s *subject, head *storage.LogHead, r *logRow, out *LogExport) error {
	var number, leaf uint64
	var commitment audit.Hash
	var err error
	if r.entry != nil {
		commitment = r.entry.Commitment
		number, leaf, err = log.FindEntry(ctx, e.store, storage.EntryKey{Subject: s.id, N: r.entry.N}, r.entry.At)
	} else {
		commitment = r.look.Look.Commitment
		number, leaf, err = log.FindLook(ctx, e.store, r.look.Key)
	}
	switch {
	case isNotFound(err), err == nil && number == head.Log && leaf >= head.Size:
		out.Waiting++
		return nil
	case err != nil:
		return storageError(err)
	case number != head.Log:
		out.Others++
		return nil
	}
	var opened vault.Opened
	if r.entry != nil {
		opened, err = e.vault.AuditEntry(s.keys, r.entry)
	} else {
		opened, err = e.vault.AuditLook(s.keys, &r.look.Look)
	}
	if err != nil {
		return err
	}
	x := audit.ExportedEntry{Index: int64(leaf), Commitment: hex.EncodeToString(commitment[:]), Part: opened.Part, Envelope: opened.Envelope} //nolint:gosec // an index
	p, _, err := log.Prove(ctx, e.store, head.Log, leaf)
	if err != nil {
		return notLogged(err)
	}
	x.Proof = string(p.Encode())
	out.Entries = append(out.Entries, x)
	return nil
}

// LogRange is a stretch of a log, To not included.
type LogRange struct {
	Log      uint64 // 0: the one in force
	From, To uint64 // To 0: to the end of the checkpoint
	Limit    int
}

// ExportLog exports a stretch of the log for an auditor: the envelope of each
// entry, who did what and when, and no subject. That it was exported is on record
// before anything is handed out, page by page. Next is the index to go on from.
func (e *Engine) ExportLog(ctx context.Context, c Call, r LogRange) (LogExport, error) {
	if err := authorise(c, opAuditLog, abide.SubjectID{}); err != nil {
		return LogExport{}, err
	}
	head, err := e.exported(ctx, r.Log)
	if err != nil {
		return LogExport{}, err
	}
	if r.To == 0 {
		r.To = head.Size
	}
	if r.From > r.To || r.To > head.Size {
		return LogExport{}, invalid("bad_range", fmt.Sprintf("the log has no such entries under its checkpoint of %d", head.Size), "ask for FROM up to, and not including, TO", "to")
	}
	end := min(r.To, r.From+uint64(exportLimit(r.Limit))) //nolint:gosec // small and positive
	env := e.envelope(c, audit.StaffAccess)
	env.Act, env.Count = "export log", int64(end-r.From) //nolint:gosec // a page
	env.Object = fmt.Sprintf("entries %d to %d of %s", r.From, end, head.Origin)
	if err := e.noteStore(ctx, c, env); err != nil {
		return LogExport{}, err
	}
	if err := e.indexSpool(ctx); err != nil { // looks are opened where their subjects have them
		return LogExport{}, err
	}
	out := LogExport{Origin: head.Origin, Size: head.Size, Entries: []audit.ExportedEntry{}}
	walk := &rangeWalk{e: e, head: head}
	for leaf := r.From; leaf < end; leaf++ {
		x, err := walk.leaf(ctx, leaf)
		if err != nil {
			return LogExport{}, err
		}
		out.Entries = append(out.Entries, *x)
	}
	if end < r.To {
		out.Next = strconv.FormatUint(end, 10)
	}
	return out, nil
}

// rangeWalk finds for leaf after leaf the row that it came from.
type rangeWalk struct {
	e        *Engine
	head     *storage.LogHead
	m        *storage.LeafMap
	source   int
	first    uint64 // leaf of the source
	subjects []abide.SubjectID
}

func (w *rangeWalk) leaf(ctx context.Context, leaf uint64) (*audit.ExportedEntry, error) {
	src, err := w.find(ctx, leaf)
	if err != nil {
		return nil, err
	}
	p, c, err := log.Prove(ctx, w.e.store, w.head.Log, leaf)
	if err != nil {
		return nil, notLogged(err)
	}
	entry, err := audit.NewLog(log.StoreSource{Store: w.e.store, Log: w.head.Log}, nil).Entry(ctx, c, p.Index)
	if err != nil {
		return nil, storageError(err)
	}
	x := &audit.ExportedEntry{Index: p.Index, Commitment: hex.EncodeToString(entry), Proof: string(p.Encode()), Lost: src.Lost}
	sealed, err := w.envelope(ctx, src, leaf-w.first)
	if err != nil || sealed == nil || len(entry) != len(audit.Hash{}) {
		return x, err
	}
	x.Envelope, err = w.e.vault.ProveEnvelope(sealed, audit.Hash(entry))
	return x, err
}

// find moves to the source of a leaf.
func (w *rangeWalk) find(ctx context.Context, leaf uint64) (*storage.LeafSource, error) {
	if w.m == nil || leaf >= w.m.First+w.m.Count {
		m, err := w.e.store.LeafMapOf(ctx, w.head.Log, leaf)
		if err != nil {
			return nil, storageError(err)
		}
		w.m, w.source, w.first, w.subjects = m, 0, m.First, nil
	}
	for leaf >= w.first+w.m.Sources[w.source].Count {
		w.first += w.m.Sources[w.source].Count
		w.source++
		w.subjects = nil
	}
	return &w.m.Sources[w.source], nil
}

// envelope is the sealed envelope of the nth row of a source; nil if the source
// has none, or this store lost it.
func (w *rangeWalk) envelope(ctx context.Context, src *storage.LeafSource, n uint64) ([]byte, error) {
	switch {
	case len(src.Entries) > 0:
		key := src.Entries[n]
		rows, err := w.e.store.Entries(ctx, key.Subject, key.N-1, 1)
		if err != nil || len(rows) == 0 || rows[0].N != key.N {
			return nil, storageError(err)
		}
		return rows[0].Envelope, nil
	case src.Spool == storage.SpoolKey{}:
		return nil, nil
	}
	if w.subjects == nil {
		var err error
		if w.subjects, err = w.e.store.SpoolSubjects(ctx, src.Spool); err != nil && !isNotFound(err) {
			return nil, storageError(err)
		}
	}
	if n >= uint64(len(w.subjects)) {
		return nil, nil
	}
	look, err := w.e.store.Look(ctx, w.subjects[n], storage.LookKey{Node: src.Spool.Node, Batch: src.Spool.Batch, Pos: uint32(n)}) //nolint:gosec // a place in a batch
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, storageError(err)
	}
	return look.Envelope, nil
}
