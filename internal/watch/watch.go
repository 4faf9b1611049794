// Package watch looks at what changes on hosts while no order runs there: each file state that a host reports is compared with
// the last one that was judged; what an order changed is left to its reconciliation, and the state that it leaves is the new
// baseline.
package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Hosts is what the watch needs of the estate.
type Hosts interface {
	Host(ctx context.Context, id string) (estate.Host, error)
	Changed(ctx context.Context, since int64) (ids []string, upTo int64, err error)
}

// Runs gives a host's runs, of the newest order first.
type Runs interface {
	RunsOf(ctx context.Context, host, before string, limit int) ([]rollout.Run, error)
}

// Judge says what changed, and opens investigations of what nothing explains.
type Judge interface {
	LookOutside(ctx context.Context, host string, before, after wire.Observation) (integrity.Outside, error)
	OpenOutside(ctx context.Context, tx *db.Tx, o integrity.Outside) error
}

// Config of a Watch.
type Config struct {
	DB    *db.DB
	Hosts Hosts
	Runs  Runs
	Judge Judge
}

// Watch keeps each host's baseline.
type Watch struct {
	Config

	mu    sync.Mutex // one sweep at a time
	since int64      // the estate's last change that was looked at; after a start, all hosts are
	later map[string]bool
}

// New makes a Watch.
func New(c Config) *Watch { return &Watch{Config: c, later: map[string]bool{}} }

// baseline is what of a host has been judged.
type baseline struct {
	Trees  map[string]string // by root
	Orders []string          // whose changes were set aside, the newest orders only
}

// known is how many of a host's newest orders a baseline remembers, many more than a host carries out between two sweeps.
const known = 50

// Sweep looks at the hosts that reported something new since the last sweep, and at those that an order kept busy then.
func (w *Watch) Sweep(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed, upTo, err := w.Hosts.Changed(ctx, w.since)
	if err != nil {
		return err
	}
	for _, id := range changed {
		w.later[id] = true
	}
	w.since = upTo
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(w.later)) {
		done, err := w.look(ctx, id)
		if err != nil {
			errs = append(errs, fmt.Errorf("watch host %s: %w", id, err))
		} else if done {
			delete(w.later, id)
		}
	}
	return errors.Join(errs...)
}

// look judges what changed on one host; done is false while an order runs on it or its state after one is not known yet.
func (w *Watch) look(ctx context.Context, id string) (done bool, err error) {
	h, err := w.Hosts.Host(ctx, id)
	if err != nil || !h.RetiredAt.IsZero() {
		return true, err
	}
	was, err := w.read(ctx, id)
	if err != nil || was == nil && len(h.Trees) == 0 || was != nil && maps.Equal(was.Trees, h.Trees) {
		return true, err
	}
	runs, err := w.Runs.RunsOf(ctx, id, "", known)
	if err != nil {
		return false, err
	}
	steps, ready := outside(was, h, runs)
	if !ready {
		return false, nil
	}
	var found []integrity.Outside
	for _, s := range steps {
		o, err := w.Judge.LookOutside(ctx, id, s.before, s.after)
		if err != nil {
			return false, err
		}
		found = append(found, o)
	}
	now := baseline{Trees: h.Trees}
	for _, r := range runs {
		if !r.EndedAt.IsZero() { // what another will change is still to come
			now.Orders = append(now.Orders, r.Order)
		}
	}
	return true, w.DB.Write(ctx, func(tx *db.Tx) error {
		for _, o := range found {
			if err := w.Judge.OpenOutside(ctx, tx, o); err != nil {
				return err
			}
		}
		return save(ctx, tx, id, now)
	})
}

// step is a time in which no order ran on a host.
type step struct{ before, after wire.Observation }

// outside gives the times without orders from the baseline to what the host reports now. A host that is seen first has its state taken
// as it is (was is nil). An order whose run left no state behind it explains nothing. ready is false while a run goes on, and until the
// host has reported after one.
func outside(was *baseline, h estate.Host, runs []rollout.Run) (steps []step, ready bool) {
	var ended []rollout.Run
	for _, r := range runs {
		switch {
		case r.State == rollout.Offered || r.State == rollout.Begun || !r.EndedAt.IsZero() && !h.FactsAt.After(r.EndedAt):
			return nil, false
		case was != nil && r.Before != nil && r.After != nil && !slices.Contains(was.Orders, r.Order):
			ended = append(ended, r)
		}
	}
	if was == nil {
		return nil, true
	}
	slices.SortFunc(ended, func(a, b rollout.Run) int { return a.EndedAt.Compare(b.EndedAt) })
	from := wire.Observation{At: h.FactsAt, Trees: was.Trees}
	for _, r := range ended {
		steps, from = append(steps, step{from, *r.Before}), *r.After
	}
	steps = append(steps, step{from, wire.Observation{At: h.FactsAt, Trees: h.Trees}})
	return slices.DeleteFunc(steps, func(s step) bool { return maps.Equal(s.before.Trees, s.after.Trees) }), true
}
