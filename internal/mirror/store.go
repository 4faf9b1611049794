package mirror

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

var (
	qLoad = db.Q(`SELECT release, text_digest, index_digest, index_path, released_at, valid_until, fingerprint, packages,
accepted_at, seen_at, refused_at, refused_code, refused_why FROM mirror_upstream WHERE name = $1`)
	qSave = db.Q(`INSERT INTO mirror_upstream (name, release, text_digest, index_digest, index_path, released_at, valid_until,
fingerprint, packages, accepted_at, seen_at, refused_at, refused_code, refused_why)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (name) DO UPDATE SET release = excluded.release, text_digest = excluded.text_digest,
index_digest = excluded.index_digest, index_path = excluded.index_path, released_at = excluded.released_at,
valid_until = excluded.valid_until, fingerprint = excluded.fingerprint, packages = excluded.packages,
accepted_at = excluded.accepted_at, seen_at = excluded.seen_at, refused_at = excluded.refused_at,
refused_code = excluded.refused_code, refused_why = excluded.refused_why`)

	qSaveAdded = db.Q(`INSERT INTO mirror_added (name, url, suite, component, arch, keyring, fingerprints, max_age, advisories, added_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`)
	qAdded = db.Q(`SELECT name, url, suite, component, arch, keyring, fingerprints, max_age, advisories, removed_at
FROM mirror_added ORDER BY added_at, name`)
	qRemoveAdded = db.Q(`UPDATE mirror_added SET removed_at = $1 WHERE name = $2 AND removed_at = 0`)
)

// state is a row: the release and the digest of its signed text, which tells a new signature from a new release.
type state struct {
	Release
	text string
}

// load gives an upstream's row, empty if there is none yet.
func load(ctx context.Context, tx *db.Tx, name string) (state, error) {
	s := state{Release: Release{Upstream: name}}
	var date, until, accepted, seen, refused int64
	err := tx.QueryRow(ctx, qLoad, name).Scan(&s.InRelease, &s.text, &s.Index, &s.IndexPath, &date, &until, &s.Fingerprint,
		&s.Packages, &accepted, &seen, &refused, &s.RefusedCode, &s.RefusedWhy)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s, fmt.Errorf("load upstream %s: %w", name, err)
	}
	s.Date, s.ValidUntil, s.AcceptedAt, s.SeenAt, s.RefusedAt = db.Time(date), db.Time(until), db.Time(accepted), db.Time(seen), db.Time(refused)
	return s, nil
}

func save(ctx context.Context, tx *db.Tx, s state) error {
	_, err := tx.Exec(ctx, qSave, s.Upstream, s.InRelease, s.text, s.Index, s.IndexPath, db.Micros(s.Date), db.Micros(s.ValidUntil),
		s.Fingerprint, s.Packages, db.Micros(s.AcceptedAt), db.Micros(s.SeenAt), db.Micros(s.RefusedAt), s.RefusedCode, s.RefusedWhy)
	if err != nil {
		return fmt.Errorf("save upstream %s: %w", s.Upstream, err)
	}
	return nil
}

// added is an upstream that a person added, without its keyring's bytes.
type added struct {
	Upstream
	keyring string // digest
	removed time.Time
}

func saveAdded(ctx context.Context, tx *db.Tx, u Upstream, keyring string, now time.Time) error {
	_, err := tx.Exec(ctx, qSaveAdded, u.Name, u.URL, u.Suite, u.Component, u.Arch, keyring, strings.Join(u.Fingerprints, " "),
		u.MaxAge.Microseconds(), u.Advisories, db.Micros(now))
	return err
}

func loadAdded(ctx context.Context, tx *db.Tx) ([]added, error) {
	rows, err := tx.Query(ctx, qAdded)
	return db.Collect(rows, err, func(rows *sql.Rows) (a added, err error) {
		var fingerprints string
		var age, removed int64
		err = rows.Scan(&a.Name, &a.URL, &a.Suite, &a.Component, &a.Arch, &a.keyring, &fingerprints, &age, &a.Advisories, &removed)
		a.Added = true
		a.Fingerprints, a.MaxAge, a.removed = strings.Fields(fingerprints), time.Duration(age)*time.Microsecond, db.Time(removed)
		return a, err
	})
}

func removeAdded(ctx context.Context, tx *db.Tx, name string, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, qRemoveAdded, db.Micros(now), name)
	return n == 1, err
}
