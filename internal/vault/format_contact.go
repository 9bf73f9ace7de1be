package vault

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// fold is the form in which values that differ only in case, or in how
// Unicode writes them, are equal.
func fold(s string) string { return norm.NFC.String(cases.Fold().String(norm.NFKC.String(s))) }

// normalEmail accepts one address of RFC 5321, section 4.1.2, with the UTF-8
// of RFC 6531, but no quoted local part and no address literal. It is stored as
// written, its domain in lower case; it is found whatever its case.
func normalEmail(s, _ string) (string, string, error) {
	bad := invalid("bad_email", "this is not an e-mail address", "send one address such as name@example.com, without a display name")
	s = norm.NFC.String(s)
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > 64 || len(s) > 254 {
		return "", "", bad
	}
	local, domain := s[:at], strings.ToLower(s[at+1:])
	if !dotAtom(local) || !domainName(domain) {
		return "", "", bad
	}
	return local + "@" + domain, fold(local + "@" + domain), nil
}

func dotAtom(s string) bool {
	for _, part := range strings.Split(s, ".") {
		if part == "" {
			return false
		}
		for _, r := range part {
			if r <= unicode.MaxASCII && !isAtext(byte(r)) || unicode.IsSpace(r) || unicode.IsControl(r) {
				return false
			}
		}
	}
	return true
}

// isAtext is RFC 5322, section 3.2.3.
func isAtext(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// domainName accepts host names of at least two labels (RFC 1123, section
// 2.1), with letters and digits of any script.
func domainName(s string) bool {
	labels := strings.Split(s, ".")
	if len(labels) < 2 || len(s) > 253 {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, r := range l {
			if r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
				return false
			}
		}
	}
	return strings.IndexFunc(labels[len(labels)-1], unicode.IsLetter) >= 0
}

// normalPhone brings a number into E.164. It asks whether the number is
// possible, not whether it is known to be assigned: numbering plans change
// faster than any table, and refusing a person's real number is worse than
// keeping one that nobody answers.
func normalPhone(s, region string) (string, string, error) {
	bad := invalid("bad_phone", "this is not a telephone number", "write it with its country code: +852 …")
	if len(region) > 2 && region[2] == '-' {
		region = region[:2] // US-CA
	}
	if len(region) != 2 {
		region = phonenumbers.UNKNOWN_REGION
	}
	n, err := phonenumbers.Parse(s, strings.ToUpper(region))
	if err != nil || !phonenumbers.IsPossibleNumber(n) || n.GetExtension() != "" {
		return "", "", bad
	}
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	return e164, e164, nil
}

func normalIP(s, _ string) (string, string, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return "", "", invalid("bad_ip", "this is not an IP address", "send one IPv4 or IPv6 address, without port or zone")
	}
	a = a.Unmap()
	return a.String(), a.String(), nil
}

func normalURL(s, _ string) (string, string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", "", invalid("bad_url", "this is not a web address", "send an address that begins with https://, without user name or password")
	}
	u.Host = strings.ToLower(u.Host)
	return u.String(), u.String(), nil
}

// normalIMEI accepts the 15 digits of 3GPP TS 23.003, section 6.2.1; the last
// is a check digit (Luhn).
func normalIMEI(s, _ string) (string, string, error) {
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -/", r) {
			return -1
		}
		return r
	}, s)
	sum := 0
	for i := range len(digits) {
		d := int(digits[i]) - '0'
		if d < 0 || d > 9 {
			sum = -1
			break
		}
		if i%2 == 1 {
			d = d*2/10 + d*2%10
		}
		sum += d
	}
	if len(digits) != 15 || sum < 0 || sum%10 != 0 {
		return "", "", invalid("bad_imei", "this is not an IMEI", "send its 15 digits; the last one is a check digit")
	}
	return digits, digits, nil
}
