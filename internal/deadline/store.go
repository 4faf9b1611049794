package deadline

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/policy"
)

const (
	policyColumns = `digest, state, payload, approvals, in_force_at, ended_at`
	clockColumns  = `detail, act`
)

var (
	qSavePolicy = db.Q(`INSERT INTO policies (digest, version, state, payload, approvals, in_force_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (digest) DO UPDATE SET state = excluded.state, approvals = excluded.approvals, in_force_at = excluded.in_force_at, ended_at = excluded.ended_at`)
	qPolicy     = db.Q(`SELECT ` + policyColumns + ` FROM policies WHERE digest = $1`)
	qPolicies   = db.Q(`SELECT ` + policyColumns + ` FROM policies ORDER BY version DESC`)
	qLastPolicy = db.Q(`SELECT COALESCE(MAX(version), 0) FROM policies`)

	qInsertAssessment = db.Q(`INSERT INTO assessments (id, vulnerability, payload, envelope, made_at, superseded_at) VALUES ($1, $2, $3, $4, $5, 0)`)
	qEndAssessment    = db.Q(`UPDATE assessments SET superseded_at = $2 WHERE vulnerability = $1 AND superseded_at = 0`)
	qHasAssessment    = db.Q(`SELECT COUNT(*) FROM assessments WHERE id = $1`)
	qAssessments      = db.Q(`SELECT payload, envelope, superseded_at FROM assessments WHERE vulnerability = $1 ORDER BY made_at DESC, id`)
	qCurrent          = db.Q(`SELECT payload, envelope, superseded_at FROM assessments WHERE superseded_at = 0`)

	qSaveClock = db.Q(`INSERT INTO clocks (vulnerability, episode, clock, due_at, live, running, breached_at, stopped_at, detail, act)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (vulnerability, episode, clock) DO UPDATE SET due_at = excluded.due_at, live = excluded.live,
running = excluded.running, breached_at = excluded.breached_at, stopped_at = excluded.stopped_at, detail = excluded.detail, act = excluded.act`)
	qClocksOf = db.Q(`SELECT ` + clockColumns + ` FROM clocks WHERE vulnerability = $1 ORDER BY episode, due_at, clock`)
	qLive     = db.Q(`SELECT ` + clockColumns + ` FROM clocks WHERE live = 1`)
	qRunning  = db.Q(`SELECT ` + clockColumns + ` FROM clocks WHERE running = 1
AND (due_at > $1 OR due_at = $1 AND (vulnerability > $2 OR vulnerability = $2 AND clock > $3)) ORDER BY due_at, vulnerability, clock LIMIT $4`)
	qOverdue = db.Q(`SELECT DISTINCT vulnerability FROM clocks WHERE running = 1 AND due_at < $1`)
	qCount   = db.Q(`SELECT clock, COUNT(*), SUM(CASE WHEN due_at < $1 THEN 1 ELSE 0 END), SUM(CASE WHEN due_at >= $1 AND due_at < $2 THEN 1 ELSE 0 END) FROM clocks WHERE running = 1 GROUP BY clock`)
	qMet     = db.Q(`SELECT clock, COUNT(*), SUM(CASE WHEN breached_at > 0 THEN 1 ELSE 0 END) FROM clocks WHERE running = 0 AND stopped_at >= $1 GROUP BY clock`)
)

func savePolicy(ctx context.Context, tx *db.Tx, a Adoption) error {
	approvals, err := json.Marshal(a.Approvals)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, qSavePolicy, a.Digest, a.Version, string(a.State), string(a.Payload), string(approvals), db.Micros(a.InForceAt), db.Micros(a.EndedAt))
	return err
}

func scanPolicy(row interface{ Scan(...any) error }) (a Adoption, err error) {
	var payload, approvals string
	var inForce, ended int64
	if err := row.Scan(&a.Digest, &a.State, &payload, &approvals, &inForce, &ended); err != nil {
		return a, err
	}
	a.Payload, a.InForceAt, a.EndedAt = []byte(payload), db.Time(inForce), db.Time(ended)
	if err := json.Unmarshal([]byte(approvals), &a.Approvals); err != nil {
		return a, err
	}
	if a.compiled, err = policy.Decode(a.Payload); err != nil {
		return a, fmt.Errorf("policy in the database: %w", err)
	}
	a.Policy = a.compiled.Policy
	return a, nil
}

func loadPolicy(ctx context.Context, tx *db.Tx, digest string) (Adoption, error) {
	a, err := scanPolicy(tx.QueryRow(ctx, qPolicy, digest))
	if errors.Is(err, sql.ErrNoRows) {
		return a, fault.New(fault.NotFound, "there is no such policy")
	}
	return a, err
}

func loadPolicies(ctx context.Context, tx *db.Tx) ([]Adoption, error) {
	rows, err := tx.Query(ctx, qPolicies)
	return db.Collect(rows, err, func(r *sql.Rows) (Adoption, error) { return scanPolicy(r) })
}

func lastPolicy(ctx context.Context, tx *db.Tx) (n int64, err error) {
	return n, tx.QueryRow(ctx, qLastPolicy).Scan(&n)
}

func insertAssessment(ctx context.Context, tx *db.Tx, a Assessment, payload []byte, envelope string, now time.Time) error {
	var known int
	if err := tx.QueryRow(ctx, qHasAssessment, a.ID).Scan(&known); err != nil {
		return err
	}
	if known > 0 {
		return fault.New(fault.Conflict, "assessment %s was handed in before", a.ID)
	}
	if _, err := tx.Exec(ctx, qEndAssessment, a.Vulnerability, db.Micros(now)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, qInsertAssessment, a.ID, a.Vulnerability, string(payload), envelope, db.Micros(a.MadeAt))
	return err
}

func scanAssessment(rows *sql.Rows) (p PastAssessment, err error) {
	var payload string
	var superseded int64
	if err := rows.Scan(&payload, &p.Envelope, &superseded); err != nil {
		return p, err
	}
	p.SupersededAt = db.Time(superseded)
	if p.Assessment, err = DecodeAssessment([]byte(payload)); err != nil {
		return p, fmt.Errorf("assessment in the database: %w", err)
	}
	return p, nil
}

func assessments(ctx context.Context, tx *db.Tx, q db.Query, args ...any) ([]PastAssessment, error) {
	rows, err := tx.Query(ctx, q, args...)
	return db.Collect(rows, err, scanAssessment)
}

// saveClock saves one; live says that its episode has not ended.
func saveClock(ctx context.Context, tx *db.Tx, c Clock, live bool) error {
	detail, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, qSaveClock, c.Vulnerability, c.Episode, string(c.Clock), db.Micros(c.Due), number(live), number(c.Running()), db.Micros(c.BreachedAt), db.Micros(c.StoppedAt), string(detail), c.Act)
	return err
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func clocks(ctx context.Context, tx *db.Tx, q db.Query, args ...any) ([]Clock, error) {
	rows, err := tx.Query(ctx, q, args...)
	return db.Collect(rows, err, func(r *sql.Rows) (c Clock, err error) {
		var detail string
		var act int64
		if err = r.Scan(&detail, &act); err == nil {
			err = json.Unmarshal([]byte(detail), &c)
		}
		c.Act = act
		return c, err
	})
}

// count adds a row of numbers for each clock.
func overdue(ctx context.Context, tx *db.Tx, now time.Time) ([]string, error) {
	rows, err := tx.Query(ctx, qOverdue, db.Micros(now))
	return db.Collect(rows, err, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) })
}

func count(ctx context.Context, tx *db.Tx, q db.Query, add func(clock policy.Clock, n []int), columns int, args ...any) error {
	rows, err := tx.Query(ctx, q, args...)
	_, err = db.Collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var clock policy.Clock
		n := make([]int, columns)
		into := []any{&clock}
		for i := range n {
			into = append(into, &n[i])
		}
		err := r.Scan(into...)
		if err == nil {
			add(clock, n)
		}
		return struct{}{}, err
	})
	return err
}
