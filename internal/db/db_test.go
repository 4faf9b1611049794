package db_test

import (
	"database/sql"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// The tests use the ledger's head row as a counter: it is there on both engines.
var (
	qSize    = db.Q(`SELECT size FROM ledger_head WHERE id = $1`)
	qSetSize = db.Q(`UPDATE ledger_head SET size = $2 WHERE id = $1`)
	qAct     = db.Q(`INSERT INTO ledger_act (idx, kind, subject, entry) VALUES ($1, $2, $2, $3)`)
	qActs    = db.Q(`SELECT idx, kind, entry FROM ledger_act ORDER BY idx`)
)

func size(t *testing.T, d *db.DB) (n int64) {
	t.Helper()
	if err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(t.Context(), qSize, 1).Scan(&n)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWritersTakeTurns(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const writers, rounds = 8, 25
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range rounds {
					err := d.Write(t.Context(), func(tx *db.Tx) error {
						var n int64
						if err := tx.QueryRow(t.Context(), qSize, 1).Scan(&n); err != nil {
							return err
						}
						_, err := tx.Exec(t.Context(), qSetSize, 1, n+1)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n := size(t, d); n != writers*rounds {
			t.Errorf("size %d, want %d: an update was lost", n, writers*rounds)
		}
	})
}

func TestAnErrorOrPanicRollsBack(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		stop := errors.New("stop")
		set := func(tx *db.Tx) {
			if n, err := tx.Exec(t.Context(), qSetSize, 1, 7); n != 1 || err != nil {
				t.Fatalf("Exec = %d, %v", n, err)
			}
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { set(tx); return stop }); !errors.Is(err, stop) {
			t.Errorf("Write: %v", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = d.Write(t.Context(), func(tx *db.Tx) error { set(tx); panic("stop") })
		}()
		if n := size(t, d); n != 0 {
			t.Errorf("size %d after a rollback", n)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { set(tx); return nil }); err != nil {
			t.Errorf("Write after a panic: %v", err)
		}
	})
}

func TestReadersCannotWrite(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if err := d.Read(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), qSetSize, 1, 7)
			return err
		}); err == nil {
			t.Error("a reader wrote")
		}
	})
}

func TestCollectKeepsBytesAndTimes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		type row struct {
			At    time.Time
			Kind  string
			Entry []byte
		}
		want := []row{
			{time.Time{}, "zero", []byte{0, 0xff, '"'}},
			{time.Date(2026, 11, 20, 12, 0, 0, 123456000, time.UTC), "now", []byte("{}")},
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			for _, r := range want {
				if _, err := tx.Exec(t.Context(), qAct, db.Micros(r.At), r.Kind, r.Entry); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var got []row
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			rows, err := tx.Query(t.Context(), qActs)
			got, err = db.Collect(rows, err, func(rows *sql.Rows) (r row, err error) {
				var us int64
				err = rows.Scan(&us, &r.Kind, &r.Entry)
				r.At = db.Time(us)
				return r, err
			})
			return err
		})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

func TestOpenRefusesOtherAddresses(t *testing.T) {
	for _, address := range []string{"", "sqlite:", "mysql://x", "/var/lib/x.db"} {
		if _, err := db.Open(t.Context(), address); fault.KindOf(err) != fault.Invalid {
			t.Errorf("Open(%q): %v", address, err)
		}
	}
}

// TestBothFoldersDeclareTheSame: apart from the name of the bytes type, the rooms' tables are the same on both engines.
func TestBothFoldersDeclareTheSame(t *testing.T) {
	sqlite, postgres := db.Declared("sqlite"), db.Declared("postgres")
	if len(sqlite) == 0 {
		t.Fatal("no migrations found")
	}
	if diff := cmp.Diff(columns(sqlite), columns(postgres)); diff != "" {
		t.Errorf("migrations differ (- sqlite, + postgres):\n%s", diff)
	}
}

var (
	table  = regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\n\);`)
	column = regexp.MustCompile(`(?m)^\s+([a-z]\w*) ([A-Z]+)`)
	index  = regexp.MustCompile(`(?m)^CREATE (?:UNIQUE )?INDEX .*;$`)
)

// columns gives "table.column TYPE" for each column, and each index, sorted.
func columns(files map[string]string) []string {
	var all []string
	for name, text := range files {
		all = append(all, "file "+name)
		for _, m := range table.FindAllStringSubmatch(text, -1) {
			for _, c := range column.FindAllStringSubmatch(m[2], -1) {
				kind := strings.NewReplacer("BYTEA", "BLOB", "BIGINT", "INTEGER").Replace(c[2])
				all = append(all, m[1]+"."+c[1]+" "+kind)
			}
		}
		all = append(all, index.FindAllString(text, -1)...)
	}
	slices.Sort(all)
	return all
}
