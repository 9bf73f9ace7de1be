package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

// A blob is b/xx/SUBJECT/ID and its marker p/xx/SUBJECT/ID, where xx spreads
// subjects evenly over directories. A marker says that the blob may be held by
// no item: it is being written, or its item is being replaced.
const (
	blobsOf       = "b/"
	markersOf     = "p/"
	collectAge    = 24 * time.Hour // of a marker before anyone looks into it
	collectPeriod = time.Hour
)

func blobName(id abide.SubjectID, b *vault.Blob) string {
	return blobPrefix(id) + hex.EncodeToString(b.ID[:])
}

func blobPrefix(id abide.SubjectID) string { return fmt.Sprintf("%s%02x/%s/", blobsOf, id[15], id) }

func markerOf(blobName string) string { return markersOf + strings.TrimPrefix(blobName, blobsOf) }

// mark makes it durable that a blob may be held by nobody.
func (e *Engine) mark(ctx context.Context, name string) error {
	return storageError(e.blobs.Put(ctx, markerOf(name), strings.NewReader(strconv.FormatInt(e.now().UnixMicro(), 10))))
}

// unmark removes a marker; one that stays is found to be settled.
func (e *Engine) unmark(ctx context.Context, name string) {
	if err := e.blobs.Delete(context.WithoutCancel(ctx), markerOf(name)); err != nil {
		e.log.Warn("marker of an upload not removed yet", "error", err.Error())
	}
}

// discard deletes a blob that no item holds, and then its marker. What stays
// is left to the collector.
func (e *Engine) discard(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if err := e.blobs.Delete(ctx, name); err != nil {
		e.log.Warn("a blob that no item holds is not deleted yet", "error", err.Error())
		return
	}
	e.unmark(ctx, name)
}

// purgeBlobs deletes the blobs of an erased person, but for those of items that
// law retains. Their keys are gone already; this is about the room they take.
// It may be repeated from its beginning.
func (e *Engine) purgeBlobs(ctx context.Context, id abide.SubjectID) error {
	if e.blobs == nil {
		return nil
	}
	held, err := e.heldBlobs(ctx, id)
	if err != nil {
		return err
	}
	return storageError(e.blobs.List(ctx, blobPrefix(id), func(name string, _ time.Time) error {
		if held[name] {
			return nil
		}
		return e.blobs.Delete(ctx, name)
	}))
}

// heldBlobs returns the names of the blobs that items of the subject hold;
// nothing if there is no such subject.
func (e *Engine) heldBlobs(ctx context.Context, id abide.SubjectID) (map[string]bool, error) {
	s, err := e.load(ctx, id, storage.Want{AllItems: true})
	if isNotFoundError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer s.close()
	held := map[string]bool{}
	for i := range s.items {
		it := &s.items[i]
		if !s.keys.Has(it.Compartment) || !s.active() && it.Compartment != storage.Law {
			continue
		}
		r, err := e.vault.OpenItem(s.keys, it)
		if err != nil {
			return nil, err // it may be the one that holds the blob
		}
		if r.Blob != nil {
			held[blobName(id, r.Blob)] = true
		}
	}
	return held, nil
}

// collector looks, every hour, for what crashes left in the blob store.
func (e *Engine) collector(ctx context.Context) {
	if e.blobs == nil {
		return
	}
	t := time.NewTicker(collectPeriod)
	defer t.Stop()
	for {
		if _, err := e.CollectUploads(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("what uploads left behind is not collected yet", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// CollectUploads deletes blobs that were marked a day ago or earlier and that
// no item holds, and settles their markers. It returns how many blobs it
// deleted. Several nodes may do it at once.
func (e *Engine) CollectUploads(ctx context.Context) (deleted int, err error) {
	if e.blobs == nil {
		return 0, nil
	}
	var failed error
	err = e.blobs.List(ctx, markersOf, func(marker string, _ time.Time) error {
		gone, err := e.settleMarker(ctx, marker)
		if gone {
			deleted++
		}
		failed = errors.Join(failed, err) // the others go on
		return ctx.Err()
	})
	// The blob store's own clock tells the age of what it left.
	return deleted, storageError(errors.Join(failed, err, e.blobs.Tidy(ctx, time.Now().Add(-collectAge))))
}

// settleMarker finds out about one marked blob.
func (e *Engine) settleMarker(ctx context.Context, marker string) (deleted bool, err error) {
	at, err := e.markedAt(ctx, marker)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil // settled meanwhile
	}
	if err != nil || e.now().Sub(at) < collectAge {
		return false, err
	}
	name := blobsOf + strings.TrimPrefix(marker, markersOf)
	parts := strings.Split(name, "/")
	if len(parts) != 4 {
		return false, nil // none of ours
	}
	id, err := abide.ParseSubjectID(parts[2])
	if err != nil {
		return false, nil //nolint:nilerr // none of ours
	}
	held, err := e.heldBlobs(ctx, id)
	if err != nil {
		return false, err
	}
	if !held[name] {
		if err := e.blobs.Delete(ctx, name); err != nil {
			return false, err
		}
		deleted = true
	}
	return deleted, e.blobs.Delete(ctx, marker)
}

// markedAt reads when a marker was written, by the clock of the node that did.
func (e *Engine) markedAt(ctx context.Context, marker string) (time.Time, error) {
	r, err := e.blobs.Range(ctx, marker, 0, 32)
	if err != nil {
		return time.Time{}, err
	}
	text, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return time.Time{}, err
	}
	micros, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return time.Time{}, nil //nolint:nilerr // unreadable: as old as can be
	}
	return time.UnixMicro(micros), nil
}
