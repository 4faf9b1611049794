package suspicion

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

const columns = `id, reporter, claim, evidence, finding, owner, reported_at, due_at, unowned_at, overdue_at, escalated_at, answered_at, answer`

var (
	one = db.Q(`SELECT ` + columns + ` FROM suspicions WHERE id = $1`)
	put = db.Q(`INSERT INTO suspicions (id, reporter, claim, evidence, finding, reported_at, due_at) VALUES ($1,$2,$3,$4,$5,$6,$7)`)
	set = db.Q(`UPDATE suspicions SET owner = $2, unowned_at = $3, overdue_at = $4, escalated_at = $5, answered_at = $6, answer = $7 WHERE id = $1`)

	page = db.Q(`SELECT ` + columns + ` FROM suspicions WHERE ($1 = 1 OR reporter = $2) AND ($3 = '' OR id < $3)
 AND ($4 = '' OR ($4 = 'open' AND answered_at = 0) OR ($4 = 'answered' AND answered_at > 0)) ORDER BY id DESC LIMIT $5`)
	counts = db.Q(`SELECT COALESCE(SUM(CASE WHEN answered_at = 0 THEN 1 ELSE 0 END), 0),
 COALESCE(SUM(CASE WHEN answered_at = 0 AND due_at <= $3 THEN 1 ELSE 0 END), 0),
 COALESCE(SUM(CASE WHEN answered_at = 0 AND owner = '' THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN answered_at > 0 THEN 1 ELSE 0 END), 0)
 FROM suspicions WHERE ($1 = 1 OR reporter = $2)`)
	owners  = db.Q(`SELECT owner, COUNT(*) FROM suspicions WHERE answered_at = 0 GROUP BY owner`)
	recent  = db.Q(`SELECT COUNT(*) FROM suspicions WHERE reporter = $1 AND reported_at > $2 AND finding = ''`)
	pending = db.Q(`SELECT ` + columns + ` FROM suspicions WHERE answered_at = 0 AND ((owner = '' AND unowned_at = 0 AND reported_at <= $1)
 OR (overdue_at = 0 AND due_at <= $2) OR (escalated_at = 0 AND reported_at <= $3)) ORDER BY id`)

	putEvidence = db.Q(`INSERT INTO suspicion_evidence (suspicion, content) VALUES ($1,$2)`)
	evidence    = db.Q(`SELECT content FROM suspicion_evidence WHERE suspicion = $1`)

	putStep = db.Q(`INSERT INTO suspicion_steps (suspicion, n, at, who, what, detail)
 VALUES ($1,(SELECT COUNT(*) FROM suspicion_steps WHERE suspicion = $1),$2,$3,$4,$5)`)
	steps = db.Q(`SELECT at, who, what, detail FROM suspicion_steps WHERE suspicion = $1 ORDER BY n`)

	ownOf   = db.Q(`SELECT entry FROM own_vulnerabilities WHERE suspicion = $1`)
	ownAll  = db.Q(`SELECT entry FROM own_vulnerabilities ORDER BY year, n`)
	ownLast = db.Q(`SELECT COALESCE(MAX(n), 0) FROM own_vulnerabilities WHERE year = $1`)
	putOwn  = db.Q(`INSERT INTO own_vulnerabilities (id, year, n, suspicion, entry) VALUES ($1,$2,$3,$4,$5)`)
	setOwn  = db.Q(`UPDATE own_vulnerabilities SET entry = $2 WHERE id = $1`)

	reports   = db.Q(`SELECT report FROM suspicion_reports`)
	putReport = db.Q(`INSERT INTO suspicion_reports (report) VALUES ($1) ON CONFLICT (report) DO NOTHING`)
)

func scan(r interface{ Scan(...any) error }) (s Suspicion, err error) {
	var claim, evidence, finding, answer string
	var reported, due, unowned, overdue, escalated, answered int64
	if err := r.Scan(&s.ID, &s.Reporter, &claim, &evidence, &finding, &s.Owner, &reported, &due, &unowned, &overdue, &escalated, &answered, &answer); err != nil {
		return s, err
	}
	s.ReportedAt, s.DueAt, s.UnownedAt, s.OverdueAt = db.Time(reported), db.Time(due), db.Time(unowned), db.Time(overdue)
	s.EscalatedAt, s.AnsweredAt, s.State = db.Time(escalated), db.Time(answered), Open
	if answered > 0 {
		s.State = Answered
	}
	for _, c := range []struct {
		text string
		into any
	}{{claim, &s.Claim}, {evidence, &s.Evidence}, {finding, &s.Finding}, {answer, &s.Answer}} {
		if c.text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(c.text), c.into); err != nil {
			return s, fmt.Errorf("suspicion %s: %w", s.ID, err)
		}
	}
	return s, nil
}

func scanRow(r *sql.Rows) (Suspicion, error) { return scan(r) }

// document gives a value as a column has it; empty for none.
func document[T any](v *T) (string, error) {
	if v == nil {
		return "", nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

func load(ctx context.Context, tx *db.Tx, id string) (Suspicion, error) {
	s, err := scan(tx.QueryRow(ctx, one, id))
	if errors.Is(err, sql.ErrNoRows) {
		return s, missing()
	}
	return s, err
}

func insert(ctx context.Context, tx *db.Tx, s Suspicion) error {
	claim, err := document(&s.Claim)
	if err != nil {
		return err
	}
	attached, err := document(s.Evidence)
	if err != nil {
		return err
	}
	finding, err := document(s.Finding)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, put, s.ID, s.Reporter, claim, attached, finding, db.Micros(s.ReportedAt), db.Micros(s.DueAt))
	return err
}

func save(ctx context.Context, tx *db.Tx, s Suspicion) error {
	answer, err := document(s.Answer)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, set, s.ID, s.Owner, db.Micros(s.UnownedAt), db.Micros(s.OverdueAt), db.Micros(s.EscalatedAt), db.Micros(s.AnsweredAt), answer)
	return err
}

func loadPage(ctx context.Context, tx *db.Tx, by Reader, p Page) ([]Suspicion, error) {
	rows, err := tx.Query(ctx, page, flag(by.All), by.Person, p.Before, p.State, p.Limit)
	return db.Collect(rows, err, scanRow)
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func count(ctx context.Context, tx *db.Tx, by Reader, now time.Time) (n Counts, err error) {
	err = tx.QueryRow(ctx, counts, flag(by.All), by.Person, db.Micros(now)).Scan(&n.Open, &n.Late, &n.Unowned, &n.Answered)
	return n, err
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

func countSince(ctx context.Context, tx *db.Tx, reporter string, since time.Time) (n int, err error) {
	err = tx.QueryRow(ctx, recent, reporter, db.Micros(since)).Scan(&n)
	return n, err
}

func loadPending(ctx context.Context, tx *db.Tx, now time.Time) ([]Suspicion, error) {
	rows, err := tx.Query(ctx, pending, db.Micros(now.Add(-Unowned)), db.Micros(now), db.Micros(now.Add(-Escalate)))
	return db.Collect(rows, err, scanRow)
}

func insertEvidence(ctx context.Context, tx *db.Tx, id string, content []byte) error {
	_, err := tx.Exec(ctx, putEvidence, id, content)
	return err
}

func loadEvidence(ctx context.Context, tx *db.Tx, id string) (b []byte, err error) {
	err = tx.QueryRow(ctx, evidence, id).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, missing()
	}
	return b, err
}

func insertStep(ctx context.Context, tx *db.Tx, id string, s Step) error {
	_, err := tx.Exec(ctx, putStep, id, db.Micros(s.At), s.Who, s.What, string(s.Detail))
	return err
}

func loadSteps(ctx context.Context, tx *db.Tx, id string) ([]Step, error) {
	rows, err := tx.Query(ctx, steps, id)
	return db.Collect(rows, err, func(r *sql.Rows) (s Step, err error) {
		var at int64
		var detail string
		err = r.Scan(&at, &s.Who, &s.What, &detail)
		s.At, s.Detail = db.Time(at), json.RawMessage(detail)
		return s, err
	})
}

func scanOwn(r interface{ Scan(...any) error }) (e entry, err error) {
	var text string
	if err := r.Scan(&text); err != nil {
		return e, err
	}
	return e, json.Unmarshal([]byte(text), &e)
}

// loadOwn gives the vulnerability of our own that a suspicion made.
func loadOwn(ctx context.Context, tx *db.Tx, suspicion string) (e entry, known bool, err error) {
	e, err = scanOwn(tx.QueryRow(ctx, ownOf, suspicion))
	if errors.Is(err, sql.ErrNoRows) {
		return e, false, nil
	}
	return e, err == nil, err
}

func loadAllOwn(ctx context.Context, tx *db.Tx) ([]entry, error) {
	rows, err := tx.Query(ctx, ownAll)
	return db.Collect(rows, err, func(r *sql.Rows) (entry, error) { return scanOwn(r) })
}

func lastOwn(ctx context.Context, tx *db.Tx, year int) (n int, err error) {
	err = tx.QueryRow(ctx, ownLast, year).Scan(&n)
	return n, err
}

func insertOwn(ctx context.Context, tx *db.Tx, e entry, year, n int) error {
	text, err := document(&e)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, putOwn, e.ID, year, n, e.Suspicion, text)
	return err
}

func saveOwn(ctx context.Context, tx *db.Tx, e entry) error {
	text, err := document(&e)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, setOwn, e.ID, text)
	return err
}

func loadTaken(ctx context.Context, tx *db.Tx) (map[string]bool, error) {
	all := map[string]bool{}
	rows, err := tx.Query(ctx, reports)
	_, err = db.Collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		var report string
		err = r.Scan(&report)
		all[report] = true
		return none, err
	})
	return all, err
}

// take notes that a report's findings are suspicions now; first says that they were not.
func take(ctx context.Context, tx *db.Tx, report string) (first bool, err error) {
	n, err := tx.Exec(ctx, putReport, report)
	return n == 1, err
}
