// Package deb reads what Debian writes: versions and their order, control stanzas, dpkg's status, package indexes, relations
// between packages, and the contents of .deb files. Every parser is bounded and never runs anything.
package deb

import (
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// MaxVersion is the longest version accepted, in bytes. The longest in Debian's archive has 52.
const MaxVersion = 255

// Compare orders two versions as dpkg does: negative when a is older than b, zero when they are equal, positive when a is
// newer. It does not allocate. For strings that ValidVersion refuses the order is still total, but means nothing.
// Rule: deb-version(7), "Sorting algorithm".
func Compare(a, b string) int {
	if a == b {
		return 0
	}
	aEpoch, aUpstream, aRevision := splitVersion(a)
	bEpoch, bUpstream, bRevision := splitVersion(b)
	if c := compareText(aEpoch, bEpoch); c != 0 {
		return c
	}
	if c := compareText(aUpstream, bUpstream); c != 0 {
		return c
	}
	return compareText(aRevision, bRevision)
}

// splitVersion cuts [epoch:]upstream[-revision]: the epoch ends at the first colon, the revision begins after the last hyphen.
func splitVersion(v string) (epoch, upstream, revision string) {
	if i := strings.IndexByte(v, ':'); i >= 0 {
		epoch, v = v[:i], v[i+1:]
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		v, revision = v[:i], v[i+1:]
	}
	return epoch, v, revision
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// Ranks of what may stand where text is expected: "~" before the end of the text, the end before letters, letters before
// the rest.
const (
	rankTilde = 0x01
	rankEnd   = 0x02
	rankOther = 0x80
)

func rank(c byte) byte {
	switch {
	case c == '~':
		return rankTilde
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		return c
	default:
		return c | rankOther
	}
}

// compareText compares one part of two versions: text, number, text, number … until both end.
func compareText(a, b string) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	for i > 0 && isDigit(a[i-1]) { // a number is compared whole
		i--
	}
	a, b = a[i:], b[i:]
	for a != "" || b != "" {
		for a != "" && !isDigit(a[0]) || b != "" && !isDigit(b[0]) {
			ra, rb := byte(rankEnd), byte(rankEnd)
			if a != "" && !isDigit(a[0]) {
				ra, a = rank(a[0]), a[1:]
			}
			if b != "" && !isDigit(b[0]) {
				rb, b = rank(b[0]), b[1:]
			}
			if ra != rb {
				return int(ra) - int(rb)
			}
		}
		var na, nb string
		na, a = cutNumber(a)
		nb, b = cutNumber(b)
		if len(na) != len(nb) {
			return len(na) - len(nb)
		}
		if c := strings.Compare(na, nb); c != 0 {
			return c
		}
	}
	return 0
}

// cutNumber cuts the leading digits off s and gives them without leading zeros.
func cutNumber(s string) (number, rest string) {
	for s != "" && s[0] == '0' {
		s = s[1:]
	}
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// Key gives bytes whose order under bytes.Compare (and a database's binary order) is dpkg's order of versions; equal
// versions such as "1.0" and "0:1.0-0" have equal keys. It fails where ValidVersion does.
//
// Form: epoch, upstream and revision one after the other; a number is its length in one byte and its digits; text is its
// ranks and rankEnd; a part alternates text and number, begins with text and ends with an empty text.
func Key(v string) ([]byte, error) {
	if err := ValidVersion(v); err != nil {
		return nil, err
	}
	epoch, upstream, revision := splitVersion(v)
	key := make([]byte, 0, len(v)+16)
	number, _ := cutNumber(epoch)
	key = appendNumber(key, number)
	key = appendText(key, upstream)
	return appendText(key, revision), nil
}

func appendText(key []byte, s string) []byte {
	for {
		for s != "" && !isDigit(s[0]) {
			key = append(key, rank(s[0]))
			s = s[1:]
		}
		var number string
		number, s = cutNumber(s)
		key = appendNumber(append(key, rankEnd), number)
		if s == "" {
			return append(key, rankEnd)
		}
	}
}

func appendNumber(key []byte, number string) []byte {
	return append(append(key, byte(len(number))), number...)
}

// ValidVersion refuses what dpkg cannot read as a version: empty parts, a non-numeric or huge epoch, characters outside
// deb-version(7); and more than MaxVersion bytes.
func ValidVersion(v string) error {
	if len(v) > MaxVersion {
		return fault.New(fault.Invalid, "version of %d bytes: at most %d are accepted", len(v), MaxVersion)
	}
	epoch, upstream, revision := splitVersion(v)
	if i := strings.IndexByte(v, ':'); i >= 0 {
		if number, rest := cutNumber(epoch); epoch == "" || rest != "" || len(number) > 9 {
			return fault.New(fault.Invalid, "version %q: the epoch before the colon is not a number below 1,000,000,000", v)
		}
		v = v[i+1:]
	}
	if upstream == "" || strings.HasSuffix(v, "-") {
		return fault.New(fault.Invalid, "version %q has an empty upstream version or revision", v)
	}
	if !onlyVersionBytes(upstream, "+-.:~") || !onlyVersionBytes(revision, "+.~") {
		return fault.New(fault.Invalid, "version %q holds characters that no Debian version has", v)
	}
	return nil
}

func onlyVersionBytes(s, marks string) bool {
	for i := range len(s) {
		c := s[i]
		if !isDigit(c) && (c < 'a' || 'z' < c) && (c < 'A' || 'Z' < c) && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return true
}
