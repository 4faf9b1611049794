package agentapi

import (
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// DailyQuota is how much new a host may upload in a day, in bytes: many times the directories of a large host, of which
// all but the first day's are already here. What nobody ever cites is bounded by it too.
const DailyQuota = 2 << 30

// quota counts what each host uploads, in days that begin with its first upload. It begins anew with the server.
type quota struct {
	most int64

	mu    sync.Mutex
	hosts map[string]*spent
}

type spent struct {
	since time.Time
	bytes int64
}

// take counts n new bytes of a host, or refuses them with the code QUOTA.
func (q *quota) take(host string, n int64, now time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.hosts[host]
	if s == nil || now.Sub(s.since) >= 24*time.Hour {
		s = &spent{since: now}
		q.hosts[host] = s
	}
	if s.bytes+n > q.most {
		return fault.Refuse(wire.Quota, "this host has uploaded %d new bytes since %s, and may %d a day; look what it sends", s.bytes,
			s.since.UTC().Format(time.RFC3339), q.most)
	}
	s.bytes += n
	return nil
}
