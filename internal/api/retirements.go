package api

import (
	"context"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/once"
	"github.com/patchwarrant/patchwarrant/internal/retirement"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// retirements: how hosts leave.
func (d *door) retirements() {
	create(d, operation{"propose-retirement", http.MethodPost, "/retirements", "Propose to take a host out of service",
		staff.ProposeRetire}, once.Answer, d.proposeRetirement)
	serve(d, operation{"retirements", http.MethodGet, "/retirements", "Retirements that wait for signatures, or all of a host",
		staff.Read}, d.listRetirements)
	serve(d, operation{"retirement", http.MethodGet, "/retirements/{id}", "One retirement, with the payload to sign", staff.Read}, d.retirement)
	serve(d, operation{"approve-retirement", http.MethodPost, "/retirements/{id}/signatures", "Hand in a signature", staff.Approve},
		d.approveRetirement)
	serve(d, operation{"end-retirement", http.MethodPost, "/retirements/{id}/end", "Say no to a retirement, or take one's own back",
		staff.CancelOrder}, d.endRetirement)
}

func (d *door) proposeRetirement(ctx context.Context, s staff.Session, in *v1.RetirementProposal) (retirement.Retirement, error) {
	return d.Retirements.Propose(ctx, s.Person.ID, in.Host, in.Reason)
}

func (d *door) listRetirements(ctx context.Context, _ staff.Session, in *struct {
	Host string `query:"host" maxLength:"200"`
}) (v1.Retirements, error) {
	all, err := d.Retirements.List(ctx, in.Host)
	return v1.Retirements{Retirements: list(all)}, err
}

func (d *door) retirement(ctx context.Context, _ staff.Session, in *Named) (retirement.Retirement, error) {
	return d.Retirements.Get(ctx, in.ID)
}

func (d *door) approveRetirement(ctx context.Context, s staff.Session, in *approval) (retirement.Retirement, error) {
	return d.Retirements.Approve(ctx, s.Person.ID, in.ID, in.Body.Signature)
}

func (d *door) endRetirement(ctx context.Context, s staff.Session, in *struct {
	Named
	Body v1.Reason
}) (none, error) {
	return none{}, d.Retirements.End(ctx, s.Person.ID, in.ID, in.Body.Reason)
}
