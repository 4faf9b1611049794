package api

import (
	"context"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/drift"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// drift: how well stage stands for production.
func (d *door) drift() {
	serve(d, operation{"drift", http.MethodGet, "/drift", "Production by distinct package sets, the farthest from stage first", staff.Read}, d.fleetDrift)
	serve(d, operation{"host-drift", http.MethodGet, "/hosts/{id}/drift", "A production host beside its stage twin", staff.Read}, d.hostDrift)
}

func (d *door) fleetDrift(ctx context.Context, _ staff.Session, in *Page) (v1.Drift, error) {
	all, err := d.Drift.Fleet(ctx)
	if err == nil {
		all, err = pageOf(all, *in, func(k drift.Kind) string { return k.Host })
	}
	return v1.Drift{Kinds: list(all)}, err
}

func (d *door) hostDrift(ctx context.Context, _ staff.Session, in *Named) (drift.Drift, error) {
	return d.Drift.Of(ctx, in.ID)
}
