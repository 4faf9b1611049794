package change

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Integrity says what a rollout changed. MakeManifest and Reconcile give the same when they are called again.
type Integrity interface {
	Contents(ctx context.Context, pkg string) (explain.Contents, error)
	Manifest(ctx context.Context, digest string) (explain.Manifest, error)
	MakeManifest(ctx context.Context, order warrant.Order, runs []integrity.Run) (digest string, err error)
	Reconcile(ctx context.Context, order warrant.Order, runs []integrity.Run) (integrity.Reconciliation, error)
	Investigations(ctx context.Context) ([]integrity.Investigation, error)
}

// Settle is the sweep that takes each order on when what it waits for has happened: a proposed one past its time expires,
// a stage rollout that succeeded gets its manifest, one that failed and every production rollout is reconciled, and an order
// under investigation closes with it. An order to which a host reports late is concluded once more, that host included.
func (c *Changes) Settle(ctx context.Context) error {
	c.settling.Lock()
	defer c.settling.Unlock()
	err := c.reconsider(ctx)
	var waiting []Order
	err = errors.Join(err, c.DB.Read(ctx, func(tx *db.Tx) (err error) {
		waiting, err = unfinished(ctx, tx)
		return err
	}))
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
	return c.advance(ctx, o, c.Now(), func(*Order) string { return Expired })
}

// reconsider concludes orders once more whose rollout ended after they did, because a host that was given up reported.
func (c *Changes) reconsider(ctx context.Context) error {
	const skew = time.Minute // between the clocks of several servers
	ends, err := c.Rollouts.EndedAfter(ctx, c.upTo.Add(-skew))
	if err != nil {
		return err
	}
	var errs []error
	for _, end := range ends {
		var at time.Time
		err := c.DB.Read(ctx, func(tx *db.Tx) (err error) {
			at, err = endedAt(ctx, tx, end.Order)
			return err
		})
		if err == nil && !at.IsZero() && at.Before(end.At) {
			var o Order
			if o, err = c.Get(ctx, end.Order); err == nil {
				err = c.conclude(ctx, o)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("settle order %s after a late report: %w", end.Order, err))
		} else if len(errs) == 0 {
			c.upTo = end.At
		}
	}
	return errors.Join(errs...)
}

func (c *Changes) conclude(ctx context.Context, o Order) error {
	now := c.Now() // a report that comes while this goes on is late
	r, runs, err := c.Rollouts.Get(ctx, o.ID)
	if err != nil || r.State != rollout.Ended {
		return err
	}
	if now.Before(r.EndedAt) { // by the clock of another server
		now = r.EndedAt
	}
	done := rollout.Succeeded(runs)
	if o.Kind == Stage && o.State == Warranted && done {
		manifest, err := c.Integrity.MakeManifest(ctx, o.Order, observed(runs))
		if err != nil {
			return err
		}
		return c.advance(ctx, o, now, func(o *Order) string { o.Manifest = manifest; return Closed })
	}
	found, err := c.Integrity.Reconcile(ctx, o.Order, observed(runs))
	if err != nil {
		return err
	}
	b, err := envelope.Encode(found)
	if err != nil {
		return err
	}
	result, err := blob.PutBytes(ctx, c.Blobs, b)
	if err != nil {
		return err
	}
	done = done && o.Kind != Stage // which closes with its manifest alone
	return c.advance(ctx, o, now, func(o *Order) string { o.Result = result; return outcome(done, found.Clean) })
}

// observed gives the runs of which both states are known.
func observed(runs []rollout.Run) []integrity.Run {
	var some []integrity.Run
	for _, r := range runs {
		if r.Before != nil && r.After != nil {
			some = append(some, integrity.Run{Host: r.Host, Done: r.State == rollout.Done, Before: *r.Before, After: *r.After})
		}
	}
	return some
}

// release takes an order on when the last of its investigations is closed: closed if people ratified every change.
func (c *Changes) release(ctx context.Context, o Order) error {
	now := c.Now()
	all, err := c.Integrity.Investigations(ctx)
	if err != nil {
		return err
	}
	legitimate := true
	for _, i := range all {
		if i.Order == o.ID && i.State != integrity.Closed {
			return nil
		}
		legitimate = legitimate && (i.Order != o.ID || i.Outcome == integrity.Legitimate)
	}
	_, runs, err := c.Rollouts.Get(ctx, o.ID)
	if err != nil {
		return err
	}
	return c.advance(ctx, o, now, func(*Order) string { return outcome(rollout.Succeeded(runs) && legitimate, true) })
}

// advance moves an order on to what it was found to be at a time, unless somebody else did meanwhile.
func (c *Changes) advance(ctx context.Context, seen Order, at time.Time, to func(*Order) string) error {
	return c.DB.Write(ctx, func(tx *db.Tx) error {
		o, err := load(ctx, tx, seen.ID)
		if err != nil || o.State != seen.State {
			return err
		}
		o.EndedAt = at
		return c.finish(ctx, tx, o, to(&o), "server", map[string]any{"from": seen.State})
	})
}
