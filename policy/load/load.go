// Package load takes a policy from its folder to a value that decides: it
// reads, compiles, checks words against rules, and runs the examples.
package load

import (
	"io/fs"

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
	p, compiled := policy.Compile(set, policy.Options{Laws: laws, Archive: archive})
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
