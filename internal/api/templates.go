package api

import (
	"context"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// templates: what routine orders have in common.
func (d *door) templates() {
	serve(d, operation{"order-templates", http.MethodGet, "/order-templates", "All templates of orders", staff.Read}, d.listTemplates)
	serve(d, operation{"order-template", http.MethodGet, "/order-templates/{id}", "One template", staff.Read}, d.template)
	serve(d, operation{"save-order-template", http.MethodPut, "/order-templates/{id}", "Make a template, or change it", staff.ProposeOrder}, d.saveTemplate)
	serve(d, operation{"drop-order-template", http.MethodDelete, "/order-templates/{id}", "Forget a template", staff.ProposeOrder}, d.dropTemplate)
}

func (d *door) listTemplates(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Templates, error) {
	all, err := d.Changes.Templates(ctx)
	return v1.Templates{Templates: list(all)}, err
}

func (d *door) template(ctx context.Context, _ staff.Session, in *Named) (change.Template, error) {
	return d.Changes.Template(ctx, in.ID)
}

func (d *door) saveTemplate(ctx context.Context, s staff.Session, in *struct {
	Saved
	Body v1.TemplateDefinition
}) (change.Template, error) {
	from, err := base(d, in.IfMatch, func() (change.Template, error) { return d.template(ctx, s, &in.Named) })
	if err != nil {
		return change.Template{}, err
	}
	b := in.Body
	return d.Changes.SaveTemplate(ctx, s.Person.ID, change.Template{Name: in.ID, Zone: b.Zone, Stage: b.Stage, Production: b.Production,
		Reason: b.Reason, Plan: b.Plan, BackOut: b.BackOut, Audience: b.Audience, ChangedAt: from.ChangedAt})
}

func (d *door) dropTemplate(ctx context.Context, s staff.Session, in *Named) (none, error) {
	return none{}, d.Changes.DropTemplate(ctx, s.Person.ID, in.ID)
}
