package inventory

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// section is one section of an ini file: its name and its settings in their order.
type section struct {
	name     string
	settings [][2]string
}

func (s section) get(name string) string {
	for _, v := range slices.Backward(s.settings) {
		if v[0] == name {
			return v[1]
		}
	}
	return ""
}

// parseINI reads "[section]" and "name = value" lines; a line that begins with white space continues the value before it.
// What is neither is left out, as dnf does.
func parseINI(s string) []section {
	var all []section
	for line := range strings.Lines(s) {
		bare := strings.TrimSpace(line)
		var in *section
		if len(all) > 0 {
			in = &all[len(all)-1]
		}
		switch {
		case bare == "" || bare[0] == '#' || bare[0] == ';':
		case bare[0] == '[' && bare[len(bare)-1] == ']':
			if len(all) < maxSettings {
				all = append(all, section{name: bare[1 : len(bare)-1]})
			}
		case in == nil || len(in.settings) > maxSettings:
		case (line[0] == ' ' || line[0] == '\t') && len(in.settings) > 0:
			if last := &in.settings[len(in.settings)-1]; len(last[1]) < maxConf {
				last[1] += " " + bare
			}
		default:
			if name, value, found := strings.Cut(bare, "="); found {
				in.settings = append(in.settings, [2]string{strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)})
			}
		}
	}
	return all
}

// Settings of dnf that decide whether what is installed was signed. Source: dnf.conf(5).
var dnfTrust = []string{"gpgcheck", "repo_gpgcheck", "localpkg_gpgcheck", "pkg_gpgcheck", "sslverify"}

var repositoryDirs = []string{"etc/yum.repos.d", "etc/distro.repos.d"}

// readRepositories lists dnf's repositories that are in use, and the settings under which signatures are not checked.
func readRepositories(root string) (sources []wire.Source, loose []wire.Setting, err error) {
	var names []string
	for _, dir := range repositoryDirs {
		some, err := confFiles(root, dir, ".repo")
		if err != nil {
			return nil, nil, err
		}
		names = append(names, some...)
	}
	for _, name := range append(names, "etc/dnf/dnf.conf", "etc/yum.conf") {
		b, err := readFile(root, name, maxConf)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		file := "/" + filetree.Quote(name)
		if err != nil {
			loose = append(loose, wire.Setting{File: file, Name: "unreadable"})
			continue
		}
		for _, s := range parseINI(string(b)) {
			enabled := s.get("enabled")
			if s.name != "main" && enabled != "" && !isTrue(enabled) {
				continue
			}
			var options []string
			for _, trust := range dnfTrust {
				value := s.get(trust)
				if value == "" {
					continue
				}
				options = append(options, trust+"="+text(value))
				if !isTrue(value) && trust != "repo_gpgcheck" && trust != "localpkg_gpgcheck" { // those two are off everywhere by default
					loose = append(loose, wire.Setting{File: file, Name: text(s.name) + "::" + trust, Value: text(value)})
				}
			}
			if s.name != "main" {
				sources = append(sources, repository(file, s, options))
			}
		}
	}
	return sources, loose, nil
}

func repository(file string, s section, options []string) wire.Source {
	source := wire.Source{File: file, Types: []string{"rpm"}, URIs: []string{}, Suites: []string{text(s.name)}, Components: []string{},
		SignedBy: text(strings.Join(strings.Fields(s.get("gpgkey")), " ")), Options: options}
	for _, name := range []string{"baseurl", "mirrorlist", "metalink"} {
		for _, address := range strings.Fields(strings.ReplaceAll(s.get(name), ",", " ")) {
			if len(source.URIs) < wire.MaxSettings {
				source.URIs = append(source.URIs, text(bare(address)))
			}
		}
	}
	return source
}

// dnfAutomatic gives what dnf-automatic is set to do. Source: dnf-automatic(8).
func dnfAutomatic(root string) []wire.Setting {
	const name = "etc/dnf/automatic.conf"
	b, err := readFile(root, name, maxConf)
	if err != nil {
		return nil
	}
	var all []wire.Setting
	for _, s := range parseINI(string(b)) {
		for _, setting := range []string{"upgrade_type", "download_updates", "apply_updates", "reboot"} {
			if value := s.get(setting); s.name == "commands" && value != "" {
				all = append(all, wire.Setting{File: "/" + name, Name: setting, Value: text(value)})
			}
		}
	}
	return all
}
