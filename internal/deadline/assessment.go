package deadline

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// AssessmentType is the payload type of a signed assessment.
const AssessmentType = "application/vnd.patchwarrant.assessment.v1+json"

const assessmentPredicate = "https://patchwarrant.org/assessment/v1"

// Factors are what an assessment weighs. Source: R-403, the six factors of an impact assessment.
type Factors struct {
	Exploit     string `json:"exploit"`     // see Exploits
	Complexity  string `json:"complexity"`  // of the exploit: see Levels
	Effect      string `json:"effect"`      // severity of the effect: see Effects
	Criticality string `json:"criticality"` // of the systems at risk: see record.Criticalities
	Location    string `json:"location"`    // of the most exposed: see record.Exposures
	Beachhead   bool   `json:"beachhead"`   // who takes one of these systems reaches others
	Patch       bool   `json:"patch"`       // the vendor has a patch
}

// The values of factors, from the least to the worst.
var (
	Exploits    = []string{"none", "published", "self-replicating"}
	Levels      = []string{"high", "medium", "low"} // a low complexity is the worst
	Effects     = []string{"low", "medium", "high", "critical"}
	Criticality = []string{"low", "medium", "high", "critical"}
	Locations   = []string{"isolated", "internal", "dmz", "internet"}
	Severities  = []string{"unknown", "low", "medium", "high", "critical"}
	Priorities  = []string{"low", "normal", "high", "urgent"}
)

// Priority weighs the factors: an exploit that is out, an easy one, a grave effect, critical systems and an exposed place each
// raise it. A missing patch lowers nothing: then another remedy is as urgent.
func (f Factors) Priority() string {
	points := 2*slices.Index(Exploits, f.Exploit) + slices.Index(Levels, f.Complexity) + slices.Index(Effects, f.Effect) +
		slices.Index(Criticality, f.Criticality) + slices.Index(Locations, f.Location)
	if f.Beachhead {
		points++
	}
	switch {
	case points >= 11 || f.Exploit == "self-replicating" && f.Location == "internet":
		return "urgent"
	case points >= 8:
		return "high"
	case points >= 4:
		return "normal"
	}
	return "low"
}

// Assessment is how a person assessed a vulnerability, in the words that are signed. A later one takes the place of the one
// before. A severity other than what sources give, or a priority other than what the factors give, has its reason here:
// nobody lowers either in silence.
type Assessment struct {
	ID            string          `json:"id"`
	Vulnerability string          `json:"vulnerability"` // ID/source
	Factors       Factors         `json:"factors"`
	Given         string          `json:"given"`    // severity by the sources when it was assessed
	Severity      string          `json:"severity"` // see Severities
	Priority      string          `json:"priority"` // see Priorities
	Automatable   bool            `json:"automatable"`
	Total         bool            `json:"total"` // exploitation gives total control
	Reason        string          `json:"reason"`
	Person        string          `json:"person"`
	TrustRoot     warrant.RootRef `json:"trust_root"`
	MadeAt        time.Time       `json:"made_at"`
}

// Encode gives the payload to sign.
func (a Assessment) Encode() ([]byte, error) {
	return envelope.EncodeStatement(assessmentPredicate, nil, a)
}

// DecodeAssessment reads a payload strictly; anything unsound in itself is fault.Invalid.
func DecodeAssessment(payload []byte) (Assessment, error) {
	a, _, err := envelope.DecodeStatement[Assessment](payload, assessmentPredicate)
	if err != nil {
		return a, err
	}
	return a, a.check()
}

// minReason is the least a reason says, in bytes.
const minReason = 10

func (a Assessment) check() error {
	bad := func(field, problem string) error {
		return fault.New(fault.Invalid, "assessment: %s %s", field, problem)
	}
	if !id.Valid("asm", a.ID) {
		return bad("id", "is no assessment ID")
	}
	for _, x := range []struct {
		field, value string
		of           []string
	}{
		{"exploit", a.Factors.Exploit, Exploits}, {"complexity", a.Factors.Complexity, Levels}, {"effect", a.Factors.Effect, Effects},
		{"criticality", a.Factors.Criticality, Criticality}, {"location", a.Factors.Location, Locations},
		{"given", a.Given, Severities}, {"severity", a.Severity, Severities}, {"priority", a.Priority, Priorities},
	} {
		if !slices.Contains(x.of, x.value) {
			return bad(x.field, "is none of "+strings.Join(x.of, ", "))
		}
	}
	if len(a.Reason) > 4000 {
		return bad("reason", "is longer than 4,000 bytes")
	}
	if a.differs() && len(strings.TrimSpace(a.Reason)) < minReason {
		return bad("reason", "is missing: the severity is not the one that sources give, or the priority not the one that the factors give")
	}
	return nil
}

func (a Assessment) differs() bool {
	return a.Severity != a.Given || a.Priority != a.Factors.Priority()
}

// assessors are the roles that may assess.
var assessors = []string{"cirt-analyst", "product-manager", "risk-manager"}

// maxDrafted is how long a draft may wait for its signature.
const maxDrafted = 24 * time.Hour

// verify says whether an envelope is this assessment signed by its person, alone, with a role that may assess.
func (a Assessment) verify(e envelope.Envelope, root *trustroot.Root, now time.Time) error {
	if err := root.Current(now); err != nil {
		return err
	}
	if a.TrustRoot != warrant.RefOf(root) {
		return fault.New(fault.Conflict, "assessment: it was drafted under version %d of the trust root, version %d is in force; draft it again",
			a.TrustRoot.Version, root.Version)
	}
	if a.MadeAt.After(now.Add(time.Minute)) || now.Sub(a.MadeAt) > maxDrafted {
		return fault.New(fault.Conflict, "assessment: drafted at %s, which is not within the last day; draft it again", a.MadeAt.Format(time.RFC3339))
	}
	approvals, err := root.Approvals(e)
	if err != nil {
		return err
	}
	if len(approvals) != 1 || approvals[0].Person.ID != a.Person {
		return fault.Refuse(fault.BadSignature, "assessment: want the signature of %s, and no other", a.Person)
	}
	if !slices.ContainsFunc(approvals[0].Person.Roles, func(role string) bool { return slices.Contains(assessors, role) }) {
		return fault.New(fault.Denied, "assessment: %s has none of the roles %s", a.Person, strings.Join(assessors, ", "))
	}
	return nil
}

// worst gives the later of two words of a scale; a word that is not on it is before all.
func worst(scale []string, a, b string) string {
	if cmp.Compare(slices.Index(scale, a), slices.Index(scale, b)) < 0 {
		return b
	}
	return a
}
