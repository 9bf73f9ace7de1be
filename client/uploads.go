package client

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	abide "github.com/abide-privacy/abide"
)

// File describes an upload.
type File struct {
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"` // hex
}

// UploadRequest says what a file is and what it is handed in for.
type UploadRequest struct {
	Service   abide.Service
	Purpose   abide.Purpose // instead of a service
	Source    string
	Ref       string // ties the file to facts: the order's number
	Name      string // the file's; it travels in a header, never in the URL
	MediaType string
	Size      int64  // bytes; 0: not known beforehand
	SHA256    []byte // of the whole file; nil: not known beforehand
}

// UploadResult names the item that was made.
type UploadResult struct {
	Item struct {
		Category abide.Category  `json:"category"`
		ID       abide.SubjectID `json:"id"`
	} `json:"item"`
	File File `json:"file"`
}

// Upload streams a file. The body can be read only once, so the call is not
// repeated; with an idempotency key (WithIdempotencyKey) the caller may. It
// lasts as long as the context lets it.
func (c *Client) Upload(ctx context.Context, id abide.SubjectID, category abide.Category, r UploadRequest, body io.Reader) (UploadResult, error) {
	var out UploadResult
	q := url.Values{}
	for name, v := range map[string]string{"service": string(r.Service), "purpose": string(r.Purpose), "source": r.Source} {
		if v != "" {
			q.Set(name, v)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.base+subject(id)+"/uploads/"+url.PathEscape(string(category))+"?"+q.Encode(), io.NopCloser(body))
	if err != nil {
		return out, fmt.Errorf("abide: %w", err)
	}
	req.ContentLength = -1
	if r.Size > 0 {
		req.ContentLength = r.Size
	}
	key, ok := ctx.Value(idempotencyKey{}).(string)
	if !ok {
		key = rand.Text()
	}
	h := req.Header
	h.Set("Idempotency-Key", key)
	if c.token != "" {
		h.Set("Authorization", "Bearer "+c.token)
	}
	if r.MediaType != "" {
		h.Set("Content-Type", r.MediaType)
	}
	if r.Name != "" {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": r.Name}))
	}
	if r.Ref != "" {
		h.Set("Abide-Ref", r.Ref)
	}
	if r.SHA256 != nil {
		h.Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(r.SHA256)+":")
	}
	res, err := c.streaming().Do(req)
	if err != nil {
		return out, fmt.Errorf("abide: the server was not reached: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return out, fmt.Errorf("abide: reading the answer: %w", err)
	}
	if res.StatusCode >= 400 {
		return out, problem(res.StatusCode, raw)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, fmt.Errorf("abide: decoding the answer: %w", err)
	}
	return out, nil
}

// Download gets a file by the link of a Value, from an offset on. The caller
// closes it. Each call is a look of its own. A read that fails before io.EOF
// has given a part of the file only.
func (c *Client) Download(ctx context.Context, link string, from int64) (io.ReadCloser, error) {
	if strings.HasPrefix(link, "/") {
		link = c.base + link
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, fmt.Errorf("abide: %w", err)
	}
	if from > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(from, 10)+"-")
	}
	res, err := c.streaming().Do(req)
	if err != nil {
		return nil, fmt.Errorf("abide: the server was not reached: %w", err)
	}
	if res.StatusCode >= 400 || from > 0 && res.StatusCode != http.StatusPartialContent {
		defer func() { _ = res.Body.Close() }()
		raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		if err != nil {
			return nil, fmt.Errorf("abide: reading the answer: %w", err)
		}
		return nil, problem(res.StatusCode, raw)
	}
	return res.Body, nil
}

// streaming is the HTTP client without its time limit, which is made for short
// answers.
func (c *Client) streaming() *http.Client {
	h := *c.http
	h.Timeout = 0
	return &h
}
