package engine

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
)

const (
	counterFlush  = time.Minute // how long counts gather at least
	counterCrowd  = 20          // and how many, so that none is written alone,
	counterLate   = time.Hour   // unless so few come that they would wait for longer than this
	counterValues = 1000        // distinct counts that gather at most
	// unlinkedValue is what is counted of an item that lost its tie to a person:
	// nothing but that there was one. Fewer than unlinkedLeast are not told.
	unlinkedValue = "unlinked"
	unlinkedLeast = 20
	counterLength = 80 // characters of a counted value: a device model, never a text about somebody
)

type counterKey struct{ name, value, period string }

// counters gathers counts about nobody (CLAUSES C03). A count carries no
// subject, no request and no time finer than its period, and counts are
// written together and sorted, so that neither order nor time links one to a
// person. Gathering costs something: a killed process loses what it gathered.
// Writing each at once would tell who was counted.
type counters struct {
	mu    sync.Mutex
	n     map[counterKey]int64
	calls int
	first time.Time
}

// Count adds n to a count about nobody.
func (e *Engine) Count(ctx context.Context, c Call, category abide.Category, value string, n int64) error {
	if err := authorise(c, opCount, abide.SubjectID{}); err != nil {
		return err
	}
	f, err := e.refresh(ctx)
	if err != nil {
		return err
	}
	if f == nil {
		return noPolicy()
	}
	cat, ok := f.policy.Category(category)
	if !ok || cat.CountPer == "" {
		return invalid("not_counted", "this category is not one that is only counted", "give it count_per in the policy, or collect it for a person", string(category))
	}
	if n < 1 || n > 1_000_000 {
		return invalid("bad_count", "a count is between 1 and 1,000,000", "", string(category))
	}
	if len(value) == 0 || len(value) > counterLength || !plainName(value) {
		return invalid("bad_counted_value", fmt.Sprintf("a counted value has 1 to %d characters", counterLength), "send a model or a version, never anything about a person", string(category))
	}
	if looksPersonal(value) {
		return invalid("counted_value_personal", "the value looks like it names a person or a device", "count models and versions; an address or an identifier would link the count to somebody", string(category))
	}
	k := counterKey{string(category), value, period(cat.CountPer, e.now())}
	if e.counters.add(k, n, e.now()) {
		return e.flushCounters(ctx)
	}
	return nil
}

// CounterView is one count about nobody.
type CounterView struct {
	Value  string `json:"value"`
	Period string `json:"period"`
	N      int64  `json:"n"`
}

// Counters returns the counts of a category that are written, those below the
// smallest cell that the policy releases left out.
func (e *Engine) Counters(ctx context.Context, c Call, category abide.Category) ([]CounterView, error) {
	if err := authorise(c, opCount, abide.SubjectID{}); err != nil {
		return nil, err
	}
	f, err := e.refresh(ctx)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, noPolicy()
	}
	cat, ok := f.policy.Category(category)
	if !ok {
		return []CounterView{}, nil
	}
	least := smallestCell(f.policy, category)
	if cat.CountPer == "" {
		least = max(least, unlinkedLeast)
	}
	rows, err := e.store.Counters(ctx, string(category))
	if err != nil {
		return nil, storageError(err)
	}
	out := []CounterView{}
	for _, r := range rows {
		if r.N >= least {
			out = append(out, CounterView{Value: r.Value, Period: r.Period, N: r.N})
		}
	}
	return out, nil
}

// smallestCell is the largest of the smallest cells that statistics by the
// category declare.
func smallestCell(p *policy.Policy, category abide.Category) int64 {
	n := int64(0)
	for _, s := range p.Set().Statistics {
		for _, d := range s.By {
			if d.Category.Name == string(category) {
				n = max(n, int64(s.Smallest))
			}
		}
	}
	return n
}

// add reports whether it is time to write.
func (cs *counters) add(k counterKey, n int64, now time.Time) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.n == nil {
		cs.n, cs.calls, cs.first = map[counterKey]int64{}, 0, now
	}
	cs.calls++
	cs.n[k] += n
	return len(cs.n) >= counterValues
}

func (cs *counters) due(now time.Time) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	age := now.Sub(cs.first)
	return cs.n != nil && (age >= counterFlush && cs.calls >= counterCrowd || age >= counterLate)
}

func (cs *counters) take() map[counterKey]int64 {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	n := cs.n
	cs.n = nil
	return n
}

// flushCounters writes what gathered, sorted by name. If the store cannot tell
// the outcome the counts are not written again: a statistic that lost some is
// better than one that counted them twice.
func (e *Engine) flushCounters(ctx context.Context) error {
	gathered := e.counters.take()
	if len(gathered) == 0 {
		return nil
	}
	rows := make([]storage.Counter, 0, len(gathered))
	for k, n := range gathered {
		rows = append(rows, storage.Counter{Name: k.name, Value: k.value, Period: k.period, N: n})
	}
	slices.SortFunc(rows, func(a, b storage.Counter) int {
		return compareStrings(a.Name, b.Name, a.Value, b.Value, a.Period, b.Period)
	})
	err := e.store.AddCounters(ctx, rows)
	if err != nil && !isOutcomeUnknown(err) {
		for k, n := range gathered {
			e.counters.add(k, n, e.now())
		}
	}
	return storageError(err)
}

// compareStrings orders by the first pair that differs.
func compareStrings(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		switch {
		case pairs[i] < pairs[i+1]:
			return -1
		case pairs[i] > pairs[i+1]:
			return 1
		}
	}
	return 0
}

// looksPersonal reports whether a text holds what could name a person or a
// device: an address, or as many digits in a row as the shortest phone number
// or identifier has.
func looksPersonal(s string) bool {
	if strings.ContainsRune(s, '@') {
		return true
	}
	for _, field := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '/' || r == ',' || r == ';' }) {
		// A version such as 12.0.1 is no address; one of four parts could be.
		if _, err := netip.ParseAddr(field); err == nil {
			return true
		}
	}
	run := 0
	for _, r := range s {
		switch {
		case unicode.IsDigit(r):
			if run++; run >= 10 {
				return true
			}
		case r == ' ' || r == '-': // phone numbers are written in groups
		default:
			run = 0
		}
	}
	return false
}

// period names the stretch of time a count belongs to.
func period(per string, t time.Time) string {
	switch per {
	case "day":
		return t.Format(time.DateOnly)
	case "week":
		y, w := t.ISOWeek()
		return fmt.Sprintf("%04d-W%02d", y, w)
	}
	return t.Format("2006-01") // month, the coarsest
}
