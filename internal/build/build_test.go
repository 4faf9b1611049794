package build

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

type world struct {
	*Builds
	known *intake.Knowledge
	now   time.Time
	acts  []string
	facts []string // of judgements
}

func (w *world) Append(_ context.Context, _ *db.Tx, a proof.Act) (int64, error) {
	if b, err := envelope.Encode(a); err != nil || len(b) > proof.MaxEntry {
		return 0, fmt.Errorf("an act of %d bytes, %v", len(b), err)
	}
	w.acts = append(w.acts, a.Kind+" "+string(a.Detail))
	if a.Kind == "build.judged" {
		w.facts = append(w.facts, a.Facts[1])
	}
	return int64(len(w.acts)), nil
}
func (w *world) Knowledge(context.Context) (*intake.Knowledge, error) { return w.known, nil }
func (w *world) Host(_ context.Context, id string) (estate.Host, error) {
	if id != "hst_1" {
		return estate.Host{}, fault.New(fault.NotFound, "no such host")
	}
	return estate.Host{ID: id, Release: "bookworm", PackageSet: ""}, nil
}
func (w *world) PackageSet(ctx context.Context, digest string) (pkgset.Set, error) {
	b, err := blob.ReadAll(ctx, w.Blobs, digest, MaxFile)
	if err != nil {
		return nil, err
	}
	return pkgset.Parse(b)
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	blobs, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), known: &intake.Knowledge{}}
	w.Builds = Open(Config{DB: d, Ledger: w, Blobs: blobs, Estate: w, Intake: w, Now: func() time.Time { return w.now }})
	return w
}

func (w *world) state(ids ...string) {
	known := &intake.Knowledge{}
	for _, id := range ids {
		known.Statements = append(known.Statements, intake.Statement{Source: "debian-tracker", Package: "openssl", Release: "bookworm", ID: id, Status: intake.Fixed, FixedVersion: "3.0.2-1"})
	}
	known.Statements = append(known.Statements, intake.Statement{Source: "debian-tracker", Package: "openssl", Release: "trixie", ID: "CVE-2026-0009", Status: intake.Open})
	w.known = known
}

const status = "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.1-1\n\n"

// TestABuildIsAFindingWithItsOwnTime: since when it carries one, by when it must be gone; and when it is gone.
func TestABuildIsAFindingWithItsOwnTime(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		ctx := t.Context()
		w.state("CVE-2026-0001")
		x, err := w.Register(ctx, "carol", New{Name: "base-12", Days: 14, Release: "bookworm", Status: []byte(status)})
		if err != nil || len(x.Findings) != 1 || x.Findings[0].Vulnerability != "CVE-2026-0001/openssl" || !x.Findings[0].DueAt.Equal(w.now.Add(14*24*time.Hour)) {
			t.Fatalf("%+v, %v", x, err)
		}
		first := w.now
		w.now = w.now.Add(10 * 24 * time.Hour)
		w.state("CVE-2026-0001", "CVE-2026-0002")
		for range 2 {
			if err := w.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
		}
		x, err = w.Get(ctx, "base-12")
		if err != nil || len(x.Findings) != 2 || !x.Findings[0].Since.Equal(first) || !x.Findings[1].Since.Equal(w.now) {
			t.Errorf("%+v, %v", x.Findings, err)
		}
		if n := x.Overdue(first.Add(14 * 24 * time.Hour)); n != 1 {
			t.Errorf("%d overdue", n)
		}
		newer := New{Name: "base-12", Days: 14, Release: "bookworm", Status: []byte(strings.Replace(status, "3.0.1-1", "3.0.2-1", 1))}
		if _, err := w.Register(ctx, "carol", newer); fault.KindOf(err) != fault.Conflict || fault.CodeOf(err) != fault.Stale {
			t.Errorf("made where there is one: %v", err)
		}
		newer.From = x.RegisteredAt
		if _, err := w.Register(ctx, "carol", newer); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Register(ctx, "dave", newer); fault.CodeOf(err) != fault.Stale {
			t.Errorf("in place of one that is no more: %v", err)
		}
		if x, err = w.Get(ctx, "base-12"); err != nil || len(x.Findings) != 0 {
			t.Errorf("made anew: %+v, %v", x.Findings, err)
		}
		if err := w.Drop(ctx, "carol", "base-12"); err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, a := range w.acts {
			kinds = append(kinds, strings.Fields(a)[0])
		}
		if got := strings.Join(kinds, " "); got != "build.registered build.judged build.judged build.registered build.judged build.dropped" ||
			!strings.Contains(w.acts[4], `"ended":2`) {
			t.Errorf("acts %v", w.acts)
		}
		if b, err := blob.ReadAll(ctx, w.Blobs, w.facts[len(w.facts)-1], 1<<20); string(b) != `{"began":[],"ended":["CVE-2026-0001/openssl","CVE-2026-0002/openssl"]}` || err != nil {
			t.Errorf("the fact of the last judgement: %s, %v", b, err)
		}
	})
}

// TestDoubtEndsNoTime: a vulnerability of which nobody speaks clearly for a while is not out of the build, and its time goes on.
func TestDoubtEndsNoTime(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.state("CVE-2026-0001")
		x, err := w.Register(t.Context(), "carol", New{Name: "base-12", Days: 14, Release: "bookworm", Status: []byte(status)})
		if err != nil || len(x.Findings) != 1 {
			t.Fatalf("%+v, %v", x, err)
		}
		first := w.now
		look := func(what string, findings int) {
			t.Helper()
			w.now = w.now.Add(24 * time.Hour)
			if err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			x, err := w.Get(t.Context(), "base-12")
			if all := append(x.Findings, x.Undetermined...); err != nil || len(x.Findings) != findings || !all[len(all)-1].Since.Equal(first) || len(w.acts) != 2 {
				t.Errorf("%s: %+v, acts %v, %v", what, x, w.acts, err)
			}
		}
		for range 2 {
			w.state("CVE-2026-0001")
			w.known.Statements[0].Status = intake.Undetermined
			look("undetermined", 0)
		}
		w.state("CVE-2026-0001")
		look("affected again", 1)
		w.state()
		look("no source speaks of the release", 0)
		w.state("CVE-2026-0001")
		look("it speaks again", 1)
	})
}

// TestAnOldImageIsJudged: thousands of vulnerabilities at once are no more than an act may tell.
func TestAnOldImageIsJudged(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	var ids []string
	for n := range 5000 {
		ids = append(ids, fmt.Sprintf("CVE-2020-%05d", n))
	}
	w.state(ids...)
	x, err := w.Register(t.Context(), "carol", New{Name: "base-10", Days: 14, Release: "bookworm", Status: []byte(status)})
	if err != nil || len(x.Findings) != len(ids) {
		t.Errorf("%d findings, %v", len(x.Findings), err)
	}
}

func TestABuildIsRefusedAtTheDoor(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	for what, c := range map[string]struct {
		n    New
		kind fault.Kind
	}{
		"a name":        {New{Name: "../x", Days: 1, Release: "bookworm", Status: []byte(status)}, fault.Invalid},
		"no time":       {New{Name: "x", Release: "bookworm", Status: []byte(status)}, fault.Invalid},
		"no release":    {New{Name: "x", Days: 1, Status: []byte(status)}, fault.Invalid},
		"no packages":   {New{Name: "x", Days: 1, Release: "bookworm"}, fault.Invalid},
		"no status":     {New{Name: "x", Days: 1, Release: "bookworm", Status: []byte("\x00\x01")}, fault.Invalid},
		"nobody":        {New{Name: "x", Days: 1, Host: "hst_none"}, fault.NotFound},
		"a silent host": {New{Name: "x", Days: 1, Host: "hst_1"}, fault.Conflict},
	} {
		if _, err := w.Register(t.Context(), "carol", c.n); fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := w.Drop(t.Context(), "carol", "x"); fault.KindOf(err) != fault.NotFound || len(w.acts) != 0 {
		t.Errorf("%v, acts %v", err, w.acts)
	}
}
