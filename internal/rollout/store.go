package rollout

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

const (
	rolloutColumns = `order_id, order_digest, author, envelope, curation, warranted, sequence, opens_at, closes_at, state, budget, started_at, ended_at`
	runColumns     = `order_id, host_id, position, wave, state, code, offered_at, begun_at, ended_at, report, payload, session, seen_before, seen_after, disputed`
)

var (
	insertRollout  = db.Q(`INSERT INTO rollout (` + rolloutColumns + `) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)`)
	selectRollout  = db.Q(`SELECT ` + rolloutColumns + ` FROM rollout WHERE order_id = $1`)
	selectByState  = db.Q(`SELECT ` + rolloutColumns + ` FROM rollout WHERE state = $1 ORDER BY sequence`)
	selectEnded    = db.Q(`SELECT order_id, ended_at FROM rollout WHERE state = 'ended' AND ended_at > $1 ORDER BY ended_at`)
	updateRollout  = db.Q(`UPDATE rollout SET state = $2, budget = $3, ended_at = $4 WHERE order_id = $1`)
	insertRun      = db.Q(`INSERT INTO rollout_run (` + runColumns + `) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)`)
	selectRuns     = db.Q(`SELECT ` + runColumns + ` FROM rollout_run WHERE order_id = $1 ORDER BY position`)
	selectRun      = db.Q(`SELECT ` + runColumns + ` FROM rollout_run WHERE order_id = $1 AND host_id = $2`)
	selectRunsFrom = db.Q(`SELECT ` + runColumns + ` FROM rollout_run WHERE order_id = $1 AND position >= $2 AND ($3 = '' OR state = $3)
		ORDER BY position LIMIT $4`)
	selectRunsOf = db.Q(`SELECT ` + runColumns + ` FROM rollout_run WHERE host_id = $1 AND ($2 = '' OR order_id < $2)
		ORDER BY order_id DESC LIMIT $3`)
	selectFirst    = db.Q(`SELECT MIN(position) FROM rollout_run WHERE order_id = $1 AND state = $2`)
	countRuns      = db.Q(`SELECT state, COUNT(*) FROM rollout_run WHERE order_id = $1 GROUP BY state`)
	selectOpenRuns = db.Q(`SELECT r.order_id FROM rollout_run r JOIN rollout o ON o.order_id = r.order_id
		WHERE r.host_id = $1 AND r.state IN ('waiting', 'offered', 'begun') ORDER BY o.sequence`)
	updateRun = db.Q(`UPDATE rollout_run SET state = $3, code = $4, offered_at = $5, begun_at = $6, ended_at = $7, report = $8,
		payload = $9, session = $10, seen_before = $11, seen_after = $12, disputed = $13 WHERE order_id = $1 AND host_id = $2`)
)

type scanner interface{ Scan(...any) error }

func scanRollout(row scanner) (Rollout, error) {
	var r Rollout
	var opens, closes, started, ended int64
	err := row.Scan(&r.Order, &r.OrderDigest, &r.Author, &r.Envelope, &r.Curation, &r.Warranted, &r.Sequence, &opens, &closes,
		&r.State, &r.Budget, &started, &ended)
	r.Window.OpensAt, r.Window.ClosesAt = db.Time(opens), db.Time(closes)
	r.StartedAt, r.EndedAt = db.Time(started), db.Time(ended)
	return r, err
}

func scanRun(row scanner) (Run, error) {
	var r Run
	var offered, begun, ended int64
	var before, after string
	err := row.Scan(&r.Order, &r.Host, &r.Position, &r.Wave, &r.State, &r.Code, &offered, &begun, &ended, &r.Report,
		&r.Payload, &r.Session, &before, &after, &r.Disputed)
	if err != nil {
		return r, err
	}
	r.OfferedAt, r.BegunAt, r.EndedAt = db.Time(offered), db.Time(begun), db.Time(ended)
	if r.Before, err = seen(before); err != nil {
		return r, err
	}
	r.After, err = seen(after)
	return r, err
}

// seen reads what unseen wrote: an observation, or nothing.
func seen(text string) (*wire.Observation, error) {
	if text == "" {
		return nil, nil
	}
	o := new(wire.Observation)
	if err := json.Unmarshal([]byte(text), o); err != nil {
		return nil, fmt.Errorf("stored observation: %w", err)
	}
	return o, nil
}

func unseen(o *wire.Observation) (string, error) {
	if o == nil {
		return "", nil
	}
	b, err := json.Marshal(o)
	return string(b), err
}

func load(ctx context.Context, tx *db.Tx, order string) (Rollout, []Run, error) {
	r, err := loadRollout(ctx, tx, order)
	if err != nil {
		return r, nil, err
	}
	runs, err := runsBy(ctx, tx, selectRuns, order)
	return r, runs, err
}

func loadRollout(ctx context.Context, tx *db.Tx, order string) (Rollout, error) {
	r, err := scanRollout(tx.QueryRow(ctx, selectRollout, order))
	if errors.Is(err, sql.ErrNoRows) {
		return r, fault.New(fault.NotFound, "order %s has no rollout", order)
	}
	if err != nil {
		return r, fmt.Errorf("load rollout of order %s: %w", order, err)
	}
	return r, nil
}

func runsBy(ctx context.Context, tx *db.Tx, q db.Query, args ...any) ([]Run, error) {
	rows, err := tx.Query(ctx, q, args...)
	runs, err := db.Collect(rows, err, func(r *sql.Rows) (Run, error) { return scanRun(r) })
	if err != nil {
		return nil, fmt.Errorf("load runs: %w", err)
	}
	return runs, nil
}

// counts gives the number of an order's runs by state.
func counts(ctx context.Context, tx *db.Tx, order string) (map[State]int, error) {
	n := map[State]int{}
	rows, err := tx.Query(ctx, countRuns, order)
	_, err = db.Collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		var state State
		var runs int
		err = r.Scan(&state, &runs)
		n[state] = runs
		return none, err
	})
	if err != nil {
		return nil, fmt.Errorf("count runs of order %s: %w", order, err)
	}
	return n, nil
}

// unfinished gives the position of an order's first run that is not final; one beyond all runs if there is none.
func unfinished(ctx context.Context, tx *db.Tx, order string) (first int, err error) {
	first = math.MaxInt
	for _, state := range []State{Waiting, Offered, Begun} {
		var position sql.NullInt64
		if err := tx.QueryRow(ctx, selectFirst, order, string(state)).Scan(&position); err != nil {
			return 0, fmt.Errorf("load runs of order %s: %w", order, err)
		}
		if position.Valid {
			first = min(first, int(position.Int64))
		}
	}
	return first, nil
}

func loadRun(ctx context.Context, tx *db.Tx, order, host string) (Run, error) {
	run, err := scanRun(tx.QueryRow(ctx, selectRun, order, host))
	if errors.Is(err, sql.ErrNoRows) {
		return run, fault.New(fault.NotFound, "order %s has no run on host %s", order, host)
	}
	if err != nil {
		return run, fmt.Errorf("load run of order %s on host %s: %w", order, host, err)
	}
	return run, nil
}

// openOrders gives the orders with an unfinished run on the host, by sequence.
func openOrders(ctx context.Context, tx *db.Tx, host string) ([]string, error) {
	rows, err := tx.Query(ctx, selectOpenRuns, host)
	orders, err := db.Collect(rows, err, func(r *sql.Rows) (string, error) {
		var order string
		return order, r.Scan(&order)
	})
	if err != nil {
		return nil, fmt.Errorf("load runs of host %s: %w", host, err)
	}
	return orders, nil
}

func inState(ctx context.Context, tx *db.Tx, state string) ([]Rollout, error) {
	rows, err := tx.Query(ctx, selectByState, state)
	all, err := db.Collect(rows, err, func(r *sql.Rows) (Rollout, error) { return scanRollout(r) })
	if err != nil {
		return nil, fmt.Errorf("load %s rollouts: %w", state, err)
	}
	return all, nil
}

// ended gives the orders whose rollout ended after a time, in the order of their ends.
func ended(ctx context.Context, tx *db.Tx, after time.Time) ([]End, error) {
	rows, err := tx.Query(ctx, selectEnded, db.Micros(after))
	all, err := db.Collect(rows, err, func(r *sql.Rows) (e End, err error) {
		var at int64
		err = r.Scan(&e.Order, &at)
		e.At = db.Time(at)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("load ended rollouts: %w", err)
	}
	return all, nil
}

func insert(ctx context.Context, tx *db.Tx, r Rollout, runs []Run) error {
	_, err := tx.Exec(ctx, insertRollout, r.Order, r.OrderDigest, r.Author, r.Envelope, r.Curation, r.Warranted, r.Sequence,
		db.Micros(r.Window.OpensAt), db.Micros(r.Window.ClosesAt), r.State, r.Budget, db.Micros(r.StartedAt), db.Micros(r.EndedAt))
	if err != nil {
		return fmt.Errorf("save rollout of order %s: %w", r.Order, err)
	}
	for _, run := range runs {
		_, err := tx.Exec(ctx, insertRun, run.Order, run.Host, run.Position, run.Wave, string(run.State), "",
			0, 0, 0, "", "", "", "", "", "")
		if err != nil {
			return fmt.Errorf("save run of order %s on host %s: %w", run.Order, run.Host, err)
		}
	}
	return nil
}

func saveRollout(ctx context.Context, tx *db.Tx, r Rollout) error {
	if _, err := tx.Exec(ctx, updateRollout, r.Order, r.State, r.Budget, db.Micros(r.EndedAt)); err != nil {
		return fmt.Errorf("save rollout of order %s: %w", r.Order, err)
	}
	return nil
}

func saveRun(ctx context.Context, tx *db.Tx, r Run) error {
	before, err := unseen(r.Before)
	if err != nil {
		return err
	}
	after, err := unseen(r.After)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, updateRun, r.Order, r.Host, string(r.State), r.Code, db.Micros(r.OfferedAt), db.Micros(r.BegunAt),
		db.Micros(r.EndedAt), r.Report, r.Payload, r.Session, before, after, r.Disputed)
	if err != nil {
		return fmt.Errorf("save run of order %s on host %s: %w", r.Order, r.Host, err)
	}
	return nil
}
