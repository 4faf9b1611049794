package api

import (
	"cmp"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/once"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/suspicion"
)

// suspicions: what anyone here takes for a vulnerability, and what testers find. Everyone sees their own, some see all.
func (d *door) suspicions() {
	create(d, operation{"report-suspicion", http.MethodPost, "/suspicions", "Report a vulnerability that one suspects", staff.ReportSuspicion}, once.Answer,
		d.reportSuspicion)
	serve(d, operation{"suspicions", http.MethodGet, "/suspicions", "Suspicions, the newest first", staff.ReportSuspicion}, d.listSuspicions)
	serve(d, operation{"suspicion", http.MethodGet, "/suspicions/{id}", "One suspicion with its history", staff.ReportSuspicion}, d.suspicion)
	serveBytes(d, operation{"suspicion-evidence", http.MethodGet, "/suspicions/{id}/evidence", "What is attached to a suspicion", staff.ReportSuspicion},
		d.suspicionEvidence)
	serve(d, operation{"own-suspicion", http.MethodPut, "/suspicions/{id}/owner", "Take a suspicion, or give it to another CIRT analyst",
		staff.AnswerSuspicion}, d.ownSuspicion)
	serve(d, operation{"answer-suspicion", http.MethodPost, "/suspicions/{id}/answers", "Say what a suspicion is: its clock stops",
		staff.AnswerSuspicion}, d.answerSuspicion)
}

func reader(s staff.Session) suspicion.Reader {
	return suspicion.Reader{Person: s.Person.ID, All: s.Can(staff.ReadSuspicions)}
}

func (d *door) reportSuspicion(ctx context.Context, s staff.Session, in *v1.NewSuspicion) (suspicion.Suspicion, error) {
	var attached v1.Attachment
	if in.Evidence != nil {
		attached = *in.Evidence
	}
	return d.Suspicions.Report(ctx, s.Person.ID, suspicion.Claim{Title: in.Title, Host: in.Host, Package: in.Package, Place: in.Place, Noticed: in.Noticed},
		attached.Name, attached.Content)
}

type suspicionPage struct {
	State  string `query:"state" enum:"open,answered"`
	Before string `query:"before" maxLength:"64" doc:"go on with those reported before the one with this ID"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

func (d *door) listSuspicions(ctx context.Context, s staff.Session, in *suspicionPage) (v1.Suspicions, error) {
	all, n, err := d.Suspicions.List(ctx, reader(s), suspicion.Page{State: in.State, Before: in.Before, Limit: in.Limit})
	return v1.Suspicions{Counts: n, Suspicions: list(all)}, err
}

func (d *door) suspicion(ctx context.Context, s staff.Session, in *Named) (suspicion.Suspicion, error) {
	return d.Suspicions.Get(ctx, reader(s), in.ID)
}

func (d *door) suspicionEvidence(ctx context.Context, s staff.Session, in *Named) (*huma.StreamResponse, error) {
	b, err := d.Suspicions.Attached(ctx, reader(s), in.ID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/octet-stream")
		ctx.SetHeader("Content-Disposition", "attachment")
		ctx.SetHeader("X-Content-Type-Options", "nosniff")
		if _, err := ctx.BodyWriter().Write(b); err != nil {
			d.Log.Debug("send evidence", "error", err)
		}
	}}, nil
}

func (d *door) ownSuspicion(ctx context.Context, s staff.Session, in *struct {
	Named
	Body v1.NewOwner
}) (suspicion.Suspicion, error) {
	return d.Suspicions.Assign(ctx, s.Person.ID, in.ID, cmp.Or(in.Body.Owner, s.Person.ID))
}

func (d *door) answerSuspicion(ctx context.Context, s staff.Session, in *struct {
	Named
	Body v1.Reply
}) (suspicion.Suspicion, error) {
	a := in.Body
	return d.Suspicions.Answer(ctx, s.Person.ID, in.ID, suspicion.Answer{Kind: a.Kind, Vulnerability: a.Vulnerability, Of: a.Of, Reason: a.Reason, New: a.New})
}
