package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/mirror/mirrortest"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// story is a server on which one vulnerability went from the advisory to production, where a file changed that nothing
// explains. Its clock does not move by itself, so each telling has the same times.
type story struct {
	*world
	tokens map[string]string // by person
	hosts  []*machine
	record string // digest of the curation record
	stage  v1.Order
	order  v1.Order // on production
}

// machine is a host as the story imitates it.
type machine struct {
	host    estate.Host
	key     ed25519.PrivateKey // nil: no executor
	counter int64
	version string // of openssl
	root    string // its files
}

func tell(t *testing.T) *story {
	t.Helper()
	a := mirrortest.New(t, warranttest.Now.Add(-time.Hour))
	a.Add("openssl", "3.0.2-1", "amd64")
	a.Publish(warranttest.Now.Add(-time.Hour), warranttest.Now.Add(24*time.Hour))
	u := a.Upstream("security")
	keyring := filepath.Join(t.TempDir(), "keyring.asc")
	if err := os.WriteFile(keyring, u.Keyring, 0o600); err != nil {
		t.Fatal(err)
	}
	w := open(t, fmt.Sprintf("notice_hours = 0\nreleases = [\"bookworm\"]\n[[upstream]]\nname = %q\nurl = %q\nsuite = %q\ncomponent = %q\narch = %q\n"+
		"keyring = %q\nfingerprints = [%q]\nmax_age = \"240h\"\n", u.Name, u.URL, u.Suite, u.Component, u.Arch, keyring, u.Fingerprints[0]))
	s := &story{world: w, tokens: map[string]string{}}
	for _, person := range []string{"alice", "bob", "carol", "erin", "frank"} {
		s.tokens[person] = w.mustLogin(person)
	}
	s.as("bob", http.MethodPost, "/upstreams/security/refresh", nil, nil)
	s.as("alice", http.MethodPut, "/sources/debian-tracker/content?from=file", []byte(`{"openssl":{`+
		`"CVE-2026-1001":{"description":"Heap overflow.","scope":"remote","releases":{"bookworm":{"status":"resolved","fixed_version":"3.0.2-1","urgency":"high"}}},`+
		`"CVE-2026-1002":{"description":"Memory leak.","releases":{"bookworm":{"status":"open","urgency":"low","nodsa":"Minor issue"}}}}}`), nil)
	for _, h := range []struct{ name, environment string }{{"stage-1", "stage"}, {"web-1", "production"}, {"watched-1", "production"}} {
		s.now = s.now.Add(time.Second) // hosts are listed by ID, that is by time
		s.enrol(h.name, h.environment)
	}
	s.ok(s.server.exposure.Sweep(t.Context()))
	s.decide()
	s.curate()
	s.stage = s.carryOut(v1.Proposal{Kind: change.Stage})
	s.promote("production")
	s.order = s.carryOut(v1.Proposal{Kind: change.Production, Class: trustroot.Routine, Of: s.stage.ID})
	return s
}

func (s *story) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// as asks as a person, who is let do it.
func (s *story) as(person, method, path string, in, out any) {
	s.t.Helper()
	if err := s.ask(s.tokens[person], method, path, in, out); err != nil {
		s.t.Fatalf("%s: %s %s: %v", person, method, path, err)
	}
}

func (s *story) put(b []byte) string {
	s.t.Helper()
	digest, err := blob.PutBytes(s.t.Context(), s.server.blobs, b)
	s.ok(err)
	return digest
}

func (s *story) enrol(name, environment string) {
	s.t.Helper()
	token, _, err := s.server.estate.MakeToken(s.t.Context(), "person/erin", estate.NewToken{Name: name, Environment: environment, Life: time.Hour})
	s.ok(err)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.ok(err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	s.ok(err)
	m := &machine{version: "3.0.1-1", root: s.t.TempDir()}
	if name != "watched-1" {
		_, m.key, err = ed25519.GenerateKey(nil)
		s.ok(err)
	}
	m.host, _, err = s.server.estate.Enrol(s.t.Context(), wire.EnrolRequest{Token: token, Name: name, CSR: csr, ReportKey: m.reportKey()})
	s.ok(err)
	s.hosts = append(s.hosts, m)
	m.install(s.t)
	s.checkIn(m)
}

func (m *machine) reportKey() string {
	if m.key == nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(m.key.Public().(ed25519.PublicKey))
}

func (m *machine) write(t *testing.T, path, text string) {
	t.Helper()
	path = filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chmod(path, 0o644)); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

// install puts the files of the host's openssl where dpkg would.
func (m *machine) install(t *testing.T) {
	t.Helper()
	m.write(t, "usr/share/openssl", m.version)
	m.write(t, "var/lib/dpkg/info/openssl.list", "/.\n/usr\n/usr/share\n/usr/share/openssl\n")
}

func (s *story) packages(m *machine) string {
	s.t.Helper()
	return s.put(pkgset.Set{{Name: "openssl", Arch: "amd64", Version: m.version, Source: "openssl", SourceVersion: m.version}}.Canonical())
}

func (s *story) observe(m *machine) wire.Observation {
	s.t.Helper()
	scan, err := filetree.Scan(s.t.Context(), m.root, filetree.Options{Start: s.now}, nil)
	s.ok(err)
	for d := range scan.Digests() {
		b, err := scan.Get(s.t.Context(), d)
		s.ok(err)
		s.put(b)
	}
	return wire.Observation{At: s.now, PackageSet: s.packages(m), Trees: map[string]string{"/": scan.Digest}}
}

func (s *story) checkIn(m *machine) {
	s.t.Helper()
	m.counter++
	inventory, err := envelope.Encode(wire.Inventory{Hostname: m.host.Name, Distribution: "debian", Release: "bookworm", Arch: "amd64",
		Kernel: wire.Kernel{Running: "6.1.0-40-amd64", Installed: []string{}}, Sources: []wire.Source{}})
	s.ok(err)
	seen := s.observe(m)
	_, need, err := s.server.estate.CheckIn(s.t.Context(), m.host.ID, wire.CheckIn{Counter: m.counter, At: s.now, PackageSet: seen.PackageSet,
		Inventory: s.put(inventory), Trees: seen.Trees, TrustRootVersion: 1, AgentVersion: "1.0", ReportKey: m.reportKey()})
	s.ok(err)
	if len(need) > 0 {
		s.t.Fatalf("the server needs %v", need)
	}
}

func (s *story) decide() {
	s.t.Helper()
	var p v1.Payload
	s.as("alice", http.MethodPost, "/decisions/draft", v1.Draft{Vulnerability: "CVE-2026-1001/openssl", Kind: triage.Accept, Scope: triage.FleetScope,
		Reason: "The fix is small."}, &p)
	s.as("alice", http.MethodPost, "/decisions", s.Sign(p.PayloadType, p.Payload, "alice"), nil)
}

func (s *story) signature(payloadType string, payload []byte, person string) v1.Approval {
	s.t.Helper()
	return v1.Approval{Signature: s.Sign(payloadType, payload, person).Signatures[0]}
}

// curate has a snapshot signed, and puts it into the channel stage.
func (s *story) curate() {
	s.t.Helper()
	var made v1.Snapshot
	s.as("carol", http.MethodPost, "/snapshots", v1.SnapshotProposal{Release: "bookworm"}, &made)
	s.record = made.Record
	for _, person := range []string{"alice", "bob"} {
		s.as(person, http.MethodPost, "/snapshots/"+s.record+"/signatures", s.signature(warrant.CurationType, made.Payload, person), nil)
	}
	s.promote("stage")
}

func (s *story) promote(channel string) {
	s.t.Helper()
	var made v1.Snapshot
	s.as("bob", http.MethodGet, "/snapshots/"+s.record, nil, &made)
	s.as("bob", http.MethodPost, "/channels/"+channel+"/promotions", v1.Promotion{Snapshot: made.Snapshot}, nil)
}

func (s *story) proposal(p v1.Proposal) v1.Proposal {
	s.t.Helper()
	var made v1.Snapshot
	s.as("bob", http.MethodGet, "/snapshots/"+s.record, nil, &made)
	p.Snapshot, p.Reason, p.Plan, p.BackOut = made.Snapshot, "Heap overflow in openssl", "Upgrade openssl.", "Downgrade openssl."
	p.Window = warrant.Window{OpensAt: s.now, ClosesAt: s.now.Add(time.Hour)}
	p.Vulnerabilities = []string{"CVE-2026-1001/openssl"}
	if p.Kind != change.Stage {
		p.Notices = []warrant.Notice{{At: s.now, Audience: "owners"}}
	}
	return p
}

// carryOut has an order signed and run on its hosts.
func (s *story) carryOut(p v1.Proposal) v1.Order {
	s.t.Helper()
	var o v1.Proposed
	s.as("bob", http.MethodPost, "/orders", s.proposal(p), &o)
	for _, person := range []string{"alice", "carol"} {
		s.as(person, http.MethodPost, "/orders/"+o.ID+"/signatures", s.signature(warrant.OrderType, o.Payload, person), nil)
	}
	s.now = s.now.Add(time.Minute)
	for _, m := range s.hosts {
		s.run(o.Order, m)
	}
	s.ok(s.server.changes.Settle(s.t.Context()))
	s.as("bob", http.MethodGet, "/orders/"+o.ID, nil, &o.Order)
	return o.Order
}

// run has a host carry out an order, if it is offered to it.
func (s *story) run(o v1.Order, m *machine) {
	s.t.Helper()
	ctx := s.t.Context()
	work, err := s.server.rollouts.Offer(ctx, m.host.ID, 1)
	s.ok(err)
	if work == nil {
		return
	}
	before := s.observe(m)
	s.ok(s.server.rollouts.Begin(ctx, m.host.ID, wire.Begin{Order: o.ID, Before: before}))
	m.version = "3.0.2-1"
	m.install(s.t)
	if m.host.Environment == "production" {
		m.write(s.t, "usr/share/planted", "x")
	}
	payload, err := warrant.Report{Host: m.host.ID, Order: o.ID, OrderDigest: o.SHA256, Outcome: warrant.Done, BegunAt: s.now, EndedAt: s.now,
		Packages: []warrant.Observed{}, Session: s.put(bytes.Repeat([]byte("session\n"), 3))}.Encode()
	s.ok(err)
	s.ok(s.server.rollouts.Report(ctx, m.host.ID, wire.Report{Order: o.ID, Before: before, After: s.observe(m), Envelope: envelope.Envelope{
		PayloadType: warrant.ReportType, Payload: payload, Signatures: []envelope.Signature{envelope.SignEd25519(m.key, warrant.ReportType, payload)}}}))
	s.checkIn(m)
}
