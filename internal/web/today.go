package web

import (
	"cmp"
	"context"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/drift"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// clock is something that is due.
type clock struct {
	What, Link, Rule string
	Due              time.Time
}

// alarm is something that should speak and does not, or says what is refused.
type alarm struct {
	What, Link, Why string
	Since           time.Time
}

type todayBody struct {
	View               triage.View
	Decided            []slice
	Urgent             []*triage.Vulnerability
	Clocks             []clock
	Running, Overdue   int // clocks of vulnerabilities, over the whole list
	Duties             []duty
	Silent             []estate.Host
	Windows            []change.Order
	Alarms             []alarm
	Hosts, SilentHosts int
	Drift              []drift.Kind  // production that stage does not stand for
	Trend, Speaking    template.HTML // of the last month; empty without two days of history
}

// Bounds of the lists on the page; each says how many there are in all where it is cut.
const (
	mostClocks  = 12
	mostUrgent  = 8
	mostWindows = 8
	mostSilent  = 8
	mostDrift   = 5
	mostAlarms  = 20 // of hosts, of each kind
	trendDays   = 30
	expiryAhead = 30 * 24 * time.Hour // trust root, decisions: when their end becomes a clock
)

func (s *site) today(v *visit) error {
	ctx := v.r.Context()
	var body todayBody
	var days []exposure.Day
	var limits []clock
	var parts errgroup.Group // none needs another
	parts.Go(func() (err error) {
		body.Alarms, err = s.alarms(v)
		return err
	})
	parts.Go(func() (err error) {
		days, err = s.Exposure.Days(ctx, v.now.AddDate(0, 0, -trendDays))
		return err
	})
	parts.Go(func() (err error) {
		limits, body.Running, body.Overdue, err = s.runningOut(ctx)
		return err
	})
	parts.Go(func() error { return s.fleetOfToday(ctx, &body) })
	orders, investigations, err := s.workOfToday(v, &body)
	if err := errors.Join(err, parts.Wait()); err != nil {
		return err
	}
	if body.Clocks, err = s.clocks(v, orders, investigations, body.View, limits); err != nil {
		return err
	}
	if len(days) > 1 {
		line := dayLine(days, v.now)
		body.Trend, body.Speaking = line.vulnerabilities("trend"), line.coverage("speaking")
	}
	return v.show(http.StatusOK, "today", "Today", body)
}

// fleetOfToday fills in what hosts do.
func (s *site) fleetOfToday(ctx context.Context, body *todayBody) error {
	hosts, err := s.Estate.Facets(ctx, estate.Filter{})
	if err != nil {
		return err
	}
	body.Hosts, body.SilentHosts = hosts.Hosts, hosts.By(estate.ByState)[string(estate.Silent)]
	if body.Silent, err = s.Estate.List(ctx, estate.Filter{State: estate.Silent}, "", mostSilent); err != nil {
		return err
	}
	body.Drift, err = s.far(ctx)
	return err
}

// workOfToday fills in what is open and what waits for the visitor.
func (s *site) workOfToday(v *visit, body *todayBody) (orders []change.Order, investigations []integrity.Investigation, err error) {
	ctx := v.r.Context()
	if body.View, err = s.Triage.Vulnerabilities(ctx); err != nil {
		return nil, nil, err
	}
	if orders, err = s.Changes.List(ctx, ordersPage); err != nil {
		return nil, nil, err
	}
	if investigations, err = s.openInvestigations(ctx); err != nil {
		return nil, nil, err
	}
	body.Decided = decidedShares(body.View)
	body.Urgent = urgent(body.View.Rows)
	body.Windows = windows(orders, v.now)
	body.Duties, err = s.duties(v, orders, investigations, body.View)
	return orders, investigations, err
}

// far are the kinds of production hosts that stage does not stand for, the farthest first.
func (s *site) far(ctx context.Context) ([]drift.Kind, error) {
	kinds, err := s.Drift.Fleet(ctx)
	n := 0
	for n < len(kinds) && n < mostDrift && kinds[n].Percent < drift.Far {
		n++
	}
	return kinds[:n], err
}

// urgent are the undecided vulnerabilities to look at first.
func urgent(rows []triage.Vulnerability) (first []*triage.Vulnerability) {
	for i := range rows {
		r := &rows[i]
		if r.Affected == 0 || len(r.Decisions) > 0 || len(first) == mostUrgent && byRisk(first[mostUrgent-1], r) <= 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(first, r, func(a, b *triage.Vulnerability) int { return cmp.Or(byRisk(a, b), -1) })
		first = slices.Insert(first, at, r)
		first = first[:min(len(first), mostUrgent)]
	}
	return first
}

// windows are the orders whose window is open or to come, the next first.
func windows(orders []change.Order, now time.Time) []change.Order {
	ahead := slices.DeleteFunc(slices.Clone(orders), func(o change.Order) bool {
		return o.State != change.Proposed && o.State != change.Warranted || !now.Before(o.Window.ClosesAt)
	})
	slices.SortStableFunc(ahead, func(a, b change.Order) int { return a.Window.OpensAt.Compare(b.Window.OpensAt) })
	return ahead[:min(len(ahead), mostWindows)]
}

// clocks are the next due times, the most urgent first: of all, and whatever else has one.
func (s *site) clocks(v *visit, orders []change.Order, investigations []integrity.Investigation, view triage.View, all []clock) ([]clock, error) {
	for _, i := range investigations {
		if i.State != integrity.Closed {
			all = append(all, clock{"Investigation", "/investigations/" + i.ID, "response within 24 h", i.DueAt})
		}
	}
	for _, o := range orders {
		if o.State == change.Proposed {
			all = append(all, clock{"Order without quorum", "/changes/" + o.ID, "expires unsigned", o.ExpiresAt})
		}
	}
	queue, _, err := s.Intake.Queue(v.r.Context(), 1)
	if err != nil {
		return nil, err
	}
	for _, a := range queue {
		all = append(all, clock{"Review of " + a.ID, "/sources#queue", "review within 48 h", a.DueAt})
	}
	for i := range view.Rows {
		r := &view.Rows[i]
		if r.Affected == 0 {
			continue
		}
		if r.Exploited != nil && r.Exploited.Due != "" && len(r.Decisions) == 0 {
			if due, err := time.Parse(time.DateOnly, r.Exploited.Due); err == nil {
				all = append(all, clock{r.Name, vulnerabilityPath(r.Name), "exploited: the catalogue's deadline", due.Add(24 * time.Hour)})
			}
		}
		for _, d := range r.Decisions {
			if !d.Until.IsZero() && d.Until.Sub(v.now) < expiryAhead {
				all = append(all, clock{r.Name, vulnerabilityPath(r.Name), "decision re-opens", d.Until})
			}
		}
	}
	_, suspicions, err := s.suspected(v.r.Context(), v)
	if err != nil {
		return nil, err
	}
	all = append(all, suspicions...)
	root, err := v.root()
	if err != nil {
		return nil, err
	}
	if root.ExpiresAt.Sub(v.now) < expiryAhead {
		all = append(all, clock{"Trust root", "/people", "expires: hosts refuse every order after", root.ExpiresAt})
	}
	slices.SortStableFunc(all, func(a, b clock) int { return a.Due.Compare(b.Due) })
	return all[:min(len(all), mostClocks)], nil
}

// alarms gives what every room alarms about. Silent hosts stand apart.
func (s *site) alarms(v *visit) ([]alarm, error) {
	ctx := v.r.Context()
	rooms := []func(context.Context) ([]alarm, error){s.reported, s.overdueBuilds, s.unheard, s.orphaned, s.unlimited,
		func(ctx context.Context) ([]alarm, error) { return s.unanswered(ctx, v) }}
	found := make([][]alarm, len(rooms))
	var beside errgroup.Group // none needs another
	for i, ask := range rooms {
		beside.Go(func() (err error) {
			found[i], err = ask(ctx)
			return err
		})
	}
	if err := beside.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(found...)
	slices.SortStableFunc(all, func(a, b alarm) int { return b.Since.Compare(a.Since) })
	return all, nil
}

// reported gives the alarms of sources, upstreams and hosts.
func (s *site) reported(ctx context.Context) ([]alarm, error) {
	var all []alarm
	sources, err := s.Intake.States(ctx)
	if err != nil {
		return nil, err
	}
	for _, x := range sources {
		if !x.RefusedAt.IsZero() {
			all = append(all, alarm{"Source " + x.Name + " refused", "/sources", x.Refused, x.RefusedAt})
		}
		if !x.SilentAt.IsZero() {
			all = append(all, alarm{"Source " + x.Name + " is silent", "/sources", "nothing heard within its term", x.SilentAt})
		}
	}
	upstreams, err := s.upstreams(ctx)
	if err != nil {
		return nil, err
	}
	for _, u := range upstreams {
		if r := u.State; !r.RefusedAt.IsZero() {
			all = append(all, alarm{"Upstream " + u.Name + " refused: " + r.RefusedCode, "/repository", r.RefusedWhy, r.RefusedAt})
		}
	}
	states, err := s.Estate.Facets(ctx, estate.Filter{})
	if err != nil {
		return nil, err
	}
	for _, state := range []estate.State{estate.Cloned, estate.Alarms} {
		if states.By(estate.ByState)[string(state)] == 0 {
			continue
		}
		hosts, err := s.Estate.List(ctx, estate.Filter{State: state}, "", mostAlarms)
		if err != nil {
			return nil, err
		}
		for _, h := range hosts {
			a := alarm{"Host " + h.Name + " alarms", "/hosts/" + h.ID, h.Alarm, h.LastSeen}
			if state == estate.Cloned {
				a = alarm{"Host " + h.Name + " is used by two machines", a.Link, "its counter went back: enrol it again", h.ClonedAt}
			}
			all = append(all, a)
		}
	}
	spoke, err := s.Estate.RetiredWhoSpoke(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range spoke {
		all = append(all, alarm{"Retired host " + h.Name + " speaks", "/hosts/" + h.ID, "somebody uses an identity that is out of service", h.SpokeAt})
	}
	return all, nil
}
