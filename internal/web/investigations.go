package web

import (
	"context"
	"net/http"

	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

type investigationsBody struct {
	List    []integrity.Investigation
	Open    int
	Further string // ID before which the next page ends
	Facets  []facet
}

const investigationsPage = 50

func (s *site) investigations(v *visit) error {
	q := v.r.URL.Query()
	all, n, err := s.Integrity.InvestigationsFrom(v.r.Context(), integrity.InvestigationPage{State: q.Get("state"), Before: q.Get("before"), Limit: investigationsPage + 1})
	if err != nil {
		return err
	}
	body := investigationsBody{List: all, Open: n[integrity.Open] + n[integrity.Proposed], Facets: []facet{facetOf("state", "State", q.Get("state"), n)}}
	if len(all) > investigationsPage {
		body.List, body.Further = all[:investigationsPage], all[investigationsPage-1].ID
	}
	v.know(idsOf(body.List, func(i integrity.Investigation) string { return i.Host })...)
	return v.show(http.StatusOK, "investigations", "Investigations", body)
}

// openInvestigations gives those that wait for people, the newest of each state.
func (s *site) openInvestigations(ctx context.Context) (all []integrity.Investigation, err error) {
	for _, state := range []string{integrity.Open, integrity.Proposed} {
		page, _, err := s.Integrity.InvestigationsFrom(ctx, integrity.InvestigationPage{State: state, Limit: investigationsPage})
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
	}
	return all, nil
}

type investigationBody struct {
	integrity.Investigation
	Lines      cut[explain.Line]
	Rules      []ruleText
	Severities []string
	Mine       bool              // the visitor proposed the conclusion: another ratifies it
	Outside    []trustroot.Place // where the host stands, if the visitor's roles are limited to others
}

func (s *site) investigation(v *visit) error {
	i, err := s.Integrity.Investigation(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	report, err := s.Integrity.Report(v.r.Context(), i.Report)
	if err != nil {
		return err
	}
	lines := paged(v, report.Discrepancies(), 100)
	body := investigationBody{Investigation: i, Lines: lines, Rules: rulesOf(lines.Rows), Severities: integrity.Severities, Mine: i.ProposedBy == v.me()}
	stands, err := s.Estate.PlacesOf(v.r.Context(), []string{i.Host})
	if err != nil {
		return err
	}
	if !integrity.MayAnswer(v.session.Person, stands...) {
		body.Outside = stands
	}
	return v.show(http.StatusOK, "investigation", "Investigation", body)
}

func (s *site) resolveInvestigation(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	r := integrity.Resolution{Outcome: form.Get("outcome"), Reason: form.Get("reason"), Report: form.Get("report")}
	if r.Outcome == integrity.Incident {
		r.Severity = form.Get("severity")
	}
	i, err := s.Integrity.Resolve(v.r.Context(), v.me(), v.r.PathValue("id"), r)
	if err != nil {
		return err
	}
	return v.see("/investigations/"+i.ID, "resolved")
}
