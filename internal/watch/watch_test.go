package watch

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// world is one host with a real file tree, and what the estate and the rollouts say of it.
type world struct {
	*Watch
	t     *testing.T
	i     *integrity.Integrity
	blobs blob.Store
	root  string
	now   time.Time
	host  estate.Host
	turn  int64
	runs  []rollout.Run
	acts  []string
}

func (w *world) Host(context.Context, string) (estate.Host, error) { return w.host, nil }
func (w *world) Changed(_ context.Context, since int64) ([]string, int64, error) {
	if w.turn <= since {
		return nil, w.turn, nil
	}
	return []string{w.host.ID}, w.turn, nil
}
func (w *world) RunsOf(context.Context, string, string, int) ([]rollout.Run, error) {
	return w.runs, nil
}
func (w *world) PlacesOf(context.Context, []string) ([]trustroot.Place, error) { return nil, nil }
func (w *world) CurrentRoot(context.Context) (*trustroot.Root, error) {
	return &trustroot.Root{People: []trustroot.Person{{ID: "alice", Roles: []string{"cirt-analyst"}}}}, nil
}
func (w *world) Append(_ context.Context, _ *db.Tx, a proof.Act) (int64, error) {
	w.acts = append(w.acts, a.Kind)
	return int64(len(w.acts)), nil
}

func newWorld(t *testing.T, d *db.DB) *world {
	blobs, err := blob.Dir(t.TempDir())
	w := &world{t: t, blobs: blobs, root: t.TempDir(), now: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC), host: estate.Host{ID: "hst_a"}}
	w.must(err)
	w.i = integrity.New(integrity.Config{DB: d, Ledger: w, Blobs: blobs, Root: w, Estate: w, Now: func() time.Time { return w.now }})
	w.Watch = New(Config{DB: d, Hosts: w, Runs: w, Judge: w.i})
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(name, content string) {
	w.t.Helper()
	at := filepath.Join(w.root, name)
	w.must(os.MkdirAll(filepath.Dir(at), 0o755))
	w.must(os.WriteFile(at, []byte(content), 0o644))
}

// see takes the host's file state and has the server keep it.
func (w *world) see() map[string]string {
	w.t.Helper()
	policy := filetree.Policy{Version: filetree.PolicyVersion, Volatile: []string{"/var/backups/**"}}
	s, err := filetree.Scan(w.t.Context(), w.root, filetree.Options{Start: time.Now(), Policy: policy}, nil)
	w.must(err)
	for digest := range s.Digests() {
		b, err := s.Get(w.t.Context(), digest)
		w.must(err)
		_, err = blob.PutBytes(w.t.Context(), w.blobs, b)
		w.must(err)
	}
	return map[string]string{"/": s.Digest}
}

// report has the host tell its file state, a minute later, and the server sweep.
func (w *world) report() {
	w.t.Helper()
	w.now = w.now.Add(time.Minute)
	w.host.Trees, w.host.FactsAt = w.see(), w.now
	w.turn++
	w.must(w.Sweep(w.t.Context()))
}

// want compares the discrepancies of each investigation, the newest first, one text for each.
func (w *world) want(texts ...string) []integrity.Investigation {
	w.t.Helper()
	all, err := w.i.Investigations(w.t.Context())
	w.must(err)
	var got []string
	for _, inv := range all {
		r, err := w.i.Report(w.t.Context(), inv.Report)
		w.must(err)
		var lines []string
		for _, l := range r.Discrepancies() {
			lines = append(lines, l.Path+" "+l.Why)
		}
		got = append(got, strings.Join(lines, ", "))
		if inv.Order != "" || inv.Host != "hst_a" || !inv.DueAt.Equal(inv.OpenedAt.Add(24*time.Hour)) {
			w.t.Errorf("investigation %+v", inv)
		}
	}
	if strings.Join(got, "\n") != strings.Join(texts, "\n") {
		w.t.Errorf("investigations\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(texts, "\n"))
	}
	return all
}

// TestAChangeOutsideOrdersIsInvestigated: what stands when a host is first seen is its baseline; from then on a change is a
// discrepancy, one investigation for a host and day until somebody answers.
func TestAChangeOutsideOrdersIsInvestigated(t *testing.T) {
	const outside = " changed while no order ran"
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.write("usr/bin/tool", "1")
		w.report()
		w.report()
		w.want()
		w.write("usr/bin/tool", "planted")
		w.report()
		w.report() // told once
		w.want("/usr/bin/tool" + outside)
		w.write("usr/bin/tool", "1")
		w.write("etc/cron.d/again", "x")
		w.report()
		open := w.want("/etc" + outside + ", /etc/cron.d" + outside + ", /etc/cron.d/again" + outside + ", /usr/bin/tool" + outside + ", and changed back")[0]

		ours := integrity.Resolution{Outcome: integrity.Legitimate, Reason: "the new cron job of ticket 7", Report: open.Report}
		_, err := w.i.Resolve(t.Context(), "alice", open.ID, ours)
		w.must(err)
		w.write("usr/bin/tool", "planted again") // is not part of what alice has seen
		w.report()
		two := []string{"/usr/bin/tool" + outside, "/etc" + outside + ", /etc/cron.d" + outside + ", /etc/cron.d/again" + outside + ", /usr/bin/tool" + outside + ", and changed back"}
		w.want(two...)
		w.now = w.now.Add(24 * time.Hour)
		w.write("usr/bin/other", "x")
		w.report()
		w.want(append([]string{"/usr/bin/other" + outside}, two...)...)

		w.write("var/lib/systemd/timers/stamp-apt-daily.timer", "") // below new directories, which are told
		w.write("var/backups/dpkg.status.0", "")
		w.report()
		w.write("var/lib/systemd/timers/stamp-man-db.timer", "")
		w.write("var/backups/dpkg.status.0", "new")
		w.write("var/backups/dpkg.status.1.gz", "")
		before := len(w.acts)
		w.report()
		if len(w.acts) != before {
			t.Errorf("a time stamp or a volatile file is a discrepancy: %v", w.acts[before:])
		}
		w.write("var/backups/implant", "")
		w.must(os.Chmod(filepath.Join(w.root, "var/backups/implant"), 0o755))
		w.report()
		if len(w.acts) != before+1 {
			t.Error("a program among volatile files is not told")
		}
		if got := strings.Join(w.acts, " "); got != "investigation.opened investigation.extended investigation.proposed investigation.opened investigation.opened investigation.extended investigation.extended" {
			t.Errorf("acts %s", got)
		}
	})
}

// TestWhatAnOrderChangesIsLeftToIt: neither while it runs nor by what it left; what came before it and after it is told.
func TestWhatAnOrderChangesIsLeftToIt(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.runs = []rollout.Run{{Order: "ord_1", Host: "hst_a", State: rollout.Waiting}} // waits for the waves before its own
		w.write("usr/bin/tool", "1")
		w.report()
		w.write("before", "the order")
		told, err := blob.PutBytes(t.Context(), w.blobs, []byte(`{"at":"2026-11-20T08:00:00Z","files":[]}`))
		w.must(err)
		run := rollout.Run{Order: "ord_1", Host: "hst_a", State: rollout.Begun, Before: &wire.Observation{At: w.now, Trees: w.see(), Facts: told}}
		w.runs = []rollout.Run{run}
		w.write("usr/bin/tool", "2")
		w.report()
		w.want()
		run.State, run.After, run.EndedAt = rollout.Done, &wire.Observation{At: w.now, Trees: w.see(), Facts: told}, w.now
		w.runs[0] = run
		w.must(w.Sweep(t.Context())) // the host has said nothing since
		w.want()
		w.write("after", "the order")
		w.report()
		const outside = " changed while no order ran"
		w.want("/after" + outside + ", /before" + outside)
		w.write("usr/bin/tool", "3")
		w.report()
		w.want("/after" + outside + ", /before" + outside + ", /usr/bin/tool" + outside)

		lost := rollout.Run{Order: "ord_2", Host: "hst_a", State: rollout.Lost, Before: &wire.Observation{At: w.now, Trees: w.see()}, EndedAt: w.now}
		w.runs = append([]rollout.Run{lost}, w.runs...)
		w.write("lost", "nobody reconciles it")
		w.report()
		w.want("/after" + outside + ", /before" + outside + ", /lost" + outside + ", /usr/bin/tool" + outside)
	})
}

// TestATreeThatComesAndGoes: a new root is taken as it is, one that is not told any more is a discrepancy, and so is a change of more
// paths than can be told.
func TestATreeThatComesAndGoes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.write("a", "1")
		w.report()
		trees := w.see()
		for _, roots := range []map[string]string{{"/": trees["/"], "/srv/jail": trees["/"]}, trees} {
			w.host.Trees, w.host.FactsAt = roots, w.now
			w.turn++
			w.must(w.Sweep(t.Context()))
			if roots["/srv/jail"] != "" {
				w.want()
			}
		}
		w.want("/srv/jail changed while no order ran, /srv/jail/a changed while no order ran")
	})
}

// TestAHostThatTellsNoFilesAnyMore: that all its trees are gone is a discrepancy as that one of them is.
func TestAHostThatTellsNoFilesAnyMore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.host.Trees, w.turn = map[string]string{}, 1
		w.must(w.Sweep(t.Context())) // it has not said anything yet
		w.write("a", "1")
		w.report()
		w.want()
		for range 2 {
			w.host.Trees, w.host.FactsAt = map[string]string{}, w.now
			w.turn++
			w.must(w.Sweep(t.Context()))
		}
		w.want("/ changed while no order ran, /a changed while no order ran")
	})
}
