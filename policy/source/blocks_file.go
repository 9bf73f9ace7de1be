package source

import (
	"mime"
	"strings"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// megabytes reads megabytes(20): how large one file may be.
func (d *decoder) megabytes(dst *int) func(field) {
	return func(f field) {
		c, ok := call(f.expr)
		if !ok || c.Name != "megabytes" || len(c.Args) != 1 {
			d.wrong(f, "a size", "write max_size = megabytes(20)")
			return
		}
		d.whole(dst, 1)(field{f.name, f.at, c.Args[0]})
	}
}

// mediaTypes reads types such as "application/pdf", or "image/*" for a family.
func (d *decoder) mediaTypes(dst *[]string) func(field) {
	return func(f field) {
		for _, e := range items(f.expr) {
			var s string
			d.text(&s)(field{f.name, f.at, e})
			if s == "" {
				continue
			}
			if s = strings.ToLower(s); !validMediaType(s) {
				d.report(diag.New(diag.WrongValue, d.exprSpan(e), "%s is not a media type", s).
					WithHint(`write one such as "application/pdf", or "image/*" for every image (RFC 9110, section 8.3.1)`))
				continue
			}
			*dst = append(*dst, s)
		}
	}
}

func validMediaType(s string) bool {
	family, kind, ok := strings.Cut(s, "/")
	if !ok || family == "*" {
		return false
	}
	if kind == "*" {
		s = family + "/x"
	}
	got, params, err := mime.ParseMediaType(s)
	return err == nil && got == s && len(params) == 0 && !strings.ContainsRune(s, '*')
}

// holdFile holds a row to what files are: bytes that nobody looks into. A file is
// found by no value, is neither coarsened nor derived nor counted, and has one
// owner; and only a file has a size and a media type.
func (d *decoder) holdFile(c *rule.Category) {
	if c.Format != "file" {
		if c.MaxMegabytes > 0 || len(c.MediaTypes) > 0 {
			d.report(diag.New(diag.WrongValue, c.Label, "only a file has max_size and media_types").
				WithHint("write format = file, or leave them out"))
		}
		return
	}
	for _, no := range []struct {
		name string
		set  bool
	}{
		{"find", c.Find != ""}, {"coarsen", c.Coarsen != ""}, {"two_party", c.TwoParty},
		{"derived_from", len(c.DerivedFrom) > 0}, {"count_per", c.CountPer != ""},
	} {
		if no.set {
			d.report(diag.New(diag.WrongValue, c.Label, "%s does not go with format = file", no.name).
				WithHint("a file is kept and handed out as it is; leave %s out", no.name))
		}
	}
}
