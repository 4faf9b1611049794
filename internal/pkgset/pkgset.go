// Package pkgset is the set of packages on a host, as bytes with a digest: hosts with the same packages share one set.
package pkgset

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Bounds of a set's canonical form, in bytes and packages.
const (
	MaxBytes    = 16 << 20
	MaxPackages = 200_000
)

// Package is one package on a host. State is "" when it is installed in good order, else dpkg's word for what it is
// instead: "half-configured", "unpacked", "triggers-pending" and the like. Packages of which only configuration is left
// are in no set. Held says that its administrator holds it at its version.
type Package struct {
	Name, Arch, Version   string
	Source, SourceVersion string
	State                 string
	Held                  bool
}

// Set is sorted by name, architecture and version, without duplicates.
type Set []Package

// header is the first line of the canonical form and says its version.
const header = "patchwarrant-package-set 1\n"

// FromStatus gives the set of what dpkg's status names.
func FromStatus(status []deb.Installed) Set {
	var s Set
	for _, p := range status {
		if p.State == "not-installed" || p.State == "config-files" {
			continue
		}
		state := p.State
		if state == "installed" && p.Flag == "ok" {
			state = ""
		} else if p.Flag != "ok" {
			state = p.Flag
		}
		s = append(s, Package{p.Name, p.Arch, p.Version, p.Source, p.SourceVersion, state, p.Want == "hold"})
	}
	slices.SortFunc(s, compare)
	return s
}

// compare orders by name, architecture, version; the version by its bytes, since the order only has to be fixed.
func compare(a, b Package) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch), strings.Compare(a.Version, b.Version))
}

// Canonical gives the one form of the set: a header line, then a line for each package with its seven fields between tabs.
func (s Set) Canonical() []byte {
	var b bytes.Buffer
	b.WriteString(header)
	for _, p := range s {
		held := ""
		if p.Held {
			held = "held"
		}
		for i, field := range []string{p.Name, p.Arch, p.Version, p.Source, p.SourceVersion, p.State, held} {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(field)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Digest is the lower hex SHA-256 of the canonical form.
func (s Set) Digest() string {
	sum := sha256.Sum256(s.Canonical())
	return hex.EncodeToString(sum[:])
}

// Parse reads a canonical form. Whatever Canonical would not write is an error of kind fault.Invalid.
func Parse(b []byte) (Set, error) {
	if len(b) > MaxBytes {
		return nil, fault.New(fault.Invalid, "package set of more than %d bytes", MaxBytes)
	}
	rest, ok := strings.CutPrefix(string(b), header)
	if !ok || rest != "" && !strings.HasSuffix(rest, "\n") {
		return nil, fault.New(fault.Invalid, "package set without its first line or its last line's end")
	}
	count := strings.Count(rest, "\n")
	if count > MaxPackages {
		return nil, fault.New(fault.Invalid, "package set of more than %d packages", MaxPackages)
	}
	s := make(Set, 0, count)
	for line := range strings.Lines(rest) {
		p, err := parseLine(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		if len(s) > 0 && compare(s[len(s)-1], p) >= 0 {
			return nil, fault.New(fault.Invalid, "package set line %d: not after the line before it", len(s)+2)
		}
		s = append(s, p)
	}
	return s, nil
}

var states = []string{"", "half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending", "reinstreq"}

func parseLine(line string) (Package, error) {
	f := strings.Split(line, "\t")
	if len(f) != 7 || f[6] != "" && f[6] != "held" {
		return Package{}, fault.New(fault.Invalid, "package set line %.200q does not have its seven fields", line)
	}
	p := Package{f[0], f[1], f[2], f[3], f[4], f[5], f[6] == "held"}
	if !deb.ValidName(p.Name) || !deb.ValidArch(p.Arch) || !deb.ValidName(p.Source) || !slices.Contains(states, p.State) {
		return Package{}, fault.New(fault.Invalid, "package set line %.200q holds an improper name, architecture or state", line)
	}
	for _, v := range []string{p.Version, p.SourceVersion} {
		if err := deb.ValidVersion(v); err != nil {
			return Package{}, err
		}
	}
	return p, nil
}

// Find gives the package of a name and architecture. A set holds one version of each in dpkg's rule.
func (s Set) Find(name, arch string) (Package, bool) {
	i, _ := slices.BinarySearchFunc(s, Package{Name: name, Arch: arch}, compare)
	if i < len(s) && s[i].Name == name && s[i].Arch == arch {
		return s[i], true
	}
	return Package{}, false
}
