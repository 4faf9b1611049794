package job

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// lease is held by one of several servers until its time is over.
type lease struct {
	sync.Mutex
	holder string
	until  time.Time
	broken bool
}

type view struct {
	*lease
	me string
}

func (v view) Hold(_ context.Context, life time.Duration) (bool, error) {
	v.Lock()
	defer v.Unlock()
	if v.broken {
		return false, errors.New("no database")
	}
	if v.holder != v.me && time.Now().Before(v.until) {
		return false, nil
	}
	v.holder, v.until = v.me, time.Now().Add(life)
	return true, nil
}

func (v view) Release(context.Context) error {
	v.Lock()
	defer v.Unlock()
	if v.holder == v.me {
		v.holder, v.until = "", time.Time{}
	}
	return nil
}

func (l *lease) set(broken bool) {
	l.Lock()
	defer l.Unlock()
	l.broken = broken
}

func TestASweepIsRepeatedWhateverCameOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		var passes int
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
		defer stop()
		Timetable{
			Lease: view{&lease{}, "a"},
			Log:   slog.New(slog.NewTextHandler(&logged, nil)),
			Sweeps: []Sweep{{Name: "settle", Every: time.Minute, Do: func(context.Context) error {
				passes++
				switch passes {
				case 1:
					return errors.New("disk full")
				case 2:
					panic("index out of range")
				}
				return nil
			}}},
		}.Run(ctx)
		if passes < 9 || passes > 12 {
			t.Errorf("%d passes in ten minutes", passes)
		}
		for _, want := range []string{"disk full", "index out of range", "settle"} {
			if !strings.Contains(logged.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, logged.String())
			}
		}
		if n := strings.Count(logged.String(), "\n"); n != 2 {
			t.Errorf("%d lines logged, want 2:\n%s", n, logged.String())
		}
	})
}

func TestOneServerSweepsAndAnotherTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lease{}
		var at, most atomic.Int32
		counts := map[string]*atomic.Int32{"a": {}, "b": {}}
		serve := func(ctx context.Context, me string) {
			Timetable{Lease: view{l, me}, Log: slog.New(slog.DiscardHandler), Sweeps: []Sweep{{
				Name: "s", Every: time.Second, Do: func(ctx context.Context) error {
					counts[me].Add(1)
					most.Store(max(most.Load(), at.Add(1)))
					sleep(ctx, time.Second)
					at.Add(-1)
					return nil
				},
			}}}.Run(ctx)
		}
		aCtx, stopA := context.WithCancel(t.Context())
		bCtx, stopB := context.WithCancel(t.Context())
		go serve(aCtx, "a")
		time.Sleep(time.Second)
		go serve(bCtx, "b")
		time.Sleep(5 * time.Minute)
		if counts["a"].Load() < 100 || counts["b"].Load() != 0 {
			t.Errorf("while a leads: a %d, b %d passes", counts["a"].Load(), counts["b"].Load())
		}
		stopA()
		time.Sleep(time.Minute)
		if counts["b"].Load() < 15 {
			t.Errorf("after a stopped: b %d passes", counts["b"].Load())
		}
		if most.Load() != 1 {
			t.Errorf("%d passes at once", most.Load())
		}
		stopB()
		synctest.Wait()
	})
}

func TestAServerThatCannotRenewItsLeaseStopsSweeping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lease{}
		var running atomic.Bool
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go Timetable{Lease: view{l, "a"}, Log: slog.New(slog.DiscardHandler), Sweeps: []Sweep{{
			Name: "long", Every: time.Second, Do: func(ctx context.Context) error {
				running.Store(true)
				<-ctx.Done()
				running.Store(false)
				return ctx.Err()
			},
		}}}.Run(ctx)
		time.Sleep(time.Minute)
		if !running.Load() {
			t.Fatal("not sweeping")
		}
		l.set(true)
		time.Sleep(leaseLife - leaseRenew)
		if running.Load() {
			t.Error("still sweeping near the end of the lease")
		}
		l.set(false)
		time.Sleep(time.Minute)
		if !running.Load() {
			t.Error("not sweeping after the lease came back")
		}
	})
}
