package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Source is where a log is published. Nothing it returns is believed.
type Source interface {
	// Read returns a resource below the log's prefix. Its error wraps
	// fs.ErrNotExist if there is none, and is a Fault of code TooLarge if it has
	// more bytes than limit. Read may be called by several goroutines at once.
	Read(ctx context.Context, path string, limit int64) ([]byte, error)
}

type dirSource struct{ dir string }

// Dir is a log published to a directory.
func Dir(dir string) Source { return dirSource{dir} }

func (d dirSource) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !cleanPath(path) {
		return nil, fmt.Errorf("audit: %q is not a resource of a log", path)
	}
	f, err := os.Open(filepath.Join(d.dir, filepath.FromSlash(path)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readLimited(f, path, limit)
}

type urlSource struct {
	prefix string
	client *http.Client
}

// URL is a log published at a URL, such as https://privacy.shop.example/log.
// Without a client it takes one of its own with a time limit for each request.
func URL(prefix string, client *http.Client) (Source, error) {
	u, err := url.Parse(prefix)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("audit: the URL of a log begins with https:// and has no query")
	}
	if client == nil {
		client = &http.Client{Timeout: 30 * time.Second}
	}
	return urlSource{strings.TrimRight(prefix, "/"), client}, nil
}

func (u urlSource) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	if !cleanPath(path) {
		return nil, fmt.Errorf("audit: %q is not a resource of a log", path)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.prefix+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "abide-audit")
	res, err := u.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	switch res.StatusCode {
	case http.StatusOK:
		return readLimited(res.Body, path, limit)
	case http.StatusNotFound, http.StatusGone:
		return nil, fmt.Errorf("audit: %s: the server answered %d: %w", path, res.StatusCode, fs.ErrNotExist)
	default:
		return nil, fmt.Errorf("audit: %s: the server answered %d", path, res.StatusCode)
	}
}

func readLimited(r io.Reader, path string, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, &Fault{Code: TooLarge, Path: path, Entry: -1, What: fmt.Sprintf("it has more than %d bytes", limit)}
	}
	return raw, nil
}
