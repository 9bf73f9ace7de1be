package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/blob"
)

const (
	backupUploads = "uploads.jsonl" // what there was, one a line
	backupBlobs   = "uploads"       // a store of them, if they were copied

	uploadsCopied = "copied"
	uploadsListed = "listed" // they lie in a bucket, which keeps its own copies

	// uploadsYoung is how much older than the copy of the data a blob must be to
	// be held by an item for certain: an upload takes six hours at the most.
	uploadsYoung = 7 * time.Hour
)

// uploadLine is a blob in a backup. Blobs never change under their name.
type uploadLine struct {
	Name   string    `json:"name"`
	Size   int64     `json:"size"`
	SHA256 string    `json:"sha256,omitempty"` // of the sealed bytes; of those copied
	At     time.Time `json:"at"`
}

// measuring hashes and counts what is read.
type measuring struct {
	io.Reader
	sum hash.Hash
	n   int64
}

func measure(r io.Reader) *measuring { return &measuring{Reader: r, sum: sha256.New()} }

func (m *measuring) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	m.n += int64(n)
	_, _ = m.sum.Write(b[:n])
	return n, err
}

func (m *measuring) digest() string { return hex.EncodeToString(m.sum.Sum(nil)) }

// backupUploads copies the blobs, after the data and the keys: of those that
// the data knows none is missing but what an erasure, or a newer file in its
// place, deleted meanwhile. Those of a bucket are listed: a bucket has versions
// and replication of its own, and may hold more than fits here.
func (m *Main) backupUploads(ctx context.Context, s blob.Store, dest string, say func(string, ...any)) (how string, n int64, err error) {
	how = uploadsListed
	var copies *blob.Dir
	if _, local := s.(*blob.Dir); local {
		how = uploadsCopied
		if copies, err = blob.OpenDir(filepath.Join(dest, backupBlobs)); err != nil {
			return how, 0, err
		}
	}
	return how, n, placeFile(filepath.Join(dest, backupUploads), func(out io.Writer) error {
		w := bufio.NewWriter(out)
		lines := json.NewEncoder(w)
		err := s.List(ctx, "b/", func(name string, at time.Time) error {
			line := uploadLine{Name: name, At: at.UTC()}
			var err error
			if line.Size, err = s.Size(ctx, name); err == nil && copies != nil {
				line.Size, line.SHA256, err = copyBlob(ctx, s, copies, name, line.Size)
			}
			if errors.Is(err, blob.ErrNotFound) {
				return nil // deleted meanwhile
			}
			if err != nil {
				return err
			}
			if n++; n%10000 == 0 {
				say("%d uploads", n)
			}
			return lines.Encode(line)
		})
		return errors.Join(err, w.Flush())
	})
}

// copyBlob copies one blob and tells its length and digest.
func copyBlob(ctx context.Context, from, to blob.Store, name string, size int64) (int64, string, error) {
	r, err := from.Range(ctx, name, 0, size)
	if err != nil {
		return 0, "", err
	}
	in := measure(r)
	err = to.Put(ctx, name, in)
	if err = errors.Join(err, r.Close()); err == nil && in.n != size {
		err = errors.New("an upload changed while it was copied")
	}
	return in.n, in.digest(), err
}

// eachUpload reads the list of a backup. Older backups have none.
func eachUpload(dir string, fn func(uploadLine) error) error {
	f, err := os.Open(filepath.Join(dir, backupUploads))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for in := json.NewDecoder(bufio.NewReader(f)); ; {
		var line uploadLine
		if err := in.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := fn(line); err != nil {
			return err
		}
	}
}

// verifyUploads reads every copy and compares it with the list.
func verifyUploads(ctx context.Context, dir string, made *manifest) error {
	if made.Uploads == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, backupBlobs)); made.Uploads == uploadsCopied && err != nil {
		return damagedBackup("its uploads are missing")
	}
	var copies *blob.Dir
	if made.Uploads == uploadsCopied {
		var err error
		if copies, err = blob.OpenDir(filepath.Join(dir, backupBlobs)); err != nil {
			return damagedBackup(err.Error())
		}
	}
	n := int64(0)
	err := eachUpload(dir, func(line uploadLine) error {
		n++
		if copies == nil {
			return nil
		}
		r, err := copies.Range(ctx, line.Name, 0, line.Size+1)
		if err != nil {
			return damagedBackup("upload " + line.Name + " is missing")
		}
		in := measure(r)
		_, err = io.Copy(io.Discard, in)
		if err = errors.Join(err, r.Close()); err != nil || in.n != line.Size || in.digest() != line.SHA256 {
			return damagedBackup("upload " + line.Name + " is not the file that was written")
		}
		return nil
	})
	if err == nil && n != made.UploadCount {
		err = damagedBackup("the list of uploads is not the one that was written")
	}
	return err
}

// restoredUploads is what became of the uploads of a backup.
type restoredUploads struct {
	Restored int64 `json:"restored"`
	Kept     int64 `json:"kept"`    // were there already
	Missing  int64 `json:"missing"` // listed only, and not in the bucket, or of another length
}

// restoreUploads puts the blobs back where uploads are kept, before the store
// is opened: what the restore ledger erases again goes with its person. A young
// one may be held by no item, because its item came after the copy of the data;
// it is marked, and the collector finds out.
func (m *Main) restoreUploads(ctx context.Context, src string, made *manifest, to blob.Store) (did restoredUploads, err error) {
	if made.Uploads == "" {
		return did, nil
	}
	var copies *blob.Dir
	if made.Uploads == uploadsCopied {
		if copies, err = blob.OpenDir(filepath.Join(src, backupBlobs)); err != nil {
			return did, err
		}
	}
	err = eachUpload(src, func(line uploadLine) error {
		size, err := to.Size(ctx, line.Name)
		switch {
		case err == nil && size == line.Size:
			did.Kept++
			return nil
		case err == nil && copies != nil:
			return inTheWay(line.Name)
		case err != nil && !errors.Is(err, blob.ErrNotFound):
			return err
		case copies == nil:
			did.Missing++
			return nil
		}
		if line.At.After(made.Created.Add(-uploadsYoung)) {
			marker := "p/" + strings.TrimPrefix(line.Name, "b/")
			if err := to.Put(ctx, marker, strings.NewReader(strconv.FormatInt(m.Now().UnixMicro(), 10))); err != nil {
				return err
			}
		}
		n, sum, err := copyBlob(ctx, copies, to, line.Name, line.Size)
		if err == nil && (n != line.Size || sum != line.SHA256) {
			err = errors.Join(damagedBackup("upload "+line.Name+" is not the file that was written"), to.Delete(ctx, line.Name))
		}
		if did.Restored++; err == nil && did.Restored%10000 == 0 {
			fmt.Fprintf(m.Stderr, "abide: %d uploads\n", did.Restored)
		}
		return err
	})
	if err != nil && abide.ErrorDetail(err) == "" {
		err = &abide.Error{Code: abide.CodeUnavailable, Detail: "restore_failed", Message: "an upload cannot be restored: " + err.Error(), Hint: "check rights and room, and restore again: what is there already stays", Err: err}
	}
	return did, err
}
