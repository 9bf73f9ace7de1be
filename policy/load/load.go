// Package load takes a policy from its folder to a value that decides: it
// reads, compiles, checks words against rules, and runs the examples.
package load

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/check"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/render"
	"github.com/abide-privacy/abide/policy/rule"
	"github.com/abide-privacy/abide/policy/source"
)

// Result is a policy with everything found about it. Set, Files and Report are
// never nil; Policy is nil if the policy does not compile. A policy with errors
// among its Diagnostics must not be published, even if it compiles.
type Result struct {
	Set         *rule.Set
	Policy      *policy.Policy
	Files       *diag.Files
	Report      *check.Report
	Diagnostics diag.List // of all stages, ordered by file and line
}

// Load reads the policy in fsys. Laws may be nil: then whatever rests on a law
// profile is an error. Archive holds the terms of earlier policies, so that
// old consents stay readable.
func Load(fsys fs.FS, laws *policy.Laws, archive []policy.Terms) *Result {
	return LoadWith(fsys, source.Options{}, laws, archive)
}

// LoadSidecars reads a folder of sidecars whose notices stand in another one.
func LoadSidecars(sidecars, notices fs.FS, laws *policy.Laws, archive []policy.Terms) *Result {
	return LoadWith(sidecars, source.Options{Notices: notices}, laws, archive)
}

// LoadWith is Load with options for reading.
//
// Each stage runs on what the one before could make of the policy, with one
// exception: where reading failed, rules are missing, and compiling would
// report every use of them. So compiling and what follows it wait until the
// files can be read, except that a notice whose text changed can be read.
func LoadWith(fsys fs.FS, o source.Options, laws *policy.Laws, archive []policy.Terms) *Result {
	set, files, found := source.ParseWith(fsys, o)
	r := &Result{Set: set, Files: files, Report: &check.Report{}, Diagnostics: found}
	if !readable(found) {
		return r
	}
	laws, own, wrong := lawsOf(fsys, files, laws)
	if wrong != nil {
		r.Diagnostics = append(r.Diagnostics, wrong...)
		return r
	}
	p, compiled := policy.Compile(set, policy.Options{Laws: laws, Own: own, Archive: archive})
	r.Policy = p
	r.Diagnostics = append(r.Diagnostics, compiled...)
	r.Report = check.Check(set, p, laws)
	r.Diagnostics = append(r.Diagnostics, r.Report.Diagnostics...)
	r.Diagnostics = append(r.Diagnostics, render.Unlabelled(set)...)
	if p != nil {
		r.Diagnostics = append(r.Diagnostics, policy.RunExamples(p)...)
	}
	r.Diagnostics.Sort()
	return r
}

// readable reports whether every rule of the files is in the set.
func readable(found diag.List) bool {
	for _, d := range found {
		if d.Severity == diag.Error && d.Code != diag.NoticeTextChanged {
			return false
		}
	}
	return true
}

// lawsOf lays the law profiles in the policy's own folder over the shipped
// ones, all at once: a place of one file may lie within one of another.
func lawsOf(fsys fs.FS, files *diag.Files, laws *policy.Laws) (_ *policy.Laws, own []policy.Profile, found diag.List) {
	names, err := fs.Glob(fsys, policy.LawsFolder+"/*.json")
	if err != nil || len(names) == 0 {
		return laws, nil, nil
	}
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			found = append(found, diag.New(diag.LawProfile, abide.Span{File: name}, "the file cannot be read"))
			continue
		}
		files.Add(name, text)
		profiles, at, err := policy.ParseProfiles(text)
		if err != nil {
			found = append(found, diag.New(diag.LawProfile, files.Span(name, at, at), "law profiles cannot be read: %v", err))
			continue
		}
		own = append(own, profiles...)
	}
	if found != nil {
		return laws, nil, found
	}
	out, err := laws.With(own)
	if err != nil {
		var wrong *abide.Error
		if !errors.As(err, &wrong) {
			wrong = &abide.Error{Message: err.Error()}
		}
		return laws, nil, diag.List{diag.New(diag.LawProfile, placeIn(files, names, wrong.Field), "%s", wrong.Message)}
	}
	return out, own, nil
}

// placeIn is where a file says that a profile is of this place; the start of
// the first file if none does.
func placeIn(files *diag.Files, names []string, place string) abide.Span {
	quoted := strconv.Quote(place)
	for _, name := range names {
		text, _ := files.Text(name)
		if i := strings.Index(text, quoted); place != "" && i >= 0 {
			return files.Span(name, i, i+len(quoted))
		}
	}
	return files.Span(names[0], 0, 0)
}
