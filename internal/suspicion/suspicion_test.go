package suspicion

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/scans"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// world is Suspicions over a real database and a real intake; two CIRT analysts, a host with nginx.
type world struct {
	*Suspicions
	intake *intake.Intake
	now    time.Time
	acts   []proof.Act
	tests  []scans.Report
	bytes  map[string]string
}

func (w *world) Append(_ context.Context, _ *db.Tx, a proof.Act) (int64, error) {
	w.acts = append(w.acts, a)
	return int64(len(w.acts)), nil
}

func (w *world) CurrentRoot(context.Context) (*trustroot.Root, error) {
	return &trustroot.Root{People: []trustroot.Person{{ID: "alice", Roles: []string{"cirt-analyst"}}, {ID: "anna", Roles: []string{"cirt-analyst"}},
		{ID: "frank", Roles: []string{"auditor"}}}}, nil
}

func (w *world) Known(context.Context) (map[string][]string, error) {
	return map[string][]string{"hst_1": {"hst_1", "web1"}}, nil
}
func (w *world) Host(context.Context, string) (estate.Host, error) {
	return estate.Host{ID: "hst_1", Name: "web1", Release: "bookworm", PackageSet: "set"}, nil
}
func (w *world) PackageSet(context.Context, string) (pkgset.Set, error) {
	return pkgset.Set{{Name: "nginx-core", Source: "nginx", Version: "1.22-1"}}, nil
}
func (w *world) Case(_ context.Context, vulnerability string, _ verdict.HostPage) (triage.Case, error) {
	if vulnerability != "CVE-2026-0001/openssl" {
		return triage.Case{}, fault.New(fault.NotFound, "no source states anything")
	}
	return triage.Case{Name: vulnerability}, nil
}
func (w *world) PenTests(context.Context) ([]scans.Report, error) { return w.tests, nil }
func (w *world) Bytes(_ context.Context, report string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(w.bytes[report])), nil
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	blobs, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), bytes: map[string]string{}}
	now := func() time.Time { return w.now }
	w.intake = intake.New(intake.Config{DB: d, Ledger: w, Blobs: blobs, Sources: []intake.Source{Source}, Now: now})
	w.Suspicions = New(Config{DB: d, Ledger: w, Root: w, Estate: w, Triage: w, Scans: w, Intake: w.intake, Now: now})
	return w
}

// told gives the kinds of the acts since it was last asked.
func (w *world) told() string {
	var kinds []string
	for _, a := range w.acts {
		kinds = append(kinds, a.Kind)
	}
	w.acts = nil
	return strings.Join(kinds, " ")
}

var claim = Claim{Title: "The login page takes any password", Host: "web1", Noticed: "typed the wrong one"}

// report has frank report something.
func (w *world) report(t *testing.T) Suspicion {
	t.Helper()
	s, err := w.Report(t.Context(), "frank", claim, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTheClockRunsByItself: nobody takes it, nobody answers; each alarm is told once, and only the owner's answer stops the clock.
func TestTheClockRunsByItself(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		ctx := t.Context()
		s := w.report(t)
		if !s.DueAt.Equal(w.now.Add(24*time.Hour)) || w.told() != "suspicion.reported" {
			t.Errorf("%+v", s)
		}
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{Unowned - time.Second, ""}, {time.Second, "suspicion.unowned"}, {Clock - Unowned - time.Second, ""}, {time.Second, "suspicion.overdue"},
			{Clock, "suspicion.escalated"}, {Clock, ""}} {
			w.now = w.now.Add(step.after)
			for range 2 {
				if err := w.Sweep(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if got := w.told(); got != step.want {
				t.Errorf("at %s: %q, want %q", w.now, got, step.want)
			}
		}
		none := Answer{Kind: IsNone, Reason: "that is the test page"}
		if _, err := w.Answer(ctx, "alice", s.ID, none); fault.KindOf(err) != fault.Conflict {
			t.Errorf("an answer without an owner: %v", err)
		}
		if _, err := w.Assign(ctx, "alice", s.ID, "frank"); fault.KindOf(err) != fault.Invalid {
			t.Errorf("an owner who is no analyst: %v", err)
		}
		if _, err := w.Assign(ctx, "anna", s.ID, "alice"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Answer(ctx, "anna", s.ID, none); fault.KindOf(err) != fault.Denied {
			t.Errorf("an answer by somebody else: %v", err)
		}
		if s, err := w.Answer(ctx, "alice", s.ID, none); err != nil || s.State != Answered || !s.AnsweredAt.Equal(w.now) {
			t.Fatalf("%+v, %v", s, err)
		}
		if got := w.told(); got != "suspicion.assigned suspicion.answered" {
			t.Error(got)
		}
		w.now = w.now.Add(time.Hour)
		if _, err := w.Answer(ctx, "alice", s.ID, Answer{Kind: IsVulnerability, Vulnerability: "CVE-2026-0001/openssl", Reason: "looked again"}); err != nil {
			t.Fatal(err)
		}
		got, err := w.Get(ctx, Reader{Person: "frank"}, s.ID)
		if err != nil || got.Answer.Vulnerability != "CVE-2026-0001/openssl" || !got.AnsweredAt.Equal(w.now.Add(-time.Hour)) || len(got.Steps) != 7 {
			t.Errorf("%+v, %v", got, err)
		}
		if _, n, err := w.List(ctx, Reader{All: true}, Page{State: Open, Limit: 10}); err != nil || n != (Counts{Answered: 1}) {
			t.Errorf("%+v, %v", n, err)
		}
	})
}

// TestAnswersThatSayNothing are refused, and the clock goes on.
func TestAnswersThatSayNothing(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	a, b := w.report(t), w.report(t)
	for _, s := range []Suspicion{a, b} {
		if _, err := w.Assign(t.Context(), "alice", s.ID, "alice"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Answer(t.Context(), "alice", b.ID, Answer{Kind: IsDuplicate, Of: a.ID, Reason: "same page"}); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		a    Answer
		kind fault.Kind
	}{
		"no reason":            {Answer{Kind: IsNone}, fault.Invalid},
		"no kind":              {Answer{Reason: "x"}, fault.Invalid},
		"no vulnerability":     {Answer{Kind: IsVulnerability, Reason: "x"}, fault.Invalid},
		"both":                 {Answer{Kind: IsVulnerability, Vulnerability: "CVE-2026-0001/openssl", New: &Ours{}, Reason: "x"}, fault.Invalid},
		"an unknown one":       {Answer{Kind: IsVulnerability, Vulnerability: "CVE-2026-9999/openssl", Reason: "x"}, fault.NotFound},
		"a duplicate of none":  {Answer{Kind: IsDuplicate, Of: "sus_none", Reason: "x"}, fault.NotFound},
		"of itself":            {Answer{Kind: IsDuplicate, Of: a.ID, Reason: "x"}, fault.Conflict},
		"in a circle":          {Answer{Kind: IsDuplicate, Of: b.ID, Reason: "x"}, fault.Conflict},
		"hidden text":          {Answer{Kind: IsNone, Reason: "fine \u202e"}, fault.Invalid},
		"none of a name":       {Answer{Kind: IsNone, Vulnerability: "CVE-2026-0001/openssl", Reason: "x"}, fault.Invalid},
		"new, nowhere":         {Answer{Kind: IsVulnerability, New: &Ours{Title: "t", Package: "nginx"}, Reason: "x"}, fault.Invalid},
		"new, no such host":    {Answer{Kind: IsVulnerability, New: &Ours{Title: "t", Package: "nginx", Hosts: []string{"web9"}}, Reason: "x"}, fault.Invalid},
		"new, not on the host": {Answer{Kind: IsVulnerability, New: &Ours{Title: "t", Package: "apache2", Hosts: []string{"web1"}}, Reason: "x"}, fault.Invalid},
		"new, no version":      {Answer{Kind: IsVulnerability, New: &Ours{Title: "t", Package: "nginx", Affected: []Affected{{Release: "bookworm", Fixed: "1 2"}}}, Reason: "x"}, fault.Invalid},
	} {
		if _, err := w.Answer(t.Context(), "alice", a.ID, c.a); fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s, err := w.Get(t.Context(), Reader{All: true}, a.ID); err != nil || s.State != Open {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestANewVulnerabilityIsStated: it gets an identifier of ours and a statement, follows later answers, and nobody but the server
// feeds its source.
func TestANewVulnerabilityIsStated(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		ctx := t.Context()
		stated := func() (all []string) {
			t.Helper()
			for range 2 {
				if err := w.Publish(ctx); err != nil {
					t.Fatal(err)
				}
			}
			k, err := w.intake.Knowledge(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range k.Statements {
				all = append(all, fmt.Sprint(s.Source, " ", s.ID, " ", s.Package, " ", s.Release, " ", s.Status, " ", s.FixedVersion, " ", s.Urgency))
			}
			return all
		}
		if got := stated(); len(got) != 0 {
			t.Errorf("%v", got)
		}
		var made []string
		for _, n := range []Ours{{Title: "Any password opens the door", Package: "nginx", Severity: "high", Hosts: []string{"WEB1"}},
			{Title: "Another", Package: "gate", Affected: []Affected{{Release: "trixie", Fixed: "2.0-1"}}}} {
			s := w.report(t)
			if _, err := w.Assign(ctx, "alice", s.ID, "alice"); err != nil {
				t.Fatal(err)
			}
			s, err := w.Answer(ctx, "alice", s.ID, Answer{Kind: IsVulnerability, New: &n, Reason: "seen on the host"})
			if err != nil {
				t.Fatal(err)
			}
			made = append(made, s.ID)
			if want := fmt.Sprintf("PW-2026-%04d/%s", len(made), n.Package); s.Answer.Vulnerability != want {
				t.Errorf("%s, want %s", s.Answer.Vulnerability, want)
			}
		}
		if got := stated(); !slices.Equal(got, []string{"own PW-2026-0001 nginx bookworm open  high", "own PW-2026-0002 gate trixie fixed 2.0-1 "}) {
			t.Errorf("%q", got)
		}
		if _, err := w.Answer(ctx, "alice", made[1], Answer{Kind: IsNone, Reason: "no: looked again"}); err != nil {
			t.Fatal(err)
		}
		again := &Ours{Title: "Any password opens the door", Package: "nginx", Severity: "high", Affected: []Affected{{Release: "bookworm", Fixed: "1.22-2"}}}
		if s, err := w.Answer(ctx, "alice", made[0], Answer{Kind: IsVulnerability, New: again, Reason: "fixed"}); err != nil || s.Answer.Vulnerability != "PW-2026-0001/nginx" {
			t.Errorf("%+v, %v", s.Answer, err)
		}
		if got := stated(); !slices.Equal(got, []string{"own PW-2026-0001 nginx bookworm fixed 1.22-2 high", "own PW-2026-0002 gate trixie not-affected  "}) {
			t.Errorf("%q", got)
		}
		if _, err := w.intake.Import(ctx, "erin", intake.Own, strings.NewReader("[]"), "file"); fault.KindOf(err) != fault.Denied {
			t.Errorf("a person feeds the source: %v", err)
		}
	})
}

// TestWhoReads: everyone their own, those who read all the rest; and the ledger, which everyone reads, tells nothing of it.
func TestWhoReads(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	ctx := t.Context()
	s, err := w.Report(ctx, "frank", Claim{Title: "secret-title", Place: "secret-place", Noticed: "secret-text"}, "secret-name.txt", []byte("secret-bytes"))
	if err != nil {
		t.Fatal(err)
	}
	for reader, want := range map[Reader]fault.Kind{{Person: "frank"}: "", {Person: "alice", All: true}: "", {Person: "bob"}: fault.NotFound} {
		_, err := w.Get(ctx, reader, s.ID)
		b, attached := w.Attached(ctx, reader, s.ID)
		all, n, listed := w.List(ctx, reader, Page{Limit: 10})
		if want == "" && (err != nil || attached != nil || string(b) != "secret-bytes" || len(all) != 1 || n.Open != 1) {
			t.Errorf("%v: %v %v %q %v %v %v", reader, err, attached, b, all, n, listed)
		}
		if want != "" && (fault.KindOf(err) != want || fault.KindOf(attached) != want || len(all) != 0 || n != (Counts{})) {
			t.Errorf("%v: %v %v %v %v", reader, err, attached, all, n)
		}
	}
	if _, err := w.Assign(ctx, "alice", s.ID, "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Answer(ctx, "alice", s.ID, Answer{Kind: IsNone, Reason: "secret-reason"}); err != nil {
		t.Fatal(err)
	}
	if b, _ := json.Marshal(w.acts); bytes.Contains(b, []byte("secret")) || len(w.acts) != 3 {
		t.Errorf("the ledger tells %s", b)
	}
	for _, a := range w.acts {
		if len(a.Facts) != 0 {
			t.Errorf("a fact, which everyone who audits reads: %v", a.Facts)
		}
	}
}

// TestAFloodIsBounded: per person and day, by size, and by form.
func TestAFloodIsBounded(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	for range MaxPerDay {
		w.report(t)
	}
	if _, err := w.Report(t.Context(), "frank", claim, "", nil); fault.KindOf(err) != fault.Conflict {
		t.Errorf("one more: %v", err)
	}
	if _, err := w.Report(t.Context(), "bob", claim, "", nil); err != nil {
		t.Errorf("another person: %v", err)
	}
	w.now = w.now.Add(24*time.Hour + time.Second)
	w.report(t)
	long := strings.Repeat("x", maxText+1)
	for what, c := range map[string]struct {
		Claim
		name     string
		attached []byte
	}{
		"nothing":         {Claim{Host: "h", Noticed: "n"}, "", nil},
		"nowhere":         {Claim{Title: "t", Noticed: "n"}, "", nil},
		"long":            {Claim{Title: "t", Host: "h", Noticed: long}, "", nil},
		"two lines":       {Claim{Title: "t\nu", Host: "h", Noticed: "n"}, "", nil},
		"control":         {Claim{Title: "t", Host: "h\x1b[2J", Noticed: "n"}, "", nil},
		"rearranged":      {Claim{Title: "t", Host: "h", Noticed: "a\u202eb"}, "", nil},
		"not UTF-8":       {Claim{Title: "t", Host: "h", Noticed: "\xff"}, "", nil},
		"large":           {Claim{Title: "t", Host: "h", Noticed: "n"}, "x", make([]byte, MaxEvidence+1)},
		"a file unnamed":  {Claim{Title: "t", Host: "h", Noticed: "n"}, "", []byte("x")},
		"a hostile name ": {Claim{Title: "t", Host: "h", Noticed: "n"}, "x\r\nSet-Cookie: y", []byte("x")},
	} {
		if _, err := w.Report(t.Context(), "carol", c.Claim, c.name, c.attached); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestFindingsOfAPenetrationTest: each becomes a suspicion whose clock runs from the import, once.
func TestFindingsOfAPenetrationTest(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.tests = []scans.Report{{ID: "scn_1", Format: "pentest", ImportedBy: "erin", ImportedAt: w.now.Add(-time.Hour)}}
		w.bytes["scn_1"] = "title,severity,cve,host,evidence,tester,date\nDefault password,High,,web1,\"admin:admin\nworks\",Red,2026-11-19\nOld OpenSSL,Medium,CVE-2026-0001,web1,,Red,2026-11-19\n,,,,,,\n"
		for range 2 {
			if err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		all, n, err := w.List(t.Context(), Reader{All: true}, Page{Limit: 10})
		if err != nil || n.Open != 2 || n.Unowned != 2 || len(all) != 2 {
			t.Fatalf("%+v %+v %v", all, n, err)
		}
		slices.SortFunc(all, func(a, b Suspicion) int { return a.Finding.N - b.Finding.N })
		if s := all[0]; s.Title != "Default password" || s.Host != "web1" || s.Noticed != "admin:admin\nworks" || s.Finding.Tester != "Red" || s.Finding.Severity != "high" ||
			!s.DueAt.Equal(w.now.Add(23*time.Hour)) || s.Reporter != "erin" {
			t.Errorf("%+v %+v", s, s.Finding)
		}
		if s := all[1]; !slices.Equal(s.Finding.CVEs, []string{"CVE-2026-0001"}) {
			t.Errorf("%+v", s.Finding)
		}
		if got := w.told(); got != "suspicion.reported suspicion.reported" {
			t.Error(got)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`[{"id":"PW-2026-0001","suspicion":"sus_1","title":"t","package":"nginx","severity":"high","affected":[{"release":"bookworm"}]}]`))
	f.Add([]byte(`[{"id":"PW-2026-0001","suspicion":"s","title":"t","package":"a1","affected":[{"release":"rhel-9","fixed_version":"1:2-3","rpm":true}],"withdrawn":true}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(bytes.NewReader(b))
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v", err)
		}
		for _, s := range r.Statements {
			if err == nil && (!ownForm.MatchString(s.ID) || s.Package == "" || s.Release == "") {
				t.Errorf("%+v", s)
			}
		}
	})
}

// TestOfAnyPackage: rpm's source packages have names that Debian's have not.
func TestOfAnyPackage(t *testing.T) {
	for name, good := range map[string]bool{"NetworkManager": true, "mod_http2": true, "R": true, "libstdc++-v3": true, "": false, "-x": false, "a b": false, "a/b": false, "<b>": false} {
		n := Ours{Title: "x", Package: name, Affected: []Affected{{Release: "rhel-9", RPM: true, Fixed: "1:1.40-2.el9"}}}
		if err := n.check(); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
