package staff

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Failing in a row costs time, doubled with each failure. Signatures are checked first and success never waits, so nobody
// can lock the real person out.
const (
	freeFailures = 5                      // in countEvery, of one address or against one name
	firstDelay   = 100 * time.Millisecond // doubled with each failure after the free ones
	longestDelay = 5 * time.Second
	mostWaiting  = 200    // answers held back at one time; more are given at once
	mostCounted  = 10_000 // addresses and names counted apart; the others count as one
)

// throttle counts failures. They need no database: a restart forgives five.
type throttle struct {
	mu      sync.Mutex
	failed  map[string]failures
	waiting int
}

type failures struct {
	count int
	last  time.Time
}

// fail counts a failure for each name, and gives how long its answer waits.
func (t *throttle) fail(now time.Time, names ...string) (delay time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = map[string]failures{}
	}
	for _, name := range names {
		if _, known := t.failed[name]; !known && len(t.failed) >= mostCounted {
			t.forget(now)
			if len(t.failed) >= mostCounted {
				name = ""
			}
		}
		f := t.failed[name]
		if now.Sub(f.last) >= countEvery {
			f.count = 0
		}
		f.count, f.last = f.count+1, now
		t.failed[name] = f
		delay = max(delay, delayOf(f.count))
	}
	return delay
}

func (t *throttle) forget(now time.Time) {
	for name, f := range t.failed {
		if now.Sub(f.last) >= countEvery {
			delete(t.failed, name)
		}
	}
}

func delayOf(count int) time.Duration {
	if count <= freeFailures {
		return 0
	}
	return min(longestDelay, firstDelay<<min(count-freeFailures-1, 10))
}

// hold waits, unless too many do.
func (t *throttle) hold(ctx context.Context, delay time.Duration) {
	t.mu.Lock()
	full := t.waiting >= mostWaiting
	if !full {
		t.waiting++
	}
	t.mu.Unlock()
	if full {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(delay):
	}
	t.mu.Lock()
	t.waiting--
	t.mu.Unlock()
}

// slow holds back the answer to who failed to prove who they are, once they do so in a row: by the address they come from,
// and by the name they gave, whether or not there is such a person.
func (s *Staff) slow(ctx context.Context, from, name string, cause error) {
	if fault.KindOf(cause) != fault.Unauthenticated {
		return
	}
	names := []string{"from " + network(from)}
	if name != "" {
		names = append(names, "as "+name)
	}
	if delay := s.throttle.fail(s.Now(), names...); delay > 0 {
		s.Hold(ctx, delay)
	}
}

// network is what one attacker has: an IPv4 address, or 64 bits of IPv6.
func network(from string) string {
	a, err := netip.ParseAddr(from)
	if err != nil {
		return from
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return from
	}
	return p.String()
}
