package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

var (
	// The update locks the head row until the transaction ends, on both engines.
	qGrow       = db.Q(`UPDATE ledger_head SET size = size + 1 WHERE id = 1 RETURNING size`)
	qSize       = db.Q(`SELECT size FROM ledger_head WHERE id = 1`)
	qLast       = db.Q(`SELECT COALESCE(MAX(idx), -1) FROM ledger_act WHERE subject = $1`)
	qInsertAct  = db.Q(`INSERT INTO ledger_act (idx, kind, subject, entry) VALUES ($1, $2, $3, $4)`)
	qInsertHash = db.Q(`INSERT INTO ledger_hash (id, hash) VALUES ($1, $2)`)
	qHash       = db.Q(`SELECT hash FROM ledger_hash WHERE id = $1`)
	qHashes     = db.Q(`SELECT id, hash FROM ledger_hash WHERE id >= $1 AND id < $2 ORDER BY id`)
	qStray      = db.Q(`SELECT (SELECT COUNT(*) FROM ledger_act WHERE idx < 0 OR idx >= $1) +
		(SELECT COUNT(*) FROM ledger_hash WHERE id < 0 OR id >= $2)`)
	qEntry = db.Q(`SELECT idx, kind, subject, entry FROM ledger_act WHERE idx = $1`)
	qRange = db.Q(`SELECT idx, kind, subject, entry FROM ledger_act WHERE idx >= $1 AND idx < $2 ORDER BY idx`)
	qList  = db.Q(`SELECT idx, kind, subject, entry FROM ledger_act
		WHERE idx >= $1 AND substr(kind, 1, $2) = $3 ORDER BY idx LIMIT $4`)
	qListSubject = db.Q(`SELECT idx, kind, subject, entry FROM ledger_act
		WHERE subject = $5 AND idx >= $1 AND substr(kind, 1, $2) = $3 ORDER BY idx LIMIT $4`)
	qCheckpoint    = db.Q(`SELECT note FROM ledger_checkpoint WHERE id = 1`)
	qSetCheckpoint = db.Q(`UPDATE ledger_checkpoint SET note = $1 WHERE id = 1 AND note = $2`)
)

// row is an act as stored: kind and subject repeat what the entry says, for the indexes.
type row struct {
	index         int64
	kind, subject string
	entry         []byte
}

func scanRow(rows *sql.Rows) (r row, err error) {
	err = rows.Scan(&r.index, &r.kind, &r.subject, &r.entry)
	return r, err
}

// grow takes the next index. The head row stays locked until the transaction ends.
func grow(ctx context.Context, tx *db.Tx) (index int64, err error) {
	err = tx.QueryRow(ctx, qGrow).Scan(&index)
	return index - 1, err
}

func size(ctx context.Context, tx *db.Tx) (n int64, err error) {
	err = tx.QueryRow(ctx, qSize).Scan(&n)
	return n, err
}

// last gives the index of the latest act on a subject, or -1.
func last(ctx context.Context, tx *db.Tx, subject string) (n int64, err error) {
	err = tx.QueryRow(ctx, qLast, subject).Scan(&n)
	return n, err
}

// insert stores an act and the hashes its leaf completes.
func insert(ctx context.Context, tx *db.Tx, r row, hashes []tlog.Hash) error {
	if _, err := tx.Exec(ctx, qInsertAct, r.index, r.kind, r.subject, r.entry); err != nil {
		return err
	}
	first := tlog.StoredHashIndex(0, r.index)
	for i, h := range hashes {
		if _, err := tx.Exec(ctx, qInsertHash, first+int64(i), h[:]); err != nil {
			return err
		}
	}
	return nil
}

// hashes reads stored hashes by tlog.StoredHashIndex.
func hashes(ctx context.Context, tx *db.Tx) tlog.HashReaderFunc {
	return func(ids []int64) ([]tlog.Hash, error) {
		all := make([]tlog.Hash, len(ids))
		for i, id := range ids {
			var b []byte
			if err := tx.QueryRow(ctx, qHash, id).Scan(&b); err != nil {
				return nil, fmt.Errorf("read ledger hash %d: %w", id, err)
			}
			if len(b) != tlog.HashSize {
				return nil, fmt.Errorf("read ledger hash %d: %d bytes", id, len(b))
			}
			all[i] = tlog.Hash(b)
		}
		return all, nil
	}
}

// storedHash is a hash as stored, for the audit: its length is not checked yet.
type storedHash struct {
	id   int64
	hash []byte
}

func hashRange(ctx context.Context, tx *db.Tx, from, to int64) ([]storedHash, error) {
	rows, err := tx.Query(ctx, qHashes, from, to)
	return db.Collect(rows, err, func(rows *sql.Rows) (h storedHash, err error) {
		err = rows.Scan(&h.id, &h.hash)
		return h, err
	})
}

// stray counts acts and hashes outside a log of size n.
func stray(ctx context.Context, tx *db.Tx, n int64) (count int64, err error) {
	err = tx.QueryRow(ctx, qStray, n, tlog.StoredHashCount(n)).Scan(&count)
	return count, err
}

func entry(ctx context.Context, tx *db.Tx, index int64) (r row, err error) {
	err = tx.QueryRow(ctx, qEntry, index).Scan(&r.index, &r.kind, &r.subject, &r.entry)
	if errors.Is(err, sql.ErrNoRows) {
		return r, fault.New(fault.NotFound, "ledger: no entry %d", index)
	}
	return r, err
}

func entries(ctx context.Context, tx *db.Tx, from, to int64) ([]row, error) {
	rows, err := tx.Query(ctx, qRange, from, to)
	return db.Collect(rows, err, scanRow)
}

func list(ctx context.Context, tx *db.Tx, f Filter) ([]row, error) {
	args := []any{f.From, len(f.KindPrefix), f.KindPrefix, f.Limit}
	q := qList
	if f.Subject != "" {
		q, args = qListSubject, append(args, f.Subject)
	}
	rows, err := tx.Query(ctx, q, args...)
	return db.Collect(rows, err, scanRow)
}

// checkpoint gives the latest signed checkpoint, or "".
func checkpoint(ctx context.Context, tx *db.Tx) (note string, err error) {
	err = tx.QueryRow(ctx, qCheckpoint).Scan(&note)
	return note, err
}

// setCheckpoint replaces the checkpoint old by note, unless someone else did.
func setCheckpoint(ctx context.Context, tx *db.Tx, note, old string) (bool, error) {
	n, err := tx.Exec(ctx, qSetCheckpoint, note, old)
	return n == 1, err
}
