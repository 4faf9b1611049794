package integrity

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const investigationColumns = `id, order_id, host_id, report, state, opened_at, due_at, overdue_at, severity, outcome, reason, proposed_by, resolved_by, resolved_at`

var (
	selectContents = db.Q(`SELECT contents FROM integrity_contents WHERE package = $1`)
	insertContents = db.Q(`INSERT INTO integrity_contents (package, contents) VALUES ($1, $2) ON CONFLICT (package) DO NOTHING`)
	selectManifest = db.Q(`SELECT manifest FROM integrity_manifest WHERE order_id = $1`)
	insertManifest = db.Q(`INSERT INTO integrity_manifest (order_id, manifest, made_at) VALUES ($1, $2, $3)`)
	selectReports  = db.Q(`SELECT host_id, input, report, counts FROM integrity_report WHERE order_id = $1 ORDER BY host_id`)
	insertReport   = db.Q(`INSERT INTO integrity_report (order_id, host_id, input, report, counts, made_at) VALUES ($1, $2, $3, $4, $5, $6)`)

	insertInvestigation      = db.Q(`INSERT INTO integrity_investigation (` + investigationColumns + `) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)`)
	updateInvestigation      = db.Q(`UPDATE integrity_investigation SET state = $2, overdue_at = $3, severity = $4, outcome = $5, reason = $6, proposed_by = $7, resolved_by = $8, resolved_at = $9 WHERE id = $1`)
	selectInvestigation      = db.Q(`SELECT ` + investigationColumns + ` FROM integrity_investigation WHERE id = $1`)
	selectInvestigations     = db.Q(`SELECT ` + investigationColumns + ` FROM integrity_investigation ORDER BY opened_at DESC, id`)
	selectInvestigationsFrom = db.Q(`SELECT ` + investigationColumns + ` FROM integrity_investigation
		WHERE ($1 = '' OR order_id = $1) AND ($2 = '' OR state = $2) AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4`)
	selectUnanswered = db.Q(`SELECT ` + investigationColumns + ` FROM integrity_investigation
		WHERE host_id = $1 AND state = 'open' AND order_id = id AND opened_at >= $2`)
	extendInvestigation = db.Q(`UPDATE integrity_investigation SET report = $2 WHERE id = $1`)
	countInvestigations = db.Q(`SELECT state, COUNT(*) FROM integrity_investigation GROUP BY state`)
	selectReportsFrom   = db.Q(`SELECT host_id, input, report, counts FROM integrity_report WHERE order_id = $1 AND host_id > $2
		ORDER BY host_id LIMIT $3`)
	selectCounts  = db.Q(`SELECT counts, COUNT(*) FROM integrity_report WHERE order_id = $1 GROUP BY counts`)
	selectOverdue = db.Q(`SELECT ` + investigationColumns + ` FROM integrity_investigation WHERE state <> 'closed' AND due_at <= $1 AND overdue_at = 0 ORDER BY due_at`)
)

// one reads a single text; "" if there is none.
func one(ctx context.Context, tx *db.Tx, q db.Query, key string) (string, error) {
	var value string
	if err := tx.QueryRow(ctx, q, key).Scan(&value); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	return value, nil
}

func readReports(ctx context.Context, tx *db.Tx, q db.Query, args ...any) ([]explain.StagedHost, error) {
	rows, err := tx.Query(ctx, q, args...)
	return db.Collect(rows, err, func(r *sql.Rows) (h explain.StagedHost, err error) {
		var counts string
		if err = r.Scan(&h.Host, &h.Input, &h.Report, &counts); err == nil {
			err = json.Unmarshal([]byte(counts), &h.Counts)
		}
		return h, err
	})
}

// sumCounts adds up an order's reports, of which many say the same, and gives the number of hosts too.
func sumCounts(ctx context.Context, tx *db.Tx, order string) (sum map[explain.Verdict]int, hosts int, err error) {
	sum = map[explain.Verdict]int{}
	rows, err := tx.Query(ctx, selectCounts, order)
	_, err = db.Collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		var text string
		var same int
		var counts map[explain.Verdict]int
		if err = r.Scan(&text, &same); err == nil {
			err = json.Unmarshal([]byte(text), &counts)
		}
		hosts += same
		for v, n := range counts {
			sum[v] += n * same
		}
		return none, err
	})
	return sum, hosts, err
}

func saveReport(ctx context.Context, tx *db.Tx, order string, h explain.StagedHost, now time.Time) error {
	counts, err := json.Marshal(h.Counts)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, insertReport, order, h.Host, h.Input, h.Report, string(counts), db.Micros(now))
	return err
}

type scanner interface{ Scan(...any) error }

func scanInvestigation(row scanner) (i Investigation, err error) {
	var opened, due, overdue, resolved int64
	err = row.Scan(&i.ID, &i.Order, &i.Host, &i.Report, &i.State, &opened, &due, &overdue, &i.Severity, &i.Outcome, &i.Reason,
		&i.ProposedBy, &i.ResolvedBy, &resolved)
	if i.Order == i.ID { // of no order
		i.Order = ""
	}
	i.OpenedAt, i.DueAt, i.OverdueAt, i.ResolvedAt = db.Time(opened), db.Time(due), db.Time(overdue), db.Time(resolved)
	return i, err
}

func readInvestigation(ctx context.Context, tx *db.Tx, id string) (Investigation, error) {
	i, err := scanInvestigation(tx.QueryRow(ctx, selectInvestigation, id))
	if errors.Is(err, sql.ErrNoRows) {
		return i, fault.New(fault.NotFound, "no investigation %.40q", id)
	}
	return i, err
}

func readInvestigations(ctx context.Context, tx *db.Tx, q db.Query, args ...any) ([]Investigation, error) {
	rows, err := tx.Query(ctx, q, args...)
	return db.Collect(rows, err, func(r *sql.Rows) (Investigation, error) { return scanInvestigation(r) })
}

// unanswered gives the investigation of what changed on a host outside orders that was opened since a time and that nobody has
// answered; the zero Investigation if there is none.
func unanswered(ctx context.Context, tx *db.Tx, host string, since time.Time) (Investigation, error) {
	i, err := scanInvestigation(tx.QueryRow(ctx, selectUnanswered, host, db.Micros(since)))
	if errors.Is(err, sql.ErrNoRows) {
		return Investigation{}, nil
	}
	return i, err
}

func countByState(ctx context.Context, tx *db.Tx) (map[string]int, error) {
	all := map[string]int{}
	rows, err := tx.Query(ctx, countInvestigations)
	_, err = db.Collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		var state string
		var n int
		err = r.Scan(&state, &n)
		all[state] = n
		return none, err
	})
	return all, err
}

func addInvestigation(ctx context.Context, tx *db.Tx, i Investigation) error {
	_, err := tx.Exec(ctx, insertInvestigation, i.ID, cmp.Or(i.Order, i.ID), i.Host, i.Report, i.State, db.Micros(i.OpenedAt), db.Micros(i.DueAt),
		db.Micros(i.OverdueAt), i.Severity, i.Outcome, i.Reason, i.ProposedBy, i.ResolvedBy, db.Micros(i.ResolvedAt))
	return err
}

func saveInvestigation(ctx context.Context, tx *db.Tx, i Investigation) error {
	_, err := tx.Exec(ctx, updateInvestigation, i.ID, i.State, db.Micros(i.OverdueAt), i.Severity, i.Outcome, i.Reason, i.ProposedBy,
		i.ResolvedBy, db.Micros(i.ResolvedAt))
	return err
}
