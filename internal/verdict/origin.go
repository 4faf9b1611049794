package verdict

import (
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// vendors are the beginnings of what rpm's distributions write into their packages as the vendor, by os-release ID.
var vendors = map[string]string{"rhel": "Red Hat", "rocky": "Rocky", "almalinux": "AlmaLinux", "centos": "CentOS", "fedora": "Fedora", "ol": "Oracle",
	"amzn": "Amazon"}

// vendor gives who made an rpm package, when it says so and it is not the distribution of the release.
func vendor(release string, p pkgset.Package) string {
	distribution, _, _ := strings.Cut(release, "-")
	own, known := vendors[distribution]
	if !known || strings.HasPrefix(p.RPM.Vendor, own) {
		return ""
	}
	return p.RPM.Vendor
}

// foreigner gives the name of an origin that is no distribution's. An archive of ours hands on what others made, and one
// without a name says nothing.
func foreigner(o wire.Origin) string {
	if o.Label == "Patchwarrant" || strings.HasPrefix(o.Origin, "Debian") || strings.HasPrefix(o.Origin, "Ubuntu") || strings.HasPrefix(o.Origin, "Raspbian") {
		return ""
	}
	return o.Origin
}

// Foreign gives Class.Foreign of what a host says of its packages' origins; set is asked only where one may be foreign. A package
// that apt's lists do not have any more in this version, or from a distribution too, is not foreign.
func Foreign(o wire.Origins, set func() (pkgset.Set, error)) (string, error) {
	foreign := func(of []int) bool {
		return len(of) > 0 && !slices.ContainsFunc(of, func(n int) bool { return foreigner(o.Sources[n]) == "" })
	}
	if !slices.ContainsFunc(o.Of, foreign) {
		return "", nil
	}
	packages, err := set()
	if err != nil {
		return "", err
	}
	var lines []string
	for i, of := range o.Of[:min(len(o.Of), len(packages))] {
		if foreign(of) {
			lines = append(lines, packages[i].Name+":"+packages[i].Arch+"\t"+foreigner(o.Sources[of[0]])+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, ""), nil
}

// makers gives who made a package of a class, when it is known and not the distribution.
func makers(c Class) func(pkgset.Package) string {
	foreign := map[string]string{}
	for line := range strings.Lines(c.Foreign) {
		name, origin, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		foreign[name] = origin
	}
	return func(p pkgset.Package) string {
		if p.RPM != nil {
			return vendor(c.Release, p)
		}
		if len(foreign) == 0 {
			return ""
		}
		return foreign[p.Name+":"+p.Arch]
	}
}
