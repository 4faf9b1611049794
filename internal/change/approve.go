package change

import (
	"context"
	"fmt"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/admit"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Approve takes who's signature over the order's payload. When it fills the quorum of the class, the order is warranted and
// its rollout starts, in the same transaction. The order's state tells whether that happened. Refusals have the codes
// ROOT-EXPIRED, ROOT-ROLLBACK, AUTHOR, SIGNATURE and SCOPE.
func (c *Changes) Approve(ctx context.Context, who, order string, s envelope.Signature) (o Order, err error) {
	root, err := c.Root.CurrentRoot(ctx)
	if err == nil {
		err = root.Current(c.Now())
	}
	var now []trustroot.Place
	if err == nil {
		now, err = c.placesNow(ctx, root, order)
	}
	if err != nil {
		return o, fmt.Errorf("approve order %s: %w", order, err)
	}
	err = c.DB.Write(ctx, func(tx *db.Tx) error {
		if o, err = load(ctx, tx, order); err != nil {
			return err
		}
		if err := open(o, c.Now()); err != nil {
			return err
		}
		a, err := approval(root, o, now, who, s)
		if err != nil {
			return err
		}
		signed := Signature{Person: who, At: c.Now().UTC(), Signature: s}
		if err := insertSignature(ctx, tx, order, len(o.Signatures), signed); err != nil {
			return err
		}
		o.Signatures = append(o.Signatures, signed)
		_, err = c.act(ctx, tx, "order.approved", order, "person/"+who, []string{o.Digest},
			map[string]any{"key": s.KeyID, "kind": s.Kind, "hardware": a.Proof.Hardware})
		if err != nil {
			return err
		}
		if err := staff.Unmoved(ctx, tx, c.Root, warrant.RefOf(root)); err != nil {
			return err
		}
		return c.warrant(ctx, tx, root, now, &o)
	})
	if err != nil {
		return o, fmt.Errorf("approve order %s: %w", order, err)
	}
	return o, nil
}

// placesNow gives where the order's hosts stand now, where anybody's roles are limited: hosts that moved since the order was made
// must be within their scopes too.
func (c *Changes) placesNow(ctx context.Context, root *trustroot.Root, order string) ([]trustroot.Place, error) {
	if !slices.ContainsFunc(root.People, func(p trustroot.Person) bool { return len(p.Scopes) > 0 }) {
		return nil, nil
	}
	o, err := c.Get(ctx, order)
	if err != nil {
		return nil, err
	}
	return c.Estate.PlacesOf(ctx, rollout.HostsOf(o.Order))
}

// approval decides whether one signature counts as who's approval. The hosts stand where the order says, and now.
func approval(root *trustroot.Root, o Order, now []trustroot.Place, who string, s envelope.Signature) (trustroot.Approval, error) {
	none := trustroot.Approval{}
	if o.TrustRoot != warrant.RefOf(root) {
		return none, fault.Refuse(fault.RootRollback, "it was made under trust root version %d; version %d is in force: withdraw it and propose it again",
			o.TrustRoot.Version, root.Version)
	}
	if who == o.Author {
		return none, fault.Refuse(fault.Author, "%s is its author; others approve it", who)
	}
	if slices.ContainsFunc(o.Signatures, func(x Signature) bool { return x.Person == who }) {
		return none, fault.New(fault.Conflict, "%s has approved it already", who)
	}
	approvals, err := root.Approvals(envelope.Envelope{PayloadType: warrant.OrderType, Payload: o.Payload, Signatures: []envelope.Signature{s}})
	if err != nil {
		return none, err
	}
	if signer := approvals[0].Person.ID; signer != who {
		return none, fault.Refuse(fault.BadSignature, "the signature is %s's, not %s's", signer, who)
	}
	rule, _ := root.Rule(o.Class)
	return approvals[0], admit.Person(rule.Seats, approvals[0].Person, slices.Concat(o.Places, now)...)
}

// Resume lets the halted rollout of an order go on: the approval of a person who is not its author, and the scopes of whose roles cover
// its hosts, where it says that they stand and where they stand now. Refusals have the codes ROOT-EXPIRED and SCOPE.
func (c *Changes) Resume(ctx context.Context, who, order, reason string) error {
	root, err := c.Root.CurrentRoot(ctx)
	if err == nil {
		err = root.Current(c.Now())
	}
	if err != nil {
		return fmt.Errorf("resume order %s: %w", order, err)
	}
	o, err := c.Get(ctx, order)
	if err != nil {
		return err
	}
	now, err := c.placesNow(ctx, root, order)
	if err != nil {
		return err
	}
	p, _ := root.Person(who)
	rule, _ := root.Rule(o.Class)
	if err := admit.Person(rule.Seats, p, slices.Concat(o.Places, now)...); err != nil {
		return fmt.Errorf("resume order %s: %w", order, err)
	}
	return c.Rollouts.Resume(ctx, who, order, reason)
}

// signedEnvelope is the order as hosts get it.
func (o Order) signedEnvelope() envelope.Envelope {
	e := envelope.Envelope{PayloadType: warrant.OrderType, Payload: o.Payload, Signatures: []envelope.Signature{}}
	for _, s := range o.Signatures {
		e.Signatures = append(e.Signatures, s.Signature)
	}
	return e
}

// warrant turns an order into a warrant if its signatures are enough, for its hosts where it says that they stand and where they
// stand now; otherwise it stays proposed.
func (c *Changes) warrant(ctx context.Context, tx *db.Tx, root *trustroot.Root, now []trustroot.Place, o *Order) error {
	e := o.signedEnvelope()
	approvals, err := root.Approvals(e)
	if err != nil {
		return err
	}
	if err := root.Quorum(o.Class, o.Author, approvals, slices.Concat(o.Places, now)...); admit.Lacking(err) {
		return nil
	} else if err != nil {
		return err
	}
	b, err := envelope.Encode(e)
	if err != nil {
		return err
	}
	if o.Envelope, err = blob.PutBytes(ctx, c.Blobs, b); err != nil {
		return fmt.Errorf("keep envelope: %w", err)
	}
	index, err := c.act(ctx, tx, "order.warranted", o.ID, "server", []string{o.Digest, o.Envelope}, map[string]any{"sequence": o.Sequence})
	if err != nil {
		return err
	}
	o.State = Warranted
	if err := saveOrder(ctx, tx, *o); err != nil {
		return err
	}
	return c.Rollouts.Start(ctx, tx, rollout.Warranted{
		Order: o.Order, Digest: o.Digest, Envelope: o.Envelope, Curation: o.Curation, Index: index,
	})
}

// Reject ends a proposed order by an approver's no. The author withdraws instead.
func (c *Changes) Reject(ctx context.Context, who, order, reason string) error {
	return c.end(ctx, who, order, reason, Rejected, func(o Order) error {
		if who == o.Author {
			return fault.New(fault.Denied, "%s is the author of order %s: withdraw it", who, order)
		}
		return nil
	})
}

// Withdraw ends a proposed order by its author.
func (c *Changes) Withdraw(ctx context.Context, who, order, reason string) error {
	return c.end(ctx, who, order, reason, Withdrawn, func(o Order) error {
		if who != o.Author {
			return fault.New(fault.Denied, "order %s is %s's to withdraw; reject it", order, o.Author)
		}
		return nil
	})
}

func (c *Changes) end(ctx context.Context, who, order, reason, state string, decide func(Order) error) error {
	reason, err := ledger.Reason(reason)
	if err != nil {
		return err
	}
	err = c.DB.Write(ctx, func(tx *db.Tx) error {
		o, err := load(ctx, tx, order)
		if err != nil {
			return err
		}
		if err := open(o, c.Now()); err != nil {
			return err
		}
		if err := decide(o); err != nil {
			return err
		}
		o.EndedAt = c.Now()
		return c.finish(ctx, tx, o, state, "person/"+who, map[string]any{"reason": reason})
	})
	if err != nil {
		return fmt.Errorf("end order %s: %w", order, err)
	}
	return nil
}

// finish moves an order to a state with the act order.<state>, citing its payload and what was found.
func (c *Changes) finish(ctx context.Context, tx *db.Tx, o Order, state, who string, detail map[string]any) error {
	o.State = state
	if err := saveOrder(ctx, tx, o); err != nil {
		return err
	}
	facts := []string{o.Digest}
	for _, f := range []string{o.Manifest, o.Result} {
		if f != "" {
			facts = append(facts, f)
		}
	}
	_, err := c.act(ctx, tx, "order."+state, o.ID, who, facts, detail)
	return err
}
