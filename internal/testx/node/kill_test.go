package node_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/node"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/abide-privacy/abide/internal/testx/whole"
	"github.com/abide-privacy/abide/internal/vault"
)

// missing lists what a store lacks of what was acknowledged.
func missing(t *testing.T, s whole.Store, acks []node.Ack) []string {
	t.Helper()
	ctx, v := context.Background(), vault.New(s.Ring)
	erasing := map[abide.SubjectID]bool{}
	for _, a := range acks {
		if a.Op == "erasing" {
			erasing[a.Subject] = true
		}
	}
	batches, err := s.Data.SpoolBatches(ctx, 1<<20)
	must(t, err)
	looks := map[engine.LookReceipt]int{}
	for _, b := range batches {
		looks[engine.LookReceipt{Node: b.Node, Batch: b.Batch}] = len(b.Looks)
	}
	var lost []string
	for _, a := range acks {
		if !holds(t, s, v, a, erasing[a.Subject], looks) {
			lost = append(lost, a.Op+" "+a.Subject.String())
		}
	}
	return lost
}

func holds(t *testing.T, s whole.Store, v *vault.Vault, a node.Ack, erasing bool, looks map[engine.LookReceipt]int) bool {
	t.Helper()
	ctx := context.Background()
	switch a.Op {
	case "erasing":
		return true
	case "published":
		ep, err := s.Data.Epoch(ctx)
		return err == nil && ep.N >= a.Epoch
	case "read":
		return looks[engine.LookReceipt{Node: a.Look.Node, Batch: a.Look.Batch}] > int(a.Look.Pos)
	}
	l, err := s.Data.Load(ctx, a.Subject, storage.Want{AllItems: true, Erasure: true})
	if err != nil {
		return false
	}
	if a.Op == "erased" {
		return l.Subject.Status == abide.StatusErased && l.Erasure != nil
	}
	if erasing && l.Subject.Status != abide.StatusActive {
		return true // taken away by an erasure that came after it
	}
	switch a.Op {
	case "created":
		return true
	case "collected":
		return !slices.ContainsFunc(a.Items, func(r engine.ItemRef) bool {
			return !slices.ContainsFunc(l.Items, func(it storage.Item) bool { return it.Category == r.Category && it.ID == r.ID })
		})
	case "give", "withdraw":
		rows, err := s.Data.ConsentEvents(ctx, a.Subject, a.Event-1, 1)
		must(t, err)
		wrapped, err := s.Keys.Get(ctx, a.Subject)
		must(t, err)
		keys, err := v.Unlock(a.Subject, wrapped)
		must(t, err)
		defer keys.Close()
		if len(rows) != 1 {
			return false
		}
		_, receipt, err := v.OpenConsent(keys, &rows[0])
		return err == nil && bytes.Contains(receipt, []byte(a.Receipt))
	}
	t.Fatalf("an acknowledgement of %q", a.Op)
	return false
}

// follow reads acknowledgements to their end, and calls each when there are n,
// 2n, ... of them with n drawn from next.
func follow(t *testing.T, out io.Reader, next func() int, each func()) []node.Ack {
	t.Helper()
	n, at := 0, next()
	return listen(t, out, func(node.Ack) {
		if n++; n == at {
			each()
			at += next()
		}
	})
}

// listen reads what a node under load says to its end.
func listen(t *testing.T, out io.Reader, each func(node.Ack)) []node.Ack {
	t.Helper()
	var acks []node.Ack
	for sc := bufio.NewScanner(out); sc.Scan(); {
		var a node.Ack
		if err := json.Unmarshal(sc.Bytes(), &a); err != nil {
			t.Fatalf("%v: %s", err, sc.Bytes())
		}
		acks = append(acks, a)
		each(a)
	}
	return acks
}

// TestKillsUnderLoad kills a node at random moments while clients work, again
// and again on the same store, and wants everything acknowledged in it and
// nothing by halves: both as the dead node left it, and after the next one has
// finished what was begun.
func TestKillsUnderLoad(t *testing.T) {
	kills, each := 5, 5
	if long() {
		kills, each = 200, 20
	}
	for _, eng := range engines {
		t.Run(eng.name, func(t *testing.T) {
			total, left := 0, &whole.Report{}
			for done := 0; done < kills; {
				d := eng.fresh(t)
				var all []node.Ack
				for ; done < kills && (done%each != 0 || len(all) == 0); done++ {
					all = append(all, killed(t, d, 1+rand.IntN(250))...)
					left = afterKill(t, d, all)
					if t.Failed() {
						t.Fatalf("after kill %d", done+1)
					}
				}
				total += len(all)
			}
			t.Logf("%d kills, %d acknowledged operations, 0 lost; the last store: %s", kills, total, left)
		})
	}
}

// killed runs a node under load and kills it when it has acknowledged n calls.
func killed(t *testing.T, d node.Deployment, n int) []node.Ack {
	t.Helper()
	cmd := node.Job{Deployment: d, Do: "load", Clients: 8}.Command(plain(t))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	dead := false
	acks := follow(t, out, func() int { return n }, func() {
		if !dead {
			dead = true
			must(t, cmd.Process.Kill())
		}
	})
	_ = cmd.Wait() // killed: always an error
	if !dead {
		t.Fatalf("the node ended by itself after %d calls", len(acks))
	}
	return acks
}

func afterKill(t *testing.T, d node.Deployment, acks []node.Ack) *whole.Report {
	t.Helper()
	ctx := context.Background()
	s, err := d.Open(ctx)
	must(t, err)
	defer node.Close(s)
	halves(t, s)
	wanted(t, s, acks)
	e, err := node.Start(ctx, s, later)
	must(t, err)
	defer e.Close(ctx)
	must(t, node.Settle(ctx, s.Data))
	r := halves(t, s)
	if r.Erasing != 0 {
		t.Errorf("%d erasures are not finished", r.Erasing)
	}
	wanted(t, s, acks)
	return r
}

func wanted(t *testing.T, s whole.Store, acks []node.Ack) {
	t.Helper()
	for _, lost := range missing(t, s, acks) {
		t.Errorf("acknowledged and lost: %s", lost)
	}
}

// TestServerKillsUnderLoad kills the PostgreSQL server at random moments under a
// node that goes on: SIGKILL to its first process, or an immediate shutdown, in
// turns. The node sends each call again, with its key, until it hears of it.
func TestServerKillsUnderLoad(t *testing.T) {
	kills := 5
	if long() {
		kills = 200
	}
	server, err := pg.Start()
	must(t, err)
	defer server.Stop()
	server.Exec(t, "CREATE DATABASE data")
	d := node.Deployment{Dir: t.TempDir(), Data: server.URL("data"), Keys: server.URL("data")}
	cmd := node.Job{Deployment: d, Do: "load", Clients: 8}.Command(plain(t))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	done := 0
	acks := follow(t, out, func() int { return 1 + rand.IntN(200) }, func() {
		if done++; done > kills {
			_ = cmd.Process.Kill() // enough; it may be called again for what was said meanwhile
			return
		}
		must(t, server.Crash(done%2 == 0))
		must(t, server.Restart())
	})
	_ = cmd.Wait() // killed: always an error
	if done <= kills {
		t.Fatalf("the node ended by itself after %d kills of the server", done)
	}
	again := 0
	for _, a := range acks {
		if a.Tries > 1 {
			again++
		}
	}
	r := afterKill(t, d, acks)
	t.Logf("%d kills of the server, %d acknowledged operations, %d of them sent again, 0 lost; %s", kills, len(acks), again, r)
}
