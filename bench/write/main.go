// Command write measures what the embedded store makes of many clients that
// write at once, against the same rows written by group commit made by hand:
// raw SQL, no store around it. Both run in turns, each in a process of its own
// under strace, which counts how often they sync.
//
//	go run ./bench/write -clients 64 -for 60s
//
// A write is a recorded consent: the subject's state replaced, an event and an
// index row, a log entry with its pending commitment, an idempotency row.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"time"
)

type config struct {
	clients int
	length  time.Duration
	turns   int
	dir     string
	child   string // "store" or "hand": measure this one, here
	profile string
	ratio   float64
}

// result is what one process measured.
type result struct {
	Writes  int64         `json:"writes"`
	Errors  int64         `json:"errors"`
	Elapsed time.Duration `json:"elapsed"`
	Rows    int64         `json:"rows"` // in all tables at the end, seeded subjects not counted
	Syncs   int64         `json:"syncs"`
	Written int64         `json:"written"` // bytes handed to the kernel, seeding not counted
	P50     time.Duration `json:"p50"`
	P99     time.Duration `json:"p99"`
}

func (r *result) rate() float64 { return float64(r.Writes) / r.Elapsed.Seconds() }

func main() {
	var c config
	flag.IntVar(&c.clients, "clients", 64, "clients that write at once, each to its own subjects")
	flag.DurationVar(&c.length, "for", 60*time.Second, "how long each of the two writes, over all turns")
	flag.IntVar(&c.turns, "turns", 3, "turns that the two take")
	flag.StringVar(&c.dir, "dir", "", "where to put the databases (default: a temporary directory)")
	flag.Float64Var(&c.ratio, "ratio", 0.7, "fail if the store writes less than this share of what is written by hand")
	flag.StringVar(&c.child, "only", "", "measure only `store` or `hand`, in this process, without counting syncs")
	flag.StringVar(&c.profile, "cpuprofile", "", "with -only: write a CPU profile to this `file`")
	flag.Parse()
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, "write: error:", err)
		os.Exit(1)
	}
}

func run(c config) error {
	dir, err := os.MkdirTemp(c.dir, "bench-write-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c.dir = dir
	if c.child != "" {
		return measureHere(c)
	}
	return compare(c)
}

// measureHere is the child process: it prints its result as JSON.
func measureHere(c config) error {
	write := map[string]func(config) (result, error){"store": byStore, "hand": byHand}[c.child]
	if write == nil {
		return fmt.Errorf("-only %s: want store or hand", c.child)
	}
	if c.profile != "" {
		f, err := os.Create(c.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	r, err := write(c)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// compare lets the two take turns, so that both meet the machine's good and
// bad moments, and prints what came of it.
func compare(c config) error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return errors.New("strace is not installed: run `make deps`")
	}
	total := map[string]*result{"store": {}, "hand": {}}
	for turn := range c.turns {
		for _, who := range []string{"store", "hand"} {
			r, err := measureChild(c, strace, who)
			if err != nil {
				return fmt.Errorf("%s: %w", who, err)
			}
			fmt.Printf("turn %d  %-5s  %8.0f writes/s  %.4f syncs/write  %d errors  p50 %v  p99 %v\n", turn+1, who, r.rate(),
				float64(r.Syncs)/float64(r.Writes), r.Errors, r.P50.Round(time.Microsecond), r.P99.Round(time.Microsecond))
			t := total[who]
			t.Writes, t.Errors, t.Elapsed = t.Writes+r.Writes, t.Errors+r.Errors, t.Elapsed+r.Elapsed
			t.Rows, t.Syncs, t.Written = t.Rows+r.Rows, t.Syncs+r.Syncs, t.Written+r.Written
		}
	}
	store, hand := total["store"], total["hand"]
	fmt.Printf("\n%d clients, %v each\n", c.clients, c.length)
	for _, who := range []string{"store", "hand"} {
		t := total[who]
		per := func(n int64) float64 { return float64(n) / float64(t.Writes) }
		fmt.Printf("%-5s  %8.0f writes/s  %d errors  per write: %.4f syncs, %.2f rows, %.0f bytes\n",
			who, t.rate(), t.Errors, per(t.Syncs), per(t.Rows), per(t.Written))
	}
	fmt.Printf("ratio  %.2f (want %.2f at least), syncs per write %.4f (want 0.1 at most)\n",
		store.rate()/hand.rate(), c.ratio, float64(store.Syncs)/float64(store.Writes))
	if store.Errors+hand.Errors > 0 || store.Rows != 4*store.Writes || hand.Rows != 4*hand.Writes || store.rate() < c.ratio*hand.rate() || float64(store.Syncs) > 0.1*float64(store.Writes) {
		return errors.New("the store misses its target")
	}
	return nil
}

// measureChild runs this program under strace. Only the two calls that sync
// are traced (a seccomp filter lets all others pass), so the rest runs at its
// own speed.
func measureChild(c config, strace, who string) (result, error) {
	var r result
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	trace := filepath.Join(c.dir, who+".strace")
	cmd := exec.Command(strace, "-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", trace,
		self, "-only", who, "-clients", fmt.Sprint(c.clients), "-for", (c.length / time.Duration(c.turns)).String(), "-dir", c.dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, err
	}
	lines, err := os.ReadFile(trace)
	if err != nil {
		return r, err
	}
	// A call that another thread interrupts takes two lines, one of them "resumed".
	r.Syncs = int64(bytes.Count(lines, []byte("sync(")))
	return r, nil
}

// clients runs write in a loop on each of n goroutines until the time is up.
func clients(n int, length time.Duration, write func(client, i int) error) result {
	var r result
	before := written()
	var mu sync.Mutex
	var latencies []time.Duration
	start := time.Now()
	var wg sync.WaitGroup
	for client := range n {
		wg.Go(func() {
			var own []time.Duration
			var failed int64
			for i := 0; time.Since(start) < length; i++ {
				began := time.Now()
				if err := write(client, i); err != nil {
					failed++
					fmt.Fprintln(os.Stderr, "write:", err)
					if failed > 10 {
						break
					}
					continue
				}
				own = append(own, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, own...)
			r.Errors += failed
		})
	}
	wg.Wait()
	r.Elapsed = time.Since(start)
	r.Written = written() - before
	r.Writes = int64(len(latencies))
	r.P50, r.P99 = quantile(latencies, 0.50), quantile(latencies, 0.99)
	return r
}

// written is how many bytes this process has written so far (proc(5), wchar).
func written() int64 {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	var rchar, wchar int64
	if _, err := fmt.Sscanf(string(data), "rchar: %d\nwchar: %d", &rchar, &wchar); err != nil {
		return 0
	}
	return wchar
}
