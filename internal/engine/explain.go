package engine

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
)

// Explain asks what was allowed on an earlier day, and why.
type Explain struct {
	Subject    abide.SubjectID
	Purpose    abide.Purpose    // may be left out with Entry
	Act        abide.Act        // as in the record, unless said otherwise
	Categories []abide.Category // as in the record, or all that the purpose uses for the act
	Recipient  abide.Recipient
	Topic      abide.Topic
	Channel    abide.Channel
	At         time.Time // zero: now
	// Entry names one recorded decision: the number of an entry of the person's
	// log, where a look stands (node/batch/position), or a commitment.
	Entry string
	// Since asks besides when the answer changed, from then until At.
	Since time.Time
}

// Explanation tells what was allowed then, what is on record, and where the two
// differ. It holds no personal value but what the person agreed to and when.
type Explanation struct {
	Subject abide.SubjectID `json:"subject"`
	Status  abide.Status    `json:"status"` // erased: nothing further is said
	At      time.Time       `json:"at"`
	Asked   Asked           `json:"asked"`
	// Then is the decision on the request as such, at that time: each stored item
	// has deadlines of its own besides.
	Then   abide.Decision `json:"then"`
	Policy *PolicyThen    `json:"policy,omitempty"` // in force then
	Known  []string       `json:"known,omitempty"`  // names of the facts that were known of the person
	Agreed []Agreement    `json:"agreed,omitempty"` // what the ledger of consent had by then
	// Recorded is the decision on record that is meant: the one named, or the
	// last one like it by then.
	Recorded *Recorded       `json:"recorded,omitempty"`
	Since    []Since         `json:"since,omitempty"` // what has changed since
	Turns    []Turn          `json:"turns,omitempty"` // when the answer changed, if that was asked
	Now      *abide.Decision `json:"now,omitempty"`   // on the same request
	// FromNow names what is taken from today, because nothing tells how it was.
	FromNow []string `json:"from_now,omitempty"`
}

// Asked is the request that is explained.
type Asked struct {
	Actor      audit.Who        `json:"actor"`
	Purpose    abide.Purpose    `json:"purpose"`
	Act        string           `json:"act"`
	Categories []abide.Category `json:"categories"`
	Recipient  abide.Recipient  `json:"recipient,omitempty"`
	Service    abide.Service    `json:"service,omitempty"`
	Topic      abide.Topic      `json:"topic,omitempty"`
	Channel    abide.Channel    `json:"channel,omitempty"`
}

// PolicyThen is the policy that was in force.
type PolicyThen struct {
	Version   string    `json:"version"`
	Published time.Time `json:"published"`
}

// Agreement is an event of the ledger of consent, in brief.
type Agreement struct {
	N        uint64              `json:"n"`
	At       time.Time           `json:"at"`
	Action   abide.ConsentAction `json:"action"`
	Purpose  abide.Purpose       `json:"purpose,omitempty"`
	Document abide.DocumentName  `json:"document,omitempty"`
	Terms    string              `json:"terms,omitempty"`
	Grade    abide.Grade         `json:"grade,omitempty"`
	By       abide.ActorKind     `json:"by"`
	Expires  time.Time           `json:"expires,omitzero"`
}

// Recorded is a decision as it is on record, and as it comes out again from log
// and ledger.
type Recorded struct {
	Entry       string         `json:"entry"`
	At          time.Time      `json:"at"`
	Kind        string         `json:"kind"`
	AsOf        time.Time      `json:"as_of,omitzero"` // the earlier day that it was about
	Asked       Asked          `json:"asked"`
	Effect      string         `json:"effect"`
	Reasons     []audit.Ground `json:"reasons,omitempty"`
	Policy      string         `json:"policy,omitempty"` // version
	Remade      abide.Decision `json:"remade"`
	Agrees      bool           `json:"agrees"`
	Differences []Difference   `json:"differences,omitempty"`
}

// Difference is one thing in which record and reconstruction differ.
type Difference struct {
	What     string     `json:"what"` // effect, reason, policy
	Recorded string     `json:"recorded,omitempty"`
	Remade   string     `json:"remade,omitempty"`
	Clause   string     `json:"clause,omitempty"`
	Span     abide.Span `json:"span,omitzero"`
	Text     string     `json:"text"` // with the fact that decides it
}

// Since is something that has changed since.
type Since struct {
	At   time.Time `json:"at"`
	What string    `json:"what"` // consent, facts, policy
	Name string    `json:"name"` // event and purpose, the facts, the version
	Text string    `json:"text"`
}

// Explain reconstructs what was allowed on an earlier day from log and ledger,
// under the policy of that day, and compares it with the decision on record.
// That somebody looked is on record before it is answered. Of an erased person
// it says that they were erased, for any day.
func (e *Engine) Explain(ctx context.Context, c Call, r Explain) (*Explanation, error) {
	if err := authorise(c, opExplain, r.Subject); err != nil {
		return nil, err
	}
	s, err := e.load(ctx, r.Subject, storage.Want{Items: []abide.Category{pastFacts}})
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := r.check(c, s); err != nil {
		return nil, err
	}
	if err := e.looked(ctx, c, s); err != nil {
		return nil, err
	}
	x := &explaining{Engine: e, s: s, r: r}
	if !s.active() {
		return x.erased(), nil
	}
	if x.history, err = e.history(ctx, s); err != nil {
		return nil, err
	}
	if err := x.find(ctx); err != nil {
		return nil, err
	}
	if x.rec != nil && !mayActFor(c.Actor, x.purposes()...) {
		return nil, mayNot("this token does not carry the purpose")
	}
	return x.explain(ctx)
}

func (r *Explain) check(c Call, s *subject) error {
	switch {
	case r.At.IsZero():
		r.At = s.now
	case r.At.After(s.now):
		return invalid("in_the_future", "nobody knows yet what will be allowed", "name a time that has passed", "at")
	case s.active() && r.At.Before(s.row.Created):
		return &abide.Error{Code: abide.CodeNotFound, Detail: "unknown_then",
			Message: "the person was not known at that time", Hint: "ask for a later time"}
	}
	if !r.Since.IsZero() {
		r.Since = latest(r.Since, s.row.Created).UTC().Truncate(time.Microsecond)
		if r.Entry != "" || r.Since.After(r.At) {
			return invalid("bad_since", "the time from which on is asked lies after the time that is explained, or an entry is named",
				"name an earlier time, and no entry", "since")
		}
	}
	if r.Purpose == "" && r.Entry == "" {
		return invalid("purpose_missing", "an explanation is about a purpose, or an entry of the log", "name one", "purpose")
	}
	if c.Actor.Kind != abide.ActorStaff || c.Actor.Admin {
		return nil
	}
	// What is explained says as much about a person as their data: staff need
	// a role that may look at it.
	if s.force == nil || r.Purpose == "" || !carries(c.Actor, r.Purpose) || !s.policy().RoleMay(c.Actor.Role, r.Purpose, abide.ActRead) {
		return mayNot("a role of the policy that may read for this purpose explains decisions about it; name the purpose")
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// explaining is one call of Explain.
type explaining struct {
	*Engine
	s       *subject
	r       Explain
	history *history
	rec     *recorded
	fromNow []string
}

// erased is all that is said of a person who was erased.
func (x *explaining) erased() *Explanation {
	d := abide.Decision{Reasons: []abide.Reason{{Code: abide.DenyErased, Text: "The person was erased."}}}
	if x.s.force != nil {
		d.PolicyVersion = x.s.policy().Version()
	}
	return &Explanation{Subject: x.s.id, Status: x.s.row.Status, At: x.r.At, Then: d,
		Asked: Asked{Purpose: x.r.Purpose, Act: x.r.Act.String(), Categories: x.r.Categories, Recipient: x.r.Recipient}}
}

// purposes are those that the recorded decision was about.
func (x *explaining) purposes() []abide.Purpose {
	if j := x.rec.part.Judged; j != nil && len(j.Purposes) > 0 {
		return j.Purposes
	}
	return []abide.Purpose{x.rec.env.Purpose}
}

// find finds the decision on record: the one that is named, or the last one by
// then that is about the same.
func (x *explaining) find(ctx context.Context) error {
	rows, err := x.logRows(ctx, x.s.id)
	if err != nil {
		return err
	}
	for i := range rows {
		if x.r.Entry != "" && !isNamed(&rows[i], x.r.Entry) {
			continue
		}
		rec, err := x.openRecorded(x.s, &rows[i])
		if err != nil {
			return err
		}
		if rec == nil || !x.means(rec) {
			continue
		}
		if x.rec == nil || !rec.env.At.Before(x.rec.env.At) {
			x.rec = rec
		}
	}
	if x.r.Entry == "" {
		return nil
	}
	if x.rec == nil {
		return &abide.Error{Code: abide.CodeNotFound, Detail: "unknown_decision", Message: "this person's log has no such decision",
			Hint: "see /v1/subjects/{id}/log for the entries; one that has an effect is a decision"}
	}
	x.r.At = x.rec.env.At
	if j, _ := x.rec.judged(); j.AsOf {
		x.r.At = j.At
	}
	if x.r.Purpose == "" {
		x.r.Purpose = x.purposes()[0]
	}
	return nil
}

// means reports whether a decision on record is one that is asked about.
func (x *explaining) means(rec *recorded) bool {
	r := &x.r
	if r.Entry != "" {
		return true
	}
	about := rec.env.Purpose == r.Purpose || rec.part.Judged != nil && slices.Contains(rec.part.Judged.Purposes, r.Purpose)
	if !about || rec.env.At.After(r.At) || r.Act != abide.ActUnknown && rec.env.Act != r.Act.String() ||
		rec.part.Judged != nil && rec.part.Judged.AsOf || r.Recipient != "" && rec.env.Recipient != r.Recipient ||
		r.Topic != "" && rec.part.Topic != r.Topic || r.Channel != "" && rec.part.Channel != r.Channel {
		return false
	}
	return !slices.ContainsFunc(r.Categories, func(c abide.Category) bool { return !slices.Contains(rec.env.Categories, c) })
}

func rowNumber(n uint64) string         { return fmt.Sprint(n) }
func rowPlace(k storage.LookKey) string { return fmt.Sprintf("%s/%d/%d", k.Node, k.Batch, k.Pos) }
func isNamed(r *logRow, name string) bool { // by number or place, or by commitment
	if r.entry != nil {
		return name == rowNumber(r.entry.N) || name == hex.EncodeToString(r.entry.Commitment[:])
	}
	return name == rowPlace(r.look.Key) || name == hex.EncodeToString(r.look.Look.Commitment[:])
}

func (x *explaining) explain(ctx context.Context) (*Explanation, error) {
	out := &Explanation{Subject: x.s.id, Status: x.s.row.Status, At: x.r.At}
	var again *remade
	if x.rec != nil {
		var err error
		if again, err = x.remake(ctx, x.history, x.rec); err != nil {
			return nil, err
		}
		x.fromNow = again.fromNow
		if out.Recorded, err = x.compare(ctx, again); err != nil {
			return nil, err
		}
	}
	req, reg, err := x.request(ctx)
	if err != nil {
		return nil, err
	}
	st, facts, err := x.factsThen(ctx)
	if err != nil {
		return nil, err
	}
	p, err := x.policyThen(ctx, out)
	if err != nil {
		return nil, err
	}
	out.Then = decideThen(p, &facts, reg, *req, x.r.At)
	chain := []abide.Purpose{x.r.Purpose}
	if p != nil {
		if len(req.Categories) == 0 {
			req.Categories = p.Covered(req.Purpose, req.Act)
		}
		chain = append(chain, p.Chain(x.r.Purpose)...)
	}
	out.Asked = askedOf(req)
	out.Known = factsKnown(&facts)
	known := x.history.events
	if st != nil {
		known = x.history.known(st)
	}
	for _, ev := range agreed(known, chain) {
		out.Agreed = append(out.Agreed, Agreement{N: ev.N, At: ev.At, Action: ev.Action, Purpose: ev.Purpose, Document: ev.Document,
			Terms: ev.Terms, Grade: ev.Grade, By: ev.Actor.Kind, Expires: ev.Expires})
	}
	if out.Since, err = x.since(ctx, st, p, chain); err != nil {
		return nil, err
	}
	if !x.r.Since.IsZero() {
		if out.Turns, err = x.turns(ctx, req, reg, chain); err != nil {
			return nil, err
		}
		x.fromNow = append(x.fromNow, FromNowRegister)
	}
	if x.s.force != nil {
		now := decideThen(x.s.policy(), &x.s.facts, reg, *req, x.s.now)
		out.Now = &now
	}
	out.FromNow = slices.Compact(slices.Sorted(slices.Values(x.fromNow)))
	return out, nil
}

// request is what is asked: as it is on record, with what the caller says
// otherwise; without a record, by a service that carries the purpose.
func (x *explaining) request(ctx context.Context) (*policy.Request, *policy.Register, error) {
	r := &x.r
	req := &policy.Request{Actor: abide.Actor{Kind: abide.ActorService, Purposes: []abide.Purpose{r.Purpose}}, Act: abide.ActRead}
	var reg *policy.Register
	if x.rec != nil {
		j, told := x.rec.judged()
		req = x.rec.request(&j)
		var err error
		if reg, err = x.registerOf(ctx, &j, told); err != nil {
			return nil, nil, err
		}
	} else {
		x.fromNow = append(x.fromNow, FromNowLaws)
	}
	req.Purpose = r.Purpose
	if r.Act != abide.ActUnknown {
		req.Act = r.Act
	}
	if len(r.Categories) > 0 || x.rec != nil && x.rec.env.Act != req.Act.String() {
		req.Categories = r.Categories
	}
	if r.Topic != "" {
		req.Topic = r.Topic
	}
	if r.Channel != "" {
		req.Channel = r.Channel
	}
	if reg == nil || r.Recipient != "" && r.Recipient != req.Recipient {
		var err error
		if reg, err = x.readRegister(ctx); err != nil {
			return nil, nil, err
		}
		x.fromNow = append(x.fromNow, FromNowRegister)
	}
	if r.Recipient != "" {
		req.Recipient = r.Recipient
	}
	return req, reg, nil
}

func decideThen(p *policy.Policy, f *policy.Facts, reg *policy.Register, req policy.Request, at time.Time) abide.Decision {
	if p == nil {
		return unavailableDecision()
	}
	req.At = at
	if len(req.Categories) == 0 {
		req.Categories = p.Covered(req.Purpose, req.Act)
	}
	return p.Decide(f, reg, &req)
}

// factsThen are the facts as they were known at the time asked about. Of a
// decision on record they are those that it judged.
func (x *explaining) factsThen(ctx context.Context) (*pastState, policy.Facts, error) {
	st := x.history.when(x.r.At)
	if x.r.Entry != "" {
		if j, told := x.rec.judged(); told && j.State > 0 && !j.AsOf {
			st = x.history.at(j.State)
		}
	}
	if x.history.whole && st == nil { // nobody knew the person yet
		return &pastState{facts: &policy.Facts{}}, policy.Facts{Kind: x.s.row.Kind, Status: abide.StatusActive}, nil
	}
	if !x.history.whole {
		x.fromNow = append(x.fromNow, FromNowFacts)
		f, err := x.Engine.factsOf(ctx, x.s, x.r.At)
		return nil, f, err
	}
	return st, x.history.factsOf(st), nil
}

func (x *explaining) policyThen(ctx context.Context, out *Explanation) (*policy.Policy, error) {
	all, err := x.Policies(ctx)
	if err != nil {
		return nil, err
	}
	for _, info := range all {
		if !info.Published.After(x.r.At) {
			out.Policy = &PolicyThen{Version: info.Version, Published: info.Published}
		}
	}
	return x.policyOf(ctx, all, x.r.At)
}

func askedOf(req *policy.Request) Asked {
	cats := req.Categories
	if cats == nil {
		cats = []abide.Category{}
	}
	return Asked{Actor: audit.WhoIs(&req.Actor), Purpose: req.Purpose, Act: req.Act.String(), Categories: cats,
		Recipient: req.Recipient, Service: req.Service, Topic: req.Topic, Channel: req.Channel}
}
