package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/abide-privacy/abide/internal/testx/history"
)

// consents drives clients against the consent register of a cluster.
type consents struct {
	*cluster
	log *history.Log
	// current are the people whom the clients ask about. They change every few
	// seconds, so that no register's history grows too long to be judged.
	current atomic.Pointer[[]string]
	refused atomic.Int64 // writes that were answered with an error other than of availability
}

const registersAtOnce = 3

// people makes the next people, on any node that answers.
func (c *consents) people(ctx context.Context) error {
	var ids []string
	for len(ids) < registersAtOnce && ctx.Err() == nil {
		n := rand.IntN(len(c.nodes))
		var made struct{ ID string }
		if status, err := c.call(ctx, n, http.MethodPost, "/v1/subjects", "", `{"jurisdiction":"HK","birth_date":"1990-04-02"}`, &made); err != nil || status >= 300 {
			wait(ctx, 20*time.Millisecond)
			continue
		}
		status, err := c.call(ctx, n, http.MethodPut, "/v1/subjects/"+made.ID+"/data", "",
			`{"service":"shop","source":"form","items":{"person.email":"ann@example.test"}}`, nil)
		if err == nil && status < 300 {
			ids = append(ids, made.ID)
		}
	}
	if ctx.Err() == nil {
		c.current.Store(&ids)
	}
	return ctx.Err()
}

// client makes random calls until the context ends, most often to one node.
func (c *consents) client(ctx context.Context, n int) {
	for i := 0; ctx.Err() == nil; i++ {
		ids := *c.current.Load()
		o := history.Op{Client: n, Node: n % len(c.nodes), Key: history.Key{Subject: ids[rand.IntN(len(ids))], Purpose: "newsletter"}}
		if rand.IntN(4) == 0 {
			o.Node = rand.IntN(len(c.nodes))
		}
		switch rand.IntN(8) {
		case 0:
			o.Kind = history.Give
			c.write(o, "give", fmt.Sprintf("%d-%d", n, i))
		case 1:
			o.Kind = history.Withdraw
			c.write(o, "withdraw", fmt.Sprintf("%d-%d", n, i))
		default:
			o.Kind = history.Ask
			c.ask(o)
		}
	}
}

// write sends a call, and again with the same key to any node, until it is
// acknowledged; after a while it gives up, and its outcome stays open.
func (c *consents) write(o history.Op, action, key string) {
	ctx, cancel := context.WithTimeout(context.Background(), 12*time.Second)
	defer cancel()
	body := fmt.Sprintf(`{"purpose":"newsletter","action":%q,"evidence":{"wording":"Shall we write to you?"}}`, action)
	o.Call, o.Return = c.log.Now(), history.Never
	defer func() { c.log.Add(o) }()
	for ctx.Err() == nil {
		one, stop := context.WithTimeout(ctx, 2*time.Second)
		var problem struct{ Code, Title string }
		status, err := c.call(one, o.Node, http.MethodPost, "/v1/subjects/"+o.Key.Subject+"/consents", key, body, &problem)
		stop()
		switch {
		case err == nil && status < 300:
			o.Return = c.log.Now()
			return
		case err == nil && status < 500 && problem.Code != "changed_meanwhile":
			c.refused.Add(1)
			c.t.Errorf("%s: status %d: %s", o, status, problem.Code)
			return
		}
		wait(ctx, 20*time.Millisecond)
		o.Node = rand.IntN(len(c.nodes))
	}
}

// ask asks whether the newsletter may go out: for a decision, or for the
// address to send it to. A call without an answer saw nothing and stays out.
func (c *consents) ask(o history.Op) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	o.Call = c.log.Now()
	var status int
	var err error
	if rand.IntN(2) == 0 {
		var d struct{ Effect string }
		status, err = c.call(ctx, o.Node, http.MethodPost, "/v1/decide", "",
			fmt.Sprintf(`{"subject":%q,"purpose":"newsletter","act":"contact","categories":["person.email"]}`, o.Key.Subject), &d)
		o.Permitted = d.Effect == "permit"
	} else {
		status, err = c.call(ctx, o.Node, http.MethodPost, "/v1/subjects/"+o.Key.Subject+"/data/read", "",
			`{"purpose":"newsletter","act":"contact","categories":["person.email"]}`, nil)
		o.Permitted = status == http.StatusOK
	}
	if err != nil || status >= 500 || status == 0 {
		return
	}
	if status != http.StatusOK && status != http.StatusForbidden {
		c.t.Errorf("%s: status %d", o, status)
		return
	}
	o.Return = c.log.Now()
	c.log.Add(o)
}

// run lets clients work for a while, with faults or without, and judges.
func (c *consents) run(length time.Duration, faults bool) (history.Verdict, []string, map[string]int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	must(c.t, c.people(ctx))
	var all sync.WaitGroup
	for n := range 9 {
		all.Go(func() { c.client(ctx, n) })
	}
	all.Go(func() {
		for wait(ctx, 3*time.Second); ctx.Err() == nil; wait(ctx, 3*time.Second) {
			_ = c.people(ctx) // it ends with the context
		}
	})
	var did map[string]int
	if faults {
		all.Go(func() { did = c.harass(ctx) })
	}
	all.Wait()
	ops := c.log.Ops()
	v, err := history.Linearizable(ops, time.Minute, c.t.ArtifactDir())
	must(c.t, err)
	return v, history.LatePermits(ops), did
}

// TestLinearizable runs three nodes on one PostgreSQL while they are killed,
// cut off, slowed down and set to wrong times, and wants the consent register
// linearizable and not one permit that begins after an acknowledged withdrawal.
func TestLinearizable(t *testing.T) {
	length := 8 * time.Second
	if long() {
		length = 5 * time.Minute
	}
	c := &consents{cluster: newCluster(t, 3, ""), log: history.New()}
	v, late, did := c.run(length, true)
	for _, one := range v.Violations {
		t.Errorf("%s", one)
	}
	for _, one := range late {
		t.Errorf("permitted after an acknowledged withdrawal: %s", one)
	}
	if v.Undecided > 0 || v.Overlapping == 0 || v.Ops < 100 || len(did) == 0 {
		t.Errorf("this proves nothing: %+v, faults %v", v, did)
	}
	if len(v.Pictures) > 0 {
		t.Logf("drawn in %v", v.Pictures)
	}
	t.Logf("%d operations on %d registers, %d overlapping pairs, %d of unknown outcome, %d violations, %d late permits; %v",
		v.Ops, v.Registers, v.Overlapping, v.Unknown, len(v.Violations), len(late), did)
}

// TestClockJumps sets the clocks of nodes hours apart, again and again. A node
// whose clock is that wrong is not ready, and may refuse what was agreed in its
// future; it must permit nothing that was withdrawn, and take in every
// withdrawal.
func TestClockJumps(t *testing.T) {
	length := 3 * time.Second
	if long() {
		length = time.Minute
	}
	c := &consents{cluster: newCluster(t, 3, ""), log: history.New()}
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	jumps := 0
	var jumping sync.WaitGroup
	jumping.Go(func() {
		for ; ctx.Err() == nil; jumps++ {
			c.jump(ctx, c.nodes[rand.IntN(3)], time.Duration(rand.IntN(7200)-3600)*time.Second)
			wait(ctx, 100*time.Millisecond)
		}
	})
	v, late, _ := c.run(length, false)
	jumping.Wait()
	for _, one := range late {
		t.Errorf("permitted after an acknowledged withdrawal: %s", one)
	}
	permits, withdrawals := 0, 0
	for _, o := range c.log.Ops() {
		switch {
		case o.Permitted:
			permits++
		case o.Kind == history.Withdraw && o.Return != history.Never:
			withdrawals++
		}
	}
	if permits == 0 || withdrawals == 0 || jumps < 5 || v.Unknown > 0 {
		t.Errorf("this proves nothing: %d permits, %d withdrawals, %d unknown, %d jumps", permits, withdrawals, v.Unknown, jumps)
	}
	t.Logf("%d jumps of up to an hour, %d operations, %d permits, %d withdrawals, %d late permits", jumps, v.Ops, permits, withdrawals, len(late))
}

// TestLinearizableCatchesACache holds the check to account: nodes built to keep
// consents for 200 ms must be caught by both judgements.
func TestLinearizableCatchesACache(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "run")
	build(t, "abide_cacheconsent", exe)
	c := &consents{cluster: newCluster(t, 3, exe), log: history.New()}
	v, late, _ := c.run(3*time.Second, false)
	if len(v.Violations) == 0 || len(late) == 0 {
		t.Fatalf("not caught: %d violations, %d late permits, %+v", len(v.Violations), len(late), v)
	}
	t.Logf("caught: %d of %d registers are not linearizable, %d permits after an acknowledged withdrawal; the first:\n%s",
		len(v.Violations), v.Registers, len(late), strings.Join(strings.SplitN(v.Violations[0], "\n", 8)[:7], "\n"))
}
