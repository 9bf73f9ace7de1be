package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/examples"
)

func (m *Main) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "init [DIR]",
		GroupID: "run",
		Short:   "Lay down a small working policy to start from",
		Long: `Writes a small policy that passes its check into DIR (./policy if left out).
Files that exist already are left alone, and then nothing is written.`,
		Example: "  abide init policy && abide policy check policy",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "policy"
			if len(args) == 1 {
				dir = args[0]
			}
			names, err := layDown(examples.Starter(), dir)
			if err != nil {
				return err
			}
			for _, n := range names {
				fmt.Fprintln(m.Stdout, "wrote", n)
			}
			fmt.Fprintf(m.Stdout, "\nnext:\n  abide policy check %s\n  abide serve --data data --policy %s\n", dir, dir)
			return nil
		},
	}
}

// layDown copies a folder, all of it or nothing: it first looks whether any
// file is there already.
func layDown(from fs.FS, dir string) ([]string, error) {
	var names []string
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); err == nil {
			return &abide.Error{Code: abide.CodeConflict, Detail: "file_exists", Message: "a file of this name is there already",
				Hint: "name another folder, or move the file away", Field: name}
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var written []string
	for _, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, notWritable(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return nil, notWritable(err)
		}
		written = append(written, path)
	}
	return written, nil
}

func notWritable(err error) error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "not_writable", Message: "the folder cannot be written to",
		Hint: "choose a folder that you may write to", Err: err}
}
