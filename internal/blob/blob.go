// Package blob keeps the sealed bytes of uploads: in a directory, or in a
// bucket of an S3-compatible store. What it keeps is ciphertext; it knows no
// key, no person and no item.
//
// A blob is written whole, once, under a name that nothing else will ever
// have, and is never changed. So a store needs no locks and no versions, and
// two nodes may work on one.
package blob

import (
	"context"
	"errors"
	"io"
	"time"
)

// Sentinels. Backends map their own errors to these once.
var (
	ErrNotFound = errors.New("blob: not found")
	// ErrFull: there is no room; nothing is kept under the name.
	ErrFull = errors.New("blob: no room")
	// ErrUnavailable: the store does not answer, or refuses.
	ErrUnavailable = errors.New("blob: not available")
	errName        = errors.New("blob: not a name")
)

// Store keeps blobs by name. Methods are safe for concurrent use. Names are
// made of lower case letters, digits, '-' and '/', and tell nothing but random
// ids.
type Store interface {
	// Put reads r to its end and returns when the blob is durable under the
	// name. If it fails, for r's error or the store's, nothing is found under
	// the name, unless the store cannot tell: then a whole blob may be there.
	// An error of r is returned as it is.
	Put(ctx context.Context, name string, r io.Reader) error
	// Size returns the length of a blob in bytes.
	Size(ctx context.Context, name string) (int64, error)
	// Range returns n bytes from an offset, fewer if the blob ends before. A
	// read may fail after some bytes; then those are those of the blob.
	Range(ctx context.Context, name string, off, n int64) (io.ReadCloser, error)
	// Delete returns when the blob is gone. One that is not there is no error.
	Delete(ctx context.Context, name string) error
	// List calls fn with every name that begins with prefix, which ends in '/',
	// and when it was written. The order is of the store's choosing; what is
	// written or deleted meanwhile may be missed. It ends with fn's error.
	List(ctx context.Context, prefix string, fn func(name string, at time.Time) error) error
	// Tidy removes what writes left behind that were begun before a time and
	// never ended. A write that still runs after so long may fail.
	Tidy(ctx context.Context, before time.Time) error
	// Ready reports nil if the store takes durable writes now.
	Ready(ctx context.Context) error
}

// valid keeps names inside of their store, whatever a caller does.
func valid(name string) error {
	if name == "" || len(name) > 200 || name[0] == '/' || name[len(name)-1] == '/' {
		return errName
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		case c == '/' && name[i-1] != '/':
		default:
			return errName
		}
	}
	return nil
}
