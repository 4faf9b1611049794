package api

import (
	"cmp"
	"context"
	"io"
	"math"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// integrity: what changed on hosts, how it is explained, and what is evidence of it.
func (d *door) integrity() {
	serve(d, operation{"manifest", http.MethodGet, "/manifests/{id}", "What a stage order showed, by digest", staff.Read}, d.manifest)
	serve(d, operation{"reconciliation", http.MethodGet, "/orders/{id}/reconciliation", "What an order changed, and how it is explained",
		staff.Read}, d.reconciliation)
	serve(d, operation{"report", http.MethodGet, "/reports/{id}", "One host's reconciliation, path by path, by digest", staff.Read}, d.report)
	serve(d, operation{"investigations", http.MethodGet, "/investigations", "All investigations", staff.Read}, d.investigations)
	serve(d, operation{"investigation", http.MethodGet, "/investigations/{id}", "One investigation", staff.Read}, d.investigation)
	serve(d, operation{"resolve-investigation", http.MethodPost, "/investigations/{id}/resolutions", "Say what a discrepancy was",
		staff.Investigate}, d.resolve)
	serveBytes(d, operation{"fact", http.MethodGet, "/facts/{id}", "The bytes that an act cites by digest", staff.Audit}, d.fact)
	serveBytes(d, operation{"seal-evidence", http.MethodPost, "/orders/{id}/bundle", "Seal the evidence of an order, which is an act",
		staff.Audit}, d.seal)
}

func (d *door) manifest(ctx context.Context, _ staff.Session, in *Named) (explain.Manifest, error) {
	return d.Integrity.Manifest(ctx, in.ID)
}

func (d *door) reconciliation(ctx context.Context, _ staff.Session, in *part) (integrity.Reconciliation, error) {
	r, _, err := d.Integrity.ReconciliationFrom(ctx, in.ID, in.After, cmp.Or(in.Limit, math.MaxInt32))
	return r, err
}

func (d *door) report(ctx context.Context, _ staff.Session, in *Named) (explain.Report, error) {
	return d.Integrity.Report(ctx, in.ID)
}

type ofOrder struct {
	Page
	State string `query:"state" enum:"open,proposed,closed"`
	Order string `query:"order" maxLength:"200" doc:"only those of an order"`
}

func (d *door) investigations(ctx context.Context, _ staff.Session, in *ofOrder) (v1.Investigations, error) {
	all, _, err := d.Integrity.InvestigationsFrom(ctx, integrity.InvestigationPage{Order: in.Order, State: in.State, Before: in.After,
		Limit: cmp.Or(in.Limit, math.MaxInt32)})
	return v1.Investigations{Investigations: list(all)}, err
}

func (d *door) investigation(ctx context.Context, _ staff.Session, in *Named) (integrity.Investigation, error) {
	return d.Integrity.Investigation(ctx, in.ID)
}

type resolution struct {
	Named
	Body integrity.Resolution
}

func (d *door) resolve(ctx context.Context, s staff.Session, in *resolution) (integrity.Investigation, error) {
	return d.Integrity.Resolve(ctx, s.Person.ID, in.ID, in.Body)
}

func (d *door) fact(ctx context.Context, _ staff.Session, in *Named) (*huma.StreamResponse, error) {
	r, err := d.Blobs.Open(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer r.Close()
		ctx.SetHeader("Content-Type", "application/octet-stream")
		ctx.SetHeader("X-Content-Type-Options", "nosniff")
		if _, err := io.Copy(ctx.BodyWriter(), r); err != nil {
			d.Log.Error("send fact", "error", err)
			panic(http.ErrAbortHandler) // the caller must not take a part for the whole
		}
	}}, nil
}

func (d *door) seal(ctx context.Context, s staff.Session, in *Named) (*huma.StreamResponse, error) {
	b, err := d.Evidence.Seal(ctx, s.Person.ID, in.ID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/octet-stream")
		ctx.SetHeader("X-Content-Type-Options", "nosniff")
		if _, err := ctx.BodyWriter().Write(b); err != nil {
			d.Log.Debug("send bundle", "error", err)
		}
	}}, nil
}
