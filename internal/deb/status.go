package deb

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// MaxStatus bounds dpkg's status file, in bytes. A desktop with 4,000 packages has about 6 MB.
const MaxStatus = 64 << 20

// Installed is one package as dpkg's status knows it. Version is empty where dpkg holds only configuration without one.
type Installed struct {
	Name, Arch, Version   string
	Source, SourceVersion string
	Want                  string // "install", "hold", "deinstall", "purge", "unknown"
	Flag                  string // "ok" or "reinstreq"
	State                 string // "installed", "half-configured", "config-files", …
	Maintainer            string
	Essential             bool
	Conffiles             []Conffile
}

// Conffile is a configuration file dpkg watches, with the md5 of the version that the package brought.
type Conffile struct {
	Path, MD5       string
	Obsolete        bool
	RemoveOnUpgrade bool
}

var (
	wants  = []string{"unknown", "install", "hold", "deinstall", "purge"}
	flags  = []string{"ok", "reinstreq"}
	states = []string{"not-installed", "config-files", "half-installed", "unpacked", "half-configured",
		"triggers-awaited", "triggers-pending", "installed"}
)

// ParseStatus reads dpkg's status file (/var/lib/dpkg/status), in its order. Each field but the versions of what is not
// installed is required and checked; anything else is an error of kind fault.Invalid.
func ParseStatus(r io.Reader) ([]Installed, error) {
	limited := &io.LimitedReader{R: r, N: MaxStatus + 1}
	stanzas := NewReader(limited)
	var all []Installed
	for {
		s, err := stanzas.Next()
		if limited.N == 0 {
			return nil, fault.New(fault.Invalid, "the dpkg status file is larger than %d bytes", MaxStatus)
		}
		if errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("read dpkg status: %w", err)
		}
		p, err := installed(s)
		if err != nil {
			return nil, fmt.Errorf("read dpkg status: %w", err)
		}
		all = append(all, p)
	}
}

func installed(s Stanza) (Installed, error) {
	p := Installed{
		Name: s.Get("Package"), Arch: s.Get("Architecture"), Version: s.Get("Version"),
		Maintainer: s.Get("Maintainer"), Essential: s.Get("Essential") == "yes",
	}
	if !ValidName(p.Name) {
		return p, fault.New(fault.Invalid, "stanza without a proper package name: %.100q", p.Name)
	}
	status := strings.Fields(s.Get("Status"))
	if len(status) != 3 || !slices.Contains(wants, status[0]) || !slices.Contains(flags, status[1]) || !slices.Contains(states, status[2]) {
		return p, fault.New(fault.Invalid, "package %s: Status %.100q is none of dpkg's", p.Name, s.Get("Status"))
	}
	p.Want, p.Flag, p.State = status[0], status[1], status[2]
	present := p.State != "not-installed" && p.State != "config-files"
	if !ValidArch(p.Arch) && (present || p.Arch != "") {
		return p, fault.New(fault.Invalid, "package %s: no proper architecture: %.100q", p.Name, p.Arch)
	}
	if present || p.Version != "" {
		if err := ValidVersion(p.Version); err != nil {
			return p, fmt.Errorf("package %s: %w", p.Name, err)
		}
		var err error
		if p.Source, p.SourceVersion, err = SourceOf(p.Name, p.Version, s.Get("Source")); err != nil {
			return p, err
		}
	}
	var err error
	p.Conffiles, err = conffiles(p.Name, s.Get("Conffiles"))
	return p, err
}

// conffiles reads lines "path md5 [obsolete] [remove-on-upgrade]"; a path may hold spaces. A new conffile whose package
// is not configured yet has the word "newconffile" for its md5.
func conffiles(name, value string) ([]Conffile, error) {
	if value == "" {
		return nil, nil
	}
	var all []Conffile
	for line := range strings.SplitSeq(value, "\n") {
		c := Conffile{}
		line = strings.TrimSpace(line)
		for {
			if rest, ok := strings.CutSuffix(line, " obsolete"); ok {
				c.Obsolete, line = true, rest
			} else if rest, ok := strings.CutSuffix(line, " remove-on-upgrade"); ok {
				c.RemoveOnUpgrade, line = true, rest
			} else {
				break
			}
		}
		i := strings.LastIndexByte(line, ' ')
		if i < 1 || line[0] != '/' {
			return nil, fault.New(fault.Invalid, "package %s: conffile line %.200q is not of the form \"/path md5\"", name, line)
		}
		c.Path, c.MD5 = line[:i], line[i+1:]
		if c.MD5 == "newconffile" {
			c.MD5 = ""
		} else if !isHex(c.MD5, 32) {
			return nil, fault.New(fault.Invalid, "package %s: conffile line %.200q has no md5", name, line)
		}
		all = append(all, c)
	}
	return all, nil
}

// isHex reports whether s is n lower hexadecimal digits.
func isHex(s string, n int) bool {
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && (c < 'a' || 'f' < c) {
			return false
		}
	}
	return len(s) == n
}
