package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3 keeps blobs as objects of a bucket. It asks of the store what Amazon's has
// offered since December 2020: an object whose write was acknowledged is read
// and listed at once.
type S3 struct {
	client *minio.Client
	core   minio.Core
	bucket string
	prefix string // "" or ends in '/'
}

// partSize is what Put holds in memory. The largest object has 10,000 parts.
const partSize = 8 << 20

// S3Options say where a bucket is and who asks.
type S3Options struct {
	Bucket, Prefix string
	Endpoint       string // https://s3.example.org:9000; empty: Amazon's
	Region         string
	// Credentials by which requests are signed; empty: from the environment
	// (AWS_ACCESS_KEY_ID, …), the shared file, or the machine's role.
	AccessKey, SecretKey, SessionToken string
	Transport                          http.RoundTripper // nil: the default
}

// ParseS3 reads s3://bucket/prefix?endpoint=https://host:port&region=name.
// Credentials do not belong in it.
func ParseS3(raw string) (S3Options, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return S3Options{}, errors.New("not of the form s3://bucket/prefix?endpoint=https://host:port")
	}
	o := S3Options{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	for name, values := range u.Query() {
		switch name {
		case "endpoint":
			o.Endpoint = values[0]
		case "region":
			o.Region = values[0]
		default:
			return S3Options{}, fmt.Errorf("%q is no parameter of a bucket: endpoint and region are", name)
		}
	}
	return o, nil
}

// Connect returns a client of the server that the options name. It reaches no
// server yet.
func (o S3Options) Connect() (*minio.Client, error) {
	endpoint := o.Endpoint
	if endpoint == "" {
		endpoint = "https://s3.amazonaws.com"
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("the endpoint of a bucket is not of the form https://host:port")
	}
	creds := credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}})
	if o.AccessKey != "" {
		creds = credentials.NewStaticV4(o.AccessKey, o.SecretKey, o.SessionToken)
	}
	opts := &minio.Options{Creds: creds, Secure: u.Scheme == "https", Region: o.Region, Transport: o.Transport, MaxRetries: 3}
	return minio.New(u.Host, opts)
}

// OpenS3 returns a store in a bucket that must be there already. It reaches no
// server yet; Ready does.
func OpenS3(o S3Options) (*S3, error) {
	c, err := o.Connect()
	if err != nil {
		return nil, err
	}
	s := &S3{client: c, core: minio.Core{Client: c}, bucket: o.Bucket}
	if o.Prefix != "" {
		if err := valid(o.Prefix); err != nil {
			return nil, errors.New("the prefix of a bucket has lower case letters, digits and dashes only")
		}
		s.prefix = o.Prefix + "/"
	}
	return s, nil
}

// Put implements Store. An object appears whole or not at all; parts that were
// sent before a crash are what Tidy removes.
func (s *S3) Put(ctx context.Context, name string, r io.Reader) error {
	if err := valid(name); err != nil {
		return err
	}
	src := &source{r: r}
	_, err := s.client.PutObject(ctx, s.bucket, s.prefix+name, src, -1, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partSize, DisableContentSha256: false})
	if src.err != nil {
		return src.err
	}
	return fromS3(err)
}

// source remembers the error of a reader, which the client wraps or replaces.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Size implements Store.
func (s *S3) Size(ctx context.Context, name string) (int64, error) {
	if err := valid(name); err != nil {
		return 0, err
	}
	info, err := s.client.StatObject(ctx, s.bucket, s.prefix+name, minio.StatObjectOptions{})
	return info.Size, fromS3(err)
}

// Range implements Store.
func (s *S3) Range(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := valid(name); err != nil {
		return nil, err
	}
	if n <= 0 {
		return http.NoBody, nil
	}
	o := minio.GetObjectOptions{}
	if err := o.SetRange(off, off+n-1); err != nil {
		return nil, err
	}
	body, _, _, err := s.core.GetObject(ctx, s.bucket, s.prefix+name, o)
	if err != nil {
		if minio.ToErrorResponse(err).Code == "InvalidRange" {
			return http.NoBody, nil // it ends before
		}
		return nil, fromS3(err)
	}
	return reading{body}, nil
}

// reading maps the errors of a body that breaks off.
type reading struct{ io.ReadCloser }

func (r reading) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fromS3(err)
	}
	return n, err
}

// Delete implements Store.
func (s *S3) Delete(ctx context.Context, name string) error {
	if err := valid(name); err != nil {
		return err
	}
	err := fromS3(s.client.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{}))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// List implements Store.
func (s *S3) List(ctx context.Context, prefix string, fn func(string, time.Time) error) error {
	if err := valid(strings.TrimSuffix(prefix, "/")); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return fromS3(o.Err)
		}
		if err := fn(strings.TrimPrefix(o.Key, s.prefix), o.LastModified); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Tidy implements Store.
func (s *S3) Tidy(ctx context.Context, before time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for u := range s.client.ListIncompleteUploads(ctx, s.bucket, s.prefix, true) {
		if u.Err != nil {
			return fromS3(u.Err)
		}
		if !u.Initiated.Before(before) {
			continue
		}
		if err := s.core.AbortMultipartUpload(ctx, s.bucket, u.Key, u.UploadID); err != nil && !errors.Is(fromS3(err), ErrNotFound) {
			return fromS3(err)
		}
	}
	return ctx.Err()
}

// Ready implements Store.
func (s *S3) Ready(ctx context.Context) error {
	there, err := s.client.BucketExists(ctx, s.bucket)
	if err == nil && !there {
		err = ErrNotFound
	}
	return fromS3(err)
}

func fromS3(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	for _, known := range []error{ErrNotFound, ErrFull, ErrUnavailable} {
		if errors.Is(err, known) {
			return err
		}
	}
	r := minio.ToErrorResponse(err)
	switch r.Code {
	case "NoSuchKey", "NoSuchUpload":
		return fmt.Errorf("%w (%s)", ErrNotFound, r.Code)
	case "QuotaExceeded", "XMinioStorageFull", "EntityTooLarge", "InsufficientStorage":
		return fmt.Errorf("%w (%s)", ErrFull, r.Code)
	case "":
		return fmt.Errorf("%w (%w)", ErrUnavailable, err)
	}
	// The text of an answer may name the key of an object; the code does not.
	return fmt.Errorf("%w (%s)", ErrUnavailable, r.Code)
}
