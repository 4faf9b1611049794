package retirement

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const retirementCols = `id, payload, state, envelope, ended_at`

var (
	retirementByID = db.Q(`SELECT ` + retirementCols + ` FROM retirements WHERE id = $1`)
	retirementsOf  = db.Q(`SELECT ` + retirementCols + ` FROM retirements WHERE host = $1 ORDER BY id DESC LIMIT $2`)
	retirementsNow = db.Q(`SELECT ` + retirementCols + ` FROM retirements WHERE state = 'proposed' AND expires_at > $1 ORDER BY id DESC LIMIT $2`)
	retirementOpen = db.Q(`SELECT id FROM retirements WHERE host = $1 AND state = 'proposed' AND expires_at > $2`)
	retirementPut  = db.Q(`INSERT INTO retirements (id, host, state, payload, envelope, expires_at, ended_at) VALUES ($1,$2,$3,$4,$5,$6,$7)
 ON CONFLICT (id) DO UPDATE SET state = excluded.state, envelope = excluded.envelope, ended_at = excluded.ended_at`)
	signaturesOf = db.Q(`SELECT person, signed_at, signature FROM retirement_signatures WHERE retirement = $1 ORDER BY position`)
	signaturePut = db.Q(`INSERT INTO retirement_signatures (retirement, position, person, signed_at, signature) VALUES ($1,$2,$3,$4,$5)`)
)

// scan reads one as it is at now.
func scan(from interface{ Scan(...any) error }, now time.Time) (r Retirement, err error) {
	var id, payload string
	var ended int64
	if err := from.Scan(&id, &payload, &r.State, &r.Envelope, &ended); err != nil {
		return r, err
	}
	r.Payload, r.SHA256, r.EndedAt, r.Signatures = []byte(payload), envelope.Digest([]byte(payload)), db.Time(ended), []Signature{}
	if r.Document, err = Decode(r.Payload); err != nil {
		return r, fmt.Errorf("retirement %s: %w", id, err)
	}
	if r.State == Proposed && !now.Before(r.ExpiresAt) {
		r.State = Expired
	}
	return r, nil
}

func load(ctx context.Context, tx *db.Tx, id string, now time.Time) (Retirement, error) {
	r, err := scan(tx.QueryRow(ctx, retirementByID, id), now)
	if errors.Is(err, sql.ErrNoRows) {
		return r, fault.New(fault.NotFound, "no such retirement")
	}
	if err == nil {
		r.Signatures, err = loadSignatures(ctx, tx, id)
	}
	return r, err
}

func loadSignatures(ctx context.Context, tx *db.Tx, id string) ([]Signature, error) {
	rows, err := tx.Query(ctx, signaturesOf, id)
	all, err := db.Collect(rows, err, func(r *sql.Rows) (s Signature, err error) {
		var at int64
		var text string
		if err := r.Scan(&s.Person, &at, &text); err != nil {
			return s, err
		}
		s.At = db.Time(at)
		return s, json.Unmarshal([]byte(text), &s.Signature)
	})
	return append([]Signature{}, all...), err
}

// loadList gives those of a host, or the open ones of all hosts, with their signatures.
func loadList(ctx context.Context, tx *db.Tx, host string, now time.Time) ([]Retirement, error) {
	query, by := retirementsOf, any(host)
	if host == "" {
		query, by = retirementsNow, db.Micros(now)
	}
	rows, err := tx.Query(ctx, query, by, estate.MaxList)
	all, err := db.Collect(rows, err, func(r *sql.Rows) (Retirement, error) { return scan(r, now) })
	for i := range all {
		if err == nil {
			all[i].Signatures, err = loadSignatures(ctx, tx, all[i].ID)
		}
	}
	return all, err
}

// openOf gives the ID of a host's retirement that waits for signatures, or "".
func openOf(ctx context.Context, tx *db.Tx, host string, now time.Time) (id string, err error) {
	err = tx.QueryRow(ctx, retirementOpen, host, db.Micros(now)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

func save(ctx context.Context, tx *db.Tx, r Retirement) error {
	_, err := tx.Exec(ctx, retirementPut, r.ID, r.Host, r.State, string(r.Payload), r.Envelope, db.Micros(r.ExpiresAt), db.Micros(r.EndedAt))
	if err != nil {
		return fmt.Errorf("save retirement %s: %w", r.ID, err)
	}
	return nil
}

func insertSignature(ctx context.Context, tx *db.Tx, retirement string, position int, s Signature) error {
	b, err := json.Marshal(s.Signature)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, signaturePut, retirement, position, s.Person, db.Micros(s.At), string(b))
	return err
}
