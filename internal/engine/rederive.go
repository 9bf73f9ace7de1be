package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// rederive makes an item's index values anew, under the keys in, from what it
// holds; none if the policy does not tell any more how it is found. The value
// that it has now, if its key is still there, tells which of several readings is
// the one by which it is found.
func (e *Engine) rederive(p *policy.Policy, in storage.IndexKeys, k *vault.SubjectKeys, it *storage.Item) ([]storage.IndexValue, error) {
	r, err := e.vault.OpenItem(k, it)
	if err != nil {
		return nil, err
	}
	readings := readingsOf(p, it.Category, r)
	if len(readings) == 0 {
		return nil, nil
	}
	normal := readings[0]
	for _, one := range readings {
		now, err := e.vault.Index(storage.IndexKeys(it.IndexKey), it.Category, one)
		if err == nil && bearing(it, now) {
			normal = one
			break
		}
	}
	return e.vault.Index(in, it.Category, normal)
}

// readingsOf lists what a value may be found by, the likeliest first: its
// normal form, or the value itself where the policy had it coarsened.
func readingsOf(p *policy.Policy, c abide.Category, r *vault.Record) [][]byte {
	if c == vault.Reference {
		var reference string
		if json.Unmarshal(r.Value, &reference) != nil {
			return nil
		}
		return [][]byte{[]byte(reference)}
	}
	if p == nil {
		return nil
	}
	cat, ok := p.Category(c)
	if !ok {
		return nil
	}
	var out [][]byte
	// What is kept is in its canonical form, which is read alike everywhere.
	if _, normal, err := vault.Normalize(cat.Format, r.Value, ""); err == nil && normal != nil {
		out = append(out, normal)
	}
	if cat.Coarsen != "" {
		out = append(out, r.Value)
	}
	return out
}

// claimBorne takes look-ups for subjects that bear the values already. Where
// the policy has made a value unique that several people have, all of them stay
// found by it, and nobody else gets it.
func (e *Engine) claimBorne(ctx context.Context, all []storage.Lookup, now time.Time) error {
	for i := range all {
		all[i].Borne = true
	}
	err := e.store.Claim(ctx, all, now)
	if !errors.Is(err, storage.ErrTaken) {
		return storageError(err)
	}
	if len(all) == 1 {
		all[0].Unique = false
		return storageError(e.store.Claim(ctx, all, now))
	}
	// One of them is shared: find it by halves, not one by one through a page.
	half := len(all) / 2
	if err := e.claimBorne(ctx, all[:half], now); err != nil {
		return err
	}
	return e.claimBorne(ctx, all[half:], now)
}
