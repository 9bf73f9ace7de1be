package source

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

func (d *decoder) withoutConsent(b *hclsyntax.Block) {
	name, label, ok := d.label(b)
	w := &rule.WithoutConsent{At: d.at(b, label), Name: name}
	var when []string
	d.body("without_consent", b, args{
		"acts": d.acts(&w.Acts),
		"when": d.words(&when, "law.requires", "law.expressly_permits"),
		"order": func(f field) {
			d.object("order", f, args{
				"authority": d.required(&w.Authority),
				"citation":  d.required(&w.Citation),
				"scope":     d.required(&w.Scope),
				"approvals": d.whole(&w.Approvals, 1),
			})
		},
	})
	for _, s := range when {
		w.When = append(w.When, s[len("law."):])
	}
	if ok && d.p.declare("without_consent", name, label) {
		d.p.set.WithoutConsent = append(d.p.set.WithoutConsent, w)
	}
}

func actNames() []string {
	var names []string
	for _, a := range abide.Acts() {
		names = append(names, a.String())
	}
	return names
}

func (d *decoder) acts(dst *[]abide.Act) func(field) {
	return func(f field) {
		var names []string
		d.words(&names, actNames()...)(f)
		for _, n := range names {
			*dst = append(*dst, abide.ParseAct(n))
		}
	}
}

func (d *decoder) statistic(b *hclsyntax.Block) {
	name, label, ok := d.label(b)
	s := &rule.Statistic{At: d.at(b, label), Name: name}
	d.body("statistic", b, args{
		"title": d.text(&s.Title),
		"words": d.spoken(&s.Words),
		"by":    d.dimensions(&s.By),
		"release": func(f field) {
			d.object("release", f, args{
				"smallest": d.whole(&s.Smallest, 2),
				"epsilon":  d.positive(&s.Epsilon),
				"per":      d.word(&s.Per, countPeriods...),
			})
		},
		"to": d.refs(&s.To),
	})
	if s.Title == "" {
		s.Title = pretty(name)
	}
	if ok && d.p.declare("statistic", name, label) {
		d.p.set.Statistics = append(d.p.set.Statistics, s)
	}
}

// dimensions reads categories, perhaps in bands: band(person.birth, 10).
func (d *decoder) dimensions(dst *[]rule.Dimension) func(field) {
	return func(f field) {
		for _, e := range items(f.expr) {
			c, ok := call(e)
			if !ok {
				for _, r := range d.manyRefs(f.name, e) {
					*dst = append(*dst, rule.Dimension{Category: r})
				}
				continue
			}
			if c.Name != "band" || len(c.Args) != 2 {
				d.wrong(field{f.name, f.at, e}, "categories or bands", "write band(person.birth, 10)")
				continue
			}
			var dim rule.Dimension
			d.whole(&dim.Band, 1)(field{"band", f.at, c.Args[1]})
			if r, ok := d.one("band", c.Args[0]); ok {
				dim.Category = r
				*dst = append(*dst, dim)
			}
		}
	}
}

var trackerKinds = []string{"cookie", "storage", "pixel", "script", "widget"}

// tracker reads a tracker. What is said of it may stand in the rule or in the
// object named after its kind: widget = { host = facebook }.
func (d *decoder) tracker(b *hclsyntax.Block) {
	name, label, ok := d.label(b)
	t := &rule.Tracker{At: d.at(b, label), Name: name}
	about := args{
		"purpose": d.ref(&t.Purpose),
		"host":    d.ref(&t.Host),
		"sees":    d.refs(&t.Sees),
		"after":   d.word(&t.After, "click", "consent", "load"),
		"keep":    d.deadline(&t.Keep, "obtained"),
		"names":   d.texts(&t.Names),
		"strict":  d.boolean(&t.Strict),
	}
	whole := args{"title": d.text(&t.Title), "words": d.spoken(&t.Words)}
	for n, read := range about {
		whole[n] = read
	}
	for _, kind := range trackerKinds {
		whole[kind] = func(f field) {
			if t.Kind != "" {
				d.report(diag.New(diag.DuplicateArgument, f.at, "a tracker is of one kind, and this one is a %s already", t.Kind).WithHint("write two trackers"))
				return
			}
			t.Kind = kind
			d.object(kind, f, about)
		}
	}
	d.body("tracker", b, whole)
	if t.Title == "" {
		t.Title = pretty(name)
	}
	if t.Kind == "" {
		d.report(diag.New(diag.MissingArgument, label, "tracker %s does not say what it is", name).WithHint("write cookie, storage, pixel, script or widget = { … }"))
	}
	if ok && d.p.declare("tracker", name, label) {
		d.p.set.Trackers = append(d.p.set.Trackers, t)
	}
}

// channel reads a way of reaching people. How well it is protected must be
// said: saying nothing would read as safe.
func (d *decoder) channel(b *hclsyntax.Block) {
	name, label, ok := d.name(b)
	c := &rule.Channel{At: d.at(b, label), Name: abide.Channel(name)}
	d.body("channel", b, args{
		"title":      d.text(&c.Title),
		"words":      d.spoken(&c.Words),
		"protection": d.word(&c.Protection, "end_to_end", "in_transit", "none"),
	})
	if c.Title == "" {
		c.Title = pretty(name)
	}
	if c.Protection == "" {
		d.report(diag.New(diag.MissingArgument, label, "channel %s does not say how protected it is", name).WithHint("write protection = end_to_end, in_transit or none"))
	}
	if ok && d.p.declare("channel", name, label) {
		d.p.set.Channels = append(d.p.set.Channels, c)
	}
}

func (d *decoder) signin(b *hclsyntax.Block) {
	name, label, ok := d.label(b)
	s := &rule.Signin{At: d.at(b, label), Name: name}
	var each string
	var where []rule.Ref
	d.body("signin", b, args{
		"words": d.spoken(&s.Words),
		"host":  d.ref(&s.Host),
		"may_ask": func(f field) {
			d.object("may_ask", f, args{
				"each":  d.word(&each, "unticked", "ticked"),
				"of":    d.refs(&s.MayAsk),
				"where": d.refs(&where),
			})
		},
	})
	for _, r := range where {
		if d.checkPlace(r) {
			s.Where = append(s.Where, r)
		}
	}
	s.Ticked = each == "ticked"
	if ok && d.p.declare("signin", name, label) {
		d.p.set.Signins = append(d.p.set.Signins, s)
	}
}

func (d *decoder) post(b *hclsyntax.Block) {
	name, label, ok := d.label(b)
	p := &rule.Post{At: d.at(b, label), Name: name}
	d.body("post", b, args{"host": d.ref(&p.Host), "each": d.word(&p.Each, "shown_and_confirmed")})
	if p.Each == "" {
		d.report(diag.New(diag.MissingArgument, label, "post %s does not say what happens each time", name).WithHint("write each = shown_and_confirmed"))
	}
	if ok && d.p.declare("post", name, label) {
		d.p.set.Posts = append(d.p.set.Posts, p)
	}
}

func (d *decoder) minors(b *hclsyntax.Block) {
	d.noLabel(b)
	m := &rule.Minors{At: d.at(b, d.span(b.TypeRange))}
	d.body("minors", b, args{
		"closed": d.refs(&m.Closed),
		"ages":   d.required(&m.Known),
		"reported": func(f field) {
			m.Reported = &rule.Reported{}
			d.object("reported", f, args{
				"by":     d.word(&m.Reported.By, "guardian"),
				"then":   d.words(&m.Reported.Then, "erase", "unsubscribe_everywhere", "restrict"),
				"within": d.stretch(&m.Reported.Within),
			})
		},
	})
	d.p.set.Minors = append(d.p.set.Minors, m)
}

func (d *decoder) review(b *hclsyntax.Block) {
	name, label, ok := d.label(b)
	r := &rule.Review{At: d.at(b, label), Name: name}
	var by *rule.Ref
	d.body("review", b, args{
		"plan": func(f field) {
			d.object("plan", f, args{
				"every": d.months(&r.Every),
				"by":    d.ref(&by),
				"late":  d.late(r),
			})
		},
	})
	if by != nil {
		r.By = *by
	}
	if r.Every == 0 {
		d.report(diag.New(diag.MissingArgument, label, "review %s does not say how often", name).WithHint("write plan = { every = 12 * months, by = security }"))
	}
	if ok && d.p.declare("review", name, label) {
		d.p.set.Reviews = append(d.p.set.Reviews, r)
	}
}

// late reads closes(private).
func (d *decoder) late(r *rule.Review) func(field) {
	return func(f field) {
		c, ok := call(f.expr)
		if !ok || c.Name != "closes" || len(c.Args) != 1 {
			d.wrong(f, "what closes", "write late = closes(private)")
			return
		}
		if ref, ok := d.one(f.name, c.Args[0]); ok {
			r.Late, r.Closes = "closes", &ref
		}
	}
}

func (d *decoder) role(b *hclsyntax.Block) {
	name, label, ok := d.name(b)
	r := &rule.Role{At: d.at(b, label), Name: name}
	d.body("role", b, args{
		"title":    d.text(&r.Title),
		"purposes": d.refs(&r.Purposes),
		"reads":    d.refs(&r.Reads),
		"level":    d.ref(&r.Level),
		"acts":     d.acts(&r.Acts),
	})
	if r.Title == "" {
		r.Title = pretty(name)
	}
	if ok && d.p.declare("role", name, label) {
		d.p.set.Roles = append(d.p.set.Roles, r)
	}
}

// forbidden says which acts each word of a never rule forbids.
var forbidden = map[string][]abide.Act{
	"collect": {abide.ActCollect},
	"read":    {abide.ActRead},
	"use":     {abide.ActRead, abide.ActUse, abide.ActContact, abide.ActChoose},
	"contact": {abide.ActContact},
	"choose":  {abide.ActChoose},
	"give":    {abide.ActDisclose},
	"process": abide.Acts(),
}

func (d *decoder) never(b *hclsyntax.Block) {
	name, label, ok := d.label(b)
	n := &rule.Never{At: d.at(b, label), Name: name}
	said := ""
	read := args{"link": d.refs(&n.Link)}
	for word, acts := range forbidden {
		read[word] = func(f field) {
			if said != "" {
				d.report(diag.New(diag.DuplicateArgument, f.at, "this rule forbids %s already", said).WithHint("write two never rules, or process for every act at once"))
				return
			}
			said = word
			n.Acts = acts
			d.object(word, f, args{
				"what":    d.what(n),
				"to":      d.refs(&n.To),
				"against": d.word(&n.Against, "value"),
				"for":     d.refs(&n.For),
			})
		}
	}
	d.body("never", b, read)
	if said == "" && len(n.Link) == 0 && ok {
		d.report(diag.New(diag.EmptyRule, label, "never %s forbids nothing", name).WithHint("write give = { what = any, to = partner }, for example"))
	}
	if ok && d.p.declare("never", name, label) {
		d.p.set.Nevers = append(d.p.set.Nevers, n)
	}
}

// what reads any, or categories and groups: to forbid everything is safe.
func (d *decoder) what(n *rule.Never) func(field) {
	return func(f field) {
		if name, ok := plainName(f.expr); ok && name == "any" {
			n.Any = true
			return
		}
		d.refs(&n.What)(f)
	}
}
