package exposure_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

const (
	openssl      = "CVE-2026-1/openssl"
	fixedOpenssl = "3.0.17-1~deb12u2"
)

// world is a history over a real triage, ledger, blobs and database; hosts and statements are given.
type world struct {
	*exposure.Exposure
	t      testing.TB
	triage triage.Config
	ledger *ledger.Ledger
	blobs  blob.Store
	now    time.Time
	hosts  []estate.HostSet
	sets   map[string]pkgset.Set
	known  *intake.Knowledge
}

// HostSets gives all hosts each time, which is allowed; triage finds what changed.
func (w *world) HostSets(_ context.Context, since int64) ([]estate.HostSet, int64, error) {
	return w.hosts, since + 1, nil
}

func (w *world) PackageSet(_ context.Context, digest string) (pkgset.Set, error) {
	return w.sets[digest], nil
}

func (w *world) Coverage(context.Context, time.Time) (estate.Coverage, error) {
	return estate.Coverage{Hosts: len(w.hosts), Reported: len(w.hosts)}, nil
}

func (w *world) Knowledge(context.Context) (*intake.Knowledge, error) { return w.known, nil }

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
	w := &world{t: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), sets: map[string]pkgset.Set{}}
	clock := func() time.Time { return w.now }
	w.ledger, err = ledger.New(ledger.Config{DB: d, Signer: signer, Verifier: verifier, Origin: "example.org/log",
		GuardFile: filepath.Join(t.TempDir(), "guard"), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if w.blobs, err = blob.Dir(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	w.triage = triage.Config{DB: d, Ledger: w.ledger, Blobs: w.blobs, Estate: w, Intake: w, Now: clock}
	w.Exposure = exposure.New(exposure.Config{DB: d, Ledger: w.ledger, Blobs: w.blobs, Triage: triage.New(w.triage), Estate: w, Now: clock})
	w.host("hst_a", "stage", pkg("openssl", "openssl", "3.0.9-1"), pkg("libssl3", "openssl", "3.0.9-1"))
	w.host("hst_b", "production", pkg("openssl", "openssl", "3.0.9-1"), pkg("vim", "vim", "9-1"))
	w.host("hst_c", "production", pkg("openssl", "openssl", fixedOpenssl), pkg("vim", "vim", "9-1"))
	w.states(intake.Fixed, fixedOpenssl)
	return w
}

// states says what is stated of openssl's vulnerability; another of openssl is undetermined, one of vim has no fix.
func (w *world) states(status intake.Status, fixed string) {
	about := func(id, source string, status intake.Status) intake.Statement {
		return intake.Statement{Source: "t", Package: source, Release: "bookworm", ID: id, Status: status}
	}
	w.known = &intake.Knowledge{Statements: []intake.Statement{about("CVE-2026-1", "openssl", status), about("CVE-2026-2", "openssl", intake.Undetermined),
		about("CVE-2026-1", "vim", intake.Open)}}
	w.known.Statements[0].FixedVersion, w.known.Statements[2].Urgency = fixed, "low"
}

func pkg(name, source, version string) pkgset.Package {
	return pkgset.Package{Name: name, Arch: "amd64", Version: version, Source: source, SourceVersion: version}
}

func (w *world) host(id, environment string, packages ...pkgset.Package) {
	set := pkgset.Set(packages)
	slices.SortFunc(set, func(a, b pkgset.Package) int { return strings.Compare(a.Name, b.Name) })
	w.sets[set.Digest()] = set
	w.hosts = slices.DeleteFunc(w.hosts, func(h estate.HostSet) bool { return h.HostID == id })
	w.hosts = append(w.hosts, estate.HostSet{HostID: id, Release: "bookworm", Environment: environment, SetDigest: set.Digest()})
}

// look lets an hour pass and sweeps.
func (w *world) look() {
	w.t.Helper()
	w.now = w.now.Add(time.Hour)
	if err := w.Sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// restart forgets what is in memory only.
func (w *world) restart() {
	w.Triage = triage.New(w.triage)
	w.Exposure = exposure.New(w.Config)
}

func (w *world) retire(id string) {
	w.hosts[slices.IndexFunc(w.hosts, func(h estate.HostSet) bool { return h.HostID == id })].SetDigest = ""
}

func (w *world) patch(id string) { w.host(id, "production", pkg("openssl", "openssl", fixedOpenssl)) }
