package traffic

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/api"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/abide-privacy/abide/laws"
)

func TestMain(m *testing.M) { os.Exit(pg.Main(m)) }

const notice = `# Pebble keeps little {#pebble}
We hold your name and e-mail address to deliver what you order, and let both go a year later.
The newsletter uses your e-mail address if you say yes, until you say no or two years are over.
` + "```abide" + `
document "privacy" { controller = "Pebble, privacy@pebble.example" }
data "person" {
  name  = "name"
  email = { words = "e-mail address", format = email, find = unique }
}
purpose "deliver" {
  uses  = [person.name, person.email]
  basis = contract
  keep  = obtained + 1 * years
}
purpose "newsletter" {
  uses  = [person.email]
  basis = consent
  lasts = given + 2 * years
  keep  = consent.ended
}
` + "```\n"

// TestProofOfTraffic measures both engines. It asserts that no call fails, never how
// fast one is.
func TestProofOfTraffic(t *testing.T) {
	people, length, turns, counts := 200, 250*time.Millisecond, 1, []int{8}
	if os.Getenv("ABIDE_PROOF") == "1" {
		people, length, turns, counts = 5000, 5*time.Second, 2, []int{1, 8, 64}
	}
	var table strings.Builder
	table.WriteString("\n| | | clients | Abide: per second, p50, p99 | plain: per second, p50, p99 | ratio |\n|---|---|---|---|---|---|\n")
	for _, e := range []string{"sqlite", "postgres"} {
		t.Run(e, func(t *testing.T) {
			ours, plain := ourTarget(t, e, people), plainTarget(t, e, people)
			for _, op := range operations {
				for _, clients := range counts {
					var a, b figures
					for range turns {
						check(t, ours.run(op, clients, length, &a))
						check(t, plain.run(op, clients, length, &b))
					}
					fmt.Fprintf(&table, "| %s | %s | %d | %.0f; %v; %v | %.0f; %v; %v | %.2f |\n", e, op, clients,
						a.rate(), a.quantile(.5), a.quantile(.99), b.rate(), b.quantile(.5), b.quantile(.99), a.rate()/b.rate())
				}
			}
		})
	}
	t.Log(table.String())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens the stores of an engine, data and keys apart.
func open(t *testing.T, name string) (storage.Store, storage.KeyStore) {
	t.Helper()
	var store storage.Store
	var keyStore storage.KeyStore
	var err error
	if name == "postgres" {
		store, err = postgres.Open(t.Context(), pg.Database(t), postgres.Options{})
		check(t, err)
		keyStore, err = postgres.OpenKeys(t.Context(), pg.Database(t))
	} else {
		dir := t.TempDir()
		store, err = sqlite.Open(t.Context(), filepath.Join(dir, "abide.db"), sqlite.Options{})
		check(t, err)
		keyStore, err = sqlite.OpenKeys(t.Context(), filepath.Join(dir, "keys.db"))
	}
	check(t, err)
	t.Cleanup(func() { _ = keyStore.Close(); _ = store.Close() })
	return store, keyStore
}

func ourTarget(t *testing.T, name string, people int) *target {
	t.Helper()
	store, keyStore := open(t, name)
	ring, err := keys.New()
	check(t, err)
	profiles, err := laws.Load()
	check(t, err)
	e, err := engine.Open(t.Context(), engine.Options{Store: store, Keys: keyStore, Keyring: ring, Laws: profiles})
	check(t, err)
	t.Cleanup(func() { _ = e.Close(context.WithoutCancel(t.Context())) })
	root := engine.Call{Actor: abide.Actor{Kind: abide.ActorService, Name: "root", Admin: true}}
	_, _, err = e.Publish(t.Context(), root, fstest.MapFS{"privacy.md": {Data: []byte(notice)}})
	check(t, err)
	token, _, err := e.CreateToken(t.Context(), root, engine.NewToken{Name: "app",
		Actor: abide.Actor{Kind: abide.ActorService, Name: "app", Purposes: []abide.Purpose{"deliver", "newsletter"}}})
	check(t, err)
	unlimited := api.Limits{Rate: 1e9, Burst: 1e9}
	out := serve(t, "abide", api.New(api.Options{Engine: e, Limits: unlimited}), token)
	for i := range people {
		var made struct {
			ID string `json:"id"`
		}
		out.post(t, http.MethodPost, "/v1/subjects", `{"jurisdiction":"GB","birth_date":"1990-04-02"}`, &made)
		out.post(t, http.MethodPut, "/v1/subjects/"+made.ID+"/data",
			fmt.Sprintf(`{"purpose":"deliver","source":"checkout","items":{"person.name":"Mira Okafor","person.email":"seed%d@example.test"}}`, i), nil)
		out.people = append(out.people, made.ID)
	}
	return out
}

func plainTarget(t *testing.T, name string, people int) *target {
	t.Helper()
	type seeded interface {
		plainStore
		seed(ctx context.Context, people []string, tokenHash []byte) error
		close()
	}
	var s seeded
	var err error
	if name == "postgres" {
		s, err = openPlainPostgres(t.Context(), pg.Database(t))
	} else {
		s, err = openPlainSQLite(t.Context(), filepath.Join(t.TempDir(), "plain.db"))
	}
	check(t, err)
	t.Cleanup(s.close)
	out := serve(t, "plain", plainHandler(s), "plain")
	for i := range people {
		out.people = append(out.people, fmt.Sprintf("019a0000-0000-7000-8000-%012d", i))
	}
	hash := sha256.Sum256([]byte("Bearer plain"))
	check(t, s.seed(t.Context(), out.people, hash[:]))
	return out
}

func serve(t *testing.T, name string, h http.Handler, token string) *target {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &target{name: name, url: server.URL, token: token,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

func (t *target) post(tb testing.TB, method, path, body string, into any) {
	tb.Helper()
	r, err := http.NewRequest(method, t.url+path, strings.NewReader(body))
	check(tb, err)
	r.Header.Set("Authorization", "Bearer "+t.token)
	r.Header.Set("Content-Type", "application/json")
	res, err := t.client.Do(r)
	check(tb, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	check(tb, err)
	if res.StatusCode >= 300 {
		tb.Fatalf("%s %s: %d %s", method, path, res.StatusCode, raw)
	}
	if into != nil {
		check(tb, json.Unmarshal(raw, into))
	}
}
