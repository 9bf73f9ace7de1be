package log

import (
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/abide-privacy/abide/internal/storage"
)

// Handler serves the published logs below a prefix that is taken off before
// (spec/log.md, rules 7 to 9): the first at the top, and its successors each under
// its number. What is immutable is cached for years by whoever passes it on, so
// no two logs may share a path. It may serve on every node.
type Handler struct {
	store storage.LogTables
	keys  Keys
	// known are sizes of checkpoints by log: tiles within one need no look at the
	// database to be allowed.
	known sync.Map
	// Witnesses are the verifier keys of the witnesses that are asked to sign.
	Witnesses []string
}

// NewHandler returns a handler for the logs of a store.
func NewHandler(store storage.LogTables, k Keys) *Handler { return &Handler{store: store, keys: k} }

const (
	immutable = "public, max-age=31536000, immutable"
	mutable   = "no-cache"
	plainText = "text/plain; charset=utf-8"
)

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "a log is read, not written", http.StatusMethodNotAllowed)
		return
	}
	// Browsers of whoever verifies may read it from anywhere: it is public.
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	number, path := uint64(1), strings.TrimPrefix(r.URL.Path, "/")
	if first, rest, ok := strings.Cut(path, "/"); ok {
		if n, ok := decimal(first, 1<<32); ok && n > 1 {
			number, path = n, rest
		}
	}
	err := h.serve(w, r, number, path)
	switch {
	case err == nil:
	case isNotFound(err), errors.Is(err, fs.ErrNotExist):
		w.Header().Set("Cache-Control", mutable)
		http.Error(w, "not in this log, or not yet", http.StatusNotFound)
	default:
		w.Header().Set("Cache-Control", mutable)
		http.Error(w, "the log cannot be read now", http.StatusServiceUnavailable)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, number uint64, path string) error {
	if k, width, ok := parsePath(path); ok {
		return h.tile(w, r, number, k, width)
	}
	switch path {
	case "checkpoint":
		return h.checkpoint(w, r, number)
	case "key":
		return h.key(w, r, number)
	case "witnesses":
		return h.witnessed(w, r, number)
	}
	return storage.ErrNotFound
}

// checkpoint serves the largest checkpoint. That of a log that was given up
// names its successor.
func (h *Handler) checkpoint(w http.ResponseWriter, r *http.Request, number uint64) error {
	c, err := h.store.Checkpoint(r.Context(), number)
	if err != nil {
		return err
	}
	head, err := h.store.LogHead(r.Context())
	if err != nil {
		return err
	}
	if head.Log != number {
		w.Header().Set("Link", "</log/"+prefix(head.Log)+`>; rel="successor-version"`)
	}
	send(w, plainText, mutable, c.Note)
	return nil
}

func (h *Handler) key(w http.ResponseWriter, r *http.Request, number uint64) error {
	heads, err := h.store.LogHeads(r.Context())
	if err != nil {
		return err
	}
	for i := range heads {
		if heads[i].Log != number {
			continue
		}
		vkeys, err := VerifierKeys(h.keys, heads[i].Origin)
		if err != nil {
			return err
		}
		send(w, plainText, mutable, []byte(strings.Join(vkeys, "\n")+"\n"))
		return nil
	}
	return storage.ErrNotFound
}

// tile serves what the published checkpoint has, and nothing beyond it.
func (h *Handler) tile(w http.ResponseWriter, r *http.Request, number uint64, k storage.TileKey, width int) error {
	if size, ok := h.known.Load(number); !ok || widthAt(size.(uint64), k) < width {
		c, err := h.store.Checkpoint(r.Context(), number)
		if err != nil {
			return err
		}
		h.known.Store(number, c.Size)
		if widthAt(c.Size, k) < width {
			return storage.ErrNotFound
		}
	}
	data, err := StoreSource{Store: h.store, Log: number}.Read(r.Context(), pathOf(k, width), 0)
	if err != nil {
		return err
	}
	send(w, "application/octet-stream", immutable, data)
	return nil
}

func send(w http.ResponseWriter, kind, caching string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", caching)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // whoever hung up asks again
}
