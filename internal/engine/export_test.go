package engine

import "context"

// SweepBy has a sweep read so many subjects a page, and save its position after
// each.
func (e *Engine) SweepBy(rows int) { e.sweepRows, e.sweepPages = rows, 1 }

// KeepMark is what happens every second.
func (e *Engine) KeepMark(ctx context.Context) {
	if err := e.keepMark(ctx); err != nil {
		panic(err)
	}
}
