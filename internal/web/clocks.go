package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

type clocksBody struct {
	Clocks  []deadline.Clock
	Further string // the last clock, after which the next page begins
	Counts  []deadline.Count
	Policy  policy.Policy // by which they run
}

const clocksPage = 50

// clocksRunning are the clocks that run, the longest due first.
func (s *site) clocksRunning(v *visit) error {
	ctx := v.r.Context()
	after, err := clockAfter(v.r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	var body clocksBody
	if body.Clocks, err = s.Deadlines.Running(ctx, after, clocksPage+1); err != nil {
		return err
	}
	if len(body.Clocks) > clocksPage {
		body.Clocks = body.Clocks[:clocksPage]
		last := body.Clocks[clocksPage-1]
		body.Further = placeOf(last)
	}
	if body.Counts, err = s.Deadlines.Counts(ctx); err != nil {
		return err
	}
	now, err := s.Deadlines.InForce(ctx)
	if err != nil {
		return err
	}
	body.Policy = now.Policy
	return v.show(http.StatusOK, "clocks", "Clocks", body)
}

// placeOf names a clock's place in the list.
func placeOf(c deadline.Clock) string {
	return c.Due.UTC().Format(time.RFC3339Nano) + " " + string(c.Clock) + " " + c.Vulnerability
}

// clockAfter reads the place in the list after which a page begins; nothing as the list's begin.
func clockAfter(text string) (c deadline.Clock, err error) {
	if text == "" {
		return c, nil
	}
	due, rest, _ := strings.Cut(text, " ")
	kind, name, ok := strings.Cut(rest, " ")
	c.Due, err = time.Parse(time.RFC3339Nano, due)
	if err != nil || !ok {
		return c, fault.New(fault.Invalid, "there is no such page of the list")
	}
	c.Clock, c.Vulnerability = policy.Clock(kind), name
	return c, nil
}

// exception is a decision in force that leaves hosts affected until a date.
type exception struct {
	triage.Decision
	Affected int // hosts, of the whole fleet
}

// exceptions are the accepted risks and deferrals in force, the soonest to end first.
func (s *site) exceptions(v *visit) error {
	view, err := s.Triage.Vulnerabilities(v.r.Context())
	if err != nil {
		return err
	}
	var all []exception
	for i := range view.Rows {
		for _, d := range view.Rows[i].Decisions {
			if d.Kind == triage.AcceptRisk || d.Kind == triage.Defer {
				all = append(all, exception{d, view.Rows[i].Affected})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b exception) int { return a.Until.Compare(b.Until) })
	return v.show(http.StatusOK, "exceptions", "Exceptions", paged(v, all, 50))
}

// runningOut are the clocks of vulnerabilities for the day's list, and how many there are.
func (s *site) runningOut(ctx context.Context) (next []clock, running, overdue int, err error) {
	first, err := s.Deadlines.Running(ctx, deadline.Clock{}, mostClocks)
	if err != nil {
		return nil, 0, 0, err
	}
	for _, c := range first {
		next = append(next, clock{c.Vulnerability, vulnerabilityPath(c.Vulnerability), string(c.Clock) + ": " + c.Rule, c.Due})
	}
	counts, err := s.Deadlines.Counts(ctx)
	for _, c := range counts {
		running, overdue = running+c.Running, overdue+c.Overdue
	}
	return next, running, overdue, err
}

// unlimited is the gap that no policy which people signed is in force; nil where one is.
func (s *site) unlimited(ctx context.Context) ([]alarm, error) {
	now, err := s.Deadlines.InForce(ctx)
	if err != nil || now.Version > 0 {
		return nil, err
	}
	return []alarm{{"No signed policy is in force", "/policy", "clocks run by the profile " + now.Name + " as shipped", time.Time{}}}, nil
}
