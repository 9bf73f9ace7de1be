package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/client"
	"github.com/abide-privacy/abide/internal/api"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/laws"
	"github.com/abide-privacy/abide/policy"
)

// place says where a command acts: on a server, or on a store it opens itself.
type place struct {
	server, token string
	data          string
	postgres      string // the data directory then holds the keyring only
	keysPostgres  string
	json          bool
	create        bool // make a store that is not there
}

// flags adds the flags of commands that act on people's data.
func (m *Main) placeFlags(cmd *cobra.Command, p *place) {
	f := cmd.PersistentFlags()
	f.StringVar(&p.server, "server", "", "URL of a running server (ABIDE_SERVER)")
	f.StringVar(&p.token, "token", "", "token for the server; better in ABIDE_TOKEN, which other users do not see")
	f.StringVar(&p.data, "data", "", "data directory, instead of a server (ABIDE_DATA)")
	f.StringVar(&p.postgres, "postgres", "", "URL of the PostgreSQL database of a store, with --data for its keyring (ABIDE_POSTGRES)")
	f.StringVar(&p.keysPostgres, "keys-postgres", "", "URL of another database for its wrapped keys (ABIDE_KEYS_POSTGRES)")
	f.BoolVar(&p.json, "json", false, "print JSON")
}

// connect returns a client for the place and a function that closes it. A data
// directory is served in process, so that both ways run the same code.
func (m *Main) connect(ctx context.Context, p *place) (*client.Client, func(), error) {
	server, data := p.server, p.data
	if p.postgres != "" && data == "" {
		return nil, nil, usage("--postgres needs --data too, for the keyring that opens what the database holds")
	}
	if server != "" && data != "" {
		return nil, nil, usage("--server and --data are two places; name one")
	}
	if server == "" && data == "" {
		server, data = m.Env("ABIDE_SERVER"), m.Env("ABIDE_DATA")
	}
	if data != "" && p.server == "" {
		f := storeFlags{data: data, postgres: p.postgres, keysPostgres: p.keysPostgres, create: p.create}
		return m.connectLocal(ctx, m.named(f))
	}
	if server == "" {
		return nil, nil, usage("neither a server nor a data directory is named; use --server URL or --data DIR")
	}
	token := p.token
	if token == "" {
		token = m.Env("ABIDE_TOKEN")
	}
	c, err := client.New(server, token)
	if err != nil {
		return nil, nil, err
	}
	return c, func() {}, nil
}

func (m *Main) connectLocal(ctx context.Context, f storeFlags) (*client.Client, func(), error) {
	if !f.create && f.postgres == "" && !f.exists() {
		return nil, nil, noStore()
	}
	st, err := m.open(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	transport := inProcess{api.New(api.Options{Engine: st.engine}), localCaller()}
	if p := st.engine.Policy(); p != nil {
		transport.call = localCaller(p.Purposes()...)
	}
	c, err := client.New("http://in.process", "", client.WithHTTPClient(&http.Client{Transport: transport}))
	return c, func() { st.close(context.WithoutCancel(ctx)) }, err
}

// localCaller acts on a store that this process opened itself: whoever can
// read the data directory and its keys is its administrator, and may act for
// the purposes of the policy. What they do is on record like everybody's.
func localCaller(purposes ...*policy.Purpose) engine.Call {
	actor := abide.Actor{Kind: abide.ActorService, Name: "cli", Admin: true}
	for _, p := range purposes {
		actor.Purposes = append(actor.Purposes, p.Name)
	}
	return engine.Call{Actor: actor, Token: "cli"}
}

// inProcess hands requests to a handler without a network.
type inProcess struct {
	handler http.Handler
	call    engine.Call
}

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(api.WithCaller(r.Context(), t.call))
	r.RemoteAddr = "127.0.0.1:0"
	r.Host = r.URL.Host
	r.RequestURI = r.URL.RequestURI()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &answer{header: http.Header{}, begun: make(chan struct{})}
	body, out := io.Pipe()
	w.body = out
	go func() {
		broken := io.EOF
		defer func() {
			if recover() != nil { // a handler's way to break an answer off
				broken = io.ErrUnexpectedEOF
			}
			w.WriteHeader(http.StatusOK)
			_ = out.CloseWithError(broken)
		}()
		t.handler.ServeHTTP(w, r)
	}()
	<-w.begun
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Header: w.sent,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: body, ContentLength: -1, Request: r}, nil
}

// answer hands on what a handler writes, while it writes it.
type answer struct {
	header, sent http.Header
	status       int
	begun        chan struct{} // closed once status and header are set
	body         *io.PipeWriter
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status, a.sent = status, a.header.Clone()
		close(a.begun)
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// storeFlags say where a store is.
type storeFlags struct {
	data         string
	postgres     string
	keysPostgres string
	ledger       string
	keyring      string
	master       string
	masterAlso   string // a further key that may come to encrypt the keyring
	uploads      string // a directory, or s3://…; empty: in the data directory
	place        string // where the log is published: the same
	create       bool
}

// named completes the flags from the environment, where other users of the
// machine do not see a password.
func (m *Main) named(f storeFlags) storeFlags {
	if f.postgres == "" {
		f.postgres = m.Env("ABIDE_POSTGRES")
	}
	if f.keysPostgres == "" {
		f.keysPostgres = m.Env("ABIDE_KEYS_POSTGRES")
	}
	return f
}

func (f storeFlags) database() string { return filepath.Join(f.data, "abide.db") }

// exists reports whether the embedded store is there already.
func (f storeFlags) exists() bool {
	if f.postgres != "" {
		return false // the database knows; it refuses a keyring that is not its own
	}
	_, err := os.Stat(f.database())
	return err == nil
}

// opened is a store with its engine.
type opened struct {
	engine *engine.Engine
	store  storage.Store
	ring   *keys.Keyring
	closes []func(context.Context)
}

func (o *opened) close(ctx context.Context) {
	for i := len(o.closes) - 1; i >= 0; i-- {
		o.closes[i](ctx)
	}
}

// open opens a store: the database, the keys apart from it, the keyring, and
// the engine over them.
func (m *Main) open(ctx context.Context, f storeFlags) (st *opened, err error) {
	st = &opened{}
	defer func() {
		if err != nil {
			st.close(ctx)
			st = nil
		}
	}()
	if f.data == "" {
		return st, usage("no data directory; use --data DIR")
	}
	keyDir := filepath.Join(f.data, "keys")
	if err := os.MkdirAll(keyDir, 0o700); err != nil {
		return st, dataDirectory(err)
	}
	create := f.create && !f.exists()
	var ring *keys.Keyring
	// A file is looked for before a database would be made for it.
	if !m.inDatabase(f) {
		if ring, err = m.keyring(ctx, f, nil, create); err != nil {
			return st, err
		}
	}
	store, keyStore, err := m.openDatabases(ctx, f, st)
	if err != nil {
		return st, err
	}
	if ring == nil {
		if ring, err = m.keyring(ctx, f, keyStore, create); err != nil {
			return st, err
		}
	}
	ledger, err := m.openLedger(f, ring)
	if err != nil {
		return st, err
	}
	st.closes = append(st.closes, func(context.Context) { _ = ledger.Close() })
	blobs, err := m.openUploads(ctx, f)
	if err != nil {
		return st, err
	}
	st.store, st.ring = store, ring
	profiles, err := laws.Load()
	if err != nil {
		return st, err
	}
	st.engine, err = engine.Open(ctx, engine.Options{Store: store, Keys: keyStore, Keyring: ring, Laws: profiles, Clock: m.Now, Ledger: ledger,
		LedgerSeen: m.recallLedger(ctx, f, ring), Blobs: blobs})
	if err != nil {
		return st, err
	}
	st.closes = append(st.closes, func(ctx context.Context) { _ = st.engine.Close(ctx) })
	return st, nil
}

// openDatabases opens the data and the wrapped keys apart from it; st closes
// what was opened.
func (m *Main) openDatabases(ctx context.Context, f storeFlags, st *opened) (store storage.Store, keyStore storage.KeyStore, err error) {
	if f.postgres != "" {
		keysURL := f.keysPostgres
		if keysURL == "" {
			keysURL = f.postgres
		}
		if store, err = postgres.Open(ctx, f.postgres, postgres.Options{}); err != nil {
			return nil, nil, notOpened(err, "is the URL of --postgres right, and the database running?")
		}
		st.closes = append(st.closes, func(context.Context) { _ = store.Close() })
		keyStore, err = postgres.OpenKeys(ctx, keysURL)
	} else {
		if store, err = sqlite.Open(ctx, f.database(), sqlite.Options{}); err != nil {
			return nil, nil, notOpened(err, "is abide.db in the data directory a store of Abide? restore it from its backup, or name another directory")
		}
		st.closes = append(st.closes, func(context.Context) { _ = store.Close() })
		keyStore, err = sqlite.OpenKeys(ctx, filepath.Join(f.data, "keys", "keys.db"))
	}
	if err != nil {
		return nil, nil, notOpened(err, "the store of wrapped keys did not open: keys.db in the data directory, or the database of --keys-postgres")
	}
	st.closes = append(st.closes, func(context.Context) { _ = keyStore.Close() })
	return store, keyStore, nil
}

func noStore() error {
	return &abide.Error{Code: abide.CodeNotFound, Detail: "no_store",
		Message: "there is no store in this data directory", Hint: "make one with `abide policy publish POLICY --data DIR`"}
}

func dataDirectory(err error) error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "data_directory",
		Message: "the data directory cannot be made or written to", Hint: "choose one that you may write to", Err: err}
}

// notOpened says why a database did not open, unless that is said well already.
func notOpened(err error, hint string) error {
	if abide.ErrorDetail(err) != "" {
		return err
	}
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "store_not_opened",
		Message: "the store cannot be opened: " + err.Error(), Hint: hint, Err: err}
}
