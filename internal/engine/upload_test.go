package engine_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/s3"
)

// withFiles is the test policy with a photo of which there is one, papers of
// which there are many, deeds that law retains, and a passport scan of a level
// that shows nothing whole.
func withFiles(t *testing.T) fstest.MapFS {
	return edit(t,
		"messages; your visits.", "messages; your visits; your photo, papers, deeds and passport scan.",
		"  visit   = {", `  photo    = { words = "photo", format = file, max_size = megabytes(1), media_types = ["image/*"] }
  papers   = { words = "papers", format = file, many = true }
  deed     = { words = "deeds", format = file, many = true }
  passport = { words = "passport scan", format = file, level = private }
  visit   = {`,
		"orders, taste profile, what you", "orders, taste profile, photo, papers, passport scan, what you",
		"person.taste, person.forum,", "person.taste, person.photo, person.papers, person.passport, person.forum,",
		"The law wants your invoices", "The law wants your invoices and deeds",
		"uses  = [person.invoice]", "uses  = [person.invoice, person.deed]",
		"It is chosen by your taste profile and orders.", "It is chosen by your taste profile and orders, and shows your photo.",
		"  chosen_by = [person.taste, person.orders]", "  uses      = [person.photo]\n  chosen_by = [person.taste, person.orders]")
}

func file(id abide.SubjectID, c abide.Category) engine.Upload {
	media := "application/pdf"
	if c == "person.photo" {
		media = "image/png"
	}
	return engine.Upload{Subject: id, Category: c, Service: "shop", Source: "checkout", Name: "Zeugnis über Ada.pdf", MediaType: media, Size: -1}
}

func (w *world) upload(id abide.SubjectID, c abide.Category, content []byte) engine.Uploaded {
	w.t.Helper()
	got, err := w.e.PutUpload(w.t.Context(), app, file(id, c), bytes.NewReader(content))
	must(w.t, err)
	w.clock.add(time.Millisecond) // items made later have later ids
	return got
}

// links reads a category and returns the tokens of its files, oldest first.
func (w *world) links(c engine.Call, id abide.SubjectID, purpose abide.Purpose, cat abide.Category) []string {
	w.t.Helper()
	got, err := w.read(c, id, purpose, cat)
	must(w.t, err)
	var out []string
	for _, v := range got.Data[cat] {
		out = append(out, v.Token)
	}
	return out
}

func (w *world) download(token string) ([]byte, error) {
	w.t.Helper()
	d, err := w.e.OpenDownload(w.t.Context(), token)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(d)
	return got, errors.Join(err, d.Close())
}

// stored lists the blobs and markers in the store.
func (w *world) stored(t *testing.T) (blobs, markers []string) {
	t.Helper()
	for prefix, to := range map[string]*[]string{"b/": &blobs, "p/": &markers} {
		must(t, w.blobs.List(t.Context(), prefix, func(name string, _ time.Time) error {
			*to = append(*to, name)
			return nil
		}))
	}
	return blobs, markers
}

func (w *world) wantStored(t *testing.T, blobs, markers int) {
	t.Helper()
	b, m := w.stored(t)
	if len(b) != blobs || len(m) != markers {
		t.Errorf("%d blobs and %d markers are stored, want %d and %d", len(b), len(m), blobs, markers)
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(3, uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestUploads(t *testing.T) {
	onEvery(t, uploads)
	t.Run("bucket", func(t *testing.T) {
		server := s3.Start(t)
		w := newWorld(t, backends["sqlite"](t))
		var err error
		w.blobs, err = blob.OpenS3(blob.S3Options{Bucket: server.Bucket, Prefix: "p", Endpoint: server.Endpoint, Region: "us-east-1",
			AccessKey: server.AccessKey, SecretKey: server.SecretKey})
		must(t, err)
		w.restart()
		uploads(t, w)
	})
}

func uploads(t *testing.T, w *world) {
	w.publish(withFiles(t))
	id := w.person(engine.NewSubject{})
	content := noise(300_000)
	sum := sha256.Sum256(content)
	u := file(id, "person.papers")
	u.SHA256, u.Size = sum[:], int64(len(content))
	first, err := w.e.PutUpload(t.Context(), once(app, "first"), u, iotest.OneByteReader(bytes.NewReader(content)))
	must(t, err)
	w.clock.add(time.Millisecond)
	second := w.upload(id, "person.papers", []byte("two"))
	w.upload(id, "person.papers", nil)
	w.wantStored(t, 3, 0)
	again, err := w.e.PutUpload(t.Context(), once(app, "first"), u, bytes.NewReader(content))
	if err != nil || again.Item != first.Item || first.File.Size != 300_000 {
		t.Errorf("sent again: %+v, %v, first %+v", again, err, first)
	}
	w.wantStored(t, 3, 0)

	got, err := w.read(app, id, "provide", "person.papers")
	must(t, err)
	values := got.Data["person.papers"]
	if len(values) != 3 || values[0].ID != first.Item.ID || values[1].ID != second.Item.ID {
		t.Fatalf("got %d values", len(values))
	}
	var f engine.File
	must(t, json.Unmarshal(values[0].Value, &f))
	if f != first.File || f.Name != "Zeugnis über Ada.pdf" || f.MediaType != "application/pdf" || f.Size != 300_000 {
		t.Errorf("got %+v", f)
	}
	for i, want := range [][]byte{content, []byte("two"), {}} {
		if strings.Contains(values[i].Token, id.String()) {
			t.Error("a link names the person")
		}
		if got, err := w.download(values[i].Token); err != nil || !bytes.Equal(got, want) {
			t.Errorf("file %d: %d bytes, %v", i, len(got), err)
		}
	}
	// Ranges, forwards and back.
	d, err := w.e.OpenDownload(t.Context(), values[0].Token)
	must(t, err)
	for _, off := range []int64{0, 65_496, 65_495, 250_000, 10, 299_999} {
		must2(d.Seek(off, io.SeekStart))(t)
		part := make([]byte, min(1000, 300_000-off))
		must2(io.ReadFull(d, part))(t)
		if !bytes.Equal(part, content[off:off+int64(len(part))]) {
			t.Errorf("other bytes from %d", off)
		}
	}
	must(t, d.Close())
	// Each use of a link is a look, on record.
	if kinds := w.kinds(id); tally(kinds, "collected") != 3 || tally(kinds, "looked") != 1+3+1 {
		t.Errorf("recorded: %v", kinds)
	}

	// Of one photo, the new one takes the place of the old.
	w.upload(id, "person.photo", []byte("old"))
	old := w.links(app, id, "provide", "person.photo")[0]
	w.upload(id, "person.photo", []byte("new"))
	w.wantStored(t, 4, 0)
	for _, token := range []string{old, w.links(app, id, "provide", "person.photo")[0]} {
		if got, err := w.download(token); err != nil || string(got) != "new" {
			t.Errorf("got %q, %v", got, err)
		}
	}

	// Law retains deeds; everything else goes with the person.
	deed := w.upload(id, "person.deed", []byte("deed"))
	all, _ := w.stored(t)
	cert, err := w.e.Erase(t.Context(), admin, id)
	must(t, err)
	if !slices.ContainsFunc(cert.Survives, func(s audit.Survivor) bool { return s.What == "person.deed" }) || cert.Counts["person.papers"] != 3 {
		t.Errorf("the certificate says %+v", cert)
	}
	_, err = w.download(values[0].Token)
	wantReason(t, err, abide.DenyErased)
	w.jobEnded(id)
	rest, _ := w.stored(t)
	if len(all) != 5 || len(rest) != 1 {
		t.Errorf("%d blobs before the erasure, %d after it", len(all), len(rest))
	}
	books := app
	got, err = w.read(books, id, "books", "person.deed")
	must(t, err)
	if got.Data["person.deed"][0].ID != deed.Item.ID {
		t.Errorf("got %+v", got.Data)
	}
	if b, err := w.download(got.Data["person.deed"][0].Token); err != nil || string(b) != "deed" {
		t.Errorf("got %q, %v", b, err)
	}
}

func tally(list []string, s string) (n int) {
	for _, x := range list {
		if x == s {
			n++
		}
	}
	return n
}

func TestUploadsRefused(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.publish(withFiles(t))
		id := w.person(engine.NewSubject{})
		unread := iotest.ErrReader(errors.New("the body was read before the decision"))
		try := func(change func(*engine.Upload), body io.Reader) error {
			u := file(id, "person.photo")
			change(&u)
			_, err := w.e.PutUpload(t.Context(), app, u, body)
			return err
		}
		wantError(t, try(func(u *engine.Upload) { u.Category = "person.name" }, unread), abide.CodeInvalid, "not_a_file")
		wantReason(t, try(func(u *engine.Upload) { u.Category = "person.none" }, unread), abide.DenyUnknownCategory)
		wantReason(t, try(func(u *engine.Upload) { u.Service, u.Category = "chat", "person.photo" }, unread), abide.DenyNotCovered)
		wantError(t, try(func(u *engine.Upload) { u.MediaType = "application/pdf" }, unread), abide.CodeInvalid, "media_type_refused")
		wantError(t, try(func(u *engine.Upload) { u.MediaType = "photo" }, unread), abide.CodeInvalid, "bad_media_type")
		wantError(t, try(func(u *engine.Upload) { u.Name = "../etc" }, unread), abide.CodeInvalid, "bad_file_name")
		wantError(t, try(func(u *engine.Upload) { u.Size = 1_000_001 }, unread), abide.CodeTooLarge, "file_too_large")
		wantError(t, try(func(*engine.Upload) {}, bytes.NewReader(noise(1_000_001))), abide.CodeTooLarge, "file_too_large")
		wantError(t, try(func(u *engine.Upload) { u.Size = 4 }, strings.NewReader("three")), abide.CodeInvalid, "size_mismatch")
		wantError(t, try(func(u *engine.Upload) { u.SHA256 = make([]byte, 32) }, strings.NewReader("x")), abide.CodeInvalid, "digest_mismatch")
		wantError(t, try(func(*engine.Upload) {}, io.MultiReader(strings.NewReader("x"), iotest.ErrReader(io.ErrUnexpectedEOF))), abide.CodeInvalid, "body_broken_off")
		_, err := w.e.Collect(t.Context(), app, put(id, "shop", items{"person.photo": "x"}))
		wantError(t, err, abide.CodeInvalid, "send_as_upload")
		w.wantStored(t, 0, 0)

		// Decided again at the commit: whoever is erased while it arrives.
		body := &hooked{Reader: bytes.NewReader(noise(100_000)), do: func() { must2(w.e.Erase(t.Context(), admin, id))(t) }}
		wantError(t, try(func(*engine.Upload) {}, body), abide.CodeErased, "subject_erased")
		w.wantStored(t, 0, 0)
	})
}

// The eraser may take a file away while the blob store still lands it: whoever
// sent it hears of the erasure, not of a store that does not answer.
func TestUploadTakenByTheEraser(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.publish(withFiles(t))
		for _, erased := range []bool{true, false} {
			id := w.person(engine.NewSubject{})
			body := &hooked{Reader: bytes.NewReader(noise(1000)), do: func() {
				if erased {
					must2(w.e.Erase(t.Context(), admin, id))(t)
				}
			}}
			w.faults.set(nil, map[string]error{"put blob": blob.ErrNotFound})
			_, err := w.e.PutUpload(t.Context(), app, file(id, "person.photo"), body)
			w.faults.clear()
			if erased {
				wantError(t, err, abide.CodeErased, "subject_erased")
			} else {
				wantError(t, err, abide.CodeUnavailable, "uploads_unavailable")
			}
		}
	})
}

// hooked runs do once, in the middle.
type hooked struct {
	io.Reader
	do func()
}

func (h *hooked) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if h.do != nil && n > 0 {
		h.do()
		h.do = nil
	}
	return n, err
}

// A link ends with what it rests on.
func TestLinksEnd(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.publish(withFiles(t))
		id := w.person(engine.NewSubject{})
		w.upload(id, "person.photo", noise(200_000))
		w.upload(id, "person.passport", []byte("passport"))
		w.consent(id, "give")

		fresh := func() string {
			got, err := w.e.ReadData(t.Context(), app, engine.Read{Subject: id, Purpose: "newsletter", Act: abide.ActUse, Categories: []abide.Category{"person.photo"}})
			must(t, err)
			return got.Data["person.photo"][0].Token
		}
		token := fresh()
		if got, err := w.download(token); err != nil || len(got) != 200_000 {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		w.clock.add(5*time.Minute - time.Second)
		must2(w.download(token))(t)
		w.clock.add(time.Second)
		_, err := w.download(token)
		wantError(t, err, abide.CodeNotFound, "link_expired")
		for _, bad := range []string{"", "x", token[:len(token)-2], "AAAA" + token, strings.Repeat("A", 10_000)} {
			_, err := w.download(bad)
			wantError(t, err, abide.CodeNotFound, "link_unknown")
		}

		// Masked, so only described.
		got, err := w.e.ReadData(t.Context(), app, engine.Read{Subject: id, Purpose: "provide", Categories: []abide.Category{"person.passport"}, Reason: "a check"})
		must(t, err)
		if v := got.Data["person.passport"][0]; !v.Masked || v.Token != "" {
			t.Errorf("a file of which nothing is shown whole has a link: %+v", v)
		}

		// A withdrawal binds the next use, and the one that runs.
		token = fresh()
		running, err := w.e.OpenDownload(t.Context(), token)
		must(t, err)
		part := make([]byte, 10)
		must2(io.ReadFull(running, part))(t)
		w.consent(id, "withdraw")
		_, err = w.download(token)
		wantReason(t, err, abide.DenyWithdrawn)
		w.clock.add(time.Second)
		n, err := io.ReadFull(running, part)
		wantReason(t, err, abide.DenyWithdrawn)
		if n > 0 {
			t.Errorf("%d bytes after the withdrawal", n)
		}
		must(t, running.Close())

		// A revoked token ends its links; an expired one too.
		secret, _, err := w.e.CreateToken(t.Context(), admin, engine.NewToken{Name: "t", Actor: abide.Actor{Kind: abide.ActorService, Name: "app", Purposes: []abide.Purpose{"provide"}}})
		must(t, err)
		actor, name, err := w.e.Authenticate(t.Context(), secret)
		must(t, err)
		bearer := engine.Call{Actor: actor, Token: name, Credential: engine.Credential(secret)}
		token = w.links(bearer, id, "provide", "person.photo")[0]
		must2(w.download(token))(t)
		must(t, w.e.RevokeToken(t.Context(), admin, "t"))
		_, err = w.download(token)
		wantError(t, err, abide.CodeUnauthorized, "token_unknown")

		// G1: no record, no byte.
		token = w.links(app, id, "provide", "person.photo")[0]
		w.faults.set(map[string]error{"spool": storage.ErrUnavailable}, nil)
		if got, err := w.download(token); err == nil || len(got) > 0 {
			t.Errorf("%d bytes without a record, %v", len(got), err)
		}
		w.faults.clear()

		// Past the deadline nothing is readable, before any sweep.
		w.clock.add(6 * 365 * day)
		_, err = w.read(app, id, "provide", "person.photo")
		wantReason(t, err, abide.DenyRetention)
	})
}

// Whatever happens to the bytes is refused by name, and nothing of them comes out.
func TestDamagedUploads(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.publish(withFiles(t))
		id, other := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		content := noise(200_000)
		w.upload(id, "person.photo", content)
		w.upload(other, "person.photo", content)
		names, _ := w.stored(t)
		mine := names[slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, id.String()) })]
		theirs := names[slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, other.String()) })]
		raw := func(name string) []byte {
			r, err := w.blobs.Range(t.Context(), name, 0, 1<<30)
			must(t, err)
			b, err := io.ReadAll(r)
			must(t, errors.Join(err, r.Close()))
			return b
		}
		good := raw(mine)
		flip := func(at int) []byte { b := bytes.Clone(good); b[at] ^= 0x10; return b }
		for name, bad := range map[string][]byte{"of another person": raw(theirs), "a byte in front": flip(100), "a byte at the end": flip(len(good) - 1),
			"cut": good[:len(good)-1], "longer": append(bytes.Clone(good), 0), "empty": {}} {
			must(t, w.blobs.Put(t.Context(), mine, bytes.NewReader(bad)))
			got, err := w.download(w.links(app, id, "provide", "person.photo")[0])
			if abide.ErrorDetail(err) != "upload_damaged" {
				t.Errorf("%s: got %v", name, err)
			}
			if !bytes.HasPrefix(content, got) || len(got) == len(content) {
				t.Errorf("%s: %d bytes came out", name, len(got))
			}
		}
		must(t, w.blobs.Delete(t.Context(), mine))
		_, err := w.download(w.links(app, id, "provide", "person.photo")[0])
		wantError(t, err, abide.CodeInternal, "upload_damaged")
		must(t, w.blobs.Put(t.Context(), mine, bytes.NewReader(good)))
		must2(w.download(w.links(app, id, "provide", "person.photo")[0]))(t)
		w.faults.set(map[string]error{"range": blob.ErrUnavailable}, nil)
		_, err = w.download(w.links(app, id, "provide", "person.photo")[0])
		wantError(t, err, abide.CodeUnavailable, "uploads_unavailable")
	})
}

// Killed at any step, an upload is there whole or not at all, and what is left
// is collected after a day, and not before.
func TestUploadKilledAnywhere(t *testing.T) {
	steps := []string{"put marker", "put blob", "commit", "delete marker", "delete blob"}
	onEvery(t, func(t *testing.T, w *world) {
		w.publish(withFiles(t))
		for _, step := range steps {
			for _, persisted := range []bool{false, true} {
				id := w.person(engine.NewSubject{})
				w.upload(id, "person.photo", []byte("old"))
				before, _ := w.stored(t)
				w.faults.kill(step, persisted)
				_, err := w.e.PutUpload(t.Context(), once(app, "key"), file(id, "person.photo"), strings.NewReader("new"))
				w.faults.clear()
				w.restart()
				got, derr := w.download(w.links(app, id, "provide", "person.photo")[0])
				if derr != nil || string(got) != "old" && string(got) != "new" || err == nil && string(got) != "new" {
					t.Errorf("%s, persisted %t: answered %v, then %q, %v", step, persisted, err, got, derr)
				}
				// Sent again under its key it takes effect once.
				again, err := w.e.PutUpload(t.Context(), once(app, "key"), file(id, "person.photo"), strings.NewReader("new"))
				must(t, err)
				got, err = w.download(w.links(app, id, "provide", "person.photo")[0])
				if err != nil || string(got) != "new" || again.File.Size != 3 {
					t.Errorf("%s, persisted %t: again %q, %v", step, persisted, got, err)
				}
				_, err = w.e.PutUpload(t.Context(), once(app, "key"), file(id, "person.photo"), strings.NewReader("NEW"))
				wantError(t, err, abide.CodeConflict, "idempotency_mismatch")

				after, _ := w.stored(t)
				w.clock.add(day - time.Minute)
				must2(w.e.CollectUploads(t.Context()))(t)
				if now, _ := w.stored(t); len(now) != len(after) {
					t.Errorf("%s, persisted %t: collected before a day was over", step, persisted)
				}
				w.clock.add(2 * time.Minute)
				must2(w.e.CollectUploads(t.Context()))(t)
				w.wantStored(t, len(before), 0)
				if got, err := w.download(w.links(app, id, "provide", "person.photo")[0]); err != nil || string(got) != "new" {
					t.Errorf("%s, persisted %t: after collecting %q, %v", step, persisted, got, err)
				}
			}
		}
	})
}

// An erasure whose blobs cannot be deleted is not finished, and goes on later;
// the bytes are unreadable all the same.
func TestErasureDeletesBlobsLater(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.publish(withFiles(t))
		id := w.person(engine.NewSubject{})
		for range 3 {
			w.upload(id, "person.papers", []byte("paper"))
		}
		token := w.links(app, id, "provide", "person.papers")[0]
		w.faults.set(map[string]error{"delete blob": blob.ErrUnavailable}, nil)
		must2(w.e.Erase(t.Context(), admin, id))(t)
		_, err := w.download(token)
		wantReason(t, err, abide.DenyErased)
		w.wantStored(t, 3, 0)
		jobs, err := w.store.ErasureJobs(t.Context(), 10)
		must(t, err)
		if len(jobs) != 1 {
			t.Errorf("%d erasures wait, want 1", len(jobs))
		}
		w.faults.clear()
		w.restart()
		w.purged(id)
		w.wantStored(t, 0, 0)
	})
}

// No room: nothing is kept, and the caller is told.
func TestUploadWithoutRoom(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.publish(withFiles(t))
		id := w.person(engine.NewSubject{})
		for _, step := range []string{"put marker", "put blob"} {
			w.faults.set(map[string]error{step: blob.ErrFull}, nil)
			_, err := w.e.PutUpload(t.Context(), app, file(id, "person.photo"), strings.NewReader("x"))
			wantError(t, err, abide.CodeUnavailable, "disk_full")
			w.faults.clear()
			w.wantStored(t, 0, 0)
		}
		w.upload(id, "person.photo", []byte("x"))
	})
}

// zeros is a file of nothing but zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A file of 64 MB goes in and out through a few segments of memory: what is
// allocated in all, garbage included, is a fraction of its size.
func TestUploadMemoryIsBounded(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		const size, limit = 64_000_000, 8 << 20
		files := withFiles(t)
		files["privacy.md"].Data = bytes.Replace(files["privacy.md"].Data, []byte("papers   = { words"), []byte("papers   = { max_size = megabytes(64), words"), 1)
		w.publish(files)
		id := w.person(engine.NewSubject{})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		must2(w.e.PutUpload(t.Context(), app, file(id, "person.papers"), io.LimitReader(zeros{}, size)))(t)
		d, err := w.e.OpenDownload(t.Context(), w.links(app, id, "provide", "person.papers")[0])
		must(t, err)
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, d, make([]byte, 32<<10))
		must(t, errors.Join(err, d.Close()))
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; n != size || got > limit {
			t.Errorf("%d bytes read back; %d bytes allocated, want at most %d", n, got, limit)
		}
	})
}
