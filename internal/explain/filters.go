package explain

import (
	"path"
	"strconv"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

// readConfig takes path filters from a dpkg configuration file.
func (p *predictor) readConfig(b []byte) {
	for line := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			key, value, ok = strings.Cut(strings.TrimSpace(line), " ")
		}
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"'`)
		if ok && (key == "path-exclude" || key == "path-include") {
			p.filters = append(p.filters, filter{key == "path-include", value})
		}
	}
}

// excluded applies rule P7: the last matching filter decides; an excluded directory is still made if it could hold an
// included path, so directories are left to what is observed. Source: dpkg(1), --path-exclude.
func (p *predictor) excluded(f Shipped) bool {
	raw, _ := filetree.Unquote(f.Path)
	out := false
	for _, filter := range p.filters {
		if fnmatch(filter.glob, raw) {
			out = !filter.include
		}
	}
	return out
}

// fnmatch is fnmatch(3) without flags: unlike in path.Match, "*" and "?" take slashes too. Patterns with brackets match
// only as path.Match has it.
func fnmatch(glob, name string) bool {
	if strings.Contains(glob, "[") {
		ok, _ := path.Match(glob, name)
		return ok
	}
	star, mark := -1, 0
	g, n := 0, 0
	for n < len(name) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, mark = g, n
			g++
		case g < len(glob) && (glob[g] == '?' || glob[g] == name[n]):
			g, n = g+1, n+1
		case star >= 0:
			mark++
			g, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}

func octal(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 8, 12)
	return uint32(n), err == nil
}
