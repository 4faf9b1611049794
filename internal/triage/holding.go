package triage

import (
	"cmp"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

// holding is one source package on hosts: what is judged. Several versions of one source on a host count as the oldest,
// but for kernels, where the newest image is what the next boot runs.
type holding struct {
	release, source, version string
	running                  string // kernels: the running version, when it is known and older than version
	artefacts                bool   // kernels: no image is installed, only headers and tools built from the source
	lens
}

// holdings reduces a package set to what is judged, in no order. detailed: with the binary packages of each source.
func holdings(c Class, set pkgset.Set, detailed bool) []holding {
	foreign := strangers(c.Foreign)
	at := make(map[string]int, len(set))
	all := make([]holding, 0, len(set))
	for _, p := range set {
		i, known := at[p.Source]
		if !known {
			i, at[p.Source] = len(all), len(all)
			all = append(all, holding{release: c.Release, source: p.Source, version: p.SourceVersion, lens: lens{rpm: p.RPM != nil, foreign: foreign[p.Source]}})
			if p.RPM != nil {
				all[i].module = stream(p.RPM.Module)
			}
		}
		if who := vendor(c.Release, p); who != "" {
			all[i].foreign = who
		}
		if h := &all[i]; p.CompareVersions(p.SourceVersion, h.version) < 0 {
			h.version = p.SourceVersion
			if p.RPM != nil {
				h.module = stream(p.RPM.Module)
			}
		}
	}
	epochs(set, at, all)
	for i := range all {
		if h := &all[i]; h.isKernel() {
			h.kernel(set, c.Kernel)
		}
	}
	if detailed {
		list(set, at, all)
	}
	return all
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

// list names the binary packages of each holding, of several versions of one the oldest. Those of a kernel all stand for it.
func list(set pkgset.Set, at map[string]int, all []holding) {
	for i := 0; i < len(set); {
		p, version := set[i], set[i].Version
		for ; i < len(set) && set[i].Name == p.Name; i++ {
			if p.CompareVersions(set[i].Version, version) < 0 {
				version = set[i].Version
			}
		}
		h := &all[at[p.Source]]
		h.binaries += p.Name
		if version != h.version && !h.isKernel() {
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

func (h holding) compare(a, b string) int {
	if h.rpm {
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
	return cmp.Or(cmp.Compare(l.module, other.module), cmp.Compare(l.foreign, other.foreign), cmp.Compare(l.binaries, other.binaries))
}

// sorted gives the chapters in an order that does not depend on who was placed first.
func (b *book) sorted() []*chapter {
	if len(b.chapters) < 2 {
		return b.chapters
	}
	return slices.SortedStableFunc(slices.Values(b.chapters), func(x, y *chapter) int { return x.order(y.lens) })
}
