package silence

import (
	"context"
	"database/sql"
	"errors"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/estate"
)

const (
	silenceColumns = `host, clock, since, alarmed_at, escalated_at`
	canaryColumns  = `day, id, host, seed, planted_at, found_at, lost_at`
)

var (
	openOf  = db.Q(`SELECT ` + silenceColumns + ` FROM silences WHERE clock = $1`)
	ofHost  = db.Q(`SELECT ` + silenceColumns + ` FROM silences WHERE host = $1`)
	worst   = db.Q(`SELECT ` + silenceColumns + ` FROM silences ORDER BY CASE WHEN escalated_at > 0 THEN 0 ELSE 1 END, since, host LIMIT $1`)
	counted = db.Q(`SELECT clock, COUNT(*) FROM silences GROUP BY clock`)
	put     = db.Q(`INSERT INTO silences (` + silenceColumns + `) VALUES ($1,$2,$3,$4,$5)
 ON CONFLICT (host, clock) DO UPDATE SET escalated_at = excluded.escalated_at`)
	end = db.Q(`DELETE FROM silences WHERE host = $1 AND clock = $2`)

	canaryLast   = db.Q(`SELECT ` + canaryColumns + ` FROM canaries ORDER BY day DESC LIMIT 1`)
	canaryFormer = db.Q(`SELECT ` + canaryColumns + ` FROM canaries WHERE day < $1 ORDER BY day DESC LIMIT 1`)
	canaryPut    = db.Q(`INSERT INTO canaries (` + canaryColumns + `) VALUES ($1,$2,$3,$4,$5,0,0) ON CONFLICT (day) DO NOTHING`)
	canarySave   = db.Q(`UPDATE canaries SET found_at = $2, lost_at = $3 WHERE day = $1`)
)

func scan(r *sql.Rows) (s Silence, err error) {
	var since, alarmed, escalated int64
	err = r.Scan(&s.Host, &s.Clock, &since, &alarmed, &escalated)
	s.Since, s.AlarmedAt, s.EscalatedAt = db.Time(since), db.Time(alarmed), db.Time(escalated)
	return s, err
}

func loadOpen(ctx context.Context, tx *db.Tx, c estate.Clock) ([]Silence, error) {
	rows, err := tx.Query(ctx, openOf, string(c))
	return db.Collect(rows, err, scan)
}

func loadOf(ctx context.Context, tx *db.Tx, host string) ([]Silence, error) {
	rows, err := tx.Query(ctx, ofHost, host)
	return db.Collect(rows, err, scan)
}

func loadWorst(ctx context.Context, tx *db.Tx, limit int) ([]Silence, error) {
	rows, err := tx.Query(ctx, worst, limit)
	return db.Collect(rows, err, scan)
}

func countOpen(ctx context.Context, tx *db.Tx) (map[estate.Clock]int, error) {
	counts := map[estate.Clock]int{}
	rows, err := tx.Query(ctx, counted)
	_, err = db.Collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		var c estate.Clock
		var n int
		err = r.Scan(&c, &n)
		counts[c] = n
		return none, err
	})
	return counts, err
}

func save(ctx context.Context, tx *db.Tx, s Silence) error {
	_, err := tx.Exec(ctx, put, s.Host, string(s.Clock), db.Micros(s.Since), db.Micros(s.AlarmedAt), db.Micros(s.EscalatedAt))
	return err
}

func drop(ctx context.Context, tx *db.Tx, s Silence) error {
	_, err := tx.Exec(ctx, end, s.Host, string(s.Clock))
	return err
}

func scanCanary(r interface{ Scan(...any) error }) (c Canary, err error) {
	var planted, found, lost int64
	err = r.Scan(&c.Day, &c.ID, &c.Host, &c.seed, &planted, &found, &lost)
	if errors.Is(err, sql.ErrNoRows) {
		return Canary{}, nil
	}
	c.PlantedAt, c.FoundAt, c.LostAt = db.Time(planted), db.Time(found), db.Time(lost)
	return c, err
}

// latestCanary gives the one planted last; the zero Canary where there is none.
func latestCanary(ctx context.Context, tx *db.Tx) (Canary, error) {
	return scanCanary(tx.QueryRow(ctx, canaryLast))
}

func canaryBefore(ctx context.Context, tx *db.Tx, day string) (Canary, error) {
	return scanCanary(tx.QueryRow(ctx, canaryFormer, day))
}

// plant keeps a new one, and reports whether it is the first of its day.
func plant(ctx context.Context, tx *db.Tx, c Canary) (first bool, err error) {
	n, err := tx.Exec(ctx, canaryPut, c.Day, c.ID, c.Host, c.seed, db.Micros(c.PlantedAt))
	return n == 1, err
}

func saveCanary(ctx context.Context, tx *db.Tx, c Canary) error {
	_, err := tx.Exec(ctx, canarySave, c.Day, db.Micros(c.FoundAt), db.Micros(c.LostAt))
	return err
}
