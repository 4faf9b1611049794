package once

import (
	"context"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

var (
	qTake = db.Q(`INSERT INTO once_request (person, route, request_key, digest, answer, until) VALUES ($1, $2, $3, $4, '', $5)
		ON CONFLICT (person, route, request_key) DO NOTHING`)
	qLoad    = db.Q(`SELECT digest, answer FROM once_request WHERE person = $1 AND route = $2 AND request_key = $3`)
	qKeep    = db.Q(`UPDATE once_request SET answer = $1 WHERE person = $2 AND route = $3 AND request_key = $4`)
	qRelease = db.Q(`DELETE FROM once_request WHERE person = $1 AND route = $2 AND request_key = $3`)
	qForget  = db.Q(`DELETE FROM once_request WHERE until <= $1`)
)

func take(ctx context.Context, tx *db.Tx, r Request, until time.Time) (first bool, err error) {
	n, err := tx.Exec(ctx, qTake, r.Person, r.Route, r.Key, r.Digest, db.Micros(until))
	return n == 1, err
}

func load(ctx context.Context, tx *db.Tx, r Request) (*earlier, error) {
	var e earlier
	err := tx.QueryRow(ctx, qLoad, r.Person, r.Route, r.Key).Scan(&e.digest, &e.answer)
	return &e, err
}

func keep(ctx context.Context, tx *db.Tx, r Request, answer []byte) error {
	_, err := tx.Exec(ctx, qKeep, string(answer), r.Person, r.Route, r.Key)
	return err
}

func release(ctx context.Context, tx *db.Tx, r Request) error {
	_, err := tx.Exec(ctx, qRelease, r.Person, r.Route, r.Key)
	return err
}

func forget(ctx context.Context, tx *db.Tx, now time.Time) error {
	_, err := tx.Exec(ctx, qForget, db.Micros(now))
	return err
}
