package intake

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

var (
	qSources = db.Q(`SELECT name, digest, origin, bytes, counts, received_at, checked_at, due_at, silent_at, refused_at, refused,
		shrunk, documents, refused_documents FROM sources ORDER BY name`)
	qSource = db.Q(`SELECT name, digest, origin, bytes, counts, received_at, checked_at, due_at, silent_at, refused_at, refused,
		shrunk, documents, refused_documents FROM sources WHERE name = $1`)
	qSaveSource = db.Q(`INSERT INTO sources
		(name, digest, origin, bytes, counts, received_at, checked_at, due_at, silent_at, refused_at, refused, shrunk,
		documents, refused_documents) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, origin = excluded.origin, bytes = excluded.bytes,
		counts = excluded.counts, received_at = excluded.received_at, checked_at = excluded.checked_at, due_at = excluded.due_at,
		silent_at = excluded.silent_at, refused_at = excluded.refused_at, refused = excluded.refused,
		shrunk = excluded.shrunk, documents = excluded.documents, refused_documents = excluded.refused_documents`)
	qRevisions    = db.Q(`SELECT id, revision FROM advisories WHERE source = $1`)
	qSaveRevision = db.Q(`INSERT INTO advisories (source, id, revision, first_at, revised_at, review_due_at)
		VALUES ($1, $2, $3, $4, $4, $5)
		ON CONFLICT (source, id) DO UPDATE SET revision = excluded.revision, revised_at = excluded.revised_at,
		review_due_at = excluded.review_due_at, review = '', reviewed_by = '', reviewed_at = 0, review_reason = ''`)
	qGone  = db.Q(`UPDATE advisories SET revision = '', revised_at = $3, review_due_at = 0 WHERE source = $1 AND id = $2`)
	qQueue = db.Q(`SELECT source, id, revision, first_at, revised_at, review_due_at FROM advisories
		WHERE review_due_at > 0 AND (review_due_at, source, id) > ($1, $2, $3) ORDER BY review_due_at, source, id LIMIT $4`)
	qCountQueue = db.Q(`SELECT count(*) FROM advisories WHERE review_due_at > 0`)
	qUnreviewed = db.Q(`SELECT DISTINCT id FROM advisories WHERE review_due_at > 0`)
	qDue        = db.Q(`SELECT revision FROM advisories WHERE source = $1 AND id = $2 AND review_due_at > 0`)
	qSaveReview = db.Q(`UPDATE advisories SET review_due_at = 0, review = $3, reviewed_by = $4, reviewed_at = $5, review_reason = $6
		WHERE source = $1 AND id = $2`)
)

func scanSource(scan func(...any) error) (s SourceState, err error) {
	var counts string
	var received, checked, due, silent, refused int64
	if err := scan(&s.Name, &s.Digest, &s.From, &s.Bytes, &counts, &received, &checked, &due, &silent, &refused, &s.Refused, &s.Shrunk,
		&s.Documents, &s.RefusedDocuments); err != nil {
		return s, err
	}
	s.ReceivedAt, s.CheckedAt, s.DueAt = db.Time(received), db.Time(checked), db.Time(due)
	s.SilentAt, s.RefusedAt = db.Time(silent), db.Time(refused)
	if err := json.Unmarshal([]byte(counts), &s.Counts); err != nil {
		return s, fmt.Errorf("source %s: counts: %w", s.Name, err)
	}
	return s, nil
}

func loadSources(ctx context.Context, tx *db.Tx) ([]SourceState, error) {
	rows, err := tx.Query(ctx, qSources)
	return db.Collect(rows, err, func(rows *sql.Rows) (SourceState, error) { return scanSource(rows.Scan) })
}

func loadSource(ctx context.Context, tx *db.Tx, name string) (state SourceState, known bool, err error) {
	state, err = scanSource(tx.QueryRow(ctx, qSource, name).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return SourceState{}, false, nil
	}
	return state, err == nil, err
}

func saveSource(ctx context.Context, tx *db.Tx, s SourceState) error {
	if s.Counts == nil {
		s.Counts = map[string]int{}
	}
	counts, err := json.Marshal(s.Counts)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, qSaveSource, s.Name, s.Digest, s.From, s.Bytes, string(counts), db.Micros(s.ReceivedAt), db.Micros(s.CheckedAt),
		db.Micros(s.DueAt), db.Micros(s.SilentAt), db.Micros(s.RefusedAt), s.Refused, s.Shrunk, s.Documents, s.RefusedDocuments)
	return err
}

func loadRevisions(ctx context.Context, tx *db.Tx, source string) (map[string]string, error) {
	rows, err := tx.Query(ctx, qRevisions, source)
	all, err := db.Collect(rows, err, func(rows *sql.Rows) (r revision, err error) {
		err = rows.Scan(&r.ID, &r.Digest)
		return r, err
	})
	byID := make(map[string]string, len(all))
	for _, r := range all {
		byID[r.ID] = r.Digest
	}
	return byID, err
}

// saveRevision keeps a change and puts it into the queue, or takes what is gone out of it.
func saveRevision(ctx context.Context, tx *db.Tx, source string, r revision, now time.Time) (err error) {
	if r.Digest == "" {
		_, err = tx.Exec(ctx, qGone, source, r.ID, db.Micros(now))
	} else {
		_, err = tx.Exec(ctx, qSaveRevision, source, r.ID, r.Digest, db.Micros(now), db.Micros(now.Add(ReviewTerm)))
	}
	return err
}

func loadQueue(ctx context.Context, tx *db.Tx, last Advisory, limit int) ([]Advisory, error) {
	rows, err := tx.Query(ctx, qQueue, db.Micros(last.DueAt), last.Source, last.ID, limit)
	return db.Collect(rows, err, func(rows *sql.Rows) (a Advisory, err error) {
		var first, revised, due int64
		err = rows.Scan(&a.Source, &a.ID, &a.Revision, &first, &revised, &due)
		a.FirstAt, a.RevisedAt, a.DueAt = db.Time(first), db.Time(revised), db.Time(due)
		return a, err
	})
}

func countQueue(ctx context.Context, tx *db.Tx) (n int, err error) {
	err = tx.QueryRow(ctx, qCountQueue).Scan(&n)
	return n, err
}

func loadDue(ctx context.Context, tx *db.Tx, source, id string) (revision string, due bool, err error) {
	err = tx.QueryRow(ctx, qDue, source, id).Scan(&revision)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return revision, err == nil, err
}

func saveReview(ctx context.Context, tx *db.Tx, who string, r Review, a Seen, now time.Time) error {
	word := "irrelevant"
	if r.Relevant {
		word = "relevant"
	}
	_, err := tx.Exec(ctx, qSaveReview, a.Source, a.ID, word, who, db.Micros(now), r.Reason)
	return err
}

func unreviewed(ctx context.Context, tx *db.Tx) (map[string]bool, error) {
	rows, err := tx.Query(ctx, qUnreviewed)
	all, err := db.Collect(rows, err, func(r *sql.Rows) (id string, err error) { return id, r.Scan(&id) })
	ids := make(map[string]bool, len(all))
	for _, id := range all {
		ids[id] = true
	}
	return ids, err
}
