package curation

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const recordColumns = `record, snapshot, author, made_at, index_digest, index_size, packed, packed_size, arches, envelope, signed_at`

var (
	qInsertRecord = db.Q(`INSERT INTO curation_record (record, snapshot, author, made_at, index_digest, index_size, packed, packed_size, arches)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (record) DO NOTHING`)
	qRecord       = db.Q(`SELECT ` + recordColumns + ` FROM curation_record WHERE record = $1`)
	qRecordsAfter = db.Q(`SELECT ` + recordColumns + ` FROM curation_record WHERE made_at < $1 OR (made_at = $1 AND record > $2)
ORDER BY made_at DESC, record LIMIT $3`)
	qMarkSigned   = db.Q(`UPDATE curation_record SET envelope = $2, signed_at = $3 WHERE record = $1 AND envelope = ''`)
	qSignedRecord = db.Q(`SELECT record FROM curation_record WHERE snapshot = $1 AND envelope <> '' ORDER BY signed_at DESC, record LIMIT 1`)
	qSigned       = db.Q(`SELECT DISTINCT snapshot FROM curation_record WHERE envelope <> '' ORDER BY snapshot`)

	// Of all records made within a time.
	qSignaturesWithin = db.Q(`SELECT s.record, s.person, s.signature, s.signed_at FROM curation_signature s
JOIN curation_record r ON r.record = s.record WHERE r.made_at >= $1 AND r.made_at <= $2 ORDER BY s.signed_at, s.person`)
	qInsertSignature = db.Q(`INSERT INTO curation_signature (record, person, signature, signed_at) VALUES ($1, $2, $3, $4)`)
	qSignatures      = db.Q(`SELECT person, signature, signed_at FROM curation_signature WHERE record = $1 ORDER BY signed_at, person`)

	qInsertFile = db.Q(`INSERT INTO curation_file (file, sha256, size) VALUES ($1, $2, $3) ON CONFLICT (file) DO NOTHING`)
	qFile       = db.Q(`SELECT file, sha256, size, damaged_at FROM curation_file WHERE file = $1`)
	qFiles      = db.Q(`SELECT file, sha256, size, damaged_at FROM curation_file ORDER BY file`)
	qMarkFile   = db.Q(`UPDATE curation_file SET damaged_at = $2 WHERE file = $1`)

	qInsertPromotion = db.Q(`INSERT INTO curation_promotion (channel, version, snapshot, promoted_by, promoted_at) VALUES ($1, $2, $3, $4, $5)`)
	qChannel         = db.Q(`SELECT version, snapshot, promoted_by, promoted_at FROM curation_promotion WHERE channel = $1 ORDER BY version DESC LIMIT 1`)
	qWasIn           = db.Q(`SELECT COUNT(*) FROM curation_promotion WHERE channel = $1 AND snapshot = $2`)

	qPublication     = db.Q(`SELECT record, version, release, size, signed_at, valid_until FROM curation_publication WHERE suite = $1`)
	qSavePublication = db.Q(`INSERT INTO curation_publication (suite, record, version, release, size, signed_at, valid_until)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (suite) DO UPDATE SET record = excluded.record, version = excluded.version, release = excluded.release,
size = excluded.size, signed_at = excluded.signed_at, valid_until = excluded.valid_until`)
)

// row is a curation record as the database knows it.
type row struct {
	record, snapshot, author string
	madeAt                   time.Time
	index, packed            string
	indexSize, packedSize    int64
	arches                   []string
	envelope                 string
	signedAt                 time.Time
}

// insertRecord reports false when the same record is there already.
func insertRecord(ctx context.Context, tx *db.Tx, w row) (bool, error) {
	n, err := tx.Exec(ctx, qInsertRecord, w.record, w.snapshot, w.author, db.Micros(w.madeAt), w.index, w.indexSize, w.packed, w.packedSize, strings.Join(w.arches, " "))
	return n == 1, err
}

func scanRecord(scan func(...any) error) (w row, err error) {
	var made, signed int64
	var arches string
	err = scan(&w.record, &w.snapshot, &w.author, &made, &w.index, &w.indexSize, &w.packed, &w.packedSize, &arches, &w.envelope, &signed)
	w.madeAt, w.signedAt, w.arches = db.Time(made), db.Time(signed), strings.Fields(arches)
	return w, err
}

func loadRecord(ctx context.Context, tx *db.Tx, record string) (row, error) {
	w, err := scanRecord(tx.QueryRow(ctx, qRecord, record).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return row{record: record}, fault.New(fault.NotFound, "there is no curation record %s", record)
	} else if err != nil {
		return w, fmt.Errorf("load curation record: %w", err)
	}
	return w, nil
}

func scanText(rows *sql.Rows) (s string, err error) {
	err = rows.Scan(&s)
	return s, err
}

// recordsAfter gives at most limit records, the newest first: those after one, or from the newest where it is empty.
func recordsAfter(ctx context.Context, tx *db.Tx, record string, limit int) ([]row, error) {
	made := int64(math.MaxInt64)
	if record != "" {
		w, err := loadRecord(ctx, tx, record)
		if err != nil {
			return nil, err
		}
		made = db.Micros(w.madeAt)
	}
	rows, err := tx.Query(ctx, qRecordsAfter, made, record, limit)
	return db.Collect(rows, err, func(rows *sql.Rows) (row, error) { return scanRecord(rows.Scan) })
}

// signaturesWithin gives those of all records made within a time, oldest first, by record.
func signaturesWithin(ctx context.Context, tx *db.Tx, from, to time.Time) (map[string][]Signature, error) {
	by := map[string][]Signature{}
	rows, err := tx.Query(ctx, qSignaturesWithin, db.Micros(from), db.Micros(to))
	_, err = db.Collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var record string
		s, err := scanSignature(func(more ...any) error { return rows.Scan(append([]any{&record}, more...)...) })
		by[record] = append(by[record], s)
		return none, err
	})
	return by, err
}

func scanSignature(scan func(...any) error) (s Signature, err error) {
	var text string
	var at int64
	if err := scan(&s.Person, &text, &at); err != nil {
		return s, err
	}
	s.At = db.Time(at)
	return s, json.Unmarshal([]byte(text), &s.Signature)
}

func markSigned(ctx context.Context, tx *db.Tx, record, envelope string, at time.Time) error {
	n, err := tx.Exec(ctx, qMarkSigned, record, envelope, db.Micros(at))
	if err == nil && n != 1 {
		err = fault.New(fault.Conflict, "curation record %s is signed already", record)
	}
	return err
}

// signedRecord gives the record of a snapshot that got its quorum last.
func signedRecord(ctx context.Context, tx *db.Tx, snapshot string) (record string, err error) {
	err = tx.QueryRow(ctx, qSignedRecord, snapshot).Scan(&record)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fault.New(fault.NotFound, "there is no signed snapshot %s", snapshot)
	}
	return record, err
}

func signedSnapshots(ctx context.Context, tx *db.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, qSigned)
	return db.Collect(rows, err, scanText)
}

func insertSignature(ctx context.Context, tx *db.Tx, record string, s Signature) error {
	b, err := json.Marshal(s.Signature)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, qInsertSignature, record, s.Person, string(b), db.Micros(s.At))
	return err
}

func signatures(ctx context.Context, tx *db.Tx, record string) ([]Signature, error) {
	rows, err := tx.Query(ctx, qSignatures, record)
	return db.Collect(rows, err, func(rows *sql.Rows) (Signature, error) { return scanSignature(rows.Scan) })
}

func insertFile(ctx context.Context, tx *db.Tx, f file) error {
	_, err := tx.Exec(ctx, qInsertFile, f.path, f.sha256, f.size)
	return err
}

func loadFile(ctx context.Context, tx *db.Tx, path string) (file, error) {
	rows, err := tx.Query(ctx, qFile, path)
	all, err := db.Collect(rows, err, scanFile)
	if err == nil && len(all) == 0 {
		err = fault.New(fault.NotFound, "no signed snapshot has the file %s", path)
	}
	if err != nil {
		return file{}, err
	}
	return all[0], nil
}

func files(ctx context.Context, tx *db.Tx) ([]file, error) {
	rows, err := tx.Query(ctx, qFiles)
	return db.Collect(rows, err, scanFile)
}

func scanFile(rows *sql.Rows) (f file, err error) {
	var damaged int64
	err = rows.Scan(&f.path, &f.sha256, &f.size, &damaged)
	f.damagedAt = db.Time(damaged)
	return f, err
}

// markFile sets since when a file is damaged; the zero time says that it is whole.
func markFile(ctx context.Context, tx *db.Tx, path string, at time.Time) error {
	_, err := tx.Exec(ctx, qMarkFile, path, db.Micros(at))
	return err
}

func insertPromotion(ctx context.Context, tx *db.Tx, c Channel) error {
	_, err := tx.Exec(ctx, qInsertPromotion, c.Name, c.Version, c.Snapshot, c.PromotedBy, db.Micros(c.PromotedAt))
	return err
}

// loadChannel gives a channel, of version 0 if nothing was promoted into it.
func loadChannel(ctx context.Context, tx *db.Tx, name string) (Channel, error) {
	c := Channel{Name: name}
	var at int64
	err := tx.QueryRow(ctx, qChannel, name).Scan(&c.Version, &c.Snapshot, &c.PromotedBy, &at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return c, fmt.Errorf("load channel %s: %w", name, err)
	}
	c.PromotedAt = db.Time(at)
	return c, nil
}

func wasIn(ctx context.Context, tx *db.Tx, channel, snapshot string) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, qWasIn, channel, snapshot).Scan(&n)
	return n > 0, err
}

func loadPublication(ctx context.Context, tx *db.Tx, suite string) (publication, error) {
	p := publication{suite: suite}
	var signed, until int64
	err := tx.QueryRow(ctx, qPublication, suite).Scan(&p.record, &p.version, &p.release, &p.size, &signed, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return p, fault.New(fault.NotFound, "nothing is published as %s", suite)
	} else if err != nil {
		return p, fmt.Errorf("load publication %s: %w", suite, err)
	}
	p.signedAt, p.expiresAt = db.Time(signed), db.Time(until)
	return p, nil
}

func savePublication(ctx context.Context, tx *db.Tx, p publication) error {
	_, err := tx.Exec(ctx, qSavePublication, p.suite, p.record, p.version, p.release, p.size, db.Micros(p.signedAt), db.Micros(p.expiresAt))
	return err
}
