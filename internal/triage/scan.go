package triage

import (
	"cmp"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/deb"
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
	type source struct{ name, version string }
	var installed []source
	for _, p := range set {
		installed = append(installed, source{p.Source, p.SourceVersion})
	}
	slices.SortFunc(installed, func(a, b source) int {
		return cmp.Or(cmp.Compare(a.name, b.name), deb.Compare(a.version, b.version), cmp.Compare(a.version, b.version))
	})
	stated := make(map[string][]intake.Statement)
	for i, s := range statements {
		if s.Release == release && (i == 0 || intake.Compare(statements[i-1], s) != 0) {
			stated[s.Package] = append(stated[s.Package], s)
		}
	}
	rows := []Row{}
	for _, p := range slices.Compact(installed) {
		for _, s := range stated[p.name] {
			v := Judge(release, p.name, p.version, s)
			rows = append(rows, Row{p.name, p.version, s.ID, v.Fixed, v.Status, v.Reason})
		}
	}
	return rows
}
