package estate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// stored gives a host as the database has it.
func (w *world) stored(id string) (h Host) {
	w.t.Helper()
	check(w.t, w.DB.Read(w.t.Context(), func(tx *db.Tx) (err error) {
		h, err = loadHost(w.t.Context(), tx, id)
		return err
	}))
	return h
}

func (w *world) hear(id string, c wire.CheckIn) error {
	_, _, err := w.CheckIn(w.t.Context(), id, c)
	return err
}

func TestHeartbeatsAreWrittenTogether(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		h, _ := w.enrol("web1")
		check(t, w.hear(h.ID, w.put(1, "1")))
		w.now = w.now.Add(time.Minute)
		c := w.put(2, "1")
		c.Cost = wire.Cost{MemoryKiB: 20_000, CPUMillis: 600, Seconds: 60}
		check(t, w.hear(h.ID, c))
		if s := w.stored(h.ID); s.Counter != 1 {
			t.Errorf("a heartbeat was written at once: counter %d", s.Counter)
		}
		if now, err := w.Host(t.Context(), h.ID); err != nil || now.Counter != 2 || !now.LastSeen.Equal(w.now) || !now.FactsAt.Equal(w.now) || now.Cost != c.Cost {
			t.Errorf("the server does not know its own heartbeat: %+v (%v)", now, err)
		}
		check(t, w.Flush(t.Context()))
		if s := w.stored(h.ID); s.Counter != 2 || !s.LastSeen.Equal(w.now) || !s.FactsAt.Equal(w.now) || s.Cost != c.Cost || s.Cost.Percent() != 1 {
			t.Errorf("after the flush: %+v", s)
		}
	})
}

// TestNothingThatMattersWaits: whatever is more than a heartbeat is in the database, with its act, before the host hears an
// answer; and it rests on the heartbeats before.
func TestNothingThatMattersWaits(t *testing.T) {
	news := map[string]func(w *world, c *wire.CheckIn){
		"packages":   func(w *world, c *wire.CheckIn) { c.PackageSet = w.put(9, "2").PackageSet },
		"report key": func(_ *world, c *wire.CheckIn) { c.ReportKey = "another" },
		"alarm":      func(_ *world, c *wire.CheckIn) { c.Alarm = "FREEZE" },
		"trust root": func(_ *world, c *wire.CheckIn) { c.TrustRootVersion = 2 },
		"agent":      func(_ *world, c *wire.CheckIn) { c.AgentVersion = "2" },
		"clone":      func(_ *world, c *wire.CheckIn) { c.Counter = 2 },
		"old log":    func(_ *world, c *wire.CheckIn) { c.Log.Size = 0 },
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for name, spoil := range news {
			w := newWorld(t, d)
			h, _ := w.enrol("web1")
			for counter := range int64(2) {
				c := w.put(counter+1, "1")
				c.Log.Size = 5
				check(t, w.hear(h.ID, c))
			}
			before := w.stored(h.ID)
			c := w.put(3, "1")
			c.Log.Size = 5
			spoil(w, &c)
			err := w.hear(h.ID, c)
			after := w.stored(h.ID)
			if cloned := fault.CodeOf(err) == wire.Cloned; cloned != (name == "clone") || !cloned && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if isHeartbeat(before, after) && name != "old log" || after.Counter < 2 {
				t.Errorf("%s waits: counter %d", name, after.Counter)
			}
		}
	})
}

func TestSilenceKnowsTheHeartbeats(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	h, _ := w.enrol("web1")
	check(t, w.hear(h.ID, w.put(1, "1")))
	w.now = w.now.Add(w.Estate.Silent)
	check(t, w.hear(h.ID, w.put(2, "1")))
	w.now = w.now.Add(time.Second)
	check(t, w.Silence(t.Context()))
	if s := w.stored(h.ID); !s.SilentAt.IsZero() {
		t.Error("a host that spoke a second ago counts as silent")
	}
}

// TestAHostHeardMeanwhileIsNotSilent: its heartbeat came after the others were written, and before the sweep looked.
func TestAHostHeardMeanwhileIsNotSilent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		h, _ := w.enrol("web1")
		check(t, w.hear(h.ID, w.put(1, "1")))
		w.now = w.now.Add(w.Estate.Silent + time.Second)
		heard, clock := false, w.Estate.Now
		w.Estate.Now = func() time.Time {
			if !heard {
				heard = true
				check(t, w.hear(h.ID, w.put(2, "1")))
			}
			return clock()
		}
		check(t, w.Silence(t.Context()))
		check(t, w.Flush(t.Context()))
		if s := w.stored(h.ID); !s.SilentAt.IsZero() || s.Counter != 2 {
			t.Errorf("silent since %s, counter %d", s.SilentAt, s.Counter)
		}
	})
}

// TestOneCounterAtTwoServersIsAClone: the second to write finds the counter taken.
func TestOneCounterAtTwoServersIsAClone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w, other := newWorld(t, d), newWorld(t, d)
		other.Blobs = w.Blobs
		h, _ := w.enrol("web1")
		check(t, w.hear(h.ID, w.put(1, "1")))
		check(t, w.hear(h.ID, w.put(2, "1")))
		other.now = other.now.Add(time.Millisecond)
		check(t, other.hear(h.ID, w.put(2, "1")))
		check(t, w.Flush(t.Context()))
		check(t, w.Flush(t.Context()))
		if s := w.stored(h.ID); !s.ClonedAt.IsZero() {
			t.Fatal("a server takes its own heartbeat for a clone's")
		}
		check(t, other.Flush(t.Context()))
		if s := w.stored(h.ID); s.ClonedAt.IsZero() || other.log.kinds() != "host.cloned" {
			t.Errorf("cloned at %s, acts %s", s.ClonedAt, other.log.kinds())
		}
	})
}

// TestEnrolmentEndsOldHeartbeats: the counter of the identity before must not meet the new one.
func TestEnrolmentEndsOldHeartbeats(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	h, _ := w.enrol("web1")
	check(t, w.hear(h.ID, w.put(1, "1")))
	check(t, w.hear(h.ID, w.put(2, "1")))
	w.now = w.now.Add(time.Minute)
	token, _, err := w.MakeToken(t.Context(), "person/erin", NewToken{Host: h.ID, Life: time.Hour})
	check(t, err)
	_, _, err = w.Enrol(t.Context(), wire.EnrolRequest{Token: token, Name: "web1", CSR: csr(t)})
	check(t, err)
	check(t, w.Flush(t.Context()))
	if now, err := w.Host(t.Context(), h.ID); err != nil || now.Counter != 0 {
		t.Errorf("after the enrolment: counter %d (%v)", now.Counter, err)
	}
	check(t, w.hear(h.ID, w.put(1, "1")))
}

// TestHeartbeatsWaitForTheDatabase: what a failed flush could not write is written by the next.
func TestHeartbeatsWaitForTheDatabase(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	h, _ := w.enrol("web1")
	check(t, w.hear(h.ID, w.put(1, "1")))
	check(t, w.hear(h.ID, w.put(2, "1")))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Flush(gone); !errors.Is(err, context.Canceled) {
		t.Fatalf("flush: %v", err)
	}
	check(t, w.Flush(t.Context()))
	if s := w.stored(h.ID); s.Counter != 2 {
		t.Errorf("counter %d", s.Counter)
	}
}

// TestManyAtOnce: of the same counter sent many times at once, one is taken, and the rest are a clone.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	h, _ := w.enrol("web1")
	check(t, w.hear(h.ID, w.put(1, "1")))
	c := w.put(2, "1")
	var taken sync.Map
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := w.hear(h.ID, c); err == nil {
				taken.Store(i, true)
			} else if fault.CodeOf(err) != wire.Cloned {
				t.Error(err)
			}
		})
	}
	all.Wait()
	n := 0
	taken.Range(func(any, any) bool { n++; return true })
	if s := w.stored(h.ID); n != 1 || s.ClonedAt.IsZero() {
		t.Error(fmt.Sprint(n, " of 8 taken, cloned at ", s.ClonedAt))
	}
}
