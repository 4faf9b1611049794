package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// hosts: the estate, and how a host enters it.
func (d *door) hosts() {
	serve(d, operation{"hosts", http.MethodGet, "/hosts", "All hosts", staff.Read}, d.listHosts)
	serve(d, operation{"host", http.MethodGet, "/hosts/{id}", "One host", staff.Read}, d.host)
	serve(d, operation{"enrol-host", http.MethodPost, "/enrolments", "Make a one-time enrolment line", staff.EnrolHost}, d.enrol)
}

// Named is a path that ends in, or goes through, an ID. Like all parts of requests it is exported for huma to fill.
type Named struct {
	ID string `path:"id" maxLength:"200"`
}

func (d *door) listHosts(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Hosts, error) {
	hosts, err := d.Estate.Hosts(ctx)
	return v1.Hosts{Hosts: list(hosts)}, err
}

func (d *door) host(ctx context.Context, _ staff.Session, in *Named) (estate.Host, error) {
	return d.Estate.Host(ctx, in.ID)
}

func (d *door) enrol(ctx context.Context, s staff.Session, in *struct{ Body v1.Enrolment }) (v1.EnrolmentLine, error) {
	root, err := d.Staff.CurrentRoot(ctx)
	if err != nil {
		return v1.EnrolmentLine{}, err
	}
	token, expires, err := d.Estate.MakeToken(ctx, "person/"+s.Person.ID, estate.NewToken{
		Name: in.Body.Name, Environment: in.Body.Environment, Host: in.Body.Host, Life: time.Duration(in.Body.Hours) * time.Hour})
	if err != nil {
		return v1.EnrolmentLine{}, err
	}
	line := fmt.Sprintf("patchwarrant-agent enrol --server %s --token %s --ca %s --trust-root %s",
		d.Agents, token, d.Estate.CA.Hash(), root.Digest())
	return v1.EnrolmentLine{Line: line, ExpiresAt: expires}, nil
}
