package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/log"
)

// logFlags say how the log is published.
type logFlags struct {
	origin   string
	interval time.Duration
	place    string
	witness  []string
}

func (f *logFlags) flags(fl *pflag.FlagSet) {
	fl.StringVar(&f.origin, "log-origin", "", "name of the log, such as privacy.shop.example/log; set once, when the log begins (the host of --base-url, and /log)")
	fl.DurationVar(&f.interval, "log-interval", time.Second, "how long an entry may wait for a signed checkpoint")
	placeFlag(fl, &f.place)
	fl.StringArrayVar(&f.witness, "witness", nil, "a witness that cosigns checkpoints: its URL, a space, and its verifier key; repeat it for each")
}

func placeFlag(fl *pflag.FlagSet, place *string) {
	fl.StringVar(place, "log-dir", "", "where the log is published outside the database: a directory, or s3://bucket/prefix?endpoint=https://host (ABIDE_LOG_DIR; DATA/log). It must outlive the database, be in no backup of it, and be shared by all servers of a store")
}

// originOf is the name of a log that begins now.
func originOf(f *serveFlags, store string) string {
	if f.log.origin != "" {
		return f.log.origin
	}
	if u, err := url.Parse(f.baseURL); err == nil && u.Host != "" {
		return u.Host + strings.TrimRight(u.Path, "/") + "/log"
	}
	return store + ".abide.invalid/log" // nobody can reach it, and no other store has it
}

// openPlace opens where the log is published.
func (m *Main) openPlace(where, data string) (log.Place, error) {
	if where == "" {
		where = m.Env("ABIDE_LOG_DIR")
	}
	if where == "" {
		where = filepath.Join(data, "log")
	}
	var p log.Place
	var err error
	if strings.HasPrefix(where, "s3://") {
		var o blob.S3Options
		if o, err = blob.ParseS3(where); err != nil {
			return nil, usage("--log-dir is " + err.Error())
		}
		p, err = log.OpenS3(o)
	} else {
		p, err = log.OpenDir(where)
	}
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeUnavailable, Detail: "log_not_opened", Err: err,
			Message: "the log cannot be published: " + err.Error(), Hint: "--log-dir names a directory that may be written to, or a bucket that is there"}
	}
	return p, nil
}

// sequence starts this node's sequencer, which ends before the engine does, and
// returns what serves the log.
func (m *Main) sequence(ctx context.Context, f *serveFlags, st *opened, logger *slog.Logger, reg prometheus.Registerer) (http.Handler, error) {
	if err := st.ring.EnsureLog(ctx); err != nil {
		return nil, err
	}
	place, err := m.openPlace(f.log.place, f.store.data)
	if err != nil {
		return nil, err
	}
	if f.log.interval < 10*time.Millisecond {
		return nil, usage("--log-interval is at least 10ms")
	}
	witnesses, vkeys, err := f.log.witnesses(reg)
	if err != nil {
		return nil, err
	}
	var name [8]byte
	if _, err := rand.Read(name[:]); err != nil {
		return nil, err
	}
	s := log.New(log.Options{Store: st.store, Keys: st.ring, Origin: originOf(f, st.ring.Store().String()), Node: hex.EncodeToString(name[:]),
		Alone: f.store.postgres == "", Interval: f.log.interval, Place: place,
		Witnesses: witnesses, Clock: m.Now, Log: logger})
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "abide_log_stopped",
		Help: "1 while this node, as the sequencer, cannot let the log grow; the server's own log says why."}, func() float64 {
		if s.State() != nil {
			return 1
		}
		return 0
	}))
	s.Start(ctx)
	st.closes = append(st.closes, func(ctx context.Context) {
		if err := s.Stop(ctx); err != nil {
			logger.Warn("the log was not handed over; another node takes it after a while", "error", err.Error())
		}
	})
	remembering, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		rememberLedger(remembering, st.engine, place, st.ring, logger)
	}()
	st.closes = append(st.closes, func(context.Context) { stop(); <-done })
	h := log.NewHandler(st.store, st.ring)
	h.Witnesses = vkeys
	return h, nil
}
