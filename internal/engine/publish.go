package engine

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/load"
)

// maxPolicy bounds the size of a policy folder, unpacked.
const maxPolicy = 16 << 20

// CheckPolicy checks a policy folder as publishing would, and publishes
// nothing.
func (e *Engine) CheckPolicy(ctx context.Context, c Call, fsys fs.FS) (*load.Result, error) {
	if err := authorise(c, opPolicyHistory, abide.SubjectID{}); err != nil {
		return nil, err
	}
	return e.loadPolicy(ctx, fsys)
}

func (e *Engine) loadPolicy(ctx context.Context, fsys fs.FS) (*load.Result, error) {
	archive, err := e.archive(ctx)
	if err != nil {
		return nil, err
	}
	return load.Load(fsys, e.laws, archive), nil
}

// archive returns the terms of all policies ever published, so that what
// people agreed to under them stays readable.
func (e *Engine) archive(ctx context.Context) ([]policy.Terms, error) {
	rows, err := e.store.AllTerms(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	out := make([]policy.Terms, 0, len(rows))
	for _, r := range rows {
		t, err := policy.ParseTerms(r.Canonical)
		if err != nil {
			return nil, storageError(err)
		}
		out = append(out, t)
	}
	return out, nil
}

// Publish checks a policy folder and puts it in force: from the next load of a
// subject on, every node decides by it. With findings that are errors nothing
// is published; the result says what was found. Publishing what is in force
// changes nothing.
func (e *Engine) Publish(ctx context.Context, c Call, fsys fs.FS) (*load.Result, PublishInfo, error) {
	if err := authorise(c, opPublish, abide.SubjectID{}); err != nil {
		return nil, PublishInfo{}, err
	}
	packed, err := pack(fsys)
	if err != nil {
		return nil, PublishInfo{}, err
	}
	// What is checked is what is stored, not what the folder holds a moment later.
	stored, err := unpack(packed)
	if err != nil {
		return nil, PublishInfo{}, storageError(err)
	}
	res, err := e.loadPolicy(ctx, stored)
	if err != nil {
		return nil, PublishInfo{}, err
	}
	if res.Diagnostics.HasErrors() || res.Policy == nil {
		return res, PublishInfo{}, &abide.Error{Code: abide.CodeInvalid, Detail: "policy_rejected",
			Message: "words and rules of this policy do not agree yet", Hint: "run `abide policy check`; it names every place"}
	}
	info, err := e.publish(ctx, c, res, packed)
	return res, info, err
}

func (e *Engine) publish(ctx context.Context, c Call, res *load.Result, packed []byte) (PublishInfo, error) {
	version := res.Policy.Version()
	for range 5 {
		ep, err := e.store.Epoch(ctx)
		if err != nil && !isNotFound(err) {
			return PublishInfo{}, storageError(err)
		}
		if err == nil && ep.Version == version {
			return PublishInfo{Version: version, Epoch: ep.N, Published: ep.Since, Unchanged: true}, nil
		}
		now := e.now()
		env := e.envelope(c, audit.Published)
		env.At, env.Object, env.Policy = now, "", version
		entry, err := e.vault.SealEntry(nil, abide.SubjectID{}, ep.N+1, audit.Part{}, env)
		if err != nil {
			return PublishInfo{}, storageError(err)
		}
		row := &storage.PolicyRow{Version: version, N: ep.N + 1, Source: packed, Published: now, By: c.Actor.Name}
		if err := e.sealPolicy(row); err != nil {
			return PublishInfo{}, err
		}
		err = e.store.Publish(ctx, row, termsRows(res.Policy), ep.N, entry)
		if errors.Is(err, storage.ErrConflict) || isOutcomeUnknown(err) {
			continue // the next round sees whether ours is in force
		}
		if err != nil {
			return PublishInfo{}, storageError(err)
		}
		// Compiled from the store: what was checked may lack the terms of another
		// policy that was published meanwhile.
		if _, err := e.refresh(ctx); err != nil {
			return PublishInfo{}, err
		}
		return PublishInfo{Version: version, Epoch: ep.N + 1, Published: now}, nil
	}
	return PublishInfo{}, storageError(storage.ErrConflict)
}

func termsRows(p *policy.Policy) []storage.TermsRow {
	all := p.AllTerms()
	rows := make([]storage.TermsRow, len(all))
	for i, t := range all {
		rows[i] = storage.TermsRow{Digest: t.Digest(), Purpose: t.Purpose, Canonical: t.Canonical()}
	}
	return rows
}

// compilePublished compiles a policy from the source the store holds. A check
// that a newer program has and the publishing one had not may find fault with
// it; what was published stays in force as long as it compiles.
func (e *Engine) compilePublished(ctx context.Context, version string) (*load.Result, error) {
	row, err := e.store.Policy(ctx, version)
	if err != nil {
		return nil, err
	}
	packed, err := e.openPolicy(row)
	if err != nil {
		return nil, err
	}
	fsys, err := unpack(packed)
	if err != nil {
		return nil, err
	}
	res, err := e.loadPolicy(ctx, fsys)
	if err != nil {
		return nil, err
	}
	if res.Policy == nil {
		return nil, errors.New("engine: the published policy does not compile")
	}
	if got := res.Policy.Version(); got != version {
		return nil, errors.New("engine: the published policy compiles to another version: " + got)
	}
	return res, nil
}

// PolicySource returns the folder of a published policy, as it was published.
func (e *Engine) PolicySource(ctx context.Context, version string) (fs.FS, error) {
	var row *storage.PolicyRow
	err := storage.ErrNotFound
	if plainName(version) {
		row, err = e.store.Policy(ctx, version)
	}
	if isNotFound(err) {
		return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "policy_not_found",
			Message: "no policy of this version was published", Hint: "list the versions first"}
	}
	if err != nil {
		return nil, storageError(err)
	}
	packed, err := e.openPolicy(row)
	if err != nil {
		return nil, storageError(err)
	}
	fsys, err := unpack(packed)
	if err != nil {
		return nil, storageError(err)
	}
	return fsys, nil
}

// pack makes an archive of a policy folder: the same folder gives the same
// bytes. Hidden files and whatever is no policy text stay out.
func pack(fsys fs.FS) ([]byte, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	size := int64(0)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || !isPolicyFile(name):
			return nil
		}
		text, err := readCapped(fsys, name, maxPolicy-size)
		if err != nil {
			return err
		}
		size += int64(len(text))
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Time{}})
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
	var known *abide.Error
	if errors.As(err, &known) {
		return nil, err
	}
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "policy_unreadable", Err: err,
			Message: "the policy folder cannot be read", Hint: "check the path and its permissions"}
	}
	if err := z.Close(); err != nil {
		return nil, storageError(err)
	}
	return buf.Bytes(), nil
}

// isPolicyFile reports whether a file of the folder is part of the policy.
func isPolicyFile(name string) bool {
	return strings.HasSuffix(name, ".md") || strings.HasSuffix(name, ".hcl") ||
		path.Dir(name) == policy.LawsFolder && strings.HasSuffix(name, ".json")
}

func readCapped(fsys fs.FS, name string, left int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, left+1))
	if err == nil && int64(len(text)) > left {
		err = &abide.Error{Code: abide.CodeTooLarge, Detail: "policy_too_large",
			Message: "the policy folder is larger than 16 MiB", Hint: "is it the right folder?"}
	}
	return text, err
}

func unpack(packed []byte) (fs.FS, error) {
	return zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
}
