package api

import (
	"context"
	"io"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/build"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// builds: what hosts are installed from.
func (d *door) builds() {
	serve(d, operation{"builds", http.MethodGet, "/builds", "All standard builds, with what affects them", staff.Read}, d.listBuilds)
	serve(d, operation{"build", http.MethodGet, "/builds/{id}", "One build, with the records of hosts that came from it", staff.Read}, d.build)
	serve(d, operation{"register-build", http.MethodPut, "/builds/{id}", "Register a host's packages as a build", staff.EditRecord}, d.registerBuild)
	serve(d, operation{"register-build-file", http.MethodPut, "/builds/{id}/status", "Register a dpkg status file as a build",
		staff.EditRecord}, d.registerBuildFile)
	serve(d, operation{"register-build-sbom", http.MethodPut, "/builds/{id}/sbom", "Register a component list (CycloneDX, SPDX 2) as a build",
		staff.EditRecord}, d.registerBuildSBOM)
	serve(d, operation{"drop-build", http.MethodDelete, "/builds/{id}", "Forget a build", staff.EditRecord}, d.dropBuild)
}

func (d *door) listBuilds(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Builds, error) {
	all, err := d.Builds.List(ctx)
	return v1.Builds{Builds: list(all)}, err
}

func (d *door) build(ctx context.Context, _ staff.Session, in *Named) (v1.Build, error) {
	b, err := d.Builds.Get(ctx, in.ID)
	if err != nil {
		return v1.Build{}, err
	}
	from, err := d.Records.List(ctx, record.Filter{Build: b.Name}, "", record.MaxList)
	return v1.Build{Build: b, Records: list(from)}, err
}

func (d *door) registerBuild(ctx context.Context, s staff.Session, in *struct {
	Saved
	Body v1.BuildOfHost
}) (build.Build, error) {
	return d.register(ctx, s, in.Saved, build.New{Host: in.Body.Host, Days: in.Body.Days})
}

// register gives a build of the name, or a new one, what n says.
func (d *door) register(ctx context.Context, s staff.Session, in Saved, n build.New) (build.Build, error) {
	from, err := base(d, in.IfMatch, func() (v1.Build, error) { return d.build(ctx, s, &in.Named) })
	if err != nil {
		return build.Build{}, err
	}
	n.Name, n.From = in.ID, from.RegisteredAt
	return d.Builds.Register(ctx, s.Person.ID, n)
}

type buildFile struct {
	Saved
	Release string `query:"release" required:"true" maxLength:"64"`
	Days    int    `query:"days" required:"true" minimum:"1" maximum:"365"`
	Upload
}

func (d *door) registerBuildFile(ctx context.Context, s staff.Session, in *buildFile) (build.Build, error) {
	b, err := io.ReadAll(io.LimitReader(in.body, build.MaxFile+1))
	if err != nil {
		return build.Build{}, fault.New(fault.Invalid, "read the file: %w", err)
	}
	return d.register(ctx, s, in.Saved, build.New{Release: in.Release, Days: in.Days, Status: b})
}

func (d *door) registerBuildSBOM(ctx context.Context, s staff.Session, in *struct {
	Saved
	Release string `query:"release" maxLength:"64" doc:"of the packages that name none"`
	Days    int    `query:"days" required:"true" minimum:"1" maximum:"365"`
	Upload
}) (build.Build, error) {
	b, err := io.ReadAll(io.LimitReader(in.body, build.MaxFile+1))
	if err != nil {
		return build.Build{}, fault.New(fault.Invalid, "read the file: %w", err)
	}
	return d.register(ctx, s, in.Saved, build.New{Release: in.Release, Days: in.Days, SBOM: b})
}

func (d *door) dropBuild(ctx context.Context, s staff.Session, in *Named) (none, error) {
	return none{}, d.Builds.Drop(ctx, s.Person.ID, in.ID)
}
