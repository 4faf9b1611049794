package web

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/build"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/envelopetest"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/mirror/mirrortest"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/savedview"
	"github.com/patchwarrant/patchwarrant/internal/scans"
	"github.com/patchwarrant/patchwarrant/internal/suspicion"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// world is all rooms behind the pages, with a change that went from decision to production, where a file changed that
// nothing explains.
type world struct {
	looks int // at standings
	Config
	t       *testing.T
	people  *warranttest.World
	passkey *envelopetest.Passkey // alice's
	now     time.Time
	door    http.Handler
	mark    string // is added to every text that comes from outside
	archive *mirrortest.Archive
	hosts   map[string]*machine // by name
	from    netip.Addr          // of requests

	record        string // digest of the curation record that went out
	stage, order  change.Order
	waiting       change.Order // has no signature yet
	investigation string
	inventory     string // record of db-1
	stranger      string // record of a machine without a host
	leaving       string // retirement of silent-1, which nobody has signed
	scan          string // a scanner's report
	suspected     string // what carol reported, and alice owns
	made          string // decision of alice in force
	undecided     string // decision of bob that waits for a second person
	proposed      string // digest of bob's policy, which nobody has signed
}

// machine is a host as the world imitates it.
type machine struct {
	id, environment string
	key             ed25519.PrivateKey
	counter         int64
	version         string // of openssl
	root            string // its files
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) text(s string) string { return s + w.mark }

func (w *world) put(v any) string {
	w.t.Helper()
	b, raw := v.([]byte)
	if !raw {
		var err error
		b, err = envelope.Encode(v)
		w.ok(err)
	}
	digest, err := blob.PutBytes(w.t.Context(), w.Blobs, b)
	w.ok(err)
	return digest
}

// Compose implements Composer.
func (w *world) Compose(ctx context.Context, who, _ string, _, _ []string) (curation.Snapshot, error) {
	accepted, err := w.Triage.Accepted(ctx)
	w.ok(err)
	p := curation.Proposal{Upstreams: []string{"archive"}}
	for _, a := range accepted {
		p.Accepted = append(p.Accepted, curation.Acceptance{Decision: a.Decision, Person: a.Person, Source: a.Source, Version: a.FixedVersion})
	}
	hosts, _, err := w.Estate.HostSets(ctx, 0)
	w.ok(err)
	for _, h := range hosts {
		set, err := w.Estate.PackageSet(ctx, h.SetDigest)
		w.ok(err)
		p.Sets = append(p.Sets, set)
	}
	return w.Curation.Propose(ctx, who, p)
}

const site1 = "patch.example.org" // for which passkeys are

// bare is a world before there is a trust root.
func bare(t *testing.T, mark string) *world {
	t.Helper()
	w := &world{t: t, people: warranttest.New(t), passkey: envelopetest.NewPasskey(t), now: warranttest.Now.Add(-20 * time.Hour), mark: mark,
		hosts: map[string]*machine{}, from: netip.MustParseAddr("192.0.2.1")}
	w.furnish()
	w.door = New(w.Config)
	return w
}

func newWorld(t *testing.T, mark string) *world {
	t.Helper()
	w := bare(t, mark)
	_, err := w.Staff.Install(t.Context(), w.people.RootEnvelope, envelope.Digest(w.people.RootEnvelope.Payload))
	w.ok(err)
	w.learn()
	for _, h := range []struct{ name, environment string }{{"stage-1", "stage"}, {"db-1", "production"}, {"web-1", "production"}, {"web-2", "production"}} {
		w.enrol(h.name, h.environment)
	}
	rec, err := w.Records.Create(t.Context(), "erin", record.Fields{Hostname: "db-1", Zone: "core", Criticality: "high", Environment: "stage", Owner: "dave",
		Rack: w.text("A 12"), Notes: w.text("notes")})
	w.ok(err)
	_, err = w.Estate.Link(t.Context(), "erin", rec.ID, rec.Revision, w.hosts["db-1"].id)
	w.ok(err)
	w.inventory = rec.ID
	rec, err = w.Records.Create(t.Context(), "erin", record.Fields{Hostname: "web-1.example.org"})
	w.ok(err)
	w.stranger = rec.ID
	w.ok(w.Exposure.Sweep(t.Context()))
	w.scanned()
	w.suspect()
	w.now = w.now.Add(16 * time.Hour)
	w.made = w.decide("alice", triage.Decision{Vulnerability: "CVE-2026-1001/openssl", Kind: triage.Accept, Scope: triage.FleetScope, Reason: w.text("The vendor's fix is small.")})
	w.decide("bob", triage.Decision{Vulnerability: "CVE-2026-1003/openssl", Kind: triage.Defer, Scope: triage.FleetScope, Reason: w.text("No fix yet."), Until: w.now.Add(30 * time.Hour)})
	w.curate()
	w.stage = w.carryOut(change.Proposal{Kind: change.Stage})
	w.promote("production")
	w.order = w.carryOut(change.Proposal{Kind: change.Production, Class: trustroot.Routine, Of: w.stage.ID})
	all, err := w.Integrity.Investigations(t.Context())
	w.ok(err)
	w.investigation = all[0].ID
	w.next()
	w.ok(w.Exposure.Sweep(t.Context()))
	w.limits()
	w.keepBooks()
	for _, list := range savedview.Lists {
		_, err = w.Views.Save(t.Context(), savedview.View{Person: "bob", List: list, Name: w.text("Bob's"), Query: "state=" + url.QueryEscape(w.text("x")), Shared: true})
		w.ok(err)
	}
	return w
}

// keepBooks leaves a group, a standard build, and a retirement that waits for signatures.
func (w *world) keepBooks() {
	w.t.Helper()
	ctx := w.t.Context()
	_, err := w.Groups.Save(ctx, "erin", group.Group{Name: "core", Expression: `zone == "core"`, Note: w.text("Certificate systems")})
	w.ok(err)
	_, err = w.Builds.Register(ctx, "erin", build.New{Name: "base", Host: w.hosts["stage-1"].id, Days: 30})
	w.ok(err)
	leaving, err := w.Retirements.Propose(ctx, "carol", w.hosts["silent-1"].id, w.text("The hall is closed."))
	w.ok(err)
	w.leaving = leaving.ID
}

// learn imports what is stated: of openssl one vulnerability with a fix, one without, one nobody knows about; and many
// about curl.
func (w *world) learn() {
	w.t.Helper()
	type record map[string]any
	of := func(r record, about string) record {
		return record{"description": w.text(about), "scope": "remote", "releases": record{"bookworm": r}}
	}
	curl := record{}
	for i := range 60 {
		curl[fmt.Sprintf("CVE-2025-2%03d", i)] = of(record{"status": "open", "urgency": "low", "nodsa": w.text("Minor issue")}, "A flaw in the handling of cookies.")
	}
	tracker, err := json.Marshal(record{"curl": curl, "openssl": record{
		"CVE-2026-1001": of(record{"status": "resolved", "fixed_version": "3.0.2-1", "urgency": w.text("high")}, "Heap overflow while certificates are read."),
		"CVE-2026-1002": of(record{"status": "resolved", "fixed_version": "3.0.2-1", "urgency": "medium"}, "Timing side channel in a signature."),
		"CVE-2026-1003": of(record{"status": "open", "urgency": "low", "nodsa": w.text("Minor issue")}, "Memory leak in a test program."),
		"CVE-2026-1004": of(record{"status": "undetermined"}, "Nobody knows."),
	}})
	w.ok(err)
	catalogue, err := json.Marshal(record{"count": 1, "vulnerabilities": []record{{"cveID": "CVE-2026-1002", "vulnerabilityName": w.text("OpenSSL timing"),
		"dateAdded": "2026-11-18", "dueDate": "2026-12-09", "knownRansomwareCampaignUse": "Known"}}})
	w.ok(err)
	ctx := w.t.Context()
	announced := "<rss><item><guid>n1</guid><title><![CDATA[" + w.text("DSA-1-1 openssl") + "]]></title><link>https://example.org/1</link><description><![CDATA[CVE-2026-1001 " +
		w.text("x") + "]]></description></item></rss>"
	for source, document := range map[string]string{"feed": announced, "debian-tracker": string(tracker), "kev": string(catalogue),
		"epss": "cve,epss,percentile\nCVE-2026-1001,0.412,0.97\nCVE-2026-1002,0.873,0.99\nCVE-2026-1003,0.002,0.1\n"} {
		_, err := w.Intake.Import(ctx, "alice", source, strings.NewReader(document), w.text("file"))
		w.ok(err)
	}
	w.archive.Add("openssl", "3.0.2-1", "amd64")
	w.archive.Publish(w.now.Add(-time.Minute), w.now.Add(7*24*time.Hour))
	w.ok(w.Mirror.RefreshAll(ctx))
}

// scanned imports a report about a host of ours and a stranger.
func (w *world) scanned() {
	w.t.Helper()
	type m map[string]any
	vulnerability := m{"VulnerabilityID": "CVE-2026-1001", "PkgName": w.text("openssl"), "InstalledVersion": w.text("3.0.1-1"), "FixedVersion": w.text("3.0.2-1"),
		"Title": w.text("Heap overflow"), "Severity": "HIGH"}
	report, err := json.Marshal(m{"ClusterName": "", "Vulnerabilities": []m{
		{"Name": "web-1", "Results": []m{{"Target": "web-1", "Vulnerabilities": []m{vulnerability, {"VulnerabilityID": "CVE-2026-9001", "PkgName": "openssl"}}}}},
		{"Name": w.text("printer"), "Results": []m{{"Target": "x", "Vulnerabilities": []m{vulnerability}}}}}})
	w.ok(err)
	r, _, err := w.Scans.Import(w.t.Context(), "alice", bytes.NewReader(report), scans.Delivery{From: w.text("file")})
	w.ok(err)
	w.scan = r.ID
}

// suspect has carol report something with a file, and alice take it.
func (w *world) suspect() {
	w.t.Helper()
	s, err := w.Suspicions.Report(w.t.Context(), "carol", suspicion.Claim{Title: w.text("Any password opens the door"), Host: w.text("web-1"), Place: w.text("the lobby"),
		Noticed: w.text("by chance")}, w.text("screen.txt"), []byte("seen"))
	w.ok(err)
	_, err = w.Suspicions.Assign(w.t.Context(), "alice", s.ID, "alice")
	w.ok(err)
	w.suspected = s.ID
}

// enrol makes a host and has it report what it has.
func (w *world) enrol(name, environment string) {
	w.t.Helper()
	ctx := w.t.Context()
	token, _, err := w.Estate.MakeToken(ctx, "person/erin", estate.NewToken{Name: name, Environment: environment, Life: time.Hour})
	w.ok(err)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.ok(err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	w.ok(err)
	public, key, err := ed25519.GenerateKey(nil)
	w.ok(err)
	h, _, err := w.Estate.Enrol(ctx, wire.EnrolRequest{Token: token, Name: w.text(name), CSR: csr, ReportKey: base64.StdEncoding.EncodeToString(public)})
	w.ok(err)
	m := &machine{id: h.ID, environment: environment, key: key, version: "3.0.1-1", root: w.t.TempDir()}
	w.hosts[name] = m
	w.ok(os.MkdirAll(filepath.Join(m.root, "var/lib/dpkg/info"), 0o755))
	w.ok(os.MkdirAll(filepath.Join(m.root, "usr/share"), 0o755))
	w.install(m)
	w.checkIn(name)
}

// install puts the files of the host's openssl where dpkg would.
func (w *world) install(m *machine) {
	w.t.Helper()
	w.ok(os.WriteFile(filepath.Join(m.root, "usr/share/openssl"), []byte(m.version), 0o644))
	w.ok(os.WriteFile(filepath.Join(m.root, "var/lib/dpkg/info/openssl.list"), []byte("/.\n/usr\n/usr/share\n/usr/share/openssl\n"), 0o644))
}

func (w *world) packages(m *machine) string {
	w.t.Helper()
	return w.put(pkgset.Set{
		{Name: "curl", Arch: "amd64", Version: "7.88.1-10", Source: "curl", SourceVersion: "7.88.1-10"},
		{Name: "openssl", Arch: "amd64", Version: m.version, Source: "openssl", SourceVersion: m.version},
	}.Canonical())
}

func (w *world) tree(m *machine) string {
	w.t.Helper()
	s, err := filetree.Scan(w.t.Context(), m.root, filetree.Options{Start: w.now}, nil)
	w.ok(err)
	for d := range s.Digests() {
		b, err := s.Get(w.t.Context(), d)
		w.ok(err)
		w.put(b)
	}
	return s.Digest
}

func (w *world) checkIn(name string) {
	w.t.Helper()
	m := w.hosts[name]
	m.counter++
	inventory := wire.Inventory{Hostname: w.text(name), Distribution: w.text("debian"), Release: "bookworm", Arch: "amd64",
		Kernel: wire.Kernel{Running: w.text("6.1.0-40-amd64"), Installed: []string{}}, Sources: []wire.Source{}}
	alarm := ""
	if name == "web-2" {
		alarm = w.text("FREEZE")
	}
	_, need, err := w.Estate.CheckIn(w.t.Context(), m.id, wire.CheckIn{Counter: m.counter, At: w.now, PackageSet: w.packages(m), Inventory: w.put(inventory),
		Trees: map[string]string{"/": w.tree(m)}, TrustRootVersion: 1, AgentVersion: w.text("1.0"), Alarm: alarm,
		ReportKey: base64.StdEncoding.EncodeToString(m.key.Public().(ed25519.PublicKey))})
	w.ok(err)
	if len(need) > 0 {
		w.t.Fatalf("the server needs %v", need)
	}
}

// curate proposes a snapshot, has it signed, and puts it into the channel stage.
func (w *world) curate() {
	w.t.Helper()
	s, err := w.Compose(w.t.Context(), "carol", "", nil, nil)
	w.ok(err)
	w.record = s.Ref.Curation
	for _, person := range []string{"alice", "bob"} {
		_, err = w.Curation.Sign(w.t.Context(), person, w.record, w.people.Sign(warrant.CurationType, s.Payload, person).Signatures[0])
		w.ok(err)
	}
	w.promote("stage")
}

func (w *world) promote(channel string) {
	w.t.Helper()
	s, err := w.Curation.Proposed(w.t.Context(), w.record)
	w.ok(err)
	_, err = w.Curation.Promote(w.t.Context(), "bob", channel, s.Ref.SHA256)
	w.ok(err)
	w.ok(w.Curation.Publish(w.t.Context()))
}

// carryOut proposes an order, has it signed, and runs it on every host; on web-2 somebody else writes a file meanwhile.
func (w *world) carryOut(p change.Proposal) change.Order {
	w.t.Helper()
	ctx := w.t.Context()
	o := w.propose(p)
	for _, person := range []string{"alice", "carol"} {
		_, err := w.Changes.Approve(ctx, person, o.ID, w.people.Sign(warrant.OrderType, o.Payload, person).Signatures[0])
		w.ok(err)
	}
	for range w.hosts {
		w.now = w.now.Add(time.Minute)
		for name := range maps.Keys(w.hosts) {
			w.run(o, name)
		}
	}
	w.ok(w.Changes.Settle(ctx))
	o, err := w.Changes.Get(ctx, o.ID)
	w.ok(err)
	return o
}

func (w *world) propose(p change.Proposal) change.Order {
	w.t.Helper()
	s, err := w.Curation.Proposed(w.t.Context(), w.record)
	w.ok(err)
	p.Snapshot, p.Reason, p.Plan, p.BackOut = s.Ref.SHA256, w.text("Heap overflow in openssl"), w.text("Upgrade openssl.\nRestart what uses it."), w.text("Downgrade openssl.")
	p.Vulnerabilities = []string{"CVE-2026-1001/openssl"}
	if p.Window.OpensAt.IsZero() {
		p.Window = warrant.Window{OpensAt: w.now, ClosesAt: w.now.Add(time.Hour)}
	}
	if p.Kind != change.Stage {
		p.Notices = []warrant.Notice{{At: w.now, Audience: w.text("owners")}}
	}
	o, _, err := w.Changes.Propose(w.t.Context(), "bob", p)
	w.ok(err)
	return o
}

// run has a host carry out an order, if it is offered to it.
func (w *world) run(o change.Order, name string) {
	w.t.Helper()
	ctx, m := w.t.Context(), w.hosts[name]
	work, err := w.Rollouts.Offer(ctx, m.id, 1)
	w.ok(err)
	if work == nil {
		return
	}
	observe := func() wire.Observation {
		return wire.Observation{At: w.now, PackageSet: w.packages(m), Trees: map[string]string{"/": w.tree(m)}}
	}
	before := observe()
	w.ok(w.Rollouts.Begin(ctx, m.id, wire.Begin{Order: o.ID, Before: before}))
	m.version = "3.0.2-1"
	w.install(m)
	if name == "web-2" {
		w.ok(os.WriteFile(filepath.Join(m.root, "usr/share/"+strings.ReplaceAll(w.text("backdoor"), "/", "|")), []byte("x"), 0o755))
	}
	payload, err := warrant.Report{Host: m.id, Order: o.ID, OrderDigest: o.Digest, Outcome: warrant.Done, BegunAt: w.now, EndedAt: w.now,
		Packages: []warrant.Observed{}, Session: w.put([]byte(w.text("session of " + m.id)))}.Encode()
	w.ok(err)
	w.ok(w.Rollouts.Report(ctx, m.id, wire.Report{Order: o.ID, Before: before, After: observe(), Envelope: envelope.Envelope{
		PayloadType: warrant.ReportType, Payload: payload, Signatures: []envelope.Signature{envelope.SignEd25519(m.key, warrant.ReportType, payload)}}}))
	w.checkIn(name)
}

// next leaves something for everybody to do: a back-out that waits, an upstream that is refused, a silent host.
func (w *world) next() {
	w.t.Helper()
	w.archive.Add("openssl", "3.0.0-1", "amd64")
	w.enrol("silent-1", "production")
	w.now = w.now.Add(2 * time.Hour)
	for _, name := range []string{"stage-1", "db-1", "web-1", "web-2"} {
		w.checkIn(name)
	}
	w.ok(w.Estate.Silence(w.t.Context()))
	w.ok(w.Silence.Sweep(w.t.Context()))
	w.hosts["stage-1"].version = "3.0.1-1"
	w.checkIn("stage-1")
	w.waiting = w.propose(change.Proposal{Kind: change.Stage, Window: warrant.Window{OpensAt: w.now.Add(26 * time.Hour), ClosesAt: w.now.Add(30 * time.Hour)}})
	other := mirrortest.New(w.t, w.now)
	w.archive.Sign(other.Signer, "Suite: "+w.text("stable")+"\n", w.now)
	if _, err := w.Mirror.Refresh(w.t.Context(), "archive"); fault.KindOf(err) != fault.Denied {
		w.t.Fatalf("a release file signed by somebody else: %v", err)
	}
	_, err := w.Intake.Import(w.t.Context(), "alice", "kev", strings.NewReader(w.text("nonsense")), w.text("mail"))
	if err == nil {
		w.t.Fatal("nonsense was taken")
	}
	w.ok(w.Intake.Sweep(w.t.Context()))
}
