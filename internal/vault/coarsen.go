package vault

import (
	"encoding/json"
	"net/netip"
	"time"

	abide "github.com/abide-privacy/abide"
)

// Coarsen leaves of a canonical value, and of the time it was obtained, what
// the policy says may be kept. It happens before sealing: what is dropped was
// never stored.
//
//	network  an IP address becomes its /24 (IPv4) or /48 (IPv6)
//	hour     a time is cut to its hour, the time of obtaining too
//	day, month, year  a date or time is cut to it, the time of obtaining too
//
// For values that are no times, such as visited pages, the latter cut the time
// of obtaining only.
func Coarsen(how, format string, canonical json.RawMessage, obtained time.Time) (json.RawMessage, time.Time, error) {
	switch how {
	case "":
		return canonical, obtained, nil
	case "network":
		out, err := network(canonical)
		return out, obtained, err
	case "hour", "day", "month", "year":
	default:
		return nil, time.Time{}, invalid("unknown_coarsening", "the policy coarsens in a way that this version does not know", "use network, hour, day, month or year")
	}
	switch format {
	case "date", "time":
		out, err := cutValue(how, format, canonical)
		return out, cut(how, obtained), err
	}
	return canonical, cut(how, obtained), nil
}

func network(canonical json.RawMessage) (json.RawMessage, error) {
	var s string
	if json.Unmarshal(canonical, &s) == nil {
		if a, err := netip.ParseAddr(s); err == nil {
			bits := 48
			if a.Is4() {
				bits = 24
			}
			if p, err := a.Prefix(bits); err == nil {
				return quote(p.String()), nil
			}
		}
	}
	return nil, invalid("bad_ip", "only an IP address can be coarsened to its network", "give the category the format ip")
}

func cutValue(how, format string, canonical json.RawMessage) (json.RawMessage, error) {
	var s string
	if err := json.Unmarshal(canonical, &s); err != nil {
		return nil, invalid("bad_"+format, "the value is not in its canonical form", "normalise it first")
	}
	if format == "date" {
		if _, err := abide.ParseDate(s); err != nil {
			return nil, err
		}
		n := map[string]int{"hour": 10, "day": 10, "month": 7, "year": 4}[how]
		return quote(s[:n]), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return nil, invalid("bad_time", "the value is not in its canonical form", "normalise it first")
	}
	return quote(cut(how, t).Format(time.RFC3339)), nil
}

func cut(how string, t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	t = t.UTC()
	switch how {
	case "hour":
		return t.Truncate(time.Hour)
	case "day":
		return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	case "month":
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
}
