package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/api"
	"github.com/abide-privacy/abide/internal/authzen"
)

type serveFlags struct {
	store      storeFlags
	policy     string
	listen     string
	baseURL    string
	demo       bool
	demoTokens string
	authzen    string
	logJSON    bool
	tlsCert    string
	tlsKey     string
	log        logFlags
}

func (m *Main) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:     "serve",
		GroupID: "run",
		Short:   "Run the server",
		Long: `Runs the server on an embedded store in a data directory, or on PostgreSQL. With
--policy, the folder is checked and published first; if words and rules
disagree, the server does not start.

With --demo it makes a temporary store with a sample policy, a thousand made-up
people and tokens to try things with, and serves a guided start page at /.`,
		Example: `  abide serve --demo
  abide serve --data /var/lib/abide --policy ./policy --listen 127.0.0.1:8080
  abide serve --data /var/lib/abide --postgres postgres://abide@db/abide --policy ./policy`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return m.serve(cmd.Context(), f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.store.data, "data", "", "data directory (ABIDE_DATA)")
	fl.StringVar(&f.store.postgres, "postgres", "", "URL of a PostgreSQL database; the data directory then holds the keyring only (ABIDE_POSTGRES)")
	fl.StringVar(&f.store.keysPostgres, "keys-postgres", "", "URL of another database for wrapped keys (ABIDE_KEYS_POSTGRES)")
	ledgerFlag(fl, &f.store)
	keyringFlags(fl, &f.store)
	uploadsFlag(fl, &f.store)
	f.log.flags(fl)
	fl.StringVar(&f.policy, "policy", "", "policy folder to publish at start")
	fl.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	fl.StringVar(&f.baseURL, "base-url", "", "how outsiders reach the server, such as https://privacy.shop.example")
	fl.BoolVar(&f.demo, "demo", false, "temporary store, sample policy, made-up people")
	fl.StringVar(&f.demoTokens, "demo-tokens", "", "write the demo's tokens to this file as JSON, role to token")
	fl.StringVar(&f.authzen, "authzen", "", "AuthZEN mapping: JSON that says what the subjects, resources and actions of your enforcement points are")
	fl.BoolVar(&f.logJSON, "log-json", false, "log as JSON")
	fl.StringVar(&f.tlsCert, "tls-cert", "", "certificate file, to serve HTTPS")
	fl.StringVar(&f.tlsKey, "tls-key", "", "key file of the certificate")
	return cmd
}

// check refuses flags that would be of no effect, or of one that nobody wants:
// a demo never writes its made-up people into a store that is kept.
func (f *serveFlags) check() error {
	switch {
	case f.demo && (f.store.data != "" || f.store.uploads != "" || f.store.postgres != "" || f.policy != ""):
		return usage("--demo brings its own temporary store and policy; leave out --data, --postgres, --uploads and --policy")
	case !f.demo && f.demoTokens != "":
		return usage("--demo-tokens belongs to --demo; `abide token create` makes tokens for a store")
	case f.store.keysPostgres != "" && f.store.postgres == "":
		return usage("--keys-postgres needs --postgres too")
	case (f.tlsCert == "") != (f.tlsKey == ""):
		return usage("--tls-cert and --tls-key belong together")
	}
	return nil
}

// readMapping reads the AuthZEN mapping, nil if there is none.
func readMapping(path string) (*authzen.Mapping, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "bad_authzen_mapping", Message: "the AuthZEN mapping cannot be read",
			Hint: "give the path of a readable file to --authzen", Err: err}
	}
	return authzen.Parse(text)
}

func (m *Main) serve(ctx context.Context, f serveFlags) error {
	if !f.demo {
		f.store = m.named(f.store)
	}
	if err := f.check(); err != nil {
		return err
	}
	if f.policy != "" { // before a store is made for it
		if err := policyFolder(f.policy); err != nil {
			return err
		}
	}
	mapping, err := readMapping(f.authzen)
	if err != nil {
		return err
	}
	log := m.logger(f.logJSON)
	if f.demo {
		dir, err := os.MkdirTemp("", "abide-demo-")
		if err != nil {
			return dataDirectory(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		f.store.data, f.store.uploads = dir, filepath.Join(dir, "uploads")
	}
	if f.store.data == "" {
		f.store.data = m.Env("ABIDE_DATA")
	}
	if f.store.data == "" {
		return usage("no data directory; use --data DIR, or --demo for a temporary one")
	}
	listener, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	f.store.create, f.store.place = true, f.log.place
	if f.store.postgres == "" {
		if err := os.MkdirAll(f.store.data, 0o700); err != nil {
			return dataDirectory(err)
		}
		unlock, err := lockData(f.store.data)
		if err != nil {
			return err
		}
		defer unlock()
	}
	st, err := m.open(ctx, f.store)
	if err != nil {
		return err
	}
	defer st.close(context.WithoutCancel(ctx))

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	tiles, err := m.sequence(ctx, &f, st, log, registry)
	if err != nil {
		return err
	}
	o := api.Options{Engine: st.engine, Log: log, Metrics: registry, BaseURL: f.baseURL, Tiles: tiles, AuthZEN: mapping}

	var guide *demo
	if f.demo {
		if guide, err = m.prepareDemo(ctx, st.engine, f.demoTokens); err != nil {
			return err
		}
		o.Home = guide.home
	} else if f.policy != "" {
		if err := m.publishAtStart(ctx, st, f.policy); err != nil {
			return err
		}
	} else if st.engine.Policy() == nil {
		fmt.Fprintln(m.Stderr, "abide: no policy is in force, so everything is refused; start with --policy DIR (`abide init` makes one)")
	}
	return m.answer(ctx, listener, api.New(o), log, guide)
}

// publishAtStart puts the folder in force unless it is already.
func (m *Main) publishAtStart(ctx context.Context, st *opened, dir string) error {
	res, info, err := st.engine.Publish(ctx, localCaller(), os.DirFS(dir))
	if res != nil && (err != nil || len(res.Diagnostics) > 0) {
		m.findings(res)
	}
	if err != nil {
		return err
	}
	if !info.Unchanged {
		fmt.Fprintf(m.Stderr, "abide: published policy %s\n", short(info.Version))
	}
	return nil
}

func (m *Main) logger(asJSON bool) *slog.Logger {
	if asJSON {
		return slog.New(slog.NewJSONHandler(m.Stderr, nil))
	}
	return slog.New(slog.NewTextHandler(m.Stderr, nil))
}

// shutdownGrace is how long running requests may take to end after a signal.
const shutdownGrace = 15 * time.Second

// open takes the address before anything is written, so that a server that
// cannot listen changes nothing.
func (f *serveFlags) open(ctx context.Context) (net.Listener, error) {
	var certificates []tls.Certificate
	if f.tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(f.tlsCert, f.tlsKey)
		if err != nil {
			return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "tls_files", Message: "the certificate or its key cannot be used: " + err.Error(),
				Hint: "--tls-cert is a PEM file with the certificate and what signed it, --tls-key its key", Err: err}
		}
		certificates = []tls.Certificate{pair}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeUnavailable, Detail: "listen", Message: "cannot listen: " + err.Error(),
			Hint: "is another server running there? choose another address with --listen, such as 127.0.0.1:8081", Err: err}
	}
	if certificates != nil {
		return tls.NewListener(listener, &tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}), nil
	}
	return listener, nil
}

// answer serves until the context ends, and then lets running requests end.
func (m *Main) answer(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger, guide *demo) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	url := "http://" + listener.Addr().String()
	if _, plain := listener.(*net.TCPListener); !plain {
		url = "https://" + listener.Addr().String()
	}
	if guide != nil {
		guide.announce(m.Stdout, url)
	} else {
		fmt.Fprintf(m.Stdout, "abide: listening on %s\n", url)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	log.Info("shutting down")
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err := server.Shutdown(closing)
	if served := <-done; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	return err
}

// short is the start of a digest, enough for people.
func short(digest string) string {
	const prefix = len("sha256:")
	if len(digest) > prefix+12 {
		return digest[prefix : prefix+12]
	}
	return digest
}

// writeTokens writes tokens as JSON, readable by the owner only, whole or not
// at all.
func writeTokens(path string, tokens map[string]string) error {
	raw, err := json.MarshalIndent(tokens, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".abide-tokens-*")
	if err != nil {
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "demo_tokens", Message: "the file of tokens cannot be written",
			Hint: "choose a folder that you may write to", Err: err}
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	if _, err := tmp.Write(append(raw, '\n')); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
