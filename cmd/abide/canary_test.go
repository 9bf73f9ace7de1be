package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/abide-privacy/abide/internal/testx/canary"
)

// Planted values, one for every way in. None occurs anywhere else.
var planted = map[string]string{
	"name":            "Quibblezyx Canarywright",
	"mail":            "Zyx.Canary-7731@Plant.example",
	"phone":           "+85261937731",
	"address":         "7731 Canaryplant Mews, Zyxborough",
	"birth":           "1987-03-29 planted", // added apart: too short as a date
	"feedback":        "canary feedback 7731 zyxwort",
	"reference":       "customer-canary-7731-zyx",
	"reason":          "reason canary zyxplover 7731",
	"wording":         "May we, dear canary zyxfinch 7731?",
	"note":            "note canary zyxgrebe 7731",
	"bad mail":        "canary-bad-zyxlark 7731@@",
	"bad phone":       "canary-zyxswift-7731",
	"json key":        "canary_zyxowl_7731_key",
	"path":            "canary-zyxstork-7731",
	"query":           "canary-zyxcrane-7731",
	"header":          "canary-zyxheron-7731",
	"token":           "canary-zyxkite-7731-token",
	"idempotency":     "canary-zyxrook-7731-idem",
	"csv mail":        "zyxteal.7731@canary.example",
	"csv bad":         "zyxcoot-7731-bad-mail",
	"csv consent":     "zyxsmew-7731-perhaps",
	"csv reference":   "zyxruff-7731-reference",
	"lookup":          "zyxdunlin-7731@canary.example",
	"unknown purpose": "zyxgannet7731purpose",
	"file":            "zyxpetrel 7731 wrote this into a file",
	"file name":       "zyxpuffin-7731",
	"file ref":        "order-zyxauk-7731",
	"bad file":        "zyxskua 7731 was sent where no file goes",
	"link":            "zyxtern7731link",
}

// TestCanariesAreFoundNowhere plants values through every input and searches
// every file, log line, metric and error for them (G7), and after an erasure
// looks for the sealed bytes themselves (G4).
func TestCanariesAreFoundNowhere(t *testing.T) {
	var set canary.Set
	for name, value := range planted {
		if name != "birth" {
			set.Add(name, value)
		}
	}
	s := startServer(t)
	var errorsSeen bytes.Buffer
	// bad sends what must fail; the answer must not repeat it.
	bad := func(method, path string, body any, headers ...string) {
		t.Helper()
		a := s.call(method, path, body, headers...)
		if a.Status < 400 {
			t.Errorf("%s: status %d, want an error", method, a.Status)
		}
		fmt.Fprintf(&errorsSeen, "%v\n%s\n", a.Header, a.Body)
	}

	id := s.call("POST", "/v1/subjects", map[string]any{"jurisdiction": "HK", "birth_date": "1987-03-29", "reference": planted["reference"]},
		"Idempotency-Key", planted["idempotency"]).field(t, "id")
	subject := "/v1/subjects/" + id
	good := s.call("PUT", subject+"/data", map[string]any{"service": "shop", "source": "checkout", "items": map[string]any{
		"person.name": planted["name"], "person.email": planted["mail"], "person.phone": planted["phone"], "person.address": planted["address"],
	}})
	if good.Status != http.StatusOK {
		t.Fatalf("status %d: %s", good.Status, good.Body)
	}
	read := s.call("POST", subject+"/data/read", map[string]any{"purpose": "provide", "categories": []string{"person.name", "person.email"}, "reason": planted["reason"]})
	if read.Status != http.StatusOK || !bytes.Contains(read.Body, []byte(planted["name"])) {
		t.Fatalf("the planted values cannot be read: status %d: %s", read.Status, read.Body)
	}
	for _, action := range []string{"tell", "indicate_no_objection"} {
		if a := s.call("POST", subject+"/consents", map[string]any{"purpose": "marketing", "action": action,
			"evidence": map[string]any{"wording": planted["wording"], "note": planted["note"], "source": "form"}}); a.Status != http.StatusCreated {
			t.Fatalf("status %d: %s", a.Status, a.Body)
		}
	}

	named := []string{"Content-Type", "text/plain", "Content-Disposition", `attachment; filename="` + planted["file name"] + `.txt"`, "Abide-Ref", planted["file ref"]}
	content := strings.Repeat(planted["file"]+"\n", 10_000)
	if a := s.call("PUT", subject+"/uploads/person.files?service=cloud", content, named...); a.Status != http.StatusCreated {
		t.Fatalf("status %d: %s", a.Status, a.Body)
	}
	look := s.call("POST", subject+"/data/read", map[string]any{"purpose": "provide", "act": "use", "categories": []string{"person.files"}})
	var linked struct {
		Data map[string][]struct{ Link string }
	}
	if err := json.Unmarshal(look.Body, &linked); err != nil || len(linked.Data["person.files"]) != 1 {
		t.Fatalf("status %d: %s", look.Status, look.Body)
	}
	link := linked.Data["person.files"][0].Link
	set.Add("token of a link", link[strings.LastIndexByte(link, '/')+1:])
	if a := s.call("GET", link, nil); string(a.Body) != content {
		t.Fatalf("status %d: %d bytes", a.Status, len(a.Body))
	}
	bad("PUT", subject+"/uploads/person.name?service=shop", planted["bad file"], named...)
	bad("PUT", subject+"/uploads/person.files?service=cloud", planted["bad file"], append(named, "Content-Digest", "sha-256=:"+strings.Repeat("A", 43)+"=:")...)
	bad("PUT", subject+"/uploads/"+planted["path"]+"?service="+planted["query"], planted["bad file"], named...)
	bad("PUT", subject+"/uploads/person.files?service=cloud", planted["bad file"], "Content-Disposition", planted["file name"]+"; ;", "Content-Type", planted["header"])
	bad("GET", "/v1/uploads/"+planted["link"], nil)

	bad("PUT", subject+"/data", map[string]any{"service": "shop", "items": map[string]any{"person.email": planted["bad mail"]}})
	bad("PUT", subject+"/data", map[string]any{"service": "shop", "items": map[string]any{"person.phone": planted["bad phone"]}})
	bad("PUT", subject+"/data", map[string]any{"service": "shop", "items": map[string]any{planted["json key"]: "x"}})
	bad("PUT", subject+"/data", map[string]any{planted["json key"]: "x"})
	bad("PUT", subject+"/data", `{"items": {"person.email": "`+planted["bad mail"])
	bad("PUT", subject+"/data", map[string]any{"service": planted["name"], "items": map[string]any{"person.email": planted["mail"]}})
	bad("POST", subject+"/data/read", map[string]any{"purpose": planted["unknown purpose"], "categories": []string{"person.email"}})
	bad("POST", subject+"/data/read", map[string]any{"purpose": "provide", "categories": []string{planted["mail"]}})
	bad("POST", subject+"/data/read", map[string]any{"purpose": "provide", "categories": planted["mail"]})
	bad("POST", "/v1/subjects", map[string]any{"birth_date": planted["name"], "jurisdiction": planted["name"]})
	bad("GET", "/v1/subjects/"+planted["path"], nil)
	bad("GET", "/"+planted["path"]+"?q="+planted["query"], nil)
	bad("GET", "/v1/subjects/"+id+"/log?limit="+planted["query"], nil)
	bad("GET", "/v1/tokens", nil, "Authorization", "Bearer "+planted["token"])
	bad("GET", "/v1/tokens", nil, "Authorization", planted["token"])
	bad("GET", "/"+planted["path"], nil, "X-Request-ID", planted["header"]+" with spaces", "Referer", "https://x.example/"+planted["query"])
	bad("POST", "/v1/decide", map[string]any{"subject": planted["mail"], "purpose": "provide", "act": planted["name"]})
	found := s.call("POST", "/v1/subjects/lookup", map[string]any{"category": "person.email", "value": planted["lookup"], "purpose": "provide"})
	fmt.Fprintf(&errorsSeen, "%s", found.Body)

	csvDir := t.TempDir()
	csvFile := s.writeFile(csvDir, "people.csv", strings.Join([]string{
		"id,mail,news",
		planted["csv reference"] + "," + planted["csv mail"] + ",yes",
		"r2," + planted["csv bad"] + ",yes",
		"r3,fine@plain.example," + planted["csv consent"],
	}, "\n")+"\n")
	rejectsDir := t.TempDir()
	m := &Main{Stdin: strings.NewReader(""), Stdout: s.output, Stderr: s.output, Env: func(string) string { return "" }, Now: time.Now}
	code := m.Run(context.Background(), []string{"import", csvFile, "--service", "shop", "--server", s.URL, "--token", s.Admin,
		"--map", "id=~reference", "--map", "mail=person.email", "--map", "news=consent:newsletter",
		"--rejects", filepath.Join(rejectsDir, "rejects.csv"), "--progress", filepath.Join(rejectsDir, "progress")})
	if code != exitFailed {
		t.Errorf("the import with bad rows ended with %d", code)
	}

	// Everything the database holds of this person, as bytes, to look for later.
	sealed := sealedBytes(t, s.Dir, id)
	blobs := uploaded(t, s.Dir)
	if len(blobs) != 1 {
		t.Fatalf("%d files are stored for one upload", len(blobs))
	}
	raw, err := os.ReadFile(blobs[0])
	if err != nil {
		t.Fatal(err)
	}
	sealed["upload"] = raw[100:200]
	if len(sealed) < 6 {
		t.Fatalf("only %d sealed values of the person in the database: the test looks in the wrong place", len(sealed))
	}

	metrics := s.call("GET", "/metrics", nil)
	search := func(when string) {
		t.Helper()
		for where, b := range map[string][]byte{"metrics": metrics.Body, "output and log": s.output.Bytes(), "error bodies": errorsSeen.Bytes()} {
			for _, f := range set.Search(where, b) {
				t.Errorf("%s: %s", when, f)
			}
		}
		for _, dir := range []string{s.Dir, rejectsDir} {
			finds, err := set.SearchDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range finds {
				t.Errorf("%s: %s", when, f)
			}
		}
	}
	search("while running")

	erased := s.call("DELETE", subject, nil)
	if erased.Status != http.StatusOK {
		t.Fatalf("erasing: status %d: %s", erased.Status, erased.Body)
	}
	fmt.Fprintf(&errorsSeen, "%s", erased.Body)
	bad("POST", subject+"/data/read", map[string]any{"purpose": "provide", "categories": []string{"person.name"}})

	// Within 60 s the bytes are gone from SQLite's files.
	var rest []canary.Find
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		rest = nil
		for name, b := range sealed {
			finds, err := searchBytes(s.Dir, name, b)
			if err != nil {
				t.Fatal(err)
			}
			rest = append(rest, finds...)
		}
		if len(rest) == 0 {
			break
		}
		select {
		case <-tick.C:
			continue
		case <-deadline.C:
		}
		break
	}
	for _, f := range rest {
		t.Errorf("60 s after the erasure: %s", f)
	}
	search("after the erasure")
	if left := uploaded(t, s.Dir); len(left) > 0 {
		t.Errorf("after the erasure %d files of uploads are left", len(left))
	}
	s.stop()
	search("after the server stopped")
}

// uploaded lists the files of the store of uploads.
func uploaded(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(dir, "uploads"), func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// searchBytes looks for exact bytes in every file of dir.
func searchBytes(dir, name string, b []byte) ([]canary.Find, error) {
	var set canary.Set
	set.AddBytes(name, b)
	return set.SearchDir(dir)
}

// sealedBytes reads what is stored of one person straight from the files: the
// ciphertexts that erasure deletes and the wrapped keys that it destroys.
func sealedBytes(t *testing.T, dir, id string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	raw := strings.ReplaceAll(id, "-", "")
	for _, q := range []struct{ file, name, query string }{
		{"abide.db", "item", "SELECT sealed FROM item WHERE hex(subject_id) = upper(?)"},
		{"keys/keys.db", "key", "SELECT wrapped FROM subject_key WHERE compartment IN (1, 2) AND hex(subject_id) = upper(?)"},
	} {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, q.file)+"?mode=ro")
		if err != nil {
			t.Fatal(err)
		}
		rows, err := db.Query(q.query, raw)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				t.Fatal(err)
			}
			out[fmt.Sprintf("%s %d", q.name, len(out))] = b
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		_ = rows.Close()
		_ = db.Close()
	}
	return out
}
