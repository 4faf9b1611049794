// Package dbtest gives tests fresh databases on the real engines.
package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
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
	return open(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
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

var schemas atomic.Int64

// Address makes an empty schema for one test and gives the address that leads into it; it is empty where the environment
// names no PostgreSQL server.
func Address(t testing.TB) string {
	t.Helper()
	address := os.Getenv(Postgres)
	if address == "" {
		return ""
	}
	server, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), schemas.Add(1))
	if _, err := server.Exec("CREATE SCHEMA " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := server.ExecContext(context.Background(), "DROP SCHEMA "+name+" CASCADE"); err != nil {
			t.Errorf("drop schema: %v", err)
		}
		server.Close()
	})
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}
