// Package db is the one way to the database: transactions on SQLite or PostgreSQL with the same statements, and the
// migrations of all rooms.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// DB is an open database. Writers take turns on both engines, so a decision made inside Write rests on a state that
// nobody else changes until it commits. Drivers are linked by the program: "sqlite" (modernc) and "pgx" (pgx stdlib).
type DB struct {
	writer, reader *sql.DB
	postgres       bool
}

// Open opens "sqlite:/path/x.db" or "postgres://…" and brings the schema up to date.
func Open(ctx context.Context, address string) (*DB, error) {
	d, err := connect(address)
	if err != nil {
		return nil, err
	}
	if err := d.writer.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), d.Close())
	}
	if err := d.migrate(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func connect(address string) (*DB, error) {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok && path != "" {
		return connectSQLite(path)
	}
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		pool, err := sql.Open("pgx", address)
		if err != nil {
			return nil, fmt.Errorf("open PostgreSQL: %w", err)
		}
		pool.SetMaxOpenConns(16)
		pool.SetMaxIdleConns(16)
		return &DB{writer: pool, reader: pool, postgres: true}, nil
	}
	return nil, fault.New(fault.Invalid, "database address: want sqlite:/path/file.db or postgres://…")
}

func connectSQLite(path string) (*DB, error) {
	dsn := func(lock, mode string) string {
		v := url.Values{"_txlock": {lock}, "_pragma": {
			"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", mode}}
		return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + v.Encode()
	}
	writer, err := sql.Open("sqlite", dsn("immediate", "query_only(0)"))
	if err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	writer.SetMaxOpenConns(1)
	reader, err := sql.Open("sqlite", dsn("deferred", "query_only(1)"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open SQLite: %w", err), writer.Close())
	}
	reader.SetMaxOpenConns(max(4, runtime.NumCPU()))
	reader.SetMaxIdleConns(max(4, runtime.NumCPU()))
	return &DB{writer: writer, reader: reader}, nil
}

// Close closes the database.
func (d *DB) Close() error {
	if d.reader == d.writer {
		return d.writer.Close()
	}
	return errors.Join(d.reader.Close(), d.writer.Close())
}

// takeTurn makes PostgreSQL's writers wait for each other, as SQLite's do. It is a statement of its own under READ
// COMMITTED, so all later ones see what the writer before committed.
const takeTurn = `SELECT id FROM db_turn WHERE id = 1 FOR UPDATE`

// tries is how often Write begins anew when PostgreSQL asks for it.
const tries = 8

// Write runs do in a transaction that is committed when do returns nil. Nobody else writes meanwhile; do must not open
// another transaction, and may be run again from the start when the engine asks to retry.
func (d *DB) Write(ctx context.Context, do func(*Tx) error) error {
	for try := 1; ; try++ {
		err := d.write(ctx, do)
		if err == nil || try == tries || !retryable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(1+rand.IntN(10<<try)) * time.Millisecond):
		}
	}
}

func (d *DB) write(ctx context.Context, do func(*Tx) error) error {
	tx, err := d.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin to write: %w", err)
	}
	defer tx.Rollback() // does nothing once committed
	if d.postgres {
		if _, err := tx.ExecContext(ctx, takeTurn); err != nil {
			return fmt.Errorf("begin to write: %w", err)
		}
	}
	if err := do(&Tx{tx}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Read runs do over one unchanging state of the database.
func (d *DB) Read(ctx context.Context, do func(*Tx) error) error {
	var options *sql.TxOptions
	if d.postgres {
		options = &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
	}
	tx, err := d.reader.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("begin to read: %w", err)
	}
	defer tx.Rollback()
	return do(&Tx{tx})
}

// retryable: serialization failure and deadlock (SQLSTATE 40001, 40P01), which ask for the transaction again.
func retryable(err error) bool {
	e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err)
	return ok && (e.SQLState() == "40001" || e.SQLState() == "40P01")
}
