package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

// readUpload opens all of a blob and compares it with what its item says. Its
// error is vault.BlobDamaged if the bytes are not those that were taken in.
func (e *Engine) readUpload(ctx context.Context, id abide.SubjectID, it *storage.Item, r *vault.Record) (missing bool, err error) {
	var f File
	if err := json.Unmarshal(r.Value, &f); err != nil {
		return false, err
	}
	of := vault.BlobOf{Subject: id, Category: it.Category, Item: it.ID}
	name := blobName(id, r.Blob)
	size, err := e.blobs.Size(ctx, name)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	case size != vault.SealedSize(r.Blob.Size):
		return false, vault.BlobDamaged(of)
	}
	in := e.vault.OpenBlob(r.Blob, of, func(off, n int64) (io.ReadCloser, error) { return e.blobs.Range(ctx, name, off, n) })
	sum := sha256.New()
	n, err := io.Copy(sum, in)
	_ = in.Close()
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	case n != f.Size || hex.EncodeToString(sum.Sum(nil)) != f.SHA256:
		return false, vault.BlobDamaged(of)
	}
	return false, nil
}
