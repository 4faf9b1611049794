package server

import (
	"context"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

var (
	qHold = db.Q(`UPDATE job_lease SET holder = $1, until = $2 WHERE id = 1 AND (holder = $1 OR until <= $3)`)
	qFree = db.Q(`UPDATE job_lease SET holder = '', until = 0 WHERE id = 1 AND holder = $1`)
)

// lease lets one of several servers on a database run the timetable. Their clocks agree well enough for a lease of half
// a minute, renewed three times as often.
type lease struct {
	db     *db.DB
	holder string // names this process
	now    func() time.Time
}

// Hold implements job.Lease.
func (l lease) Hold(ctx context.Context, life time.Duration) (held bool, err error) {
	err = l.db.Write(ctx, func(tx *db.Tx) error {
		now := l.now()
		n, err := tx.Exec(ctx, qHold, l.holder, db.Micros(now.Add(life)), db.Micros(now))
		held = n == 1
		return err
	})
	return held && err == nil, err
}

// Release implements job.Lease.
func (l lease) Release(ctx context.Context) error {
	return l.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, qFree, l.holder)
		return err
	})
}
