package api

import (
	"context"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// ledger: the record. Checkpoint and tiles stand outside the API, in their C2SP form: see Public.
func (d *door) ledger() {
	serve(d, operation{"acts", http.MethodGet, "/acts", "Acts, oldest first", staff.Read}, d.acts)
	serveStream(d, operation{"live", http.MethodGet, "/live", "New acts, as server-sent events", staff.Read}, "text/event-stream", d.live)
	serve(d, operation{"act", http.MethodGet, "/acts/{index}", "One act", staff.Read}, d.act)
	serve(d, operation{"prove-act", http.MethodGet, "/acts/{index}/proof", "That an act is in the ledger", staff.Read}, d.prove)
	serve(d, operation{"prove-consistency", http.MethodGet, "/ledger/consistency", "That the ledger was only added to", staff.Read},
		d.consistency)
	serve(d, operation{"audit-ledger", http.MethodPost, "/ledger/audits", "Replay the whole ledger", staff.Audit}, d.audit)
}

type filter struct {
	Limited
	Subject string `query:"subject" maxLength:"400" doc:"such as order/ord_…"`
	Kind    string `query:"kind" maxLength:"100" doc:"the beginning of the kind, such as order."`
	From    int64  `query:"from" minimum:"0" doc:"the first index"`
}

func (d *door) acts(ctx context.Context, _ staff.Session, in *filter) (v1.Acts, error) {
	entries, err := d.Ledger.List(ctx, ledger.Filter{Subject: in.Subject, KindPrefix: in.Kind, From: in.From, Limit: in.Limit})
	out := v1.Acts{Acts: make([]v1.Act, len(entries))}
	for i, e := range entries {
		out.Acts[i] = v1.Act{Index: e.Index, Act: e.Act}
	}
	return out, err
}

type indexed struct {
	Index int64 `path:"index" minimum:"0"`
}

func (d *door) act(ctx context.Context, _ staff.Session, in *indexed) (v1.Act, error) {
	e, err := d.Ledger.Entry(ctx, in.Index)
	return v1.Act{Index: e.Index, Act: e.Act}, err
}

func (d *door) prove(ctx context.Context, _ staff.Session, in *indexed) (proof.Logged, error) {
	return d.Ledger.Prove(ctx, in.Index)
}

type sizes struct {
	From int64 `query:"from" minimum:"0" required:"true"`
	To   int64 `query:"to" minimum:"0" required:"true"`
}

func (d *door) consistency(ctx context.Context, _ staff.Session, in *sizes) (v1.Consistency, error) {
	hashes, err := d.Ledger.Consistency(ctx, in.From, in.To)
	return v1.Consistency{Hashes: list(hashes)}, err
}

func (d *door) audit(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Audit, error) {
	r, err := d.Ledger.Audit(ctx, nil)
	r.Findings = list(r.Findings)
	return v1.Audit(r), err
}
