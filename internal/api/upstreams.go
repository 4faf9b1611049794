package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// upstreams: the archives that packages come from.
func (d *door) upstreams() {
	serve(d, operation{"upstreams", http.MethodGet, "/upstreams", "The mirrored archives", staff.Read}, d.listUpstreams)
	serve(d, operation{"upstream-presets", http.MethodGet, "/upstream-presets", "Archives that are known, with their keys", staff.Read}, d.presets)
	serve(d, operation{"add-upstream", http.MethodPost, "/upstreams", "Pin an archive and mirror it", staff.ConfigureMirror}, d.addUpstream)
	serve(d, operation{"remove-upstream", http.MethodDelete, "/upstreams/{id}", "Mirror an archive no longer", staff.ConfigureMirror},
		d.removeUpstream)
	serve(d, operation{"refresh-upstream", http.MethodPost, "/upstreams/{id}/refresh", "Look at an archive again",
		staff.RefreshMirror}, d.refresh)
}

func (d *door) listUpstreams(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Upstreams, error) {
	upstreams, err := d.Mirror.List(ctx)
	if err != nil {
		return v1.Upstreams{}, err
	}
	all := make([]v1.Upstream, len(upstreams))
	for i, u := range upstreams {
		if all[i], err = d.upstream(ctx, u); err != nil {
			return v1.Upstreams{}, err
		}
	}
	return v1.Upstreams{Upstreams: all}, nil
}

func (d *door) upstream(ctx context.Context, u mirror.Upstream) (v1.Upstream, error) {
	r, err := d.Mirror.State(ctx, u.Name)
	return v1.Upstream{Name: u.Name, URL: u.URL, Suite: u.Suite, Component: u.Component, Arch: u.Arch, Advisories: u.Advisories,
		Release: r.InRelease, Index: r.Index, Date: r.Date, ValidUntil: r.ValidUntil, Fingerprint: r.Fingerprint, Packages: r.Packages,
		SeenAt: r.SeenAt, RefusedAt: r.RefusedAt, RefusedCode: r.RefusedCode, Refused: r.RefusedWhy}, err
}

func (d *door) presets(context.Context, staff.Session, *struct{}) (v1.Presets, error) {
	var all v1.Presets
	for _, u := range mirror.Presets() {
		all.Presets = append(all.Presets, v1.Preset{Name: u.Name, URL: u.URL, Suite: u.Suite, Component: u.Component, Arch: u.Arch,
			Fingerprints: u.Fingerprints, Advisories: u.Advisories})
	}
	return all, nil
}

func (d *door) addUpstream(ctx context.Context, s staff.Session, in *struct{ Body v1.NewUpstream }) (v1.Upstream, error) {
	n := in.Body
	u := mirror.Upstream{Name: n.Name, URL: n.URL, Suite: n.Suite, Component: n.Component, Arch: n.Arch, Keyring: n.Keyring,
		Fingerprints: n.Fingerprints, MaxAge: time.Duration(n.MaxAgeHours) * time.Hour, Advisories: n.Advisories}
	if n.Preset != "" {
		var err error
		if u, err = mirror.Preset(n.Preset); err != nil {
			return v1.Upstream{}, err
		}
		if !slices.Equal(n.Fingerprints, u.Fingerprints) {
			return v1.Upstream{}, fault.New(fault.Conflict, "name the keys of %s that you checked: they are %v", n.Preset, u.Fingerprints)
		}
	}
	if err := d.Mirror.Add(ctx, "person/"+s.Person.ID, u); err != nil {
		return v1.Upstream{}, err
	}
	return d.upstream(ctx, u)
}

func (d *door) removeUpstream(ctx context.Context, s staff.Session, in *Named) (none, error) {
	return none{}, d.Mirror.Remove(ctx, "person/"+s.Person.ID, in.ID)
}

func (d *door) refresh(ctx context.Context, _ staff.Session, in *Named) (v1.Upstream, error) {
	if _, err := d.Mirror.Refresh(ctx, in.ID); err != nil {
		return v1.Upstream{}, err
	}
	all, err := d.Mirror.List(ctx)
	if err != nil {
		return v1.Upstream{}, err
	}
	i := slices.IndexFunc(all, func(u mirror.Upstream) bool { return u.Name == in.ID })
	if i < 0 {
		return v1.Upstream{}, fault.New(fault.NotFound, "upstream %s was removed meanwhile", in.ID)
	}
	return d.upstream(ctx, all[i])
}
