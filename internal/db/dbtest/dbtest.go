// Package dbtest gives tests fresh databases on the real engines. They are copies of one that was migrated once.
package dbtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

// Postgres is the environment variable with the address of a PostgreSQL server for tests.
const Postgres = "PATCHWARRANT_TEST_POSTGRES"

// Open gives a fresh SQLite database, closed at the end of the test.
func Open(t testing.TB) *db.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := Lay(path); err != nil {
		t.Fatal(err)
	}
	return open(t, "sqlite:"+path)
}

// Each runs do on a fresh database of each engine; PostgreSQL only where its environment variable names a server.
func Each(t *testing.T, do func(t *testing.T, d *db.DB)) {
	t.Run("sqlite", func(t *testing.T) { do(t, Open(t)) })
	t.Run("postgres", func(t *testing.T) {
		address := Address(t)
		if address == "" {
			t.Skipf("%s names no server", Postgres)
		}
		do(t, open(t, address))
	})
}

func open(t testing.TB, address string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	return d
}

// Lay puts a fresh SQLite database where there is none yet.
func Lay(path string) error {
	b, err := migrated()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// migrated gives the bytes of an SQLite database that was only migrated.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "dbtest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "empty.db")
	if err := migrate("sqlite:" + path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func migrate(address string) error {
	d, err := db.Open(context.Background(), address)
	if err != nil {
		return err
	}
	return d.Close()
}

var databases atomic.Int64

// Address makes a fresh database for one test and gives its address; it is empty where the environment names no PostgreSQL
// server.
func Address(t testing.TB) string {
	t.Helper()
	s := server()
	if s.address == "" {
		return ""
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1))
	if err := s.do("CREATE DATABASE " + name + " TEMPLATE " + s.template); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.do("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	return s.named(name)
}

// postgres is the server that the environment names.
type postgres struct {
	address  string
	template string // a database that was only migrated
	err      error
}

var server = sync.OnceValue(func() postgres {
	s := postgres{address: os.Getenv(Postgres), template: fmt.Sprintf("test_%d", os.Getpid())}
	if s.address == "" {
		return s
	}
	if s.err = s.do("DROP DATABASE IF EXISTS " + s.template); s.err == nil { // of a process before, which had this number
		s.err = s.do("CREATE DATABASE " + s.template)
	}
	if s.err == nil {
		s.err = migrate(s.named(s.template))
	}
	return s
})

// do runs a statement of our own making, which takes no parameters.
func (s postgres) do(statement string) error {
	pool, err := sql.Open("pgx", s.address)
	if err != nil {
		return err
	}
	_, err = pool.ExecContext(context.Background(), statement)
	return errors.Join(err, pool.Close())
}

// named gives the address of another database of the server.
func (s postgres) named(database string) string {
	u, err := url.Parse(s.address)
	if err != nil {
		panic(err) // it was connected to
	}
	u.Path = "/" + database
	return u.String()
}
