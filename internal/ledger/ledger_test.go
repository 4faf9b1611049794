package ledger_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

const origin = "example.org/patchwarrant"

type clock struct {
	sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.Lock()
	defer c.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.Lock()
	defer c.Unlock()
	c.at = c.at.Add(d)
}

// world is a ledger with what it is made of.
type world struct {
	*ledger.Ledger
	config ledger.Config
	clock  *clock
}

func open(t testing.TB, d *db.DB) world {
	t.Helper()
	secret, verifier, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	w := world{clock: &clock{at: time.Date(2026, 11, 20, 8, 0, 0, 123456789, time.UTC)}}
	w.config = ledger.Config{DB: d, Signer: signer, Verifier: verifier, Origin: origin,
		GuardFile: filepath.Join(t.TempDir(), "guard"), Now: w.clock.now}
	if w.Ledger, err = ledger.New(w.config); err != nil {
		t.Fatal(err)
	}
	return w
}

func act(kind, subject string) proof.Act {
	return proof.Act{Kind: kind, Subject: subject, Who: "server", Detail: json.RawMessage(`{"a": "<b>"}`)}
}

// write appends acts in one transaction.
func (w world) write(ctx context.Context, acts ...proof.Act) error {
	return w.config.DB.Write(ctx, func(tx *db.Tx) error {
		for _, a := range acts {
			if _, err := w.Append(ctx, tx, a); err != nil {
				return err
			}
		}
		return nil
	})
}

// mustGrow appends n acts on five subjects.
func (w world) mustGrow(t testing.TB, n int) {
	t.Helper()
	acts := make([]proof.Act, n)
	for i := range acts {
		acts[i] = act("order.proposed", fmt.Sprintf("order/%d", i%5))
	}
	if err := w.write(t.Context(), acts...); err != nil {
		t.Fatal(err)
	}
}

// whole fails the test unless the audit finds nothing and the log equals an in-memory one; it gives its leaves.
func (w world) whole(t interface {
	Helper()
	Fatalf(string, ...any)
	Context() context.Context
}) [][]byte {
	t.Helper()
	report, err := w.Audit(t.Context(), nil)
	if err != nil || len(report.Findings) > 0 {
		t.Fatalf("audit: %v %q", err, report.Findings)
	}
	var leaves [][]byte
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(ids []int64) ([]tlog.Hash, error) {
		var all []tlog.Hash
		for _, id := range ids {
			all = append(all, stored[id])
		}
		return all, nil
	})
	for int64(len(leaves)) < report.Size {
		entries, err := w.List(t.Context(), ledger.Filter{From: int64(len(leaves))})
		if err != nil || len(entries) == 0 {
			t.Fatalf("list from %d: %d entries, %v", len(leaves), len(entries), err)
		}
		for _, e := range entries {
			h, err := tlog.StoredHashes(e.Index, e.Bytes, read)
			if err != nil {
				t.Fatalf("%v", err)
			}
			stored = append(stored, h...)
			leaves = append(leaves, e.Bytes)
		}
	}
	root, err := tlog.TreeHash(int64(len(leaves)), read)
	if err != nil || fmt.Sprintf("%x", root[:]) != report.Root {
		t.Fatalf("root %s, in memory %x (%v)", report.Root, root[:], err)
	}
	return leaves
}

func TestAnActIsAnEntry(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		var indexes []int64
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			indexes = nil
			for _, subject := range []string{"order/a", "order/b", "order/a"} {
				i, err := w.Append(t.Context(), tx, act("order.proposed", subject))
				if err != nil {
					return err
				}
				indexes = append(indexes, i)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(indexes) != "[0 1 2]" {
			t.Errorf("indexes %v", indexes)
		}
		e, err := w.Entry(t.Context(), 2)
		want := `{"kind":"order.proposed","subject":"order/a","prev":0,"at":"2026-11-20T08:00:00.123456Z","who":"server",` +
			`"detail":{"a":"<b>"}}`
		if err != nil || string(e.Bytes) != want {
			t.Errorf("entry 2 = %s, %v\nwant %s", e.Bytes, err, want)
		}
		if _, err := w.Entry(t.Context(), 3); fault.KindOf(err) != fault.NotFound {
			t.Errorf("entry 3: %v", err)
		}
	})
}

func TestAppendRefusesWhatIsNoAct(t *testing.T) {
	w := open(t, dbtest.Open(t))
	big := act("a.b", "a/b")
	big.Detail, _ = json.Marshal(map[string]string{"a": strings.Repeat("x", proof.MaxEntry)})
	for name, a := range map[string]proof.Act{
		"kind": act("Order", "order/a"), "subject": act("order.proposed", "order"), "size": big,
		"who": {Kind: "a.b", Subject: "a/b"},
	} {
		if err := w.write(t.Context(), act("order.proposed", "order/a"), a); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if n := len(w.whole(t)); n != 0 {
		t.Errorf("%d entries after refusals", n)
	}
}

func TestListChooses(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		if err := w.write(t.Context(), act("order.proposed", "order/a"), act("order.warranted", "order/a"),
			act("order.proposed", "order/b"), act("host.enrolled", "host/a")); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			f    ledger.Filter
			want string
		}{
			{ledger.Filter{}, "[0 1 2 3]"},
			{ledger.Filter{Subject: "order/a"}, "[0 1]"},
			{ledger.Filter{KindPrefix: "order."}, "[0 1 2]"},
			{ledger.Filter{KindPrefix: "order.", From: 1, Limit: 1}, "[1]"},
			{ledger.Filter{Subject: "order/a", KindPrefix: "order.w"}, "[1]"},
			{ledger.Filter{KindPrefix: "order._"}, "[]"},
		} {
			got := []int64{}
			entries, err := w.List(t.Context(), c.f)
			for _, e := range entries {
				got = append(got, e.Index)
			}
			if err != nil || fmt.Sprint(got) != c.want {
				t.Errorf("List(%+v) = %v, %v; want %s", c.f, got, err, c.want)
			}
		}
	})
}

// TestConcurrentWritersAndRollbacksLeaveOneWholeLog: writers of batches, some of which roll back.
func TestConcurrentWritersAndRollbacksLeaveOneWholeLog(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		stop := errors.New("stop")
		var wg sync.WaitGroup
		for writer := range 6 {
			wg.Go(func() {
				for round := range 20 {
					err := d.Write(t.Context(), func(tx *db.Tx) error {
						for i := range 1 + round%3 {
							if _, err := w.Append(t.Context(), tx, act("order.proposed", fmt.Sprintf("order/%d", i))); err != nil {
								return err
							}
						}
						if (writer+round)%4 == 0 {
							return stop
						}
						return nil
					})
					if err != nil && !errors.Is(err, stop) {
						t.Error(err)
					}
					if round%7 == 0 {
						if _, err := w.Checkpoint(t.Context()); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		w.whole(t)
	})
}

// TestTheTreeIsAlwaysTheOneOfItsLeaves: any mix of appends, rollbacks and checkpoints; all proofs hold, and every
// checkpoint is continued by the next.
func TestTheTreeIsAlwaysTheOneOfItsLeaves(t *testing.T) {
	d := dbtest.Open(t)
	rapid.Check(t, func(r *rapid.T) {
		rollBack(t, d, 0) // an empty database, sooner than a new one
		tamper(t, d, qForget, "")
		w := open(t, d)
		var want int
		before := proof.Checkpoint{Origin: origin}
		for range rapid.IntRange(1, 6).Draw(r, "steps") {
			batch := rapid.IntRange(0, 15).Draw(r, "batch")
			rollback := rapid.Bool().Draw(r, "rollback")
			acts := make([]proof.Act, batch)
			for i := range acts {
				acts[i] = act("order.proposed", fmt.Sprintf("order/%d", rapid.IntRange(0, 3).Draw(r, "subject")))
			}
			if rollback {
				acts = append(acts, proof.Act{})
			} else {
				want += batch
			}
			if err := w.write(t.Context(), acts...); (err != nil) != rollback {
				r.Fatalf("write: %v", err)
			}
			w.clock.pass(time.Second)
			before = w.advance(t, r, before)
		}
		if leaves := w.whole(t); len(leaves) != want {
			r.Fatalf("%d entries, want %d", len(leaves), want)
		}
		if want > 0 {
			index := int64(rapid.IntRange(0, want-1).Draw(r, "index"))
			logged, err := w.Prove(t.Context(), index)
			if err != nil {
				r.Fatal(err)
			}
			if _, _, err := logged.Verify([]string{w.config.Verifier}, origin); err != nil || logged.Index != index {
				r.Fatalf("entry %d: %v", index, err)
			}
		}
	})
}

// advance takes a checkpoint and checks that it continues the one before.
func (w world) advance(t *testing.T, r *rapid.T, before proof.Checkpoint) proof.Checkpoint {
	text, err := w.Checkpoint(t.Context())
	if err != nil {
		r.Fatal(err)
	}
	c, err := proof.OpenCheckpoint(text, []string{w.config.Verifier}, origin)
	if err != nil {
		r.Fatal(err)
	}
	path, err := w.Consistency(t.Context(), before.Size, c.Size)
	if err != nil {
		r.Fatal(err)
	}
	if err := proof.VerifyConsistency(before, c, path); err != nil {
		r.Fatal(err)
	}
	return c
}

func TestNewRefusesKeysOfAnotherLog(t *testing.T) {
	w := open(t, dbtest.Open(t))
	other := open(t, dbtest.Open(t))
	for name, change := range map[string]func(*ledger.Config){
		"verifier": func(c *ledger.Config) { c.Verifier = other.config.Verifier },
		"origin":   func(c *ledger.Config) { c.Origin = "example.org/other" },
		"form":     func(c *ledger.Config) { c.Verifier = "x" },
	} {
		c := w.config
		change(&c)
		if _, err := ledger.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
