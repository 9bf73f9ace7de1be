package api

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	abide "github.com/abide-privacy/abide"
)

// limiter bounds the rate of each caller, by token once it is known to be good
// and by address if it sends none, and of failed authentications by address. A
// bucket is never made for what a caller made up. Buckets that have refilled
// are forgotten.
type limiter struct {
	limits Limits
	now    func() time.Time

	mu       sync.Mutex
	callers  map[[32]byte]*bucket
	failures map[[32]byte]*bucket
	swept    time.Time
}

type bucket struct {
	lim  *rate.Limiter
	last time.Time
}

func newLimiter(l Limits, now func() time.Time) *limiter {
	return &limiter{limits: l, now: now, callers: map[[32]byte]*bucket{}, failures: map[[32]byte]*bucket{}}
}

func rateLimited() error {
	return &abide.Error{Code: abide.CodeTooLarge, Detail: "rate_limited",
		Message: "too many requests", Hint: "wait as long as Retry-After says"}
}

// limit refuses callers without a token that are too fast. Health checks are
// exempt.
func (l *limiter) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exempt := r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.Header.Get("Authorization") != ""
		if !exempt && !l.take(l.callers, "a"+remote(r), l.limits.Rate, l.limits.Burst) {
			writeProblem(w, rateLimited())
			return
		}
		next.ServeHTTP(w, r)
	})
}

// mayCall draws on what the bearer of a token may send.
func (l *limiter) mayCall(token string) bool {
	return l.take(l.callers, "t"+token, l.limits.Rate, l.limits.Burst)
}

// failureBurst is how many wrong tokens an address may send in a row.
const failureBurst = 20

// mayFail draws on the failures an address may have.
func (l *limiter) mayFail(r *http.Request) bool {
	return l.take(l.failures, remote(r), l.limits.Failures, failureBurst)
}

// take draws one token from the bucket of key. Keys are hashed, so that no
// secret stays in memory for longer than its request.
func (l *limiter) take(of map[[32]byte]*bucket, key string, perSecond float64, burst int) bool {
	h := sha256.Sum256([]byte(key))
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	b := of[h]
	if b == nil {
		b = &bucket{lim: rate.NewLimiter(rate.Limit(perSecond), burst)}
		of[h] = b
	}
	b.last = now
	return b.lim.AllowN(now, 1)
}

// sweep forgets, once a minute, callers not seen for as long as a bucket takes
// to refill.
func (l *limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute {
		return
	}
	l.swept = now
	for _, of := range []map[[32]byte]*bucket{l.callers, l.failures} {
		for k, b := range of {
			if now.Sub(b.last) > time.Minute {
				delete(of, k)
			}
		}
	}
}
