package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/abide-privacy/abide/internal/api"
)

// content is a file of several segments.
var content = bytes.Repeat([]byte("0123456789abcdef"), 20_000)

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// fileOf uploads a file and returns its link.
func (w *world) fileOf(path, media string, body []byte) string {
	w.t.Helper()
	w.want(w.call("app", "PUT", path+"/uploads/person.files?service=cloud&source=cloud_app", string(body), "Content-Type", media,
		"Content-Disposition", `attachment; filename*=UTF-8''Zeugnis%20%C3%BCber%20Ada%22.html`, "Content-Digest", digest(body), "Abide-Ref", "order-7"), 201)
	return w.linkOf(path)
}

func (w *world) linkOf(path string) string {
	w.t.Helper()
	got := w.want(w.call("app", "POST", path+"/data/read", map[string]any{"purpose": "provide", "act": "use", "categories": []string{"person.files"}}), 200)
	data, _ := got.body["data"].(map[string]any)
	list, _ := data["person.files"].([]any)
	if len(list) == 0 {
		w.t.Fatalf("no file: %s", got.raw)
	}
	last, _ := list[len(list)-1].(map[string]any)
	link, _ := last["link"].(string)
	if link == "" {
		w.t.Fatalf("no link: %s", got.raw)
	}
	return link
}

func TestUploadsOverHTTP(t *testing.T) {
	w := newWorld(t, api.Limits{})
	id := w.person("HK")
	path := "/v1/subjects/" + id
	link := w.fileOf(path, "text/html; charset=utf-8", content)
	if strings.Contains(link, id) {
		t.Error("the link names the person")
	}
	get := func(method string, headers ...string) response { return w.call("", method, link, nil, headers...) }

	t.Run("whole, as an attachment that runs nowhere", func(t *testing.T) {
		got := w.want(get("GET"), 200)
		if !bytes.Equal(got.raw, content) {
			t.Errorf("%d bytes", len(got.raw))
		}
		for name, want := range map[string]string{"Content-Type": "text/html", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Content-Disposition": `attachment; filename*=utf-8''Zeugnis%20%C3%BCber%20Ada%22.html`, "Accept-Ranges": "bytes",
			"Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'", "Repr-Digest": digest(content),
			"Content-Length": fmt.Sprint(len(content)), "Referrer-Policy": "no-referrer"} {
			if got.header.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
			}
		}
		head := w.want(get("HEAD"), 200)
		if len(head.raw) != 0 || head.header.Get("Content-Length") != fmt.Sprint(len(content)) || head.header.Get("ETag") != got.header.Get("ETag") {
			t.Errorf("HEAD: %v", head.header)
		}
	})
	etag := get("HEAD").header.Get("ETag")
	for _, c := range []struct {
		name, header, ifRange string
		status                int
		from, to              int
	}{
		{"first bytes", "bytes=0-9", "", 206, 0, 10},
		{"over a segment", "bytes=65490-65510", "", 206, 65490, 65511},
		{"to the end", "bytes=319990-", "", 206, 319990, 320000},
		{"the last", "bytes=-5", "", 206, 319995, 320000},
		{"same file still", "bytes=5-6", etag, 206, 5, 7},
		{"another file now", "bytes=5-6", `"other"`, 200, 0, 320000},
		{"several ranges are answered with the whole", "bytes=0-1,5-6", "", 200, 0, 320000},
		{"nonsense", "lines=1-2", "", 416, 0, 0},
		{"beyond the end", "bytes=320000-", "", 416, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := []string{"Range", c.header}
			if c.ifRange != "" {
				headers = append(headers, "If-Range", c.ifRange)
			}
			got := w.want(get("GET", headers...), c.status)
			if c.status < 300 && !bytes.Equal(got.raw, content[c.from:c.to]) {
				t.Errorf("%d bytes, want %d", len(got.raw), c.to-c.from)
			}
			if want := fmt.Sprintf("bytes %d-%d/%d", c.from, c.to-1, len(content)); c.status == 206 && got.header.Get("Content-Range") != want {
				t.Errorf("Content-Range %q, want %q", got.header.Get("Content-Range"), want)
			}
		})
	}
	t.Run("unchanged", func(t *testing.T) { w.want(get("GET", "If-None-Match", etag), 304) })
	t.Run("refused", func(t *testing.T) {
		for _, c := range []struct {
			role, query, detail string
			status              int
			headers             []string
		}{
			{"", "?service=cloud", "token_missing", 401, nil},
			{"app", "", "service_missing", 422, nil},
			{"app", "?service=cloud", "bad_content_digest", 422, []string{"Content-Digest", "sha-256=:AAAA:"}},
			{"app", "?service=cloud", "digest_mismatch", 422, []string{"Content-Digest", digest([]byte("y"))}},
			{"app", "?service=cloud", "bad_content_disposition", 422, []string{"Content-Disposition", "attachment; filename"}},
			{"app", "?service=cloud", "bad_file_name", 422, []string{"Content-Disposition", `attachment; filename="a\\b"`}},
			{"app", "?service=cloud", "send_the_file_itself", 422, []string{"Content-Type", "multipart/form-data; boundary=x"}},
			{"app", "?service=cloud&obtained=x", "bad_time", 422, nil},
		} {
			got := w.want(w.call(c.role, "PUT", path+"/uploads/person.files"+c.query, "x", c.headers...), c.status)
			if got.text("code") != c.detail {
				t.Errorf("%s: %s", c.detail, got.raw)
			}
		}
		got := w.want(w.call("checkout", "PUT", path+"/uploads/person.name?service=shop", "x"), 422)
		if got.text("code") != "not_a_file" {
			t.Errorf("%s", got.raw)
		}
		w.want(w.call("", "GET", "/v1/uploads/AAAA", nil), 404)
	})
	t.Run("a key acts once", func(t *testing.T) {
		var answers []response
		for range 2 {
			answers = append(answers, w.want(w.call("app", "PUT", path+"/uploads/person.files?service=cloud", "once", "Idempotency-Key", "k"), 201))
		}
		if !bytes.Equal(answers[0].raw, answers[1].raw) {
			t.Errorf("%s and %s", answers[0].raw, answers[1].raw)
		}
		got := w.want(w.call("app", "PUT", path+"/uploads/person.files?service=cloud", "other", "Idempotency-Key", "k"), 409)
		if got.text("code") != "idempotency_mismatch" {
			t.Errorf("%s", got.raw)
		}
	})
	t.Run("the link ends", func(t *testing.T) {
		w.clock.advance(5 * time.Minute)
		if got := w.want(get("GET"), 404); got.text("code") != "link_expired" {
			t.Errorf("%s", got.raw)
		}
		link = w.linkOf(path)
		w.want(w.call("admin", "DELETE", path, nil), 200)
		if got := w.want(get("GET"), 403); !bytes.Contains(got.raw, []byte("erased")) {
			t.Errorf("%s", got.raw)
		}
	})
}

// Damage is answered with a problem if nothing was sent yet, and otherwise the
// connection breaks, so that nobody takes a part for the whole.
func TestDamagedDownload(t *testing.T) {
	w := newWorld(t, api.Limits{})
	path := "/v1/subjects/" + w.person("HK")
	link := w.fileOf(path, "text/plain", content)
	var stored string
	check(t, filepath.WalkDir(w.dir, func(p string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && strings.Contains(p, "/uploads/blobs/b/") {
			stored = p
		}
		return err
	}))
	good, err := os.ReadFile(stored)
	check(t, err)
	bad := bytes.Clone(good)
	bad[3*65536] ^= 1
	check(t, os.WriteFile(stored, bad, 0o600))
	for _, headers := range [][]string{nil, {"Range", "bytes=0-250000"}} {
		req, err := http.NewRequest(http.MethodGet, w.url+link, nil)
		check(t, err)
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		check(t, err)
		got, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) == 0 || !bytes.HasPrefix(content, got) || len(got) > 3*65536 {
			t.Errorf("%v: %d bytes, %v", headers, len(got), err)
		}
	}
	w.want(w.call("", "GET", link, nil, "Range", "bytes=0-1000"), 206)
	for _, damage := range [][]byte{bad, good[:len(good)-1]} {
		check(t, os.WriteFile(stored, damage, 0o600))
		got := w.want(w.call("", "GET", link, nil, "Range", "bytes=200000-200001"), 500)
		if got.text("code") != "upload_damaged" || got.header.Get("Content-Range")+got.header.Get("ETag")+got.header.Get("Content-Disposition") != "" {
			t.Errorf("%v %s", got.header, got.raw)
		}
	}
}

// The decision comes before the first byte: a sender that asks whether it may
// (Expect: 100-continue) hears the refusal and sends nothing.
func TestUploadDecidedBeforeTheFirstByte(t *testing.T) {
	w := newWorld(t, api.Limits{})
	path := "/v1/subjects/" + w.person("HK")
	for category, want := range map[string]string{"person.name": "HTTP/1.1 422", "person.files": "HTTP/1.1 100"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		check(t, err)
		check(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = fmt.Fprintf(conn, "PUT %s/uploads/%s?service=cloud HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
			path, category, w.tokens["app"])
		check(t, err)
		first := make([]byte, len(want))
		_, err = io.ReadFull(conn, first)
		check(t, err)
		if string(first) != want {
			t.Errorf("%s: %q, want %q", category, first, want)
		}
		check(t, conn.Close())
	}
}
