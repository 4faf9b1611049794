package warrant

import "strings"

// compareVersions orders Debian versions as dpkg does: negative when a is older than b. It stands here because what the
// executor links is counted. Source: deb-version(7).
func compareVersions(a, b string) int {
	epochA, restA := epoch(a)
	epochB, restB := epoch(b)
	if c := comparePart(epochA, epochB); c != 0 {
		return c
	}
	upstreamA, revisionA := revision(restA)
	upstreamB, revisionB := revision(restB)
	if c := comparePart(upstreamA, upstreamB); c != 0 {
		return c
	}
	return comparePart(revisionA, revisionB)
}

func epoch(v string) (string, string) {
	if e, rest, ok := strings.Cut(v, ":"); ok {
		return e, rest
	}
	return "0", v
}

func revision(v string) (string, string) {
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return v[:i], v[i+1:]
	}
	return v, "0"
}

// comparePart compares runs of other characters by rank and runs of digits by value, in turn.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !digit(a[0]) || b != "" && !digit(b[0]) {
			if c := rank(a) - rank(b); c != 0 {
				return c
			}
			a, b = a[1:], b[1:]
		}
		var x, y string
		x, a = number(a)
		y, b = number(b)
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// rank of the first character: tilde before the end and digits, then letters, then all others.
func rank(s string) int {
	switch {
	case s == "" || digit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case 'a' <= s[0]|0x20 && s[0]|0x20 <= 'z':
		return int(s[0])
	}
	return int(s[0]) + 256
}

// number cuts the leading digits off, without leading zeros.
func number(s string) (string, string) {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	return strings.TrimLeft(s[:n], "0"), s[n:]
}
