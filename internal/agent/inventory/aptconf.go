package inventory

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

const (
	maxConf     = 1 << 20 // bytes of one file of configuration
	maxSettings = 20_000  // settings in one file
	maxNesting  = 64
)

// readAptConf reads apt's configuration as apt does: the files of apt.conf.d in the order of their names, then apt.conf. A
// file that cannot be read as such is a setting "unreadable" of its own. Source: apt.conf(5).
func readAptConf(root string) ([]wire.Setting, error) {
	names, err := confFiles(root, "etc/apt/apt.conf.d", ".conf", "")
	if err != nil {
		return nil, err
	}
	var all []wire.Setting
	for _, name := range append(names, "etc/apt/apt.conf") {
		b, err := readFile(root, name, maxConf)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		file := "/" + filetree.Quote(name)
		settings, ok := parseAptConf(string(b))
		if err != nil || !ok {
			all = append(all, wire.Setting{File: file, Name: "unreadable"})
		}
		for _, s := range settings {
			s.File = file
			all = append(all, s)
		}
	}
	return all, nil
}

// confFiles lists the files of a directory that apt reads, by name: those with one of the endings.
func confFiles(root, dir string, endings ...string) ([]string, error) {
	entries, err := readDir(root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if slices.Contains(endings, filepath.Ext(e.Name())) && !strings.HasPrefix(e.Name(), ".") && len(names) < wire.MaxSources {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	return names, nil
}

// parseAptConf reads settings in their order; names are in lower case. It reports false where the text breaks off or is none
// of apt's, with what was read until there.
func parseAptConf(s string) ([]wire.Setting, bool) {
	var all []wire.Setting
	var scopes []string
	var words []string // of the statement so far: a name, a value
	statement := func(end bool) {
		if len(words) > 0 && end {
			value := ""
			name := strings.ToLower(words[0])
			if len(words) > 1 {
				value = words[1]
			} else if len(scopes) > 0 { // a value in a list
				name, value = "", words[0]
			}
			full := strings.Join(append(slices.Clone(scopes), name), "::")
			all = append(all, wire.Setting{Name: text(full), Value: text(value)})
		}
		words = nil
	}
	for s != "" {
		var token string
		var ok bool
		if token, s, ok = confToken(s); !ok || len(all) > maxSettings {
			return all, false
		}
		switch token {
		case "":
		case ";":
			statement(true)
		case "{":
			if len(words) == 0 || len(scopes) == maxNesting {
				return all, false
			}
			scopes = append(scopes, strings.ToLower(words[0]))
			statement(false)
		case "}":
			statement(true)
			if len(scopes) == 0 {
				return all, false
			}
			scopes = scopes[:len(scopes)-1]
		default:
			words = append(words, strings.TrimPrefix(token, `"`))
		}
	}
	return all, len(scopes) == 0 && len(words) == 0
}

// confToken cuts the next token off: a mark, a word, a text (with one leading quote), or "" for space and comments.
func confToken(s string) (token, rest string, ok bool) {
	switch {
	case strings.HasPrefix(s, "//"), s[0] == '#':
		_, rest, _ = strings.Cut(s, "\n")
		return "", rest, true
	case strings.HasPrefix(s, "/*"):
		_, rest, ok = strings.Cut(s[2:], "*/")
		return "", rest, ok
	case strings.IndexByte(" \t\r\n", s[0]) >= 0:
		return "", s[1:], true
	case strings.IndexByte(";{}", s[0]) >= 0:
		return s[:1], s[1:], true
	case s[0] == '"':
		token, rest, ok = strings.Cut(s[1:], `"`)
		return `"` + token, rest, ok
	}
	i := strings.IndexAny(s, " \t\r\n;{}\"")
	if i < 0 {
		i = len(s)
	}
	return s[:i], s[i:], true
}

// Settings of apt under which something is installed that is old, changed or from anyone, with the value that does that.
// Source: apt.conf(5), apt-secure(8).
var loose = map[string]bool{
	"acquire::check-valid-until": false, "acquire::check-date": false, "acquire::allowinsecurerepositories": true,
	"acquire::allowweakrepositories": true, "acquire::allowdowngradetoinsecurerepositories": true,
	"apt::get::allowunauthenticated": true, "aptitude::cmdline::ignore-trust-violations": true,
}

func looseSettings(all []wire.Setting) []wire.Setting {
	var out []wire.Setting
	for _, s := range all {
		bad, known := loose[s.Name]
		verify := strings.HasPrefix(s.Name, "acquire::https::") && (strings.HasSuffix(s.Name, "::verify-peer") || strings.HasSuffix(s.Name, "::verify-host"))
		own := strings.HasPrefix(s.Name, "acquire::") && strings.HasSuffix(s.Name, "::check-valid-until")
		if s.Name == "unreadable" || known && isTrue(s.Value) == bad || (verify || own) && !known && !isTrue(s.Value) {
			out = append(out, s)
		}
	}
	return out
}

// isTrue reads one of apt's truth values; what is none counts as false.
func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "1", "yes", "true", "with", "on", "enable":
		return true
	}
	return false
}

// updates tells what the root does about updates by itself: apt's periodic job with unattended-upgrades, or dnf-automatic. Of
// settings given twice the last counts, as with apt.
func updates(root string, apt []wire.Setting) wire.Updates {
	var u wire.Updates
	last := map[string]string{}
	for _, s := range apt {
		if strings.HasPrefix(s.Name, "apt::periodic::") || strings.HasPrefix(s.Name, "unattended-upgrade::") {
			u.Settings = append(u.Settings, s)
			last[s.Name] = s.Value
		}
	}
	every := last["apt::periodic::unattended-upgrade"]
	enabled := last["apt::periodic::enable"] != "0"
	_, err := stat(root, "usr/bin/unattended-upgrade")
	u.Installs = err == nil && enabled && every != "" && every != "0"
	for _, s := range dnfAutomatic(root) {
		u.Settings = append(u.Settings, s)
		u.Installs = u.Installs || s.Name == "apply_updates" && isTrue(s.Value)
	}
	u.Settings = most(u.Settings)
	return u
}
