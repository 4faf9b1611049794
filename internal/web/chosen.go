package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// subject is what a decision is about, with both its numbers: findings, and the vulnerabilities themselves.
type subject struct {
	Rows     []*triage.Vulnerability // in the order of their names' list; one that concerns no host has its name alone
	Findings int
}

// subjectOf looks up vulnerabilities by name.
func (s *site) subjectOf(ctx context.Context, names []string) (subject, error) {
	view, err := s.Triage.Vulnerabilities(ctx)
	if err != nil {
		return subject{}, err
	}
	wanted := make(map[string]*triage.Vulnerability, len(names))
	for _, name := range names {
		id, source, _ := strings.Cut(name, "/")
		wanted[name] = &triage.Vulnerability{Name: name, ID: id, Source: source}
	}
	for i := range view.Rows {
		if r := &view.Rows[i]; wanted[r.Name] != nil {
			wanted[r.Name] = r
		}
	}
	about := subject{Rows: make([]*triage.Vulnerability, 0, len(names))}
	for _, name := range names {
		about.Rows = append(about.Rows, wanted[name])
		about.Findings += wanted[name].Affected
	}
	return about, nil
}

// Names gives the names of the vulnerabilities.
func (x subject) Names() []string {
	return idsOf(x.Rows, func(r *triage.Vulnerability) string { return r.Name })
}

// few names the first of several things, and says how many more there are.
func few(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %s more", strings.Join(names[:most], ", "), count(len(names)-most))
}

// factsOf counts what a decision rests on, each fact once.
func factsOf(d triage.Decision) int {
	all := map[string]bool{}
	for _, part := range d.Parts() {
		for _, digest := range part.Facts {
			all[digest] = true
		}
	}
	return len(all)
}

// chosen reads which vulnerabilities a request names, sorted and none twice.
func chosen(form url.Values) ([]string, error) {
	names := slices.Compact(slices.Sorted(slices.Values(form["vulnerability"])))
	switch {
	case len(names) == 0:
		return nil, fault.New(fault.Invalid, "choose at least one vulnerability")
	case len(names) > triage.MaxTogether:
		return nil, fault.New(fault.Invalid, "one decision is about %d vulnerabilities at most; choose fewer", triage.MaxTogether)
	}
	return names, nil
}

// chosenInList reads what was chosen in the list: what was ticked, or with all the whole list under its filter as it is now. From
// here on the names themselves go from form to form: what is signed is what is shown.
func (s *site) chosenInList(v *visit) ([]string, error) {
	q := v.r.URL.Query()
	if !q.Has("all") {
		return chosen(q)
	}
	view, err := s.Triage.Vulnerabilities(v.r.Context())
	if err != nil {
		return nil, err
	}
	return chosen(url.Values{"vulnerability": idsOf(narrowed(view, filterOf(q)), func(r *triage.Vulnerability) string { return r.Name })})
}

type chosenBody struct {
	Subject subject
	Form    decisionForm
	Was     int // how many the list had when all of it was chosen, where it has another number now
}

// newDecision is the form of one decision about what was chosen in the list.
func (s *site) newDecision(v *visit) error {
	names, err := s.chosenInList(v)
	if err != nil {
		return err
	}
	about, err := s.subjectOf(v.r.Context(), names)
	if err != nil {
		return err
	}
	var unfixed []string
	decided := false
	for _, r := range about.Rows {
		if len(r.Releases) == 0 {
			return fault.New(fault.NotFound, "%.200q is not in the list of vulnerabilities now; choose again", r.Name)
		}
		if !slices.ContainsFunc(r.Releases, func(x triage.Release) bool { return x.Status == intake.Fixed }) {
			unfixed = append(unfixed, r.Name)
		}
		decided = decided || len(r.Decisions) > 0
	}
	form, err := s.decisionForm(v, unfixed, decided)
	if err != nil {
		return err
	}
	body := chosenBody{Subject: about, Form: form}
	if was, err := strconv.Atoi(v.r.URL.Query().Get("all")); err == nil && was != len(names) {
		body.Was = was
	}
	return v.show(http.StatusOK, "new-decision", "Decide about "+few(names), body)
}

type madeBody struct {
	triage.PastDecision // of the first vulnerability
	Subject             subject
	Parts               []triage.PastDecision
}

// Names gives the vulnerabilities that the decision is about.
func (b madeBody) Names() []string { return b.Subject.Names() }

// madeDecision is a decision that came in force, with what became of it for each of its vulnerabilities.
func (s *site) madeDecision(v *visit) error {
	parts, err := s.Triage.Made(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	body := madeBody{PastDecision: parts[0], Parts: parts}
	names := idsOf(parts, func(p triage.PastDecision) string { return p.Vulnerability })
	if body.Subject, err = s.subjectOf(v.r.Context(), names); err != nil {
		return err
	}
	return v.show(http.StatusOK, "made", "Decision about "+few(names), body)
}
