package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/patchwarrant/patchwarrant/internal/build"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

func (s *site) builds(v *visit) error {
	all, err := s.Builds.List(v.r.Context())
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "builds", "Standard builds", all)
}

type buildBody struct {
	build.Build
	Shown   cut[build.Finding]
	Records []record.Record
}

func (s *site) build(v *visit) error {
	ctx := v.r.Context()
	b, err := s.Builds.Get(ctx, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	body := buildBody{Build: b, Shown: paged(v, b.Findings, 100)}
	if body.Records, err = s.Records.List(ctx, record.Filter{Build: b.Name}, "", recordsPage); err != nil {
		return err
	}
	return v.show(http.StatusOK, "build", "Build "+b.Name, body)
}

func (s *site) registerBuild(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	n, err := newBuild(form)
	if err != nil {
		return err
	}
	n.Host = form.Get("host")
	return s.register(v, n)
}

// newBuild reads what every form of a build says.
func newBuild(form url.Values) (build.New, error) {
	days, err := strconv.Atoi(form.Get("days"))
	if err != nil {
		return build.New{}, fault.New(fault.Invalid, "say in how many days a vulnerability must be out of the build")
	}
	from, err := changedAt(form)
	return build.New{Name: form.Get("name"), Days: days, From: from}, err
}

func (s *site) register(v *visit, n build.New) error {
	b, err := s.Builds.Register(v.r.Context(), v.me(), n)
	if err != nil {
		return err
	}
	return v.see("/hosts/builds/"+b.Name, "recorded")
}

func (s *site) registerSBOM(v *visit) error {
	form, file, err := v.file()
	if err != nil {
		return err
	}
	n, err := newBuild(form)
	if err != nil {
		return err
	}
	n.Release = form.Get("release")
	if n.SBOM, err = whole(file, build.MaxFile); err != nil {
		return err
	}
	return s.register(v, n)
}

func (s *site) dropBuild(v *visit) error {
	if err := s.Builds.Drop(v.r.Context(), v.me(), v.r.PathValue("id")); err != nil {
		return err
	}
	return v.see("/hosts/builds", "over")
}

// overdueBuilds are the builds that carry a vulnerability for longer than they may.
func (s *site) overdueBuilds(ctx context.Context) (all []alarm, err error) {
	builds, err := s.Builds.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range builds {
		if n := b.Overdue(s.Now()); n > 0 {
			all = append(all, alarm{"Standard build " + b.Name + " is overdue", "/hosts/builds/" + b.Name,
				count(n) + " of its vulnerabilities should be out of it: hosts made of it are born with them", b.Findings[0].DueAt})
		}
	}
	return all, nil
}
