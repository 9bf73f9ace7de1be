package vault_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/vault"
)

func TestNormalize(t *testing.T) {
	for _, c := range []struct{ format, in, region, want, index, detail string }{
		{"text", `"  Ada Lovelace "`, "", `"Ada Lovelace"`, "Ada Lovelace", ""},
		{"", `"e\u0301"`, "", `"é"`, "é", ""}, // one form of Unicode
		{"text", `"<a & b>"`, "", `"<a & b>"`, "<a & b>", ""},
		{"text", `"a\u0000b"`, "", "", "", "bad_text"},
		{"text", `17`, "", "", "", "not_a_string"},
		{"text", `"   "`, "", "", "", "value_missing"},
		{"text", `null`, "", "", "", "value_missing"},
		{"text", ``, "", "", "", "value_missing"},
		{"text", `{"a"`, "", "", "", "bad_json_value"},
		{"text", "\"\xff\"", "", "", "", "bad_json_value"},

		{"email", `"Ada.Lovelace@Example.TEST"`, "", `"Ada.Lovelace@example.test"`, "ada.lovelace@example.test", ""},
		{"email", `"ada+tag@mail.example.test"`, "", `"ada+tag@mail.example.test"`, "ada+tag@mail.example.test", ""},
		{"email", `"用户@例子.测试"`, "", `"用户@例子.测试"`, "用户@例子.测试", ""},
		{"email", `"ada@localhost"`, "", "", "", "bad_email"},
		{"email", `"Ada <ada@example.test>"`, "", "", "", "bad_email"},
		{"email", `"ada@example.test, bob@example.test"`, "", "", "", "bad_email"},
		{"email", `"ada..b@example.test"`, "", "", "", "bad_email"},
		{"email", `"@example.test"`, "", "", "", "bad_email"},
		{"email", `"ada@-example.test"`, "", "", "", "bad_email"},
		{"email", `"ada@127.0.0.1"`, "", "", "", "bad_email"},
		{"email", `"ada@example..test"`, "", "", "", "bad_email"},
		{"email", `"` + strings.Repeat("a", 65) + `@example.test"`, "", "", "", "bad_email"},

		{"phone", `"+852 5123 4567"`, "", `"+85251234567"`, "+85251234567", ""},
		{"phone", `"5123 4567"`, "HK", `"+85251234567"`, "+85251234567", ""},
		{"phone", `"(415) 555-2671"`, "US-CA", `"+14155552671"`, "+14155552671", ""},
		{"phone", `"030 901820"`, "de", `"+4930901820"`, "+4930901820", ""},
		{"phone", `"5123 4567"`, "", "", "", "bad_phone"},
		{"phone", `"5123 4567"`, "EU-all", "", "", "bad_phone"},
		{"phone", `"+852 1"`, "HK", "", "", "bad_phone"},
		{"phone", `"call me"`, "HK", "", "", "bad_phone"},

		{"date", `"1990-04-02"`, "", `"1990-04-02"`, "1990-04-02", ""},
		{"date", `"2023-02-29"`, "", "", "", "bad_date"},
		{"date", `"02/04/1990"`, "", "", "", "bad_date"},

		{"address", `"1 Queen's Road\nCentral"`, "", `"1 Queen's Road\nCentral"`, "1 queen's road central", ""},
		{"address", `{"street":"1 Queen's  Road ","country":"hk","region":""}`, "", `{"country":"HK","street":"1 Queen's  Road"}`, "hk 1 queen's road", ""},
		{"address", `{"country":"XX"}`, "", "", "", "bad_address"},
		{"address", `{"street":1}`, "", "", "", "bad_address"},
		{"address", `{"street":"a","street":"b"}`, "", "", "", "bad_address"},
		{"address", `{}`, "", "", "", "bad_address"},
		{"address", `[]`, "", "", "", "bad_address"},

		{"country", `"hk"`, "", `"HK"`, "HK", ""},
		{"country", `"EU"`, "", "", "", "bad_country"},
		{"country", `"Hong Kong"`, "", "", "", "bad_country"},
		{"country", `"ZZ"`, "", "", "", "bad_country"},

		{"money", `{"amount":"12.3","currency":"eur"}`, "", `{"amount":"12.30","currency":"EUR"}`, "EUR12.30", ""},
		{"money", `{"currency":"JPY","amount":1200}`, "", `{"amount":"1200","currency":"JPY"}`, "JPY1200", ""},
		{"money", `{"amount":"-0.00","currency":"HKD"}`, "", `{"amount":"0.00","currency":"HKD"}`, "HKD0.00", ""},
		{"money", `{"amount":"007.500","currency":"HKD"}`, "", `{"amount":"7.50","currency":"HKD"}`, "HKD7.50", ""},
		{"money", `{"amount":"12.345","currency":"EUR"}`, "", "", "", "bad_money"},
		{"money", `{"amount":"1.5","currency":"JPY"}`, "", "", "", "bad_money"},
		{"money", `{"amount":"1e3","currency":"EUR"}`, "", "", "", "bad_money"},
		{"money", `{"amount":"12.","currency":"EUR"}`, "", "", "", "bad_money"},
		{"money", `{"amount":"","currency":"EUR"}`, "", "", "", "bad_money"},
		{"money", `{"amount":"1","currency":"GOLD"}`, "", "", "", "bad_money"},
		{"money", `{"amount":"1","amount":"2","currency":"EUR"}`, "", "", "", "bad_money"},
		{"money", `{"amount":"1","currency":"EUR","note":"tip"}`, "", "", "", "bad_money"},
		{"money", `"12 EUR"`, "", "", "", "bad_money"},

		{"json", ` { "b" : [1.50, 12345678901234567890, true], "a" : null } `, "", `{"a":null,"b":[1.50,12345678901234567890,true]}`, "", ""},
		{"json", `{"a":1,"\u0061":2}`, "", "", "", "bad_json"},
		{"json", strings.Repeat("[", 70) + strings.Repeat("]", 70), "", "", "", "bad_json"},

		{"ip", `"203.0.113.9"`, "", `"203.0.113.9"`, "203.0.113.9", ""},
		{"ip", `"2001:DB8:0:0::1"`, "", `"2001:db8::1"`, "2001:db8::1", ""},
		{"ip", `"::ffff:203.0.113.9"`, "", `"203.0.113.9"`, "203.0.113.9", ""},
		{"ip", `"fe80::1%eth0"`, "", "", "", "bad_ip"},
		{"ip", `"203.0.113.9:80"`, "", "", "", "bad_ip"},

		{"imei", `"49-015420-323751-8"`, "", `"490154203237518"`, "490154203237518", ""},
		{"imei", `"490154203237519"`, "", "", "", "bad_imei"},
		{"imei", `"4901542032375"`, "", "", "", "bad_imei"},
		{"imei", `"49015420323751x"`, "", "", "", "bad_imei"},

		{"url", `"HTTPS://Example.TEST/Path?q=1"`, "", `"https://example.test/Path?q=1"`, "https://example.test/Path?q=1", ""},
		{"url", `"https://user:secret@example.test/"`, "", "", "", "bad_url"},
		{"url", `"javascript:alert(1)"`, "", "", "", "bad_url"},
		{"url", `"/path"`, "", "", "", "bad_url"},

		{"number", `1.50`, "", `1.50`, "1.5", ""},
		{"number", `-0`, "", `-0`, "0", ""},
		{"number", `"1"`, "", "", "", "bad_number"},
		{"number", `true`, "", "", "", "bad_number"},
		{"number", `1e999`, "", "", "", "bad_number"},

		{"time", `"2026-03-01T09:30:00+08:00"`, "", `"2026-03-01T01:30:00Z"`, "2026-03-01T01:30:00Z", ""},
		{"time", `"yesterday"`, "", "", "", "bad_time"},

		{"colour", `"red"`, "", "", "", "unknown_format"},
	} {
		got, index, err := vault.Normalize(c.format, json.RawMessage(c.in), c.region)
		if abide.ErrorDetail(err) != c.detail || string(got) != c.want || string(index) != c.index {
			t.Errorf("%s %s (%s):\n got %s, %s, %v\nwant %s, %s, %s", c.format, c.in, c.region, got, index, err, c.want, c.index, c.detail)
		}
	}
}

func TestLargeValuesAreRefused(t *testing.T) {
	big := json.RawMessage(`"` + strings.Repeat("a", 300<<10) + `"`)
	for _, f := range vault.Formats() {
		if _, _, err := vault.Normalize(f, big, ""); abide.ErrorCode(err) != abide.CodeTooLarge {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// For every format and any input: no panic, no value in the error, and what is
// canonical is JSON, stays canonical, and is found by the same index.
func checkNormal(t interface{ Fatalf(string, ...any) }, format string, raw json.RawMessage, region string) {
	canonical, index, err := vault.Normalize(format, raw, region)
	if err != nil {
		// Short texts may happen to be words of the message.
		if text := strings.Trim(string(raw), `" `); len(text) > 6 && strings.Contains(err.Error(), text) {
			t.Fatalf("%s: the error repeats the value: %v", format, err)
		}
		return
	}
	if !json.Valid(canonical) {
		t.Fatalf("%s: %q is not JSON", format, canonical)
	}
	again, index2, err := vault.Normalize(format, canonical, region)
	if err != nil || !bytes.Equal(again, canonical) || !bytes.Equal(index, index2) {
		t.Fatalf("%s: %q became %q, then %q (%v); index %q, then %q", format, raw, canonical, again, err, index, index2)
	}
}

func TestNormalIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := json.Marshal(rapid.String().Draw(t, "s"))
		if err != nil {
			t.Fatal(err)
		}
		format := rapid.SampledFrom(vault.Formats()).Draw(t, "format")
		checkNormal(t, format, s, "HK")
	})
}

func FuzzNormalize(f *testing.F) {
	for _, in := range []string{`"ada@example.test"`, `"+852 5123 4567"`, `{"amount":1,"currency":"EUR"}`, `[1,{"a":2}]`, `"https://a.test/%zz"`, `1e9`} {
		f.Add(in, "HK")
	}
	f.Fuzz(func(t *testing.T, in, region string) {
		for _, format := range vault.Formats() {
			checkNormal(t, format, json.RawMessage(in), region)
		}
	})
}

func TestCoarsen(t *testing.T) {
	at := time.Date(2026, 3, 14, 15, 9, 26, 5, time.FixedZone("HKT", 8*3600)) // 07:09:26 UTC
	for _, c := range []struct{ how, format, in, want, obtained, detail string }{
		{"", "ip", `"203.0.113.9"`, `"203.0.113.9"`, "2026-03-14T07:09:26Z", ""},
		{"network", "ip", `"203.0.113.9"`, `"203.0.113.0/24"`, "2026-03-14T07:09:26Z", ""},
		{"network", "ip", `"2001:db8:1:2::3"`, `"2001:db8:1::/48"`, "2026-03-14T07:09:26Z", ""},
		{"network", "text", `"somewhere"`, "", "", "bad_ip"},
		{"hour", "text", `"/shop"`, `"/shop"`, "2026-03-14T07:00:00Z", ""},
		{"day", "time", `"2026-03-14T15:09:26.5Z"`, `"2026-03-14T00:00:00Z"`, "2026-03-14T00:00:00Z", ""},
		{"hour", "time", `"2026-03-14T15:09:26Z"`, `"2026-03-14T15:00:00Z"`, "2026-03-14T07:00:00Z", ""},
		{"month", "date", `"1990-04-02"`, `"1990-04"`, "2026-03-01T00:00:00Z", ""},
		{"year", "date", `"1990-04-02"`, `"1990"`, "2026-01-01T00:00:00Z", ""},
		{"year", "date", `"1990"`, "", "", "bad_date"},
		{"year", "time", `"x"`, "", "", "bad_time"},
		{"century", "date", `"1990-04-02"`, "", "", "unknown_coarsening"},
	} {
		got, obtained, err := vault.Coarsen(c.how, c.format, json.RawMessage(c.in), at)
		if abide.ErrorDetail(err) != c.detail || string(got) != c.want || c.detail == "" && obtained.UTC().Truncate(time.Second).Format(time.RFC3339) != c.obtained {
			t.Errorf("%s %s %s: got %s, %v, %v", c.how, c.format, c.in, got, obtained, err)
		}
	}
	if _, zero, err := vault.Coarsen("hour", "text", json.RawMessage(`"x"`), time.Time{}); err != nil || !zero.IsZero() {
		t.Errorf("no time of obtaining: %v, %v", zero, err)
	}
}
