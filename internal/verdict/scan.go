package verdict

import (
	"cmp"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// Row is the verdict for one source package in one version and one vulnerability.
type Row struct {
	Source        string `json:"source"`
	SourceVersion string `json:"source_version"`
	CVE           string `json:"cve"`
	FixedVersion  string `json:"fixed_version"` // empty: no fix is known
	Verdict       Status `json:"verdict"`
	Reason        string `json:"reason"`
}

// Scan judges a package set without knowing the host: every distinct source version against every vulnerability stated
// about it in the release, sorted by source, version and vulnerability. Several installed versions of a source (kernels)
// are judged each for itself. statements are sorted as for Fleet.Learn.
func Scan(release string, set pkgset.Set, statements []intake.Statement) []Row {
	type version struct{ source, version string }
	parts := make(map[version]pkgset.Set)
	for _, p := range set {
		v := version{p.Source, p.SourceVersion}
		parts[v] = append(parts[v], p)
	}
	f := NewFleet()
	f.Learn(statements)
	var installed []holding
	for _, part := range parts {
		for _, h := range holdings(Class{Release: release}, part, f.detailed[release]) {
			h.artefacts = false // beside which kernel it lies is not known
			installed = append(installed, h)
		}
	}
	slices.SortFunc(installed, func(a, b holding) int {
		return cmp.Or(cmp.Compare(a.source, b.source), a.compare(a.version, b.version), cmp.Compare(a.version, b.version))
	})
	rows := []Row{}
	for _, h := range installed {
		p := &f.pairs[f.pair(h)]
		for _, l := range p.chapter.leads {
			v, s := f.verdict(p, l)
			rows = append(rows, Row{h.source, h.version, s.ID, v.Fixed, v.Status, v.Reason})
		}
	}
	return rows
}
