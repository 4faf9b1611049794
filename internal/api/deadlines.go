package api

import (
	"cmp"
	"context"
	"net/http"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// deadlines: by when what must have happened, and by which policy.
func (d *door) deadlines() {
	serve(d, operation{"clocks", http.MethodGet, "/clocks", "The clocks that run, the longest due first", staff.Read}, d.clocks)
	serve(d, operation{"limits", http.MethodGet, "/vulnerabilities/{cve}/{source}/clocks", "The clocks of one vulnerability, and how it was assessed",
		staff.Read}, d.limits)
	serve(d, operation{"suggest-assessment", http.MethodGet, "/vulnerabilities/{cve}/{source}/assessment", "The factors of an assessment as the data suggests them",
		staff.Read}, d.suggest)
	serve(d, operation{"draft-assessment", http.MethodPost, "/assessments/draft", "Complete an assessment, for the person to sign", staff.Decide}, d.draftAssessment)
	serve(d, operation{"assess", http.MethodPost, "/assessments", "Hand in a signed assessment", staff.Decide}, d.assess)
	serve(d, operation{"policies", http.MethodGet, "/policies", "The policy in force, all proposed, and the profiles shipped", staff.Read}, d.policies)
	serve(d, operation{"policy", http.MethodGet, "/policies/{id}", "One policy by the SHA-256 of its payload", staff.Read}, d.policy)
	serve(d, operation{"policy-statement", http.MethodGet, "/policies/in-force/statement", "The limits in force as text for section 6.7 of a CP or CPS",
		staff.Read}, d.statement)
	serve(d, operation{"try-policy", http.MethodPost, "/policies/try", "What a policy would do to today's clocks; nothing is kept", staff.Read}, d.tryPolicy)
	serve(d, operation{"propose-policy", http.MethodPost, "/policies", "Propose a policy, for others to sign", staff.ProposePolicy}, d.proposePolicy)
	serve(d, operation{"sign-policy", http.MethodPost, "/policies/{id}/signatures", "Hand in a signature", staff.Approve}, d.signPolicy)
	serve(d, operation{"withdraw-policy", http.MethodPost, "/policies/{id}/withdrawal", "End a proposal", staff.ProposePolicy}, d.withdrawPolicy)
}

type clockPage struct {
	Limit int       `query:"limit" minimum:"0" maximum:"1000" default:"0" doc:"at most so many; 0: 1,000"`
	Due   time.Time `query:"due" doc:"go on after the clock that is due then"`
	After string    `query:"after" maxLength:"400" doc:"and is of this vulnerability"`
	Clock string    `query:"clock" enum:"review,assessment,response,remediation" doc:"and of this kind"`
}

func (d *door) clocks(ctx context.Context, _ staff.Session, in *clockPage) (out v1.Clocks, err error) {
	after := deadline.Clock{Vulnerability: in.After, Deadline: policy.Deadline{Due: in.Due, Clock: policy.Clock(in.Clock)}}
	if out.Clocks, err = d.Deadlines.Running(ctx, after, cmp.Or(in.Limit, deadline.MaxList)); err != nil {
		return out, err
	}
	out.Clocks = list(out.Clocks)
	out.Counts, err = d.Deadlines.Counts(ctx)
	return out, err
}

type vulnerabilityID struct {
	CVE    string `path:"cve" maxLength:"100"`
	Source string `path:"source" maxLength:"200"`
}

func (d *door) limits(ctx context.Context, _ staff.Session, in *vulnerabilityID) (out v1.Limits, err error) {
	name := in.CVE + "/" + in.Source
	if out.Clocks, err = d.Deadlines.Of(ctx, name); err != nil {
		return out, err
	}
	out.Clocks = list(out.Clocks)
	out.Assessments, err = d.Deadlines.Assessments(ctx, name)
	out.Assessments = list(out.Assessments)
	return out, err
}

func (d *door) suggest(ctx context.Context, _ staff.Session, in *vulnerabilityID) (deadline.Suggestion, error) {
	return d.Deadlines.Suggest(ctx, in.CVE+"/"+in.Source)
}

func (d *door) draftAssessment(ctx context.Context, s staff.Session, in *struct{ Body v1.AssessmentDraft }) (v1.Payload, error) {
	b := in.Body
	payload, err := d.Deadlines.Draft(ctx, s.Person.ID, deadline.Assessment{Vulnerability: b.Vulnerability, Factors: b.Factors,
		Severity: b.Severity, Priority: b.Priority, Automatable: b.Automatable, Total: b.Total, Reason: b.Reason})
	return v1.Payload{PayloadType: deadline.AssessmentType, Payload: payload, SHA256: envelope.Digest(payload)}, err
}

func (d *door) assess(ctx context.Context, s staff.Session, in *struct{ Body envelope.Envelope }) (deadline.Assessment, error) {
	return d.Deadlines.Assess(ctx, s.Person.ID, in.Body)
}

func (d *door) policies(ctx context.Context, _ staff.Session, _ *struct{}) (out v1.Policies, err error) {
	now, err := d.Deadlines.InForce(ctx)
	if err != nil {
		return out, err
	}
	out.InForce, out.Profiles = now.Policy, policy.Profiles()
	out.Policies, err = d.Deadlines.Policies(ctx)
	out.Policies = list(out.Policies)
	return out, err
}

func (d *door) policy(ctx context.Context, _ staff.Session, in *Named) (deadline.Adoption, error) {
	return d.Deadlines.Policy(ctx, in.ID)
}

func (d *door) statement(ctx context.Context, _ staff.Session, _ *struct{}) (out v1.Statement, err error) {
	root, err := d.Staff.CurrentRoot(ctx)
	if err != nil {
		return out, err
	}
	now, err := d.Deadlines.InForce(ctx)
	if err == nil {
		out.Text = now.Statement(root.Organisation)
	}
	return out, err
}

func (d *door) tryPolicy(ctx context.Context, _ staff.Session, in *struct{ Body v1.Policy }) (deadline.Preview, error) {
	out, err := d.Deadlines.Try(ctx, in.Body.Of())
	out.Effects, out.Shifts = list(out.Effects), list(out.Shifts)
	return out, err
}

func (d *door) proposePolicy(ctx context.Context, s staff.Session, in *struct{ Body v1.Policy }) (deadline.Adoption, error) {
	return d.Deadlines.Propose(ctx, s.Person.ID, in.Body.Of())
}

func (d *door) signPolicy(ctx context.Context, s staff.Session, in *approval) (deadline.Adoption, error) {
	return d.Deadlines.Sign(ctx, s.Person.ID, in.ID, in.Body.Signature)
}

func (d *door) withdrawPolicy(ctx context.Context, s staff.Session, in *Named) (none, error) {
	return none{}, d.Deadlines.Withdraw(ctx, s.Person.ID, in.ID)
}
