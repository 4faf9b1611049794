package rollout

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Begin notes that a host is about to hand the warrant to its executor. Said again it changes nothing. Conflict tells the
// host not to: the rollout halted, the window closed, or the run is over.
func (s *Rollouts) Begin(ctx context.Context, host string, b wire.Begin) error {
	var refused error
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		refused = nil
		r, err := loadRollout(ctx, tx, b.Order)
		if err != nil {
			return err
		}
		run, err := loadRun(ctx, tx, b.Order, host)
		if err != nil || run.State == Begun {
			return err
		}
		switch {
		case r.State == Halted:
			refused = fault.New(fault.Conflict, "the rollout of order %s is halted; do not begin", b.Order)
		case !s.Now().Before(r.Window.ClosesAt):
			refused = fault.New(fault.Conflict, "the window of order %s closed at %s; do not begin", b.Order, r.Window.ClosesAt)
		default:
			run.BegunAt, run.Before = s.Now(), &b.Before
			return s.move(ctx, tx, run, Begun, "host/"+host, observed(b.Before))
		}
		if run.State != Offered {
			return nil
		}
		return s.move(ctx, tx, run, Waiting, "server", nil)
	})
	return wrap("begin order "+b.Order+" on host "+host, errors.Join(err, refused))
}

// Report takes what the host's executor signed and what the host looked like. The same report again changes nothing; one
// that contradicts an earlier one changes no outcome but is an act (rollout.contradicted) and a Conflict.
func (s *Rollouts) Report(ctx context.Context, host string, in wire.Report) error {
	known, err := s.Hosts.Host(ctx, host)
	if err != nil {
		return err
	}
	var r Rollout
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		r, err = loadRollout(ctx, tx, in.Order)
		return err
	})
	if err != nil {
		return err
	}
	said, err := readReport(in, known, r.OrderDigest)
	if err != nil {
		return wrap("report of host "+host+" on order "+in.Order, err)
	}
	stored, err := s.keep(ctx, in.Envelope)
	if err != nil {
		return err
	}
	var refused error
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		refused = nil
		run, err := loadRun(ctx, tx, in.Order, host)
		if err != nil {
			return err
		}
		payload := envelope.Digest(in.Envelope.Payload)
		if run.Payload == payload {
			return nil
		}
		if run.Payload != "" {
			refused = fault.New(fault.Conflict, "host %s reported on order %s before, and differently", host, in.Order)
			return s.dispute(ctx, tx, run, payload, stored)
		}
		run.Code, run.Report, run.Payload, run.Session = said.Code, stored, payload, said.Session
		run.After, run.EndedAt = &in.After, s.Now()
		if run.Before == nil {
			run.Before = &in.Before
		}
		facts := slices.Concat([]string{stored}, nonempty(said.Session), observed(*run.Before), observed(in.After))
		if err := s.move(ctx, tx, run, State(said.Outcome), "host/"+host, facts); err != nil {
			return err
		}
		return s.settle(ctx, tx, in.Order)
	})
	return wrap("report on order "+in.Order, errors.Join(err, refused))
}

func (s *Rollouts) keep(ctx context.Context, e envelope.Envelope) (string, error) {
	b, err := envelope.Encode(e)
	if err != nil {
		return "", err
	}
	digest, err := blob.PutBytes(ctx, s.Blobs, b)
	return digest, wrap("keep report", err)
}

// dispute records a report that contradicts the first, once for each such report in a row.
func (s *Rollouts) dispute(ctx context.Context, tx *db.Tx, run Run, payload, stored string) error {
	if run.Disputed == payload {
		return nil
	}
	run.Disputed = payload
	if err := saveRun(ctx, tx, run); err != nil {
		return err
	}
	return s.act(ctx, tx, "rollout.contradicted", "run/"+run.Order+"/"+run.Host, "host/"+run.Host,
		[]string{run.Report, stored}, map[string]any{"state": run.State})
}

// move is one transition of a run with its act.
func (s *Rollouts) move(ctx context.Context, tx *db.Tx, run Run, to State, who string, facts []string) error {
	if !run.State.mayBecome(to) {
		return conflict(run, to)
	}
	detail := map[string]any{"wave": run.Wave}
	if run.Code != "" {
		detail["code"] = run.Code
	}
	if run.State == Lost || run.State == Missed {
		detail["late"] = true
	}
	kind := "run." + string(to)
	if to == Waiting {
		kind = "run.withdrawn"
	}
	run.State = to
	if err := saveRun(ctx, tx, run); err != nil {
		return err
	}
	return s.act(ctx, tx, kind, "run/"+run.Order+"/"+run.Host, who, facts, detail)
}

// settle halts or ends the rollout where its runs say so. A late report, of which the act of its run tells, moves the end.
func (s *Rollouts) settle(ctx context.Context, tx *db.Tx, order string) error {
	r, err := loadRollout(ctx, tx, order)
	if err != nil {
		return err
	}
	runs, err := counts(ctx, tx, order)
	if err != nil {
		return err
	}
	state := settled(r, runs)
	if state == r.State && state != Ended {
		return nil
	}
	late := state == r.State
	r.State = state
	if state == Ended {
		r.EndedAt = s.Now()
	}
	if err := saveRollout(ctx, tx, r); err != nil || late {
		return err
	}
	return s.act(ctx, tx, "rollout."+state, "rollout/"+order, "server", []string{r.OrderDigest}, map[string]any{"runs": runs})
}

// Sweep gives up on runs whose window has been closed for longer than Grace.
func (s *Rollouts) Sweep(ctx context.Context) error {
	var late []string
	err := s.DB.Read(ctx, func(tx *db.Tx) error {
		for _, state := range []string{Running, Halted} {
			open, err := inState(ctx, tx, state)
			if err != nil {
				return err
			}
			for _, r := range open {
				if !s.Now().Before(r.Window.ClosesAt.Add(Grace)) {
					late = append(late, r.Order)
				}
			}
		}
		return nil
	})
	for _, order := range late {
		err = errors.Join(err, wrap("give up on order "+order, s.DB.Write(ctx, func(tx *db.Tx) error { return s.giveUp(ctx, tx, order) })))
	}
	return err
}

func (s *Rollouts) giveUp(ctx context.Context, tx *db.Tx, order string) error {
	r, runs, err := load(ctx, tx, order)
	if err != nil {
		return err
	}
	for _, run := range runs {
		to := overdue(r, run, s.Now())
		if to == run.State {
			continue
		}
		run.EndedAt = s.Now()
		if err := s.move(ctx, tx, run, to, "server", nil); err != nil {
			return err
		}
	}
	return s.settle(ctx, tx, order)
}

// observed gives the digests of an observation, in a fixed order.
func observed(o wire.Observation) []string {
	digests := append(nonempty(o.PackageSet), nonempty(o.Facts)...)
	for _, root := range slices.Sorted(maps.Keys(o.RootFacts)) {
		digests = append(digests, o.RootFacts[root])
	}
	for _, root := range slices.Sorted(maps.Keys(o.Trees)) {
		digests = append(digests, o.Trees[root])
	}
	return digests
}

func nonempty(digest string) []string {
	if digest == "" {
		return nil
	}
	return []string{digest}
}
