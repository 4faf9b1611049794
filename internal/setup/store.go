package setup

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

var (
	qDocument     = db.Q(`SELECT organisation, payload FROM setup_document WHERE id = 1`)
	qSaveDocument = db.Q(`INSERT INTO setup_document (id, organisation, payload, made_at) VALUES (1, $1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET organisation = excluded.organisation, payload = excluded.payload, made_at = excluded.made_at`)

	qCandidates    = db.Q(`SELECT id, name, mail, roles, ssh FROM setup_candidate ORDER BY named_at, id`)
	qSaveCandidate = db.Q(`INSERT INTO setup_candidate (id, name, mail, roles, ssh, named_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, mail = excluded.mail, roles = excluded.roles, ssh = excluded.ssh`)
	qDeleteCandidate = db.Q(`DELETE FROM setup_candidate WHERE id = $1`)

	qSignatures       = db.Q(`SELECT person, signature, made_at FROM setup_signature ORDER BY made_at, key_id`)
	qSaveSignature    = db.Q(`INSERT INTO setup_signature (key_id, person, signature, made_at) VALUES ($1, $2, $3, $4)`)
	qDeleteSignatures = db.Q(`DELETE FROM setup_signature`)
)

// load gives the state without passkeys, which staff keeps.
func load(ctx context.Context, tx *db.Tx) (s State, err error) {
	var payload string
	err = tx.QueryRow(ctx, qDocument).Scan(&s.Organisation, &payload)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s, err
	}
	rows, err := tx.Query(ctx, qCandidates)
	s.Candidates, err = db.Collect(rows, err, func(rows *sql.Rows) (c Candidate, err error) {
		var roles, ssh string
		if err := rows.Scan(&c.ID, &c.Name, &c.Mail, &roles, &ssh); err != nil {
			return c, err
		}
		c.Roles = strings.Fields(roles)
		return c, json.Unmarshal([]byte(ssh), &c.SSH)
	})
	if err != nil || payload == "" {
		return s, err
	}
	root, err := trustroot.Decode([]byte(payload))
	if err != nil {
		return s, err
	}
	s.Draft = &Draft{Root: root, Payload: []byte(payload)}
	rows, err = tx.Query(ctx, qSignatures)
	s.Draft.Signed, err = db.Collect(rows, err, func(rows *sql.Rows) (d Signed, err error) {
		var text string
		var at int64
		if err := rows.Scan(&d.Person, &text, &at); err != nil {
			return d, err
		}
		d.At = db.Time(at)
		return d, json.Unmarshal([]byte(text), &d.Signature)
	})
	return s, err
}

func saveDocument(ctx context.Context, tx *db.Tx, organisation, payload string, now time.Time) error {
	_, err := tx.Exec(ctx, qSaveDocument, organisation, payload, db.Micros(now))
	return err
}

func saveCandidate(ctx context.Context, tx *db.Tx, c Candidate, now time.Time) error {
	ssh, err := json.Marshal(c.SSH)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, qSaveCandidate, c.ID, c.Name, c.Mail, strings.Join(c.Roles, " "), string(ssh), db.Micros(now))
	return err
}

func deleteCandidate(ctx context.Context, tx *db.Tx, id string) error {
	_, err := tx.Exec(ctx, qDeleteCandidate, id)
	return err
}

func saveSignature(ctx context.Context, tx *db.Tx, person string, sig envelope.Signature, now time.Time) error {
	b, err := json.Marshal(sig)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, qSaveSignature, sig.KeyID, person, string(b), db.Micros(now))
	return err
}

func deleteSignatures(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, qDeleteSignatures)
	return err
}
