// Package change keeps the change orders: who proposed what, who approved it, and what it came to. It turns a proposal into
// the exact bytes people sign, counts their signatures under the trust root, starts the rollout and closes the order.
package change

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/memo"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Ledger is what changes need of the log.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Curation gives snapshots that have their quorum, and what the channels point at.
type Curation interface {
	Snapshot(ctx context.Context, digest string) (curation.Snapshot, error)
	Packages(ctx context.Context, digest string) ([]deb.IndexEntry, error)
	Channel(ctx context.Context, name string) (digest string, err error)
}

// Estate gives the hosts and their packages.
type Estate interface {
	Hosts(ctx context.Context) ([]estate.Host, error)
	PackageSet(ctx context.Context, digest string) (pkgset.Set, error)
	InventoryOf(ctx context.Context, digest string) (wire.Inventory, error)
	// PlacesOf gives where hosts stand, each place once, sorted.
	PlacesOf(ctx context.Context, hosts []string) ([]trustroot.Place, error)
}

// Config of Changes.
type Config struct {
	DB          *db.DB
	Ledger      Ledger
	Blobs       blob.Store
	Root        staff.Root
	Curation    Curation
	Estate      Estate
	Rollouts    *rollout.Rollouts
	Integrity   Integrity
	Now         func() time.Time
	NoticeHours int // see DefaultNoticeHours
}

// Changes keeps all orders.
type Changes struct {
	Config
	said memo.Memo[said]

	settling sync.Mutex // one sweep at a time
	upTo     time.Time  // the last end of a rollout that was looked at; after a start, all are
}

// New makes Changes.
func New(c Config) *Changes { return &Changes{Config: c, said: memo.Memo[said]{Most: 128 << 20}} }

// Order is an order with what became of it.
type Order struct {
	warrant.Order
	Kind       string
	Of         string // the order it follows or undoes
	Payload    []byte // what people sign
	Digest     string // of Payload
	Curation   string // digest of the stored envelope of the curation record
	State      string
	Signatures []Signature
	Envelope   string // digest of the stored envelope with its signatures, once warranted
	Manifest   string // stage orders, once closed
	Result     string // digest of the reconciliation, once made
	EndedAt    time.Time
}

// Signature is one person's approval.
type Signature struct {
	Person string
	At     time.Time
	envelope.Signature
}

// Propose works out the exact payload of an order: hosts and their transactions, sequence number, trust root. The
// author is who; approving it is for others. Idle are the hosts that need nothing from it.
func (c *Changes) Propose(ctx context.Context, who string, p Proposal) (o Order, idle []string, err error) {
	if p, err = c.Fill(ctx, p); err != nil {
		return o, nil, fmt.Errorf("template %s: %w", p.Template, err)
	}
	if p.Kind == Stage && p.Class == "" {
		p.Class = trustroot.Stage
	}
	if err := p.check(c.Now()); err != nil {
		return o, nil, err
	}
	if err := noticed(p.Class, p.Window, p.Notices, c.NoticeHours); err != nil {
		return o, nil, err
	}
	root, err := c.Root.CurrentRoot(ctx)
	if err != nil {
		return o, nil, fmt.Errorf("propose order: %w", err)
	}
	if err := root.Current(c.Now()); err != nil {
		return o, nil, fmt.Errorf("propose order: %w", err)
	}
	if err := fits(root, who, p); err != nil {
		return o, nil, err
	}
	snapshot, err := c.Curation.Snapshot(ctx, p.Snapshot)
	if err != nil {
		return o, nil, fmt.Errorf("propose order: snapshot %s: %w", p.Snapshot, err)
	}
	if o, idle, err = c.draft(ctx, p, snapshot.Ref); err != nil {
		return o, nil, err
	}
	o.Author, o.TrustRoot, o.Curation = who, warrant.RefOf(root), snapshot.Envelope
	if err := c.insert(ctx, &o, p); err != nil {
		return o, nil, fmt.Errorf("propose order: %w", err)
	}
	return o, idle, nil
}

// fits refuses what the trust root would never warrant: an unknown author, a class without rule, a window too long.
func fits(root *trustroot.Root, who string, p Proposal) error {
	if _, known := root.Person(who); !known {
		return fault.Refuse(fault.Author, "%s is not a person of trust root version %d", who, root.Version)
	}
	rule, ok := root.Rule(p.Class)
	if !ok {
		return fault.Refuse(fault.Class, "trust root version %d has no rule for class %s", root.Version, p.Class)
	}
	if long := p.Window.ClosesAt.Sub(p.Window.OpensAt); long > time.Duration(rule.MaxWindowHours)*time.Hour {
		return fault.Refuse(fault.WindowTooLong, "the window is %s long; class %s may have %d h", long, p.Class, rule.MaxWindowHours)
	}
	return nil
}

// draft makes the order but for author, trust root and sequence number.
func (c *Changes) draft(ctx context.Context, p Proposal, snapshot warrant.SnapshotRef) (Order, []string, error) {
	now := c.Now().UTC().Truncate(time.Second)
	o := Order{Kind: p.Kind, Of: p.Of, State: Proposed, Order: warrant.Order{
		ID: id.New("ord", now), Class: p.Class, MadeAt: now, ExpiresAt: p.Window.ClosesAt.UTC(),
		Window: warrant.Window{OpensAt: p.Window.OpensAt.UTC(), ClosesAt: p.Window.ClosesAt.UTC()},
		Reason: p.Reason, Vulnerabilities: slices.Sorted(slices.Values(p.Vulnerabilities)),
		Snapshot: snapshot, Plan: p.Plan, BackOut: p.BackOut, Notices: append([]warrant.Notice{}, p.Notices...),
	}}
	if o.Vulnerabilities == nil {
		o.Vulnerabilities = []string{}
	}
	for i := range o.Notices {
		o.Notices[i].At = o.Notices[i].At.UTC()
	}
	if p.Grounds != "" {
		o.Reason += "\nEmergency, because: " + p.Grounds
	}
	plan, err := c.plan(ctx, &o, p)
	if err != nil {
		return o, nil, err
	}
	if len(plan.Transactions) == 0 {
		return o, nil, fault.New(fault.Conflict, "no host of environment %s needs anything from snapshot %s", o.Environment, p.Snapshot)
	}
	o.Transactions = plan.Transactions
	if o.Places, err = c.Estate.PlacesOf(ctx, rollout.HostsOf(o.Order)); err != nil {
		return o, nil, fmt.Errorf("places of hosts: %w", err)
	}
	return o, plan.Idle, nil
}

// insert gives the order its sequence number, encodes and saves it, with the act.
func (c *Changes) insert(ctx context.Context, o *Order, p Proposal) error {
	return c.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if o.Sequence, err = nextSequence(ctx, tx); err != nil {
			return err
		}
		if o.Payload, err = o.Order.Encode(); err != nil {
			return err
		}
		o.Digest = envelope.Digest(o.Payload)
		if err := insertOrder(ctx, tx, *o); err != nil {
			return err
		}
		detail := map[string]any{"kind": o.Kind, "class": o.Class, "sequence": o.Sequence, "notice_hours": c.NoticeHours}
		if p.Grounds != "" {
			detail["grounds"] = p.Grounds
		}
		if p.Template != "" {
			detail["template"] = p.Template
		}
		if p.Acknowledge != "" {
			detail["acknowledge"] = p.Acknowledge
		}
		if p.Roots {
			detail["roots"] = true
		}
		_, err = c.act(ctx, tx, "order.proposed", o.ID, "person/"+o.Author, []string{o.Digest}, detail)
		return err
	})
}

// Get gives an order with its signatures.
func (c *Changes) Get(ctx context.Context, order string) (o Order, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		o, err = load(ctx, tx, order)
		return err
	})
	return o, err
}

// List gives the latest orders, newest first, at most limit, without signatures. What it gives is shared: nobody changes
// payloads and transactions.
func (c *Changes) List(ctx context.Context, limit int) ([]Order, error) {
	return c.ListBefore(ctx, math.MaxInt64, limit)
}

// ListBefore is List from below a sequence number on.
func (c *Changes) ListBefore(ctx context.Context, sequence int64, limit int) (all []Order, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		if all, err = latest(ctx, tx, sequence, limit); err != nil {
			return err
		}
		for i := range all {
			o := &all[i]
			x, err := c.said.Get(o.ID, func() (said, int, error) { return loadSaid(ctx, tx, o.ID) })
			if err != nil {
				return err
			}
			o.Order, o.Payload, o.Digest = x.Order, x.payload, x.digest
		}
		return nil
	})
	return all, err
}

// Count is how many orders of a kind are in a state.
type Count struct {
	Kind, State string
	Orders      int
}

// Counts gives the number of orders of each kind in each state, in no order.
func (c *Changes) Counts(ctx context.Context) (all []Count, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = counts(ctx, tx)
		return err
	})
	return all, err
}

// act writes one act on an order.
func (c *Changes) act(ctx context.Context, tx *db.Tx, kind, order, who string, facts []string, detail map[string]any) (int64, error) {
	b, err := json.Marshal(detail)
	if err != nil {
		return 0, err
	}
	return c.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: "order/" + order, At: c.Now(), Who: who, Facts: facts, Detail: b})
}
