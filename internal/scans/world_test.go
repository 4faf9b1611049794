package scans_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/scans"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// world is the room over real ledger, blobs, intake and triage; hosts are given.
type world struct {
	*scans.Scans
	t      *testing.T
	triage *triage.Triage
	intake *intake.Intake
	ledger *ledger.Ledger
	now    time.Time
	hosts  []estate.HostSet
	names  map[string][]string
	sets   map[string]pkgset.Set
}

func (w *world) HostSets(_ context.Context, since int64) ([]estate.HostSet, int64, error) {
	return w.hosts, since + 1, nil
}

func (w *world) PackageSet(_ context.Context, digest string) (pkgset.Set, error) {
	return w.sets[digest], nil
}

func (w *world) Coverage(context.Context, time.Time) (estate.Coverage, error) {
	return estate.Coverage{Hosts: len(w.hosts), Reported: len(w.hosts)}, nil
}

func (w *world) CurrentRoot(context.Context) (*trustroot.Root, error) {
	return nil, fault.New(fault.NotFound, "none")
}

func (w *world) Roots(context.Context, int64) ([]envelope.Envelope, error) { return nil, nil }

func (w *world) RootInForce(context.Context, *db.Tx) (warrant.RootRef, error) {
	return warrant.RootRef{}, fault.New(fault.NotFound, "none")
}

func (w *world) Known(context.Context) (map[string][]string, error) { return w.names, nil }

func (w *world) Host(_ context.Context, id string) (estate.Host, error) {
	for _, h := range w.hosts {
		if h.HostID == id {
			return estate.Host{ID: id, PackageSet: h.SetDigest}, nil
		}
	}
	return estate.Host{}, fault.New(fault.NotFound, "no host")
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	secret, verifier, err := note.GenerateKey(rand.Reader, "example.org/log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), names: map[string][]string{}, sets: map[string]pkgset.Set{}}
	clock := func() time.Time { return w.now }
	w.ledger, err = ledger.New(ledger.Config{DB: d, Signer: signer, Verifier: verifier, Origin: "example.org/log",
		GuardFile: filepath.Join(t.TempDir(), "guard"), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w.intake = intake.New(intake.Config{DB: d, Ledger: w.ledger, Blobs: blobs, Now: clock, Sources: []intake.Source{
		{Name: debian.TrackerSource, Parse: debian.Tracker(), MaxBytes: 1 << 20, MaxAge: time.Hour}}})
	w.triage = triage.New(triage.Config{DB: d, Ledger: w.ledger, Blobs: blobs, Estate: w, Intake: w.intake, Root: w, Now: clock})
	w.Scans = scans.New(scans.Config{DB: d, Ledger: w.ledger, Blobs: blobs, Estate: w, Triage: w.triage, Intake: w.intake, Now: clock})
	return w
}

// host enrols a host with packages "name version source source-version".
func (w *world) host(id, name string, packages ...string) {
	var set pkgset.Set
	for _, p := range packages {
		f := strings.Fields(p)
		set = append(set, pkgset.Package{Name: f[0], Arch: "amd64", Version: f[1], Source: f[2], SourceVersion: f[3]})
	}
	slices.SortFunc(set, func(a, b pkgset.Package) int { return strings.Compare(a.Name, b.Name) })
	w.sets[set.Digest()] = set
	w.hosts = slices.DeleteFunc(w.hosts, func(h estate.HostSet) bool { return h.HostID == id })
	w.hosts = append(w.hosts, estate.HostSet{HostID: id, Release: "bookworm", Environment: "production", SetDigest: set.Digest(),
		KernelRunning: "6.1.0-40-amd64", KernelVersion: "#1 SMP Debian 6.1.153-1 (2025-09-20)"})
	w.names[id] = []string{strings.ToLower(name), id}
}

// states feeds the tracker: "source CVE status fixed", status open, resolved or undetermined, fixed "-" for none.
func (w *world) states(records ...string) {
	w.t.Helper()
	bySource := map[string][]string{}
	for _, r := range records {
		f := strings.Fields(r)
		fixed, urgency := "", ""
		if f[3] != "-" {
			fixed = `,"fixed_version":"` + f[3] + `"`
		}
		if len(f) > 4 {
			urgency = `,"urgency":"` + f[4] + `"`
		}
		bySource[f[0]] = append(bySource[f[0]], fmt.Sprintf(`"%s":{"releases":{"bookworm":{"status":"%s"%s%s}}}`, f[1], f[2], fixed, urgency))
	}
	var sources []string
	for source, all := range bySource {
		sources = append(sources, fmt.Sprintf(`"%s":{%s}`, source, strings.Join(all, ",")))
	}
	if _, err := w.intake.Import(w.t.Context(), "", debian.TrackerSource, strings.NewReader("{"+strings.Join(sources, ",")+"}"), "file"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) imports(report []byte) scans.Report {
	w.t.Helper()
	r, _, err := w.Import(w.t.Context(), "alice", bytes.NewReader(report), scans.Delivery{From: "file"})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) compare(report string, f scans.Filter) scans.Comparison {
	w.t.Helper()
	c, err := w.Compare(w.t.Context(), report, f)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) acts(kind string) (n int) {
	w.t.Helper()
	all, err := w.ledger.List(w.t.Context(), ledger.Filter{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range all {
		if a.Act.Kind == kind {
			n++
		}
	}
	return n
}
