package web

import (
	"net/http"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
	"github.com/patchwarrant/patchwarrant/internal/scans"
)

type scansBody struct {
	Clocks  []scans.Clock
	Reports []scans.Report
	Further string // ID before which the next page begins
	Formats []string
}

const scansPage = 50

func (s *site) scans(v *visit) error {
	ctx := v.r.Context()
	clocks, err := s.Scans.Clocks(ctx)
	if err != nil {
		return err
	}
	reports, err := s.Scans.Reports(ctx, v.r.URL.Query().Get("before"), scansPage+1)
	if err != nil {
		return err
	}
	body := scansBody{Clocks: clocks, Reports: reports, Formats: scanner.Formats()}
	if len(reports) > scansPage {
		body.Reports, body.Further = reports[:scansPage], reports[scansPage-1].ID
	}
	return v.show(http.StatusOK, "scans", "Scans", body)
}

// importReport streams the file of the form into the room.
func (s *site) importReport(v *visit) error {
	form, file, err := v.file()
	if err != nil {
		return err
	}
	d := scans.Delivery{From: "upload of " + file.FileName(), About: form.Get("host"), Format: form.Get("format")}
	r, unchanged, err := s.Scans.Import(v.r.Context(), v.me(), file, d)
	if err != nil {
		return err
	}
	if unchanged {
		return v.see("/scans/"+r.ID, "same-report")
	}
	return v.see("/scans/"+r.ID, "report")
}

type scanBody struct {
	scans.Report
	Unknown  []scans.ScannedHost // not in the inventory
	Outdated int                 // hosts that a newer report is about
	Tally    scans.Tally
	Shown    cut[scans.Said]
	Facets   []facet
	Search   string
}

func (s *site) scan(v *visit) error {
	ctx, q, id := v.r.Context(), v.r.URL.Query(), v.r.PathValue("id")
	r, hosts, err := s.Scans.Report(ctx, id)
	if err != nil {
		return err
	}
	f := scans.Filter{Relation: scans.Relation(q.Get("relation")), Class: scans.Class(q.Get("class")), Banner: q.Get("banner"), Host: q.Get("host"),
		Text: strings.TrimSpace(q.Get("q"))}
	c, err := s.Scans.Compare(ctx, id, f)
	if err != nil {
		return err
	}
	body := scanBody{Report: r, Tally: c.Tally, Shown: paged(v, c.Rows, 100), Search: f.Text, Facets: []facet{
		facetOf("relation", "With ours", f.Relation, c.Relations), facetOf("class", "Reason", f.Class, c.Classes), facetOf("banner", "From a banner", f.Banner, c.Banners)}}
	for _, h := range hosts {
		if h.Host == "" {
			body.Unknown = append(body.Unknown, h)
		}
		if h.SupersededBy != "" {
			body.Outdated++
		}
	}
	v.know(idsOf(body.Shown.Rows, func(x scans.Said) string { return x.On.Host })...)
	return v.show(http.StatusOK, "scan", "Report of "+r.Scanner, body)
}
