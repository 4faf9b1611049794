package triage_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/intake/kev"
	"github.com/patchwarrant/patchwarrant/internal/intake/openvex"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

// world is a triage over a real intake, ledger, blobs and database; hosts and the trust root are given.
type world struct {
	*triage.Triage
	t      testing.TB
	people *warranttest.World
	intake *intake.Intake
	ledger *ledger.Ledger
	blobs  blob.Store
	now    time.Time
	hosts  []estate.HostSet
	groups map[string]estate.Membership
	sets   map[string]pkgset.Set
	places map[string]trustroot.Place // of hosts

	replaced bool // another trust root came into force
}

// HostSets gives all hosts each time, which is allowed; triage finds what changed.
func (w *world) HostSets(_ context.Context, since int64) ([]estate.HostSet, int64, error) {
	return w.hosts, since + 1, nil
}

func (w *world) PackageSet(_ context.Context, digest string) (pkgset.Set, error) {
	return w.sets[digest], nil
}

func (w *world) CurrentRoot(context.Context) (*trustroot.Root, error) { return w.people.Root, nil }

// RootInForce is another one's where it was replaced meanwhile.
func (w *world) RootInForce(context.Context, *db.Tx) (warrant.RootRef, error) {
	if w.replaced {
		return warrant.RootRef{Version: w.people.Root.Version + 1}, nil
	}
	return warrant.RefOf(w.people.Root), nil
}

func (w *world) Roots(context.Context, int64) ([]envelope.Envelope, error) {
	return []envelope.Envelope{w.people.RootEnvelope}, nil
}

func (w *world) PlacesOf(_ context.Context, hosts []string) (places []trustroot.Place, err error) {
	for _, h := range hosts {
		places = append(places, w.places[h])
	}
	return places, nil
}

func (w *world) Memberships(context.Context) (map[string]estate.Membership, error) {
	return w.groups, nil
}

func (w *world) Places(context.Context) (map[string]trustroot.Place, error) { return w.places, nil }

const openssl = "CVE-2026-1/openssl"

func pkg(name, source, version string) pkgset.Package {
	return pkgset.Package{Name: name, Arch: "amd64", Version: version, Source: source, SourceVersion: version}
}

func newWorld(t testing.TB, d *db.DB) *world {
	t.Helper()
	secret, verifier, err := note.GenerateKey(rand.Reader, "example.org/log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, people: warranttest.New(t), now: warranttest.Now, sets: map[string]pkgset.Set{}}
	clock := func() time.Time { return w.now }
	w.ledger, err = ledger.New(ledger.Config{DB: d, Signer: signer, Verifier: verifier, Origin: "example.org/log",
		GuardFile: filepath.Join(t.TempDir(), "guard"), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if w.blobs, err = blob.Dir(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	w.intake = intake.New(intake.Config{DB: d, Ledger: w.ledger, Blobs: w.blobs, Now: clock, Sources: []intake.Source{
		{Name: debian.TrackerSource, Parse: debian.Tracker(), MaxBytes: 1 << 20, MaxAge: time.Hour},
		{Name: debian.ArchiveSource, Parse: debian.ParseArchive, MaxBytes: 1 << 20, MaxAge: time.Hour},
		{Name: kev.Source, Parse: kev.Parse, MaxBytes: 1 << 20, MaxAge: time.Hour},
		{Name: "others", Parse: func(r io.Reader) (intake.Reading, error) { return openvex.Parse()("v.json", r) }, MaxBytes: 1 << 20, MaxAge: time.Hour, Foreign: true},
	}})
	w.Triage = triage.New(triage.Config{DB: d, Ledger: w.ledger, Blobs: w.blobs, Estate: w, Places: w, Groups: w, Intake: w.intake, Root: w, Now: clock})
	w.host("hst_a", "stage", pkg("openssl", "openssl", "3.0.9-1"), pkg("libssl3", "openssl", "3.0.9-1"))
	w.host("hst_b", "production", pkg("openssl", "openssl", "3.0.9-1"), pkg("vim", "vim", "9-1"))
	w.host("hst_c", "production", pkg("openssl", "openssl", "3.0.17-1~deb12u2"), pkg("vim", "vim", "9-1"))
	w.imports(debian.TrackerSource, tracker("3.0.17-1~deb12u2"))
	return w
}

func tracker(fixed string) string {
	return `{"openssl":{"CVE-2026-1":{"description":"d","scope":"remote","releases":{"bookworm":{"status":"resolved","fixed_version":"` + fixed + `"}}},
	"CVE-2026-2":{"releases":{"bookworm":{"status":"undetermined"}}}},
	"vim":{"CVE-2026-1":{"releases":{"bookworm":{"status":"open","urgency":"low"}}}}}`
}

func (w *world) host(id, environment string, packages ...pkgset.Package) {
	set := pkgset.Set(packages)
	slices.SortFunc(set, func(a, b pkgset.Package) int { return strings.Compare(a.Name, b.Name) })
	w.sets[set.Digest()] = set
	w.hosts = slices.DeleteFunc(w.hosts, func(h estate.HostSet) bool { return h.HostID == id })
	w.hosts = append(w.hosts, estate.HostSet{HostID: id, Release: "bookworm", Environment: environment, SetDigest: set.Digest()})
}

func (w *world) imports(source, doc string) {
	w.t.Helper()
	if _, err := w.intake.Import(w.t.Context(), "", source, strings.NewReader(doc), "file"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) view() triage.View {
	w.t.Helper()
	v, err := w.Vulnerabilities(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) draft(who string, d triage.Decision) []byte {
	w.t.Helper()
	payload, err := w.Draft(w.t.Context(), who, d)
	if err != nil {
		w.t.Fatal(err)
	}
	return payload
}

// decide has who decide, and whoever else is needed agree.
func (w *world) decide(who string, d triage.Decision) triage.Decision {
	w.t.Helper()
	people := []string{who}
	if len(triage.Seats(d.Kind)) > 1 {
		people = append(people, map[string]string{"alice": "bob", "bob": "alice", "dave": "alice"}[who])
	}
	made, err := w.Decide(w.t.Context(), who, w.people.Sign(triage.DecisionType, w.draft(who, d), people...))
	if err != nil {
		w.t.Fatal(err)
	}
	return made.Decision
}

func (w *world) sweep() {
	w.t.Helper()
	if err := w.Sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// inForce gives kind and scope of the decisions in force on openssl's vulnerability.
func (w *world) inForce() []string {
	var all []string
	for _, r := range w.view().Rows {
		for _, d := range r.Decisions {
			if r.Name == openssl {
				all = append(all, d.Kind+" "+d.Scope)
			}
		}
	}
	return all
}

// acts gives the acts on openssl's vulnerability, IDs replaced.
func (w *world) acts(decisions ...triage.Decision) []string {
	w.t.Helper()
	entries, err := w.ledger.List(w.t.Context(), ledger.Filter{Subject: "vulnerability/" + openssl})
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		text := e.Act.Who + " " + e.Act.Kind + " " + string(e.Act.Detail)
		for i, d := range decisions {
			text = strings.ReplaceAll(text, d.ID, fmt.Sprint("#", i))
		}
		all = append(all, text)
	}
	return all
}

func TestViewShowsBothNumbers(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.imports(kev.Source, `{"count":1,"vulnerabilities":[{"cveID":"CVE-2026-1","vulnerabilityName":"n","dateAdded":"2026-01-02"}]}`)
	v := w.view()
	if v.Hosts != 3 || v.Findings != 4 || v.Vulnerabilities != 2 || v.Undecided != 2 || len(v.Unjudged) != 0 {
		t.Errorf("view %+v", v)
	}
	var got []string
	for _, r := range v.Rows {
		got = append(got, fmt.Sprintf("%s %d %d %q exploited:%v", r.Name, r.Affected, r.Undetermined, r.Releases[0].Fixed, r.Exploited != nil))
	}
	want := []string{
		`CVE-2026-1/openssl 2 0 "3.0.17-1~deb12u2" exploited:true`,
		`CVE-2026-2/openssl 0 3 "" exploited:false`,
		`CVE-2026-1/vim 2 0 "" exploited:true`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	w.host("hst_b", "production", pkg("vim", "vim", "9-1"))
	w.hosts[slices.IndexFunc(w.hosts, func(h estate.HostSet) bool { return h.HostID == "hst_c" })].SetDigest = ""
	if v := w.view(); v.Hosts != 2 || v.Findings != 2 {
		t.Errorf("after a change of one host and the end of another: %d hosts, %d findings", v.Hosts, v.Findings)
	}
}

func TestDeciding(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		first := w.decide("alice", triage.Decision{Vulnerability: openssl, Kind: triage.Accept, Scope: triage.FleetScope, Reason: "patch it"})
		accepted, err := w.Accepted(t.Context())
		if err != nil || len(accepted) != 1 {
			t.Fatalf("accepted %+v, %v", accepted, err)
		}
		kept, err := blob.ReadAll(t.Context(), w.blobs, accepted[0].Envelope, 1<<20)
		if err != nil || !strings.Contains(string(kept), `"payloadType":"`+triage.DecisionType) {
			t.Errorf("the signed envelope is not kept: %s %v", kept, err)
		}
		for _, digest := range first.Facts {
			if ok, err := w.blobs.Has(t.Context(), digest); err != nil || !ok {
				t.Errorf("the cited fact %s is not kept: %v", digest, err)
			}
		}
		accepted[0].Envelope = ""
		want := triage.Accepted{Decision: first.ID, Vulnerability: openssl, Person: "alice", Source: "openssl", Release: "bookworm", FixedVersion: "3.0.17-1~deb12u2"}
		if d := cmp.Diff(want, accepted[0]); d != "" {
			t.Error(d)
		}
		if v := w.view(); v.Undecided != 1 {
			t.Errorf("%d undecided, want 1", v.Undecided)
		}

		w.now = w.now.Add(time.Hour)
		second := w.decide("bob", triage.Decision{Vulnerability: openssl, Kind: triage.Reject, Scope: triage.FleetScope, Reason: "not this build"})
		third := w.decide("bob", triage.Decision{Vulnerability: openssl, Kind: triage.Defer, Scope: "environment/stage", Reason: "later", Until: w.now.Add(time.Hour)})
		if d := cmp.Diff([]string{"defer environment/stage", "reject fleet"}, w.inForce()); d != "" {
			t.Error(d)
		}
		if accepted, _ := w.Accepted(t.Context()); len(accepted) != 0 {
			t.Errorf("an undone acceptance still counts: %+v", accepted)
		}
		c, err := w.Case(t.Context(), openssl, verdict.HostPage{})
		if err != nil {
			t.Fatal(err)
		}
		var hosts []string
		for _, h := range c.Hosts {
			hosts = append(hosts, fmt.Sprint(h.Host, " ", h.Verdict.Status, " ", h.Decision == second.ID, " ", h.Decision == third.ID))
		}
		if d := cmp.Diff([]string{"hst_a affected false true", "hst_b affected true false", "hst_c not-affected true false"}, hosts); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(map[verdict.Status]int{verdict.Affected: 2, verdict.NotAffected: 1}, c.Counts); d != "" {
			t.Error(d)
		}
		if len(c.History) != 3 || c.History[0].Ended != "superseded by "+second.ID {
			t.Errorf("history %+v", c.History)
		}
		wantActs := []string{
			`person/alice decision.made {"decision":"#0","kind":"accept","scope":"fleet"}`,
			`person/bob decision.made {"decision":"#1","kind":"reject","scope":"fleet","supersedes":"#0"}`,
			`person/bob decision.made {"decision":"#2","kind":"defer","scope":"environment/stage","until":"2026-11-21T14:00:00Z"}`,
		}
		if d := cmp.Diff(wantActs, w.acts(first, second, third)); d != "" {
			t.Error(d)
		}
	})
}

func TestSweepReopens(t *testing.T) {
	accept := triage.Decision{Vulnerability: openssl, Kind: triage.Accept, Scope: triage.FleetScope, Reason: "patch it"}
	cases := []struct {
		name   string
		decide triage.Decision
		change func(w *world)
		why    string // "": it stays in force
	}{
		{"nothing changed", accept, func(w *world) { w.now = w.now.Add(1000 * time.Hour) }, ""},
		{"the fixed version changed", accept, func(w *world) { w.imports(debian.TrackerSource, tracker("3.0.18-1")) }, "the facts it rests on changed"},
		{"only words changed", accept, func(w *world) {
			w.imports(debian.TrackerSource, strings.Replace(tracker("3.0.17-1~deb12u2"), `"d"`, `"other words"`, 1))
		}, ""},
		{"it is exploited now", accept, func(w *world) {
			w.imports(kev.Source, `{"count":1,"vulnerabilities":[{"cveID":"CVE-2026-1","vulnerabilityName":"n","dateAdded":"2026-01-02"}]}`)
		}, "the facts it rests on changed"},
		{"a source that does not lead agrees", accept, func(w *world) {
			w.imports(debian.ArchiveSource, `{"release":"bookworm","sources":[{"source":"openssl","entries":[{"version":"3.0.17-1~deb12u2","cves":["CVE-2026-1"]}]}]}`)
		}, ""},
		{"the term ended", triage.Decision{Vulnerability: openssl, Kind: triage.Defer, Scope: triage.FleetScope, Reason: "later", Until: warranttest.Now.Add(time.Hour)},
			func(w *world) { w.now = w.now.Add(time.Hour) }, "its term ended"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, dbtest.Open(t))
			d := w.decide("alice", c.decide)
			w.sweep()
			c.change(w)
			w.sweep()
			w.sweep() // once is enough
			acts := w.acts(d)
			if c.why == "" {
				if len(acts) != 1 || len(w.inForce()) != 1 {
					t.Errorf("acts %q", acts)
				}
				return
			}
			want := `server decision.reopened {"decision":"#0","why":"` + c.why + `"}`
			if len(acts) != 2 || acts[1] != want || len(w.inForce()) != 0 {
				t.Errorf("acts %q, in force %q", acts, w.inForce())
			}
		})
	}
}

// TestARootOfAHostIsMatchedOnItsOwn: a chroot that stayed behind is a finding of its host, with the root named, and goes when
// the root goes. What no kernel runs in has no kernel that is affected.
func TestARootOfAHostIsMatchedOnItsOwn(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	set := pkgset.Set{pkg("linux-image-6.1.0-1-amd64", "linux", "6.1.1-1"), pkg("openssl", "openssl", "3.0.9-1")}
	w.sets[set.Digest()] = set
	at := slices.IndexFunc(w.hosts, func(h estate.HostSet) bool { return h.HostID == "hst_c" })
	root := estate.HostSet{HostID: "hst_c", Root: "/srv/chroot", Release: "bookworm", Environment: "production", SetDigest: set.Digest()}
	before := w.view()
	w.hosts = slices.Insert(w.hosts, at+1, root)
	w.imports(debian.TrackerSource, strings.Replace(tracker("3.0.17-1~deb12u2"), `"vim":`, `"linux":{"CVE-2026-3":{"releases":{"bookworm":{"status":"open"}}}},"vim":`, 1))
	if v := w.view(); v.Hosts != before.Hosts || v.Findings != before.Findings+1 {
		t.Errorf("%d hosts with %d findings; without the root %d and %d", v.Hosts, v.Findings, before.Hosts, before.Findings)
	}
	findings, err := w.Findings(t.Context(), "hst_c")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range findings {
		got = append(got, fmt.Sprintf("%s/%s in %q: %s", f.ID, f.Source, f.Root, f.Verdict.Status))
	}
	want := []string{`CVE-2026-2/openssl in "": undetermined`, `CVE-2026-1/vim in "": affected`,
		`CVE-2026-3/linux in "/srv/chroot": undetermined`, `CVE-2026-1/openssl in "/srv/chroot": affected`, `CVE-2026-2/openssl in "/srv/chroot": undetermined`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	c, err := w.Case(t.Context(), openssl, verdict.HostPage{Status: verdict.Affected, After: "hst_c"})
	if err != nil || len(c.Hosts) != 1 || c.Hosts[0].Host != "hst_c" || c.Hosts[0].Root != "/srv/chroot" {
		t.Errorf("the case has %+v (%v)", c.Hosts, err)
	}
	w.hosts = slices.Delete(w.hosts, at+1, at+2)
	if v := w.view(); v.Hosts != before.Hosts || v.Findings != before.Findings {
		t.Errorf("after the root went: %d hosts with %d findings", v.Hosts, v.Findings)
	}
}
