package sqlite

import (
	"database/sql/driver"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlansOfRetention: what the sweep asks goes by the indexes of what is due,
// in their order. A plan that scans a table or sorts costs what is held, and is
// what this test is there to refuse; the same is shown in rows on PostgreSQL.
func TestPlansOfRetention(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "data.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for name, c := range map[string]struct {
		query string
		args  int
		want  []string
	}{
		"who is due":         {dueSubjects, 4, []string{"SEARCH subject USING COVERING INDEX subject_due (next_due_at>? AND next_due_at<?)"}},
		"what is due of one": {dueItems, 2, []string{"SEARCH item USING INDEX item_due (subject_id=? AND due_at<?)"}},
		"when the next is":   {nextDue, 2, []string{"SEARCH item USING COVERING INDEX item_due (subject_id=? AND due_at>?)"}},
		"the forecast in items": {dueCounts, 1, []string{"SEARCH s USING COVERING INDEX subject_due (next_due_at<?)",
			"SEARCH i USING COVERING INDEX item_due (subject_id=? AND due_at<?)"}},
		"the forecast in people": {duePeople, 1, []string{"SEARCH s USING COVERING INDEX subject_due (next_due_at<?)",
			"SEARCH i EXISTS USING COVERING INDEX item_due (subject_id=? AND due_at<?)"}},
	} {
		t.Run(name, func(t *testing.T) {
			var plan []string
			err := s.f.readers.read(t.Context(), func(c2 *conn) error {
				plan = nil
				return c2.query("EXPLAIN QUERY PLAN "+c.query, func(r *row) error {
					r.int()
					r.int()
					r.int()
					plan = append(plan, r.text())
					return nil
				}, make([]driver.Value, c.args)...)
			})
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(plan, "\n")
			for _, w := range c.want {
				if !strings.Contains(text, w) {
					t.Errorf("no %q in the plan:\n%s", w, text)
				}
			}
			if strings.Contains(text, "SCAN") || strings.Contains(text, "ORDER BY") {
				t.Errorf("the plan scans or sorts:\n%s", text)
			}
			t.Log(text)
		})
	}
}
