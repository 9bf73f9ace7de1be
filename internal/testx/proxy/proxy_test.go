package proxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/abide-privacy/abide/internal/testx/proxy"
)

// echo is a server that sends back what it receives, and remembers it.
type echo struct {
	l   net.Listener
	got chan []byte
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	e := &echo{l, make(chan []byte, 100)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 1<<20)
				for {
					n, err := c.Read(buf)
					if n > 0 {
						e.got <- bytes.Clone(buf[:n])
						if _, err := c.Write(buf[:n]); err != nil {
							return
						}
					}
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	return e
}

func through(t *testing.T, e *echo) (*proxy.Proxy, net.Conn) {
	t.Helper()
	p, err := proxy.New(e.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p, dial(t, p)
}

func dial(t *testing.T, p *proxy.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("received %q, %v; want %q", got, err, want)
	}
}

func (e *echo) receives(t *testing.T, want string) {
	t.Helper()
	var all []byte
	for len(all) < len(want) {
		all = append(all, <-e.got...)
	}
	if string(all) != want {
		t.Fatalf("the target received %q; want %q", all, want)
	}
}

// silent fails the test if anything arrives at once.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := c.Read(make([]byte, 100))
	var timeout net.Error
	if n > 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("%d bytes, %v; want nothing", n, err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}

func ended(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); err == nil {
		t.Fatal("the connection ended in order; want it reset")
	}
}

func TestForwards(t *testing.T) {
	e := newEcho(t)
	_, c := through(t, e)
	send(t, c, "hello")
	receive(t, c, "hello")
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); err != nil || len(rest) != 0 {
		t.Fatalf("after the end: %q, %v; want an orderly end", rest, err)
	}
}

func TestPartitionBothWays(t *testing.T) {
	e := newEcho(t)
	p, c := through(t, e)
	p.Set(proxy.Faults{StopOut: true, StopIn: true})
	send(t, c, "held")
	silent(t, c)
	if len(e.got) != 0 {
		t.Fatal("it reached the target")
	}
	p.Heal()
	receive(t, c, "held")
}

// One way: the target acts on what it received, and its answer does not come.
func TestPartitionOneWay(t *testing.T) {
	e := newEcho(t)
	p, c := through(t, e)
	p.Set(proxy.Faults{StopIn: true})
	send(t, c, "done, but unheard")
	e.receives(t, "done, but unheard")
	silent(t, c)
	p.Cut()
	ended(t, c)
	again := dial(t, p)
	p.Set(proxy.Faults{StopOut: true})
	send(t, again, "unsaid")
	silent(t, again)
	if len(e.got) != 0 {
		t.Fatal("it reached the target")
	}
}

func TestCutAfter(t *testing.T) {
	e := newEcho(t)
	p, c := through(t, e)
	p.CutAfter(6)
	send(t, c, "0123456789")
	e.receives(t, "012345")
	ended(t, c)
	if len(e.got) != 0 {
		t.Fatal("more than six bytes passed")
	}
	again := dial(t, p)
	send(t, again, "healed by itself")
	receive(t, again, "healed by itself")
}

func TestSlow(t *testing.T) {
	e := newEcho(t)
	p, c := through(t, e)
	for _, f := range []proxy.Faults{{Delay: 40 * time.Millisecond}, {Bandwidth: 250}} {
		p.Set(f)
		start := time.Now()
		send(t, c, "0123456789")
		receive(t, c, "0123456789")
		// Slower than it is told it may be, faster never.
		if took := time.Since(start); took < 80*time.Millisecond {
			t.Errorf("%+v: there and back in %s", f, took)
		}
	}
	p.Set(proxy.Faults{Delay: time.Hour})
	send(t, c, "x")
	silent(t, c)
	p.Heal()
	receive(t, c, "x")
}

func TestRefuse(t *testing.T) {
	e := newEcho(t)
	p, c := through(t, e)
	send(t, c, "a")
	receive(t, c, "a")
	p.Set(proxy.Faults{Refuse: true})
	ended(t, dial(t, p))
	send(t, c, "b") // those that exist stay
	receive(t, c, "b")
	if n := p.Connections(); n != 1 {
		t.Fatalf("%d connections; want 1", n)
	}
}

func TestClose(t *testing.T) {
	e := newEcho(t)
	p, c := through(t, e)
	p.Set(proxy.Faults{StopIn: true, StopOut: true})
	send(t, c, "held")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	ended(t, c)
	if _, err := net.Dial("tcp", p.Addr()); err == nil {
		t.Fatal("it still listens")
	}
}
