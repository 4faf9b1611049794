package api

import (
	"cmp"
	"context"
	"math"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/once"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// Composer puts together what a snapshot is made of: the accepted fixes and the package sets of a release's hosts.
type Composer interface {
	Compose(ctx context.Context, who, release string, decisions, upstreams []string) (curation.Snapshot, error)
}

// snapshots: what is taken from upstreams, and what channels show of it.
func (d *door) snapshots() {
	create(d, operation{"propose-snapshot", http.MethodPost, "/snapshots", "Propose a snapshot", staff.ProposeSnapshot}, once.Answer, d.compose)
	serve(d, operation{"snapshots", http.MethodGet, "/snapshots", "All snapshots", staff.Read}, d.listSnapshots)
	serve(d, operation{"snapshot", http.MethodGet, "/snapshots/{id}", "One snapshot by its record, with the payload to sign",
		staff.Read}, d.snapshot)
	serve(d, operation{"sign-snapshot", http.MethodPost, "/snapshots/{id}/signatures", "Hand in a signature", staff.Approve},
		d.signSnapshot)
	serve(d, operation{"channels", http.MethodGet, "/channels", "All channels", staff.Read}, d.listChannels)
	serve(d, operation{"promote", http.MethodPost, "/channels/{id}/promotions", "Point a channel at a snapshot", staff.Promote},
		d.promote)
}

func (d *door) compose(ctx context.Context, s staff.Session, in *v1.SnapshotProposal) (v1.Snapshot, error) {
	made, err := d.Composer.Compose(ctx, s.Person.ID, in.Release, in.Decisions, in.Upstreams)
	return snapshotOf(made), err
}

func (d *door) listSnapshots(ctx context.Context, _ staff.Session, in *Page) (v1.Snapshots, error) {
	snapshots, err := d.Curation.SnapshotsAfter(ctx, in.After, cmp.Or(in.Limit, math.MaxInt32))
	all := make([]v1.Snapshot, len(snapshots))
	for i, s := range snapshots {
		all[i] = snapshotOf(s)
		all[i].Payload, all[i].Packages = nil, nil
	}
	return v1.Snapshots{Snapshots: all}, err
}

func (d *door) snapshot(ctx context.Context, _ staff.Session, in *Named) (v1.Snapshot, error) {
	s, err := d.Curation.Proposed(ctx, in.ID)
	return snapshotOf(s), err
}

func snapshotOf(s curation.Snapshot) v1.Snapshot {
	out := v1.Snapshot{Record: envelope.Digest(s.Payload), Snapshot: s.Record.Snapshot, Index: s.Record.Index, Author: s.Record.Author,
		MadeAt: s.Record.MadeAt, SignedAt: s.SignedAt, Packages: s.Record.Packages, Payload: s.Payload}
	for _, sig := range s.Signatures {
		out.Signatures = append(out.Signatures, v1.Signature{Person: sig.Person, At: sig.At, Key: sig.KeyID, Kind: sig.Kind})
	}
	return out
}

func (d *door) signSnapshot(ctx context.Context, s staff.Session, in *approval) (v1.Snapshot, error) {
	signed, err := d.Curation.Sign(ctx, s.Person.ID, in.ID, in.Body.Signature)
	if err == nil && signed.Envelope != "" {
		err = d.Curation.Publish(ctx)
	}
	return snapshotOf(signed), err
}

func (d *door) listChannels(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Channels, error) {
	channels, err := d.Curation.ChannelStates(ctx)
	all := make([]v1.Channel, len(channels))
	for i, c := range channels {
		all[i] = v1.Channel(c)
	}
	return v1.Channels{Channels: all}, err
}

type promotion struct {
	Named
	Body v1.Promotion
}

func (d *door) promote(ctx context.Context, s staff.Session, in *promotion) (v1.Channel, error) {
	c, err := d.Curation.Promote(ctx, s.Person.ID, in.ID, in.Body.Snapshot)
	if err == nil {
		err = d.Curation.Publish(ctx)
	}
	return v1.Channel(c), err
}
