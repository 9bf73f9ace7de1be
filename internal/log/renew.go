package log

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

// ContinuesTag begins the first entry of a log that continues another
// (spec/log.md, rule 2); the other's last checkpoint follows.
const ContinuesTag = "abide/log/continues/1\n"

// Renew starts a new log whose first entry names the last checkpoint of the
// one that is given up: the largest of the published one, if a place has it, the
// database's, and the one that is known from elsewhere. It returns the new head. Whoever lets the old one grow is stopped.
// Entries in the old log stay there; what waits comes into the new one.
func Renew(ctx context.Context, store storage.LogTables, k Keys, place Place, known []byte) (*storage.LogHead, error) {
	old, err := store.LogHead(ctx)
	if err != nil {
		return nil, err
	}
	last, err := lastCheckpoint(ctx, store, k, place, old, known)
	if err != nil {
		return nil, err
	}
	heads, err := store.LogHeads(ctx)
	if err != nil {
		return nil, err
	}
	if place != nil {
		if _, err := place.Read(ctx, prefix(old.Log+1)+"checkpoint", 1<<20); err == nil {
			return nil, forked("it was given up already for a log that this database does not know, and that is in " + place.Name())
		}
	}
	t := &tree{}
	if err := t.append(append([]byte(ContinuesTag), last...)); err != nil {
		return nil, err
	}
	h := storage.LogHead{Log: old.Log + 1, Epoch: 1, Size: 1, Root: t.root(),
		Origin: heads[0].Origin + "/" + strconv.FormatUint(old.Log+1, 10)}
	g := &storage.Growth{Log: h.Log, To: 1, Root: h.Root, Tiles: t.changed(), Maps: []storage.LeafMap{
		{Log: h.Log, Count: 1, Sources: []storage.LeafSource{{Count: 1}}, Settled: true}}}
	if err := store.StartLog(ctx, &h, g); err != nil {
		return nil, err
	}
	return &h, nil
}

// lastCheckpoint is the largest checkpoint of a log that anybody can have been
// shown and that the log signed.
func lastCheckpoint(ctx context.Context, store storage.LogTables, k Keys, place Place, head *storage.LogHead, known []byte) ([]byte, error) {
	var last []byte
	size := int64(-1)
	consider := func(raw []byte, err error) error {
		if isNotFound(err) || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if c, err := OpenCheckpoint(k, head.Origin, raw); err == nil && c.Size > size {
			last, size = raw, c.Size
		}
		return nil
	}
	if known != nil {
		c, err := OpenCheckpoint(k, head.Origin, known)
		if err != nil {
			return nil, unknownCheckpoint(err)
		}
		last, size = known, c.Size
	}
	err := consider(StoreSource{Store: store, Log: head.Log}.Read(ctx, "checkpoint", 0))
	if err == nil && place != nil {
		err = consider(place.Read(ctx, prefix(head.Log)+"checkpoint", 1<<20))
	}
	if err == nil && last == nil {
		err = &abide.Error{Code: abide.CodeConflict, Detail: "log_not_published",
			Message: "no checkpoint of this log is left, so there is nothing that a new log could name",
			Hint:    "put the last published checkpoint back first"}
	}
	return last, err
}

// Continues reads the first entry of a log: the checkpoint that it continues,
// as text, if it continues one.
func Continues(entry []byte) (checkpoint []byte, ok bool) {
	n := len(ContinuesTag)
	if len(entry) <= n || string(entry[:n]) != ContinuesTag {
		return nil, false
	}
	return entry[n:], true
}

// Prove makes the proof of an entry of a log under the checkpoint that counts.
// It is ErrNotFound if no checkpoint has the entry yet.
func Prove(ctx context.Context, store storage.LogTables, log, index uint64) (*audit.Proof, *audit.Checkpoint, error) {
	kept, err := store.Checkpoint(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	if index >= kept.Size {
		return nil, nil, storage.ErrNotFound
	}
	text, err := noteText(kept.Note)
	if err != nil {
		return nil, nil, err
	}
	c, err := audit.ParseCheckpoint(text)
	if err != nil {
		return nil, nil, err
	}
	_, hashes, err := audit.NewLog(StoreSource{Store: store, Log: log}, nil).ProveInclusion(ctx, &c, int64(index))
	if err != nil {
		return nil, nil, fmt.Errorf("log: prove entry %d: %w", index, err)
	}
	return &audit.Proof{Index: int64(index), Hashes: hashes, Checkpoint: kept.Note}, &c, nil
}
