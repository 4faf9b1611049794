package web

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

type changesBody struct {
	List     []change.Order
	Further  string // sequence number below which the next page begins
	Facets   []facet
	Calendar calendar
	Views    viewsBar
}

// ordersPage is how many orders a page shows, and how many of the latest others look at.
const ordersPage = 50

func (s *site) changes(v *visit) error {
	q := v.r.URL.Query()
	state, kind := q.Get("state"), q.Get("kind")
	before, err := strconv.ParseInt(q.Get("before"), 10, 64)
	if err != nil {
		before = math.MaxInt64
	}
	counts, err := s.Changes.Counts(v.r.Context())
	if err != nil {
		return err
	}
	states, kinds := map[string]int{}, map[string]int{}
	for _, n := range counts {
		if kind == "" || n.Kind == kind {
			states[n.State] += n.Orders
		}
		if state == "" || n.State == state {
			kinds[n.Kind] += n.Orders
		}
	}
	body := changesBody{Facets: []facet{
		choices("state", "State", state, states, change.Proposed, change.Warranted, change.Investigating, change.Closed, change.Failed, change.Rejected, change.Withdrawn, change.Expired),
		choices("kind", "Kind", kind, kinds, change.Stage, change.Production, change.BackOut)}}
	for len(body.List) <= ordersPage {
		batch, err := s.Changes.ListBefore(v.r.Context(), before, ordersPage+1)
		if err != nil {
			return err
		}
		if body.Calendar.Width == 0 {
			body.Calendar = draw(batch, v.now)
		}
		for _, o := range batch {
			before = o.Sequence
			if (kind == "" || o.Kind == kind) && (state == "" || o.State == state) {
				body.List = append(body.List, o)
			}
		}
		if len(batch) <= ordersPage {
			break
		}
	}
	if len(body.List) > ordersPage {
		body.List = body.List[:ordersPage]
		body.Further = strconv.FormatInt(body.List[ordersPage-1].Sequence, 10)
	}
	if body.Views, err = s.viewsOf(v, "changes"); err != nil {
		return err
	}
	return v.show(http.StatusOK, "changes", "Changes", body)
}

// choices offers the values of a facet that occur, in the order given.
func choices(name, title, chosen string, n map[string]int, values ...string) facet {
	f := facet{Name: name, Title: title}
	for _, value := range values {
		if n[value] > 0 || value == chosen {
			f.Choices = append(f.Choices, choice{value, say(value), n[value], value == chosen})
		}
	}
	return f
}

type newOrderBody struct {
	Kind, Of, Snapshot string
	Signed             []curation.Snapshot
	Staged             []change.Order // closed stage orders
	Undoable           []change.Order // orders that ran
	Vulnerabilities    []string
	Opens, Closes      string
	NoticeHours        int
	Templates          []change.Template
	Filled             change.Proposal // by the template that the address names
}

// Form of dates and times in forms, UTC.
const inputTime = "2006-01-02T15:04"

func (s *site) newOrder(v *visit) error {
	q := v.r.URL.Query()
	body := newOrderBody{Kind: q.Get("kind"), Of: q.Get("of"), Snapshot: q.Get("snapshot"), NoticeHours: s.Changes.NoticeHours}
	if !slices.Contains([]string{change.Stage, change.Production, change.BackOut}, body.Kind) {
		body.Kind = change.Stage
	}
	snapshots, err := s.Curation.SnapshotsAfter(v.r.Context(), "", snapshotsPage)
	if err != nil {
		return err
	}
	body.Signed = slices.DeleteFunc(snapshots, func(x curation.Snapshot) bool { return x.SignedAt.IsZero() })
	orders, err := s.Changes.List(v.r.Context(), ordersPage)
	if err != nil {
		return err
	}
	for _, o := range orders {
		if o.Kind == change.Stage && o.State == change.Closed {
			body.Staged = append(body.Staged, o)
		}
		if o.Envelope != "" && o.Kind != change.BackOut {
			body.Undoable = append(body.Undoable, o)
		}
	}
	accepted, err := s.Triage.Accepted(v.r.Context())
	if err != nil {
		return err
	}
	for _, a := range accepted {
		body.Vulnerabilities = append(body.Vulnerabilities, a.Vulnerability)
	}
	slices.Sort(body.Vulnerabilities)
	body.Vulnerabilities = slices.Compact(body.Vulnerabilities)
	opens := v.now.UTC().Truncate(time.Hour).Add(time.Hour)
	if body.Kind != change.Stage {
		opens = opens.Add(time.Duration(body.NoticeHours) * time.Hour)
	}
	body.Opens, body.Closes = opens.Format(inputTime), opens.Add(4*time.Hour).Format(inputTime)
	if err := s.fill(v, &body); err != nil {
		return err
	}
	return v.show(http.StatusOK, "new-order", "Propose a change", body)
}

// fill puts what the chosen template gives into the form.
func (s *site) fill(v *visit, body *newOrderBody) (err error) {
	if body.Kind == change.BackOut {
		return nil
	}
	if body.Templates, err = s.Changes.Templates(v.r.Context()); err != nil {
		return err
	}
	name := v.r.URL.Query().Get("template")
	if name == "" || body.Kind == change.Production && body.Of == "" {
		return nil
	}
	p := change.Proposal{Kind: body.Kind, Template: name, Of: body.Of, Snapshot: body.Snapshot, Vulnerabilities: body.Vulnerabilities}
	if p.Kind == change.Stage && p.Snapshot == "" && len(body.Signed) > 0 {
		p.Snapshot = body.Signed[0].Ref.SHA256 // the form chooses it too
	}
	if body.Filled, err = s.Changes.Fill(v.r.Context(), p); err != nil {
		return err
	}
	body.Snapshot = body.Filled.Snapshot
	body.Opens, body.Closes = body.Filled.Window.OpensAt.Format(inputTime), body.Filled.Window.ClosesAt.Format(inputTime)
	return nil
}

func (s *site) proposeOrder(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	p, err := proposal(form, v.now)
	if err != nil {
		return err
	}
	o, _, err := s.Changes.Propose(v.r.Context(), v.me(), p)
	if err != nil {
		return err
	}
	return v.see("/changes/"+o.ID, "proposed")
}

func proposal(form url.Values, now time.Time) (change.Proposal, error) {
	p := change.Proposal{Kind: form.Get("kind"), Class: form.Get("class"), Snapshot: form.Get("snapshot"), Of: form.Get("of"),
		Hosts: strings.Fields(form.Get("hosts")), Roots: form.Get("roots") != "", Reason: form.Get("reason"), Grounds: form.Get("grounds"), Plan: form.Get("plan"),
		BackOut: form.Get("back_out"), Vulnerabilities: form["vulnerability"], Acknowledge: strings.TrimSpace(form.Get("acknowledge")), Template: form.Get("template")}
	var err error
	if p.Window.OpensAt, err = time.Parse(inputTime, form.Get("opens")); err != nil {
		return p, fault.New(fault.Invalid, "say when the window opens")
	}
	if p.Window.ClosesAt, err = time.Parse(inputTime, form.Get("closes")); err != nil {
		return p, fault.New(fault.Invalid, "say when the window closes")
	}
	if p.Kind == change.Stage {
		p.Class = ""
	}
	if p.Class != trustroot.Emergency {
		p.Grounds = ""
	}
	if audience := strings.TrimSpace(form.Get("notice")); audience != "" {
		p.Notices = []warrant.Notice{{At: now.UTC().Truncate(time.Second), Audience: audience}}
	}
	return p, nil
}
