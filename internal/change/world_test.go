package change

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// world is a server with a stage and a production host, a curated snapshot, and an integrity room that says what it is told.
type world struct {
	*Changes
	t              *testing.T
	people         *warranttest.World
	log            *ledger.Ledger
	now            time.Time
	key            ed25519.PrivateKey
	snapshot       curation.Snapshot
	packages       []deb.IndexEntry
	promoted       string
	showed         []explain.Staged // on stage
	meanwhile      *trustroot.Root  // came into force after the last reading
	investigations []integrity.Investigation
	reconciled     string                     // the last run that was
	installed      string                     // version of hello on every host
	unit           string                     // of every host
	roots          map[string]estate.HostRoot // of hst_p
	copies         wire.Inventory             // of those of them that have copies
	ships          explain.Contents           // of any package
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) CurrentRoot(context.Context) (*trustroot.Root, error) { return w.people.Root, nil }
func (w *world) RootInForce(context.Context, *db.Tx) (warrant.RootRef, error) {
	if w.meanwhile != nil {
		return warrant.RefOf(w.meanwhile), nil
	}
	return warrant.RefOf(w.people.Root), nil
}
func (w *world) Channel(context.Context, string) (string, error)           { return w.promoted, nil }
func (w *world) Roots(context.Context, int64) ([]envelope.Envelope, error) { return nil, nil }
func (w *world) Carry(context.Context, string) ([]wire.File, error)        { return nil, nil }

func (w *world) Snapshot(_ context.Context, digest string) (curation.Snapshot, error) {
	if digest != w.snapshot.Ref.SHA256 {
		return curation.Snapshot{}, fault.New(fault.NotFound, "no such snapshot")
	}
	return w.snapshot, nil
}

func (w *world) Packages(context.Context, string) ([]deb.IndexEntry, error) { return w.packages, nil }

func (w *world) host(id, environment string) estate.Host {
	key := base64.StdEncoding.EncodeToString(w.key.Public().(ed25519.PublicKey))
	return estate.Host{ID: id, Environment: environment, Distribution: "debian", Release: "bookworm", Arch: "amd64", PackageSet: "set", ReportKey: key, SeenReportKey: key}
}

func (w *world) Hosts(context.Context) ([]estate.Host, error) {
	observer := w.host("hst_o", "production")
	observer.ReportKey = ""
	p := w.host("hst_p", "production")
	p.Roots = w.roots
	return []estate.Host{w.host("hst_s", "stage"), p, w.host("hst_q", "production"), observer}, nil
}

func (w *world) Host(_ context.Context, id string) (estate.Host, error) { return w.host(id, ""), nil }

// PlacesOf has stage in one zone and production in another.
func (w *world) PlacesOf(_ context.Context, hosts []string) (places []trustroot.Place, err error) {
	for _, h := range hosts {
		if p := (trustroot.Place{Platform: "debian", Unit: w.unit, Zone: h[:5]}); !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	return places, nil
}

// PackageSet has what is installed on every host, and version 1.0 in other roots, but for those without packages.
func (w *world) PackageSet(_ context.Context, digest string) (pkgset.Set, error) {
	version := w.installed
	switch digest {
	case "inside":
		version = "1.0"
	case "none":
		return pkgset.Set{}, nil
	}
	return pkgset.Set{{Name: "hello", Arch: "amd64", Version: version}}, nil
}

func (w *world) InventoryOf(context.Context, string) (wire.Inventory, error) { return w.copies, nil }

func (w *world) Contents(_ context.Context, pkg string) (explain.Contents, error) {
	w.ships.SHA256 = pkg
	return w.ships, nil
}

func (w *world) MakeManifest(context.Context, warrant.Order, []integrity.Run) (string, error) {
	return envelope.Digest([]byte("manifest")), nil
}

func (w *world) Manifest(_ context.Context, digest string) (explain.Manifest, error) {
	if digest != envelope.Digest([]byte("manifest")) {
		return explain.Manifest{}, fault.New(fault.NotFound, "no such manifest")
	}
	return explain.Manifest{Changes: w.showed}, nil
}

func (w *world) Reconcile(_ context.Context, o warrant.Order, runs []integrity.Run) (integrity.Reconciliation, error) {
	for _, r := range runs {
		w.reconciled = r.Host + " of " + o.ID
	}
	return integrity.Reconciliation{Order: o.ID, Clean: len(w.investigations) == 0}, nil
}

func (w *world) Investigations(context.Context) ([]integrity.Investigation, error) {
	return w.investigations, nil
}

func begin(t *testing.T, d *db.DB) *world {
	t.Helper()
	w := &world{t: t, people: warranttest.New(t), now: warranttest.Now, installed: "1.0"}
	var err error
	_, w.key, err = ed25519.GenerateKey(nil)
	w.ok(err)
	clock := func() time.Time { return w.now }
	w.log, err = ledger.New(ledger.Config{DB: d, Signer: w.people.Log.Signer, Verifier: w.people.Log.VerifierKey,
		Origin: warranttest.Origin, GuardFile: filepath.Join(t.TempDir(), "guard"), Now: clock})
	w.ok(err)
	blobs, err := blob.Dir(t.TempDir())
	w.ok(err)
	hello := warranttest.Package("hello", "2.0", []byte("deb"))
	record := w.people.Record([]byte("index"), hello)
	payload, err := record.Encode()
	w.ok(err)
	stored, err := envelope.Encode(w.people.Sign(warrant.CurationType, payload, "alice", "bob"))
	w.ok(err)
	signed, err := blob.PutBytes(t.Context(), blobs, stored)
	w.ok(err)
	w.snapshot = curation.Snapshot{Envelope: signed,
		Ref: warrant.SnapshotRef{SHA256: record.Snapshot, Index: record.Index, Curation: envelope.Digest(payload)}}
	w.packages = []deb.IndexEntry{{Name: "hello", Arch: "amd64", Version: "2.0", Filename: hello.File, Size: hello.Size, SHA256: hello.SHA256}}
	rollouts := rollout.New(rollout.Config{DB: d, Ledger: w.log, Blobs: blobs, Roots: w, Files: w, Hosts: w, Now: clock})
	w.Changes = New(Config{DB: d, Ledger: w.log, Blobs: blobs, Root: w, Curation: w, Estate: w, Rollouts: rollouts,
		Integrity: w, Now: clock, NoticeHours: DefaultNoticeHours})
	return w
}

func (w *world) proposal(kind string) Proposal {
	p := Proposal{
		Kind: kind, Snapshot: w.snapshot.Ref.SHA256, Reason: "CVE-2026-0001", Plan: "upgrade hello", BackOut: "downgrade hello",
		Window: warrant.Window{OpensAt: w.now, ClosesAt: w.now.Add(time.Hour)},
	}
	if kind != Stage {
		p.Class = trustroot.Routine
		p.Notices = []warrant.Notice{{At: w.now.Add(-72 * time.Hour), Audience: "owners"}}
	}
	return p
}

func (w *world) propose(p Proposal) Order {
	w.t.Helper()
	o, _, err := w.Propose(w.t.Context(), "bob", p)
	w.ok(err)
	return o
}

func (w *world) sign(person string, o Order) error {
	w.t.Helper()
	s, err := sshkey.Sign(w.people.Signers[person], warrant.OrderType, o.Payload)
	w.ok(err)
	_, err = w.Approve(w.t.Context(), person, o.ID, s)
	return err
}

func (w *world) approve(o Order) {
	w.t.Helper()
	w.ok(w.sign("alice", o))
	w.ok(w.sign("carol", o))
}

// carryOut has every host of the order report the outcome, and settles.
func (w *world) carryOut(o Order, outcome string) {
	w.t.Helper()
	for _, host := range o.Transactions[0].Hosts {
		offer, err := w.Rollouts.Offer(w.t.Context(), host, 1)
		w.ok(err)
		if offer != nil {
			w.ok(w.report(o, host, outcome))
		}
	}
	w.ok(w.Settle(w.t.Context()))
}

// report has a host tell an order's outcome.
func (w *world) report(o Order, host, outcome string) error {
	w.t.Helper()
	payload, err := warrant.Report{Host: host, Order: o.ID, OrderDigest: o.Digest, Outcome: outcome, BegunAt: w.now, EndedAt: w.now,
		Packages: []warrant.Observed{}}.Encode()
	w.ok(err)
	return w.Rollouts.Report(w.t.Context(), host, wire.Report{Order: o.ID, Envelope: envelope.Envelope{PayloadType: warrant.ReportType,
		Payload: payload, Signatures: []envelope.Signature{envelope.SignEd25519(w.key, warrant.ReportType, payload)}}})
}

func (w *world) state(order string) Order {
	w.t.Helper()
	o, err := w.Get(w.t.Context(), order)
	w.ok(err)
	return o
}

func (w *world) acts(order string) string { return w.of("order/" + order) }

// of gives the acts on a subject.
func (w *world) of(subject string) string {
	w.t.Helper()
	entries, err := w.log.List(w.t.Context(), ledger.Filter{Subject: subject})
	w.ok(err)
	var kinds []string
	for _, e := range entries {
		kinds = append(kinds, e.Act.Kind)
	}
	return strings.Join(kinds, " ")
}

func (w *world) want(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s: %s\nwant %s", what, got, want)
	}
}

// staged takes a stage order to its end and promotes the snapshot.
func (w *world) staged() Order {
	w.t.Helper()
	o := w.propose(w.proposal(Stage))
	w.approve(o)
	w.carryOut(o, warrant.Done)
	w.promoted = w.snapshot.Ref.SHA256
	return w.state(o.ID)
}
