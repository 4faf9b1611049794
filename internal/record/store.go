package record

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const columnsOf = `id, host, fields, revision, changed_at, dropped_at`

var (
	byID    = db.Q(`SELECT ` + columnsOf + ` FROM records WHERE id = $1`)
	byName  = db.Q(`SELECT ` + columnsOf + ` FROM records WHERE hostname = $1 AND dropped_at = 0`)
	byHost  = db.Q(`SELECT id FROM records WHERE host = $1 AND dropped_at = 0`)
	all     = db.Q(`SELECT ` + columnsOf + ` FROM records WHERE dropped_at = 0 ORDER BY hostname`)
	since   = db.Q(`SELECT ` + columnsOf + ` FROM records WHERE changed > $1 ORDER BY changed`)
	last    = db.Q(`SELECT COALESCE(MAX(changed), 0) FROM records`)
	listing = db.Q(`SELECT ` + columnsOf + ` FROM records WHERE dropped_at = 0 AND hostname > $1
 AND ($2 = '' OR zone = $2) AND ($3 = '' OR environment = $3) AND ($4 = '' OR owner = $4) AND ($5 = '' OR unit = $5)
 AND ($6 = '' OR criticality = $6) AND ($7 = '' OR exposure = $7) AND ($8 = '' OR build = $8)
 AND ($9 = '' OR search LIKE $9 ESCAPE '!') AND ($10 = 0 OR host = '') ORDER BY hostname LIMIT $11`)
	owners = db.Q(`SELECT owner, COUNT(*) FROM records WHERE dropped_at = 0 AND host = '' GROUP BY owner`)
	put    = db.Q(`INSERT INTO records (id, hostname, host, zone, environment, owner, unit, criticality, exposure, build, search, fields, revision,
 changed_at, dropped_at, changed) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,(SELECT COALESCE(MAX(changed), 0) + 1 FROM records))
 ON CONFLICT (id) DO UPDATE SET hostname = excluded.hostname, host = excluded.host, zone = excluded.zone,
 environment = excluded.environment, owner = excluded.owner, unit = excluded.unit, criticality = excluded.criticality,
 exposure = excluded.exposure, build = excluded.build, search = excluded.search, fields = excluded.fields,
 revision = excluded.revision, changed_at = excluded.changed_at, dropped_at = excluded.dropped_at, changed = excluded.changed`)
)

func scan(r interface{ Scan(...any) error }) (rec Record, err error) {
	var fields string
	var changed, dropped int64
	if err := r.Scan(&rec.ID, &rec.Host, &fields, &rec.Revision, &changed, &dropped); err != nil {
		return rec, err
	}
	rec.ChangedAt, rec.DroppedAt = db.Time(changed), db.Time(dropped)
	if err := json.Unmarshal([]byte(fields), &rec.Fields); err != nil {
		return rec, fmt.Errorf("record %s: column fields: %w", rec.ID, err)
	}
	return rec, nil
}

func scanRow(r *sql.Rows) (Record, error) { return scan(r) }

func load(ctx context.Context, tx *db.Tx, id string) (Record, error) {
	rec, err := scan(tx.QueryRow(ctx, byID, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Record{}, fault.New(fault.NotFound, "no such record")
	}
	return rec, err
}

// named gives the record of a hostname; the zero Record if there is none.
func named(ctx context.Context, tx *db.Tx, hostname string) (Record, error) {
	rec, err := scan(tx.QueryRow(ctx, byName, hostname))
	if errors.Is(err, sql.ErrNoRows) {
		return Record{}, nil
	}
	return rec, err
}

// ofHost gives the ID of the record about a host, "" if there is none.
func ofHost(ctx context.Context, tx *db.Tx, host string) (id string, err error) {
	err = tx.QueryRow(ctx, byHost, host).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

func loadAll(ctx context.Context, tx *db.Tx) ([]Record, error) {
	rows, err := tx.Query(ctx, all)
	return db.Collect(rows, err, scanRow)
}

func loadSince(ctx context.Context, tx *db.Tx, change int64) ([]Record, error) {
	rows, err := tx.Query(ctx, since, change)
	return db.Collect(rows, err, scanRow)
}

func lastChange(ctx context.Context, tx *db.Tx) (n int64, err error) {
	err = tx.QueryRow(ctx, last).Scan(&n)
	return n, err
}

func loadList(ctx context.Context, tx *db.Tx, f Filter, after string, limit int) ([]Record, error) {
	unlinked := 0
	if f.Unlinked {
		unlinked = 1
	}
	search := ""
	if f.Text != "" {
		search = "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(strings.ToLower(f.Text)) + "%"
	}
	rows, err := tx.Query(ctx, listing, after, f.Zone, f.Environment, f.Owner, f.Unit, f.Criticality, f.Exposure, f.Build, search, unlinked, limit)
	return db.Collect(rows, err, scanRow)
}

func countOwners(ctx context.Context, tx *db.Tx) (map[string]int, error) {
	all := map[string]int{}
	rows, err := tx.Query(ctx, owners)
	_, err = db.Collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		var owner string
		var n int
		err = r.Scan(&owner, &n)
		all[owner] = n
		return none, err
	})
	return all, err
}

func save(ctx context.Context, tx *db.Tx, rec Record) error {
	fields, err := json.Marshal(rec.Fields)
	if err != nil {
		return err
	}
	search := strings.ToLower(rec.Hostname + " " + rec.Serial)
	_, err = tx.Exec(ctx, put, rec.ID, rec.Hostname, rec.Host, rec.Zone, rec.Environment, rec.Owner, rec.Unit, rec.Criticality, rec.Exposure,
		rec.Build, search, string(fields), rec.Revision, db.Micros(rec.ChangedAt), db.Micros(rec.DroppedAt))
	if err != nil {
		return fmt.Errorf("save record %s: %w", rec.ID, err)
	}
	return nil
}
