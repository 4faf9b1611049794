package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

var (
	// The update locks the head row until the transaction ends, on both engines.
	qGrow        = db.Q(`UPDATE ledger_head SET size = size + 1 WHERE id = 1 RETURNING size`)
	qSize        = db.Q(`SELECT size FROM ledger_head WHERE id = 1`)
	qLast        = db.Q(`SELECT COALESCE(MAX(idx), -1) FROM ledger_act WHERE subject = $1`)
	qInsertAct   = db.Q(`INSERT INTO ledger_act (idx, kind, subject, entry) VALUES ($1, $2, $3, $4)`)
	qInsertHash  = db.Q(`INSERT INTO ledger_hash (id, hash) VALUES ($1, $2)`)
	qTheseHashes = db.Q(`SELECT id, hash FROM ledger_hash WHERE id IN
		($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`)
	qHashes = db.Q(`SELECT id, hash FROM ledger_hash WHERE id >= $1 AND id < $2 ORDER BY id`)
	qStray  = db.Q(`SELECT (SELECT COUNT(*) FROM ledger_act WHERE idx < 0 OR idx >= $1) +
		(SELECT COUNT(*) FROM ledger_hash WHERE id < 0 OR id >= $2)`)
	qEntry = db.Q(`SELECT idx, kind, subject, entry FROM ledger_act WHERE idx = $1`)
	qRange = db.Q(`SELECT idx, kind, subject, entry FROM ledger_act WHERE idx >= $1 AND idx < $2 ORDER BY idx`)
	qThese = db.Q(`SELECT idx, kind, subject, entry FROM ledger_act WHERE idx IN
		($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`)
	// Indexes only, oldest or newest first.
	qAll        = db.Q(`SELECT idx FROM ledger_act WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3`)
	qAllDown    = db.Q(`SELECT idx FROM ledger_act WHERE idx >= $1 AND idx < $2 ORDER BY idx DESC LIMIT $3`)
	qOfKind     = db.Q(`SELECT idx FROM ledger_act WHERE kind = $4 AND idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3`)
	qOfKindDown = db.Q(`SELECT idx FROM ledger_act WHERE kind = $4 AND idx >= $1 AND idx < $2 ORDER BY idx DESC LIMIT $3`)
	qAbout      = db.Q(`SELECT idx FROM ledger_act
		WHERE subject = $4 AND substr(kind, 1, $5) = $6 AND idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3`)
	qAboutDown = db.Q(`SELECT idx FROM ledger_act
		WHERE subject = $4 AND substr(kind, 1, $5) = $6 AND idx >= $1 AND idx < $2 ORDER BY idx DESC LIMIT $3`)
	// The kinds there are, by jumps through the index.
	qKinds = db.Q(`WITH RECURSIVE kinds (kind) AS (SELECT MIN(kind) FROM ledger_act UNION ALL
		SELECT (SELECT MIN(a.kind) FROM ledger_act a WHERE a.kind > kinds.kind) FROM kinds WHERE kinds.kind IS NOT NULL)
		SELECT kind FROM kinds WHERE kind IS NOT NULL`)
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
		stored := make(map[int64][]byte, len(ids))
		for some := range slices.Chunk(ids, placeholders) {
			rows, err := tx.Query(ctx, qTheseHashes, fill(some)...)
			found, err := db.Collect(rows, err, scanHash)
			if err != nil {
				return nil, fmt.Errorf("read ledger hashes: %w", err)
			}
			for _, h := range found {
				stored[h.id] = h.hash
			}
		}
		all := make([]tlog.Hash, len(ids))
		for i, id := range ids {
			b, ok := stored[id]
			if !ok {
				return nil, fmt.Errorf("read ledger hash %d: %w", id, sql.ErrNoRows)
			}
			if len(b) != tlog.HashSize {
				return nil, fmt.Errorf("read ledger hash %d: %d bytes", id, len(b))
			}
			all[i] = tlog.Hash(b)
		}
		return all, nil
	}
}

// placeholders is how many a statement has that reads rows by number.
const placeholders = 20

// fill gives as many arguments, some of them repeated.
func fill(some []int64) []any {
	args := make([]any, placeholders)
	for i := range args {
		args[i] = some[min(i, len(some)-1)]
	}
	return args
}

// storedHash is a hash as stored, for the audit: its length is not checked yet.
type storedHash struct {
	id   int64
	hash []byte
}

func hashRange(ctx context.Context, tx *db.Tx, from, to int64) ([]storedHash, error) {
	rows, err := tx.Query(ctx, qHashes, from, to)
	return db.Collect(rows, err, scanHash)
}

func scanHash(rows *sql.Rows) (h storedHash, err error) {
	err = rows.Scan(&h.id, &h.hash)
	return h, err
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

// list gives the acts a filter chooses. Indexes of acts are found first, by the index that serves the filter; a beginning
// of kinds is looked up kind by kind, because no index is in the order of both.
func list(ctx context.Context, tx *db.Tx, f Filter) ([]row, error) {
	if f.Before <= 0 {
		f.Before = math.MaxInt64
	}
	var found []int64
	var err error
	switch {
	case f.Subject != "":
		found, err = indexes(ctx, tx, f, qAbout, qAboutDown, f.Subject, len(f.KindPrefix), f.KindPrefix)
	case f.KindPrefix != "":
		found, err = ofKinds(ctx, tx, f)
	default:
		found, err = indexes(ctx, tx, f, qAll, qAllDown)
	}
	if err != nil {
		return nil, err
	}
	return these(ctx, tx, found)
}

func indexes(ctx context.Context, tx *db.Tx, f Filter, up, down db.Query, more ...any) ([]int64, error) {
	q := up
	if f.Newest {
		q = down
	}
	rows, err := tx.Query(ctx, q, append([]any{f.From, f.Before, f.Limit}, more...)...)
	return db.Collect(rows, err, func(rows *sql.Rows) (n int64, err error) {
		err = rows.Scan(&n)
		return n, err
	})
}

func ofKinds(ctx context.Context, tx *db.Tx, f Filter) (found []int64, err error) {
	rows, err := tx.Query(ctx, qKinds)
	kinds, err := db.Collect(rows, err, func(rows *sql.Rows) (kind string, err error) {
		err = rows.Scan(&kind)
		return kind, err
	})
	if err != nil {
		return nil, err
	}
	for _, kind := range kinds {
		if !strings.HasPrefix(kind, f.KindPrefix) {
			continue
		}
		some, err := indexes(ctx, tx, f, qOfKind, qOfKindDown, kind)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	slices.Sort(found)
	if f.Newest {
		slices.Reverse(found)
	}
	return found[:min(len(found), f.Limit)], nil
}

// these reads acts by index, in the order of the indexes.
func these(ctx context.Context, tx *db.Tx, found []int64) ([]row, error) {
	byIndex := make(map[int64]row, len(found))
	for some := range slices.Chunk(found, placeholders) {
		rows, err := tx.Query(ctx, qThese, fill(some)...)
		all, err := db.Collect(rows, err, scanRow)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			byIndex[r.index] = r
		}
	}
	all := make([]row, len(found))
	for i, n := range found {
		all[i] = byIndex[n]
	}
	return all, nil
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
