package web

import (
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/estate"
)

// hit is something the command palette found.
type hit struct{ Kind, Name, Link string }

// mostHits of each kind.
const mostHits = 6

// search finds pages by what is typed into the command palette: sections, hosts, vulnerabilities, orders.
func (s *site) search(v *visit) error {
	q := strings.ToLower(strings.TrimSpace(v.r.URL.Query().Get("q")))
	var hits []hit
	add := func(kind, name, link, text string) {
		if strings.Contains(strings.ToLower(text), q) {
			hits = append(hits, hit{kind, name, link})
		}
	}
	for _, x := range sections {
		add("page", x.Name, x.Path, x.Name)
	}
	add("page", "Limits", "/policy", "limits policy")
	add("page", "Exceptions", "/exceptions", "exceptions accepted risks")
	if q != "" {
		if err := s.find(v, q, func(h hit) { hits = append(hits, h) }); err != nil {
			return err
		}
	}
	return v.showPart("today", "hits", hits)
}

// find looks through hosts, vulnerabilities and orders.
func (s *site) find(v *visit, q string, found func(hit)) error {
	ctx, n := v.r.Context(), map[string]int{}
	offer := func(kind, name, link, text string) {
		if n[kind] < mostHits && strings.Contains(strings.ToLower(text), q) {
			n[kind]++
			found(hit{kind, name, link})
		}
	}
	hosts, err := s.Estate.List(ctx, estate.Filter{Text: q}, "", mostHits)
	if err != nil {
		return err
	}
	for _, h := range hosts {
		found(hit{"host", h.Name, "/hosts/" + h.ID})
	}
	view, err := s.Triage.Vulnerabilities(ctx)
	if err != nil {
		return err
	}
	for _, r := range view.Rows {
		offer("vulnerability", r.Name, vulnerabilityPath(r.Name), r.Name)
	}
	orders, err := s.Changes.List(ctx, ordersPage)
	if err != nil {
		return err
	}
	for _, o := range orders {
		offer("order", o.ID+" · "+o.Reason, "/changes/"+o.ID, o.ID+" "+o.Reason)
	}
	return nil
}
