package ledger_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
)

// What an attacker with the database could do.
var (
	qEdit       = db.Q(`UPDATE ledger_act SET entry = $1 WHERE idx = $2`)
	qDelete     = db.Q(`DELETE FROM ledger_act WHERE idx = $1`)
	qRelabel    = db.Q(`UPDATE ledger_act SET kind = $1 WHERE idx = $2`)
	qBreakHash  = db.Q(`UPDATE ledger_hash SET hash = $1 WHERE id = $2`)
	qShrink     = db.Q(`UPDATE ledger_head SET size = $1 WHERE id = 1`)
	qForget     = db.Q(`UPDATE ledger_checkpoint SET note = $1 WHERE id = 1`)
	qDeleteFrom = db.Q(`DELETE FROM ledger_act WHERE idx >= $1`)
	qDeleteHash = db.Q(`DELETE FROM ledger_hash WHERE id >= $1`)
)

func tamper(t *testing.T, d *db.DB, q db.Query, args ...any) {
	t.Helper()
	if err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), q, args...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// rollBack brings the log to size n, as restoring an older backup would.
func rollBack(t *testing.T, d *db.DB, n int64) {
	t.Helper()
	tamper(t, d, qDeleteFrom, n)
	tamper(t, d, qDeleteHash, tlog.StoredHashCount(n))
	tamper(t, d, qShrink, n)
}

func mustCheckpoint(t *testing.T, w world) string {
	t.Helper()
	text, err := w.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestACheckpointIsRenewedWhenTheLogGrewOrAMinutePassed(t *testing.T) {
	w := open(t, dbtest.Open(t))
	first := mustCheckpoint(t, w)
	w.clock.pass(59 * time.Second)
	if again := mustCheckpoint(t, w); again != first {
		t.Error("signed again within a minute")
	}
	w.clock.pass(time.Second)
	if again := mustCheckpoint(t, w); again == first {
		t.Error("not signed again after a minute")
	}
	before := mustCheckpoint(t, w)
	w.mustGrow(t, 1)
	if again := mustCheckpoint(t, w); again == before || !strings.HasPrefix(again, origin+"\n1\n") {
		t.Errorf("after an act:\n%s", again)
	}
}

// TestNothingIsSignedOverALostTail: neither with the database's own memory of the checkpoint nor without it.
func TestNothingIsSignedOverALostTail(t *testing.T) {
	for name, forget := range map[string]bool{"checkpoint kept": false, "checkpoint forgotten": true} {
		t.Run(name, func(t *testing.T) {
			w := open(t, dbtest.Open(t))
			w.mustGrow(t, 10)
			mustCheckpoint(t, w)
			rollBack(t, w.config.DB, 7)
			if forget {
				tamper(t, w.config.DB, qForget, "")
			}
			if _, err := w.Checkpoint(t.Context()); fault.CodeOf(err) != fault.LogRollback {
				t.Errorf("shorter log: %v", err)
			}
			w.clock.pass(time.Second)
			w.mustGrow(t, 20)
			if _, err := w.Checkpoint(t.Context()); fault.CodeOf(err) != fault.LogRollback {
				t.Errorf("longer fork: %v", err)
			}
		})
	}
}

func TestTheGuardFileCatchesADatabaseThatWentBackWithItsCheckpoint(t *testing.T) {
	w := open(t, dbtest.Open(t))
	w.mustGrow(t, 5)
	older := mustCheckpoint(t, w)
	w.mustGrow(t, 5)
	mustCheckpoint(t, w)
	rollBack(t, w.config.DB, 5)
	tamper(t, w.config.DB, qForget, older)
	if _, err := w.Checkpoint(t.Context()); fault.CodeOf(err) != fault.LogRollback {
		t.Errorf("restored backup: %v", err)
	}
	if err := os.Remove(w.config.GuardFile); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Checkpoint(t.Context()); fault.CodeOf(err) != fault.LogRollback {
		t.Errorf("guard file removed: %v", err)
	}
}

func TestTheAuditFindsEachKindOfTampering(t *testing.T) {
	for finding, do := range map[string]func(*testing.T, world){
		"not that of the entries up to 3": func(t *testing.T, w world) {
			e, err := w.Entry(t.Context(), 3)
			if err != nil {
				t.Fatal(err)
			}
			edited := bytes.Replace(e.Bytes, []byte(`"server"`), []byte(`"person/eve"`), 1)
			tamper(t, w.config.DB, qEdit, edited, 3)
		},
		"entry 4 is missing":                  func(t *testing.T, w world) { tamper(t, w.config.DB, qDelete, 4) },
		"entry 5 is listed":                   func(t *testing.T, w world) { tamper(t, w.config.DB, qRelabel, "order.warranted", 5) },
		"stored hash 6":                       func(t *testing.T, w world) { tamper(t, w.config.DB, qBreakHash, make([]byte, 32), 6) },
		"covers 10 entries":                   func(t *testing.T, w world) { rollBack(t, w.config.DB, 8) },
		"outside the log":                     func(t *testing.T, w world) { tamper(t, w.config.DB, qShrink, 9) },
		"entry 1: decode":                     func(t *testing.T, w world) { tamper(t, w.config.DB, qEdit, []byte("{}"), 1) },
		"open the checkpoint in the database": func(t *testing.T, w world) { tamper(t, w.config.DB, qForget, "x") },
	} {
		t.Run(finding, func(t *testing.T) {
			w := open(t, dbtest.Open(t))
			w.mustGrow(t, 10)
			mustCheckpoint(t, w)
			do(t, w)
			report, err := w.Audit(t.Context(), nil)
			found := strings.Join(report.Findings, "\n")
			if err != nil || !strings.Contains(found, finding) {
				t.Errorf("%v; findings:\n%s", err, found)
			}
		})
	}
}

func TestTilesAreThoseOfC2SP(t *testing.T) {
	w := open(t, dbtest.Open(t))
	w.mustGrow(t, 600)
	if _, err := w.Tile(t.Context(), "tile/0/000"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a tile before the first checkpoint: %v", err)
	}
	mustCheckpoint(t, w)
	leaves := w.whole(t)
	for path, want := range map[string]int{
		"tile/0/000": 256, "tile/0/001": 256, "tile/0/002.p/88": 88, "tile/0/002.p/3": 3, "tile/1/000.p/2": 2,
	} {
		if b, err := w.Tile(t.Context(), path); err != nil || len(b) != want*tlog.HashSize {
			t.Errorf("%s: %d bytes, %v", path, len(b), err)
		}
	}
	b, err := w.Tile(t.Context(), "tile/0/001")
	if h := tlog.RecordHash(leaves[256]); err != nil || !bytes.HasPrefix(b, h[:]) {
		t.Errorf("tile/0/001 does not begin with the hash of leaf 256: %v", err)
	}
	b, err = w.Tile(t.Context(), "tile/entries/002.p/88")
	for _, leaf := range leaves[512:] {
		n := int(binary.BigEndian.Uint16(b))
		if !bytes.Equal(b[2:2+n], leaf) {
			t.Fatalf("entry bundle: got %s, want %s", b[2:2+n], leaf)
		}
		b = b[2+n:]
	}
	if err != nil || len(b) != 0 {
		t.Errorf("entry bundle: %d bytes left, %v", len(b), err)
	}
	for _, path := range []string{"", "tile/0/002", "tile/0/002.p/89", "tile/0/003.p/1", "tile/1/000", "tile/2/000.p/1",
		"tile/data/000", "tile/8/0/000", "tile/0/000.p/0", "tile/0/0", "tile/99/000", "tile/0/x999/x999/x999/x999/x999/999"} {
		if _, err := w.Tile(t.Context(), path); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// FuzzTile: a foreign path gives bytes or NotFound, never anything else.
func FuzzTile(f *testing.F) {
	f.Add("tile/0/x001/067.p/5")
	f.Add("tile/entries/000")
	f.Add("tile/-1/000")
	w := open(f, dbtest.Open(f))
	w.mustGrow(f, 300)
	if _, err := w.Checkpoint(f.Context()); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if _, err := w.Tile(t.Context(), path); err != nil && fault.KindOf(err) != fault.NotFound {
			t.Errorf("%q: %v", path, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	w := open(b, dbtest.Open(b))
	for b.Loop() {
		w.mustGrow(b, 1)
	}
}

func BenchmarkAppendBy100(b *testing.B) {
	w := open(b, dbtest.Open(b))
	for b.Loop() {
		w.mustGrow(b, 100)
	}
}

// BenchmarkReplay audits a log of 100,000 acts.
func BenchmarkReplay(b *testing.B) {
	w := open(b, dbtest.Open(b))
	for range 100 {
		w.mustGrow(b, 1000)
	}
	if _, err := w.Checkpoint(b.Context()); err != nil {
		b.Fatal(err)
	}
	var report ledger.Report
	var err error
	for b.Loop() {
		if report, err = w.Audit(b.Context(), nil); err != nil || len(report.Findings) > 0 {
			b.Fatal(err, report.Findings)
		}
	}
	b.ReportMetric(float64(report.Size)*float64(b.N)/b.Elapsed().Seconds(), "acts/s")
}
