package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/once"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// hosts: the estate, and how a host enters it.
func (d *door) hosts() {
	serve(d, operation{"hosts", http.MethodGet, "/hosts", "All hosts", staff.Read}, d.listHosts)
	serve(d, operation{"host", http.MethodGet, "/hosts/{id}", "One host", staff.Read}, d.host)
	serve(d, operation{"file-states", http.MethodGet, "/hosts/{id}/states", "The newest file states of a host", staff.Read}, d.fileStates)
	serve(d, operation{"host-packages", http.MethodGet, "/hosts/{id}/packages", "Packages of a host with where each came from", staff.Read}, d.hostPackages)
	serve(d, operation{"host-inventory", http.MethodGet, "/hosts/{id}/inventory", "What a host says of itself", staff.Read}, d.hostInventory)
	create(d, operation{"enrol-host", http.MethodPost, "/enrolments", "Make a one-time enrolment line", staff.EnrolHost}, once.Secret, d.enrol)
}

// Named is a path that ends in, or goes through, an ID. Like all parts of requests it is exported for huma to fill.
type Named struct {
	ID string `path:"id" maxLength:"200"`
}

type chosenHosts struct {
	Page
	Environment string `query:"environment" maxLength:"64"`
	Release     string `query:"release" maxLength:"64"`
	State       string `query:"state" enum:"retired,cloned,silent,alarms,reboot,observe-only,reports" doc:"the worst condition that holds"`
	Zone        string `query:"zone" maxLength:"64" doc:"this and what follows as the host's record has it"`
	Owner       string `query:"owner" maxLength:"64"`
	Unit        string `query:"unit" maxLength:"200"`
	Criticality string `query:"criticality" enum:"low,medium,high,critical"`
	Exposure    string `query:"exposure" enum:"internet,dmz,internal,isolated"`
	Group       string `query:"group" maxLength:"64"`
	Text        string `query:"q" maxLength:"200" doc:"a part of the name or of the ID"`
}

func (d *door) listHosts(ctx context.Context, _ staff.Session, in *chosenHosts) (v1.Hosts, error) {
	f := estate.Filter{Environment: in.Environment, Release: in.Release, State: estate.State(in.State), Zone: in.Zone,
		Owner: in.Owner, Unit: in.Unit, Criticality: in.Criticality, Exposure: in.Exposure, Group: in.Group, Text: in.Text}
	size := cmp.Or(in.Limit, estate.MaxList)
	var all []estate.Host
	for {
		hosts, err := d.Estate.List(ctx, f, in.After, size)
		if all = append(all, hosts...); err != nil || len(hosts) < size || in.Limit > 0 {
			return v1.Hosts{Hosts: list(all)}, err
		}
		in.After = hosts[len(hosts)-1].ID
	}
}

func (d *door) fileStates(ctx context.Context, _ staff.Session, in *Named) (v1.FileStates, error) {
	all, err := d.Estate.FileStates(ctx, in.ID)
	return v1.FileStates{States: list(all)}, err
}

func (d *door) host(ctx context.Context, _ staff.Session, in *Named) (estate.Host, error) {
	return d.Estate.Host(ctx, in.ID)
}

// rootOfHost is one of a host's file-system roots.
type rootOfHost struct {
	Named
	Root string `query:"root" maxLength:"4096" doc:"which of the host's roots; empty: /"`
}

func (d *door) hostPackages(ctx context.Context, _ staff.Session, in *rootOfHost) (v1.Packages, error) {
	host, err := d.Estate.Host(ctx, in.ID)
	if err != nil {
		return v1.Packages{}, err
	}
	all, err := d.Estate.Packages(ctx, host, in.Root)
	return v1.Packages{Packages: list(all)}, err
}

func (d *door) hostInventory(ctx context.Context, _ staff.Session, in *rootOfHost) (wire.Inventory, error) {
	host, err := d.Estate.Host(ctx, in.ID)
	if err != nil {
		return wire.Inventory{}, err
	}
	return d.Estate.Inventory(ctx, host, in.Root)
}

func (d *door) enrol(ctx context.Context, s staff.Session, in *v1.Enrolment) (v1.EnrolmentLine, error) {
	root, err := d.Staff.CurrentRoot(ctx)
	if err != nil {
		return v1.EnrolmentLine{}, err
	}
	token, expires, err := d.Estate.MakeToken(ctx, "person/"+s.Person.ID, estate.NewToken{
		Name: in.Name, Environment: in.Environment, Host: in.Host, Life: time.Duration(in.Hours) * time.Hour})
	if err != nil {
		return v1.EnrolmentLine{}, err
	}
	line := fmt.Sprintf("patchwarrant-agent enrol --server %s --token %s --ca %s --trust-root %s",
		d.Agents, token, d.Estate.CA.Hash(), root.Digest())
	return v1.EnrolmentLine{Line: line, ExpiresAt: expires}, nil
}
