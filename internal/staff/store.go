package staff

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

var (
	qInsertRoot = db.Q(`INSERT INTO staff_root (version, digest, envelope, installed_at) VALUES ($1, $2, $3, $4)`)
	qLatestRoot = db.Q(`SELECT version, digest FROM staff_root ORDER BY version DESC LIMIT 1`)
	qRoots      = db.Q(`SELECT envelope FROM staff_root WHERE version >= $1 ORDER BY version`)

	qKeepSecret = db.Q(`INSERT INTO staff_secret (id, secret) VALUES (1, $1) ON CONFLICT (id) DO NOTHING`)
	qSecret     = db.Q(`SELECT secret FROM staff_secret WHERE id = 1`)

	qAnswer = db.Q(`INSERT INTO staff_answered (challenge, expires_at) VALUES ($1, $2) ON CONFLICT (challenge) DO NOTHING`)
	qForget = db.Q(`DELETE FROM staff_answered WHERE expires_at < $1`)

	qInsertSession = db.Q(`INSERT INTO staff_session (token, person, key_id, made_at, seen_at) VALUES ($1, $2, $3, $4, $4)`)
	qSession       = db.Q(`SELECT person, key_id, made_at, seen_at FROM staff_session WHERE token = $1`)
	qSeen          = db.Q(`UPDATE staff_session SET seen_at = $1 WHERE token = $2`)
	qDeleteSession = db.Q(`DELETE FROM staff_session WHERE token = $1`)
	qOverSessions  = db.Q(`DELETE FROM staff_session WHERE made_at < $1 OR seen_at < $2`)

	qRefused    = db.Q(`SELECT since, uncounted FROM staff_refused WHERE who = $1`)
	qSetRefused = db.Q(`INSERT INTO staff_refused (who, since, uncounted) VALUES ($1, $2, $3)
		ON CONFLICT (who) DO UPDATE SET since = excluded.since, uncounted = excluded.uncounted`)
	qOverRefused   = db.Q(`SELECT who, since, uncounted FROM staff_refused WHERE since < $1 ORDER BY who`)
	qDeleteRefused = db.Q(`DELETE FROM staff_refused WHERE who = $1`)
)

func saveRoot(ctx context.Context, tx *db.Tx, r *trustroot.Root, e envelope.Envelope, now time.Time) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, qInsertRoot, r.Version, r.Digest(), string(b), db.Micros(now))
	return err
}

// latestRoot gives version and digest of the trust root in force; version 0 for none.
func latestRoot(ctx context.Context, tx *db.Tx) (version int64, digest string, err error) {
	err = tx.QueryRow(ctx, qLatestRoot).Scan(&version, &digest)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	return version, digest, err
}

func loadRoots(ctx context.Context, tx *db.Tx, from int64) ([]envelope.Envelope, error) {
	rows, err := tx.Query(ctx, qRoots, from)
	return db.Collect(rows, err, func(rows *sql.Rows) (e envelope.Envelope, err error) {
		var text string
		if err := rows.Scan(&text); err != nil {
			return e, err
		}
		return e, json.Unmarshal([]byte(text), &e)
	})
}

func loadSecret(ctx context.Context, tx *db.Tx) (secret []byte, err error) {
	err = tx.QueryRow(ctx, qSecret).Scan(&secret)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return secret, err
}

func keepSecret(ctx context.Context, tx *db.Tx, secret []byte) error {
	_, err := tx.Exec(ctx, qKeepSecret, secret)
	return err
}

// answer marks a challenge as answered, once.
func answer(ctx context.Context, tx *db.Tx, challenge string, expires time.Time) (first bool, err error) {
	n, err := tx.Exec(ctx, qAnswer, challenge, db.Micros(expires))
	return n == 1, err
}

// session is a login in force.
type session struct {
	token       string // sha256 of the bearer token
	person, key string
	made, seen  time.Time
}

func saveSession(ctx context.Context, tx *db.Tx, s session) error {
	_, err := tx.Exec(ctx, qInsertSession, s.token, s.person, s.key, db.Micros(s.made))
	return err
}

func loadSession(ctx context.Context, tx *db.Tx, token string) (session, error) {
	s := session{token: token}
	var made, seen int64
	err := tx.QueryRow(ctx, qSession, token).Scan(&s.person, &s.key, &made, &seen)
	if errors.Is(err, sql.ErrNoRows) {
		return s, fault.New(fault.Unauthenticated, "no such session, or it is over: log in")
	}
	s.made, s.seen = db.Time(made), db.Time(seen)
	return s, err
}

func seen(ctx context.Context, tx *db.Tx, token string, now time.Time) error {
	_, err := tx.Exec(ctx, qSeen, db.Micros(now), token)
	return err
}

func deleteSession(ctx context.Context, tx *db.Tx, token string) (bool, error) {
	n, err := tx.Exec(ctx, qDeleteSession, token)
	return n == 1, err
}

// deleteOver removes what time has ended: sessions made or seen too long ago, and answered challenges.
func deleteOver(ctx context.Context, tx *db.Tx, now time.Time) error {
	if _, err := tx.Exec(ctx, qOverSessions, db.Micros(now.Add(-sessionLife)), db.Micros(now.Add(-sessionIdle))); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	if _, err := tx.Exec(ctx, qForget, db.Micros(now)); err != nil {
		return fmt.Errorf("forget challenges: %w", err)
	}
	return nil
}

// refused counts attempts that failed since the first, of which an act tells, and the uncounted ones after it.
type refused struct {
	who       string
	since     time.Time
	uncounted int64
}

// loadRefused gives the count for who; zero since for none.
func loadRefused(ctx context.Context, tx *db.Tx, who string) (refused, error) {
	r := refused{who: who}
	var since int64
	err := tx.QueryRow(ctx, qRefused, who).Scan(&since, &r.uncounted)
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil
	}
	r.since = db.Time(since)
	return r, err
}

func saveRefused(ctx context.Context, tx *db.Tx, r refused) error {
	_, err := tx.Exec(ctx, qSetRefused, r.who, db.Micros(r.since), r.uncounted)
	return err
}

func deleteRefused(ctx context.Context, tx *db.Tx, who string) error {
	_, err := tx.Exec(ctx, qDeleteRefused, who)
	return err
}

// loadOverRefused gives the counts that began before a time.
func loadOverRefused(ctx context.Context, tx *db.Tx, before time.Time) ([]refused, error) {
	rows, err := tx.Query(ctx, qOverRefused, db.Micros(before))
	return db.Collect(rows, err, func(rows *sql.Rows) (r refused, err error) {
		var since int64
		err = rows.Scan(&r.who, &since, &r.uncounted)
		r.since = db.Time(since)
		return r, err
	})
}
