// Package api is the HTTP surface: JSON under /v1, AuthZEN under /access/v1,
// the published policy, health and metrics. It authenticates, decodes, calls
// the engine and encodes; it decides nothing and never touches storage.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/abide-privacy/abide/internal/authzen"
	"github.com/abide-privacy/abide/internal/engine"
)

//go:generate go run ./gen ../../docs

// Options say how the surface is served. Engine is required.
type Options struct {
	Engine  *engine.Engine
	Log     *slog.Logger         // nil discards
	Metrics *prometheus.Registry // nil makes one
	// BaseURL is how outsiders reach this server: "https://privacy.shop.example".
	// Empty: taken from each request.
	BaseURL string
	// Tiles serves the published log below /log/, which is taken off; nil: there
	// is none.
	Tiles http.Handler
	// AuthZEN translates what enforcement points speak of; nil translates
	// nothing beyond the built-in meanings.
	AuthZEN *authzen.Mapping
	// Home serves "/" and "/start/"; nil redirects to /policy.
	Home http.Handler
	// Limits bound what one caller may send; zero values take the defaults.
	Limits Limits
	// Now is the clock of the rate limits; nil is the system's.
	Now func() time.Time
}

// Limits bound what one caller may send.
type Limits struct {
	Body     int64         // bytes of a request body; default 1 MiB
	Rate     float64       // requests per second of one token or address; default 2,000
	Burst    int           // requests at once; default 4,000
	Failures float64       // failed authentications per second of one address; default 1
	Timeout  time.Duration // of one request; default 30 s
}

func (l Limits) withDefaults() Limits {
	if l.Body == 0 {
		l.Body = 1 << 20
	}
	if l.Rate == 0 {
		l.Rate = 2000
	}
	if l.Burst == 0 {
		l.Burst = 4000
	}
	if l.Failures == 0 {
		l.Failures = 1
	}
	if l.Timeout == 0 {
		l.Timeout = 30 * time.Second
	}
	return l
}

// server is what every operation shares.
type server struct {
	engine  *engine.Engine
	log     *slog.Logger
	baseURL string
	limits  Limits
	mapping *authzen.Mapping
	api     huma.API
}

// New returns the whole HTTP surface as one handler.
func New(o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &server{engine: o.Engine, log: o.Log, baseURL: o.BaseURL, limits: o.Limits.withDefaults(), mapping: o.AuthZEN}
	if s.mapping == nil {
		s.mapping = &authzen.Mapping{}
	}

	mux := http.NewServeMux()
	s.api = humago.New(mux, config())
	s.subjects()
	s.proofs()
	s.data()
	s.uploads(mux)
	s.consents()
	s.decisions()
	s.explain()
	s.policies()
	s.administration()
	s.imports()
	s.approvals()
	s.restore()
	s.authzen()

	mux.HandleFunc("GET /policy", s.notice)
	mux.HandleFunc("GET /policy/{document}", s.notice)
	mux.HandleFunc("GET /docs", s.docs)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /.well-known/authzen-configuration", s.authzenConfiguration)
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{}))
	if o.Tiles != nil {
		mux.Handle("/log/", http.StripPrefix("/log", o.Tiles))
	}
	if o.Home != nil {
		mux.Handle("GET /{$}", o.Home)
		mux.Handle("GET /start/", o.Home)
	} else {
		mux.Handle("GET /{$}", http.RedirectHandler("/policy", http.StatusSeeOther))
	}
	mux.HandleFunc("/", s.nothingHere) // a wrong path or method answers as everything does

	m := newMetrics(o.Metrics)
	limiter := newLimiter(s.limits, o.Now)
	return m.measure(mux, s.log, limiter.limit(s.authenticate(limiter, s.bounded(mux))))
}

// config is huma's configuration: no schema links in answers, no page that
// loads scripts from elsewhere.
func config() huma.Config {
	c := huma.DefaultConfig("Abide", Version)
	c.DocsPath = ""
	c.SchemasPath = ""
	c.CreateHooks = nil
	c.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	c.Info.Description = "Keeps a privacy policy: personal data opens only for a purpose that the policy permits and the person has not refused, and every look is recorded."
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "A token that carries a role and purposes: abide token create."},
	}
	c.Security = []map[string][]string{{"token": {}}}
	return c
}

// Version is the version of the API and of this build.
const Version = "0.1.0"

// bounded gives every request the body limit and the deadline, but for those
// that stream, which have their own.
func (s *server) bounded(next *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if id := r.Header.Get("X-Request-ID"); validRequestID(id) {
			h.Set("X-Request-ID", id)
		}
		if !textRequest(r) {
			writeProblem(w, notText())
			return
		}
		if _, route := next.Handler(r); streams[route] {
			next.ServeHTTP(w, r)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.limits.Body)
		ctx, cancel := context.WithTimeout(r.Context(), s.limits.Timeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// validRequestID keeps a caller's id out of headers unless it is short and
// made of letters, digits and dashes: nobody's address travels that way.
func validRequestID(id string) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if !(c == '-' || c == '_' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return true
}

func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.engine.Ready(r.Context()); err != nil {
		s.log.Warn("not ready", "error", err.Error())
		plain(w, http.StatusServiceUnavailable, "not ready\n")
		return
	}
	if g := s.engine.Gap(); g != nil {
		plain(w, http.StatusOK, "ready\nrestored_gap: "+g.Why+"; what rests on consent is denied until it is resolved\n")
		return
	}
	plain(w, http.StatusOK, "ready\n")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
