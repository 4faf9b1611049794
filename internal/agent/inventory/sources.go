package inventory

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

const maxSources = 1 << 20 // bytes of one file of package sources

// readSources lists the package sources under root with the keys they trust, as apt reads them: sources.list, then the
// .list and .sources files of sources.list.d in the order of their names. Source: sources.list(5).
func readSources(root string) ([]wire.Source, error) {
	names := []string{"etc/apt/sources.list"}
	entries, err := readDir(root, "etc/apt/sources.list.d")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		names = append(names, "etc/apt/sources.list.d/"+e.Name())
	}
	all := []wire.Source{}
	for _, name := range names {
		if len(all) >= wire.MaxSources {
			break
		}
		parse := parseList
		switch filepath.Ext(name) {
		case ".list":
		case ".sources":
			parse = parseSources
		default:
			continue
		}
		b, err := readFile(root, name, maxSources)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var sources []wire.Source
		if err == nil {
			sources, err = parse(b)
		}
		if err != nil { // apt cannot read it either; a host with a broken file is still heard
			sources = []wire.Source{{Options: []string{"unreadable"}}}
		}
		for _, s := range sources {
			s.File = "/" + name
			all = append(all, s)
		}
	}
	return all, nil
}

// parseList reads one-line style: "deb [ option=value … ] uri suite [component …]".
func parseList(b []byte) ([]wire.Source, error) {
	var all []wire.Source
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line = strings.TrimSpace(strings.ReplaceAll(line, "\t", " "))
		kind, rest, _ := strings.Cut(line, " ")
		if kind != "deb" && kind != "deb-src" {
			continue
		}
		s := wire.Source{Types: []string{kind}}
		rest = strings.TrimSpace(rest)
		if inner, ok := strings.CutPrefix(rest, "["); ok {
			var options string
			options, rest, _ = strings.Cut(inner, "]")
			for _, o := range strings.Fields(options) {
				option(&s, o)
			}
		}
		words := strings.Fields(rest)
		if len(words) < 2 {
			continue // apt ignores the whole file; nothing is trusted by such a line
		}
		s.URIs, s.Suites, s.Components = []string{bare(words[0])}, words[1:2], words[2:]
		all = append(all, s)
	}
	return all, nil
}

// parseSources reads deb822 style, in which lines that begin with # are comments.
func parseSources(b []byte) ([]wire.Source, error) {
	var kept bytes.Buffer
	for line := range bytes.Lines(b) {
		if line[0] != '#' {
			kept.Write(line)
		}
	}
	var all []wire.Source
	for r := deb.NewReader(&kept); ; {
		stanza, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if strings.EqualFold(stanza.Get("Enabled"), "no") {
			continue
		}
		s := wire.Source{Types: strings.Fields(stanza.Get("Types")), Suites: strings.Fields(stanza.Get("Suites")),
			Components: strings.Fields(stanza.Get("Components"))}
		for _, u := range strings.Fields(stanza.Get("URIs")) {
			s.URIs = append(s.URIs, bare(u))
		}
		for _, name := range []string{"Signed-By", "Trusted", "Check-Valid-Until", "Check-Date", "Allow-Insecure", "Allow-Weak", "Allow-Downgrade-To-Insecure"} {
			if v := stanza.Get(name); v != "" {
				option(&s, strings.ToLower(name)+"="+v)
			}
		}
		all = append(all, s)
	}
}

// option takes over one option; those that say nothing about trust (arch, lang, pdiffs …) are left out.
func option(s *wire.Source, o string) {
	name, value, _ := strings.Cut(o, "=")
	switch strings.TrimSuffix(strings.TrimSuffix(name, "+"), "-") {
	case "signed-by":
		s.SignedBy = value
		if strings.Contains(value, "BEGIN PGP") {
			s.SignedBy = "inline"
		}
	case "trusted", "check-valid-until", "check-date", "allow-insecure", "allow-weak", "allow-downgrade-to-insecure":
		s.Options = append(s.Options, o)
	}
}

// bare is a source's address without the user and password that may stand in it.
func bare(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}
