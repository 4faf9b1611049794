package duty

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

var (
	owners   = db.Q(`SELECT subject, owner FROM duty_owners`)
	owner    = db.Q(`SELECT owner FROM duty_owners WHERE subject = $1`)
	putOwner = db.Q(`INSERT INTO duty_owners (subject, owner, since) VALUES ($1,$2,$3)
 ON CONFLICT (subject) DO UPDATE SET owner = excluded.owner, since = excluded.since`)
	day    = db.Q(`SELECT COUNT(*) FROM duty_days WHERE day = $1`)
	putDay = db.Q(`INSERT INTO duty_days (day) VALUES ($1) ON CONFLICT (day) DO NOTHING`)
)

func loadOwners(ctx context.Context, tx *db.Tx) (map[string]string, error) {
	all := map[string]string{}
	rows, err := tx.Query(ctx, owners)
	_, err = db.Collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		var subject, owner string
		err = r.Scan(&subject, &owner)
		all[subject] = owner
		return none, err
	})
	return all, err
}

// loadOwner gives who took a subject; empty: nobody.
func loadOwner(ctx context.Context, tx *db.Tx, subject string) (who string, err error) {
	err = tx.QueryRow(ctx, owner, subject).Scan(&who)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return who, err
}

func saveOwner(ctx context.Context, tx *db.Tx, subject, who string, at time.Time) error {
	_, err := tx.Exec(ctx, putOwner, subject, who, db.Micros(at))
	return err
}

func loadDay(ctx context.Context, tx *db.Tx, today string) (told bool, err error) {
	var n int
	err = tx.QueryRow(ctx, day, today).Scan(&n)
	return n > 0, err
}

func saveDay(ctx context.Context, tx *db.Tx, today string) (first bool, err error) {
	n, err := tx.Exec(ctx, putDay, today)
	return n == 1, err
}
