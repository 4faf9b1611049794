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
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

// Bounds of a set's canonical form, in bytes and packages.
const (
	MaxBytes    = 16 << 20
	MaxPackages = 200_000
)

// Package is one package on a host. State is "" when it is installed in good order, else dpkg's word for what it is
// instead: "half-configured", "unpacked", "triggers-pending" and the like. Packages of which only configuration is left
// are in no set. Held says that its administrator holds it at its version.
//
// An rpm package has a State of "" and is not held; its SourceVersion holds no epoch, since the name of its source package
// has none.
type Package struct {
	Name, Arch, Version   string
	Source, SourceVersion string
	State                 string
	Held                  bool
	RPM                   *RPM `json:",omitempty"` // what only rpm knows; nil: a package of dpkg
}

// RPM is what rpm knows of a package besides.
type RPM struct {
	Module string // name:stream:version:context; empty: of no module
	Vendor string
	Key    string // ID of the key that signed it, lower hex; empty: not signed
}

// CompareVersions orders two versions by the rule of the packager that the package is of.
func (p Package) CompareVersions(a, b string) int {
	if p.RPM != nil {
		return rpm.Compare(a, b)
	}
	return deb.Compare(a, b)
}

// Set is sorted by name, architecture and version, without duplicates. All its packages are dpkg's or all are rpm's.
type Set []Package

// The first line of the canonical form says its version and, since 2, whose packages they are. Sets of dpkg stay in version 1.
const (
	header    = "patchwarrant-package-set 1\n"
	headerRPM = "patchwarrant-package-set 2 rpm\n"
)

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
		s = append(s, Package{p.Name, p.Arch, p.Version, p.Source, p.SourceVersion, state, p.Want == "hold", nil})
	}
	slices.SortFunc(s, compare)
	return s
}

// FromRPM gives the set of what rpm's database holds, but for the keys that rpm keeps among its packages.
func FromRPM(installed []rpm.Installed) Set {
	var s Set
	for _, p := range installed {
		if p.Name != rpm.PublicKey {
			s = append(s, Package{Name: p.Name, Arch: p.Arch, Version: p.Version, Source: p.Source, SourceVersion: p.SourceVersion,
				RPM: &RPM{p.Module, p.Vendor, p.Key}})
		}
	}
	slices.SortFunc(s, compare)
	return slices.CompactFunc(s, func(a, b Package) bool { return compare(a, b) == 0 })
}

// compare orders by name, architecture, version; the version by its bytes, since the order only has to be fixed.
func compare(a, b Package) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch), strings.Compare(a.Version, b.Version))
}

// Canonical gives the one form of the set: a header line, then a line for each package with its fields between tabs, seven
// for dpkg, eight for rpm.
func (s Set) Canonical() []byte {
	var b bytes.Buffer
	if len(s) > 0 && s[0].RPM != nil {
		b.WriteString(headerRPM)
	} else {
		b.WriteString(header)
	}
	for _, p := range s {
		for i, field := range p.fields() {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(field)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func (p Package) fields() []string {
	if p.RPM != nil {
		return []string{p.Name, p.Arch, p.Version, p.Source, p.SourceVersion, p.RPM.Module, p.RPM.Key, p.RPM.Vendor}
	}
	held := ""
	if p.Held {
		held = "held"
	}
	return []string{p.Name, p.Arch, p.Version, p.Source, p.SourceVersion, p.State, held}
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
	parse := parseLine
	rest, ok := strings.CutPrefix(string(b), header)
	if !ok {
		rest, ok = strings.CutPrefix(string(b), headerRPM)
		parse = parseRPM
		ok = ok && rest != "" // an empty set has the form of version 1
	}
	if !ok || rest != "" && !strings.HasSuffix(rest, "\n") {
		return nil, fault.New(fault.Invalid, "package set without its first line or its last line's end")
	}
	count := strings.Count(rest, "\n")
	if count > MaxPackages {
		return nil, fault.New(fault.Invalid, "package set of more than %d packages", MaxPackages)
	}
	s := make(Set, 0, count)
	for line := range strings.Lines(rest) {
		p, err := parse(strings.TrimSuffix(line, "\n"))
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
	p := Package{f[0], f[1], f[2], f[3], f[4], f[5], f[6] == "held", nil}
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

func parseRPM(line string) (Package, error) {
	f := strings.Split(line, "\t")
	if len(f) != 8 {
		return Package{}, fault.New(fault.Invalid, "package set line %.200q does not have its eight fields", line)
	}
	p := Package{Name: f[0], Arch: f[1], Version: f[2], Source: f[3], SourceVersion: f[4], RPM: &RPM{f[5], f[7], f[6]}}
	printable := strings.Trim(f[6], "0123456789abcdef") == "" && !strings.ContainsFunc(f[7], func(r rune) bool { return r < ' ' || r > '~' })
	if !rpm.ValidName(p.Name) || !rpm.ValidName(p.Arch) || !rpm.ValidName(p.Source) || f[5] != "" && !rpm.ValidName(f[5]) || !printable {
		return Package{}, fault.New(fault.Invalid, "package set line %.200q holds an improper name, architecture, module, key or vendor", line)
	}
	for _, v := range []string{p.Version, p.SourceVersion} {
		if err := rpm.ValidVersion(v); err != nil {
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
