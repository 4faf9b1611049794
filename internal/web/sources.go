package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
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
	All     string // names all that match, as they are
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
	all = slices.DeleteFunc(all, func(w waiting) bool { return !f.takes(w, "") })
	if body.Queue = paged(v, all, 50); body.Queue.Pages > 1 {
		body.All = matching(all)
	}
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
	r := intake.Review{Advisories: chosen, Relevant: relevant == "yes", Reason: form.Get("reason")}
	if err := s.Intake.Review(v.r.Context(), v.me(), r); err != nil {
		return err
	}
	return v.see("/sources", "reviewed")
}

// chosen reads which advisories a review is about. "All that match" counts only while it is what the person saw.
func (s *site) chosen(v *visit, form url.Values) (chosen []intake.Seen, err error) {
	if all := form.Get("all"); all != "" {
		found, _, err := s.queue(v, queueFilterOf(form))
		if err != nil {
			return nil, err
		}
		if matching(found) != all {
			return nil, fault.New(fault.Conflict, "the queue changed: %d advisories match now; look again", len(found))
		}
		for _, w := range found {
			chosen = append(chosen, w.Seen())
		}
		return chosen, nil
	}
	for _, one := range form["advisory"] {
		source, rest, _ := strings.Cut(one, "/")
		revision, id, ok := strings.Cut(rest, "/")
		if !ok {
			return nil, fault.New(fault.Invalid, "an advisory is named by source, revision and ID")
		}
		chosen = append(chosen, intake.Seen{Source: source, ID: id, Revision: revision})
	}
	if len(chosen) == 0 {
		return nil, fault.New(fault.Invalid, "choose the advisories that the review is about")
	}
	return chosen, nil
}

// matching names advisories as they are, by a digest.
func matching(found []waiting) string {
	h := sha256.New()
	for _, w := range found {
		fmt.Fprintf(h, "%q %q %s\n", w.Source, w.ID, w.Revision)
	}
	return hex.EncodeToString(h.Sum(nil))
}
