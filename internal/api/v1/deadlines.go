package v1

import (
	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/policy"
)

// Clocks are clocks that run, the longest due first.
type Clocks struct {
	Counts []deadline.Count `json:"counts"`
	Clocks []deadline.Clock `json:"clocks"`
}

// Limits are the clocks of one vulnerability and how it was assessed.
type Limits struct {
	Clocks      []deadline.Clock          `json:"clocks"`
	Assessments []deadline.PastAssessment `json:"assessments"` // the newest first
}

// Policy is a set of limits as people write it; version, person, trust_root and made_at are given by the server.
type Policy struct {
	Name  string        `json:"name" minLength:"1" maxLength:"64"`
	Title string        `json:"title" minLength:"1" maxLength:"200"`
	Basis string        `json:"basis" minLength:"1" maxLength:"4000"`
	Note  string        `json:"note,omitempty" maxLength:"4000"`
	Rules []policy.Rule `json:"rules" minItems:"1" maxItems:"200"`
}

// Of gives the policy of the document.
func (p Policy) Of() policy.Policy {
	return policy.Policy{Name: p.Name, Title: p.Title, Basis: p.Basis, Note: p.Note, Rules: p.Rules}
}

// Policies are the one in force, all that were ever proposed, and the profiles shipped.
type Policies struct {
	InForce  policy.Policy       `json:"in_force"`
	Policies []deadline.Adoption `json:"policies"` // the newest first
	Profiles []policy.Policy     `json:"profiles"`
}

// Statement is the text of a policy for section 6.7 of a CP or CPS.
type Statement struct {
	Text string `json:"text"`
}

// AssessmentDraft says how a person assesses a vulnerability.
type AssessmentDraft struct {
	Vulnerability string           `json:"vulnerability"`
	Factors       deadline.Factors `json:"factors"`
	Severity      string           `json:"severity"`
	Priority      string           `json:"priority"`
	Automatable   bool             `json:"automatable,omitempty"`
	Total         bool             `json:"total,omitempty"`
	Reason        string           `json:"reason,omitempty" maxLength:"4000"`
}
