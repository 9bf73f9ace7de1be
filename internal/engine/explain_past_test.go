package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/examples"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/laws"
	"github.com/abide-privacy/abide/policy"
)

// Past is a company at work for some years, at random: people come, say yes
// and no, are corrected, restricted, grow up and are erased; the policy is
// published in other words and terms; contracts end, staff sign; and all the
// while somebody asks and reads.
type past struct {
	*world
	t      *testing.T
	r      *rand.Rand
	ids    []abide.SubjectID
	gone   map[abide.SubjectID]bool
	refs   map[abide.SubjectID][]string
	policy *policy.Policy
	told   map[string]int // decisions that callers were told, by reasons
}

// editions are the sample shop's policy, and others that differ in the terms of
// what people agree to, in retention and in who may do what.
func editions(t *testing.T) []fs.FS {
	t.Helper()
	const file = "privacy.md"
	text, err := fs.ReadFile(examples.Shop(), file)
	must(t, err)
	out := []fs.FS{examples.Shop()}
	for _, edits := range [][2]string{
		{"  contacts = [person.name, person.email]\n  channels = [email]\n  basis    = consent\n  ask      = separate\n  message  = { fields = [person.name, person.email],",
			"  contacts = [person.email]\n  channels = [email]\n  basis    = consent\n  ask      = separate\n  message  = { fields = [person.email],"},
		{"topics   = [offers, news, events]", "topics   = [offers, news]"},
		{"  then  = unlink\n", "  then  = erase\n"},
	} {
		if !strings.Contains(string(text), edits[0]) {
			t.Fatalf("the sample policy has other words by now: %q", edits[0])
		}
		fsys := fstest.MapFS{}
		must(t, fs.WalkDir(examples.Shop(), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := fs.ReadFile(examples.Shop(), name)
			fsys[name] = &fstest.MapFile{Data: raw}
			return err
		}))
		fsys[file] = &fstest.MapFile{Data: []byte(strings.Replace(string(text), edits[0], edits[1], 1))}
		out = append(out, fsys)
	}
	return out
}

func newPast(t *testing.T, open stores, seed uint64) *past {
	t.Helper()
	profiles, err := laws.Load()
	must(t, err)
	w := &world{t: t, open: open, ring: newRing(t), faults: &faults{}, place: t.TempDir(), laws: profiles,
		clock: &clock{t: time.Date(2021, 3, 1, 12, 0, 0, 0, time.UTC)}}
	w.start()
	t.Cleanup(w.shut)
	p := &past{world: w, t: t, r: rand.New(rand.NewPCG(seed, 1)), gone: map[abide.SubjectID]bool{},
		refs: map[abide.SubjectID][]string{}, told: map[string]int{}}
	p.publish(0)
	return p
}

func (p *past) publish(edition int) {
	p.t.Helper()
	res, _, err := p.e.Publish(p.t.Context(), admin, editions(p.t)[edition])
	if err != nil {
		p.t.Fatalf("edition %d: %v: %v", edition, err, res.Diagnostics)
	}
	p.policy = p.e.Policy()
}

func pick[T any](p *past, from ...T) T { return from[p.r.IntN(len(from))] }

func some[T any](p *past, from []T) []T {
	return slices.DeleteFunc(slices.Clone(from), func(T) bool { return p.r.IntN(3) == 0 })
}

var places = []abide.Place{"", "HK", "DE", "FR", "GB", "US", "US-CA", "CN", "JP", "KR", "CH", "BR", "Atlantis"}

// step does one thing. What is refused is on record, and what is malformed is
// nobody's business here.
func (p *past) step() {
	p.t.Helper()
	if len(p.ids) < 3 || p.r.IntN(60) == 0 {
		p.arrive()
		return
	}
	id := pick(p, p.ids...)
	switch n := p.r.IntN(100); {
	case n < 12:
		p.say(id)
	case n < 18:
		p.know(id)
	case n < 26:
		p.hand(id)
	case n < 28:
		p.message(id)
	case n < 31:
		p.takePart(id)
	case n < 35:
		p.register()
	case n < 37:
		p.publish(p.r.IntN(4))
	case n < 48:
		p.wait()
	case n < 49 && len(p.ids) > 6:
		p.erase(id)
	case n < 52:
		p.look(id)
	case n < 74:
		p.read(id)
	default:
		for range 1 + p.r.IntN(3) {
			p.ask(id)
		}
	}
}

func (p *past) wait() {
	p.clock.add(time.Duration(p.r.Int64N(int64(pick(p, time.Minute, time.Hour, 3*day, 40*day, 400*day)))))
}

func (p *past) arrive() {
	n := engine.NewSubject{Kind: pick(p, abide.Person, abide.Person, abide.Person, abide.Visitor, abide.Other),
		Jurisdiction: pick(p, append(slices.Clone(places[:12]), "HK", "GB", "HK", "DE")...), Whereabouts: pick(p, "", abide.Place(""), "US-CA", "DE"), DeclaredMinor: p.r.IntN(12) == 0}
	switch p.r.IntN(5) {
	case 0: // not known
	case 1:
		n.BirthDate = abide.Date{Year: p.clock.now().Year() - 8 - p.r.IntN(10), Month: time.Month(1 + p.r.IntN(12)), Day: 1 + p.r.IntN(28)}
	default:
		n.BirthDate = abide.Date{Year: 1960 + p.r.IntN(30), Month: 5, Day: 17}
	}
	got, err := p.e.CreateSubject(p.t.Context(), p.shop(), n)
	must(p.t, err)
	p.ids = append(p.ids, got.ID)
}

// shop carries most purposes, and sometimes few.
func (p *past) shop() engine.Call {
	var all []abide.Purpose
	for _, pu := range p.policy.Purposes() {
		all = append(all, pu.Name)
	}
	if p.r.IntN(9) == 0 {
		all = some(p, all)
	}
	return engine.Call{Actor: abide.Actor{Kind: abide.ActorService, Name: "shop", Purposes: append(all, "provide")}, Token: "shop"}
}

func (p *past) anybody(id abide.SubjectID) engine.Call {
	switch p.r.IntN(14) {
	case 0:
		return self(id)
	case 1:
		return engine.Call{Actor: abide.Actor{Kind: abide.ActorGuardian, Name: id.String()}, Token: "guardian"}
	case 2, 3:
		return engine.Call{Actor: abide.Actor{Kind: abide.ActorStaff, Name: pick(p, "sam", "kim"), Role: pick(p, "support", "privacy", "seller"),
			Purposes: some(p, []abide.Purpose{"provide", "aftersales", "marketing"})}, Token: "staff"}
	case 4:
		return admin
	}
	return p.shop()
}

func (p *past) purpose() abide.Purpose {
	return pick(p, abide.Purpose("provide"), "aftersales", "notices", "newsletter", "newsletter", "promotions", "marketing", "marketing", "recommendations",
		"linking", "linking", "statistics", "records", "measurement", "adverts", "nothing")
}

func (p *past) say(id abide.SubjectID) {
	w := engine.ConsentWrite{Subject: id, Purpose: p.purpose(), Action: pick(p, "tell", "ask", "give", "give", "give", "indicate_no_objection",
		"refuse", "withdraw", "object", "lift_objection", "renew"),
		Evidence: abide.Evidence{Wording: "May we?", Language: "en", Source: "form", Separate: p.r.IntN(3) > 0, Note: "on the telephone"}}
	if w.Purpose == "marketing" && p.r.IntN(3) == 0 {
		w.Topics = some(p, []abide.Topic{"offers", "news", "events"})
		w.Channels = some(p, []abide.Channel{"email", "sms"})
	}
	if p.r.IntN(5) == 0 {
		w.Expires = p.clock.now().Add(time.Duration(1+p.r.IntN(300)) * day)
	}
	c := p.anybody(id)
	switch p.r.IntN(6) {
	case 0:
		w.Purpose, w.Document, w.Action = "", pick(p, abide.DocumentName("agreement"), "privacy"), "accept"
	case 1: // from before
		w.Grade, w.At, c = pick(p, abide.GradeProved, abide.GradeClaimed, abide.GradeUnknown), p.clock.now().Add(-time.Duration(p.r.IntN(500))*day), admin
	}
	_, err := p.e.WriteConsent(p.t.Context(), c, w)
	p.fine(err)
}

func (p *past) know(id abide.SubjectID) {
	var patch engine.SubjectPatch
	switch p.r.IntN(7) {
	case 0:
		patch.Restricted = new(p.r.IntN(3) == 0)
	case 1:
		patch.Jurisdiction = new(pick(p, places...))
	case 2:
		patch.Whereabouts = new(pick(p, places...))
	case 3:
		patch.BirthDate = &abide.Date{Year: p.clock.now().Year() - 5 - p.r.IntN(30), Month: 6, Day: 15}
	case 4:
		patch.DeclaredMinor = new(p.r.IntN(2) == 0)
	case 5:
		patch.GuardianVerified = new(p.r.IntN(4) > 0)
	case 6:
		agreed := some(p, []abide.Purpose{"linking", "newsletter", "provide", "statistics"})
		patch.GuardianConsents = &agreed
	}
	_, err := p.e.UpdateSubject(p.t.Context(), admin, id, patch)
	p.fine(err)
}

func (p *past) hand(id abide.SubjectID) {
	req := put(id, pick(p, abide.Service("shop"), "shop", "cloud", "messaging", "newsletter", "recommendations"), nil)
	req.Ref = pick(p, "", "1", "2")
	for c, v := range map[abide.Category]any{"person.name": "Ann", "person.email": "ann@example.test", "person.phone": "+85291234567",
		"person.address": "1 Main Street", "person.orders": []any{"a phone"}, "person.feedback": []string{"good"}, "person.invoice": []string{"an invoice"},
		"person.birth": "1990-01-02", "person.gender": "f", "person.place": "here", "taste.browsing": []string{"phones"}, "site.number": "7"} {
		if _, fits := p.policy.Category(c); fits && p.r.IntN(5) == 0 && (req.Service != "shop" || slices.Contains(p.policy.Covered("provide", abide.ActCollect), c)) {
			raw, err := json.Marshal(v)
			must(p.t, err)
			req.Items[c] = raw
		}
	}
	if p.r.IntN(5) == 0 {
		req.Service, req.Purpose = "", p.purpose()
	}
	if p.r.IntN(4) == 0 {
		req.Obtained = p.clock.now().Add(-time.Duration(p.r.IntN(700)) * day)
	}
	_, err := p.e.Collect(p.t.Context(), p.anybody(id), req)
	p.fine(err)
}

// message is an act of two parties.
func (p *past) message(id abide.SubjectID) {
	req := put(id, "messaging", map[abide.Category]any{"person.talk": []string{"hello"}})
	req.Other = pick(p, p.ids...)
	_, err := p.e.Collect(p.t.Context(), p.anybody(id), req)
	p.fine(err)
}

func (p *past) takePart(id abide.SubjectID) {
	ctx, svc := p.t.Context(), pick(p, abide.Service("shop"), "cloud", "messaging", "newsletter")
	var err error
	switch p.r.IntN(4) {
	case 0:
		_, err = p.e.LeaveService(ctx, p.shop(), id, svc)
	case 1:
		_, err = p.e.JoinService(ctx, p.shop(), id, svc)
	default:
		at := p.clock.now().Add(-time.Duration(p.r.IntN(60)) * day)
		err = p.e.RecordEvent(ctx, p.shop(), id, pick(p, "order.closed", "order.closed", "account.closed"), pick(p, "", "1", "2"), at)
	}
	p.fine(err)
}

func (p *past) register() {
	ctx, now := p.t.Context(), p.clock.now()
	day := func(d int) string { return now.AddDate(0, 0, d).Format(time.RFC3339) }
	kind, name, body := "members", "dispatch", fmt.Sprintf(`{"class":%q}`, pick(p, "couriers", "affiliates"))
	switch p.r.IntN(7) {
	case 0:
		body = fmt.Sprintf(`{"class":"couriers","left":%q}`, day(p.r.IntN(20)))
	case 1:
		kind, name, body = "contracts", "c1", fmt.Sprintf(`{"recipient":%q,"signed":%q,"ends":%q,"covers":["EU","HK"]}`, pick(p, "dispatch", "workshop"), day(-9), day(p.r.IntN(300)))
	case 2:
		kind, name, body = "contracts", "c2", fmt.Sprintf(`{"recipient":%q,"signed":%q,"covers":["GB","US"]}`, pick(p, "dispatch", "meter", "workshop"), day(-9))
	case 3:
		kind, name, body = "staff", pick(p, "sam", "kim"), fmt.Sprintf(`{"undertaking_ends":%q,"reviewed_at":%q}`, day(p.r.IntN(400)-40), day(-p.r.IntN(200)))
	case 4:
		kind, name, body = "reviews", "machine rooms", fmt.Sprintf(`{"at":%q}`, day(-p.r.IntN(30)))
	case 5:
		must(p.t, p.e.DropRegister(ctx, admin, pick(p, "members", "contracts"), pick(p, "dispatch", "c1", "c2")))
		return
	}
	must(p.t, p.e.PutRegister(ctx, admin, kind, name, []byte(body)))
}

func (p *past) erase(id abide.SubjectID) {
	_, err := p.e.Erase(p.t.Context(), admin, id)
	must(p.t, err)
	p.gone[id] = true
}

func (p *past) look(id abide.SubjectID) {
	_, err := p.e.Lookup(p.t.Context(), p.shop(), engine.Lookup{Category: "person.email", Value: []byte(`"ann@example.test"`), Purpose: pick(p, abide.Purpose("provide"), "newsletter", "aftersales")})
	p.fine(err)
}

// categories are those that the purpose covers, or any.
func (p *past) categories(purpose abide.Purpose, act abide.Act) []abide.Category {
	if covered := p.policy.Covered(purpose, act); len(covered) > 0 && p.r.IntN(4) > 0 {
		return []abide.Category{pick(p, covered...)}
	}
	return some(p, []abide.Category{"person.name", "person.email", "person.phone", "person.orders", pick(p, abide.Category("person.invoice"), "person.imei", "person.feedback", "taste.browsing", "person.wrong")})
}

// act is one that the purpose has, or any.
func (p *past) act(purpose abide.Purpose) abide.Act {
	if p.r.IntN(4) > 0 {
		fit := slices.DeleteFunc(abide.Acts()[1:], func(a abide.Act) bool { return len(p.policy.Covered(purpose, a)) == 0 })
		if len(fit) > 0 {
			return pick(p, fit...)
		}
	}
	return pick(p, abide.ActRead, abide.ActRead, abide.ActUse, abide.ActContact, abide.ActChoose, abide.ActDisclose, abide.ActDisclose)
}

func (p *past) read(id abide.SubjectID) {
	r := engine.Read{Subject: id, Purpose: p.purpose(), Reason: pick(p, "", "a complaint"), Approvals: p.r.IntN(3)}
	if p.r.IntN(2) == 0 {
		r.Purpose = pick(p, abide.Purpose("provide"), "aftersales", "statistics", "records")
	}
	r.Act = p.act(r.Purpose)
	r.Categories = p.categories(r.Purpose, r.Act)
	switch r.Act {
	case abide.ActDisclose:
		r.Recipient = pick(p, abide.Recipient("dispatch"), "dispatch", "workshop", "meter", "nobody")
	case abide.ActContact:
		r.Topic, r.Channel = pick(p, "", abide.Topic("offers"), "events"), pick(p, "", abide.Channel("email"), "sms")
	}
	_, err := p.e.ReadData(p.t.Context(), p.anybody(id), r)
	p.fine(err)
}

func (p *past) ask(id abide.SubjectID) {
	r := engine.Decide{Subject: id, Purpose: p.purpose(), Reason: pick(p, "", "a complaint"), ForValue: p.r.IntN(8) == 0,
		Approvals: p.r.IntN(3), Service: pick(p, "", "", abide.Service("shop"), "cloud")}
	r.Act = p.act(r.Purpose)
	if p.r.IntN(8) == 0 {
		r.Act = abide.ActCollect
	}
	if p.r.IntN(2) == 0 {
		r.Categories = p.categories(r.Purpose, r.Act)
	}
	switch r.Act {
	case abide.ActDisclose:
		r.Recipient = pick(p, abide.Recipient("dispatch"), "workshop")
	case abide.ActContact:
		r.Topic, r.Channel = pick(p, "", abide.Topic("offers"), "events"), pick(p, "", abide.Channel("email"), "sms")
	}
	switch p.r.IntN(10) {
	case 0:
		r.AsOf = p.clock.now().Add(-time.Duration(p.r.IntN(300)) * day)
	case 1:
		r.Facts = json.RawMessage(`{"whereabouts":"DE","declared_minor":true}`)
	}
	_, err := p.e.Decide(p.t.Context(), p.anybody(id), r)
	p.fine(err)
}

// fine fails for what no caller could have caused.
func (p *past) fine(err error) {
	p.t.Helper()
	if code := abide.ErrorCode(err); err != nil && (code == abide.CodeInternal || code == abide.CodeUnavailable || code == abide.CodeOutcomeUnknown || code == "") {
		p.t.Fatal(err)
	}
}

// explainAll explains every decision on record, and reports how many there were
// and how many of them permitted.
func (p *past) explainAll(ctx context.Context) (all, permits, erased int) {
	p.t.Helper()
	for _, id := range p.ids {
		if p.gone[id] {
			p.saysErased(id)
			erased++
			continue
		}
		for _, name := range p.decisions(id) {
			x, err := p.e.Explain(ctx, self(id), engine.Explain{Subject: id, Entry: name})
			must(p.t, err)
			rec := x.Recorded
			if !rec.Agrees || len(x.FromNow) > 0 {
				text, _ := json.MarshalIndent(x, "", " ")
				p.t.Fatalf("decision %s of %s comes out differently:\n%s", name, id, text)
			}
			for _, r := range rec.Reasons {
				p.told[string(r.Code)]++
			}
			all++
			if rec.Effect == "permit" {
				permits++
			}
		}
	}
	return all, permits, erased
}

// decisions names the decisions on a person's record.
func (p *past) decisions(id abide.SubjectID) []string {
	p.t.Helper()
	var out []string
	for page := (engine.Page{Limit: 1000}); ; {
		entries, next, err := p.e.SubjectLog(p.t.Context(), self(id), id, page)
		must(p.t, err)
		for _, e := range entries {
			var env struct{ Effect string }
			must(p.t, json.Unmarshal(e.Envelope, &env))
			switch {
			case env.Effect == "":
			case e.Look != nil:
				out = append(out, fmt.Sprintf("%s/%d/%d", e.Look.Node, e.Look.Batch, e.Look.Pos))
			default:
				out = append(out, fmt.Sprint(e.N))
			}
		}
		if next == "" {
			return out
		}
		page.After = next
	}
}

func (p *past) saysErased(id abide.SubjectID) {
	p.t.Helper()
	for _, at := range []time.Time{{}, p.clock.now().Add(-100 * day)} {
		x, err := p.e.Explain(p.t.Context(), admin, engine.Explain{Subject: id, Purpose: "newsletter", At: at})
		must(p.t, err)
		if x.Status != abide.StatusErased || x.Recorded != nil || len(x.Agreed)+len(x.Known) > 0 || !hasReason(x.Then, abide.DenyErased) {
			p.t.Fatalf("of an erased person it is said: %+v", x)
		}
	}
}

// Every decision on record comes out of log and ledger again, whatever happened
// since: effect, every reason, and the policy.
//
//	ABIDE_PROOF=1 go test ./internal/engine -run PastDecisions -v -timeout 60m
func TestPastDecisionsAreMadeAgain(t *testing.T) {
	worlds, steps := 1, 300
	if os.Getenv("ABIDE_PROOF") == "1" {
		worlds, steps = 20, 1200
	}
	onEveryBackend(t, func(t *testing.T, fresh func(*testing.T) stores) {
		all, permits, erased := 0, 0, 0
		reasons := map[string]int{}
		for seed := range worlds {
			p := newPast(t, fresh(t), uint64(seed))
			for i := range steps {
				p.step()
				if i%250 == 249 {
					p.restart() // a process that has seen none of it
					p.policy = p.e.Policy()
				}
			}
			p.erase(pick(p, p.ids...))
			a, y, g := p.explainAll(t.Context())
			all, permits, erased = all+a, permits+y, erased+g
			for code, n := range p.told {
				reasons[code] += n
			}
			p.shut()
		}
		t.Logf("%d decisions made again, %d of them permits, %d people erased; %d reasons: %v", all, permits, erased, len(reasons), reasons)
		if all < worlds*steps/3 || permits < all/20 || len(reasons) < 15 {
			t.Fatalf("the histories are too poor to show anything: %d decisions, %d permits, %d reasons", all, permits, len(reasons))
		}
	})
}
