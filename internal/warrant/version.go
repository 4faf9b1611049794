package warrant

import "strings"

// versionKey gives a string whose byte order is dpkg's order of versions. Source: deb-version(7).
func versionKey(v string) string {
	epoch, rest, ok := strings.Cut(v, ":")
	if !ok {
		epoch, rest = "0", v
	}
	upstream, revision := rest, "0"
	if i := strings.LastIndexByte(rest, '-'); i >= 0 {
		upstream, revision = rest[:i], rest[i+1:]
	}
	return partKey(epoch) + partKey(upstream) + partKey(revision)
}

// partKey writes runs of other characters and numbers in turn. In a run a tilde (1) is before the run's end (2), that is
// before letters, those before all others. A number is its length and its digits, without leading zeros.
func partKey(part string) string {
	const digits = "0123456789"
	var b []byte
	for first := true; first || part != ""; first = false {
		for ; part != "" && !strings.ContainsRune(digits, rune(part[0])); part = part[1:] {
			switch c := part[0]; {
			case c == '~':
				b = append(b, 1)
			case 'a' <= c|0x20 && c|0x20 <= 'z':
				b = append(b, c)
			default:
				b = append(b, c|0x80)
			}
		}
		rest := strings.TrimLeft(part, digits)
		number := strings.TrimLeft(part[:len(part)-len(rest)], "0")
		b, part = append(append(b, 2, byte(len(number))), number...), rest
	}
	return string(append(b, 2))
}
