package shop_test

import (
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/render"
)

func TestClause_C01_TheShopNeedsItsDataAndNumbersOfOthersServeMessagingAlone(t *testing.T) {
	clause(t, "C01",
		decision{name: "the shop reads where to deliver", person: person("HK", takes("shop")),
			request: read("provide", "person.address"), want: abide.Permit, because: abide.PermitContract},
		decision{name: "the shop does not collect numbers of others", person: person("HK", takes("shop"), takes("messaging")),
			request: collect("shop", "provide", "others.number"), want: abide.Deny, because: abide.DenyOnlyTo},
	)
	p := sample().Policy
	missing := p.Missing("shop", func(c abide.Category) bool { return c == "person.name" })
	if len(missing) != 2 || missing[0] != "person.email" || missing[1] != "person.address" {
		t.Errorf("who gave a name only lacks %v for the shop", missing)
	}
	if lacks := p.Missing("cloud", func(c abide.Category) bool { return c == "person.email" }); lacks != nil {
		t.Errorf("every other service goes on: the cloud lacks %v", lacks)
	}
}

func TestClause_C02_LogsEndOnAFixedDay(t *testing.T) {
	clause(t, "C02",
		decision{name: "a log line of last week finds a fault", person: visitor("HK"),
			request: obtained(use("faults", "visit.system"), now.AddDate(0, 0, -6)), want: abide.Permit, because: abide.PermitLegitimate},
		decision{name: "one of five weeks ago does not", person: visitor("HK"),
			request: obtained(use("faults", "visit.system"), now.AddDate(0, 0, -35)), want: abide.Deny, because: abide.DenyRetention},
	)
}

func TestClause_C03_CountsAreNobodys(t *testing.T) {
	clause(t, "C03",
		decision{name: "a device model is no person's data", person: person("FR", takes("shop")),
			request: read("statistics", "nobody.device"), want: abide.Deny, because: abide.DenyNotLinked},
	)
}

func TestClause_C04_CollectionFollowsParticipation(t *testing.T) {
	clause(t, "C04",
		decision{name: "who uses the cloud can upload", person: person("GB", takes("cloud")),
			request: collect("cloud", "provide", "person.files"), want: abide.Permit, because: abide.PermitContract},
		decision{name: "who left it is not collected from", person: person("GB", takes("shop"), left("cloud")),
			request: collect("cloud", "provide", "person.files"), want: abide.Deny, because: abide.DenySourceStopped},
	)
}

func TestClause_C05_PurposesAndNoOthers(t *testing.T) {
	narrow := read("provide", "person.email")
	narrow.Actor = abide.Actor{Kind: abide.ActorService, Name: "books", Purposes: []abide.Purpose{"records"}}
	clause(t, "C05",
		decision{name: "care after the sale", person: person("GB", takes("shop")),
			request: read("aftersales", "person.orders"), want: abide.Permit, because: abide.PermitContract},
		decision{name: "a prize draw nobody entered", person: person("GB", takes("shop")),
			request: contact("promotions", "person.email"), want: abide.Deny, because: abide.DenyNoConsent},
		decision{name: "statistics do not look at addresses", person: person("GB", takes("shop")),
			request: read("statistics", "person.email"), want: abide.Deny, because: abide.DenyNotCovered},
		decision{name: "a program for the records does not read for the shop", person: person("GB", takes("shop")),
			request: narrow, want: abide.Deny, because: abide.DenyActorPurpose},
	)
}

func TestClause_C06_ConsentReachesAffiliatesWhileTheyBelong(t *testing.T) {
	clause(t, "C06",
		decision{name: "a yes reaches the affiliate", person: person("FR", agreed("linking")),
			request: disclose("quay-talk", "linking", "person.email"), want: abide.Permit, because: abide.PermitConsent},
		decision{name: "without a yes nothing does", person: person("FR"),
			request: disclose("quay-talk", "linking", "person.email"), want: abide.Deny, because: abide.DenyNoConsent},
		decision{name: "who left the group lost it", person: person("FR", agreed("linking")),
			request: disclose("former-sister", "linking", "person.email"), want: abide.Deny, because: abide.DenyNotRegistered},
	)
}

func TestClause_C07_MarketingAsksAsTheLawOfThePlaceDoes(t *testing.T) {
	byText := contact("marketing", "person.phone")
	byText.Topic = "news"
	clause(t, "C07",
		decision{name: "silence in Hong Kong", person: person("HK", said("marketing", policy.StateAsked)),
			request: contact("marketing", "person.email"), want: abide.Deny, because: abide.DenySilent},
		decision{name: "an indication in Hong Kong", person: person("HK", said("marketing", policy.StateIndicated)),
			request: contact("marketing", "person.email"), want: abide.Permit, because: abide.PermitNoObjection},
		decision{name: "an indication is no consent in France", person: person("FR", said("marketing", policy.StateIndicated)),
			request: contact("marketing", "person.email"), want: abide.Deny, because: abide.DenyNoConsent},
		decision{name: "news refused by itself", person: person("FR", agreed("marketing"), refusedNews),
			request: byText, want: abide.Deny, because: abide.DenyTopicRefused},
		decision{name: "nothing goes to partners", person: person("FR", agreed("marketing")),
			request: disclose("partners", "marketing", "person.email"), want: abide.Deny, because: abide.DenyNever},
	)
	facts := person("HK", said("marketing", policy.StateIndicated))(sample().Policy)
	req := contact("marketing", "person.email")
	req.At, req.Actor = now, abide.Actor{Kind: abide.ActorService, Name: "app", Purposes: []abide.Purpose{"marketing"}}
	d := sample().Policy.Decide(&facts, register(), &req)
	if len(d.Obligations) != 1 || d.Obligations[0].Code != abide.MustOfferUnsubscribe {
		t.Errorf("every message ends with an unsubscribe link, but the obligations are %v", d.Obligations)
	}
}

func refusedNews(_ *policy.Policy, f *policy.Facts) {
	f.Consents[len(f.Consents)-1].RefusedTopics = []abide.Topic{"news"}
}

func TestClause_C08_RecommendationsWhileMarketingIsAgreedAndByNothingElse(t *testing.T) {
	choose := ask(abide.ActChoose, "recommendations", "taste.browsing")
	clause(t, "C08",
		decision{name: "with both agreed", person: person("FR", takes("recommendations"), agreed("marketing"), agreed("recommendations")),
			request: choose, want: abide.Permit, because: abide.PermitConsent},
		decision{name: "they end with marketing", person: person("FR", takes("recommendations"), said("marketing", policy.StateWithdrawn), agreed("recommendations")),
			request: choose, want: abide.Deny, because: abide.DenyWithdrawn},
		decision{name: "an address chooses nothing", person: person("FR", takes("recommendations"), agreed("marketing"), agreed("recommendations")),
			request: ask(abide.ActChoose, "recommendations", "person.address"), want: abide.Deny, because: abide.DenyNotCovered},
	)
}

func TestClause_C09_MeasuredOnTheWebsiteWithAYes(t *testing.T) {
	clause(t, "C09",
		decision{name: "with a yes", person: visitor("FR", agreed("measurement")),
			request: ask(abide.ActCollect, "measurement", "site.route"), want: abide.Permit, because: abide.PermitConsent},
		decision{name: "without one", person: visitor("FR"),
			request: ask(abide.ActCollect, "measurement", "site.route"), want: abide.Deny, because: abide.DenyNoConsent},
	)
}

func TestClause_C10_WebLogsAreKeptApart(t *testing.T) {
	clause(t, "C10",
		decision{name: "the log runs the website", person: visitor("HK"),
			request: use("running", "web.clicks"), want: abide.Permit, because: abide.PermitLegitimate},
		decision{name: "it is not laid beside the account", person: person("HK", takes("shop")),
			request: use("running", "web.clicks", "person.account"), want: abide.Deny, because: abide.DenyApart},
	)
}

func TestClause_C11_OptedOutStaysOut(t *testing.T) {
	clause(t, "C11",
		decision{name: "with a yes", person: person("CA", agreed("adverts")),
			request: disclose("adpartner", "adverts", "ads.cookie"), want: abide.Permit, because: abide.PermitConsent},
		decision{name: "a hashed address is disclosure too", person: person("CA", said("adverts", policy.StateWithdrawn)),
			request: disclose("adpartner", "adverts", "ads.hash"), want: abide.Deny, because: abide.DenyWithdrawn},
		decision{name: "not where it would be a sale", person: person("US-CA", agreed("adverts")),
			request: disclose("adpartner", "adverts", "ads.cookie"), want: abide.Deny, because: abide.DenyClosedPlace},
	)
}

func TestClause_C12_LocalStorageHoldsChoices(t *testing.T) {
	clause(t, "C12",
		decision{name: "choices are remembered", person: visitor("HK"),
			request: use("remember", "browser.choices"), want: abide.Permit, because: abide.PermitLegitimate},
	)
}

func TestClause_C13_NothingIsSold(t *testing.T) {
	sale := disclose("quay-talk", "linking", "person.email")
	sale.ForValue = true
	clause(t, "C13",
		decision{name: "not even with a yes", person: person("FR", agreed("linking")),
			request: sale, want: abide.Deny, because: abide.DenyNever},
	)
}

func TestClause_C14_EachRecipientOnlyWhatWasAskedFor(t *testing.T) {
	clause(t, "C14",
		decision{name: "the courier finds the door", person: person("FR", takes("shop")),
			request: disclose("swift-parcel", "provide", "person.address"), want: abide.Permit, because: abide.PermitContract},
		decision{name: "and learns no birthday", person: person("FR", takes("shop")),
			request: disclose("swift-parcel", "provide", "person.orders"), want: abide.Deny, because: abide.DenyNotRecipient},
		decision{name: "a contract that stops at the border", person: person("CA", takes("shop")),
			request: disclose("swift-parcel", "provide", "person.address"), want: abide.Deny, because: abide.DenyContractPlace},
	)
}

func TestClause_C15_AdvertisersGetSumsOnly(t *testing.T) {
	clause(t, "C15",
		decision{name: "no person's data", person: person("FR", takes("shop")),
			request: disclose("loud-ads", "statistics", "person.gender"), want: abide.Deny, because: abide.DenyNotRecipient},
	)
}

func TestClause_C16_TheLawOpensWhatItsOrderNames(t *testing.T) {
	order := func(approvals int, scope ...abide.Category) policy.Request {
		r := disclose("authorities", "provide", "person.name")
		r.Order = &policy.Order{Rule: "by law", Authority: "a court", Citation: "a law", Scope: scope, Approvals: approvals, When: "requires"}
		return r
	}
	clause(t, "C16",
		decision{name: "in form and in scope", person: person("HK"),
			request: order(2, "person.name"), want: abide.Permit, because: abide.PermitLegalRequest},
		decision{name: "beyond its scope", person: person("HK"),
			request: order(2, "person.email"), want: abide.Deny, because: abide.DenyOrderScope},
		decision{name: "with one approval", person: person("HK"),
			request: order(1, "person.name"), want: abide.Deny, because: abide.DenyApprovalsMissing},
	)
}

func TestClause_C17_StaffOpenWhatTheyMayAndAnswerForIt(t *testing.T) {
	as := func(name, role string, r policy.Request) policy.Request {
		r.Actor = abide.Actor{Kind: abide.ActorStaff, Name: name, Role: role, Purposes: []abide.Purpose{r.Purpose}}
		return r
	}
	clause(t, "C17",
		decision{name: "support reads what support needs", person: person("GB", takes("shop")),
			request: as("kim", "support", read("aftersales", "person.orders")), want: abide.Permit, because: abide.PermitContract},
		decision{name: "without an undertaking nobody does", person: person("GB", takes("shop")),
			request: as("lee", "support", read("aftersales", "person.orders")), want: abide.Deny, because: abide.DenyUndertaking},
		decision{name: "the private level wants approvals", person: person("GB", takes("shop")),
			request: as("kim", "privacy", read("provide", "person.files")), want: abide.Deny, because: abide.DenyApprovalsMissing},
	)
}

func TestClause_C18_WarningsReachEveryoneConcerned(t *testing.T) {
	clause(t, "C18",
		decision{name: "also those who want no mail", person: person("FR", said("marketing", policy.StateRefused)),
			request: contact("warnings", "person.email"), want: abide.Permit, because: abide.PermitContract},
	)
	res := sample()
	var page strings.Builder
	if err := render.Text(&page, res.Set, res.Policy, render.Options{Files: res.Files, Document: "privacy"}); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(page.String(), "How well each way of reaching us is protected")
	for _, said := range []string{"E-mail\n      Sealed on its way", "Our own app\n      Sealed from end to end", "Text message\n      Not protected"} {
		if !strings.Contains(table, said) {
			t.Errorf("the page does not show %q", said)
		}
	}
}

func TestClause_C19_LawKeepsForItselfAloneAndNotForEver(t *testing.T) {
	six, eight := now.AddDate(-6, 0, 0), now.AddDate(-8, 0, 0)
	clause(t, "C19",
		decision{name: "six years on, for the tax office", person: person("HK"),
			request: obtained(use("books", "person.invoice"), six), want: abide.Permit, because: abide.PermitLegal},
		decision{name: "six years on, for the shop", person: person("HK", takes("shop")),
			request: obtained(use("provide", "person.invoice"), six), want: abide.Deny, because: abide.DenyRetention},
		decision{name: "eight years on, for nobody", person: person("HK"),
			request: obtained(use("books", "person.invoice"), eight), want: abide.Deny, because: abide.DenyRetention},
	)
}

func TestClause_C20_NoMarketingToChildren(t *testing.T) {
	child := born(abide.Date{Year: now.Year() - 12, Month: time.January, Day: 2})
	clause(t, "C20",
		decision{name: "not even with a guardian's yes", person: person("GB", child, guardianAgreed("marketing"), agreed("marketing")),
			request: contact("marketing", "person.email"), want: abide.Deny, because: abide.DenyMinor},
		decision{name: "a guardian's yes is respected elsewhere", person: person("GB", child, guardianAgreed("linking"), agreed("linking"), takes("shop")),
			request: read("linking", "person.email"), want: abide.Permit, because: abide.PermitConsent},
		decision{name: "a child alone cannot agree", person: person("GB", child, agreed("linking"), takes("shop")),
			request: read("linking", "person.email"), want: abide.Deny, because: abide.DenyMinorNoGuardian},
	)
}

func TestClause_C21_TheAgreementPrevailsAmongThoseWhoAgreed(t *testing.T) {
	old := obtained(read("aftersales", "person.orders"), now.AddDate(0, -20, 0))
	closed := happened("order.closed", now.AddDate(0, -18, 0))
	clause(t, "C21",
		decision{name: "a warranty case of somebody who agreed", person: person("GB", takes("shop"), accepted("agreement"), closed),
			request: old, want: abide.Permit, because: abide.PermitContract},
		decision{name: "the same case of somebody who did not", person: person("GB", takes("shop"), closed),
			request: old, want: abide.Deny, because: abide.DenyRetention},
	)
}

func TestClause_C22_WidgetsWaitForTheClick(t *testing.T) {
	clause(t, "C22",
		decision{name: "nothing before it", person: visitor("FR"),
			request: use("buttons", "visit.page"), want: abide.Deny, because: abide.DenyNoConsent},
		decision{name: "the page after it", person: visitor("FR", agreed("buttons")),
			request: use("buttons", "visit.page"), want: abide.Permit, because: abide.PermitConsent},
	)
}

func TestClause_C23_SigningInBringsWhatIsTicked(t *testing.T) {
	signins := sample().Set.Signins
	if len(signins) != 2 {
		t.Fatalf("%d ways to sign in, want 2", len(signins))
	}
	for _, s := range signins {
		if s.Ticked || len(s.MayAsk) != 2 || s.MayAsk[0].Name != "person.name" || s.MayAsk[1].Name != "person.email" {
			t.Errorf("signing in with %s asks for %v, ticked %t", s.Name, s.MayAsk, s.Ticked)
		}
	}
	less := loadPolicy(files("C23"))
	if len(less.Set.Signins) != 0 {
		t.Error("without the rules of C23 there is still a way to sign in")
	}
	clause(t, "C23",
		decision{name: "the provider itself gets nothing", person: person("HK", takes("shop")),
			request: disclose("openid", "provide", "person.name"), want: abide.Deny, because: abide.DenyNotRecipient},
	)
}

func TestClause_C24_OnlyWhatWasConfirmedIsPosted(t *testing.T) {
	clause(t, "C24",
		decision{name: "a confirmed post", person: person("HK", agreed("posting")),
			request: disclose("facebook", "posting", "profile.post"), want: abide.Permit, because: abide.PermitConsent},
		decision{name: "one that was not", person: person("HK"),
			request: disclose("facebook", "posting", "profile.post"), want: abide.Deny, because: abide.DenyNoConsent},
	)
}
