package durable_test

import (
	"fmt"
	"strings"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/testx/durable"
)

// TestJudge gives traces in short: k and d write the token to the log of keys
// and data, K and D sync them, a acknowledges; x is a sync that fails, u one
// that is entered before and returns after the next call, o a write of
// something else.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		trace string
		wrong int
	}{
		{"kKdDa", 0},
		{"kdKDa", 0},
		{"okKodDa", 0},
		{"kKda", 1},     // data not synced
		{"kKdaD", 1},    // synced after the acknowledgement
		{"kKDda", 1},    // synced before it was written
		{"kKDa", 1},     // never written
		{"da", 2},       // neither
		{"kKdxa", 1},    // the sync failed
		{"kKdua", 1},    // the sync had not returned
		{"kKdoDa", 0},   // another write in between
		{"a", 2},        // nothing at all
		{"kKdDakda", 0}, // the second acknowledgement repeats the first's token
	} {
		acks, wrong, err := durable.Judge(strings.NewReader(traceOf(c.trace)))
		if err != nil {
			t.Fatalf("%s: %v", c.trace, err)
		}
		if acks != strings.Count(c.trace, "a") || len(wrong) != c.wrong {
			t.Errorf("%s: %d acknowledgements, wrong: %q; want %d wrong", c.trace, acks, wrong, c.wrong)
		}
	}
}

func traceOf(short string) string {
	ack := durable.Ack{Subject: abide.SubjectID{1}, Version: 1, Token: durable.NewToken()}
	hex := func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		}
		return b.String()
	}
	put := func(db string, data string) string {
		return fmt.Sprintf(`11 pwrite64(7</x/%s-wal>, "%s", 64, 0) = 64`, db, hex(data))
	}
	token := "page" + string(ack.Token[:]) + "rest"
	var lines []string
	for _, c := range short {
		lines = append(lines, map[rune]string{
			'k': put("keys.db", token), 'd': put("data.db", token), 'o': put("data.db", "other"),
			'K': `11 fsync(8</x/keys.db-wal>) = 0`, 'D': `11 fdatasync(7</x/data.db-wal>) = 0`,
			'x': `11 fsync(7</x/data.db-wal>) = -1 EIO (Input/output error)`,
			'u': `11 fsync(7</x/data.db-wal> <unfinished ...>`,
			'a': fmt.Sprintf(`12 write(1<pipe:[5]>, "%s", 90) = 90`, hex(ack.Line())),
		}[c])
	}
	if strings.Contains(short, "u") {
		lines = append(lines, `11 <... fsync resumed>) = 0`)
	}
	return strings.Join(lines, "\n") + "\n"
}
