package explain

import (
	"bytes"
	"cmp"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/xi2/xz"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

// stanzas splits a file of "Field: value" paragraphs, by the values of the given fields joined with ":".
func stanzas(b []byte, fields ...string) map[string]string {
	out := map[string]string{}
	for text := range strings.SplitSeq(string(b), "\n\n") {
		if text = strings.Trim(text, "\n"); text == "" {
			continue
		}
		var key []string
		for _, f := range fields {
			key = append(key, field(text, f))
		}
		out[strings.Join(key, ":")] = text
	}
	return out
}

// field gives the first line of a field of a paragraph.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// without removes fields of one line from a paragraph.
func without(text string, names ...string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, ":")
		if !slices.Contains(names, name) {
			b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	return b.String()
}

// both gives the content of a file before and after; before is empty if it was not there.
func (s *scene) both(path string) (was, is []byte, why string) {
	is, why = s.told(path)
	if e := s.wasAt(path); why == "" && e != nil && e.Size > 0 {
		if was = proven(s.before, path, s.wasAt); was == nil {
			why = "the host did not tell its content before"
		}
	}
	return was, is, why
}

// statusBook: the stanzas of exactly the planned packages have changed, to the planned versions (rule P12).
func statusBook(s *scene, c filetree.Change) string {
	before, after, why := s.both(c.Path)
	if why != "" {
		return why
	}
	was, is := stanzas(before, "Package", "Architecture"), stanzas(after, "Package", "Architecture")
	for key, text := range is {
		name, _, _ := strings.Cut(key, ":")
		if a, ok := s.planned(name); ok && key == a.Name+":"+a.Arch {
			removed := a.Do == "remove" && field(text, "Status") == "deinstall ok config-files"
			if !removed && (a.Do == "remove" || field(text, "Status") != "install ok installed" || field(text, "Version") != a.To) {
				return "has " + key + " not as planned: " + field(text, "Status") + " " + field(text, "Version")
			}
		} else if was[key] != text {
			return "has another entry for " + key
		}
	}
	for key := range was {
		name, _, _ := strings.Cut(key, ":")
		if _, ok := s.planned(name); !ok && is[key] == "" {
			return "has lost its entry for " + key
		}
	}
	return ""
}

// statusOldBook: a state between before and after; packages outside the plan differ at most in pending triggers.
func statusOldBook(s *scene, c filetree.Change) string {
	between, why := s.told(c.Path)
	if why != "" {
		return why
	}
	was := stanzas(proven(s.before, "/var/lib/dpkg/status", s.wasAt), "Package", "Architecture")
	for key, text := range stanzas(between, "Package", "Architecture") {
		name, _, _ := strings.Cut(key, ":")
		version := field(text, "Version")
		if a, ok := s.planned(name); ok {
			if version != a.From && version != a.To && version != "" {
				return "has an unplanned version of " + key
			}
			continue
		}
		passing := []string{"Status", "Triggers-Pending", "Triggers-Awaited"}
		if without(text, passing...) != without(was[key], passing...) {
			return "has another entry for " + key
		}
	}
	return ""
}

// triggersBook: only lines about planned packages have come or gone, and nothing is left to do.
func triggersBook(s *scene, c filetree.Change) string {
	before, after, why := s.both(c.Path)
	if why != "" {
		return why
	}
	if strings.HasSuffix(c.Path, "/Unincorp") && len(after) > 0 {
		return "has triggers left to do"
	}
	was, is := strings.Split(string(before), "\n"), strings.Split(string(after), "\n")
	for _, line := range append(slices.Clone(was), is...) {
		if slices.Contains(was, line) && slices.Contains(is, line) || line == "" {
			continue
		}
		_, last, _ := strings.Cut(line, " ") // "PATH PACKAGE" in the file of paths
		name, _, _ := strings.Cut(strings.TrimSuffix(cmp.Or(last, line), "/noawait"), ":")
		if _, ok := s.planned(name); !ok {
			return "has another line for " + name
		}
	}
	return ""
}

// added gives what a log has gained; the log must begin with all it was before.
func (s *scene) added(c filetree.Change) (string, string) {
	b, why := s.told(c.Path)
	if why != "" {
		return "", why
	}
	if c.Before == nil {
		return string(b), ""
	}
	if n := c.Before.Size; n > int64(len(b)) || envelope.Digest(b[:n]) != c.Before.SHA256 {
		return "", "does not begin with what it was before"
	}
	return string(b[c.Before.Size:]), ""
}

var dpkgLine = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?:` +
	`(startup) (?:archives|packages) [a-z-]+|(conffile) /\S.* (?:keep|install|remove)|` +
	`(status) ([a-z-]+) ([a-z0-9.+-]+):(\S+) (\S+)|` +
	`(install|upgrade|configure|trigproc|disappear|remove|purge) ([a-z0-9.+-]+):(\S+) (\S+) (\S+))$`)

// dpkgLog: the log has grown by what dpkg did to the planned packages, and by triggers of others.
func dpkgLog(s *scene, c filetree.Change) string {
	text, why := s.added(c)
	if why != "" {
		return why
	}
	done := map[string]bool{}
	for line := range strings.Lines(text) {
		m := dpkgLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			return "has a line that dpkg does not write"
		}
		verb, name := m[3]+m[8], m[5]+m[9]
		a, ok := s.planned(name)
		passing := verb == "trigproc" || verb == "status" && slices.Contains([]string{"installed", "half-configured", "triggers-pending", "triggers-awaited"}, m[4])
		if name == "" || !ok && passing {
			continue
		}
		if !ok {
			return "says that dpkg had to do with " + name
		}
		for _, version := range []string{m[7], m[11], m[12]} {
			if version != "" && version != a.From && version != a.To && version != "<none>" {
				return "names another version of " + name
			}
		}
		if verb == "install" || verb == "upgrade" || verb == "remove" {
			done[name] = true
		}
	}
	for _, a := range s.actions {
		if !done[a.Name] {
			return "does not tell of " + a.Name
		}
	}
	return ""
}

func alternativesLog(s *scene, c filetree.Change) string {
	text, why := s.added(c)
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "update-alternatives ") {
			return "has a line that update-alternatives does not write"
		}
	}
	return why
}

var historyItem = regexp.MustCompile(`([a-z0-9.+-]+):[a-z0-9-]+ \(([^()]*)\)`)

// aptHistory: the log has grown by runs that did exactly what was planned.
func aptHistory(s *scene, c filetree.Change) string {
	text, why := s.added(c)
	if why != "" {
		return why
	}
	done := map[string]bool{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "", "Start-Date", "End-Date", "Commandline", "Requested-By":
		case "Install", "Upgrade", "Downgrade", "Remove", "Purge", "Reinstall":
			for _, m := range historyItem.FindAllStringSubmatch(value, -1) {
				versions := strings.Split(strings.TrimSuffix(m[2], ", automatic"), ", ")
				a, ok := s.planned(m[1])
				if last := versions[len(versions)-1]; !ok || last != a.To && a.Do != "remove" {
					return "tells of " + m[1] + " in another version than planned"
				}
				done[m[1]] = true
			}
			if rest := strings.Trim(historyItem.ReplaceAllString(value, ""), ", "); rest != "" {
				return "has a list of packages that apt does not write"
			}
		default:
			return "has a field that apt does not write"
		}
	}
	for _, a := range s.actions {
		if !done[a.Name] {
			return "does not tell of " + a.Name
		}
	}
	return ""
}

// aptTerminal: the log has grown by sessions with their beginning and end.
func aptTerminal(s *scene, c filetree.Change) string {
	text, why := s.added(c)
	if why != "" {
		return why
	}
	text = strings.TrimLeft(text, "\n")
	if !strings.HasPrefix(text, "Log started: ") || !strings.Contains(text, "\nLog ended: ") || strings.ContainsRune(text, 0) {
		return "is no terminal log of apt"
	}
	return ""
}

const maxPlanner = 64 << 20

// aptPlanner: apt's question to its planner, about planned packages only.
func aptPlanner(s *scene, c filetree.Change) string {
	packed, why := s.told(c.Path)
	if why != "" {
		return why
	}
	r, err := xz.NewReader(bytes.NewReader(packed), 64<<20)
	if err != nil {
		return "is no xz file"
	}
	b, err := io.ReadAll(io.LimitReader(r, maxPlanner+1))
	if err != nil || len(b) > maxPlanner {
		return "is no xz file of a fit size"
	}
	request, _, _ := strings.Cut(string(b), "\n\n")
	if !strings.HasPrefix(field(request, "Request"), "EIPP ") {
		return "is no planner request"
	}
	for _, verb := range []string{"Install", "Remove", "ReInstall"} {
		for word := range strings.FieldsSeq(field(request, verb)) {
			name, _, _ := strings.Cut(word, ":")
			if _, ok := s.planned(name); !ok {
				return "asks about " + name
			}
		}
	}
	return ""
}

// aptCache: apt's memory image of its indexes, by the signature at its start. Source: apt, pkgcache.h. apt makes it anew
// whenever an index is younger, so its content is not compared.
func aptCache(s *scene, c filetree.Change) string {
	if !bytes.HasPrefix(s.head(c.Path), []byte{0xdc, 0x76, 0xfe, 0x98}) {
		return "is no cache of apt"
	}
	return ""
}

func aptStates(s *scene, c filetree.Change) string {
	before, after, why := s.both(c.Path)
	if why != "" {
		return why
	}
	return s.onlyPlanned(stanzas(before, "Package", "Architecture"), stanzas(after, "Package", "Architecture"), func(key, _ string) []string {
		name, _, _ := strings.Cut(key, ":")
		return []string{name}
	})
}

// onlyPlanned compares paragraphs: those that differ must belong to a planned package.
func (s *scene) onlyPlanned(was, is map[string]string, owners func(key, text string) []string) string {
	for _, side := range []map[string]string{was, is} {
		for key, text := range side {
			if was[key] == is[key] {
				continue
			}
			if !slices.ContainsFunc(owners(key, text), func(name string) bool { _, ok := s.planned(name); return ok }) {
				return "has another entry for " + key
			}
		}
	}
	return ""
}

func aptArchive(s *scene, c filetree.Change) string {
	for _, a := range s.actions {
		if a.SHA256 == c.After.SHA256 {
			return ""
		}
	}
	return "is no package of the plan"
}

// debconfBook: only questions and templates that planned packages own have changed since the transaction began.
func debconfBook(s *scene, c filetree.Change) string {
	current := strings.TrimSuffix(c.Path, "-old")
	if current != c.Path && formerly(current)(s, c) == "" {
		return ""
	}
	is, why := s.told(c.Path)
	was := proven(s.before, current, s.wasAt)
	if why != "" || was == nil {
		return "the host did not tell its content before and after"
	}
	return s.onlyPlanned(stanzas(was, "Name"), stanzas(is, "Name"), func(_, text string) (owners []string) {
		for owner := range strings.SplitSeq(field(text, "Owners"), ", ") { // of a question a package, of a template "package/question"
			name, _, _ := strings.Cut(owner, "/")
			owners = append(owners, name)
		}
		return owners
	})
}
