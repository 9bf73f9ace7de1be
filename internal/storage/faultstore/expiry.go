package faultstore

import (
	"context"
	"fmt"
	"time"

	"github.com/abide-privacy/abide/internal/storage"
)

func (w *store) ForgetAnswers(ctx context.Context, expired time.Time, limit int) (n int, err error) {
	err = w.f.write("ForgetAnswers", func() string { return fmt.Sprint(n) }, func() (err error) {
		n, err = w.s.ForgetAnswers(ctx, expired, limit)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (w *store) Expired(ctx context.Context, at time.Time, limit int) ([]storage.Lookup, error) {
	return read(w.f, "Expired", func() ([]storage.Lookup, error) { return w.s.Expired(ctx, at, limit) })
}
