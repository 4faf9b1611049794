// Package job runs the timetable: named sweeps, each at its period, by whichever server holds the lease.
package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// Sweep is an idempotent pass over what is due. It is called again after its period whatever came of the last call, and
// never twice at once.
type Sweep struct {
	Name  string
	Every time.Duration // from the end of one pass to the start of the next, give or take a tenth
	Do    func(context.Context) error
}

// Lease decides which server runs the timetable.
type Lease interface {
	// Hold takes or renews the lease for a time, and reports whether this server has it.
	Hold(ctx context.Context, life time.Duration) (bool, error)
	// Release gives up the lease if this server has it.
	Release(ctx context.Context) error
}

const (
	leaseLife  = 30 * time.Second
	leaseRenew = 10 * time.Second // two renewals may fail before another server takes over
)

// Timetable is a set of sweeps under a lease.
type Timetable struct {
	Lease  Lease
	Log    *slog.Logger
	Sweeps []Sweep
}

// Run runs the sweeps, while this server holds the lease, until ctx is done; then it waits for those under way.
func (t Timetable) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if t.hold(ctx) {
			t.lead(ctx)
		}
		sleep(ctx, leaseRenew)
	}
}

func (t Timetable) hold(ctx context.Context) bool {
	held, err := t.Lease.Hold(ctx, leaseLife)
	if err != nil && ctx.Err() == nil {
		t.Log.Error("take the timetable's lease", "error", err)
	}
	return held && err == nil
}

// lead runs all sweeps until the lease is lost or ctx done. A lease that could not be renewed counts as lost, long before
// it ends.
func (t Timetable) lead(ctx context.Context) {
	leading, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, s := range t.Sweeps {
		running.Go(func() { t.repeat(leading, s) })
	}
	for sleep(ctx, leaseRenew); ctx.Err() == nil && t.hold(ctx); {
		sleep(ctx, leaseRenew)
	}
	stop()
	running.Wait()
	if err := t.Lease.Release(context.WithoutCancel(ctx)); err != nil {
		t.Log.Error("release the timetable's lease", "error", err)
	}
}

func (t Timetable) repeat(ctx context.Context, s Sweep) {
	for ctx.Err() == nil {
		if err := once(ctx, s); err != nil && !errors.Is(err, context.Canceled) {
			t.Log.Error("sweep failed", "sweep", s.Name, "error", err)
		}
		sleep(ctx, s.Every+time.Duration((rand.Float64()-0.5)*0.2*float64(s.Every)))
	}
}

// once runs one pass; a panic in it is an error.
func once(ctx context.Context, s Sweep) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return s.Do(ctx)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
