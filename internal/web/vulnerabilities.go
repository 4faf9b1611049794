package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// facet is a way to narrow a list, with the number of rows for each choice under the other facets.
type facet struct {
	Name, Title string
	Choices     []choice
}

type choice struct {
	Value, Label string
	Count        int
	Chosen       bool
}

// filter is what a request wants of the list.
type filter struct{ search, state, decision, source, kev string }

func filterOf(q url.Values) filter {
	return filter{strings.ToLower(strings.TrimSpace(q.Get("q"))), q.Get("state"), q.Get("decision"), q.Get("source"), q.Get("kev")}
}

// takes reports whether a row passes, leaving out one facet ("" for none).
func (f filter) takes(r *triage.Vulnerability, without string) bool {
	return (f.search == "" || strings.Contains(strings.ToLower(r.ID+" "+r.Source+" "+r.Description), f.search)) &&
		(without == "state" || f.state == "" || slices.Contains(statesOf(r), f.state)) &&
		(without == "decision" || f.decision == "" || slices.Contains(decisionsOf(r), f.decision)) &&
		(without == "source" || f.source == "" || r.Source == f.source) &&
		(without == "kev" || f.kev == "" || r.Exploited != nil)
}

func statesOf(r *triage.Vulnerability) (states []string) {
	if r.Affected > 0 {
		states = append(states, string(verdict.Affected))
	}
	if r.AfterReboot > 0 {
		states = append(states, string(verdict.FixedAfterReboot))
	}
	if r.Undetermined > 0 {
		states = append(states, string(verdict.Undetermined))
	}
	return states
}

func decisionsOf(r *triage.Vulnerability) (kinds []string) {
	for _, d := range r.Decisions {
		kinds = append(kinds, d.Kind)
	}
	if len(kinds) == 0 {
		return []string{"none"}
	}
	return kinds
}

// byRisk puts first what is exploited, then what is likely to be, then what affects more hosts.
func byRisk(a, b *triage.Vulnerability) int {
	if (a.Exploited != nil) != (b.Exploited != nil) {
		if a.Exploited != nil {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.EPSS, a.EPSS), cmp.Compare(b.Affected, a.Affected))
}

// orders of the list, by the query parameter sort.
var sorts = map[string]func(a, b *triage.Vulnerability) int{
	"":       byRisk,
	"hosts":  func(a, b *triage.Vulnerability) int { return cmp.Compare(b.Affected, a.Affected) },
	"source": func(a, b *triage.Vulnerability) int { return cmp.Compare(a.Source, b.Source) },
	"id":     func(a, b *triage.Vulnerability) int { return cmp.Compare(b.ID, a.ID) },
}

// narrowed gives the rows that pass a filter, in the view's order.
func narrowed(view triage.View, f filter) (rows []*triage.Vulnerability) {
	for i := range view.Rows {
		if r := &view.Rows[i]; f.takes(r, "") {
			rows = append(rows, r)
		}
	}
	return rows
}

type vulnerabilitiesBody struct {
	View     triage.View
	List     cut[*triage.Vulnerability]
	Narrowed bool // the list does not have everything
	Findings int  // in the list
	Facets   []facet
	Search   string
	Views    viewsBar
	Most     int // vulnerabilities of one decision
}

func (s *site) vulnerabilities(v *visit) error {
	view, err := s.Triage.Vulnerabilities(v.r.Context())
	if err != nil {
		return err
	}
	q := v.r.URL.Query()
	f := filterOf(q)
	body := vulnerabilitiesBody{View: view, Narrowed: f != filter{}, Search: q.Get("q"), Facets: facets(view.Rows, f), Most: triage.MaxTogether}
	rows := narrowed(view, f)
	sort := sorts[q.Get("sort")]
	if sort == nil {
		sort = byRisk
	}
	slices.SortStableFunc(rows, sort)
	for _, r := range rows {
		body.Findings += r.Affected
	}
	body.List = paged(v, rows, 50)
	if body.Views, err = s.viewsOf(v, "vulnerabilities"); err != nil {
		return err
	}
	if v.part() {
		return v.showPart("vulnerabilities", "list", body)
	}
	return v.show(http.StatusOK, "vulnerabilities", "Vulnerabilities", body)
}

// mostSources is how many source packages are offered as a facet, those with most vulnerabilities.
const mostSources = 8

func facets(rows []triage.Vulnerability, f filter) []facet {
	n := map[string]map[string]int{"state": {}, "decision": {}, "source": {}, "kev": {}}
	for i := range rows {
		r := &rows[i]
		if f.takes(r, "state") {
			for _, x := range statesOf(r) {
				n["state"][x]++
			}
		}
		if f.takes(r, "decision") {
			for _, x := range decisionsOf(r) {
				n["decision"][x]++
			}
		}
		if f.takes(r, "source") {
			n["source"][r.Source]++
		}
		if r.Exploited != nil && f.takes(r, "kev") {
			n["kev"]["yes"]++
		}
	}
	pick := func(name, title, chosen string, choices ...string) facet {
		out := facet{Name: name, Title: title}
		for i := 0; i+1 < len(choices); i += 2 {
			if value := choices[i]; n[name][value] > 0 || value == chosen {
				out.Choices = append(out.Choices, choice{value, choices[i+1], n[name][value], value == chosen})
			}
		}
		return out
	}
	return []facet{
		pick("state", "State", f.state, string(verdict.Affected), "affected", string(verdict.FixedAfterReboot), "fixed after reboot",
			string(verdict.Undetermined), "undetermined"),
		pick("decision", "Decision", f.decision, "none", "undecided", triage.Accept, "accepted", triage.Defer, "deferred",
			triage.Configure, "configured", triage.NotConcerned, "not affected", triage.Reject, "rejected", triage.AcceptRisk, "risk accepted"),
		pick("kev", "Exploitation", f.kev, "yes", "known exploited"),
		pick("source", "Source package", f.source, largest(n["source"], f.source)...),
	}
}

// largest gives the names with the highest counts, each twice (as value and label), the chosen one always among them.
func largest(n map[string]int, chosen string) (pairs []string) {
	var names []string
	for name := range n {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(n[b], n[a]), cmp.Compare(a, b)) })
	for i, name := range names {
		if i < mostSources || name == chosen {
			pairs = append(pairs, name, name)
		}
	}
	return pairs
}

func vulnerabilityPath(name string) string {
	id, source, _ := strings.Cut(name, "/")
	return "/vulnerabilities/" + url.PathEscape(id) + "/" + url.PathEscape(source)
}
