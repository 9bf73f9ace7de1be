package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/abide-privacy/abide/internal/blob"
)

// S3 is a place in a bucket, which may be served as it is. An object appears
// whole or not at all.
type S3 struct {
	client *minio.Client
	bucket string
	prefix string // "" or ends in '/'
}

// OpenS3 returns a place in a bucket that is there already.
func OpenS3(o blob.S3Options) (*S3, error) {
	c, err := o.Connect()
	if err != nil {
		return nil, err
	}
	s := &S3{client: c, bucket: o.Bucket}
	if o.Prefix != "" {
		s.prefix = o.Prefix + "/"
	}
	return s, nil
}

// Name implements Place.
func (s *S3) Name() string { return "s3://" + s.bucket + "/" + s.prefix }

// Read implements audit.Source.
func (s *S3) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	raw, _, err := s.read(ctx, path, limit)
	return raw, err
}

func (s *S3) read(ctx context.Context, path string, limit int64) ([]byte, string, error) {
	o, err := s.client.GetObject(ctx, s.bucket, s.prefix+path, minio.GetObjectOptions{})
	if err != nil {
		return nil, "", fromS3(err, path)
	}
	defer func() { _ = o.Close() }()
	info, err := o.Stat()
	if err != nil {
		return nil, "", fromS3(err, path)
	}
	raw, err := io.ReadAll(io.LimitReader(o, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("log: %s is larger than anything of its kind", path)
	}
	return raw, info.ETag, fromS3(err, path)
}

// Put implements Place.
func (s *S3) Put(ctx context.Context, files []File) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for _, f := range files {
		g.Go(func() error { return s.put(ctx, f, minio.PutObjectOptions{}) })
	}
	return g.Wait()
}

func (s *S3) put(ctx context.Context, f File, o minio.PutObjectOptions) error {
	o.ContentType, o.CacheControl = "application/octet-stream", immutable
	if base := path.Base(f.Path); base == "checkpoint" || base == "key" {
		o.ContentType, o.CacheControl = plainText, mutable
	}
	_, err := s.client.PutObject(ctx, s.bucket, s.prefix+f.Path, bytes.NewReader(f.Data), int64(len(f.Data)), o)
	return fromS3(err, f.Path)
}

// PutCheckpoint implements Place. The write names what it replaces (If-Match),
// so of two nodes one has to look again; a store that ignores this leaves the
// checkpoint of the slower one until the next.
func (s *S3) PutCheckpoint(ctx context.Context, f File, newer func([]byte) bool) error {
	for try := 1; ; try++ {
		var o minio.PutObjectOptions
		there, etag, err := s.read(ctx, f.Path, 1<<20)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			o.SetMatchETagExcept("*")
		case err != nil:
			return err
		case newer(there):
			return nil
		default:
			o.SetMatchETag(etag)
		}
		err = s.put(ctx, f, o)
		if code := minio.ToErrorResponse(err).Code; code != "PreconditionFailed" && code != "ConditionalRequestConflict" || try == 5 {
			return err
		}
	}
}

// Remove implements Place.
func (s *S3) Remove(ctx context.Context, paths []string) error {
	objects := make(chan minio.ObjectInfo, len(paths))
	for _, p := range paths {
		objects <- minio.ObjectInfo{Key: s.prefix + strings.TrimPrefix(p, "/")}
	}
	close(objects)
	for e := range s.client.RemoveObjects(ctx, s.bucket, objects, minio.RemoveObjectsOptions{}) {
		if minio.ToErrorResponse(e.Err).Code != "NoSuchKey" {
			return e.Err
		}
	}
	return nil
}

func fromS3(err error, path string) error {
	if err == nil {
		return nil
	}
	if minio.ToErrorResponse(err).Code == "NoSuchKey" {
		return fmt.Errorf("log: no %s: %w", path, fs.ErrNotExist)
	}
	return err
}
