package explain

import (
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

// Manifest is what a stage order showed: every file change on its hosts with the account found for it there. It is the
// fact that a production order pins and its approvers see.
type Manifest struct {
	Order   string       `json:"order"`
	Hosts   []StagedHost `json:"hosts"`   // sorted by host
	Changes []Staged     `json:"changes"` // sorted by path
}

// StagedHost names the reconciliation of one stage host.
type StagedHost struct {
	Host   string          `json:"host"`
	Input  string          `json:"input"`
	Report string          `json:"report"`
	Counts map[Verdict]int `json:"counts"`
}

// Clean reports whether everything on the host is accounted for.
func (h StagedHost) Clean() bool { return h.Counts[Missing] == 0 && h.Counts[Unexplained] == 0 }

// Staged is one state that stage showed after the transaction; a path on which hosts differ stands once for each state.
type Staged struct {
	Path    string          `json:"path"`
	Verdict Verdict         `json:"verdict"` // against the prediction: as shipped, derived, missing or unexplained
	Rule    string          `json:"rule,omitempty"`
	Why     string          `json:"why,omitempty"`
	After   *filetree.Entry `json:"after,omitempty"` // nil: gone
	Hosts   []string        `json:"hosts"`
}

// ManifestOf puts the reports of a stage order's hosts together. reports maps the digest of each report to it.
func ManifestOf(order string, reports map[string]*Report) Manifest {
	m := Manifest{Order: order, Hosts: []StagedHost{}, Changes: []Staged{}}
	for digest, r := range reports {
		m.Hosts = append(m.Hosts, StagedHost{r.Host, r.Input, digest, r.Counts})
	}
	slices.SortFunc(m.Hosts, func(a, b StagedHost) int { return strings.Compare(a.Host, b.Host) })
	byPath := map[string][]int{} // indexes of Changes
	for _, h := range m.Hosts {
		for _, l := range reports[h.Report].Lines {
			i := slices.IndexFunc(byPath[l.Path], func(i int) bool { return Alike(m.Changes[i].After, l.After) })
			if i >= 0 {
				c := &m.Changes[byPath[l.Path][i]]
				c.Hosts = append(c.Hosts, h.Host)
				continue
			}
			byPath[l.Path] = append(byPath[l.Path], len(m.Changes))
			m.Changes = append(m.Changes, Staged{l.Path, l.Verdict, l.Rule, l.Why, l.After, []string{h.Host}})
		}
	}
	slices.SortStableFunc(m.Changes, func(a, b Staged) int { return strings.Compare(a.Path, b.Path) })
	return m
}

// Unaccounted gives the paths whose state on stage neither the packages nor a derivation explains, in order, each once;
// those that should have changed and did not say so.
func (m Manifest) Unaccounted() []string {
	var paths []string
	for _, c := range m.Changes {
		switch c.Verdict {
		case Unexplained:
			paths = append(paths, c.Path)
		case Missing:
			paths = append(paths, c.Path+" (missing)")
		}
	}
	return slices.Compact(paths)
}

// Alike reports whether two states of a path are the same as far as reconciliation compares them; nil: nothing is there.
func Alike(a, b *filetree.Entry) bool {
	if a == nil || b == nil {
		return a == b
	}
	return unlike(*a, *b) == ""
}
