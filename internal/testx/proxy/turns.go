package proxy

import "slices"

// Turn is one exchange on one connection: something was sent, and later
// answered. Begin and End are places in the order of all such events.
type Turn struct{ Begin, End int }

// Turns forgets the turns so far and returns those that have ended. With a
// Delay, what is sent at the same time on two connections overlaps for sure.
func (p *Proxy) Turns() []Turn {
	p.mu.Lock()
	defer p.mu.Unlock()
	ended := slices.DeleteFunc(p.turns, func(t Turn) bool { return t.End == 0 })
	p.turns = nil
	for c := range p.conns {
		c.turn = 0
	}
	return ended
}

// Sequential is how many of the turns follow one another at the most: what
// somebody waited for, if each was sent as soon as the one before it was
// answered.
func Sequential(turns []Turn) int {
	turns = slices.Clone(turns)
	slices.SortFunc(turns, func(a, b Turn) int { return a.End - b.End })
	n, last := 0, 0
	for _, t := range turns {
		if t.Begin > last {
			n, last = n+1, t.End
		}
	}
	return n
}

// asked notes that something goes to the target. p.mu is held.
func (p *Proxy) asked(c *link) {
	if c.turn > 0 && p.turns[c.turn-1].End == 0 {
		return // more of the same
	}
	p.events++
	p.turns = append(p.turns, Turn{Begin: p.events})
	c.turn = len(p.turns)
}

// answered notes that something comes from it. p.mu is held.
func (p *Proxy) answered(c *link) {
	if c.turn > 0 {
		p.events++
		p.turns[c.turn-1].End = p.events
	}
}
