package estate

import (
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Quota counts what each host brings, in days that begin with the first of it. It begins anew with the server.
type Quota struct {
	What string // in the plural
	Most int64  // a host and day

	mu    sync.Mutex
	hosts map[string]*spent
}

type spent struct {
	since time.Time
	n     int64
}

// Take counts n more of a host, or refuses them with the code QUOTA.
func (q *Quota) Take(host string, n int64, now time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.hosts[host]
	if s == nil || now.Sub(s.since) >= 24*time.Hour {
		if q.hosts == nil {
			q.hosts = map[string]*spent{}
		}
		s = &spent{since: now}
		q.hosts[host] = s
	}
	if s.n+n > q.Most {
		return fault.Refuse(wire.Quota, "this host has brought %d %s since %s, and may %d a day; look what it sends", s.n, q.What,
			s.since.UTC().Format(time.RFC3339), q.Most)
	}
	s.n += n
	return nil
}

// DailyNews is how much one host may add to the record in a day: check-ins that change something, renewals, acts, file states, and
// the states it spooled. A host at work, whose inventory changes with each check-in, stays below.
const DailyNews = 10_000

// news counts what a check-in adds to the record.
func news(before, after Host, events []event) int64 {
	n := int64(1 + len(events) + len(newTrees(before, after)))
	for _, v := range events {
		n += v.more
	}
	return n
}
