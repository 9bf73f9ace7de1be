package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/client"
	"github.com/abide-privacy/abide/internal/blob"
)

func uploadsFlag(fl *pflag.FlagSet, f *storeFlags) {
	fl.StringVar(&f.uploads, "uploads", "", "where uploads are kept: a directory, or s3://bucket/prefix?endpoint=https://host (ABIDE_UPLOADS); uploads in the data directory unless said otherwise")
}

// openUploads opens where uploads are kept, and makes sure that it can be
// written to, so that a mistake is found at the start and not by a person.
func (m *Main) openUploads(ctx context.Context, f storeFlags) (blob.Store, error) {
	var s blob.Store
	var err error
	where := f.uploads
	if where == "" {
		where = m.Env("ABIDE_UPLOADS")
	}
	if strings.HasPrefix(where, "s3://") {
		var o blob.S3Options
		if o, err = blob.ParseS3(where); err != nil {
			return nil, usage("--uploads is " + err.Error())
		}
		s, err = blob.OpenS3(o)
	} else {
		if where == "" {
			where = filepath.Join(f.data, "uploads")
		}
		s, err = blob.OpenDir(where)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		err = s.Ready(ctx)
	}
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeUnavailable, Detail: "uploads_not_opened", Message: "uploads cannot be kept: " + err.Error(),
			Hint: "--uploads names a directory that may be written to, or a bucket that is there; its credentials are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", Err: err}
	}
	return s, nil
}

func (m *Main) subjectUpload(p *place) *cobra.Command {
	var r client.UploadRequest
	var service, purpose string
	cmd := &cobra.Command{
		Use: "upload SUBJECT CATEGORY FILE", Short: "Hand in a file; - is standard input", Args: cobra.ExactArgs(3),
		Example: "  abide subject upload 0197b6a2-… person.files contract.pdf --service cloud",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := abide.ParseSubjectID(args[0])
			if err != nil {
				return err
			}
			r.Service, r.Purpose = abide.Service(service), abide.Purpose(purpose)
			in := m.Stdin
			if args[2] != "-" {
				f, err := os.Open(args[2])
				if err != nil {
					return usage("the file cannot be opened")
				}
				defer func() { _ = f.Close() }()
				in, r.Size = f, sizeOf(f)
				if r.Name == "" {
					r.Name = filepath.Base(args[2])
				}
			}
			if r.MediaType == "" {
				r.MediaType = mime.TypeByExtension(filepath.Ext(r.Name))
			}
			return m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
				got, err := c.Upload(ctx, id, abide.Category(args[1]), r, in)
				if err != nil {
					return err
				}
				if p.json {
					return printJSON(m.Stdout, got)
				}
				fmt.Fprintln(m.Stdout, got.Item.ID)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&service, "service", "", "service that asks for the file")
	f.StringVar(&purpose, "purpose", "", "purpose, instead of a service")
	f.StringVar(&r.Source, "source", "cli", "where it came from")
	f.StringVar(&r.Ref, "ref", "", "ties the file to facts: the order's number")
	f.StringVar(&r.Name, "name", "", "another name for the file")
	f.StringVar(&r.MediaType, "media-type", "", "by the name's ending, unless said otherwise")
	cmd.MarkFlagsOneRequired("service", "purpose")
	return cmd
}

// sizeOf is the length of a regular file, and 0 if it is none.
func sizeOf(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

func (m *Main) subjectDownload(p *place) *cobra.Command {
	var r client.ReadRequest
	var purpose, item, out string
	cmd := &cobra.Command{
		Use: "download SUBJECT CATEGORY", Short: "Get a file for a purpose; the look is recorded", Args: cobra.ExactArgs(2),
		Long: `Gets a file of a person. Where there are several, --item says which; without it
the newest is taken. The file is written whole or not at all.`,
		Example: "  abide subject download 0197b6a2-… person.files --purpose provide --act use --out contract.pdf",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := abide.ParseSubjectID(args[0])
			if err != nil {
				return err
			}
			category := abide.Category(args[1])
			r.Purpose, r.Categories = abide.Purpose(purpose), []abide.Category{category}
			return m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
				got, err := c.Read(ctx, id, r)
				if err != nil {
					return err
				}
				v, err := pickFile(got.Data[category], item)
				if err != nil {
					return err
				}
				return m.save(ctx, c, v, out)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&purpose, "purpose", "", "purpose of the policy")
	f.StringVar(&r.Act, "act", "", "read, use, contact, choose or disclose; read unless said otherwise")
	f.StringVar(&r.Reason, "reason", "", "why, where the policy wants a reason")
	f.StringVar(&item, "item", "", "id of the item, where there are several")
	f.StringVar(&out, "out", "", "file to write; - is standard output; the file's own name in this folder unless said otherwise")
	_ = cmd.MarkFlagRequired("purpose")
	return cmd
}

// pickFile picks the item of that id, or the newest.
func pickFile(values []client.Value, item string) (*client.Value, error) {
	for i := len(values) - 1; i >= 0; i-- {
		if v := &values[i]; item == "" || v.ID.String() == item {
			if v.Link == "" {
				return nil, &abide.Error{Code: abide.CodeDenied, Detail: "no_link", Message: "this is no file, or one that is only described to you",
					Hint: "abide subject read shows what may be seen"}
			}
			return v, nil
		}
	}
	return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "no_such_file", Message: "permitted, but no such file is held",
		Hint: "abide subject read lists the files of a category"}
}

// save writes a file under a name that stays free until all of it is there.
func (m *Main) save(ctx context.Context, c *client.Client, v *client.Value, out string) (err error) {
	var f client.File
	if err := json.Unmarshal(v.Value, &f); err != nil {
		return err
	}
	body, err := c.Download(ctx, v.Link, 0)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if out == "-" {
		_, err := io.Copy(m.Stdout, body)
		return broken(err)
	}
	if out == "" {
		if out = filepath.Base(f.Name); f.Name == "" || out == "." || out == string(filepath.Separator) {
			out = v.ID.String()
		}
		if _, err := os.Lstat(out); err == nil {
			return usage("there is a file of that name here already; choose another with --out")
		}
	}
	temp, err := os.CreateTemp(filepath.Dir(out), ".abide-download-*")
	if err != nil {
		return usage("the file cannot be written there; choose another place with --out")
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = io.Copy(temp, body)
	if err := errors.Join(broken(err), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), out); err != nil {
		return usage("the file cannot be written there; choose another place with --out")
	}
	fmt.Fprintf(m.Stderr, "abide: %d bytes written\n", f.Size)
	return nil
}

func broken(err error) error {
	if err == nil {
		return nil
	}
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "download_broken_off", Message: "the file was not received whole",
		Hint: "try again; if it breaks off at the same place, the server's log says why", Err: err}
}
