package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

type sourceRow struct {
	intake.SourceState
	Statements, Signals int
}

type sourcesBody struct {
	Sources []sourceRow
	Waiting int // in all
	Queue   cut[waiting]
	Facets  []facet
	Search  string
}

// waiting is an advisory in the queue, with what it means here.
type waiting struct {
	intake.Advisory
	Here []*triage.Vulnerability // that affect or may affect a host
}

func (s *site) sources(v *visit) error {
	states, err := s.Intake.States(v.r.Context())
	if err != nil {
		return err
	}
	var body sourcesBody
	for _, x := range states {
		row := sourceRow{SourceState: x, Signals: x.Counts[""]}
		for release, n := range x.Counts {
			if release != "" {
				row.Statements += n
			}
		}
		body.Sources = append(body.Sources, row)
	}
	f := queueFilterOf(v.r.URL.Query())
	all, n, err := s.queue(v, queueFilter{})
	if err != nil {
		return err
	}
	body.Waiting, body.Search = n, f.search
	sources, here := map[string]int{}, map[string]int{}
	for _, w := range all {
		if f.takes(w, "source") {
			sources[w.Source]++
		}
		if f.takes(w, "here") {
			here[w.here()]++
		}
	}
	body.Facets = []facet{facetOf("source", "Source", f.source, sources), facetOf("here", "Installed here", f.here, here)}
	body.Queue = paged(v, slices.DeleteFunc(all, func(w waiting) bool { return !f.takes(w, "") }), 50)
	return v.show(http.StatusOK, "sources", "Sources", body)
}

func (w waiting) here() string {
	if len(w.Here) > 0 {
		return "yes"
	}
	return "no"
}

// queueFilter is what a request wants of the queue.
type queueFilter struct{ search, source, here string }

func queueFilterOf(q url.Values) queueFilter {
	return queueFilter{strings.ToUpper(strings.TrimSpace(q.Get("q"))), q.Get("source"), q.Get("here")}
}

// takes reports whether an advisory passes, leaving out one facet ("" for none).
func (f queueFilter) takes(w waiting, without string) bool {
	return (f.search == "" || strings.Contains(strings.ToUpper(w.ID), f.search)) && (without == "source" || f.source == "" || w.Source == f.source) &&
		(without == "here" || f.here == "" || w.here() == f.here)
}

// queue gives the advisories that wait and pass, with how many wait in all.
func (s *site) queue(v *visit, f queueFilter) (found []waiting, all int, err error) {
	queue, all, err := s.Intake.WholeQueue(v.r.Context())
	if err != nil {
		return nil, 0, err
	}
	view, err := s.Triage.Vulnerabilities(v.r.Context())
	if err != nil {
		return nil, 0, err
	}
	here := make(map[string][]*triage.Vulnerability, len(view.Rows))
	for i := range view.Rows {
		r := &view.Rows[i]
		here[r.ID] = append(here[r.ID], r)
	}
	for _, a := range queue {
		w := waiting{a, here[a.ID]}
		if a.Bulletin != nil {
			for _, name := range a.Bulletin.Names {
				w.Here = append(w.Here, here[name]...)
			}
		}
		if f.takes(w, "") {
			found = append(found, w)
		}
	}
	return found, all, nil
}

// importSource streams the one file of the form into the source.
func (s *site) importSource(v *visit) error {
	_, file, err := v.file()
	if err != nil {
		return err
	}
	r, err := s.Intake.Import(v.r.Context(), v.me(), v.r.PathValue("id"), file, "upload of "+file.FileName())
	if err != nil {
		return err
	}
	if r.Unchanged {
		return v.see("/sources", "unchanged")
	}
	return v.see("/sources", "imported")
}

// reviewAdvisories takes the chosen ones, or all that match, off the queue: one act with one reason for each source.
func (s *site) reviewAdvisories(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	relevant := form.Get("relevant")
	if relevant != "yes" && relevant != "no" {
		return fault.New(fault.Invalid, "say whether they are relevant here")
	}
	chosen, err := s.chosen(v, form)
	if err != nil {
		return err
	}
	for source, ids := range chosen {
		r := intake.Review{Source: source, IDs: ids, Relevant: relevant == "yes", Reason: form.Get("reason")}
		if err := s.Intake.Review(v.r.Context(), v.me(), r); err != nil {
			return err
		}
	}
	return v.see("/sources", "reviewed")
}

// chosen reads which advisories a review is about, by source. "All that match" counts only while it is as many as the
// person saw.
func (s *site) chosen(v *visit, form url.Values) (map[string][]string, error) {
	chosen := map[string][]string{}
	for _, one := range form["advisory"] {
		source, id, ok := strings.Cut(one, "/")
		if !ok {
			return nil, fault.New(fault.Invalid, "an advisory is named by source and ID")
		}
		chosen[source] = append(chosen[source], id)
	}
	if all := form.Get("all"); all != "" {
		found, _, err := s.queue(v, queueFilterOf(form))
		if err != nil {
			return nil, err
		}
		if strconv.Itoa(len(found)) != all {
			return nil, fault.New(fault.Conflict, "the queue changed: %d advisories match now; look again", len(found))
		}
		clear(chosen)
		for _, w := range found {
			chosen[w.Source] = append(chosen[w.Source], w.ID)
		}
	}
	if len(chosen) == 0 {
		return nil, fault.New(fault.Invalid, "choose the advisories that the review is about")
	}
	return chosen, nil
}
