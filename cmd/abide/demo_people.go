package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

var (
	demoGiven  = strings.Fields("Ada Bela Chun Dilys Emeka Farah Goran Hana Idris Jun Kaia Liang Mira Nuno Oona Pia Quentin Rosa Selim Tove Uma Vito Wen Ximena Yusuf Zoe")
	demoFamily = strings.Fields("Abelard Brook Castellan Dunmore Eriksen Fairweather Grove Halloran Ibsen Jarrow Kestrel Lindqvist Marlowe Nightjar Okafor Pemberton Quill Rowan Sato Thorne Underhill Vance Whitlock Yarrow Zeller")
	demoStreet = strings.Fields("Harbour Mill Orchard Quay Station Cedar Lantern Copper Garden Bridge")
	demoPlaces = []struct {
		place abide.Place
		city  string
		phone string
	}{
		{"HK", "Hong Kong", "+8526%07d"}, {"GB", "Bristol", "+447700900%03d"}, {"DE", "Bremen", "+491512%07d"},
		{"FR", "Nantes", "+3361%07d"}, {"US-CA", "Oakland", "+1510555%04d"}, {"CA", "Halifax", "+1902555%04d"},
	}
	demoGoods = []string{"phone", "charger", "case", "headphones", "cloud storage, 1 year", "repair of a screen"}
)

// inventedPerson is somebody who does not exist.
type inventedPerson struct {
	n       int
	place   abide.Place
	birth   abide.Date
	items   map[abide.Category]json.RawMessage
	orders  []json.RawMessage
	agrees  bool
	refuses bool
	signed  bool
	ordered time.Time
}

// inventPerson makes up person n, the same one every time.
func inventPerson(n int, now time.Time) inventedPerson {
	r := rand.New(rand.NewPCG(uint64(n), 20261124))
	where := demoPlaces[r.IntN(len(demoPlaces))]
	name := demoGiven[r.IntN(len(demoGiven))] + " " + demoFamily[r.IntN(len(demoFamily))]
	phone := where.phone
	switch strings.Count(phone, "%03d") {
	case 1:
		phone = fmt.Sprintf(phone, r.IntN(1000))
	default:
		if strings.Contains(phone, "%04d") {
			phone = fmt.Sprintf(phone, 100+r.IntN(100))
		} else {
			phone = fmt.Sprintf(phone, r.IntN(10_000_000))
		}
	}
	p := inventedPerson{
		n: n, place: where.place,
		birth:  abide.Date{Year: now.Year() - 19 - r.IntN(60), Month: time.Month(1 + r.IntN(12)), Day: 1 + r.IntN(28)},
		agrees: r.IntN(10) < 4, signed: r.IntN(2) == 0,
		ordered: now.AddDate(0, 0, -r.IntN(300)),
	}
	p.refuses = !p.agrees && r.IntN(3) == 0
	p.items = map[abide.Category]json.RawMessage{
		"person.name":    quoted(name),
		"person.email":   quoted(fmt.Sprintf("%s.%d@mail.example", strings.ToLower(strings.ReplaceAll(name, " ", ".")), n)),
		"person.address": quoted(fmt.Sprintf("%d %s Street, %s", 1+r.IntN(200), demoStreet[r.IntN(len(demoStreet))], where.city)),
		"person.phone":   quoted(phone),
		"person.account": quoted(fmt.Sprintf("jq-%05d", 10000+n)),
	}
	for i := range r.IntN(4) {
		order, _ := json.Marshal(map[string]any{"number": fmt.Sprintf("%d-%d", n, i+1), "goods": demoGoods[r.IntN(len(demoGoods))]})
		p.orders = append(p.orders, quoted(string(order)))
	}
	return p
}

func quoted(s string) json.RawMessage {
	raw, _ := json.Marshal(s) // a string always encodes
	return raw
}

// enter writes the person through the use cases that the API calls.
func (p inventedPerson) enter(ctx context.Context, e *engine.Engine, call engine.Call) (abide.SubjectID, error) {
	made, err := e.CreateSubject(ctx, call, engine.NewSubject{Kind: abide.Person, Jurisdiction: p.place, BirthDate: p.birth,
		Reference: fmt.Sprintf("customer-%04d", p.n)})
	if err != nil {
		return made.ID, err
	}
	items := p.items
	if len(p.orders) > 0 {
		items["person.orders"], _ = json.Marshal(p.orders)
	}
	_, err = e.Collect(ctx, call, engine.Collect{Subject: made.ID, Service: "shop", Source: "account form", Items: items, Obtained: p.ordered})
	if err != nil {
		return made.ID, err
	}
	for _, w := range p.consents(made.ID) {
		if _, err := e.WriteConsent(ctx, call, w); err != nil {
			return made.ID, err
		}
	}
	return made.ID, nil
}

// consents are what the person said, the way the law of the place asks.
func (p inventedPerson) consents(id abide.SubjectID) []engine.ConsentWrite {
	ev := abide.Evidence{Wording: "May we tell you about our phones and cloud, and about our partners' goods?",
		Language: "en", Separate: true, Source: "account form"}
	write := func(action string) engine.ConsentWrite {
		return engine.ConsentWrite{Subject: id, Purpose: "marketing", Action: action, Evidence: ev}
	}
	var out []engine.ConsentWrite
	if p.signed {
		out = append(out, engine.ConsentWrite{Subject: id, Document: "agreement", Action: "accept", Evidence: abide.Evidence{Source: "account form"}})
	}
	switch {
	case p.agrees && p.place == "HK":
		out = append(out, write("tell"), write("indicate_no_objection"))
	case p.agrees:
		out = append(out, write("give"))
	case p.refuses:
		out = append(out, write("refuse"))
	}
	return out
}
