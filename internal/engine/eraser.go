package engine

import (
	"context"
	"errors"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

const (
	erasePage  = 100              // erasures carried on together, scrubbed once
	purgePage  = 500              // items purged in one transaction
	eraseRetry = 10 * time.Second // after a failure; the promise is 60 s
)

func (e *Engine) wakeEraser() { signal(e.erasures) }

// eraser carries erasures on to their end, until its context ends.
func (e *Engine) eraser(ctx context.Context) {
	retry := time.NewTicker(eraseRetry)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.erasures:
		case <-retry.C:
		}
		if err := errors.Join(e.carryOn(ctx), e.resumeCopies(ctx)); err != nil && ctx.Err() == nil {
			e.log.Warn("erasures or copies not finished yet", "error", err.Error())
		}
	}
}

// certifyPending brings erasures that an earlier process began to their
// certificate, so that no key outlives the intent for longer than a restart.
func (e *Engine) certifyPending(ctx context.Context) error {
	jobs, err := e.store.ErasureJobs(ctx, 1000)
	if err != nil {
		return storageError(err)
	}
	for _, j := range jobs {
		if j.Step == stepIntent {
			if err := e.finishIntent(ctx, j.Subject); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Engine) finishIntent(ctx context.Context, id abide.SubjectID) error {
	_, err := e.eraseFully(ctx, systemCall, id)
	return err
}

// carryOn purges what was certified, scrubs the files once for all of a page,
// and ends the jobs. Killed anywhere, it begins again and repeats harmlessly:
// a job ends only after the scrub that covers it.
func (e *Engine) carryOn(ctx context.Context) error {
	for {
		jobs, err := e.store.ErasureJobs(ctx, erasePage)
		if err != nil || len(jobs) == 0 {
			return storageError(err)
		}
		var failed error
		var purged []abide.SubjectID
		for _, j := range jobs {
			if err := e.purge(ctx, j); err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			purged = append(purged, j.Subject)
		}
		if len(purged) == 0 {
			return failed
		}
		if err := errors.Join(e.store.Scrub(ctx), e.keys.Scrub(ctx)); err != nil {
			return errors.Join(failed, storageError(err))
		}
		for _, id := range purged {
			failed = errors.Join(failed, e.endErasure(ctx, id))
		}
		if failed != nil {
			return failed
		}
	}
}

// purge deletes the rows and look-ups of an erased person, but for what law
// retains.
func (e *Engine) purge(ctx context.Context, j storage.ErasureJob) error {
	if j.Step == stepIntent {
		if err := e.finishIntent(ctx, j.Subject); err != nil {
			return err
		}
	}
	// Again: another node may have taken in a request while the intent landed.
	if err := e.dropApprovals(ctx, j.Subject); err != nil {
		return err
	}
	loaded, err := e.store.Load(ctx, j.Subject, storage.Want{})
	if err != nil {
		return storageError(err)
	}
	if loaded.Subject.Law == nil {
		if err := e.purgeItems(ctx, j.Subject, vault.Compartments()); err != nil {
			return err
		}
	} else if err := e.purgeItems(ctx, j.Subject, erased(true)); err != nil {
		return err
	}
	if err := e.purgeBlobs(ctx, j.Subject); err != nil {
		return err
	}
	e.metrics.erasure("purged")
	return nil
}

func (e *Engine) purgeItems(ctx context.Context, id abide.SubjectID, compartments []storage.Compartment) error {
	for more := true; more; {
		dropped, again, err := e.store.PurgeItems(ctx, id, compartments, purgePage)
		if err != nil {
			return storageError(err)
		}
		if err := e.store.Drop(ctx, dropped); err != nil {
			return storageError(err)
		}
		more = again
	}
	return nil
}

// endErasure ends the job and keeps the certificate.
func (e *Engine) endErasure(ctx context.Context, id abide.SubjectID) error {
	loaded, err := e.store.Load(ctx, id, storage.Want{Erasure: true})
	if err != nil {
		return storageError(err)
	}
	if loaded.Erasure == nil || loaded.Erasure.Step == storage.ErasureDone {
		return nil
	}
	job := *loaded.Erasure
	job.Step = storage.ErasureDone
	ch := &storage.Change{Expect: loaded.Subject.Version, Row: loaded.Subject, Erasure: &job}
	ch.Row.Version++
	if err := e.commit(ctx, ch); err != nil {
		return storageError(err)
	}
	e.metrics.erasure(storage.ErasureDone)
	return nil
}
