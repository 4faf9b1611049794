package integrity

import (
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// Clock is how long after an investigation opens the response must have been given. Source: requirement R-804 (24 h).
const Clock = 24 * time.Hour

// States of an investigation.
const (
	Open     = "open"
	Proposed = "proposed" // one person calls the change legitimate; another must ratify it
	Closed   = "closed"
)

// Severities, from the harmless to the worst kinds. Source: R-804.
var Severities = []string{"probe", "directed probe", "intrusion", "compromise", "denial of service"}

// Outcomes.
const (
	Legitimate = "legitimate" // an unplanned change that two people ratify
	Incident   = "incident"   // not legitimate; its severity says what it was
)

// answering are the roles that answer investigations.
var answering = []string{"cirt-analyst", "product-manager", "risk-manager", "operations-manager", "system-owner"}

// MayAnswer reports whether one of a person's roles answers for a host that stands at these places. Where nobody knows, only a
// role without limits does. Source: R-101, ADR 0010.
func MayAnswer(p trustroot.Person, stands ...trustroot.Place) bool {
	return trustroot.Seated([][]string{answering}, []trustroot.Approval{{Person: p}}, stands...)
}

// Investigation is what a discrepancy becomes.
type Investigation struct {
	ID         string    `json:"id"`
	Order      string    `json:"order"` // empty: it changed while no order ran
	Host       string    `json:"host"`
	Report     string    `json:"report"` // digest of the Report, the evidence
	State      string    `json:"state"`
	OpenedAt   time.Time `json:"opened_at"`
	DueAt      time.Time `json:"due_at"`
	OverdueAt  time.Time `json:"overdue_at,omitzero"` // when it was noticed that the clock ran out
	Severity   string    `json:"severity,omitempty"`
	Outcome    string    `json:"outcome,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	ProposedBy string    `json:"proposed_by,omitempty"`
	ResolvedBy string    `json:"resolved_by,omitempty"`
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
}

// Resolution is a person's conclusion.
type Resolution struct {
	Outcome  string `json:"outcome"`
	Severity string `json:"severity,omitempty"` // of an incident
	Reason   string `json:"reason"`
	Report   string `json:"report,omitempty"` // the digest of what was looked at: refused where more was found since; empty: whatever is known
}

// resolve applies a person's conclusion and names the act it is. An incident is closed by one person, a legitimate change
// by two: the first proposes, the second, another one, ratifies. An incident overrules a proposal.
func resolve(i Investigation, who string, r Resolution, now time.Time) (Investigation, string, error) {
	switch {
	case i.State == Closed:
		return i, "", fault.New(fault.Conflict, "investigation %s was closed by %s", i.ID, i.ResolvedBy)
	case r.Report != "" && r.Report != i.Report:
		return i, "", fault.New(fault.Conflict, "more was found since you looked at investigation %s: look again", i.ID)
	case r.Reason == "" || len(r.Reason) > 10_000:
		return i, "", fault.New(fault.Invalid, "a resolution needs a reason of at most 10,000 bytes")
	case r.Outcome == Incident && !slices.Contains(Severities, r.Severity):
		return i, "", fault.New(fault.Invalid, "an incident needs a severity, one of %q", Severities)
	case r.Outcome == Legitimate && r.Severity != "":
		return i, "", fault.New(fault.Invalid, "a legitimate change has no severity")
	case r.Outcome != Incident && r.Outcome != Legitimate:
		return i, "", fault.New(fault.Invalid, "the outcome must be %q or %q", Legitimate, Incident)
	case r.Outcome == Legitimate && i.State == Proposed && i.ProposedBy == who:
		return i, "", fault.New(fault.Denied, "the change was called legitimate by %s; another person must ratify it", who)
	}
	act := "investigation.closed"
	if i.Reason != "" {
		r.Reason = i.Reason + "\n\n" + r.Reason
	}
	i.Outcome, i.Severity, i.Reason = r.Outcome, r.Severity, r.Reason
	if r.Outcome == Legitimate && i.State == Open {
		i.State, i.ProposedBy = Proposed, who
		return i, "investigation.proposed", nil
	}
	if r.Outcome == Legitimate {
		act = "investigation.ratified"
	}
	i.State, i.ResolvedBy, i.ResolvedAt = Closed, who, now
	return i, act, nil
}
