// Package policy says by when a vulnerability must be reviewed, assessed, answered and remediated: rules as data, read over
// the facts about it and about the hosts it affects.
package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/expr"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Clock is something that must have happened in time.
type Clock string

// The clocks. Source; NCSSR 2.0.5, 4.3 names review, response and remediation.
const (
	Review      Clock = "review"      // a person read the advisory
	Assessment  Clock = "assessment"  // the impact is assessed
	Response    Clock = "response"    // a signed decision says what is done about it
	Remediation Clock = "remediation" // no host is affected any more: observed, not said
)

// Clocks lists them in the order in which they run out.
var Clocks = []Clock{Review, Assessment, Response, Remediation}

// Event starts a clock.
type Event string

// The events. One that has not happened starts nothing.
const (
	Published   Event = "published"    // a source first stated it; not known: identified
	Identified  Event = "identified"   // it was first known here
	Detected    Event = "detected"     // a host here was first seen affected
	FixReleased Event = "fix-released" // a fixed version was first known here
	Exploited   Event = "exploited"    // a catalogue lists it as exploited
)

var events = []Event{Published, Identified, Detected, FixReleased, Exploited}

// Type is the payload type of a signed policy.
const Type = "application/vnd.patchwarrant.policy.v1+json"

const predicate = "https://patchwarrant.org/policy/v1"

// Policy is a set of limits, in the words that people sign when they put it in force.
type Policy struct {
	Name      string          `json:"name"`    // of the profile it is, or was made from, such as "ncssr-2.0.5"
	Version   int64           `json:"version"` // 0: as shipped, not in force; in force they count from 1
	Title     string          `json:"title"`
	Basis     string          `json:"basis"` // the risk assessment that the limits rest on
	Note      string          `json:"note,omitempty"`
	Rules     []Rule          `json:"rules"`
	Person    string          `json:"person,omitempty"` // who proposes it
	TrustRoot warrant.RootRef `json:"trust_root,omitzero"`
	MadeAt    time.Time       `json:"made_at,omitzero"`
}

// Rule limits one clock for what a condition chooses. Of all rules that apply to a clock, the one due first leads.
type Rule struct {
	Name      string `json:"name"`
	Clause    string `json:"clause"` // of the standard it comes from
	When      string `json:"when"`   // condition over Facts, see Language
	Clock     Clock  `json:"clock"`
	From      Event  `json:"from"`
	Hours     int    `json:"hours"`
	PlanStops bool   `json:"plan_stops,omitempty"` // a signed decision to patch or to defer stops it, too
}

const (
	maxRules = 200
	maxHours = 24 * 366 * 2
)

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)

// Compiled is a policy that was checked and can be applied. It may be used by many at once.
type Compiled struct {
	Policy
	conditions []expr.Condition
}

// Compile checks a policy. Errors are Invalid and name the rule.
func Compile(p Policy) (*Compiled, error) {
	switch {
	case !nameForm.MatchString(p.Name):
		return nil, fault.New(fault.Invalid, "policy: its name is of a-z, 0-9, - and ., at most 64")
	case p.Version < 0 || p.Title == "" || len(p.Title) > 200 || strings.TrimSpace(p.Basis) == "" || len(p.Basis) > 4000 || len(p.Note) > 4000:
		return nil, fault.New(fault.Invalid, "policy: it has a title, and the risk assessment its limits rest on")
	case len(p.Rules) == 0 || len(p.Rules) > maxRules:
		return nil, fault.New(fault.Invalid, "policy: it has 1 to %d rules", maxRules)
	}
	c := &Compiled{Policy: p}
	for i, r := range p.Rules {
		condition, err := r.compile()
		if err != nil {
			return nil, fmt.Errorf("policy: rule %d (%.80q): %w", i+1, r.Name, err)
		}
		if slices.ContainsFunc(p.Rules[:i], func(other Rule) bool { return other.Name == r.Name && other.Clock == r.Clock }) {
			return nil, fault.New(fault.Invalid, "policy: rule %d: another rule for %s has the name %.80q", i+1, r.Clock, r.Name)
		}
		c.conditions = append(c.conditions, condition)
	}
	for _, clock := range Clocks {
		if !slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.Clock == clock }) {
			return nil, fault.New(fault.Invalid, "policy: no rule limits %s; every clock needs one (NCSSR 4.3)", clock)
		}
	}
	return c, nil
}

func (r Rule) compile() (expr.Condition, error) {
	switch {
	case strings.TrimSpace(r.Name) == "" || len(r.Name) > 200 || len(r.Clause) > 200:
		return expr.Condition{}, fault.New(fault.Invalid, "it has a name, and names the clause it comes from")
	case !slices.Contains(Clocks, r.Clock):
		return expr.Condition{}, fault.New(fault.Invalid, "clock %.40q is none of %v", r.Clock, Clocks)
	case !slices.Contains(events, r.From):
		return expr.Condition{}, fault.New(fault.Invalid, "event %.40q is none of %v", r.From, events)
	case r.Hours < 1 || r.Hours > maxHours:
		return expr.Condition{}, fault.New(fault.Invalid, "a limit is 1 to %d hours", maxHours)
	case r.PlanStops && r.Clock != Remediation:
		return expr.Condition{}, fault.New(fault.Invalid, "only remediation can be stopped by a plan")
	}
	return Language.Compile(r.When)
}

// Encode gives the payload to sign.
func (p Policy) Encode() ([]byte, error) { return envelope.EncodeStatement(predicate, nil, p) }

// Decode reads a payload strictly and checks it.
func Decode(payload []byte) (*Compiled, error) {
	p, _, err := envelope.DecodeStatement[Policy](payload, predicate)
	if err != nil {
		return nil, err
	}
	return Compile(p)
}
