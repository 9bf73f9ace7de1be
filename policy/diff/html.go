package diff

import (
	"html/template"
	"io"
	"strings"
)

// HTML writes what Text says as a page: no script, nothing loaded from
// elsewhere, to be read by those who decide whether to publish.
func (d *Difference) HTML(w io.Writer) error {
	page := struct {
		*Difference
		Nothing  string
		Sections []section
	}{Difference: d}
	if d.Empty() && len(d.Rules) == 0 {
		page.Nothing = noChange
	} else {
		page.Sections = (&texter{d: d}).sections()
	}
	return pageHTML.Execute(w, page)
}

var pageHTML = template.Must(template.New("diff").Funcs(template.FuncMap{
	"lines": func(s string) []string { return strings.Split(s, "\n") },
}).Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>What changes</title>
<style>
body { max-width: 46rem; margin: 2.5rem auto; padding: 0 1.15rem; font: 1rem/1.6 system-ui, sans-serif; color-scheme: light dark; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 2.2rem 0 .4rem; font-size: 1.1rem; }
ul { margin: 0; padding-inline-start: 1.2rem; }
li { margin: .5rem 0; overflow-wrap: anywhere; }
li span { display: block; padding-inline-start: 1.2rem; opacity: .8; }
.versions { font: .8125rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; opacity: .75; }
.none { opacity: .75; }
</style>
</head>
<body>
<h1>What changes</h1>
<p class="versions">from {{.Old}}<br>to {{.New}}</p>
{{- with .Nothing}}
<p>{{.}}</p>
{{- end}}
{{- range .Sections}}
<h2>{{.Title}}</h2>
{{- if .Items}}
<ul>
{{- range .Items}}
<li>{{range $i, $line := lines .}}{{if $i}}<span>{{$line}}</span>{{else}}{{$line}}{{end}}{{end}}</li>
{{- end}}
</ul>
{{- else}}
<p class="none">nothing</p>
{{- end}}
{{- end}}
</body>
</html>
`))
