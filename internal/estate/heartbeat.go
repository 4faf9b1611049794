package estate

import (
	"context"
	"hash/maphash"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// heartbeat is what a check-in that brought no news leaves: counter, clock and what the agent takes.
type heartbeat struct {
	enrolled    time.Time // which enrolment it belongs to
	counter     int64
	at, factsAt time.Time
	scannedAt   time.Time
	log         wire.LogSeen
	cost        wire.Cost
}

// heartbeats wait in memory until Flush writes them together. Lost with a crash are the last second's: hosts look that much
// older, and a copied identity that repeats a counter of that second is found out at the host's next check-in.
type heartbeats struct {
	mu       sync.Mutex
	of       map[string]heartbeat // by host
	turns    [64]sync.Mutex       // one check-in of a host at a time
	seed     maphash.Seed
	flushing sync.Mutex
}

// maxHeartbeats bounds how many wait; the check-in that makes them as many writes them.
const maxHeartbeats = 10_000

// turn waits until no other check-in of the host is under way, and gives what ends it.
func (b *heartbeats) turn(host string) (end func()) {
	m := &b.turns[maphash.String(b.seed, host)%uint64(len(b.turns))]
	m.Lock()
	return m.Unlock
}

// apply brings a host as stored up to its last heartbeat.
func (b *heartbeats) apply(h *Host) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last, ok := b.of[h.ID]; ok && last.enrolled.Equal(h.EnrolledAt) && last.counter > h.Counter {
		h.Counter, h.LastSeen, h.FactsAt, h.Log, h.ScannedAt = last.counter, last.at, last.factsAt, last.log, last.scannedAt
		h.Cost = last.cost
	}
}

// keep notes the heartbeat that led to a host, and reports whether as many wait as may.
func (b *heartbeats) keep(h Host) (full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of[h.ID] = heartbeat{enrolled: h.EnrolledAt, counter: h.Counter, at: h.LastSeen, factsAt: h.FactsAt, scannedAt: h.ScannedAt, log: h.Log,
		cost: h.Cost}
	return len(b.of) >= maxHeartbeats
}

// written forgets the heartbeats of a batch that no later one replaced.
func (b *heartbeats) written(batch map[string]heartbeat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for host, beat := range batch {
		if b.of[host].counter == beat.counter {
			delete(b.of, host)
		}
	}
}

func (b *heartbeats) waiting() map[string]heartbeat {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.of)
}

// isHeartbeat reports whether a check-in changed nothing about a host but what a heartbeat holds.
func isHeartbeat(before, after Host) bool {
	before.Counter, before.LastSeen, before.FactsAt, before.Log = after.Counter, after.LastSeen, after.FactsAt, after.Log
	before.ScannedAt, before.Cost = after.ScannedAt, after.Cost
	return reflect.DeepEqual(before, after)
}

// Flush writes the heartbeats that wait. A counter that somebody else has meanwhile written is the sign of a copied identity
// whose two machines talk to different servers, and is treated as CheckIn does.
func (e *Estate) Flush(ctx context.Context) error {
	e.beats.flushing.Lock()
	defer e.beats.flushing.Unlock()
	batch := e.beats.waiting()
	if len(batch) == 0 {
		return nil
	}
	err := e.DB.Write(ctx, func(tx *db.Tx) error {
		for _, host := range slices.Sorted(maps.Keys(batch)) {
			taken, err := saveHeartbeat(ctx, tx, host, batch[host])
			if err == nil && !taken {
				err = e.contest(ctx, tx, host, batch[host])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		e.beats.written(batch)
	}
	return err
}

// contest looks at why a heartbeat was not taken.
func (e *Estate) contest(ctx context.Context, tx *db.Tx, host string, b heartbeat) error {
	h, err := loadHost(ctx, tx, host)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	ours := h.LastSeen.Equal(b.at.Truncate(time.Microsecond)) // written before, and told otherwise
	if err != nil || ours || h.Counter != b.counter || !h.EnrolledAt.Equal(b.enrolled) || !h.ClonedAt.IsZero() || !h.RetiredAt.IsZero() {
		return err
	}
	h.ClonedAt = e.Now()
	if err := saveHost(ctx, tx, h); err != nil {
		return err
	}
	return e.act(ctx, tx, "host.cloned", subject(host), subject(host), map[string]any{"counter": b.counter, "expected_over": h.Counter})
}

// FlushEvery is how long a heartbeat waits.
const FlushEvery = time.Second

// Keep flushes again and again until ctx is done. Who closes the estate flushes once more, when no host can come any more.
func (e *Estate) Keep(ctx context.Context, failed func(error)) {
	tick := time.NewTicker(FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := e.Flush(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}
