package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/abide-privacy/abide/internal/storage"
)

const (
	housekeepingEvery = time.Minute
	housekeepingPage  = 500 // rows of one transaction
	housekeepingPages = 20  // of each kind in one round, so that no round takes long

	// claimGrace is how long after its expiry a claim that nobody confirmed is
	// given up: far longer than any commit is under way.
	claimGrace  = time.Hour
	claimRounds = 2 // that see a claim before it is given up
)

// Tidied says what a round of housekeeping removed.
type Tidied struct {
	Answers   int // remembered answers whose time was over
	Claims    int // look-ups that nobody came to bear
	Confirmed int // look-ups whose bearer was cut off before confirming them
	Orphans   int // subjects' keys without a subject
	Segments  int // of the restore ledger, that no kept backup can need
}

// housekeeping is what this node remembers between its rounds.
type housekeeping struct {
	mu sync.Mutex // one round at a time
	// seen counts in how many rounds before a claim was old enough. It is given
	// up in the third that finds it: were the clock to jump, claims of requests
	// under way would look old, and two rounds later these have ended.
	seen map[string]int
}

// housekeeper tidies now and then, until its context ends.
func (e *Engine) housekeeper(ctx context.Context) {
	t := time.NewTicker(housekeepingEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		done, err := e.Housekeep(ctx)
		if err != nil && ctx.Err() == nil {
			e.log.Warn("housekeeping not finished yet", "error", err.Error())
		}
		if done != (Tidied{}) {
			e.log.Info("housekeeping", "answers", done.Answers, "claims", done.Claims, "confirmed", done.Confirmed, "orphans", done.Orphans, "segments", done.Segments)
		}
	}
}

// Housekeep does one bounded round of removing what requests that ended long
// ago left behind: remembered answers, claims whose item never came, keys whose
// subject never came. Killed anywhere, the next round goes on; several nodes
// may do it at once. A node that is not ready, for its clock is wrong or its
// database a standby, removes nothing.
func (e *Engine) Housekeep(ctx context.Context) (Tidied, error) {
	e.tidying.mu.Lock()
	defer e.tidying.mu.Unlock()
	var done Tidied
	err := e.store.Ready(ctx)
	if err == nil {
		err = errors.Join(e.forgetAnswers(ctx, &done), e.giveUpClaims(ctx, &done), e.collectOrphans(ctx, &done), e.pruneLedger(ctx, &done))
	}
	e.metrics.tidied(done, err)
	return done, storageError(err)
}

func (e *Engine) forgetAnswers(ctx context.Context, done *Tidied) error {
	for range housekeepingPages {
		n, err := e.store.ForgetAnswers(ctx, e.now(), housekeepingPage)
		done.Answers += n
		if err != nil || n < housekeepingPage {
			return err
		}
	}
	return nil
}

// giveUpClaims drops claims that nobody confirmed and nobody bears: their blind
// index value would stay for ever, past the erasure of the person who meant to
// write it. One that is borne after all is confirmed.
func (e *Engine) giveUpClaims(ctx context.Context, done *Tidied) error {
	before := e.tidying.seen
	e.tidying.seen = map[string]int{}
	for range housekeepingPages {
		claims, err := e.store.Expired(ctx, e.now().Add(-claimGrace), housekeepingPage)
		if err != nil {
			return err
		}
		var confirm, drop []storage.Lookup
		for _, l := range claims {
			name := claimName(l)
			if before[name] < claimRounds {
				e.tidying.seen[name] = before[name] + 1
				continue
			}
			bears, err := e.bears(ctx, e.indexKeys(), l, []storage.IndexValue{l.Index})
			switch {
			case err != nil:
				return err
			case bears:
				confirm = append(confirm, l)
			default:
				drop = append(drop, l)
			}
		}
		if err := errors.Join(e.store.Confirm(ctx, confirm), e.store.Release(ctx, drop)); err != nil {
			return err
		}
		done.Confirmed += len(confirm)
		done.Claims += len(drop)
		if len(confirm)+len(drop) < housekeepingPage {
			return nil // the others are for later rounds
		}
	}
	return nil
}

// claimName tells one claim from every other, one made anew included.
func claimName(l storage.Lookup) string {
	return string(l.Category) + "\x00" + indexKey(l.Index) + "\x00" + string(l.Subject[:]) + l.Expires.UTC().Format(time.RFC3339Nano)
}
