package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"mime"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

const (
	maxFileName = 255 // bytes of a file's name
	// uploadLife is how long an upload may take from its decision to its
	// commit. It is far less than collectAge, so that what is collected is
	// never on its way.
	uploadLife = 6 * time.Hour
)

// PutUpload takes in a file. The decision is taken before the first byte is
// read from body, and again at the commit. What survives a crash:
//
//	after the marker      the marker, which the collector removes
//	while bytes arrive    the marker, and what the blob store tidies away
//	after the blob        the marker and a blob no item holds; the collector
//	                      removes both
//	after the commit      the upload; its marker, which the collector removes
func (e *Engine) PutUpload(ctx context.Context, c Call, u Upload, body io.Reader) (Uploaded, error) {
	p, err := e.newUploading(c, u)
	if err != nil {
		return Uploaded{}, err
	}
	done, err := update(ctx, e, c, opCollect, u.Subject, p.req.want, p.Upload, func(ch *change) (landed, error) {
		_, err := p.admit(ctx, ch)
		ch.entries = nil // nothing happened yet: joining the service comes with the file
		return landed{}, err
	})
	switch {
	case err != nil:
		e.raiseStopped(err)
		return Uploaded{}, err
	case done.Blob != "":
		return repeated(done.Uploaded, body)
	}
	if err := e.mark(ctx, p.name); err != nil {
		return Uploaded{}, err
	}
	if err := e.receive(ctx, p, body); err != nil {
		e.discard(ctx, p.name)
		return Uploaded{}, e.orErased(ctx, u.Subject, err)
	}
	got, err := update(ctx, e, c, opCollect, u.Subject, p.req.want, p.Upload, func(ch *change) (landed, error) { return p.build(ctx, ch) })
	if err != nil {
		// If it is certain that no item holds the blob, it can go. Otherwise
		// the collector finds out.
		switch abide.ErrorCode(err) {
		case abide.CodeInvalid, abide.CodeDenied, abide.CodeConflict, abide.CodeErased, abide.CodeTooLarge, abide.CodeNotFound:
			e.discard(ctx, p.name)
		}
		return Uploaded{}, err
	}
	if got.Blob != p.name {
		// The same request, sent twice at once, came first.
		e.discard(ctx, p.name)
		return got.Uploaded, nil
	}
	e.unmark(ctx, p.name)
	return got.Uploaded, nil
}

// landed is the answer as it is remembered: with the blob, by which a request
// that was sent twice at once knows which of the two it is.
type landed struct {
	Uploaded
	Blob string
}

// uploading is one upload on its way.
type uploading struct {
	Upload
	engine  *Engine
	req     Collect
	blob    *vault.Blob
	of      vault.BlobOf
	name    string // of the blob
	max     int64
	started time.Time
	file    File
}

func (e *Engine) newUploading(c Call, u Upload) (*uploading, error) {
	if e.blobs == nil {
		return nil, unavailable("uploads_off", "this server keeps no uploads")
	}
	if err := authorise(c, opCollect, u.Subject); err != nil {
		return nil, err
	}
	p := &uploading{Upload: u, engine: e, started: e.now(), req: Collect{Subject: u.Subject, Service: u.Service, Purpose: u.Purpose,
		Source: u.Source, Ref: u.Ref, Obtained: u.Obtained, Items: map[abide.Category]json.RawMessage{u.Category: nil}}}
	if err := p.req.check(); err != nil {
		return nil, err
	}
	if u.MediaType == "" {
		u.MediaType = "application/octet-stream"
	}
	media, _, err := mime.ParseMediaType(u.MediaType)
	if err != nil || !strings.Contains(media, "/") || len(media) > 127 {
		return nil, invalid("bad_media_type", "this is not a media type", "send one such as application/pdf as Content-Type", "media_type")
	}
	p.MediaType = media
	if !validFileName(u.Name) {
		return nil, invalid("bad_file_name", "a file's name has at most 255 bytes, and no slashes and no control characters", "send the name alone, without its folder", "name")
	}
	if p.blob, err = vault.NewBlob(); err != nil {
		return nil, storageError(err)
	}
	p.of = vault.BlobOf{Subject: u.Subject, Category: u.Category}
	p.name = blobName(u.Subject, p.blob)
	return p, nil
}

func validFileName(s string) bool {
	return len(s) <= maxFileName && utf8.ValidString(s) && s != "." && s != ".." &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) })
}

// admit decides whether the file may be taken in, and which item it will be.
func (p *uploading) admit(ctx context.Context, ch *change) (*collecting, error) {
	b := &collecting{change: ch, req: p.req}
	if err := b.decide(ctx, []abide.Category{p.Category}); err != nil {
		return nil, err
	}
	cat, err := p.category(b.policy())
	if err != nil {
		return nil, err
	}
	p.max = cat.MaxBytes
	var at storage.Item
	at.Category = cat.Name
	if err := b.place(cat, &at, nil); err != nil {
		return nil, err
	}
	p.of.Item = at.ID
	return b, nil
}

// category checks what the policy says of files of this category.
func (p *uploading) category(pol *policy.Policy) (*policy.Category, error) {
	cat, ok := pol.Category(p.Category)
	switch {
	case !ok:
		return nil, invalid("unknown_category", "the policy knows no such category", "see /v1/policy for the categories", "category")
	case cat.Format != policy.FormatFile:
		return nil, invalid("not_a_file", "this category holds values and no files", "send them with PUT /v1/subjects/{id}/data", string(p.Category))
	case cat.Elsewhere:
		return nil, invalid("kept_elsewhere", "files of this category are kept by your own systems", "keep it there", string(p.Category))
	case !cat.TakesMediaType(p.MediaType):
		return nil, invalid("media_type_refused", "the policy takes no files of this type here", "send one of: "+strings.Join(cat.MediaTypes, ", "), string(p.Category))
	case p.Size > cat.MaxBytes:
		return nil, fileTooLarge(p.Category)
	}
	return cat, nil
}

func fileTooLarge(c abide.Category) error {
	return &abide.Error{Code: abide.CodeTooLarge, Detail: "file_too_large", Field: string(c),
		Message: "the file is larger than the policy takes", Hint: "see max_size in the policy"}
}

// orErased returns err, unless it came about because the person was erased
// while their file arrived: the eraser takes away what it finds of them, also
// from under the blob store's hands.
func (e *Engine) orErased(ctx context.Context, id abide.SubjectID, err error) error {
	if abide.ErrorCode(err) != abide.CodeUnavailable {
		return err
	}
	s, loadErr := e.load(ctx, id, storage.Want{})
	if loadErr != nil {
		return err
	}
	defer s.close()
	if s.active() {
		return err
	}
	return erasedError()
}

// receive seals the body into the blob store.
func (e *Engine) receive(ctx context.Context, p *uploading, body io.Reader) error {
	in := &measured{r: body, max: p.max, category: p.Category, sum: sha256.New()}
	sealed, err := e.vault.SealBlob(p.blob, p.of, in)
	if err != nil {
		return storageError(err)
	}
	if err := e.blobs.Put(ctx, p.name, sealed); err != nil {
		return storageError(err)
	}
	sum := in.sum.Sum(nil)
	switch {
	case p.Size >= 0 && in.n != p.Size:
		return invalid("size_mismatch", "the file has another length than was announced", "send it again", "size")
	case p.SHA256 != nil && !bytes.Equal(sum, p.SHA256):
		return invalid("digest_mismatch", "the bytes are not those of the digest that was sent", "send the file again", "Content-Digest")
	}
	p.blob.Size = in.n
	p.file = File{Name: p.Name, MediaType: p.MediaType, Size: in.n, SHA256: hex.EncodeToString(sum)}
	return nil
}

// measured counts and hashes what is read, and refuses what is too long.
type measured struct {
	r        io.Reader
	n, max   int64
	category abide.Category
	sum      hash.Hash
}

func (m *measured) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.n += int64(n)
	if m.n > m.max {
		return 0, fileTooLarge(m.category)
	}
	_, _ = m.sum.Write(b[:n]) // a hash takes everything
	if err != nil && !errors.Is(err, io.EOF) {
		err = brokenOff(err)
	}
	return n, err
}

// brokenOff is the error of a body that ended early. The cause is the
// transport's, and may already say what happened.
func brokenOff(err error) error {
	var known *abide.Error
	if errors.As(err, &known) {
		return err
	}
	return &abide.Error{Code: abide.CodeInvalid, Detail: "body_broken_off", Err: err,
		Message: "the file ended before all of it had arrived; nothing was kept", Hint: "send it again"}
}

// build makes the item. The bytes are durable by now.
func (p *uploading) build(ctx context.Context, ch *change) (landed, error) {
	if p.engine.now().Sub(p.started) > uploadLife {
		return landed{}, invalid("upload_too_slow", "the file took too long to arrive", "send it over a faster line", "")
	}
	planned := p.of.Item
	b, err := p.admit(ctx, ch)
	if err != nil {
		return landed{}, err
	}
	if p.file.Size > p.max {
		return landed{}, fileTooLarge(p.Category)
	}
	for i := range ch.items {
		old := &ch.items[i]
		if old.Category != p.Category || old.ID != p.of.Item {
			continue
		}
		r, err := p.engine.vault.OpenItem(ch.keys, old)
		if err != nil {
			return landed{}, err
		}
		if r.Blob != nil {
			ch.doomed = append(ch.doomed, blobName(ch.id, r.Blob))
		}
	}
	if p.of.Item != planned && (b.rectified || len(ch.doomed) > 0) {
		p.of.Item = planned
		return landed{}, &abide.Error{Code: abide.CodeConflict, Detail: "changed_meanwhile",
			Message: "another file of this category came first", Hint: "send it again"}
	}
	p.of.Item = planned
	b.ids, b.rectified, b.added = map[abide.Category]abide.SubjectID{p.Category: planned}, false, false
	cat, _ := b.policy().Category(p.Category) // admit found it
	value, err := json.Marshal(p.file)
	if err != nil {
		return landed{}, storageError(err)
	}
	obtained, err := b.obtained()
	if err != nil {
		return landed{}, err
	}
	rec := &vault.Record{Value: value, Source: p.Source, Obtained: obtained, Service: p.Service, Ref: p.Ref, Blob: p.blob}
	if err := b.keep(cat, rec, nil); err != nil {
		return landed{}, err
	}
	b.entry([]abide.Category{p.Category})
	missing, err := b.missing()
	if err != nil {
		return landed{}, err
	}
	return landed{Uploaded{Item: b.refs[0], File: p.file, Missing: missing}, p.name}, nil
}

// repeated answers a request that was carried out before. Under one key the
// file must be the same one.
func repeated(done Uploaded, body io.Reader) (Uploaded, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(body, done.File.Size+1))
	switch {
	case err != nil:
		return Uploaded{}, brokenOff(err)
	case n != done.File.Size || hex.EncodeToString(sum.Sum(nil)) != done.File.SHA256:
		return Uploaded{}, mismatch()
	}
	return done, nil
}
