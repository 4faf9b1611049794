package triage

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/admit"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// DecisionType is the payload type of a signed decision.
const DecisionType = "application/vnd.patchwarrant.decision.v1+json"

const decisionPredicate = "https://patchwarrant.org/decision/v1"

// Kinds of decision.
const (
	Accept       = "accept"       // remediate by the vendor's patch
	Configure    = "configure"    // remediate by configuration: Reason says how
	Reject       = "reject"       // the vulnerability does not exist here: a false positive
	NotConcerned = "not-affected" // present, but cannot harm: with a VEX justification
	AcceptRisk   = "accept-risk"  // an exception until Until: with Exception
	Defer        = "defer"        // decide again at Until
	Reopen       = "reopen"       // undo: what was decided for this scope ends, and nothing takes its place
)

// kinds lists them, with the seats that their signatures fill: each by a different person with one of its roles. "No impact"
// closes a vulnerability only with CIRT and product manager agreeing; a risk is accepted by the risk manager and
// presented to the CIRT.
var kinds = map[string][][]string{
	Accept: {deciders}, Configure: {deciders}, Defer: {deciders}, Reopen: {deciders},
	Reject: {{"cirt-analyst"}, {"product-manager"}}, NotConcerned: {{"cirt-analyst"}, {"product-manager"}},
	AcceptRisk: {{"risk-manager"}, {"cirt-analyst"}},
}

// Kinds gives the kinds of decision, as people choose them.
func Kinds() []string {
	return []string{Accept, Configure, NotConcerned, Reject, AcceptRisk, Defer, Reopen}
}

// Seats gives the roles whose agreement a kind of decision needs, each from a different person; none for what is no kind.
func Seats(kind string) [][]string { return kinds[kind] }

// Grounds of an accepted risk. Source: R-407.
var Grounds = []string{"not-vulnerable-here", "limited-threat", "incompatible"}

// Exception is what an accepted risk says beside its reason. Source: R-407.
type Exception struct {
	Ground  string `json:"ground"`  // see Grounds
	Control string `json:"control"` // compensating control
	Owner   string `json:"owner"`   // person ID
	Plan    string `json:"plan"`    // what is done instead
}

// FleetScope is the scope of a decision for all hosts. Others are "environment/NAME", "group/NAME" and "host/ID"; for a host the
// narrowest decision in force holds, see Holds.
const FleetScope = "fleet"

// Justifications are OpenVEX's for not_affected. Source: OpenVEX 0.2.0, "Status Justifications".
var Justifications = []string{"component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
	"vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist"}

// deciders are the roles that may decide about vulnerabilities.
var deciders = []string{"cirt-analyst", "product-manager", "risk-manager"}

// maxTerm bounds how far Until may lie ahead of the decision. Source: R-404, every term ends; a year is the longest.
const maxTerm = 366 * 24 * time.Hour

// maxDrafted is how long a draft may wait for its signature, maxWaiting how long for the second one.
const (
	maxDrafted = 24 * time.Hour
	maxWaiting = 7 * 24 * time.Hour
)

// Decision is what a person decides about a vulnerability, in the words that are signed. Undoing one is deciding anew: a
// later decision with the same vulnerability and scope takes the place of the earlier.
type Decision struct {
	ID            string          `json:"id"`
	Vulnerability string          `json:"vulnerability"` // "CVE-…/source"
	Kind          string          `json:"kind"`
	Scope         string          `json:"scope"`
	Justification string          `json:"justification,omitempty"` // only with NotConcerned
	Reason        string          `json:"reason"`
	Exception     *Exception      `json:"exception,omitempty"` // only with AcceptRisk
	Until         time.Time       `json:"until,omitzero"`      // when it re-opens; required with Defer and AcceptRisk
	Facts         []string        `json:"facts"`               // digests of what it rests on, sorted; see grounds
	Also          []Item          `json:"also,omitempty"`      // further vulnerabilities of one decision about many, sorted
	Person        string          `json:"person"`              // person ID
	TrustRoot     warrant.RootRef `json:"trust_root"`
	MadeAt        time.Time       `json:"made_at"`
}

// Encode gives the payload to sign: a statement about the facts, with the decision as predicate.
func (d Decision) Encode() ([]byte, error) {
	return envelope.EncodeStatement(decisionPredicate, d.subjects(), d)
}

func (d Decision) subjects() []envelope.Subject {
	subjects := make([]envelope.Subject, 0, len(d.Facts))
	for _, part := range d.Parts() {
		for _, digest := range part.Facts {
			subjects = append(subjects, envelope.Subject{Name: part.Vulnerability, Digest: envelope.DigestSet{SHA256: digest}})
		}
	}
	return subjects
}

// DecodeDecision reads a payload strictly; anything unsound in itself is fault.Invalid.
func DecodeDecision(payload []byte) (Decision, error) {
	d, subjects, err := envelope.DecodeStatement[Decision](payload, decisionPredicate)
	if err != nil {
		return Decision{}, err
	}
	if !slices.Equal(subjects, d.subjects()) {
		return Decision{}, fault.New(fault.Invalid, "decision: the subjects signed are not its facts")
	}
	return d, d.check()
}

var (
	vulnerabilityForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._-]{1,63}/[A-Za-z0-9_][A-Za-z0-9_+.-]{0,199}$`) // as parsers name them
	scopeForm         = regexp.MustCompile(`^(fleet|environment/[a-z0-9][a-z0-9-]{0,63}|group/[a-z0-9][a-z0-9-]{0,63}|host/[a-z0-9_]{1,64})$`)
)

// check finds what is wrong with a decision in itself.
func (d Decision) check() error {
	reason := strings.TrimSpace(d.Reason)
	switch {
	case !id.Valid("dec", d.ID):
		return d.invalid("id", "is no decision ID")
	case !scopeForm.MatchString(d.Scope):
		return d.invalid("scope", "is none of fleet, environment/NAME, group/NAME, host/ID")
	case kinds[d.Kind] == nil:
		return d.invalid("kind", "is none of "+strings.Join(Kinds(), ", "))
	case reason == "" || len(d.Reason) > 4000:
		return d.invalid("reason", "is missing or longer than 4,000 bytes")
	case (d.Kind == NotConcerned) != slices.Contains(Justifications, d.Justification) || d.Kind != NotConcerned && d.Justification != "":
		return d.invalid("justification", "goes with not-affected, and is one of "+strings.Join(Justifications, ", "))
	case (d.Kind == AcceptRisk) != (d.Exception != nil):
		return d.invalid("exception", "goes with accept-risk, which needs one")
	case (d.Kind == Defer || d.Kind == AcceptRisk) && d.Until.IsZero():
		return d.invalid("until", "is missing: a deferral and an accepted risk have a term")
	case (d.Kind == Accept || d.Kind == Reopen) && !d.Until.IsZero():
		return d.invalid("until", "does not go with "+d.Kind)
	case !d.Until.IsZero() && (!d.Until.After(d.MadeAt) || d.Until.Sub(d.MadeAt) > maxTerm):
		return d.invalid("until", "is before the decision or more than a year after it")
	}
	if d.Exception != nil {
		if err := d.Exception.check(d); err != nil {
			return err
		}
	}
	return d.checkAlso()
}

func (x Exception) check(d Decision) error {
	text := func(s string) bool { return strings.TrimSpace(s) != "" && len(s) <= 4000 }
	switch {
	case !slices.Contains(Grounds, x.Ground):
		return d.invalid("ground", "is none of "+strings.Join(Grounds, ", "))
	case !text(x.Control):
		return d.invalid("control", "is missing or longer than 4,000 bytes: what compensates for the risk")
	case !text(x.Plan):
		return d.invalid("plan", "is missing or longer than 4,000 bytes: what is done instead")
	case x.Owner == "" || len(x.Owner) > 64:
		return d.invalid("owner", "is missing: whose risk it is")
	}
	return nil
}

func (d Decision) invalid(field, problem string) error {
	return fault.New(fault.Invalid, "decision: %s %s", field, problem)
}

// verify says whether an envelope is this decision signed by its person, and by nobody but people whose roles it needs; and
// whether those are all it needs. A role that is limited counts only if its scope covers the places of all hosts touched.
func (d Decision) verify(e envelope.Envelope, root *trustroot.Root, touched []trustroot.Place, now time.Time, within time.Duration) (complete bool, err error) {
	if err := root.Current(now); err != nil {
		return false, err
	}
	if d.TrustRoot != warrant.RefOf(root) {
		return false, fault.New(fault.Conflict, "decision: it was drafted under version %d of the trust root, version %d is in force; draft it again",
			d.TrustRoot.Version, root.Version)
	}
	if d.MadeAt.After(now.Add(time.Minute)) || now.Sub(d.MadeAt) > within {
		return false, fault.New(fault.Conflict, "decision: drafted at %s, which is not within the last %s; draft it again", d.MadeAt.Format(time.RFC3339), term(within))
	}
	if !d.Until.IsZero() && !now.Before(d.Until) {
		return false, fault.New(fault.Conflict, "decision: its term ended at %s, before it came in force; draft it again", d.Until.Format(time.RFC3339))
	}
	if d.Exception != nil {
		if _, ok := root.Person(d.Exception.Owner); !ok {
			return false, fault.New(fault.Invalid, "decision: owner: the trust root has no such person")
		}
	}
	approvals, err := root.Approvals(e)
	if err != nil {
		return false, err
	}
	seats := kinds[d.Kind]
	if len(approvals) == 0 || len(approvals) > len(seats) || approvals[0].Person.ID != d.Person {
		return false, fault.Refuse(fault.BadSignature, "decision: want the signature of %s, and no other", d.Person)
	}
	for i, a := range approvals {
		if !slices.ContainsFunc(seats, func(seat []string) bool { return holdsOneOf(a.Person, seat) }) {
			return false, fault.New(fault.Denied, "decision: %s has none of the roles %s", a.Person.ID, strings.Join(slices.Concat(seats...), ", "))
		}
		if err := admit.Person(seats, a.Person, touched...); err != nil {
			return false, fmt.Errorf("decision: %w", err)
		}
		if i > 0 && !trustroot.Seated(seats, approvals, touched...) {
			return false, fault.Refuse(fault.Quorum, "decision: it needs a %s, two different people", strings.ReplaceAll(strings.Join(slices.Concat(seats...), " and a "), "-", " "))
		}
	}
	return len(approvals) == len(seats), nil
}

func term(d time.Duration) string {
	if d == maxDrafted {
		return "day"
	}
	return "week"
}

func holdsOneOf(p trustroot.Person, roles []string) bool {
	return slices.ContainsFunc(p.Roles, func(role string) bool { return slices.Contains(roles, role) })
}

// Holds picks, of the decisions in force on one vulnerability, the one for a host: the narrowest scope, which is the host, then a
// group, then the environment, then the fleet. Of several groups the decision that settles least counts, then the one made last.
func Holds(decisions []Decision, host, environment string, groups []string) (Decision, bool) {
	rank := func(d Decision) int {
		group, of := strings.CutPrefix(d.Scope, "group/")
		switch {
		case d.Scope == "host/"+host:
			return 4
		case of && slices.Contains(groups, group):
			return 3
		case d.Scope == "environment/"+environment:
			return 2
		case d.Scope == FleetScope:
			return 1
		}
		return 0
	}
	if len(decisions) == 0 {
		return Decision{}, false
	}
	best := slices.MaxFunc(decisions, func(a, b Decision) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), openness(a)-openness(b), a.MadeAt.Compare(b.MadeAt), cmp.Compare(a.ID, b.ID))
	})
	if rank(best) == 0 {
		return Decision{}, false
	}
	return best, true
}

// openness is how much a decision leaves to be done.
func openness(d Decision) int {
	return slices.Index([]string{NotConcerned, Reject, AcceptRisk, Configure, Accept, Defer}, d.Kind)
}
