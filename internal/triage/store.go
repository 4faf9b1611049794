package triage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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

	qOpenEpisodes = db.Q(`SELECT ` + episodeColumns + ` FROM exposure WHERE fixed_at = 0`)
	qLastEpisode  = db.Q(`SELECT ` + episodeColumns + ` FROM exposure WHERE vulnerability = $1 ORDER BY episode DESC LIMIT 1`)
	qEpisodes     = db.Q(`SELECT ` + episodeColumns + ` FROM exposure WHERE vulnerability = $1 ORDER BY episode`)
	qFixed        = db.Q(`SELECT ` + episodeColumns + ` FROM exposure WHERE fixed_at >= $1 AND fixed_at < $2
		AND (fixed_at > $3 OR fixed_at = $3 AND vulnerability > $4) ORDER BY fixed_at, vulnerability LIMIT $5`)
	qRemedied    = db.Q(`SELECT fixed_at, fixed_at - affected_at FROM exposure WHERE fixed_at >= $1 AND affected_at > 0`)
	qSaveEpisode = db.Q(`INSERT INTO exposure (` + episodeColumns + `) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)
		ON CONFLICT (vulnerability, episode) DO UPDATE SET affected_at = excluded.affected_at, fixed_at = excluded.fixed_at,
		gone_at = excluded.gone_at, gone = excluded.gone, hosts = excluded.hosts, most = excluded.most, left_hosts = excluded.left_hosts,
		releases = excluded.releases, act = excluded.act`)
	qLastExposureAct = db.Q(`SELECT COALESCE((SELECT MAX(act) FROM exposure), -1), COALESCE((SELECT MAX(act) FROM exposure_day), -1)`)
	qHasDay          = db.Q(`SELECT COUNT(*) FROM exposure_day WHERE day = $1`)
	qInsertDay       = db.Q(`INSERT INTO exposure_day (day, totals, act) VALUES ($1, $2, $3)`)
	qDays            = db.Q(`SELECT totals, act FROM exposure_day WHERE day >= $1 ORDER BY day`)
)

const episodeColumns = `vulnerability, episode, identified_at, affected_at, fixed_at, gone_at, gone, hosts, most, left_hosts, releases, act`

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

func scanEpisode(row interface{ Scan(...any) error }) (e Episode, err error) {
	var identified, affected, fixed, gone int64
	var releases string
	err = row.Scan(&e.Vulnerability, &e.Number, &identified, &affected, &fixed, &gone, &e.Gone, &e.Hosts, &e.Most, &e.Left, &releases, &e.Act)
	e.IdentifiedAt, e.AffectedAt, e.FixedAt, e.GoneAt = db.Time(identified), db.Time(affected), db.Time(fixed), db.Time(gone)
	e.Releases = strings.Fields(releases)
	return e, err
}

func episodes(ctx context.Context, tx *db.Tx, q db.Query, args ...any) ([]Episode, error) {
	rows, err := tx.Query(ctx, q, args...)
	return db.Collect(rows, err, func(r *sql.Rows) (Episode, error) { return scanEpisode(r) })
}

func saveEpisode(ctx context.Context, tx *db.Tx, e Episode) error {
	_, err := tx.Exec(ctx, qSaveEpisode, e.Vulnerability, e.Number, db.Micros(e.IdentifiedAt), db.Micros(e.AffectedAt), db.Micros(e.FixedAt),
		db.Micros(e.GoneAt), e.Gone, e.Hosts, e.Most, e.Left, strings.Join(e.Releases, " "), e.Act)
	return err
}

// lastExposureAct gives the index of the last act of the history, -1 before the first.
func lastExposureAct(ctx context.Context, tx *db.Tx) (int64, error) {
	var episode, day int64
	err := tx.QueryRow(ctx, qLastExposureAct).Scan(&episode, &day)
	return max(episode, day), err
}

// recentEpisodes gives the open episodes and, of the vulnerabilities present without one, the last; with the last act.
func (t *Triage) recentEpisodes(ctx context.Context, present map[string]presence) (recent map[string]Episode, last int64, err error) {
	err = t.DB.Read(ctx, func(tx *db.Tx) error {
		if last, err = lastExposureAct(ctx, tx); err != nil {
			return err
		}
		all, err := episodes(ctx, tx, qOpenEpisodes)
		recent = make(map[string]Episode, len(all))
		for _, e := range all {
			recent[e.Vulnerability] = e
		}
		if err != nil || last < 0 {
			return err
		}
		for name := range present {
			if _, known := recent[name]; known {
				continue
			}
			e, err := scanEpisode(tx.QueryRow(ctx, qLastEpisode, name))
			if err == nil {
				recent[name] = e
			} else if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		return nil
	})
	return recent, last, err
}

func (t *Triage) hasDay(ctx context.Context, day string) (bool, error) {
	var n int
	err := t.DB.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(ctx, qHasDay, day).Scan(&n) })
	return n > 0, err
}

func insertDay(ctx context.Context, tx *db.Tx, d Day) error {
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, qInsertDay, d.Day, string(b), d.Act)
	return err
}

func scanDay(rows *sql.Rows) (d Day, err error) {
	var totals string
	var act int64
	if err = rows.Scan(&totals, &act); err == nil {
		err = json.Unmarshal([]byte(totals), &d)
	}
	d.Act = act
	return d, err
}

// remedied is one episode that was observed fixed after a host had been affected.
type remedied struct {
	at   time.Time
	took time.Duration
}

func scanRemedied(rows *sql.Rows) (r remedied, err error) {
	var at, took int64
	err = rows.Scan(&at, &took)
	return remedied{db.Time(at), time.Duration(took) * time.Microsecond}, err
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
