package staff

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

	qInsertSession = db.Q(`INSERT INTO staff_session (token, id, person, way, key_id, address, made_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`)
	qSession       = db.Q(`SELECT token, id, person, way, key_id, address, made_at, seen_at FROM staff_session WHERE token = $1`)
	qSessions      = db.Q(`SELECT token, id, person, way, key_id, address, made_at, seen_at FROM staff_session WHERE person = $1 OR $1 = '' ORDER BY seen_at DESC, id`)
	qSeen          = db.Q(`UPDATE staff_session SET seen_at = $1 WHERE token = $2`)
	qEndSession    = db.Q(`DELETE FROM staff_session WHERE person = $1 AND id = $2`)
	qEndSessions   = db.Q(`DELETE FROM staff_session WHERE person = $1`)
	qOverSessions  = db.Q(`DELETE FROM staff_session WHERE made_at < $1 OR seen_at < $2`)

	qInsertToken = db.Q(`INSERT INTO staff_token (token, id, person, name, actions, made_at, expires_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)`)
	qToken       = db.Q(`SELECT id, person, name, actions, made_at, expires_at, seen_at FROM staff_token WHERE token = $1`)
	qTokens      = db.Q(`SELECT id, person, name, actions, made_at, expires_at, seen_at FROM staff_token
		WHERE (person = $1 OR $1 = '') AND expires_at > $2 ORDER BY made_at DESC, id`)
	qTokenSeen  = db.Q(`UPDATE staff_token SET seen_at = $1 WHERE token = $2`)
	qEndToken   = db.Q(`DELETE FROM staff_token WHERE person = $1 AND id = $2`)
	qEndTokens  = db.Q(`DELETE FROM staff_token WHERE person = $1`)
	qOverTokens = db.Q(`DELETE FROM staff_token WHERE expires_at <= $1`)

	qSaveLink = db.Q(`INSERT INTO staff_link (id, secret, expires_at) VALUES (1, $1, $2)
		ON CONFLICT (id) DO UPDATE SET secret = excluded.secret, expires_at = excluded.expires_at`)
	qUseLink  = db.Q(`DELETE FROM staff_link WHERE secret = $1 AND expires_at > $2`)
	qEndLinks = db.Q(`DELETE FROM staff_link`)
	qEndWay   = db.Q(`DELETE FROM staff_session WHERE way = $1`)

	qSaveInvitation = db.Q(`INSERT INTO staff_invitation (secret, person, expires_at) VALUES ($1, $2, $3)`)
	qInvited        = db.Q(`SELECT person FROM staff_invitation WHERE secret = $1 AND expires_at > $2`)
	qUseInvitation  = db.Q(`DELETE FROM staff_invitation WHERE secret = $1`)
	qUninvite       = db.Q(`DELETE FROM staff_invitation WHERE person = $1`)
	qEndInvitations = db.Q(`DELETE FROM staff_invitation`)

	qInsertPasskey = db.Q(`INSERT INTO staff_passkey (id, person, name, public_key, aaguid, attestation, made_at, taken_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0) ON CONFLICT (id) DO NOTHING`)
	qPending     = db.Q(`SELECT person, name, public_key, aaguid, attestation, made_at FROM staff_passkey WHERE taken_at = 0 ORDER BY person, made_at, id`)
	qTakePasskey = db.Q(`UPDATE staff_passkey SET taken_at = $1 WHERE id = $2 AND taken_at = 0`)
	qDropPasskey = db.Q(`DELETE FROM staff_passkey WHERE person = $1 AND id = $2 AND taken_at = 0`)
	qDropPending = db.Q(`DELETE FROM staff_passkey WHERE person = $1 AND taken_at = 0`)

	qOpenAccount = db.Q(`INSERT INTO staff_account (person, since, reviewed_at, reviewed_by, review_alarm_at, notice_at, notice_by, notice_why, notice_alarm_at)
		VALUES ($1, $2, 0, '', 0, 0, '', '', 0) ON CONFLICT (person) DO NOTHING`)
	qAccount = db.Q(`SELECT person, since, reviewed_at, reviewed_by, review_alarm_at, notice_at, notice_by, notice_why, notice_alarm_at
		FROM staff_account WHERE person = $1`)
	qAccounts = db.Q(`SELECT person, since, reviewed_at, reviewed_by, review_alarm_at, notice_at, notice_by, notice_why, notice_alarm_at
		FROM staff_account ORDER BY person`)
	qSaveAccount = db.Q(`UPDATE staff_account SET reviewed_at = $1, reviewed_by = $2, review_alarm_at = $3, notice_at = $4, notice_by = $5,
		notice_why = $6, notice_alarm_at = $7 WHERE person = $8`)
	qCloseAccount = db.Q(`DELETE FROM staff_account WHERE person = $1`)

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

func saveSession(ctx context.Context, tx *db.Tx, s session) error {
	_, err := tx.Exec(ctx, qInsertSession, s.token, s.id, s.person, s.way, s.key, s.from, db.Micros(s.made), db.Micros(s.seen))
	return err
}

func scanSession(row interface{ Scan(...any) error }) (s session, err error) {
	var made, seen int64
	err = row.Scan(&s.token, &s.id, &s.person, &s.way, &s.key, &s.from, &made, &seen)
	s.made, s.seen = db.Time(made), db.Time(seen)
	return s, err
}

func loadSession(ctx context.Context, tx *db.Tx, token string) (session, error) {
	s, err := scanSession(tx.QueryRow(ctx, qSession, token))
	if errors.Is(err, sql.ErrNoRows) {
		return s, fault.New(fault.Unauthenticated, "no such session, or it is over: log in")
	}
	return s, err
}

// loadSessions gives the sessions of a person, or of everyone for "".
func loadSessions(ctx context.Context, tx *db.Tx, person string) ([]session, error) {
	rows, err := tx.Query(ctx, qSessions, person)
	return db.Collect(rows, err, func(rows *sql.Rows) (session, error) { return scanSession(rows) })
}

// seen notes the use of a session or a token.
func seen(ctx context.Context, tx *db.Tx, token string, now time.Time) error {
	for _, q := range []db.Query{qSeen, qTokenSeen} {
		if _, err := tx.Exec(ctx, q, db.Micros(now), token); err != nil {
			return err
		}
	}
	return nil
}

func deleteOne(ctx context.Context, tx *db.Tx, q db.Query, person, thing string) (bool, error) {
	n, err := tx.Exec(ctx, q, person, thing)
	return n == 1, err
}

func deleteSession(ctx context.Context, tx *db.Tx, person, id string) (bool, error) {
	return deleteOne(ctx, tx, qEndSession, person, id)
}

// deleteOf removes what lets a person in beside their keys: sessions, tokens, and keys that wait for a trust root.
func deleteOf(ctx context.Context, tx *db.Tx, person string) error {
	for _, q := range []db.Query{qEndSessions, qEndTokens, qDropPending} {
		if _, err := tx.Exec(ctx, q, person); err != nil {
			return err
		}
	}
	return nil
}

// deleteOver removes what time has ended: sessions made or seen too long ago, tokens, and answered challenges.
func deleteOver(ctx context.Context, tx *db.Tx, now time.Time) error {
	if _, err := tx.Exec(ctx, qOverSessions, db.Micros(now.Add(-sessionLife)), db.Micros(now.Add(-sessionIdle))); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	if _, err := tx.Exec(ctx, qOverTokens, db.Micros(now)); err != nil {
		return fmt.Errorf("end tokens: %w", err)
	}
	if _, err := tx.Exec(ctx, qForget, db.Micros(now)); err != nil {
		return fmt.Errorf("forget challenges: %w", err)
	}
	return nil
}

func saveToken(ctx context.Context, tx *db.Tx, hash string, t Token) error {
	actions := make([]string, len(t.Actions))
	for i, a := range t.Actions {
		actions[i] = string(a)
	}
	_, err := tx.Exec(ctx, qInsertToken, hash, t.ID, t.Person, t.Name, strings.Join(actions, " "), db.Micros(t.MadeAt), db.Micros(t.ExpiresAt))
	return err
}

func scanToken(row interface{ Scan(...any) error }) (t Token, err error) {
	var actions string
	var made, expires, seen int64
	err = row.Scan(&t.ID, &t.Person, &t.Name, &actions, &made, &expires, &seen)
	for a := range strings.FieldsSeq(actions) {
		t.Actions = append(t.Actions, Action(a))
	}
	t.MadeAt, t.ExpiresAt, t.SeenAt = db.Time(made), db.Time(expires), db.Time(seen)
	return t, err
}

func loadToken(ctx context.Context, tx *db.Tx, hash string) (Token, error) {
	t, err := scanToken(tx.QueryRow(ctx, qToken, hash))
	if errors.Is(err, sql.ErrNoRows) {
		return t, fault.New(fault.Unauthenticated, "no such token, or it was revoked or is over: make another")
	}
	return t, err
}

func loadTokens(ctx context.Context, tx *db.Tx, person string, now time.Time) ([]Token, error) {
	rows, err := tx.Query(ctx, qTokens, person, db.Micros(now))
	return db.Collect(rows, err, func(rows *sql.Rows) (Token, error) { return scanToken(rows) })
}

func deleteToken(ctx context.Context, tx *db.Tx, person, id string) (bool, error) {
	return deleteOne(ctx, tx, qEndToken, person, id)
}

func saveLink(ctx context.Context, tx *db.Tx, hash string, expires time.Time) error {
	_, err := tx.Exec(ctx, qSaveLink, hash, db.Micros(expires))
	return err
}

func useLink(ctx context.Context, tx *db.Tx, hash string, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, qUseLink, hash, db.Micros(now))
	return n == 1, err
}

// endLinks removes the bootstrap link, the invitations, and the sessions that either opened.
func endLinks(ctx context.Context, tx *db.Tx) error {
	for _, q := range []db.Query{qEndLinks, qEndInvitations} {
		if _, err := tx.Exec(ctx, q); err != nil {
			return err
		}
	}
	for _, way := range []Way{ByLink, ByInvitation} {
		if _, err := tx.Exec(ctx, qEndWay, way); err != nil {
			return err
		}
	}
	return nil
}

func saveInvitation(ctx context.Context, tx *db.Tx, hash, person string, expires time.Time) error {
	_, err := tx.Exec(ctx, qSaveInvitation, hash, person, db.Micros(expires))
	return err
}

// useInvitation gives whom an invitation is for, and ends it; empty if it was used before or is over.
func useInvitation(ctx context.Context, tx *db.Tx, hash string, now time.Time) (person string, err error) {
	err = tx.QueryRow(ctx, qInvited, hash, db.Micros(now)).Scan(&person)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	n, err := tx.Exec(ctx, qUseInvitation, hash)
	if n == 0 {
		person = ""
	}
	return person, err
}

// uninvite ends a person's invitations and the sessions they opened: before there is a trust root nobody has others.
func uninvite(ctx context.Context, tx *db.Tx, person string) error {
	for _, q := range []db.Query{qUninvite, qEndSessions} {
		if _, err := tx.Exec(ctx, q, person); err != nil {
			return err
		}
	}
	return nil
}

func savePasskey(ctx context.Context, tx *db.Tx, p Passkey) (bool, error) {
	key, err := json.Marshal(p.Key)
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(ctx, qInsertPasskey, p.Key.ID, p.Person, p.Name, string(key), p.AAGUID, p.Attestation, db.Micros(p.MadeAt))
	return n == 1, err
}

// loadPending gives the passkeys that no trust root has held yet.
func loadPending(ctx context.Context, tx *db.Tx) ([]Passkey, error) {
	rows, err := tx.Query(ctx, qPending)
	return db.Collect(rows, err, func(rows *sql.Rows) (p Passkey, err error) {
		var key string
		var made int64
		if err := rows.Scan(&p.Person, &p.Name, &key, &p.AAGUID, &p.Attestation, &made); err != nil {
			return p, err
		}
		p.MadeAt = db.Time(made)
		return p, json.Unmarshal([]byte(key), &p.Key)
	})
}

func takePasskey(ctx context.Context, tx *db.Tx, id string, now time.Time) error {
	_, err := tx.Exec(ctx, qTakePasskey, db.Micros(now), id)
	return err
}

func deletePasskey(ctx context.Context, tx *db.Tx, person, id string) (bool, error) {
	return deleteOne(ctx, tx, qDropPasskey, person, id)
}

func openAccount(ctx context.Context, tx *db.Tx, person string, now time.Time) error {
	_, err := tx.Exec(ctx, qOpenAccount, person, db.Micros(now))
	return err
}

func scanAccount(row interface{ Scan(...any) error }) (a account, err error) {
	var since, reviewed, reviewAlarm, noticed, leaveLate int64
	err = row.Scan(&a.person, &since, &reviewed, &a.reviewedBy, &reviewAlarm, &noticed, &a.noticedBy, &a.noticedWhy, &leaveLate)
	a.since, a.reviewed, a.reviewAlarm = db.Time(since), db.Time(reviewed), db.Time(reviewAlarm)
	a.noticed, a.leaveLate = db.Time(noticed), db.Time(leaveLate)
	return a, err
}

func loadAccount(ctx context.Context, tx *db.Tx, person string) (a account, found bool, err error) {
	a, err = scanAccount(tx.QueryRow(ctx, qAccount, person))
	if errors.Is(err, sql.ErrNoRows) {
		return a, false, nil
	}
	return a, err == nil, err
}

func loadAccounts(ctx context.Context, tx *db.Tx) ([]account, error) {
	rows, err := tx.Query(ctx, qAccounts)
	return db.Collect(rows, err, func(rows *sql.Rows) (account, error) { return scanAccount(rows) })
}

func saveAccount(ctx context.Context, tx *db.Tx, a account) error {
	_, err := tx.Exec(ctx, qSaveAccount, db.Micros(a.reviewed), a.reviewedBy, db.Micros(a.reviewAlarm), db.Micros(a.noticed), a.noticedBy,
		a.noticedWhy, db.Micros(a.leaveLate), a.person)
	return err
}

func closeAccount(ctx context.Context, tx *db.Tx, person string) error {
	_, err := tx.Exec(ctx, qCloseAccount, person)
	return err
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
