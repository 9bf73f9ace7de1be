package node

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/abide-privacy/abide/internal/api"
)

// Serving is what a serving node says when it can be called.
type Serving struct{ URL string }

// JumpPath takes POST requests that set the node's clock off the true time, by
// the duration in the query: off.
const JumpPath = "/testx/jump"

// serve serves the API until the process is killed.
func (j Job) serve(ctx context.Context) error {
	s, err := j.Open(ctx)
	if err != nil {
		return err
	}
	s.Data = cached(s.Data)
	var jumped atomic.Int64
	e, err := Start(ctx, s, func() time.Time { return time.Now().Add(time.Duration(jumped.Load())) })
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", api.New(api.Options{Engine: e, Log: slog.New(slog.DiscardHandler), Limits: api.Limits{Timeout: 10 * time.Second}}))
	mux.HandleFunc("POST "+JumpPath, func(w http.ResponseWriter, r *http.Request) {
		off, err := time.ParseDuration(r.URL.Query().Get("off"))
		if err != nil {
			http.Error(w, "no duration", http.StatusBadRequest)
			return
		}
		jumped.Store(int64(off))
	})
	if err := say(Serving{"http://" + l.Addr().String()}); err != nil {
		return err
	}
	go endWithParent()
	return (&http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}).Serve(l)
}

// endWithParent ends the process when the test that started it is gone: its
// standard input is a pipe of which the test holds the other end.
func endWithParent() {
	var b [1]byte
	for {
		if _, err := os.Stdin.Read(b[:]); err != nil {
			os.Exit(1)
		}
	}
}
