// Package traffic measures what the guarantees cost: audited reads, consent
// writes and collects with a look-up over HTTP, beside the same router, the
// same pool, prepared statements and the same durability doing plain,
// unencrypted rows that decide nothing. Both run in turns in one process, so
// that the ratio holds when the machine's speed drifts.
//
//	ABIDE_PROOF=1 go test ./bench/traffic -run ProofOfTraffic -v -timeout 30m
package traffic

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// target is a server under measurement: its people, and how they are called.
type target struct {
	name   string
	url    string
	token  string
	people []string // ids
	client *http.Client
}

// operations, in the order they are measured. Each is one HTTP call.
var operations = []string{"audited read", "consent write", "collect with look-up"}

// request builds the n-th call of an operation by a client. Every second
// consent write takes back what the one before gave; every collect brings an
// address that nobody has yet, so that its look-up is always a new one.
func (t *target) request(op string, client, n int) (*http.Request, int, error) {
	id := t.people[rand.IntN(len(t.people))]
	method, path, want := http.MethodPost, "/v1/subjects/"+id, http.StatusOK
	var body string
	switch op {
	case "audited read":
		path, body = path+"/data/read", `{"purpose":"deliver","categories":["person.name","person.email"]}`
	case "consent write":
		path, want = path+"/consents", http.StatusCreated
		body = `{"purpose":"newsletter","action":"give","evidence":{"source":"form","language":"en","wording":"May we write to you once a month?"}}`
		if n%2 == 1 {
			body = `{"purpose":"newsletter","action":"withdraw","evidence":{"source":"centre","language":"en"}}`
		}
	case "collect with look-up":
		method, path = http.MethodPut, path+"/data"
		body = fmt.Sprintf(`{"purpose":"deliver","source":"checkout","items":{"person.name":"Mira Okafor","person.email":"p%d.%d.%d@example.test"}}`, client, n, time.Now().UnixNano())
	default:
		return nil, 0, fmt.Errorf("no operation %q", op)
	}
	r, err := http.NewRequest(method, t.url+path, strings.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Authorization", "Bearer "+t.token)
	r.Header.Set("Content-Type", "application/json")
	return r, want, nil
}

func (t *target) call(op string, client, n int) error {
	r, want, err := t.request(op, client, n)
	if err != nil {
		return err
	}
	res, err := t.client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer bytes.Buffer
	if _, err := io.Copy(&answer, res.Body); err != nil {
		return err
	}
	if res.StatusCode != want {
		return fmt.Errorf("%s: status %d, want %d: %.300s", op, res.StatusCode, want, answer.String())
	}
	return nil
}

// figures are what one operation did in all its turns.
type figures struct {
	latencies []time.Duration
	elapsed   time.Duration
}

func (f *figures) rate() float64 { return float64(len(f.latencies)) / f.elapsed.Seconds() }

func (f *figures) quantile(q float64) time.Duration {
	if len(f.latencies) == 0 {
		return 0
	}
	slices.Sort(f.latencies)
	return f.latencies[int(q*float64(len(f.latencies)-1))].Round(time.Microsecond)
}

// run lets clients call in a closed loop, each its next call when the one
// before is answered, until the time is up. The first error ends it.
func (t *target) run(op string, clients int, length time.Duration, into *figures) error {
	var mu sync.Mutex
	var failed error
	start := time.Now()
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			var own []time.Duration
			for n := 0; n == 0 || time.Since(start) < length; n++ {
				began := time.Now()
				if err := t.call(op, client, n); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = err
					return
				}
				own = append(own, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			into.latencies = append(into.latencies, own...)
		})
	}
	wg.Wait()
	into.elapsed += time.Since(start)
	return failed
}
