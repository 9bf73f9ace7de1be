// Package proxy stands between a node and its database and misbehaves on
// command, as networks do: it cuts connections, lets nothing through in one
// direction or both, is slow, is narrow, or breaks off after so many bytes. It
// listens on loopback only.
package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy forwards TCP connections to one address. It begins without faults.
// Methods are safe for concurrent use and hold for connections that exist as
// well as for those to come.
type Proxy struct {
	l      net.Listener
	target string
	wg     sync.WaitGroup

	mu     sync.Mutex
	change chan struct{} // closed, and made anew, whenever a fault changes
	faults Faults
	left   int64 // bytes until the cut; meaningful while armed
	armed  bool
	conns  map[*link]struct{}
	closed bool
	events int // that turns are ordered by
	turns  []Turn
}

// Faults is what the proxy does to the bytes that pass.
type Faults struct {
	// StopOut and StopIn hold back what goes to the target and what comes from
	// it. Nothing is lost: TCP delivers in order or not at all. What is held
	// back arrives when the partition heals, unless the connection is cut.
	StopOut, StopIn bool
	// Refuse closes new connections as soon as they are made.
	Refuse bool
	// Delay holds each piece of data back, in each direction.
	Delay time.Duration
	// Bandwidth bounds each direction of each connection, in bytes per second;
	// 0 is unbounded.
	Bandwidth int
}

type link struct {
	near, far net.Conn
	turn      int // one more than its place in turns; 0: the target has answered all
}

// New listens on a free port of loopback and forwards to target.
func New(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{l: l, target: target, change: make(chan struct{}), conns: map[*link]struct{}{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Set replaces the faults.
func (p *Proxy) Set(f Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
	p.changed()
}

// Heal ends all faults, also a cut that is armed.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.armed = Faults{}, false
	p.changed()
}

// Cut resets every connection now, in mid-stream. New ones may be made.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

// CutAfter resets every connection once n more bytes have passed, counted over
// all of them and both directions.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.armed = n, true
}

// Connections reports how many connections there are.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Close ends the proxy and all of its connections.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.cut()
	p.changed()
	p.mu.Unlock()
	err := p.l.Close()
	p.wg.Wait()
	return err
}

// changed wakes whoever waits for another state. p.mu is held.
func (p *Proxy) changed() {
	close(p.change)
	p.change = make(chan struct{})
}

// cut closes all connections with a reset. p.mu is held.
func (p *Proxy) cut() {
	for c := range p.conns {
		c.close()
	}
	clear(p.conns)
	p.changed()
}

// close resets both sides: a peer must not take it for an orderly end.
func (c *link) close() {
	for _, side := range []net.Conn{c.near, c.far} {
		if t, ok := side.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // best effort: a plain close ends the connection too
		}
		_ = side.Close() // it may have been closed by its peer
	}
}

func (p *Proxy) accept() {
	for {
		near, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refuse := p.faults.Refuse || p.closed
		p.mu.Unlock()
		if refuse {
			(&link{near: near, far: near}).close()
			continue
		}
		p.wg.Go(func() { p.forward(near) })
	}
}

func (p *Proxy) forward(near net.Conn) {
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = near.Close()
		return
	}
	c := &link{near: near, far: far}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.close()
		return
	}
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(c, far, near, true) })
	both.Go(func() { p.pump(c, near, far, false) })
	both.Wait()
	p.drop(c)
}

// drop closes one connection.
func (p *Proxy) drop(c *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	c.close()
}

// pump copies one direction. An orderly end is passed on; anything else ends
// both directions.
func (p *Proxy) pump(c *link, to, from net.Conn, out bool) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			allowed, open := p.pass(c, out, n)
			if _, werr := to.Write(buf[:allowed]); werr != nil || !open {
				p.drop(c)
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if t, ok := to.(*net.TCPConn); ok {
				_ = t.CloseWrite() // the peer may be gone already
			}
			return
		case err != nil:
			p.drop(c)
			return
		}
	}
}

// pass waits until n bytes may go on, and returns how many of them do before
// the connection ends, and whether it stays open.
func (p *Proxy) pass(c *link, out bool, n int) (int, bool) {
	p.mu.Lock()
	f := p.faults
	if out {
		p.asked(c)
	}
	p.mu.Unlock()
	wait := f.Delay
	if f.Bandwidth > 0 {
		wait += time.Duration(n) * time.Second / time.Duration(f.Bandwidth)
	}
	if wait > 0 {
		p.pause(c, wait)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if _, ok := p.conns[c]; !ok {
			return 0, false
		}
		if out && !p.faults.StopOut || !out && !p.faults.StopIn {
			break
		}
		change := p.change
		p.mu.Unlock()
		<-change
		p.mu.Lock()
	}
	if !out {
		p.answered(c)
	}
	if !p.armed {
		return n, true
	}
	if p.left -= int64(n); p.left > 0 {
		return n, true
	}
	p.armed = false
	rest := n + int(p.left)
	delete(p.conns, c) // its own end comes after the bytes that still pass
	p.cut()
	return rest, false
}

// pause waits for d, or until the connection is cut or the faults heal.
func (p *Proxy) pause(c *link, d time.Duration) {
	t := time.NewTimer(d) // real time: this is what a slow link is
	defer t.Stop()
	for {
		p.mu.Lock()
		_, open := p.conns[c]
		slow := p.faults.Delay > 0 || p.faults.Bandwidth > 0
		change := p.change
		p.mu.Unlock()
		if !open || !slow {
			return
		}
		select {
		case <-t.C:
			return
		case <-change:
		}
	}
}
