package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/suspicion"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

type suspicionsBody struct {
	List    []suspicion.Suspicion
	Counts  suspicion.Counts
	Facets  []facet
	Further string // ID before which the next page ends
	All     bool   // the visitor sees those of others
	Most    int    // KiB of what is attached
	Host    string // to begin with
	Package string
}

const suspicionsPage = 50

func (v *visit) reader() suspicion.Reader {
	return suspicion.Reader{Person: v.me(), All: v.session.Can(staff.ReadSuspicions)}
}

func (s *site) suspicions(v *visit) error {
	q := v.r.URL.Query()
	by := v.reader()
	all, n, err := s.Suspicions.List(v.r.Context(), by, suspicion.Page{State: q.Get("state"), Before: q.Get("before"), Limit: suspicionsPage + 1})
	if err != nil {
		return err
	}
	body := suspicionsBody{List: all, Counts: n, All: by.All, Most: suspicion.MaxEvidence >> 10, Host: q.Get("host"), Package: q.Get("package"),
		Facets: []facet{facetOf("state", "State", q.Get("state"), map[string]int{suspicion.Open: n.Open, suspicion.Answered: n.Answered})}}
	if len(all) > suspicionsPage {
		body.List, body.Further = all[:suspicionsPage], all[suspicionsPage-1].ID
	}
	return v.show(http.StatusOK, "suspicions", "Suspicions", body)
}

// reportSuspicion takes the form with its file, which may be none.
func (s *site) reportSuspicion(v *visit) error {
	form, file, err := v.upload()
	if err != nil {
		return err
	}
	var name string
	var attached []byte
	if file != nil {
		name = file.FileName()
		if attached, err = whole(file, suspicion.MaxEvidence); err != nil {
			return err
		}
	}
	made, err := s.Suspicions.Report(v.r.Context(), v.me(), suspicion.Claim{Title: line(form, "title"), Host: line(form, "host"), Package: line(form, "package"),
		Place: line(form, "place"), Noticed: line(form, "noticed")}, name, attached)
	if err != nil {
		return err
	}
	return v.see("/suspicions/"+made.ID, "suspected")
}

func line(form url.Values, name string) string { return strings.TrimSpace(form.Get(name)) }

type suspicionBody struct {
	suspicion.Suspicion
	Analysts   []trustroot.Person // who may own it
	Mine       bool               // the visitor owns it
	Severities []string
}

func (s *site) suspicion(v *visit) error {
	one, err := s.Suspicions.Get(v.r.Context(), v.reader(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	root, err := v.root()
	if err != nil {
		return err
	}
	body := suspicionBody{Suspicion: one, Mine: one.Owner == v.me(), Severities: suspicion.Severities}
	for _, p := range root.People {
		if slices.Contains(p.Roles, suspicion.Analyst) {
			body.Analysts = append(body.Analysts, p)
		}
	}
	return v.show(http.StatusOK, "suspicion", one.Title, body)
}

func (s *site) suspicionEvidence(v *visit) error {
	id := v.r.PathValue("id")
	b, err := s.Suspicions.Attached(v.r.Context(), v.reader(), id)
	if err != nil {
		return err
	}
	v.download(id + ".bin") // a reporter's name for it stays on the page
	_, err = v.w.Write(b)
	return err
}

func (s *site) ownSuspicion(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	one, err := s.Suspicions.Assign(v.r.Context(), v.me(), v.r.PathValue("id"), cmp.Or(form.Get("owner"), v.me()))
	if err != nil {
		return err
	}
	return v.see("/suspicions/"+one.ID, "owned")
}

func (s *site) answerSuspicion(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	a := suspicion.Answer{Kind: form.Get("kind"), Reason: line(form, "reason")}
	switch a.Kind {
	case suspicion.IsVulnerability:
		a.Vulnerability = line(form, "vulnerability")
	case suspicion.IsDuplicate:
		a.Of = line(form, "of")
	case "new":
		a.Kind, a.New = suspicion.IsVulnerability, &suspicion.Ours{Title: line(form, "title"), Package: line(form, "package"), Severity: form.Get("severity"),
			Hosts: strings.Fields(form.Get("hosts"))}
		for _, text := range strings.Fields(form.Get("affected")) {
			release, fixed, _ := strings.Cut(text, "=")
			a.New.Affected = append(a.New.Affected, suspicion.Affected{Release: release, Fixed: fixed})
		}
	}
	one, err := s.Suspicions.Answer(v.r.Context(), v.me(), v.r.PathValue("id"), a)
	if err != nil {
		return err
	}
	return v.see("/suspicions/"+one.ID, "answered")
}

// suspected are the suspicions that wait for the visitor: to be taken, or to be answered.
func (s *site) suspected(ctx context.Context, v *visit) (waiting []duty, due []clock, err error) {
	if !v.session.Can(staff.AnswerSuspicion) {
		return nil, nil, nil
	}
	all, n, err := s.Suspicions.List(ctx, v.reader(), suspicion.Page{State: suspicion.Open, Limit: suspicion.MaxList})
	if err != nil {
		return nil, nil, err
	}
	if n.Unowned > 0 {
		waiting = append(waiting, duty{count(n.Unowned) + " suspicions without an owner", "/suspicions?state=open", "a colleague or a tester waits for an answer", all[len(all)-1].ReportedAt})
	}
	for _, x := range all {
		if x.Owner == v.me() {
			waiting = append(waiting, duty{"Answer a suspicion", "/suspicions/" + x.ID, x.Title, x.ReportedAt})
		}
		due = append(due, clock{"Suspicion", "/suspicions/" + x.ID, "answer within 24 h", x.DueAt})
	}
	return waiting, due, nil
}

// unanswered are the alarms of suspicions: nobody's for hours, or late.
func (s *site) unanswered(ctx context.Context, v *visit) (all []alarm, err error) {
	if !v.session.Can(staff.ReadSuspicions) {
		return nil, nil
	}
	open, _, err := s.Suspicions.List(ctx, v.reader(), suspicion.Page{State: suspicion.Open, Limit: suspicion.MaxList})
	for _, x := range open {
		switch {
		case !x.OverdueAt.IsZero():
			all = append(all, alarm{"A suspicion has no answer", "/suspicions/" + x.ID, x.Title, x.DueAt})
		case x.Owner == "" && !x.UnownedAt.IsZero():
			all = append(all, alarm{"A suspicion has no owner", "/suspicions/" + x.ID, x.Title, x.ReportedAt})
		}
	}
	return all[:min(len(all), mostAlarms)], err
}
