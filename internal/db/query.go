package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Query is a statement declared with Q.
type Query struct{ text string }

var declared struct {
	sync.Mutex
	queries []Query
}

// Q declares a statement, once, as a package variable in a room's store.go: in the common subset of SQLite and
// PostgreSQL, with $1 placeholders.
func Q(text string) Query {
	declared.Lock()
	defer declared.Unlock()
	q := Query{text}
	declared.queries = append(declared.queries, q)
	return q
}

// Prepare has the engine prepare every declared statement of the program, and gives the first that it refuses.
func (d *DB) Prepare(ctx context.Context) error {
	declared.Lock()
	queries := slices.Clone(declared.queries)
	declared.Unlock()
	for _, q := range queries {
		s, err := d.writer.PrepareContext(ctx, q.text)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", q.text, err)
		}
		if err := s.Close(); err != nil {
			return fmt.Errorf("prepare %q: %w", q.text, err)
		}
	}
	return nil
}

// Tx is a transaction, valid while the function given to Write or Read runs.
type Tx struct {
	tx *sql.Tx
}

// Exec runs a statement and gives the number of rows it changed.
func (t *Tx) Exec(ctx context.Context, q Query, args ...any) (int64, error) {
	result, err := t.tx.ExecContext(ctx, q.text, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Query runs a statement that gives rows; see Collect.
func (t *Tx) Query(ctx context.Context, q Query, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, q.text, args...)
}

// QueryRow runs a statement that gives at most one row; Scan answers sql.ErrNoRows for none.
func (t *Tx) QueryRow(ctx context.Context, q Query, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, q.text, args...)
}

// Collect reads and closes what Query gave: one T for each row.
func Collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// Micros is how a time stands in a column: microseconds since 1970 UTC; the zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Later gives now as Micros keeps it, but always after before: so the time of a change tells it from the one before.
func Later(now, before time.Time) time.Time {
	now = now.UTC().Truncate(time.Microsecond)
	if !now.After(before) {
		now = before.Add(time.Microsecond)
	}
	return now
}

// Outdated is a Conflict with the code STALE: somebody changed meanwhile what would be written over.
func Outdated(format string, args ...any) error {
	return fault.New(fault.Conflict, "%w", fault.Refuse(fault.Stale, format, args...))
}

// Time reads what Micros wrote.
func Time(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
