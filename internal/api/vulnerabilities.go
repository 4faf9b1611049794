package api

import (
	"context"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// vulnerabilities: what matters, and what people decided about it.
func (d *door) vulnerabilities() {
	serve(d, operation{"vulnerabilities", http.MethodGet, "/vulnerabilities", "The fleet's vulnerabilities", staff.Read}, d.view)
	serve(d, operation{"vulnerability", http.MethodGet, "/vulnerabilities/{cve}/{source}", "Everything about one vulnerability",
		staff.Read}, d.vulnerability)
	serve(d, operation{"findings", http.MethodGet, "/hosts/{id}/findings", "The vulnerabilities on a host", staff.Read}, d.findings)
	serve(d, operation{"draft-decision", http.MethodPost, "/decisions/draft", "Complete a decision, for the person to sign",
		staff.Decide}, d.draft)
	serve(d, operation{"decide", http.MethodPost, "/decisions", "Hand in a signed decision", staff.Decide}, d.decide)
	serve(d, operation{"waiting-decisions", http.MethodGet, "/decisions/waiting", "Decisions that a second person has to agree to", staff.Read}, d.waitingDecisions)
	serve(d, operation{"waiting-decision", http.MethodGet, "/decisions/waiting/{id}", "One of them, with the payload to sign", staff.Read}, d.waitingDecision)
	serve(d, operation{"agree", http.MethodPost, "/decisions/waiting/{id}/signatures", "Hand in the second person's signature", staff.Decide}, d.agree)
	serve(d, operation{"refuse-decision", http.MethodPost, "/decisions/waiting/{id}/refusal", "End a decision that waits", staff.Decide}, d.refuseDecision)
	serve(d, operation{"accepted", http.MethodGet, "/accepted", "The fixes that decisions in force let in", staff.Read}, d.accepted)
}

func (d *door) view(ctx context.Context, _ staff.Session, in *Page) (triage.View, error) {
	view, err := d.Triage.Vulnerabilities(ctx)
	if err == nil {
		view.Rows, err = pageOf(view.Rows, *in, func(v triage.Vulnerability) string { return v.Name })
	}
	return view, err
}

type caseOf struct {
	CVE     string `path:"cve" maxLength:"100"`
	Source  string `path:"source" maxLength:"200"`
	Page           // of its hosts
	Verdict string `query:"verdict" enum:"affected,not-affected,undetermined,fixed-after-reboot" doc:"only hosts with this one"`
}

func (d *door) vulnerability(ctx context.Context, _ staff.Session, in *caseOf) (triage.Case, error) {
	return d.Triage.Case(ctx, in.CVE+"/"+in.Source, verdict.HostPage{Status: verdict.Status(in.Verdict), After: in.After, Limit: in.Limit})
}

// findingsOf is a page of a host's findings. It may have a source package in two versions, and again in another root.
type findingsOf struct {
	Named
	Limit int    `query:"limit" minimum:"0" maximum:"1000" default:"0" doc:"at most so many; 0: all"`
	After string `query:"after" maxLength:"5000" doc:"go on after this one, the last of the page before: id/source/source_version, and its root behind"`
}

func (d *door) findings(ctx context.Context, _ staff.Session, in *findingsOf) (v1.Findings, error) {
	all, err := d.Triage.Findings(ctx, in.ID)
	if err == nil {
		all, err = pageOf(all, Page{in.Limit, in.After}, func(f verdict.Finding) string { return f.ID + "/" + f.Source + "/" + f.Version + f.Root })
	}
	return v1.Findings{Findings: list(all)}, err
}

func (d *door) draft(ctx context.Context, s staff.Session, in *struct{ Body v1.Draft }) (v1.Payload, error) {
	b := in.Body
	payload, err := d.Triage.Draft(ctx, s.Person.ID, triage.Decision{Vulnerability: b.Vulnerability, Kind: b.Kind, Scope: b.Scope,
		Justification: b.Justification, Reason: b.Reason, Exception: b.Exception, Until: b.Until}.Together(b.Also))
	return v1.Payload{PayloadType: triage.DecisionType, Payload: payload, SHA256: envelope.Digest(payload)}, err
}

func (d *door) decide(ctx context.Context, s staff.Session, in *struct{ Body envelope.Envelope }) (triage.Decided, error) {
	return d.Triage.Decide(ctx, s.Person.ID, in.Body)
}

func (d *door) accepted(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Accepted, error) {
	all, err := d.Triage.Accepted(ctx)
	return v1.Accepted{Accepted: list(all)}, err
}

func (d *door) waitingDecisions(ctx context.Context, _ staff.Session, _ *struct{}) (v1.WaitingDecisions, error) {
	all, err := d.Triage.WaitingDecisions(ctx)
	return v1.WaitingDecisions{Decisions: list(all)}, err
}

func (d *door) waitingDecision(ctx context.Context, _ staff.Session, in *Named) (triage.Waiting, error) {
	return d.Triage.WaitingDecision(ctx, in.ID)
}

func (d *door) agree(ctx context.Context, s staff.Session, in *approval) (triage.Decided, error) {
	return d.Triage.Agree(ctx, s.Person.ID, in.ID, in.Body.Signature)
}

type refusal struct {
	Named
	Body v1.Refusal
}

func (d *door) refuseDecision(ctx context.Context, s staff.Session, in *refusal) (none, error) {
	return none{}, d.Triage.Refuse(ctx, s.Person.ID, in.ID, in.Body.Reason)
}
