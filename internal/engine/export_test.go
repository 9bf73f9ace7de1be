package engine

// SweepBy has a sweep read so many subjects a page, and save its position after
// each.
func (e *Engine) SweepBy(rows int) { e.sweepRows, e.sweepPages = rows, 1 }
