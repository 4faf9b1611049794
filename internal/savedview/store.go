package savedview

import (
	"context"
	"database/sql"
	"errors"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

const columns = `id, person, list, name, query, shared, made_at`

var (
	qSeen = db.Q(`SELECT ` + columns + ` FROM saved_view WHERE (person = $1 OR shared = 1) AND ($2 = '' OR list = $2)
		ORDER BY list, CASE WHEN person = $1 THEN 0 ELSE 1 END, name, id LIMIT 500`)
	qLoad   = db.Q(`SELECT ` + columns + ` FROM saved_view WHERE id = $1`)
	qCount  = db.Q(`SELECT COUNT(*) FROM saved_view WHERE person = $1`)
	qInsert = db.Q(`INSERT INTO saved_view (` + columns + `) VALUES ($1, $2, $3, $4, $5, $6, $7)`)
	qDrop   = db.Q(`DELETE FROM saved_view WHERE person = $1 AND list = $2 AND name = $3`)
)

func scan(row interface{ Scan(...any) error }) (v View, err error) {
	var shared, made int64
	err = row.Scan(&v.ID, &v.Person, &v.List, &v.Name, &v.Query, &shared, &made)
	v.Shared, v.MadeAt = shared == 1, db.Time(made)
	return v, err
}

func seen(ctx context.Context, tx *db.Tx, person, list string) ([]View, error) {
	rows, err := tx.Query(ctx, qSeen, person, list)
	return db.Collect(rows, err, func(r *sql.Rows) (View, error) { return scan(r) })
}

func load(ctx context.Context, tx *db.Tx, view string) (View, error) {
	v, err := scan(tx.QueryRow(ctx, qLoad, view))
	if errors.Is(err, sql.ErrNoRows) {
		return v, errNone()
	}
	return v, err
}

func countOf(ctx context.Context, tx *db.Tx, person string) (n int, err error) {
	err = tx.QueryRow(ctx, qCount, person).Scan(&n)
	return n, err
}

func insert(ctx context.Context, tx *db.Tx, v View) error {
	shared := 0
	if v.Shared {
		shared = 1
	}
	_, err := tx.Exec(ctx, qInsert, v.ID, v.Person, v.List, v.Name, v.Query, shared, db.Micros(v.MadeAt))
	return err
}

// drop deletes a person's view of a list by name.
func drop(ctx context.Context, tx *db.Tx, v View) (int64, error) {
	return tx.Exec(ctx, qDrop, v.Person, v.List, v.Name)
}
