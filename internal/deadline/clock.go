package deadline

import (
	"fmt"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/exposure"
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
	episode   exposure.Episode
	row       triage.Vulnerability // as the view has it
	standings []Standing           // of the hosts affected or waiting for a reboot
	reviewed  bool
	assessed  *Assessment
	fixAt     time.Time
}

// over says whether nothing is seen any more of what made its limits as tight as they were: the limits that held until then count.
func (s subject) over() bool {
	return !s.episode.FixedAt.IsZero() || !s.episode.GoneAt.IsZero() ||
		s.row.Affected+s.row.AfterReboot == 0 && (!s.episode.AffectedAt.IsZero() || len(s.row.Releases) == 0)
}

// stopper says what stops a clock, and since when as far as that is known; empty: nothing does. answered: no host is left for which
// it runs.
func (s subject) stopper(clock policy.Clock, answered bool) (why string, at time.Time) {
	switch {
	case !s.episode.FixedAt.IsZero():
		return "observed fixed on the last host", s.episode.FixedAt
	case !s.episode.GoneAt.IsZero():
		return s.episode.Gone, s.episode.GoneAt
	case clock == policy.Review && (s.reviewed || s.assessed != nil || answered):
		return "reviewed", time.Time{}
	case clock == policy.Assessment && s.assessed != nil:
		return "assessment " + s.assessed.ID, s.assessed.MadeAt
	case clock == policy.Remediation && s.row.Affected+s.row.AfterReboot == 0 && (s.row.Undetermined == 0 || s.episode.AffectedAt.IsZero()):
		return "no host is known to be affected", time.Time{}
	case (clock == policy.Response || clock == policy.Remediation) && answered:
		return s.answer()
	}
	return "", time.Time{}
}

// settling are the kinds of decision after which nothing is left to remediate while they are in force.
var settling = []string{triage.NotConcerned, triage.Reject, triage.AcceptRisk}

// answers says whether the decision that holds for some hosts stops a clock for them.
func answers(decision *triage.Decision, d policy.Deadline) bool {
	if decision == nil || d.Clock == policy.Assessment {
		return false
	}
	return d.Clock != policy.Remediation || d.PlanStops || slices.Contains(settling, decision.Kind)
}

// answer names the decisions that together answer for all hosts: the one made last, and how many others there are.
func (s subject) answer() (why string, at time.Time) {
	var last *triage.Decision
	known := map[string]bool{}
	for _, standing := range s.hosts() {
		d := standing.decided(s.row.Decisions)
		if d == nil {
			continue // no rule limits the clock for these
		}
		if known[d.ID] = true; last == nil || d.MadeAt.After(last.MadeAt) {
			last = d
		}
	}
	if why = "decision " + last.ID; len(known) > 1 {
		why += fmt.Sprintf(" and %d more", len(known)-1)
	}
	return why, last.MadeAt
}

// hosts gives the standings of the hosts affected; where none is, that of no host.
func (s subject) hosts() []Standing {
	if len(s.standings) == 0 {
		return []Standing{{}}
	}
	return s.standings
}

// decided gives the decision in force that holds for hosts of a standing: the one with the narrowest scope.
func (s Standing) decided(all []triage.Decision) *triage.Decision {
	d, found := triage.Holds(all, s.host, s.Environment, s.Groups)
	if !found {
		return nil
	}
	return &d
}

// lead is the deadline of a clock that leads, whose it is, and whether decisions stop it for all hosts.
type lead struct {
	policy.Deadline
	whose    Standing
	answered bool
}

// due applies the policy to every standing, and gives for each clock the deadline that leads: the tightest of the hosts that no
// decision answers for, and where there are none left, of all.
func (s subject) due(p *policy.Compiled, base policy.Facts) (map[policy.Clock]lead, error) {
	at := events(s.episode, s.row, s.fixAt)
	leads := map[policy.Clock]lead{}
	for _, standing := range s.hosts() {
		decision := standing.decided(s.row.Decisions)
		all, err := p.Deadlines(standing.fill(base), at)
		if err != nil {
			return nil, err
		}
		for clock, d := range all {
			l, known := leads[clock]
			done := answers(decision, d)
			if !known || l.answered && !done || l.answered == done && d.Due.Before(l.Due) {
				leads[clock] = lead{d, standing, done}
			}
		}
	}
	return leads, nil
}

// clocks gives the clocks of a subject as they stand now, given what was recorded. A clock that was stopped and whose reason
// to stop ended runs again, with its old deadline: time is not given back. One that no rule limits any more is stopped by
// the policy.
func (s subject) clocks(p *policy.Compiled, base policy.Facts, recorded map[policy.Clock]Clock, now time.Time) ([]Clock, error) {
	leads, err := s.due(p, base)
	if err != nil {
		return nil, err
	}
	var all []Clock
	for _, name := range policy.Clocks {
		l, limited := leads[name]
		old, known := recorded[name]
		if !limited && !known {
			continue
		}
		c := Clock{Vulnerability: s.episode.Vulnerability, Episode: s.episode.Number, Deadline: l.Deadline, Policy: p.Version, Lead: l.whose}
		if known && s.over() {
			l.Deadline, limited, c.Deadline, c.Policy, c.Lead = old.Deadline, true, old.Deadline, old.Policy, old.Lead
		}
		why, at := s.stopper(l.Clock, l.answered)
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
