package vex

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// named is a distribution in package URLs: the type and namespace, and the qualifier distro.
type named struct{ kind, distro string }

// families are the names that scanners have for a distribution beside the one of its os-release: namespace, and name in the
// qualifier distro. Source: Syft (which Grype reads) writes rhel or redhat, Trivy redhat and alma.
var families = map[string][][2]string{
	"debian": {{"debian", "debian"}}, "ubuntu": {{"ubuntu", "ubuntu"}}, "rocky": {{"rocky", "rocky"}},
	"rhel":      {{"redhat", "rhel"}, {"redhat", "redhat"}, {"rhel", "rhel"}},
	"almalinux": {{"almalinux", "almalinux"}, {"alma", "alma"}},
}

// names gives the ways in which scanners name a release in package URLs, the plainest first. A reader takes a statement only
// where each of its qualifiers is equal to the package's, and Trivy writes the point release, "debian-12.11", where Syft
// writes "debian-12": points are those of the hosts.
func names(release string, points []string) (all []named) {
	distribution, version := intake.Distribution(release)
	kind := "rpm/"
	if distribution == "debian" || distribution == "ubuntu" || version == "" {
		kind = "deb/"
	}
	if version == "" { // a release that nobody numbers
		return []named{{kind + "debian", release}}
	}
	of := families[distribution]
	if of == nil {
		of = [][2]string{{distribution, distribution}}
	}
	for _, family := range of {
		for _, v := range append([]string{version}, points...) {
			all = append(all, named{kind + family[0], family[1] + "-" + v})
		}
	}
	return all
}

var debianPoint = regexp.MustCompile(`^([0-9]+)(?:\.[0-9]+)?(?:\+deb[0-9]+u([0-9]+))?$`)

// PointOf gives the point release that a host with this package set is at, as scanners read it from its files; empty where the
// release has none. Source: base-files 12.4+deb12u11 is Debian 12.11 and base-files 12.4 is 12.0; the package that holds
// /etc/redhat-release has the version of the minor release.
func PointOf(release string, set pkgset.Set) string {
	switch distribution, _ := intake.Distribution(release); distribution {
	case "debian":
		if m := debianPoint.FindStringSubmatch(versionOf(set, "base-files")); m != nil {
			return m[1] + "." + cmp.Or(m[2], "0")
		}
	case "rhel":
		return minor(versionOf(set, "redhat-release"))
	case "rocky", "almalinux":
		return minor(versionOf(set, distribution+"-release"))
	}
	return ""
}

func versionOf(set pkgset.Set, names ...string) string {
	for _, name := range names {
		i, found := slices.BinarySearchFunc(set, name, func(p pkgset.Package, name string) int { return cmp.Compare(p.Name, name) })
		if found {
			return set[i].Version
		}
	}
	return ""
}

func minor(version string) string {
	if _, rest, found := strings.Cut(version, ":"); found {
		version = rest
	}
	version, _, _ = strings.Cut(version, "-")
	return version
}
