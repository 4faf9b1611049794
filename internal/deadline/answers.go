package deadline

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/policy"
)

// Of gives all clocks of a vulnerability, the oldest episode first.
func (d *Deadlines) Of(ctx context.Context, vulnerability string) (all []Clock, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = clocks(ctx, tx, qClocksOf, vulnerability)
		return err
	})
	return all, err
}

// MaxList is the most clocks Running gives at once.
const MaxList = 1000

// Running gives the clocks that run, the longest due first; those after one of them where after is set.
func (d *Deadlines) Running(ctx context.Context, after Clock, limit int) (all []Clock, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = clocks(ctx, tx, qRunning, db.Micros(after.Due), after.Vulnerability, string(after.Clock), min(max(limit, 1), MaxList))
		return err
	})
	return all, err
}

// Overdue gives the vulnerabilities of which a clock ran out and still runs, by name.
func (d *Deadlines) Overdue(ctx context.Context) (names map[string]bool, err error) {
	names = map[string]bool{}
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		all, err := overdue(ctx, tx, d.Now())
		for _, name := range all {
			names[name] = true
		}
		return err
	})
	return names, err
}

// Count is how many clocks of a kind there are.
type Count struct {
	Clock   policy.Clock `json:"clock"`
	Running int          `json:"running"`
	Overdue int          `json:"overdue"` // of those
	Soon    int          `json:"soon"`    // of those, due within a day
	Stopped int          `json:"stopped"` // within the last 90 days
	Late    int          `json:"late"`    // of those
}

const (
	soon   = 24 * time.Hour
	lately = 90 * 24 * time.Hour
)

// Counts gives a row for each kind of clock.
func (d *Deadlines) Counts(ctx context.Context) ([]Count, error) {
	now := d.Now()
	all := make([]Count, len(policy.Clocks))
	of := map[policy.Clock]*Count{}
	for i, clock := range policy.Clocks {
		all[i].Clock, of[clock] = clock, &all[i]
	}
	err := d.DB.Read(ctx, func(tx *db.Tx) error {
		err := count(ctx, tx, qCount, func(c policy.Clock, n []int) { of[c].Running, of[c].Overdue, of[c].Soon = n[0], n[1], n[2] }, 3, db.Micros(now), db.Micros(now.Add(soon)))
		if err != nil {
			return err
		}
		return count(ctx, tx, qMet, func(c policy.Clock, n []int) { of[c].Stopped, of[c].Late = n[0], n[1] }, 2, db.Micros(now.Add(-lately)))
	})
	return all, err
}

// Effect is what another policy would do to the clocks of one kind that run.
type Effect struct {
	Clock       policy.Clock `json:"clock"`
	Same        int          `json:"same"`
	Earlier     int          `json:"earlier"`
	Later       int          `json:"later"`
	Started     int          `json:"started"` // run under it alone
	Ended       int          `json:"ended"`   // run under today's policy alone
	OverdueNow  int          `json:"overdue_now"`
	OverdueThen int          `json:"overdue_then"`
}

// Shift is one clock as it is and as it would be; zero where it does not run.
type Shift struct {
	Vulnerability string       `json:"vulnerability"`
	Clock         policy.Clock `json:"clock"`
	Now           time.Time    `json:"now,omitzero"`
	Then          time.Time    `json:"then,omitzero"`
	Rule          string       `json:"rule,omitempty"` // that would lead
}

// Preview is a policy's dry run over the clocks of today.
type Preview struct {
	Effects []Effect `json:"effects"`
	Shifts  []Shift  `json:"shifts"` // the most pressing that differ, at most MaxShifts
}

// MaxShifts is the most clocks a preview lists.
const MaxShifts = 100

// Try applies a policy to everything open without keeping anything: what it would do to today's clocks.
func (d *Deadlines) Try(ctx context.Context, p policy.Policy) (preview Preview, err error) {
	then, err := policy.Compile(p)
	if err != nil {
		return preview, err
	}
	l, err := d.look(ctx)
	if err != nil {
		return preview, err
	}
	effects := map[policy.Clock]*Effect{}
	for _, c := range policy.Clocks {
		effects[c] = &Effect{Clock: c}
	}
	for _, s := range l.subjects {
		base := l.bases[s.episode.Vulnerability]
		was, err := s.running(l.policy, base, l.at)
		if err != nil {
			return preview, err
		}
		would, err := s.running(then, base, l.at)
		if err != nil {
			return preview, err
		}
		for _, c := range policy.Clocks {
			if shift := effects[c].add(was[c], would[c], l.at); shift {
				preview.Shifts = append(preview.Shifts, Shift{s.episode.Vulnerability, c, was[c].Due, would[c].Due, would[c].Rule})
			}
		}
	}
	for _, c := range policy.Clocks {
		preview.Effects = append(preview.Effects, *effects[c])
	}
	slices.SortFunc(preview.Shifts, func(a, b Shift) int {
		return cmp.Or(cmp.Or(a.Then, a.Now).Compare(cmp.Or(b.Then, b.Now)), cmp.Compare(a.Vulnerability, b.Vulnerability), cmp.Compare(a.Clock, b.Clock))
	})
	preview.Shifts = preview.Shifts[:min(len(preview.Shifts), MaxShifts)]
	return preview, nil
}

// running gives the clocks that would run under a policy.
func (s subject) running(p *policy.Compiled, base policy.Facts, now time.Time) (map[policy.Clock]Clock, error) {
	all, err := s.clocks(p, base, nil, now)
	run := map[policy.Clock]Clock{}
	for _, c := range all {
		if c.Running() {
			run[c.Clock] = c
		}
	}
	return run, err
}

// add counts one clock, and reports whether the two differ.
func (e *Effect) add(was, would Clock, now time.Time) bool {
	if was.Overdue(now) && !was.Due.IsZero() {
		e.OverdueNow++
	}
	if would.Overdue(now) && !would.Due.IsZero() {
		e.OverdueThen++
	}
	switch {
	case was.Due.IsZero() && would.Due.IsZero():
		return false
	case was.Due.IsZero():
		e.Started++
	case would.Due.IsZero():
		e.Ended++
	case would.Due.Before(was.Due):
		e.Earlier++
	case would.Due.After(was.Due):
		e.Later++
	default:
		e.Same++
		return false
	}
	return true
}
