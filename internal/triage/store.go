package triage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

var (
	qInsertDecision = db.Q(`INSERT INTO decisions (id, vulnerability, scope, kind, until_at, payload, signed, together, envelope, decided_at, changed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, (SELECT COALESCE(MAX(changed), 0) + 1 FROM decisions))`)
	qHasDecision = db.Q(`SELECT 1 FROM decisions WHERE id = $1 LIMIT 1`)
	qInsertWait  = db.Q(`INSERT INTO waiting_decisions (id, vulnerability, envelope, made_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`)
	qDropWait    = db.Q(`DELETE FROM waiting_decisions WHERE id = $1`)
	qWaiting     = db.Q(`SELECT envelope FROM waiting_decisions WHERE $1 = '' OR id = $1 ORDER BY made_at, id`)
	qInForceAt   = db.Q(`SELECT id FROM decisions WHERE vulnerability = $1 AND scope = $2 AND ended_at = 0`)
	qEndDecision = db.Q(`UPDATE decisions SET ended_at = $3, ended = $4,
		changed = (SELECT MAX(changed) + 1 FROM decisions) WHERE id = $1 AND vulnerability = $2`)
	qLastDecision = db.Q(`SELECT COALESCE(MAX(changed), 0) FROM decisions`)
	qCurrent      = db.Q(`SELECT payload, signed, together, envelope, decided_at, ended_at, ended FROM decisions WHERE ended_at = 0 ORDER BY vulnerability, scope`)
	qHistory      = db.Q(`SELECT payload, signed, together, envelope, decided_at, ended_at, ended FROM decisions WHERE vulnerability = $1 ORDER BY decided_at, id`)
	qMade         = db.Q(`SELECT payload, signed, together, envelope, decided_at, ended_at, ended FROM decisions WHERE id = $1 ORDER BY vulnerability`)
)

func insertDecision(ctx context.Context, tx *db.Tx, d PastDecision) error {
	payload, err := d.Encode()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, qInsertDecision, d.ID, d.Vulnerability, d.Scope, d.Kind, db.Micros(d.Until), string(payload), d.Signed, d.Together, d.Envelope, db.Micros(d.DecidedAt))
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

func endDecision(ctx context.Context, tx *db.Tx, id, vulnerability, why string, now time.Time) error {
	_, err := tx.Exec(ctx, qEndDecision, id, vulnerability, db.Micros(now), why)
	return err
}

func scanDecision(rows *sql.Rows) (p PastDecision, err error) {
	var payload string
	var decided, ended int64
	if err := rows.Scan(&payload, &p.Signed, &p.Together, &p.Envelope, &decided, &ended, &p.Ended); err != nil {
		return p, err
	}
	if p.Signed == "" {
		p.Signed = envelope.Digest([]byte(payload))
	}
	if p.Together == 1 {
		p.Together = 0
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

func loadMade(ctx context.Context, tx *db.Tx, id string) ([]PastDecision, error) {
	rows, err := tx.Query(ctx, qMade, id)
	return db.Collect(rows, err, scanDecision)
}

// insertWaiting keeps a decision that waits; one that waits already is a Conflict.
func insertWaiting(ctx context.Context, tx *db.Tx, d Decision, signed []byte) error {
	n, err := tx.Exec(ctx, qInsertWait, d.ID, d.Vulnerability, string(signed), db.Micros(d.MadeAt))
	if err == nil && n == 0 {
		err = fault.New(fault.Conflict, "decision %s was handed in before", d.ID)
	}
	return err
}

// dropWaiting reports whether the decision waited.
func dropWaiting(ctx context.Context, tx *db.Tx, id string) (bool, error) {
	n, err := tx.Exec(ctx, qDropWait, id)
	return n > 0, err
}

func loadWaiting(ctx context.Context, tx *db.Tx, id string) ([]Waiting, error) {
	rows, err := tx.Query(ctx, qWaiting, id)
	return db.Collect(rows, err, func(r *sql.Rows) (w Waiting, err error) {
		var signed string
		if err = r.Scan(&signed); err == nil {
			err = envelope.Decode([]byte(signed), &w.Envelope)
		}
		if err == nil {
			w.Decision, err = DecodeDecision(w.Envelope.Payload)
		}
		if err != nil {
			return w, fmt.Errorf("waiting decision in the database: %w", err)
		}
		w.Payload, w.SHA256, w.Needs, w.Until = w.Envelope.Payload, envelope.Digest(w.Envelope.Payload), kinds[w.Kind], w.MadeAt.Add(maxWaiting)
		return w, nil
	})
}
