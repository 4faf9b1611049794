package deadline

import (
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// Clock is one clock of one episode of a vulnerability.
type Clock struct {
	Vulnerability string `json:"vulnerability"` // ID/source
	Episode       int    `json:"episode"`
	policy.Deadline
	Policy     int64     `json:"policy"`               // version; 0: as shipped
	Lead       Standing  `json:"lead"`                 // of the hosts whose deadline leads
	StoppedAt  time.Time `json:"stopped_at,omitzero"`  // zero: it runs
	Stopped    string    `json:"stopped,omitempty"`    // by what
	BreachedAt time.Time `json:"breached_at,omitzero"` // since when it is overdue, or was when it stopped
	FixAt      time.Time `json:"fix_at,omitzero"`      // when a fixed version was first known in the episode
	Act        int64     `json:"act"`                  // index of the last act that lists it
}

// Running reports whether the clock runs.
func (c Clock) Running() bool { return c.StoppedAt.IsZero() }

// Overdue reports whether it runs although its time is over.
func (c Clock) Overdue(now time.Time) bool { return c.Running() && now.After(c.Due) }

// same reports whether two clocks say the same.
func (c Clock) same(o Clock) bool {
	return c.Due.Equal(o.Due) && c.Started.Equal(o.Started) && c.From == o.From && c.Rule == o.Rule && c.Clause == o.Clause && c.PlanStops == o.PlanStops &&
		c.Policy == o.Policy && c.StoppedAt.Equal(o.StoppedAt) && c.Stopped == o.Stopped && c.BreachedAt.Equal(o.BreachedAt) && c.FixAt.Equal(o.FixAt) && c.Lead.equal(o.Lead)
}

func (s Standing) equal(o Standing) bool {
	return slices.Equal(s.Groups, o.Groups) && s.Environment == o.Environment && s.Zone == o.Zone && s.Exposure == o.Exposure && s.Criticality == o.Criticality && s.Unit == o.Unit
}

// subject is everything about one vulnerability that its clocks depend on.
type subject struct {
	episode   triage.Episode
	row       triage.Vulnerability // as the view has it
	standings []Standing           // of the hosts affected or waiting for a reboot
	reviewed  bool
	assessed  *Assessment
	fixAt     time.Time
}

// stopper says what stops a clock, and since when as far as that is known; empty: nothing does.
func (s subject) stopper(d policy.Deadline) (why string, at time.Time) {
	if !s.episode.FixedAt.IsZero() {
		return "observed fixed on the last host", s.episode.FixedAt
	}
	if !s.episode.GoneAt.IsZero() {
		return s.episode.Gone, s.episode.GoneAt
	}
	decision := s.answer()
	switch d.Clock {
	case policy.Review:
		if s.reviewed || s.assessed != nil || decision != nil {
			return "reviewed", time.Time{}
		}
	case policy.Assessment:
		if s.assessed != nil {
			return "assessment " + s.assessed.ID, s.assessed.MadeAt
		}
	case policy.Response:
		if decision != nil {
			return "decision " + decision.ID, decision.MadeAt
		}
	case policy.Remediation:
		switch {
		case s.row.Affected+s.row.AfterReboot == 0:
			return "no host is affected any more", time.Time{}
		case decision == nil:
		case d.PlanStops || slices.Contains(settling, decision.Kind):
			return "decision " + decision.ID, decision.MadeAt
		}
	}
	return "", time.Time{}
}

// settling are the kinds of decision after which nothing is left to remediate while they are in force.
var settling = []string{triage.NotConcerned, triage.Reject, triage.AcceptRisk}

// answer gives the decision that answers for all hosts affected: one for the fleet, or one for each of their environments, of
// which the least settling counts. A decision about single hosts answers for those only, and stops no clock of the others.
func (s subject) answer() *triage.Decision {
	var least *triage.Decision
	for _, standing := range s.standings {
		here := s.decided(standing.Environment)
		if here == nil {
			return nil
		}
		if least == nil || slices.Contains(settling, least.Kind) {
			least = here
		}
	}
	if least == nil {
		return s.decided("")
	}
	return least
}

// decided gives the decision in force for an environment: its own, or the fleet's.
func (s subject) decided(environment string) (fleet *triage.Decision) {
	for i := range s.row.Decisions {
		switch d := &s.row.Decisions[i]; d.Scope {
		case "environment/" + environment:
			return d
		case triage.FleetScope:
			fleet = d
		}
	}
	return fleet
}

// due applies the policy to every standing, and gives for each clock the deadline that leads and whose it is.
func (s subject) due(p *policy.Compiled, base policy.Facts) (map[policy.Clock]policy.Deadline, map[policy.Clock]Standing, error) {
	standings := s.standings
	if len(standings) == 0 {
		standings = []Standing{{}}
	}
	at := events(s.episode, s.row, s.fixAt)
	lead, whose := map[policy.Clock]policy.Deadline{}, map[policy.Clock]Standing{}
	for _, standing := range standings {
		all, err := p.Deadlines(standing.fill(base), at)
		if err != nil {
			return nil, nil, err
		}
		for clock, d := range all {
			if l, ok := lead[clock]; !ok || d.Due.Before(l.Due) {
				lead[clock], whose[clock] = d, standing
			}
		}
	}
	return lead, whose, nil
}

// clocks gives the clocks of a subject as they stand now, given what was recorded. A clock that was stopped and whose reason
// to stop ended runs again, with its old deadline: time is not given back. One that no rule limits any more is stopped by
// the policy.
func (s subject) clocks(p *policy.Compiled, base policy.Facts, recorded map[policy.Clock]Clock, now time.Time) ([]Clock, error) {
	lead, whose, err := s.due(p, base)
	if err != nil {
		return nil, err
	}
	var all []Clock
	for _, name := range policy.Clocks {
		d, limited := lead[name]
		old, known := recorded[name]
		if !limited && !known {
			continue
		}
		c := Clock{Vulnerability: s.episode.Vulnerability, Episode: s.episode.Number, Deadline: d, Policy: p.Version, Lead: whose[name]}
		why, at := s.stopper(d)
		if !limited {
			c = old
			if why == "" {
				why = "the policy limits it no longer"
			}
		}
		c.Stopped, c.StoppedAt, c.BreachedAt, c.FixAt, c.Act = why, old.StoppedAt, old.BreachedAt, s.fixAt, old.Act
		switch {
		case why == "":
			c.StoppedAt = time.Time{}
		case !known || old.Running():
			if c.StoppedAt = at; at.IsZero() || at.After(now) {
				c.StoppedAt = now
			}
		default: // what stopped it first counts, as long as anything does
			c.Stopped = old.Stopped
		}
		c.breach(now)
		all = append(all, c)
	}
	return all, nil
}

// breach notes since when the clock is overdue. What was noted stays noted, unless the deadline moved behind it.
func (c *Clock) breach(now time.Time) {
	end := now
	if !c.Running() {
		end = c.StoppedAt
	}
	switch late := end.After(c.Due); {
	case late && c.BreachedAt.IsZero():
		c.BreachedAt = c.Due
	case !late:
		c.BreachedAt = time.Time{}
	}
}
