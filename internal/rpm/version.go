// Package rpm reads what rpm writes: versions and their order, and the list of installed packages. Every parser is bounded.
package rpm

import (
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// MaxVersion is the longest version accepted, in bytes.
const MaxVersion = 255

// Compare orders two versions of the form [epoch:]version-release as rpm does: negative when a is older than b, zero when
// they are equal, positive when a is newer. For strings that ValidVersion refuses the order is still total, but means
// nothing. Rule: rpm-version(7) and rpmvercmp.
func Compare(a, b string) int {
	if a == b {
		return 0
	}
	aEpoch, aVersion, aRelease := splitVersion(a)
	bEpoch, bVersion, bRelease := splitVersion(b)
	if c := compareNumbers(aEpoch, bEpoch); c != 0 {
		return c
	}
	if c := compareText(aVersion, bVersion); c != 0 {
		return c
	}
	return compareText(aRelease, bRelease)
}

// splitVersion cuts [epoch:]version-release: the epoch ends at the first colon, the release begins after the last hyphen.
func splitVersion(v string) (epoch, version, release string) {
	if i := strings.IndexByte(v, ':'); i >= 0 {
		epoch, v = v[:i], v[i+1:]
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		v, release = v[:i], v[i+1:]
	}
	return epoch, v, release
}

// Kinds of the pieces of a version, in their order: "~" is before the end, "^" just after it, numbers are after letters.
const (
	tilde byte = iota + 1
	end
	caret
	letters
	number
)

// next cuts the first piece off s; what is neither letter, digit nor mark only separates. Numbers come without leading
// zeros.
func next(s string) (kind byte, piece, rest string) {
	for s != "" && !isDigit(s[0]) && !isLetter(s[0]) && s[0] != '~' && s[0] != '^' {
		s = s[1:]
	}
	switch {
	case s == "":
		return end, "", ""
	case s[0] == '~':
		return tilde, "", s[1:]
	case s[0] == '^':
		return caret, "", s[1:]
	}
	kind, of := letters, isLetter
	if isDigit(s[0]) {
		kind, of = number, isDigit
	}
	i := 1
	for i < len(s) && of(s[i]) {
		i++
	}
	piece, rest = s[:i], s[i:]
	if kind == number {
		piece = strings.TrimLeft(piece, "0")
	}
	return kind, piece, rest
}

func compareText(a, b string) int {
	for {
		var ka, kb byte
		var pa, pb string
		ka, pa, a = next(a)
		kb, pb, b = next(b)
		if ka != kb {
			return int(ka) - int(kb)
		}
		c := strings.Compare(pa, pb)
		if ka == number {
			c = compareNumbers(pa, pb)
		}
		if c != 0 || ka == end {
			return c
		}
	}
}

func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// Key gives bytes whose order under bytes.Compare (and a database's binary order) is rpm's order of versions; equal versions
// such as "1.0-1" and "0:1..0-01" have equal keys. It fails where ValidVersion does.
//
// Form: epoch, version and release one after the other; a number is its length in one byte and its digits; a part is its
// pieces, each its kind and then, of letters, themselves and a zero byte, of a number, the number; and the kind end.
func Key(v string) ([]byte, error) {
	if err := ValidVersion(v); err != nil {
		return nil, err
	}
	epoch, version, release := splitVersion(v)
	key := make([]byte, 0, 2*len(v)+8)
	key = appendNumber(key, strings.TrimLeft(epoch, "0"))
	key = appendText(key, version)
	return appendText(key, release), nil
}

func appendText(key []byte, s string) []byte {
	for {
		var kind byte
		var piece string
		kind, piece, s = next(s)
		key = append(key, kind)
		switch kind {
		case end:
			return key
		case letters:
			key = append(append(key, piece...), 0)
		case number:
			key = appendNumber(key, piece)
		}
	}
}

func appendNumber(key []byte, digits string) []byte {
	return append(append(key, byte(len(digits))), digits...)
}

// ValidVersion refuses what is no [epoch:]version-release: empty parts, an epoch that is no number below 2³², bytes that are
// not printable ASCII; and more than MaxVersion bytes.
func ValidVersion(v string) error {
	if len(v) > MaxVersion {
		return fault.New(fault.Invalid, "version of %d bytes: at most %d are accepted", len(v), MaxVersion)
	}
	epoch, version, release := splitVersion(v)
	if strings.IndexByte(v, ':') >= 0 {
		if digits := strings.TrimLeft(epoch, "0"); epoch == "" || strings.Trim(epoch, "0123456789") != "" || compareNumbers(digits, "4294967295") > 0 {
			return fault.New(fault.Invalid, "version %q: the epoch before the colon is not a number below 2^32", v)
		}
	}
	if !validPart(version) || !validPart(release) {
		return fault.New(fault.Invalid, "version %q is not of the form [epoch:]version-release", v)
	}
	return nil
}

// validPart reports whether s can be a version or a release.
func validPart(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '-' || c == ':' || c == '/' {
			return false
		}
	}
	return s != ""
}

// ValidName reports whether s can be a package's name or architecture: printable ASCII without "/".
func ValidName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '/' {
			return false
		}
	}
	return s != "" && len(s) <= 255 && s[0] != '-' && s[0] != '.'
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
