package triage

import (
	"context"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/estate"
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

// mostOrigins bounds how many hosts' origins are remembered.
const mostOrigins = 200_000

// foreigner gives the name of an origin that is no distribution's. An archive of ours hands on what others made, and one
// without a name says nothing.
func foreigner(o wire.Origin) string {
	if o.Label == "Patchwarrant" || strings.HasPrefix(o.Origin, "Debian") || strings.HasPrefix(o.Origin, "Ubuntu") || strings.HasPrefix(o.Origin, "Raspbian") {
		return ""
	}
	return o.Origin
}

// foreign gives Class.Foreign of a place. A package that apt's lists do not have any more in this version, or from a
// distribution too, is not foreign.
func (t *Triage) foreign(ctx context.Context, h estate.HostSet) (string, error) {
	if h.Origins == "" {
		return "", nil
	}
	if known, ok := t.foreigners[h.Origins]; ok {
		return known, nil
	}
	o, err := t.Origins(ctx, h.Origins)
	if err != nil || o.PackageSet != h.SetDigest {
		return "", err
	}
	var set pkgset.Set
	var lines []string
	for i, of := range o.Of {
		if len(of) == 0 || slices.ContainsFunc(of, func(n int) bool { return foreigner(o.Sources[n]) == "" }) {
			continue
		}
		if set == nil {
			if set, err = t.Estate.PackageSet(ctx, h.SetDigest); err != nil {
				return "", err
			}
		}
		if i < len(set) {
			lines = append(lines, set[i].Name+":"+set[i].Arch+"\t"+foreigner(o.Sources[of[0]])+"\n")
		}
	}
	slices.Sort(lines)
	text := strings.Join(lines, "")
	if len(t.foreigners) >= mostOrigins {
		clear(t.foreigners)
	}
	t.foreigners[h.Origins] = text
	return text, nil
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
