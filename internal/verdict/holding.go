package verdict

import (
	"cmp"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

// holding is one source package on hosts: what is judged. Several versions of one source on a host count as the oldest that
// the distribution made, but for kernels, where the newest image is what the next boot runs.
type holding struct {
	release, source, version string
	kernel                   bool   // it is one's source
	running                  string // kernels: the running version, when it is known and older than version
	artefacts                bool   // kernels: no image is installed, only headers and tools built from the source
	lens
}

// holdings reduces a package set to what is judged, in no order. detailed: with the binary packages of each source.
func holdings(c Class, set pkgset.Set, detailed bool) []holding {
	maker := makers(c)
	at := make(map[string]int, len(set))
	all := make([]holding, 0, len(set))
	odd := false
	for _, p := range set {
		i, known := at[p.Source]
		if !known {
			i, at[p.Source] = len(all), len(all)
			all = append(all, holding{release: c.Release, source: p.Source, lens: lens{rpm: p.RPM != nil}})
		}
		h, who := &all[i], maker(p)
		own, before := who == "", h.foreign == ""
		if !known || own && !before || own == before && p.CompareVersions(p.SourceVersion, h.version) < 0 {
			h.version, h.foreign, h.module = p.SourceVersion, who, moduleOf(p)
		}
		h.kernel = h.kernel || ofKernel(p)
		odd = odd || !own || p.RPM != nil && p.RPM.Module != "" || Backport(p.SourceVersion)
	}
	epochs(set, at, all)
	for i := range all {
		if h := &all[i]; h.kernel {
			h.boot(set, c.Kernel)
		}
	}
	if odd {
		for _, p := range set {
			all[at[p.Source]].question(p, maker(p))
		}
	}
	if detailed {
		list(set, at, all, maker)
	}
	return all
}

// question notes a package of the holding that what is stated about its version does not settle. Packages built beside a
// kernel, and its images that are older, raise none.
func (h *holding) question(p pkgset.Package, who string) {
	aside := h.kernel && p.SourceVersion != h.version && (!image(p) || h.compare(p.SourceVersion, h.version) < 0)
	if h.doubt != "" || h.foreign != "" || aside {
		return
	}
	switch m := moduleOf(p); {
	case who != "":
		h.doubt = p.Name + ", which comes from " + who
	case Backport(p.SourceVersion):
		h.doubt = "backports such as " + p.SourceVersion
	case m != h.module:
		h.doubt = p.Name + ", which is of " + cmp.Or(m, "no module")
	}
}

func moduleOf(p pkgset.Package) string {
	if p.RPM == nil {
		return ""
	}
	return stream(p.RPM.Module)
}

// epochs completes the versions of rpm's source packages, whose names hold no epoch: the one of a binary package built in
// the same version. Of several the lowest counts: better affected than wrongly fixed.
func epochs(set pkgset.Set, at map[string]int, all []holding) {
	if len(set) == 0 || set[0].RPM == nil {
		return
	}
	lowest := make(map[string]string, len(all))
	for _, p := range set {
		epoch, version, found := strings.Cut(p.Version, ":")
		if !found {
			epoch, version = "0", p.Version
		}
		if old, known := lowest[p.Source]; version == p.SourceVersion && (!known || rpm.Compare(epoch+":1-1", old+":1-1") < 0) {
			lowest[p.Source] = epoch
		}
	}
	for source, i := range at {
		h := &all[i]
		switch epoch, known := lowest[source]; {
		case !known:
			h.epochless = true
		case epoch != "0":
			h.version = epoch + ":" + h.version
		}
	}
}

// elsewhere stands for the version of a binary package that others made than most of its source's.
const elsewhere = "?"

// list names the binary packages of each holding, of several versions of one the oldest. Those of a kernel all stand for it.
func list(set pkgset.Set, at map[string]int, all []holding, maker func(pkgset.Package) string) {
	for i := 0; i < len(set); {
		p, version := set[i], ""
		for ; i < len(set) && set[i].Name == p.Name && set[i].Source == p.Source; i++ {
			switch {
			case maker(set[i]) != "":
				version = cmp.Or(version, elsewhere)
			case version == "" || version == elsewhere || p.CompareVersions(set[i].Version, version) < 0:
				version = set[i].Version
			}
		}
		h := &all[at[p.Source]]
		h.binaries += p.Name
		if version != h.version && !h.kernel && h.foreign == "" {
			h.binaries += " " + version
		}
		h.binaries += "\n"
	}
}

// stream gives the name and stream of a module's label.
func stream(label string) string {
	parts := strings.SplitN(label, ":", 3)
	return strings.Join(parts[:min(2, len(parts))], ":")
}

func (l lens) compare(a, b string) int {
	if l.rpm {
		return rpm.Compare(a, b)
	}
	return deb.Compare(a, b)
}

// names gives the binary packages of a detailed holding.
func (l lens) names() (names []string) {
	for line := range strings.Lines(l.binaries) {
		name, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		names = append(names, name)
	}
	return names
}

func (l lens) order(other lens) int {
	return cmp.Or(cmp.Compare(l.module, other.module), cmp.Compare(l.foreign, other.foreign), cmp.Compare(l.doubt, other.doubt), cmp.Compare(l.binaries, other.binaries))
}

// sorted gives the chapters in an order that does not depend on who was placed first.
func (b *book) sorted() []*chapter {
	if len(b.chapters) < 2 {
		return b.chapters
	}
	return slices.SortedStableFunc(slices.Values(b.chapters), func(x, y *chapter) int { return x.order(y.lens) })
}
