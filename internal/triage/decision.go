package triage

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// DecisionType is the payload type of a signed decision.
const DecisionType = "application/vnd.patchwarrant.decision.v1+json"

const decisionPredicate = "https://patchwarrant.org/decision/v1"

// Kinds of decision.
const (
	Accept       = "accept"       // remediate by the vendor's patch
	Reject       = "reject"       // the vulnerability does not exist here: a false positive
	NotConcerned = "not-affected" // present, but cannot harm: with a VEX justification
	Defer        = "defer"        // decide again at Until
)

// FleetScope is the scope of a decision for all hosts. Others are "environment/NAME" and "host/ID"; for a host the
// narrowest decision in force holds.
const FleetScope = "fleet"

// Justifications are OpenVEX's for not_affected. Source: OpenVEX 0.2.0, "Status Justifications".
var Justifications = []string{"component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
	"vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist"}

// deciders are the roles that may decide about vulnerabilities.
var deciders = []string{"cirt-analyst", "product-manager", "risk-manager"}

// maxTerm bounds how far Until may lie ahead of the decision. Source: R-404, every term ends; a year is the longest.
const maxTerm = 366 * 24 * time.Hour

// maxDrafted is how long a draft may wait for its signature.
const maxDrafted = 24 * time.Hour

// Decision is what a person decides about a vulnerability, in the words that are signed. Undoing one is deciding anew: a
// later decision with the same vulnerability and scope takes the place of the earlier.
type Decision struct {
	ID            string          `json:"id"`
	Vulnerability string          `json:"vulnerability"` // "CVE-…/source"
	Kind          string          `json:"kind"`
	Scope         string          `json:"scope"`
	Justification string          `json:"justification,omitempty"` // only with NotConcerned
	Reason        string          `json:"reason"`
	Until         time.Time       `json:"until,omitzero"` // when it re-opens; required with Defer
	Facts         []string        `json:"facts"`          // digests of what it rests on, sorted; see Vulnerability.Facts
	Person        string          `json:"person"`         // person ID
	TrustRoot     warrant.RootRef `json:"trust_root"`
	MadeAt        time.Time       `json:"made_at"`
}

// Encode gives the payload to sign: a statement about the facts, with the decision as predicate.
func (d Decision) Encode() ([]byte, error) {
	return envelope.EncodeStatement(decisionPredicate, d.subjects(), d)
}

func (d Decision) subjects() []envelope.Subject {
	subjects := make([]envelope.Subject, 0, len(d.Facts))
	for _, digest := range d.Facts {
		subjects = append(subjects, envelope.Subject{Name: d.Vulnerability, Digest: envelope.DigestSet{SHA256: digest}})
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
	vulnerabilityForm = regexp.MustCompile(`^(CVE|TEMP)-[A-Z0-9-]{1,59}/[a-z0-9][a-z0-9+.-]{1,127}$`)
	scopeForm         = regexp.MustCompile(`^(fleet|environment/[a-z0-9][a-z0-9-]{0,63}|host/[a-z0-9_]{1,64})$`)
)

// check finds what is wrong with a decision in itself.
func (d Decision) check() error {
	reason := strings.TrimSpace(d.Reason)
	switch {
	case !id.Valid("dec", d.ID):
		return d.invalid("id", "is no decision ID")
	case !vulnerabilityForm.MatchString(d.Vulnerability):
		return d.invalid("vulnerability", "is not of the form CVE-…/source")
	case !scopeForm.MatchString(d.Scope):
		return d.invalid("scope", "is none of fleet, environment/NAME, host/ID")
	case !slices.Contains([]string{Accept, Reject, NotConcerned, Defer}, d.Kind):
		return d.invalid("kind", "is none of accept, reject, not-affected, defer")
	case reason == "" || len(d.Reason) > 4000:
		return d.invalid("reason", "is missing or longer than 4,000 bytes")
	case (d.Kind == NotConcerned) != slices.Contains(Justifications, d.Justification) || d.Kind != NotConcerned && d.Justification != "":
		return d.invalid("justification", "goes with not-affected, and is one of "+strings.Join(Justifications, ", "))
	case d.Kind == Defer && d.Until.IsZero():
		return d.invalid("until", "is missing: a deferral has a term")
	case d.Kind == Accept && !d.Until.IsZero():
		return d.invalid("until", "does not go with accept")
	case !d.Until.IsZero() && (!d.Until.After(d.MadeAt) || d.Until.Sub(d.MadeAt) > maxTerm):
		return d.invalid("until", "is before the decision or more than a year after it")
	case len(d.Facts) == 0 || !slices.IsSorted(d.Facts) || len(slices.Compact(slices.Clone(d.Facts))) != len(d.Facts):
		return d.invalid("facts", "are missing, unsorted or repeated")
	}
	return nil
}

func (d Decision) invalid(field, problem string) error {
	return fault.New(fault.Invalid, "decision: %s %s", field, problem)
}

// verify says whether an envelope is this decision signed by its person, alone, with a role that may decide.
func (d Decision) verify(e envelope.Envelope, root *trustroot.Root, now time.Time) error {
	if err := root.Current(now); err != nil {
		return err
	}
	if d.TrustRoot != warrant.RefOf(root) {
		return fault.New(fault.Conflict, "decision: it was drafted under version %d of the trust root, version %d is in force; draft it again",
			d.TrustRoot.Version, root.Version)
	}
	if d.MadeAt.After(now.Add(time.Minute)) || now.Sub(d.MadeAt) > maxDrafted {
		return fault.New(fault.Conflict, "decision: drafted at %s, which is not within the last day; draft it again", d.MadeAt.Format(time.RFC3339))
	}
	approvals, err := root.Approvals(e)
	if err != nil {
		return err
	}
	if len(approvals) != 1 || approvals[0].Person.ID != d.Person {
		return fault.Refuse(fault.BadSignature, "decision: want the signature of %s, and no other", d.Person)
	}
	if !slices.ContainsFunc(approvals[0].Person.Roles, func(role string) bool { return slices.Contains(deciders, role) }) {
		return fault.New(fault.Denied, "decision: %s has none of the roles %s", d.Person, strings.Join(deciders, ", "))
	}
	return nil
}

// holds picks, of the decisions in force on one vulnerability, the one for a host: the narrowest scope.
func holds(decisions []Decision, host, environment string) (Decision, bool) {
	rank := func(d Decision) int {
		switch d.Scope {
		case "host/" + host:
			return 3
		case "environment/" + environment:
			return 2
		case FleetScope:
			return 1
		}
		return 0
	}
	if len(decisions) == 0 {
		return Decision{}, false
	}
	best := slices.MaxFunc(decisions, func(a, b Decision) int { return cmp.Compare(rank(a), rank(b)) })
	return best, rank(best) > 0
}
