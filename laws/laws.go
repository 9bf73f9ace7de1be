// Package laws ships law profiles as data: what the law of a place asks for,
// as far as the product needs to know it. They are product data, not legal
// advice. Every value names its source and the day it was collected, and says
// whether somebody competent has reviewed it; none is to begin with. Where the
// sources did not settle a value the strictest reading is shipped, marked
// unsettled, with a note.
//
// An operator overrides values with profiles of the same form, in the folder
// laws/ of the policy, which are published with it.
package laws

import (
	"embed"
	"io/fs"
	"path"
	"sync"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

//go:embed profiles/*.json
var shipped embed.FS

var load = sync.OnceValues(func() (*policy.Laws, error) { return From(shipped) })

// Load returns the profiles that are shipped.
func Load() (*policy.Laws, error) { return load() }

// From reads all profiles of a folder and its folders: files that end in
// .json, each a list of profiles, in the order of their names.
func From(fsys fs.FS) (*policy.Laws, error) {
	profiles, err := read(fsys)
	if err != nil {
		return nil, err
	}
	return policy.NewLaws(profiles)
}

// Overrides lays an operator's profiles over those that are shipped: values
// win key by key.
func Overrides(fsys fs.FS) (*policy.Laws, error) {
	base, err := Load()
	if err != nil {
		return nil, err
	}
	over, err := read(fsys)
	if err != nil {
		return nil, err
	}
	return base.With(over)
}

func read(fsys fs.FS) ([]policy.Profile, error) {
	var all []policy.Profile
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".json" {
			return err
		}
		raw, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		profiles, _, err := policy.ParseProfiles(raw)
		if err != nil {
			return &abide.Error{Code: abide.CodeInvalid, Detail: "law_profile_unreadable", Field: name, Err: err,
				Message: "a file of law profiles cannot be read", Hint: "it must be a JSON list of profiles with the fields of the shipped ones"}
		}
		all = append(all, profiles...)
		return nil
	})
	return all, err
}
