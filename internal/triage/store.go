package triage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

var (
	qInsertDecision = db.Q(`INSERT INTO decisions (id, vulnerability, scope, kind, until_at, payload, envelope, decided_at, changed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, (SELECT COALESCE(MAX(changed), 0) + 1 FROM decisions))`)
	qHasDecision = db.Q(`SELECT 1 FROM decisions WHERE id = $1`)
	qInForceAt   = db.Q(`SELECT id FROM decisions WHERE vulnerability = $1 AND scope = $2 AND ended_at = 0`)
	qEndDecision = db.Q(`UPDATE decisions SET ended_at = $2, ended = $3,
		changed = (SELECT MAX(changed) + 1 FROM decisions) WHERE id = $1`)
	qLastDecision = db.Q(`SELECT COALESCE(MAX(changed), 0) FROM decisions`)
	qCurrent      = db.Q(`SELECT payload, envelope, decided_at, ended_at, ended FROM decisions WHERE ended_at = 0 ORDER BY vulnerability, scope`)
	qHistory      = db.Q(`SELECT payload, envelope, decided_at, ended_at, ended FROM decisions WHERE vulnerability = $1 ORDER BY decided_at, id`)
)

func insertDecision(ctx context.Context, tx *db.Tx, d Decision, payload []byte, envelope string, now time.Time) error {
	_, err := tx.Exec(ctx, qInsertDecision, d.ID, d.Vulnerability, d.Scope, d.Kind, db.Micros(d.Until), string(payload), envelope, db.Micros(now))
	return err
}

func hasDecision(ctx context.Context, tx *db.Tx, id string) (bool, error) {
	var one int
	err := tx.QueryRow(ctx, qHasDecision, id).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// inForceAt gives the ID of the decision in force on a vulnerability with a scope, or "".
func inForceAt(ctx context.Context, tx *db.Tx, vulnerability, scope string) (id string, err error) {
	err = tx.QueryRow(ctx, qInForceAt, vulnerability, scope).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

func endDecision(ctx context.Context, tx *db.Tx, id, why string, now time.Time) error {
	_, err := tx.Exec(ctx, qEndDecision, id, db.Micros(now), why)
	return err
}

func scanDecision(rows *sql.Rows) (p PastDecision, err error) {
	var payload string
	var decided, ended int64
	if err := rows.Scan(&payload, &p.Envelope, &decided, &ended, &p.Ended); err != nil {
		return p, err
	}
	p.DecidedAt, p.EndedAt = db.Time(decided), db.Time(ended)
	if p.Decision, err = DecodeDecision([]byte(payload)); err != nil {
		return p, fmt.Errorf("decision in the database: %w", err)
	}
	return p, nil
}

// lastDecision gives the number of the last change of a decision.
func (t *Triage) lastDecision(ctx context.Context) (n int64, err error) {
	err = t.DB.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(ctx, qLastDecision).Scan(&n) })
	return n, err
}

// current gives the decisions in force, by vulnerability.
func (t *Triage) current(ctx context.Context) (all []PastDecision, err error) {
	err = t.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(ctx, qCurrent)
		all, err = db.Collect(rows, err, scanDecision)
		return err
	})
	return all, err
}

// history gives all decisions about a vulnerability, oldest first.
func (t *Triage) history(ctx context.Context, vulnerability string) (all []PastDecision, err error) {
	err = t.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(ctx, qHistory, vulnerability)
		all, err = db.Collect(rows, err, scanDecision)
		return err
	})
	return all, err
}
