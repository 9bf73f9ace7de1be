package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/engine"
)

// tamperStep is how many bytes of a value one is changed of: all by ABIDE_PROOF.
func tamperStep() int {
	if os.Getenv("ABIDE_PROOF") != "" {
		return 1
	}
	return 61
}

// TestEveryByteOfTheLogOnDisk changes bytes of what a store and its published log
// hold on disk, one at a time: entries, tiles and bundles, checkpoints, what waits in
// pending and spool, looks that are indexed, and where leaves came from. Doctor names
// each, with its code; of a published file, verify does, with its path.
func TestEveryByteOfTheLogOnDisk(t *testing.T) {
	t.Parallel()
	c := foundCompany(t, "shop")
	c.takeIn(3)
	subject := c.call("POST", "/v1/subjects", map[string]any{"jurisdiction": "HK"}).field(t, "id")
	c.call("GET", "/v1/subjects/"+subject, nil)
	c.quietly()
	c.stop()
	c.takeIn(1) // waits for the log

	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.Dir, "abide.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	m := &Main{Stdin: strings.NewReader(""), Stdout: c.output, Stderr: c.output, Env: func(string) string { return "" }, Now: time.Now}
	st, err := m.open(t.Context(), storeFlags{data: c.Dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.close(context.WithoutCancel(t.Context())) })
	var id abide.SubjectID
	if err := id.UnmarshalText([]byte(subject)); err != nil {
		t.Fatal(err)
	}
	if _, err := st.engine.Consents(t.Context(), localCaller(), id); err != nil { // a look, which waits
		t.Fatal(err)
	}
	doctor := func() (found []string) {
		t.Helper()
		if _, err := st.engine.Doctor(t.Context(), localCaller(), engine.Checkup{Found: func(a engine.Ailment) {
			found = append(found, a.Code)
		}}); err != nil {
			found = append(found, "error: "+err.Error())
		}
		return found
	}
	if found := doctor(); len(found) > 0 {
		t.Fatalf("an untouched store has %q", found)
	}
	for _, v := range []struct{ table, column, keys, code string }{
		{"entry", "payload", "subject_id, n", engine.AilEntry},
		{"entry", "envelope", "subject_id, n", engine.AilEntry},
		{"entry", "commitment", "subject_id, n", engine.AilEntry},
		{"pending", "commitment", "subject_id, n", engine.AilPending},
		{"spool", "looks", "node, batch", engine.AilLook},
		{"spool", "leaves", "node, batch", engine.AilPending},
		{"look", "payload", "subject_id, node, batch, pos", engine.AilLook},
		{"look", "envelope", "subject_id, node, batch, pos", engine.AilLook},
		{"look", "commitment", "subject_id, node, batch, pos", engine.AilLook},
		{"tile", "data", "log, level, n", engine.AilLogTree},
		{"leaf_map", "sources", "log, first", engine.AilLogTree + " " + engine.AilEntry}, // or the entry that it now names
		{"log_head", "root", "log", engine.AilLogTree},
		{"checkpoint", "note", "log, size", engine.AilCheckpoint},
	} {
		tamper(t, db, v.table, v.column, v.keys, func(at int, row string) {
			if found := doctor(); !slices.ContainsFunc(found, func(code string) bool { return slices.Contains(strings.Fields(v.code), code) }) {
				t.Errorf("byte %d of %s.%s (%s) changed: found %q, want %s", at, v.table, v.column, row, found, v.code)
			}
		})
	}
	if found := doctor(); len(found) > 0 {
		t.Errorf("put back as it was, the store has %q", found)
	}
	c.published()
}

// tamper changes bytes of a column, each for the length of a look.
func tamper(t *testing.T, db *sql.DB, table, column, keys string, look func(at int, row string)) {
	t.Helper()
	rows, err := db.Query("SELECT hex(" + column + "), " + strings.Join(rowNamed(keys), " || ' AND ' || ") + " FROM " + table + " WHERE " + column + " IS NOT NULL")
	if err != nil {
		t.Fatal(err)
	}
	type value struct{ hex, where string }
	var values []value
	for rows.Next() {
		var v value
		if err := rows.Scan(&v.hex, &v.where); err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(values) == 0 {
		t.Fatalf("%s.%s: %d values, %v", table, column, len(values), err)
	}
	write := func(v value, hex string) {
		t.Helper()
		if _, err := db.Exec("UPDATE " + table + " SET " + column + " = x'" + hex + "' WHERE " + v.where); err != nil {
			t.Fatal(err)
		}
	}
	changed := 0
	for i, v := range values {
		if tamperStep() > 1 && i > 0 {
			break // in brief the first row is enough
		}
		for at := 0; 2*at < len(v.hex); at += tamperStep() {
			digit := "0123456789ABCDEF"[strings.IndexByte("0123456789ABCDEF", v.hex[2*at+1])^1]
			write(v, v.hex[:2*at+1]+string(digit)+v.hex[2*at+2:])
			look(at, v.where)
			write(v, v.hex)
			changed++
		}
	}
	t.Logf("%s.%s: %d bytes changed", table, column, changed)
}

// rowNamed are SQL expressions that name a row by its keys.
func rowNamed(keys string) (out []string) {
	for _, k := range strings.Split(keys, ", ") {
		out = append(out, fmt.Sprintf("'%s = ' || quote(%s)", k, k))
	}
	return out
}

// published changes bytes of what is published in the directory.
func (c *company) published() {
	t := c.t
	dir := filepath.Join(c.Dir, "log")
	k, err := audit.NewKeys(c.key)
	if err != nil {
		t.Fatal(err)
	}
	l := audit.NewLog(audit.Dir(dir), k)
	last, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var read []string
	reader := audit.NewLog(noted{audit.Dir(dir), &read}, k)
	if _, err := reader.Verify(t.Context(), &last.Checkpoint, audit.Verification{}); err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, path := range append(read, "checkpoint") {
		name := filepath.Join(dir, path)
		raw, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was asked for in another form too
		}
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(raw); at += tamperStep() {
			bad := slices.Clone(raw)
			bad[at] ^= 1
			if err := os.WriteFile(name, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			var found []string
			now, err := l.Checkpoint(t.Context())
			if err == nil {
				_, err = l.Verify(t.Context(), &now.Checkpoint, audit.Verification{Found: func(f *audit.Fault) { found = append(found, f.Path) }})
			}
			var f *audit.Fault
			if errors.As(err, &f) {
				found = append(found, f.Path)
			}
			if !slices.ContainsFunc(found, func(p string) bool { return strings.Contains(p, path) }) {
				t.Errorf("byte %d of %s changed: found %q, %v", at, path, found, err)
			}
			changed++
		}
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d bytes of published files changed", changed)
}

// noted is a source that remembers what was read.
type noted struct {
	audit.Source
	read *[]string
}

func (n noted) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	*n.read = append(*n.read, path)
	return n.Source.Read(ctx, path, limit)
}
