package api

import (
	"cmp"
	"context"
	"math"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/once"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// orders: from proposal to warrant.
func (d *door) orders() {
	create(d, operation{"propose-order", http.MethodPost, "/orders", "Propose an order", staff.ProposeOrder}, once.Answer, d.propose)
	serve(d, operation{"orders", http.MethodGet, "/orders", "The latest orders", staff.Read}, d.listOrders)
	serve(d, operation{"order", http.MethodGet, "/orders/{id}", "One order, with the payload to sign", staff.Read}, d.order)
	serve(d, operation{"approve-order", http.MethodPost, "/orders/{id}/signatures", "Hand in a signature", staff.Approve}, d.approve)
	serve(d, operation{"reject-order", http.MethodPost, "/orders/{id}/rejection", "Say no", staff.CancelOrder}, d.reject)
	serve(d, operation{"withdraw-order", http.MethodPost, "/orders/{id}/withdrawal", "Take back one's own order",
		staff.ProposeOrder}, d.withdraw)
}

func (d *door) propose(ctx context.Context, s staff.Session, in *v1.Proposal) (v1.Proposed, error) {
	o, idle, err := d.Changes.Propose(ctx, s.Person.ID, change.Proposal(*in))
	if err != nil {
		return v1.Proposed{}, err
	}
	return v1.Proposed{Order: orderOf(o), Idle: list(idle)}, nil
}

type olderOrders struct {
	Limited
	Before int64 `query:"before" minimum:"0" doc:"only those with a smaller sequence number; 0: from the newest"`
}

func (d *door) listOrders(ctx context.Context, _ staff.Session, in *olderOrders) (v1.Orders, error) {
	orders, err := d.Changes.ListBefore(ctx, cmp.Or(in.Before, math.MaxInt64), in.Limit)
	all := make([]v1.Order, len(orders))
	for i, o := range orders {
		all[i] = orderOf(o)
		all[i].Payload = nil
	}
	return v1.Orders{Orders: all}, err
}

func (d *door) order(ctx context.Context, _ staff.Session, in *Named) (v1.Order, error) {
	o, err := d.Changes.Get(ctx, in.ID)
	return orderOf(o), err
}

func orderOf(o change.Order) v1.Order {
	out := v1.Order{ID: o.ID, Kind: o.Kind, Class: o.Class, Environment: o.Environment, State: o.State, Author: o.Author,
		Sequence: o.Sequence, Reason: o.Reason, MadeAt: o.MadeAt, ExpiresAt: o.ExpiresAt, OpensAt: o.Window.OpensAt,
		ClosesAt: o.Window.ClosesAt, EndedAt: o.EndedAt, Of: o.Of, Snapshot: o.Snapshot.SHA256, SHA256: o.Digest,
		Manifest: o.Manifest, Result: o.Result, Payload: o.Payload}
	for _, s := range o.Signatures {
		out.Signatures = append(out.Signatures, v1.Signature{Person: s.Person, At: s.At, Key: s.KeyID, Kind: s.Kind})
	}
	return out
}

type approval struct {
	Named
	Body v1.Approval
}

func (d *door) approve(ctx context.Context, s staff.Session, in *approval) (v1.Order, error) {
	o, err := d.Changes.Approve(ctx, s.Person.ID, in.ID, in.Body.Signature)
	return orderOf(o), err
}

type because struct {
	Named
	Body v1.Reason
}

func (d *door) reject(ctx context.Context, s staff.Session, in *because) (none, error) {
	return none{}, d.Changes.Reject(ctx, s.Person.ID, in.ID, in.Body.Reason)
}

func (d *door) withdraw(ctx context.Context, s staff.Session, in *because) (none, error) {
	return none{}, d.Changes.Withdraw(ctx, s.Person.ID, in.ID, in.Body.Reason)
}

// rollouts: what became of warrants on hosts.
func (d *door) rollouts() {
	serve(d, operation{"rollout", http.MethodGet, "/orders/{id}/rollout", "How far an order is on its hosts", staff.Read}, d.rollout)
	serve(d, operation{"halt-rollout", http.MethodPost, "/orders/{id}/rollout/halt", "Offer the order to no more hosts",
		staff.CancelOrder}, d.halt)
	serve(d, operation{"resume-rollout", http.MethodPost, "/orders/{id}/rollout/resume", "Let a halted rollout go on",
		staff.Approve}, d.resume)
}

type runsOf struct {
	Named
	Limit int    `query:"limit" minimum:"0" maximum:"1000" default:"0" doc:"at most so many runs; 0: all"`
	From  int    `query:"from" minimum:"0" doc:"the position of the first run"`
	State string `query:"state" maxLength:"20" doc:"only runs in this state"`
}

func (d *door) rollout(ctx context.Context, _ staff.Session, in *runsOf) (v1.Rollout, error) {
	r, _, runs, err := d.Rollouts.Page(ctx, in.ID, rollout.RunPage{State: rollout.State(in.State), From: in.From, Limit: cmp.Or(in.Limit, math.MaxInt32)})
	out := v1.Rollout{Order: r.Order, State: r.State, Budget: r.Budget, StartedAt: r.StartedAt, EndedAt: r.EndedAt,
		Runs: make([]v1.Run, len(runs))}
	for i, run := range runs {
		out.Runs[i] = runOf(run)
	}
	return out, err
}

func runOf(r rollout.Run) v1.Run {
	return v1.Run{Host: r.Host, Wave: r.Wave, State: string(r.State), Code: r.Code, OfferedAt: r.OfferedAt, BegunAt: r.BegunAt,
		EndedAt: r.EndedAt, Report: r.Report, Session: r.Session}
}

func (d *door) halt(ctx context.Context, s staff.Session, in *because) (none, error) {
	return none{}, d.Rollouts.Halt(ctx, s.Person.ID, in.ID, in.Body.Reason)
}

func (d *door) resume(ctx context.Context, s staff.Session, in *because) (none, error) {
	return none{}, d.Changes.Resume(ctx, s.Person.ID, in.ID, in.Body.Reason)
}
