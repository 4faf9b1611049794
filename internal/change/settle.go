package change

import (
	"context"
	"errors"
	"fmt"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
)

// Integrity says what a rollout changed. Both calls may be repeated for the same order and then give the same.
type Integrity interface {
	// MakeManifest keeps what the runs of a stage order changed as its manifest, and gives its digest.
	MakeManifest(ctx context.Context, order string, runs []rollout.Run) (digest string, err error)
	// Reconcile compares what the runs of an order changed with the prediction and the manifest (empty: none), and opens an
	// investigation when something is left unexplained.
	Reconcile(ctx context.Context, order, manifest string, runs []rollout.Run) (Reconciliation, error)
	// InvestigationClosed reports whether people have closed an investigation.
	InvestigationClosed(ctx context.Context, investigation string) (bool, error)
}

// Reconciliation is what Reconcile found.
type Reconciliation struct {
	Digest        string // of the stored result
	Unexplained   int    // files nothing explains
	Investigation string // opened for them; empty when there are none
}

// Settle is the sweep that takes each order on when what it waits for has happened: a proposed one past its time expires,
// a finished stage rollout gets its manifest, a finished production rollout is reconciled, and an order under
// investigation closes with it.
func (c *Changes) Settle(ctx context.Context) error {
	var waiting []Order
	err := c.DB.Read(ctx, func(tx *db.Tx) (err error) {
		waiting, err = unfinished(ctx, tx)
		return err
	})
	for _, o := range waiting {
		var e error
		switch o.State {
		case Proposed:
			e = c.expire(ctx, o)
		case Warranted:
			e = c.conclude(ctx, o)
		case Investigating:
			e = c.release(ctx, o)
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("settle order %s: %w", o.ID, e))
		}
	}
	return err
}

func (c *Changes) expire(ctx context.Context, o Order) error {
	if !lapsed(o, c.Now()) {
		return nil
	}
	return c.advance(ctx, o, func(*Order) string { return Expired })
}

func (c *Changes) conclude(ctx context.Context, o Order) error {
	r, runs, err := c.Rollouts.Get(ctx, o.ID)
	if err != nil || r.State != rollout.Ended {
		return err
	}
	done := rollout.Succeeded(runs)
	if o.Kind == Stage {
		if !done {
			return c.advance(ctx, o, func(*Order) string { return Failed })
		}
		manifest, err := c.Integrity.MakeManifest(ctx, o.ID, runs)
		if err != nil {
			return err
		}
		return c.advance(ctx, o, func(o *Order) string { o.Manifest = manifest; return Closed })
	}
	var manifest string
	if o.Stage != nil {
		manifest = o.Stage.Manifest
	}
	found, err := c.Integrity.Reconcile(ctx, o.ID, manifest, runs)
	if err != nil {
		return err
	}
	return c.advance(ctx, o, func(o *Order) string {
		o.Result, o.Investigation = found.Digest, found.Investigation
		return outcome(done, found.Unexplained)
	})
}

func (c *Changes) release(ctx context.Context, o Order) error {
	closed, err := c.Integrity.InvestigationClosed(ctx, o.Investigation)
	if err != nil || !closed {
		return err
	}
	_, runs, err := c.Rollouts.Get(ctx, o.ID)
	if err != nil {
		return err
	}
	return c.advance(ctx, o, func(*Order) string { return outcome(rollout.Succeeded(runs), 0) })
}

// advance moves an order on, unless somebody else did meanwhile.
func (c *Changes) advance(ctx context.Context, seen Order, to func(*Order) string) error {
	return c.DB.Write(ctx, func(tx *db.Tx) error {
		o, err := load(ctx, tx, seen.ID)
		if err != nil || o.State != seen.State {
			return err
		}
		state := to(&o)
		detail := map[string]any{"from": o.State}
		if o.Investigation != "" {
			detail["investigation"] = o.Investigation
		}
		return c.finish(ctx, tx, o, state, "server", detail)
	})
}
