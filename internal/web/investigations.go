package web

import (
	"net/http"

	"github.com/patchwarrant/patchwarrant/internal/integrity"
)

type investigationsBody struct {
	List cut[integrity.Investigation]
	Open int
}

func (s *site) investigations(v *visit) error {
	all, err := s.Integrity.Investigations(v.r.Context())
	if err != nil {
		return err
	}
	body := investigationsBody{List: paged(v, all, 50)}
	for _, i := range all {
		if i.State != integrity.Closed {
			body.Open++
		}
	}
	return v.show(http.StatusOK, "investigations", "Investigations", body)
}

type investigationBody struct {
	integrity.Investigation
	Lines      cut[integrity.Line]
	Severities []string
	Mine       bool // the visitor proposed the conclusion: another ratifies it
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
	return v.show(http.StatusOK, "investigation", "Investigation", investigationBody{i, paged(v, report.Discrepancies(), 100),
		integrity.Severities, i.ProposedBy == v.me()})
}

func (s *site) resolveInvestigation(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	r := integrity.Resolution{Outcome: form.Get("outcome"), Reason: form.Get("reason")}
	if r.Outcome == integrity.Incident {
		r.Severity = form.Get("severity")
	}
	i, err := s.Integrity.Resolve(v.r.Context(), v.me(), v.r.PathValue("id"), r)
	if err != nil {
		return err
	}
	return v.see("/investigations/"+i.ID, "resolved")
}
