package group

import (
	"context"
	"database/sql"
	"errors"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const columns = `name, expression, note, changed_by, changed_at`

var (
	all  = db.Q(`SELECT ` + columns + ` FROM host_groups WHERE dropped = 0 ORDER BY name`)
	one  = db.Q(`SELECT ` + columns + ` FROM host_groups WHERE name = $1 AND dropped = 0`)
	last = db.Q(`SELECT COALESCE(MAX(changed), 0) FROM host_groups`)
	put  = db.Q(`INSERT INTO host_groups (` + columns + `, dropped, changed) VALUES ($1,$2,$3,$4,$5,0,(SELECT COALESCE(MAX(changed), 0) + 1 FROM host_groups))
 ON CONFLICT (name) DO UPDATE SET expression = excluded.expression, note = excluded.note, changed_by = excluded.changed_by,
 changed_at = excluded.changed_at, dropped = 0, changed = excluded.changed`)
	gone = db.Q(`UPDATE host_groups SET dropped = 1, changed = (SELECT MAX(changed) + 1 FROM host_groups) WHERE name = $1`)
)

func scan(r interface{ Scan(...any) error }) (x Group, err error) {
	var at int64
	err = r.Scan(&x.Name, &x.Expression, &x.Note, &x.ChangedBy, &at)
	x.ChangedAt = db.Time(at)
	return x, err
}

func loadAll(ctx context.Context, tx *db.Tx) ([]Group, error) {
	rows, err := tx.Query(ctx, all)
	return db.Collect(rows, err, func(r *sql.Rows) (Group, error) { return scan(r) })
}

func load(ctx context.Context, tx *db.Tx, name string) (Group, error) {
	x, err := scan(tx.QueryRow(ctx, one, name))
	if errors.Is(err, sql.ErrNoRows) {
		return Group{}, fault.New(fault.NotFound, "no such group")
	}
	return x, err
}

func lastChange(ctx context.Context, tx *db.Tx) (n int64, err error) {
	err = tx.QueryRow(ctx, last).Scan(&n)
	return n, err
}

func save(ctx context.Context, tx *db.Tx, x Group) error {
	_, err := tx.Exec(ctx, put, x.Name, x.Expression, x.Note, x.ChangedBy, db.Micros(x.ChangedAt))
	return err
}

func drop(ctx context.Context, tx *db.Tx, name string) error {
	_, err := tx.Exec(ctx, gone, name)
	return err
}
