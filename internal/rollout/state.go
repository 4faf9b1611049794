package rollout

import (
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// State of one host's run.
type State string

// A run goes waiting → offered → begun → one of the outcomes. An offer that is not begun before the rollout halts or its window
// closes goes back to waiting. Lost and missed are given when the window has been closed for the time of Grace; a late report still
// replaces lost, because what a host signed is worth more than our assumption.
const (
	Waiting     State = "waiting"           // its wave has not come
	Offered     State = "offered"           // the host was handed the warrant
	Begun       State = "begun"             // the host is about to start, or started, its executor
	Done        State = warrant.Done        // the plan was carried out
	Refused     State = warrant.Refused     // the executor refused before changing anything; Code says which attack it looks like
	Failed      State = warrant.RunFailed   // the executor tried and did not succeed
	Interrupted State = warrant.Interrupted // the executor was stopped in the middle and says so
	Lost        State = "lost"              // offered, then silence
	Missed      State = "missed"            // not begun: the host came too late or not at all, or the rollout halted before its wave
)

// Grace is how long after its window a run may still report before it counts as lost.
const Grace = time.Hour

// Final reports whether nothing but a late report can change the state.
func (s State) Final() bool { return !slices.Contains([]State{Waiting, Offered, Begun}, s) }

// bad reports whether the state counts against the failure budget.
func (s State) bad() bool {
	return slices.Contains([]State{Refused, Failed, Interrupted, Lost}, s)
}

// mayBecome is the state machine of a run.
func (s State) mayBecome(to State) bool {
	switch to {
	case Waiting:
		return s == Offered
	case Offered:
		return s == Waiting
	case Begun:
		return s == Offered
	case Done, Refused, Failed, Interrupted:
		// An executor that got the warrant twice, or whose begin never reached us, still tells the truth.
		return !s.Final() || s == Lost || s == Missed
	case Lost:
		return s == Offered || s == Begun
	case Missed:
		return s == Waiting
	}
	return false
}

// Rollout states.
const (
	Running = "running"
	Halted  = "halted" // the failure budget is spent, or a person halted it: nobody is offered anything
	Ended   = "ended"  // every run is final
)

// Run is one host's part of a rollout.
type Run struct {
	Order     string
	Host      string
	Position  int
	Wave      int
	State     State
	Code      string // of a refusal or failure
	OfferedAt time.Time
	BegunAt   time.Time
	EndedAt   time.Time
	Report    string            // digest of the stored report envelope
	Payload   string            // digest of the report's payload, by which a repeat is known
	Session   string            // digest of the session log
	Before    *wire.Observation // known from begun on
	After     *wire.Observation // known from the report on
	Disputed  string            // payload digest of the last report that contradicted the first
}

// Rollout is an order on its way to its hosts.
type Rollout struct {
	Order       string
	OrderDigest string // of the order's payload
	Author      string
	Envelope    string // digest of the order's envelope with its signatures
	Curation    string // digest of the curation record's envelope
	Warranted   int64  // index of the act order.warranted
	Sequence    int64
	Window      warrant.Window
	State       string
	Budget      int // failed runs it bears before it halts; grows when a person resumes it
	StartedAt   time.Time
	EndedAt     time.Time // when its runs came to what they are: a late report moves it
}

// waves puts n hosts in waves, each twice as large as the one before: 1 (the canary), 2, 4, … It gives the wave of each
// position.
func waves(n int) []int {
	wave := make([]int, 0, n)
	for k, size := 0, 1; len(wave) < n; k, size = k+1, size*2 {
		for range min(size, n-len(wave)) {
			wave = append(wave, k)
		}
	}
	return wave
}

// mayOffer decides whether a run's host is handed the warrant now; first is the position of the rollout's first run that is not final.
// A run that has begun is handed it again whatever the rollout's state: the executor answers a known order with its stored outcome
// and never runs it twice.
func mayOffer(r Rollout, run Run, first int, now time.Time) bool {
	if run.State == Begun {
		return true
	}
	if r.State != Running || run.State.Final() || now.Before(r.Window.OpensAt) || !now.Before(r.Window.ClosesAt) {
		return false
	}
	return first >= 1<<run.Wave-1 // where its wave begins: all before are final
}

// settled is the state of a rollout given how many of its runs are in each state.
func settled(r Rollout, runs map[State]int) string {
	failures, open := 0, 0
	for state, n := range runs {
		if state.bad() {
			failures += n
		}
		if !state.Final() {
			open += n
		}
	}
	switch {
	case open == 0:
		return Ended
	case failures > r.Budget:
		return Halted
	default:
		return r.State
	}
}

// overdue gives the state of a run whose window has been closed for longer than Grace; the same state otherwise.
func overdue(r Rollout, run Run, now time.Time) State {
	if run.State.Final() || now.Before(r.Window.ClosesAt.Add(Grace)) {
		return run.State
	}
	if run.State == Waiting {
		return Missed
	}
	return Lost
}

// Succeeded reports whether every run of an ended rollout is done.
func Succeeded(runs []Run) bool {
	return !slices.ContainsFunc(runs, func(r Run) bool { return r.State != Done })
}

func conflict(run Run, to State) error {
	return fault.New(fault.Conflict, "run of order %s on host %s is %s and cannot become %s", run.Order, run.Host, run.State, to)
}
