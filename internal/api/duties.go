package api

import (
	"context"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/duty"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// duties: what nobody answers for.
func (d *door) duties() {
	serve(d, operation{"duties", http.MethodGet, "/duties", "What has no owner, of now", staff.Read}, d.listDuties)
	serve(d, operation{"take-duty", http.MethodPost, "/duties/taken", "Become the owner of a duty that has none", staff.TakeDuty}, d.takeDuty)
}

func (d *door) listDuties(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Duties, error) {
	all, err := d.Duties.List(ctx)
	return v1.Duties{Duties: list(all)}, err
}

func (d *door) takeDuty(ctx context.Context, s staff.Session, in *struct{ Body v1.DutySubject }) (duty.Duty, error) {
	return d.Duties.Take(ctx, s.Person.ID, in.Body.Subject)
}
