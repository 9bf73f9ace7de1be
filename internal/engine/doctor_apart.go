package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

// What lies apart from people's own rows: look-ups, keys, tokens, registers and
// the numbers of the spool. Each is read a page at a time.

// maxSuspects is how many look-ups are looked at again at the end: those of
// changes that were on their way have settled by then.
const maxSuspects = 1000

// own checks the rows of nobody that open data.
func (d *doctor) own(ctx context.Context) error {
	tokens, err := d.e.store.Tokens(ctx)
	if err != nil {
		return storageError(err)
	}
	for i := range tokens {
		if d.e.ownToken(&tokens[i]) != nil {
			d.found(AilToken, abide.SubjectID{}, tokens[i].Name)
		}
	}
	for _, kind := range []string{recordMember, recordContract, recordStaff, recordReview} {
		rows, err := d.e.store.Records(ctx, kind)
		if err != nil {
			return storageError(err)
		}
		for i := range rows {
			if _, err := d.e.openRegister(&rows[i]); err != nil {
				d.found(AilRegister, abide.SubjectID{}, kind+" "+rows[i].Name)
			}
		}
	}
	return nil
}

// spoolGaps checks that no batch of looks is missing among those of its node.
// One cut off at the end is missed by nobody here: the looks in it are in no
// number that is left.
func (d *doctor) spoolGaps(ctx context.Context) error {
	gaps, err := d.inspect.SpoolGaps(ctx, 100)
	if err != nil {
		return storageError(err)
	}
	for _, g := range gaps {
		d.found(AilSpoolGap, abide.SubjectID{}, fmt.Sprintf("node %s: %d of %d batches", g.Node, g.Missing, g.Last))
	}
	return nil
}

// lookups checks that whoever a confirmed look-up leads to bears its value. One
// that nobody confirmed yet is housekeeping's.
func (d *doctor) lookups(ctx context.Context) error {
	var suspects []storage.Lookup
	for after := (storage.Lookup{}); ; {
		rows, err := d.e.store.ListLookups(ctx, after, doctorPage)
		if err != nil {
			return storageError(err)
		}
		for _, l := range rows {
			after = l
			good, err := d.leads(ctx, l)
			switch {
			case err != nil:
				return err
			case good:
			case len(suspects) < maxSuspects:
				suspects = append(suspects, l)
			default:
				d.dangles(l)
			}
		}
		if len(rows) < doctorPage {
			break
		}
	}
	for _, l := range suspects {
		now, _, err := d.e.store.Find(ctx, l.Category, []storage.IndexValue{l.Index}, 2*maxFound)
		if err != nil {
			return storageError(err)
		}
		if !slices.ContainsFunc(now, func(n storage.Lookup) bool { return n.Subject == l.Subject && n.Expires.IsZero() }) {
			continue // dropped meanwhile
		}
		good, err := d.leads(ctx, l)
		if err != nil {
			return err
		}
		if !good {
			d.dangles(l)
		}
	}
	return nil
}

func (d *doctor) dangles(l storage.Lookup) { d.found(AilLookupDangling, l.Subject, string(l.Category)) }

// leads reports whether a look-up leads to somebody who bears its value, or is
// still being written or removed.
func (d *doctor) leads(ctx context.Context, l storage.Lookup) (bool, error) {
	if !l.Expires.IsZero() {
		return true, nil
	}
	good, err := d.borne(ctx, l)
	if good || err != nil {
		return good, err
	}
	return d.givenUp(ctx, l)
}

// borne reports whether whoever a look-up leads to bears its value, or is still
// being erased.
func (d *doctor) borne(ctx context.Context, l storage.Lookup) (bool, error) {
	loaded, err := d.e.store.Load(ctx, l.Subject, storage.Want{Items: []abide.Category{l.Category}, Erasure: true})
	if isNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, storageError(err)
	}
	if loaded.Subject.Status != abide.StatusActive {
		return loaded.Erasure == nil || loaded.Erasure.Step != storage.ErasureDone, nil
	}
	if holdsValue(loaded.Items, l.Category, []storage.IndexValue{l.Index}) {
		return true, nil
	}
	return d.bornUnderAnother(ctx, loaded, l)
}

// bornUnderAnother reports whether an item that keeps its index value under
// another index key has this one too: the sweep of a rotation has claimed it,
// and not come to the item. What cannot be known is taken for good: values that
// do not open, or have another's index, are named where they lie.
func (d *doctor) bornUnderAnother(ctx context.Context, loaded *storage.Loaded, l storage.Lookup) (bool, error) {
	x := &examination{doctor: d, ctx: ctx, row: loaded.Subject}
	if err := x.unlock(); err != nil {
		return false, err
	}
	defer x.keys.Close()
	for i := range loaded.Items {
		it := &loaded.Items[i]
		if it.IndexKey == "" || it.IndexKey == l.Index.Key || !x.keys.Has(it.Compartment) {
			continue
		}
		r, err := d.e.vault.OpenItem(x.keys, it)
		if err != nil {
			return true, nil //nolint:nilerr // named where it lies
		}
		normal := d.reading(it, r)
		if normal == nil {
			return true, nil
		}
		values, err := d.e.vault.Index(storage.IndexKeysOf(l.Index.Key), it.Category, normal)
		if abide.ErrorDetail(err) == "index_key_unknown" {
			continue // no item has a value under a key that is gone
		}
		if err != nil {
			return false, storageError(err)
		}
		if slices.ContainsFunc(values, func(v storage.IndexValue) bool { return bytes.Equal(v.Value, l.Index.Value) }) {
			return true, nil
		}
	}
	return false, nil
}

// reading is the one of a value's readings from which its index was made; nil
// if none was.
func (d *doctor) reading(it *storage.Item, r *vault.Record) []byte {
	for _, one := range readingsOf(d.policy, it.Category, r) {
		if own, err := d.e.vault.Index(storage.IndexKeysOf(it.IndexKey), it.Category, one); err == nil && bearing(it, own) {
			return one
		}
	}
	return nil
}

// givenUp reports whether a look-up is under an index key that a rotation is
// giving up: the end of the rotation drops it, whoever it leads to.
func (d *doctor) givenUp(ctx context.Context, l storage.Lookup) (bool, error) {
	in, err := d.e.store.Index(ctx)
	if err != nil {
		return false, storageError(err)
	}
	ring := d.e.vault.Keyring()
	if ids := in.IDs(); len(ids) == 0 || ids[0] == l.Index.Key {
		return false, nil
	}
	if _, err := ring.Refresh(ctx); err != nil {
		return false, storageError(err)
	}
	return slices.ContainsFunc(ring.IndexKeys(), func(k keys.IndexKey) bool { return k.ID == l.Index.Key }), nil
}

// orphanPatience is how long after their id was made keys of nobody are
// housekeeping's, and no finding: its days, and one more for its rounds.
const orphanPatience = orphanAge + (orphanDays+2)*orphanDay

// orphans looks for keys of nobody.
func (d *doctor) orphans(ctx context.Context) error {
	now := d.e.now()
	for after := (abide.SubjectID{}); ; {
		ids, err := d.e.keys.Orphans(ctx, after, housekeepingPage)
		if err != nil {
			return storageError(err)
		}
		if len(ids) == 0 {
			return nil
		}
		nobodys, err := d.e.nobodys(ctx, after, ids)
		if err != nil {
			return storageError(err)
		}
		for _, id := range ids {
			after = id
			switch age := now.Sub(madeAt(id)); {
			case !nobodys[id], age < orphanAge: // it may be being made
			case age < orphanPatience:
				d.inform(AilKeyOrphan, id, "keys of nobody; they will be collected")
			default:
				d.found(AilKeyOrphan, id, "keys of nobody")
			}
		}
		if len(ids) < housekeepingPage {
			return nil
		}
	}
}

// inform tells what needs nobody.
func (d *doctor) inform(code string, id abide.SubjectID, what string) {
	d.did.Infos++
	d.up.Found(Ailment{Code: code, Subject: id, What: what, Info: true})
}

// uploads looks for blobs that no item holds. A marked one is being written or
// removed, and the collector's.
func (d *doctor) uploads(ctx context.Context) error {
	if d.e.blobs == nil {
		return nil
	}
	var of abide.SubjectID
	var held map[string]bool
	return storageError(d.e.blobs.List(ctx, blobsOf, func(name string, _ time.Time) error {
		id, blobID, ours := blobNamed(name)
		if !ours {
			d.found(AilUploadNobodys, abide.SubjectID{}, "a blob that is none of Abide's")
			return nil
		}
		if id == of && held[name] {
			return nil
		}
		// The marker first: it goes after the item that holds the blob is there.
		if marked, err := d.there(ctx, markerOf(name)); err != nil || marked {
			return err
		}
		busy, err := d.erasing(ctx, id)
		if err != nil || busy {
			return err
		}
		if held, err = d.e.heldBlobs(ctx, id); err != nil {
			if ctx.Err() != nil || abide.ErrorCode(err) == abide.CodeUnavailable {
				return err
			}
			held = nil
			return nil //nolint:nilerr // a value that does not open is named where it lies, and may hold the blob
		}
		of = id
		if held[name] {
			return nil
		}
		there, err := d.there(ctx, name)
		if there { // not deleted meanwhile
			d.found(AilUploadNobodys, id, "blob "+blobID)
		}
		return err
	}))
}

// blobNamed takes the name of a blob apart.
func blobNamed(name string) (id abide.SubjectID, blobID string, ours bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 4 {
		return id, "", false
	}
	id, err := abide.ParseSubjectID(parts[2])
	return id, parts[3], err == nil
}

// there reports whether the bucket has an object.
func (d *doctor) there(ctx context.Context, name string) (bool, error) {
	_, err := d.e.blobs.Size(ctx, name)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// erasing reports whether an erasure is still at what is left of a person.
func (d *doctor) erasing(ctx context.Context, id abide.SubjectID) (bool, error) {
	loaded, err := d.e.store.Load(ctx, id, storage.Want{Erasure: true})
	if isNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, storageError(err)
	}
	return loaded.Subject.Status != abide.StatusActive && loaded.Erasure != nil && loaded.Erasure.Step != storage.ErasureDone, nil
}

// upload reads a file from end to end.
func (x *examination) upload(it *storage.Item, r *vault.Record, name string) error {
	if r.Blob == nil || x.e.blobs == nil {
		return nil
	}
	missing, err := x.e.readUpload(x.ctx, x.row.ID, it, r)
	switch {
	case missing:
		x.note(AilUploadMissing, name)
	case vault.IsBlobDamage(err), abide.ErrorDetail(err) == AilUploadDamaged:
		x.note(AilUploadDamaged, name)
	case err != nil:
		return storageError(err)
	}
	return nil
}
