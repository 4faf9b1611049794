package build

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const columns = `name, release, package_set, origin, days, registered_by, registered_at, judged_at, findings`

var (
	all = db.Q(`SELECT ` + columns + ` FROM builds ORDER BY name`)
	one = db.Q(`SELECT ` + columns + ` FROM builds WHERE name = $1`)
	put = db.Q(`INSERT INTO builds (` + columns + `) VALUES ($1,$2,$3,$4,$5,$6,$7,0,'[]')
 ON CONFLICT (name) DO UPDATE SET release = excluded.release, package_set = excluded.package_set, origin = excluded.origin,
 days = excluded.days, registered_by = excluded.registered_by, registered_at = excluded.registered_at, judged_at = 0`)
	found = db.Q(`UPDATE builds SET judged_at = $2, findings = $3 WHERE name = $1`)
	gone  = db.Q(`DELETE FROM builds WHERE name = $1`)
)

func scan(r interface{ Scan(...any) error }) (b Build, err error) {
	var registered, judged int64
	var findings string
	if err := r.Scan(&b.Name, &b.Release, &b.PackageSet, &b.From, &b.Days, &b.RegisteredBy, &registered, &judged, &findings); err != nil {
		return b, err
	}
	b.RegisteredAt, b.JudgedAt, b.Findings, b.Undetermined = db.Time(registered), db.Time(judged), []Finding{}, []Finding{}
	var all []Finding
	if err := json.Unmarshal([]byte(findings), &all); err != nil {
		return b, fmt.Errorf("build %s: column findings: %w", b.Name, err)
	}
	for _, f := range all {
		if f.Doubt != "" {
			b.Undetermined = append(b.Undetermined, f)
			continue
		}
		f.DueAt = f.Since.Add(time.Duration(b.Days) * 24 * time.Hour)
		b.Findings = append(b.Findings, f)
	}
	return b, nil
}

func loadAll(ctx context.Context, tx *db.Tx) ([]Build, error) {
	rows, err := tx.Query(ctx, all)
	return db.Collect(rows, err, func(r *sql.Rows) (Build, error) { return scan(r) })
}

func load(ctx context.Context, tx *db.Tx, name string) (Build, error) {
	b, err := scan(tx.QueryRow(ctx, one, name))
	if errors.Is(err, sql.ErrNoRows) {
		return Build{}, fault.New(fault.NotFound, "no such build")
	}
	return b, err
}

func save(ctx context.Context, tx *db.Tx, b Build) error {
	_, err := tx.Exec(ctx, put, b.Name, b.Release, b.PackageSet, b.From, b.Days, b.RegisteredBy, db.Micros(b.RegisteredAt))
	return err
}

func saveFindings(ctx context.Context, tx *db.Tx, b Build) error {
	text, err := json.Marshal(append([]Finding{}, b.Findings...))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, found, b.Name, db.Micros(b.JudgedAt), string(text))
	return err
}

func drop(ctx context.Context, tx *db.Tx, name string) error {
	_, err := tx.Exec(ctx, gone, name)
	return err
}
