package rpm

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"
)

// history makes a history as dnf 4 does, and gives the file and its log while it is still open.
func history(tb testing.TB, mode string, many int) (file, log []byte) {
	tb.Helper()
	name := filepath.Join(tb.TempDir(), "history.sqlite")
	d, err := sql.Open("sqlite", "file:"+name)
	if err != nil {
		tb.Fatal(err)
	}
	defer d.Close()
	d.SetMaxOpenConns(1)
	do := func(statement string, values ...any) {
		tb.Helper()
		if _, err := d.Exec(statement, values...); err != nil {
			tb.Fatal(statement, err)
		}
	}
	if many == 0 {
		do("PRAGMA page_size = 512") // small, so that a fuzzer meets more of them
	}
	do("PRAGMA journal_mode = " + mode)
	do("PRAGMA wal_autocheckpoint = 0")
	do(`CREATE TABLE repo (id INTEGER PRIMARY KEY, repoid TEXT NOT NULL /* its name, as (configured) */)`)
	do(`CREATE TABLE trans_item (id INTEGER PRIMARY KEY AUTOINCREMENT, trans_id INTEGER REFERENCES trans(id), item_id INTEGER REFERENCES item(id),
	  repo_id INTEGER REFERENCES repo(id), action INTEGER NOT NULL, /* one of many, see there */ reason INTEGER NOT NULL, state INTEGER NOT NULL,
	  CONSTRAINT one UNIQUE (trans_id, item_id))`)
	do(`CREATE TABLE rpm (item_id INTEGER UNIQUE NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL, version TEXT NOT NULL, release TEXT NOT NULL,
	  arch TEXT NOT NULL, CONSTRAINT nevra UNIQUE (name, epoch, version, release, arch))`)
	do(`INSERT INTO repo VALUES (1, 'baseos'), (2, 'appstream'), (300, 'epel'), (4, '@commandline')`)
	do(`INSERT INTO rpm VALUES (10, 'openssl-libs', 1, '3.0.7', '24.el9', 'x86_64'), (11, 'openssl-libs', 1, '3.0.7', '27.el9', 'x86_64'),
	  (12, 'nginx', 0, '1.20.1', '14.el9', 'x86_64'), (13, 'tool', 0, '1', '1', 'noarch'), (14, 'gone', 0, '1', '1', 'noarch'), (15, 'failed', 0, '1', '1', 'noarch')`)
	do("BEGIN")
	for i := range many {
		do(`INSERT INTO rpm VALUES (?, ?, 0, '1', '1', 'noarch')`, 1000+i, fmt.Sprintf("p%d-%s", i, strings.Repeat("x", i%3000)))
		do(`INSERT INTO trans_item VALUES (?, ?, ?, 2, 1, 2, 1)`, 1000+i, i, 1000+i)
	}
	do("COMMIT")
	do(`INSERT INTO trans_item VALUES (1, 1, 10, 1, 1, 2, 1), (2, 1, 12, 2, 1, 2, 1), (3, 1, 13, 4, 1, 2, 1), (4, 1, 14, 1, 1, 2, 1), (5, 1, 15, 1, 1, 2, 2)`)
	do(`INSERT INTO trans_item VALUES (90001, 90001, 10, 1, 7, 2, 1), (90002, 90001, 11, 300, 6, 2, 1), (90003, 90001, 14, 1, 8, 2, 1),
	  (90004, 90002, 12, 1, 9, 2, 1), (90005, 90003, 12, NULL, 11, 2, 1)`)
	if file, err = os.ReadFile(name); err != nil {
		tb.Fatal(err)
	}
	log, _ = os.ReadFile(name + "-wal")
	return file, log
}

func asFile(b []byte) File { return File{bytes.NewReader(b), int64(len(b))} }

// TestDnfSaysWhereItTookAPackageFrom: the last act decides, in a file that is closed and in one whose log holds all that is new.
func TestDnfSaysWhereItTookAPackageFrom(t *testing.T) {
	want := map[string]string{"openssl-libs-1:3.0.7-27.el9.x86_64": "epel", "nginx-1.20.1-14.el9.x86_64": "baseos", "tool-1-1.noarch": "@commandline"}
	for _, mode := range []string{"DELETE", "WAL"} {
		file, log := history(t, mode, 3000)
		if (len(log) > 0) != (mode == "WAL") {
			t.Fatalf("%s: a log of %d bytes", mode, len(log))
		}
		all, err := History(asFile(file), asFile(log), func(string) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff("appstream", all[ID("p2999-"+strings.Repeat("x", 2999), "1-1", "noarch")]); d != "" || len(all) != 3003 {
			t.Errorf("%s: of %d: %s", mode, len(all), d)
		}
		some, err := History(asFile(file), asFile(log), func(id string) bool { return !strings.HasPrefix(id, "p") })
		if d := cmp.Diff(want, some); d != "" || err != nil {
			t.Errorf("%s: %v %s", mode, err, d)
		}
		if mode == "WAL" { // torn off within its last commit, it says what was said before
			some, err = History(asFile(file), asFile(log[:len(log)-100]), func(id string) bool { return id == "openssl-libs-1:3.0.7-24.el9.x86_64" })
			if err != nil || some["openssl-libs-1:3.0.7-24.el9.x86_64"] != "baseos" {
				t.Errorf("with a torn log: %v, %v", some, err)
			}
		}
	}
}

func TestDnf5SaysWhereItTookAPackageFrom(t *testing.T) {
	for _, text := range []string{
		"version = \"1.0\"\n[nevras]\n\"bash-5.2-1.fc41.x86_64\" = {from_repo = \"fedora\"}\n\"local-1-1.noarch\" = {}\n",
		"[nevras]\n[nevras.\"bash-5.2-1.fc41.x86_64\"]\nfrom_repo = \"fedora\"\n",
	} {
		from, err := SystemState([]byte(text))
		if d := cmp.Diff(map[string]string{"bash-5.2-1.fc41.x86_64": "fedora"}, from); d != "" || err != nil {
			t.Error(d, err)
		}
	}
	if _, err := SystemState([]byte("[nevras")); err == nil {
		t.Error("what is no TOML is taken")
	}
}

// FuzzHistory: whatever the bytes, reading ends, and soon.
func FuzzHistory(f *testing.F) {
	for _, mode := range []string{"DELETE", "WAL"} {
		file, log := history(f, mode, 0)
		f.Add(file, log)
	}
	f.Fuzz(func(t *testing.T, file, log []byte) {
		_, _ = History(asFile(file), asFile(log), func(string) bool { return true })
	})
}
