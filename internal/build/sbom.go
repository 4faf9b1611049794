package build

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

// Unjudged counts components of a component list that no verdict is about. They are undetermined, never clean.
type Unjudged struct {
	Kind       string `json:"kind"` // type of their package URLs, such as "npm"; empty: they have none
	Reason     string `json:"reason"`
	Components int    `json:"components"`
}

const fromSBOM = "sbom/"

// sourceSBOM takes the packages over from a component list.
func (b *Builds) sourceSBOM(ctx context.Context, n New, x *Build) (facts []string, err error) {
	list, err := readSBOM(n.SBOM, n.Release)
	if err != nil {
		return nil, err
	}
	file, err := blob.PutBytes(ctx, b.Blobs, n.SBOM)
	if err != nil {
		return nil, err
	}
	x.Release, x.From = list.release, fromSBOM+file
	x.PackageSet, err = blob.PutBytes(ctx, b.Blobs, list.set().Canonical())
	return []string{x.PackageSet, file}, err
}

// complete adds what is left of a build's component list.
func (b *Builds) complete(ctx context.Context, x *Build) (err error) {
	file, is := strings.CutPrefix(x.From, fromSBOM)
	if !is {
		return nil
	}
	x.Unjudged, err = b.rest.Get(x.PackageSet+" "+file, func() ([]Unjudged, int, error) {
		text, err := blob.ReadAll(ctx, b.Blobs, file, MaxFile)
		if err != nil {
			return nil, 0, err
		}
		list, err := readSBOM(text, "")
		if err != nil || list.set().Digest() != x.PackageSet { // the release was given by who registered it
			list, err = readSBOM(text, x.Release)
		}
		if err != nil {
			return nil, 0, err
		}
		const counted = 200 // bytes
		return list.unjudged(), counted * len(list.rest), nil
	})
	return err
}

// sbom is what a component list gives.
type sbom struct {
	given   string // release of what names none; empty: nobody said
	release string // of all packages
	sourced bool   // a package names another source package that it is built from
	deb     []deb.Installed
	rpm     []rpm.Installed
	rest    map[Unjudged]int // without their number
}

// readSBOM reads a component list. One of packages of several releases is Invalid, and one of no package that could be judged:
// nothing would be known of it, and it would look clean.
func readSBOM(text []byte, given string) (*sbom, error) {
	list := &sbom{given: given, rest: map[Unjudged]int{}}
	err := scanner.Components(bytes.NewReader(text), func(c scanner.Component) error {
		why, err := list.take(c)
		if why != "" {
			list.rest[Unjudged{Kind: c.Kind, Reason: why}]++
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case len(list.deb)+len(list.rpm) == 0:
		return nil, fault.New(fault.Invalid, "the component list holds no package of a distribution that could be judged; "+
			"a list of deb or rpm packages names their release (distro=…), or give it")
	case !list.sourced:
		return nil, fault.New(fault.Invalid, "the component list names the source package of none of its packages, and vendors speak of source packages; "+
			"Syft and Trivy write them")
	}
	return list, nil
}

// take takes a component over, or says why no verdict can be about it.
func (l *sbom) take(c scanner.Component) (why string, err error) {
	switch {
	case c.File || c.Name == rpm.PublicKey:
		return "is no package", nil
	case c.Kind == "":
		return "has no package URL that can be read", nil
	case c.Kind != "deb" && c.Kind != "rpm":
		return "no source states anything about packages of this kind", nil
	}
	release := l.given
	if c.Distro != "" {
		release, _ = intake.ReleaseNamed(c.Distro)
	}
	if release == "" {
		return "its release is not named, or not known", nil
	}
	add := l.addDeb
	if c.Kind == "rpm" {
		add = l.addRPM
	}
	if why := add(c); why != "" {
		return why, nil
	}
	l.sourced = l.sourced || c.Source != "" && c.Source != c.Name
	if l.release != "" && l.release != release {
		return "", fault.New(fault.Invalid, "the component list holds packages of %s and of %s; a build is of one release", l.release, release)
	}
	l.release = release
	return "", nil
}

const damaged = "its name or version is none of its kind"

// addDeb takes a package of dpkg. One that names no source package is built from the one of its name, as dpkg has it.
func (l *sbom) addDeb(c scanner.Component) (why string) {
	p := deb.Installed{Name: c.Name, Arch: cmp.Or(c.Arch, "all"), Version: c.Version, Source: cmp.Or(c.Source, c.Name), SourceVersion: cmp.Or(c.SourceVersion, c.Version),
		Want: "install", Flag: "ok", State: "installed"}
	if !deb.ValidName(p.Name) || !deb.ValidName(p.Source) || !deb.ValidArch(p.Arch) || deb.ValidVersion(p.Version) != nil || deb.ValidVersion(p.SourceVersion) != nil {
		return damaged
	}
	l.deb = append(l.deb, p)
	return ""
}

// addRPM takes a package of rpm. Its vendor and key are not known: it counts as its distribution's.
func (l *sbom) addRPM(c scanner.Component) (why string) {
	p := rpm.Installed{Name: c.Name, Arch: cmp.Or(c.Arch, "noarch"), Version: c.Version, Source: c.Source, SourceVersion: c.SourceVersion, Module: c.Module}
	switch {
	case p.Source == "":
		return "its source package is not named"
	case !rpm.ValidName(p.Name) || !rpm.ValidName(p.Source) || !rpm.ValidName(p.Arch) || p.Module != "" && !rpm.ValidName(p.Module) ||
		rpm.ValidVersion(p.Version) != nil || rpm.ValidVersion(p.SourceVersion) != nil:
		return damaged
	case p.Module == "" && strings.Contains(p.Version, ".module"):
		return "it is of a module that is not named"
	}
	l.rpm = append(l.rpm, p)
	return ""
}

// set gives the packages, each once.
func (l *sbom) set() pkgset.Set {
	if len(l.rpm) > 0 {
		return pkgset.FromRPM(l.rpm)
	}
	return slices.CompactFunc(pkgset.FromStatus(l.deb), func(a, b pkgset.Package) bool {
		return a.Name == b.Name && a.Arch == b.Arch && a.Version == b.Version
	})
}

// unjudged lists what is left, the most first.
func (l *sbom) unjudged() []Unjudged {
	all := make([]Unjudged, 0, len(l.rest))
	for u, n := range l.rest {
		u.Components = n
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b Unjudged) int {
		return cmp.Or(cmp.Compare(b.Components, a.Components), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}
