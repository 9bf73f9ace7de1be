package check

import "strings"

// language is what the finder knows of a language. All of it is data; a
// language that is not known gets words without plurals and no negation.
type language struct {
	code string
	// forms returns the written forms of a word, itself included: singular
	// and plural, and cases where a language has them. Both ways, because a
	// policy may name a category in either number.
	forms func(string) []string
	// deny negates what follows, up to the next turn of the sentence.
	deny []string
	// without denies what follows; with a second negation it demands it:
	// "we cannot deliver without your address".
	without []string
	// denyBoth negates the whole stretch between two turns: "… nicht".
	denyBoth []string
	// nobody denies what follows, but for those named behind a "but":
	// "no one reads your letters but the addressee".
	nobody []string
	but    []string
	// auxiliary verbs in front of a negation carry it back to the subject:
	// "your location is never used".
	auxiliary []string
	// idioms hold a negation and deny nothing: "not only", "no later than".
	idioms []string
	// unless makes a denied thing conditional: it may happen after all.
	unless []string
	// turns end the reach of a negation: "but", "however", "which".
	turns []string
	// subjects start a new stretch behind a comma or an "and".
	subjects []string
	and      []string
	// listing words stand between the items of a list; in a list a negation
	// reaches past ", and", which otherwise ends it.
	listing  []string
	commaEnd bool // a comma ends the reach of a negation (Chinese)
	// unmeant are phrases in which a word is not what it seems: "in order to".
	unmeant []string
	// own are possessives of the company: "our address" is nobody's data.
	own []string
	// tied are endings of compounds that still name their first part:
	// "location-based".
	tied []string
	// we and promises make a promise when both stand in one sentence;
	// alone promises by itself.
	we       []string
	promises []string
	alone    []string
	// silences take silence for agreement: "unless you opt out".
	silences []string
	// numerals, units and often are how numbers and stretches of time are
	// stated; a language without them has its numbers left alone.
	numerals map[string]int
	units    map[string]stretchOfTime
	often    map[string]int // "twice a year", in months
}

// languageOf returns the language of a BCP 47 tag.
func languageOf(tag string) *language {
	l := languages[base(tag)]
	if l == nil {
		return &language{code: base(tag), forms: func(w string) []string { return []string{w} }}
	}
	return l
}

// base is the primary subtag: "zh" of "zh-Hant".
func base(tag string) string {
	tag = strings.ToLower(tag)
	if i := strings.IndexAny(tag, "-_"); i >= 0 {
		tag = tag[:i]
	}
	if tag == "" {
		return "en"
	}
	return tag
}

var languages = map[string]*language{
	"en": english, "de": german, "fr": french, "es": spanish, "zh": chinese,
	"it": {code: "it", forms: italianForms, deny: words("non mai nessun nessuna né"), without: words("senza"), unless: words("salvo tranne"),
		turns: words("ma però tuttavia"), own: words("nostro nostra nostri nostre"),
		we: words("noi"), promises: words("raccogliamo utilizziamo usiamo conserviamo condividiamo cancelliamo trattiamo")},
	"pt": {code: "pt", forms: portugueseForms, deny: words("não nunca jamais nem nenhum nenhuma"), without: words("sem"), unless: words("salvo exceto"),
		turns: words("mas porém contudo"), own: words("nosso nossa nossos nossas"),
		alone: words("recolhemos coletamos usamos utilizamos guardamos partilhamos compartilhamos apagamos tratamos")},
	"nl": {code: "nl", forms: dutchForms, deny: words("geen nooit noch"), without: words("zonder"), denyBoth: words("niet"), unless: words("tenzij behalve"),
		turns: words("maar echter"), own: words("onze ons"), subjects: words("wij we u je"), and: words("en of"),
		we: words("wij we"), promises: words("verzamelen gebruiken bewaren delen verwijderen verwerken verstrekken")},
	"ja": {code: "ja", forms: asWritten, denyBoth: []string{"ません", "ない", "しません"}, commaEnd: true, unless: []string{"を除き", "場合を除"}},
	"ko": {code: "ko", forms: asWritten, denyBoth: []string{"않습니다", "않으며", "아니"}},
}

func asWritten(w string) []string { return []string{w} }

func words(s string) []string { return strings.Fields(s) }

func phrases(s string) []string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		for p := range strings.SplitSeq(line, "/") {
			if p = strings.TrimSpace(p); p != "" {
				out = append(out, p)
			}
		}
	}
	return out
}

var english = &language{
	code:  "en",
	forms: englishForms,
	silences: phrases(`unless you opt out / unless you object / unless you tell us / unless you say no / unless you say otherwise / unless you refuse / unless you decline
		if you do not object / if you do not refuse / if you do not opt out
		if we hear nothing / if you say nothing / silence means / silence is agreement / saying nothing is agreeing / by continuing / by using / continued use / already ticked
		ticked for you already / pre ticked / on by default / assume that you agree / assume you agree / assume your yes / take it that you agree / deemed to agree / deemed to have agreed`),
	numerals: englishNumerals, units: englishUnits, often: englishOften,
	deny: phrases(`never / not / no / neither / nor / cannot
		don't / doesn't / didn't / won't / can't / isn't / aren't / wasn't / weren't / shan't / wouldn't / couldn't / shouldn't / mustn't
		hasn't / haven't / hadn't / refrain from / rather than / instead of / dont / doesnt / wont`),
	nobody:    phrases("none / nobody / no one / nothing"),
	but:       words("but except besides"),
	without:   words("without"),
	auxiliary: words("is are was were be been being am will shall would should can could may might must gets get"),
	idioms: phrases(`not only / not just / not merely / not simply / not least / not limited to / not necessarily
		no later than / not later than / no longer than / not longer than / no more than / not more than / no less than / not less than
		no fewer than / no matter / no objection / no objections / not to object / whether or not / if not / without delay / without undue delay / without charge
		no cost / no charge / no doubt / without prejudice / without limitation / no sooner / why not / not until / not before
		or not / without which / may not be complete / nothing but / none other than / no other than / nobody but / no one but / never before`),
	unless: phrases(`unless / except / without your consent / without your permission / without your agreement / without asking / without telling
		without permission / without consent / until / other than / only if / only when / only after / only with / only where / only once / not before / before you
		without first`),
	turns: phrases(`but / what / however / although / though / whereas / while / yet / instead / which / who / whose / whom / where / because / since / so that / unless / except / until
		only / if / when / once / after / before / then / otherwise / not only / not just / not merely / nothing but / none other than / no other than / nobody but / no one but`),
	subjects: words("we you they it he she i this these those there"),
	and:      words("and or so but"),
	unmeant: phrases(`in order / name the / name its / name their / name one / names the / names its / names their / post office / by post
		at any time / any time / at all times / next time / each time / every time / first time / this time / one time / last time / time of day / in time / on time / over time / some time
		a long time / from time to time / by the time / the same time / real time / spare time / time limit / court order / court orders / of any order / in the name of / by the name of / to name a few / to name just
		contact us / contact me / please contact / to contact / contacting / contacted / contacts you / contact you / we contact / will contact / may contact
		under the age of / years of age / the age of / age of / age band / to address / addressed / addresses this / address this / address these / address your concerns
		address your request / email us / e-mail us / phone us / message us / write to us / take place / takes place / taking place / in place / put in place / first place
		in the first place / in no event / home page / this page / web page / next page / front page / log in / sign in / account for / accounts for / on account of / takes account of
		into account / at your age / cookie page / state of / in this order / in that order / domain name / domain names / brand name / brand names / company name / business name
		product name / product names / file name / file names / username / user name / usernames / user names / named / in case / in any case / in which case`),
	listing: words("your you the a an any and or nor of their his her other such as also either all some"),
	own:     words("our"),
	tied:    words("based related linked derived dependent specific driven aware bound level"),
	we:      words("we us nobody partners affiliates staff"),
	promises: words(`will shall never only always may collect collects use uses keep keeps store stores share shares delete deletes erase erases remove removes
		process processes disclose discloses sell sells retain retains protect protects encrypt encrypts send sends tell tells ask asks give gives hand hands
		record records log logs notify notifies inform informs respect respects provide provides pass passes transfer transfers receive receives obtain obtains
		count counts require requires promise promises write writes show shows hold holds post posts answer answers review reviews check checks follow follows
		put puts let lets make makes refuse refuses drop drops close closes stop stops bind binds treat treats stay stays serve serves help helps go goes leave leaves`),
	alone: phrases(`is gone / are gone / goes after / go after / cannot be linked / is never / are never / is not / are not / will be / will never / will not / shall be / shall not / must not / may only / is deleted / are deleted / is kept / are kept
		is used / are used / is shared / are shared / is erased / are erased / is stored / are stored / is collected / are collected / is encrypted / are encrypted / is disclosed / are disclosed
		is counted / are counted / is asked / are asked / is sold / are sold / is removed / are removed / serve to / serves to / you may / you can / never get / get only / gets only / is bound / are bound
		is given / are given / is passed / are passed / is recorded / are recorded / is told / are told`),
}

var german = &language{
	code:      "de",
	forms:     germanForms,
	deny:      phrases("kein / keine / keinen / keiner / keines / keinem / weder / noch / niemand / niemandem / nichts / statt / anstatt"),
	denyBoth:  phrases("nicht / nie / niemals / keinesfalls / auf keinen fall"),
	without:   words("ohne"),
	auxiliary: words("ist sind wird werden war waren wurde wurden"),
	idioms: phrases(`nicht nur / nicht bloß / nicht zuletzt / nicht länger als / nicht mehr als / nicht später als / ohne weiteres / nicht beschränkt auf
		kein widerspruch / ob oder nicht / ohne verzögerung / ohne unangemessene verzögerung / noch heute / noch nicht / nicht widersprechen / noch immer / immer noch / sowie noch`),
	unless:   phrases("es sei denn / außer / sofern / solange / ausser / ohne ihre einwilligung / ohne ihre zustimmung / ohne deine einwilligung / bevor / bis / nur wenn / nur mit"),
	turns:    phrases("aber / sondern / jedoch / doch / während / obwohl / weil / da / wenn / sofern / außer / nicht nur / welche / welcher / welches / deren / dessen / bevor / solange"),
	subjects: words("wir sie ihr du er es dies diese"),
	and:      words("und oder"),
	own:      words("unser unsere unseren unserem unserer unseres"),
	unmeant:  phrases("im namen / in ordnung / der reihe nach / in höhe von / im alter von / unter der adresse"),
	tied:     words("basiert basierte basierten bezogen bezogene bezogenen abhängig abhängige"),
	we:       words("wir uns"),
	promises: words(`werden erheben nutzen verwenden speichern löschen teilen verarbeiten verkaufen behalten schützen verschlüsseln senden übermitteln
		geben fragen informieren bewahren sammeln zählen niemals nie nur`),
	alone: phrases("wird gelöscht / werden gelöscht / wird gespeichert / werden gespeichert / dienen dazu / werden verwendet / wird verwendet / werden erhoben / werden nie / wird nie"),
}

var french = &language{
	code:      "fr",
	forms:     frenchForms,
	deny:      phrases("pas / jamais / aucun / aucune / ni / nul / nulle / rien / personne ne"),
	without:   words("sans"),
	auxiliary: words("est sont sera seront était étaient peut peuvent"),
	idioms:    phrases("pas seulement / non seulement / sans délai / sans retard / sans frais / pas plus de / sans préjudice / pas limité à / sans s'y limiter"),
	unless:    phrases("sauf / à moins que / à moins de / excepté / hormis / sans votre consentement / sans votre accord / avant que / tant que"),
	turns:     phrases("mais / cependant / toutefois / tandis que / bien que / parce que / car / si / lorsque / qui / dont / sauf / pas seulement / non seulement"),
	subjects:  words("nous vous ils elles il elle on cela"),
	and:       words("et ou"),
	own:       words("notre nos"),
	unmeant:   phrases("au nom de / en ordre / afin / l'adresse suivante"),
	we:        words("nous"),
	promises: words(`collectons utilisons conservons partageons supprimons traitons vendons protégeons envoyons communiquons recueillons transmettons
		effaçons demandons jamais garderons utiliserons`),
	alone: phrases("est supprimé / sont supprimés / sont supprimées / sont utilisés / sont utilisées / est utilisé / est utilisée / sont conservées / sont conservés / servent à / sert à / sera / seront"),
}

var spanish = &language{
	code:      "es",
	forms:     spanishForms,
	deny:      phrases("no / nunca / jamás / ni / ningún / ninguna / ninguno / nada / nadie / tampoco"),
	without:   words("sin"),
	auxiliary: words("es son está están será serán fue fueron"),
	idioms:    phrases("no solo / no sólo / no solamente / no obstante / sin embargo / sin demora / sin dilación / sin coste / no más de / no limitado a / sin perjuicio / sin cargo"),
	unless:    phrases("salvo / a menos que / excepto / a no ser que / sin su consentimiento / sin tu consentimiento / hasta que / antes de que"),
	turns:     phrases("pero / sino / aunque / mientras / porque / si / cuando / que / cuyo / cuya / salvo / no solo / no sólo / sin embargo / no obstante"),
	subjects:  words("nosotros usted ustedes ellos ellas él ella esto"),
	and:       words("y o e u"),
	own:       words("nuestro nuestra nuestros nuestras"),
	unmeant:   phrases("en nombre de / con el fin / en orden"),
	alone: phrases(`recogemos / recopilamos / usamos / utilizamos / conservamos / compartimos / borramos / eliminamos / tratamos / vendemos / protegemos / enviamos / comunicamos / guardamos
		pedimos / se usan / se utilizan / se conservan / se borran / se eliminan / sirven para / nunca / será / serán`),
}

var chinese = &language{
	code:     "zh",
	forms:    asWritten,
	deny:     phrases("不会 / 绝不 / 絕不 / 从不 / 從不 / 不 / 没有 / 沒有 / 未 / 无 / 無 / 禁止 / 不得 / 从未 / 從未 / 永不 / 並非 / 并非 / 不再 / 无须 / 無須"),
	denyBoth: nil,
	idioms: phrases(`不仅 / 不僅 / 不限于 / 不限於 / 不论 / 不論 / 不时 / 不時 / 不同 / 必不可少 / 不超过 / 不超過 / 不少于 / 不少於 / 不晚于 / 不晚於 / 不但 / 不只 / 无论 / 無論
		未成年 / 不反对 / 不反對 / 不满 / 不滿 / 未满 / 未滿 / 不断 / 不斷 / 无异议 / 無異議 / 未来 / 未來`),
	unless:   phrases("除非 / 除外 / 未经您同意 / 未經您同意 / 未经同意 / 未經同意 / 未经 / 未經 / 之前"),
	turns:    phrases("但 / 而是 / 然而 / 不仅 / 不僅 / 不但 / 除非 / 如果 / 只 / 仅 / 僅"),
	commaEnd: true,
	own:      phrases("我们的 / 我們的 / 本公司的"),
	we:       phrases("我们 / 我們 / 本公司"),
	promises: phrases("收集 / 使用 / 保存 / 保留 / 共享 / 分享 / 删除 / 刪除 / 处理 / 處理 / 提供 / 披露 / 出售 / 保护 / 保護 / 加密 / 发送 / 發送 / 告知 / 会 / 會 / 绝不 / 絕不"),
	alone:    phrases("将被 / 將被 / 会被 / 會被 / 用于 / 用於"),
}
