package main

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// proofRows is how many people the import test takes in: a million where the
// long runs are asked for, or as many as ABIDE_PROOF_ROWS says.
func proofRows(t *testing.T) int {
	if n := os.Getenv("ABIDE_PROOF_ROWS"); n != "" {
		rows, err := strconv.Atoi(n)
		if err != nil {
			t.Fatal("ABIDE_PROOF_ROWS is not a number")
		}
		return rows
	}
	if os.Getenv("ABIDE_PROOF") != "" {
		return 1_000_000
	}
	return 3_000
}

// maxImportMemory is what the importing process may occupy at its peak.
const maxImportMemory = 400 << 20

// TestImportKilledAndResumed imports people with mail, phone and two purposes'
// consents by the real program, kills it (SIGKILL) half way, gives the same
// command again, and counts what is in the store: no duplicate, no gap.
func TestImportKilledAndResumed(t *testing.T) {
	t.Parallel() // what the killed run claimed keeps the next one waiting for seconds
	rows := int64(proofRows(t))
	dir := t.TempDir()
	p := &importProof{t: t, bin: buildProgram(t, dir), data: filepath.Join(dir, "data"), csv: filepath.Join(dir, "people.csv")}
	p.run("policy", "publish", "../../examples/shop/policy", "--data", p.data)
	size := writePeople(t, p.csv, rows)

	killed := p.importUntil(size / 2)
	before := p.count(`SELECT count(*) FROM subject WHERE kind = 'person'`)
	if before < rows/4 || before >= rows {
		t.Fatalf("%d of %d people were there after the kill: this proves nothing", before, rows)
	}
	resumed := p.importUntil(-1)
	t.Logf("%d rows: killed at %d people after %.1f s (%.0f rows/s, peak %d MB); resumed for %.1f s (%.0f rows/s, peak %d MB)",
		rows, before, killed.took.Seconds(), float64(before)/killed.took.Seconds(), killed.peak>>20,
		resumed.took.Seconds(), float64(rows-before)/resumed.took.Seconds(), resumed.peak>>20)
	if peak := max(killed.peak, resumed.peak); peak >= maxImportMemory || peak == 0 {
		t.Errorf("the import occupied %d MB, want less than %d", peak>>20, maxImportMemory>>20)
	}
	var said struct {
		Rows     int64 `json:"rows"`
		TakenIn  int64 `json:"taken_in"`
		Rejected int64 `json:"rejected"`
	}
	if err := json.Unmarshal(resumed.stdout, &said); err != nil {
		t.Fatal(err)
	}
	if said.Rows != rows || said.TakenIn != rows || said.Rejected != 0 {
		t.Errorf("the resumed run says %+v, want %d rows, all taken in", said, rows)
	}
	p.check(rows)
}

// check counts what the store holds, exactly.
func (p *importProof) check(rows int64) {
	p.t.Helper()
	for _, c := range []struct {
		what, query string
		want        int64
	}{
		{"people", `SELECT count(*) FROM subject WHERE kind = 'person' AND status = 'active'`, rows},
		{"references", `SELECT count(*) FROM item WHERE category = '~reference'`, rows},
		{"references that differ", `SELECT count(DISTINCT index_value) FROM item WHERE category = '~reference'`, rows},
		{"addresses", `SELECT count(*) FROM item WHERE category = 'person.email'`, rows},
		{"addresses that differ", `SELECT count(DISTINCT index_value) FROM item WHERE category = 'person.email'`, rows},
		{"phone numbers", `SELECT count(*) FROM item WHERE category = 'person.phone'`, rows},
		{"items", `SELECT count(*) FROM item`, 3 * rows},
		{"look-ups of items", `SELECT count(*) FROM item i JOIN lookup l ON l.index_value = i.index_value
			AND l.index_key = i.index_key AND l.category = i.category AND l.subject_id = i.subject_id`, 3 * rows},
		{"confirmed look-ups of nobody", `SELECT count(*) FROM lookup l WHERE l.expires_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM subject s WHERE s.subject_id = l.subject_id)`, 0},
		{"look-ups of references", `SELECT count(*) FROM lookup WHERE category = '~reference'`, rows},
		{"consent events", `SELECT count(*) FROM consent_event`, 2 * rows},
		{"people with both consent events", `SELECT count(*) FROM subject WHERE kind = 'person' AND consent_n = 2`, rows},
		{"current consents", `SELECT count(*) FROM consent_index`, 2 * rows},
		{"log entries of people", `SELECT count(*) FROM entry e JOIN subject s ON s.subject_id = e.subject_id WHERE s.kind = 'person'`,
			p.count(`SELECT coalesce(sum(entry_n), 0) FROM subject WHERE kind = 'person'`)},
		{"log entries that say created", `SELECT count(*) FROM entry WHERE kind = 'created'`, rows},
		{"log entries that say consented", `SELECT count(*) FROM entry WHERE kind = 'consented'`, 2 * rows},
		{"people without their three keys", `SELECT count(*) FROM subject s WHERE kind = 'person' AND
			(SELECT count(*) FROM keys.subject_key k WHERE k.subject_id = s.subject_id) <> 3`, 0},
	} {
		if got := p.count(c.query); got != c.want {
			p.t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
	for _, i := range []int64{0, rows / 2, rows - 1} {
		cmd := exec.Command(p.bin, "subject", "find", "--json", "--data", p.data)
		cmd.Stdin = strings.NewReader(reference(i))
		out, err := cmd.Output()
		var found struct {
			IDs []string `json:"ids"`
		}
		if err != nil || json.Unmarshal(out, &found) != nil || len(found.IDs) != 1 {
			p.t.Errorf("person %d is found by reference as %s (%v)", i, out, err)
		}
	}
}

type importProof struct {
	t              *testing.T
	bin, data, csv string
}

// buildProgram builds abide as it is released.
func buildProgram(t *testing.T, dir string) string {
	t.Helper()
	bin := filepath.Join(dir, "abide")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

func (p *importProof) run(args ...string) {
	p.t.Helper()
	if out, err := exec.Command(p.bin, args...).CombinedOutput(); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
}

// importRunResult is one run of the program.
type importRunResult struct {
	took   time.Duration
	peak   int64 // bytes resident at most
	stdout []byte
}

// importUntil runs the import and kills it when so many bytes of the file are
// done; negative: lets it finish.
func (p *importProof) importUntil(offset int64) importRunResult {
	p.t.Helper()
	cmd := exec.Command(p.bin, "import", p.csv, "--data", p.data, "--json", "--service", "shop", "--grade", "claimed",
		"--map", "id=~reference", "--map", "country=~jurisdiction", "--map", "mail=person.email", "--map", "phone=person.phone",
		"--map", "news=consent:newsletter", "--map", "news_on=consent_at:newsletter",
		"--map", "adverts=consent:marketing", "--map", "adverts_on=consent_at:marketing")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	started := time.Now()
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	var r importRunResult
	for {
		select {
		case err := <-done:
			r.took, r.stdout = time.Since(started), out.Bytes()
			killed := err != nil && cmd.ProcessState.ExitCode() == -1
			switch {
			case offset >= 0 && !killed:
				p.t.Fatalf("the import ended before it was killed: %v\n%s", err, errs.String())
			case offset < 0 && err != nil:
				p.t.Fatalf("%v\n%s", err, errs.String())
			}
			return r
		case <-look.C:
			r.peak = max(r.peak, residentPeak(cmd.Process.Pid))
			if offset >= 0 && p.progress() >= offset {
				if err := cmd.Process.Kill(); err != nil {
					p.t.Fatal(err)
				}
				look.Stop()
			}
		}
	}
}

// progress is how many bytes the progress file says are done.
func (p *importProof) progress() int64 {
	raw, err := os.ReadFile(p.csv + ".progress")
	if err != nil {
		return 0
	}
	var r progressRecord
	if err := json.Unmarshal(raw, &r); err != nil {
		p.t.Errorf("the progress file is not whole: %v", err)
	}
	return r.Offset
}

// residentPeak is the most memory a process has occupied: VmHWM of proc(5).
func residentPeak(pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kb int64
		if n, err := fmt.Sscanf(s.Text(), "VmHWM: %d kB", &kb); n == 1 && err == nil {
			return kb << 10
		}
	}
	return 0
}

// count asks the files of the store, which no program has open.
func (p *importProof) count(query string) int64 {
	p.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(p.data, "abide.db"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`ATTACH ? AS keys`, filepath.Join(p.data, "keys", "keys.db")); err != nil {
		p.t.Fatal(err)
	}
	var n int64
	if err := db.QueryRow(query).Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

func reference(i int64) string { return fmt.Sprintf("customer-%07d", i) }

// writePeople writes a CSV file of people, the same for the same number, and
// returns its size.
func writePeople(t *testing.T, path string, rows int64) int64 {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	places := []string{"HK", "GB", "DE", "FR", "US-CA"}
	news := []string{"yes", "no", "withdrawn"}
	adverts := []string{"yes", "objected"}
	fmt.Fprintln(w, "id,country,mail,phone,news,news_on,adverts,adverts_on")
	for i := range rows {
		// Every third number twice: a family shares its telephone.
		fmt.Fprintf(w, "%s,%s,person%d@mail.example,+8526%07d,%s,20%02d-03-%02d,%s,2025-%02d-04\n", reference(i), places[i%5], i,
			i-i%3/2, news[i%3], 18+i%8, 1+i%28, adverts[i%2], 1+i%12)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}
