package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

const (
	linkLife     = 5 * time.Minute
	rejudgeEvery = time.Second
	noteDownload = "the file itself"
)

// link is what the token of a link carries, sealed: nothing is stored, and
// whoever holds a token learns nothing from it. It gives no permission of its
// own; each use is decided as if its maker asked again.
type link struct {
	Expires    time.Time       `json:"e"`
	Subject    abide.SubjectID `json:"s"`
	Category   abide.Category  `json:"c"`
	Item       abide.SubjectID `json:"i"`
	Purpose    abide.Purpose   `json:"p"`
	Act        abide.Act       `json:"a"`
	Recipient  abide.Recipient `json:"r,omitempty"`
	Reason     string          `json:"w,omitempty"`
	Approval   string          `json:"ap,omitempty"`
	Approvals  int             `json:"an,omitempty"`
	Topic      abide.Topic     `json:"t,omitempty"`
	Channel    abide.Channel   `json:"ch,omitempty"`
	Credential []byte          `json:"h,omitempty"`
	Actor      *abide.Actor    `json:"ac,omitempty"` // if known otherwise than by a token
	Token      string          `json:"n,omitempty"`
}

// link gives each upload that was released whole a token for its bytes.
func (e *Engine) link(c Call, r *Read, out *ReadResult, held []opened) error {
	if e.blobs == nil {
		return nil
	}
	for _, o := range held {
		if o.record.Blob == nil {
			continue
		}
		values := out.Data[o.item.Category]
		for i := range values {
			if values[i].ID != o.item.ID || values[i].Masked {
				continue
			}
			l := link{Expires: e.now().Add(linkLife), Subject: r.Subject, Category: o.item.Category, Item: o.item.ID, Purpose: r.Purpose, Act: r.Act,
				Recipient: r.Recipient, Reason: r.Reason, Approval: r.Approval, Approvals: r.Approvals, Topic: r.Topic, Channel: r.Channel,
				Credential: c.Credential, Token: c.Token}
			if c.Credential == nil {
				l.Actor = &c.Actor
			}
			plain, err := json.Marshal(l)
			if err != nil {
				return storageError(err)
			}
			sealed, err := e.vault.SealLink(plain)
			if err != nil {
				return storageError(err)
			}
			values[i].Token, values[i].LinkExpires = base64.RawURLEncoding.EncodeToString(sealed), l.Expires
		}
	}
	return nil
}

func noLink(detail, message string) error {
	return &abide.Error{Code: abide.CodeNotFound, Detail: detail, Message: message, Hint: "read the data again: the answer holds a new link"}
}

// openLink opens a token and finds who it acts for, now.
func (e *Engine) openLink(ctx context.Context, token string) (*link, Call, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(token) > 8192 {
		return nil, Call{}, noLink("link_unknown", "this is no link of ours")
	}
	plain, err := e.vault.OpenLink(sealed)
	if err != nil {
		return nil, Call{}, noLink("link_unknown", "this is no link of ours") //nolint:nilerr // whatever was wrong with it
	}
	var l link
	if err := json.Unmarshal(plain, &l); err != nil {
		return nil, Call{}, storageError(err)
	}
	if !e.now().Before(l.Expires) {
		return nil, Call{}, noLink("link_expired", "this link has expired")
	}
	c, err := e.caller(ctx, &l)
	return &l, c, err
}

// caller is who made the link, as far as they may still act.
func (e *Engine) caller(ctx context.Context, l *link) (Call, error) {
	c := Call{Token: l.Token, Credential: l.Credential}
	if l.Actor != nil {
		c.Actor = *l.Actor
		return c, nil
	}
	var err error
	c.Actor, c.Token, err = e.tokenBearer(ctx, l.Credential)
	return c, err
}

func (l *link) read() Read {
	return Read{Subject: l.Subject, Purpose: l.Purpose, Act: l.Act, Categories: []abide.Category{l.Category}, Recipient: l.Recipient,
		Reason: l.Reason, Approval: l.Approval, Approvals: l.Approvals, Topic: l.Topic, Channel: l.Channel, item: l.Item}
}

// Download is a file being read. It reads and seeks in the plaintext; every
// byte it returns was authenticated. Not safe for concurrent use. The holder
// calls Close.
type Download struct {
	File
	engine *Engine
	ctx    context.Context
	link   *link
	of     vault.BlobOf
	blob   vault.Blob
	r      *vault.BlobReader
	judged time.Time
	err    error
}

// OpenDownload opens the file that a link stands for. It decides again, on the
// state of this moment, and the look is on record when it returns.
func (e *Engine) OpenDownload(ctx context.Context, token string) (*Download, error) {
	if e.blobs == nil {
		return nil, unavailable("uploads_off", "this server keeps no uploads")
	}
	l, c, err := e.openLink(ctx, token)
	if err != nil {
		return nil, err
	}
	got, err := e.ReadData(ctx, c, l.read())
	if err != nil {
		return nil, err
	}
	gone := noLink("upload_not_held", "the file is not held any more")
	if len(got.held) != 1 || got.held[0].record.Blob == nil {
		return nil, gone
	}
	if got.Data[l.Category][0].Masked {
		return nil, mayNot("the file may be described to you, and not read")
	}
	rec := got.held[0].record
	d := &Download{engine: e, ctx: ctx, link: l, blob: *rec.Blob, judged: e.now(),
		of: vault.BlobOf{Subject: l.Subject, Category: l.Category, Item: l.Item}}
	if err := json.Unmarshal(rec.Value, &d.File); err != nil {
		return nil, storageError(err)
	}
	name := blobName(l.Subject, rec.Blob)
	size, err := e.blobs.Size(ctx, name)
	switch {
	case errors.Is(err, blob.ErrNotFound), err == nil && size != vault.SealedSize(rec.Blob.Size):
		return nil, vault.BlobDamaged(d.of)
	case err != nil:
		return nil, storageError(err)
	}
	d.r = e.vault.OpenBlob(rec.Blob, d.of, func(off, n int64) (io.ReadCloser, error) { return e.blobs.Range(ctx, name, off, n) })
	if err := d.r.Authenticate(); err != nil {
		return nil, errors.Join(d.mapped(err), d.r.Close())
	}
	return d, nil
}

// Read implements io.Reader. While it goes on, the decision is taken again
// every second: a withdrawal, an erasure or a revoked token end it.
func (d *Download) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if now := d.engine.now(); now.Sub(d.judged) >= rejudgeEvery || now.Before(d.judged) {
		if d.err = d.engine.rejudge(d.ctx, d); d.err != nil {
			return 0, d.err
		}
		d.judged = now
	}
	n, err := d.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		d.err = d.mapped(err)
		err = d.err
	}
	return n, err
}

func (d *Download) mapped(err error) error {
	if vault.IsBlobDamage(err) || errors.Is(err, blob.ErrNotFound) {
		return vault.BlobDamaged(d.of)
	}
	return storageError(err)
}

// Seek implements io.Seeker.
func (d *Download) Seek(off int64, whence int) (int64, error) { return d.r.Seek(off, whence) }

// Err is the error that ended reading, if one did.
func (d *Download) Err() error { return d.err }

// Close ends the download and forgets its key.
func (d *Download) Close() error {
	clear(d.blob.Key[:])
	return d.r.Close()
}

// rejudge decides again about a download that runs. It releases nothing that
// is not on record, so it records nothing.
func (e *Engine) rejudge(ctx context.Context, d *Download) error {
	c, err := e.caller(ctx, d.link)
	if err != nil {
		return err
	}
	r := d.link.read()
	if err := authorise(c, opRead, r.Subject); err != nil {
		return err
	}
	s, err := e.loadWith(ctx, r.Subject, wantsRead(r.Categories))
	if err != nil {
		return err
	}
	defer s.close()
	agreed, err := e.approved(ctx, c, &r)
	if err != nil {
		return err
	}
	held, decision, _, err := e.judge(ctx, c, s, requestOf(c, &r, agreed, s.now), r.item)
	switch {
	case err != nil:
		return err
	case !decision.Allowed():
		return abide.Denied(decision)
	case len(held) != 1 || held[0].record.Blob == nil || held[0].record.Blob.ID != d.blob.ID:
		return noLink("upload_not_held", "the file is not held any more")
	}
	return nil
}

// requestOf is a read as the policy is asked about it.
func requestOf(c Call, r *Read, agreed int, at time.Time) *policy.Request {
	return &policy.Request{Actor: c.Actor, Purpose: r.Purpose, Act: r.Act, Categories: r.Categories, Recipient: r.Recipient,
		Topic: r.Topic, Channel: r.Channel, Reason: r.Reason, Approvals: agreed, At: at}
}
