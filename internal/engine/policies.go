package engine

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/load"
)

// keepCompiled bounds how many policy versions stay compiled: the one in force
// and those that questions about the past asked for.
const keepCompiled = 16

// inForce is the policy of an epoch.
type inForce struct {
	epoch  storage.Epoch
	policy *policy.Policy
	loaded *load.Result
}

// policies caches compiled policies by version. They are immutable, so the
// cache can be old but never wrong: which version is in force comes with every
// load of a subject, and one that is not compiled here is compiled from the
// store's own source. A version that comes into force again knows the terms
// that people agreed to under those in between: it is compiled anew for every
// epoch that it is asked for under.
type policies struct {
	mu       sync.Mutex
	compiled map[string]compiled
	order    []string // oldest use first
	compile  singleflight.Group
	current  atomic.Pointer[inForce]
}

// compiled is a policy with the terms of all published up to an epoch.
type compiled struct {
	*load.Result
	epoch uint64
}

func (ps *policies) init() { ps.compiled = map[string]compiled{} }

// get returns a version with the terms of an epoch; nil if it is not here.
func (ps *policies) get(version string, epoch uint64) *load.Result {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.compiled[version]
	if p.Result == nil || p.epoch < epoch {
		return nil
	}
	ps.touch(version)
	return p.Result
}

func (ps *policies) put(v string, r *load.Result, epoch uint64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.compiled[v].epoch > epoch {
		return
	}
	ps.compiled[v] = compiled{r, epoch}
	ps.touch(v)
	if len(ps.order) > keepCompiled {
		delete(ps.compiled, ps.order[0])
		ps.order = ps.order[1:]
	}
}

func (ps *policies) touch(version string) {
	for i, v := range ps.order {
		if v == version {
			ps.order = append(ps.order[:i:i], ps.order[i+1:]...)
			break
		}
	}
	ps.order = append(ps.order, version)
}

// follow returns the compiled policy of the epoch that a load brought, and
// remembers it as the one in force unless a newer one is known already. Nil
// without an error: none was published.
func (e *Engine) follow(ctx context.Context, ep storage.Epoch) (*inForce, error) {
	if ep.Version == "" {
		return nil, nil
	}
	cur := e.policies.current.Load()
	if cur != nil && cur.epoch.N == ep.N && cur.epoch.Version == ep.Version {
		return cur, nil
	}
	r, err := e.policyWith(ctx, ep.Version, ep.N)
	if err != nil {
		return nil, err
	}
	next := &inForce{epoch: ep, policy: r.Policy, loaded: r}
	for cur == nil || cur.epoch.N < ep.N {
		if e.policies.current.CompareAndSwap(cur, next) {
			break
		}
		cur = e.policies.current.Load()
	}
	return next, nil
}

// refresh asks the store for the epoch in force and follows it.
func (e *Engine) refresh(ctx context.Context) (*inForce, error) {
	ep, err := e.store.Epoch(ctx)
	if err == nil || isNotFound(err) {
		e.sawIndex(ep.Index)
	}
	if err != nil {
		if isNotFound(err) {
			return nil, nil
		}
		return nil, storageError(err)
	}
	return e.follow(ctx, ep)
}

// unusablePolicy tells a policy that is there and cannot be used from none.
func unusablePolicy() error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: string(abide.DenyPolicyUnavailable),
		Message: "the policy in force cannot be read, was changed in the store or does not compile any more",
		Hint:    "restore the store from its backup, or publish another policy; the server's log names the cause"}
}

// policyVersion returns a published policy, with the terms of all that this node
// knows of.
func (e *Engine) policyVersion(ctx context.Context, version string) (*load.Result, error) {
	epoch := uint64(0)
	if cur := e.policies.current.Load(); cur != nil {
		epoch = cur.epoch.N
	}
	return e.policyWith(ctx, version, epoch)
}

// policyWith returns a published policy with the terms of an epoch, compiling
// it at most once however many ask. A policy that does not compile any more is
// unavailable, which denies.
func (e *Engine) policyWith(ctx context.Context, version string, epoch uint64) (*load.Result, error) {
	if p := e.policies.get(version, epoch); p != nil {
		return p, nil
	}
	v, err, _ := e.policies.compile.Do(version+"\x00"+strconv.FormatUint(epoch, 10), func() (any, error) {
		// Whoever waits for this shares it, so one caller's leaving must not end it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		r, err := e.compilePublished(ctx, version)
		if err != nil {
			return nil, err
		}
		e.policies.put(version, r, epoch)
		return r, nil
	})
	if err != nil {
		e.log.Error("the policy in force cannot be used", "version", version, "error", err.Error())
		return nil, unusablePolicy()
	}
	return v.(*load.Result), nil
}

// Policy returns the policy in force as this node last saw it, nil if none was
// published. It is for pages and listings; deciding follows the load instead.
func (e *Engine) Policy() *policy.Policy {
	if f := e.policies.current.Load(); f != nil {
		return f.policy
	}
	return nil
}

// CurrentPolicy returns the policy in force with the text it was read from.
func (e *Engine) CurrentPolicy(ctx context.Context) (*load.Result, PublishInfo, error) {
	f, err := e.refresh(ctx)
	if err != nil {
		return nil, PublishInfo{}, err
	}
	if f == nil {
		return nil, PublishInfo{}, noPolicy()
	}
	return f.loaded, PublishInfo{Version: f.epoch.Version, Epoch: f.epoch.N, Published: f.epoch.Since}, nil
}

// PolicyAt returns the policy that was in force at t.
func (e *Engine) PolicyAt(ctx context.Context, t time.Time) (*policy.Policy, error) {
	rows, err := e.store.Policies(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	version := ""
	for _, r := range rows {
		if !r.Published.After(t) {
			version = r.Version
		}
	}
	if version == "" {
		return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "no_policy_then",
			Message: "no policy was in force at that time", Hint: "ask for a later time"}
	}
	r, err := e.policyVersion(ctx, version)
	if err != nil {
		return nil, err
	}
	return r.Policy, nil
}

// Policies lists what was published, oldest first.
func (e *Engine) Policies(ctx context.Context) ([]PublishInfo, error) {
	rows, err := e.store.Policies(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	out := make([]PublishInfo, len(rows))
	for i, r := range rows {
		out[i] = PublishInfo{Version: r.Version, Epoch: r.N, Published: r.Published}
	}
	return out, nil
}
