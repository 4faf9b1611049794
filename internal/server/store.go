package server

import (
	"context"
	"database/sql"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/silence"
)

var (
	qHold = db.Q(`UPDATE job_lease SET holder = $1, until = $2 WHERE id = 1 AND (holder = $1 OR until <= $3)`)
	qAils = db.Q(`SELECT what, why, since FROM server_ails ORDER BY what`)
	qAil  = db.Q(`INSERT INTO server_ails (what, why, since) VALUES ($1,$2,$3) ON CONFLICT (what) DO NOTHING`)
	qWell = db.Q(`DELETE FROM server_ails WHERE what = $1`)
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

func loadAils(ctx context.Context, tx *db.Tx) ([]silence.Ail, error) {
	rows, err := tx.Query(ctx, qAils)
	return db.Collect(rows, err, func(r *sql.Rows) (a silence.Ail, err error) {
		var since int64
		err = r.Scan(&a.What, &a.Why, &since)
		a.Since = db.Time(since)
		return a, err
	})
}

func saveAil(ctx context.Context, tx *db.Tx, a silence.Ail) error {
	_, err := tx.Exec(ctx, qAil, a.What, a.Why, db.Micros(a.Since))
	return err
}

func dropAil(ctx context.Context, tx *db.Tx, what string) error {
	_, err := tx.Exec(ctx, qWell, what)
	return err
}
