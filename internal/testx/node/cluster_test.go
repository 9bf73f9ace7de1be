package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/testx/node"
	"github.com/abide-privacy/abide/internal/testx/proxy"

	abide "github.com/abide-privacy/abide"
)

// cluster is some nodes over one PostgreSQL database, each behind a proxy of
// its own.
type cluster struct {
	t     *testing.T
	token string
	nodes []*member
	skew  time.Duration // how far a clock may be set off the true time, either way
}

type member struct {
	n       int
	d       node.Deployment
	exe     string
	proxy   *proxy.Proxy
	mu      sync.Mutex
	url     string // empty while it is down
	process *exec.Cmd
	stdin   io.Closer
}

// newCluster makes a database, publishes the policy, and starts n nodes of the
// program exe (empty: this one).
func newCluster(t *testing.T, n int, exe string) *cluster {
	t.Helper()
	direct := copied(t)
	d := node.Deployment{Dir: t.TempDir(), Data: direct, Keys: direct}
	s, err := d.Open(t.Context())
	must(t, err)
	e, err := node.Start(t.Context(), s, time.Now)
	must(t, err)
	lead := engine.Call{Actor: abide.Actor{Kind: abide.ActorStaff, Name: "lead", Admin: true}, Token: "lead"}
	token, _, err := e.CreateToken(t.Context(), lead, engine.NewToken{Name: "shop",
		Actor: abide.Actor{Kind: abide.ActorService, Name: "shop", Purposes: []abide.Purpose{"provide", "newsletter"}}})
	must(t, err)
	must(t, e.Close(t.Context()))
	must(t, node.Close(s))

	c := &cluster{t: t, token: token, skew: 450 * time.Millisecond}
	u, err := url.Parse(direct)
	must(t, err)
	for i := range n {
		p, err := proxy.New(u.Host)
		must(t, err)
		through := *u
		through.Host = p.Addr()
		m := &member{n: i, exe: exe, proxy: p, d: node.Deployment{Dir: d.Dir, Data: through.String(), Keys: through.String()}}
		c.nodes = append(c.nodes, m)
		must(t, m.start())
	}
	t.Cleanup(func() {
		for _, m := range c.nodes {
			m.kill()
			_ = m.proxy.Close()
		}
	})
	return c
}

// start starts the process and waits until it serves.
func (m *member) start() error {
	cmd := node.Job{Deployment: m.d, Do: "serve"}.Command(m.exe)
	cmd.Stderr = nil // a node that is cut off from its database at the start says so and ends
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var s node.Serving
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // its error is that it was killed
		return errors.Join(errors.New("the node did not start"), err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.url, m.process, m.stdin = s.URL, cmd, in
	return nil
}

// kill ends the process with SIGKILL, if it runs.
func (m *member) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process == nil {
		return
	}
	_ = m.process.Process.Kill()
	_ = m.process.Wait() // killed: always an error
	_ = m.stdin.Close()
	m.url, m.process = "", nil
}

func (m *member) address() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.url
}

// caller has room for a connection of every client.
var caller = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 9}}

var errDown = errors.New("the node is down")

// call sends one request to one node. The status is 0 if it was not answered.
func (c *cluster) call(ctx context.Context, n int, method, path, key, body string, answer any) (int, error) {
	base := c.nodes[n].address()
	if base == "" {
		return 0, errDown
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := caller.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	if answer != nil {
		err = json.Unmarshal(raw, answer)
	}
	return res.StatusCode, err
}

// wait is how the pace of faults is kept: partitions last for real time.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// harass does one fault after another to one node or another until the context
// ends, heals everything, and reports how often it did what.
func (c *cluster) harass(ctx context.Context) map[string]int {
	did := map[string]int{}
	for ctx.Err() == nil {
		m := c.nodes[rand.IntN(len(c.nodes))]
		name := c.harm(ctx, m)
		did[name]++
		wait(ctx, time.Duration(100+rand.IntN(1200))*time.Millisecond)
		m.proxy.Heal()
		c.revive(m)
		wait(ctx, time.Duration(rand.IntN(400))*time.Millisecond)
	}
	return did
}

// revive starts a node that was killed, or that ended because its database was
// away.
func (c *cluster) revive(m *member) {
	for range 5 {
		if m.address() != "" || m.start() == nil {
			return
		}
	}
	c.t.Errorf("node %d does not start any more", m.n+1)
}

// jump sets a node's clock off the true time. The node may be down; then there
// is no clock to set.
func (c *cluster) jump(ctx context.Context, m *member, off time.Duration) {
	_, _ = c.call(ctx, m.n, http.MethodPost, node.JumpPath+"?off="+off.String(), "", "", nil)
}

func (c *cluster) harm(ctx context.Context, m *member) string {
	switch rand.IntN(9) {
	case 0, 1:
		m.kill()
		return "kills"
	case 2:
		m.proxy.Set(proxy.Faults{StopIn: true, StopOut: true})
		return "partitions"
	case 3:
		m.proxy.Set(proxy.Faults{StopIn: true})
		return "answers held back"
	case 4:
		m.proxy.Set(proxy.Faults{Delay: time.Duration(5+rand.IntN(60)) * time.Millisecond})
		return "slow links"
	case 5:
		m.proxy.Set(proxy.Faults{Bandwidth: 30_000})
		return "narrow links"
	case 6:
		m.proxy.Cut()
		return "cuts"
	case 7:
		m.proxy.CutAfter(int64(rand.IntN(20_000)))
		return "cuts in mid-stream"
	default:
		c.jump(ctx, m, time.Duration(rand.IntN(2*int(c.skew)+1))-c.skew)
		return "clock jumps"
	}
}
