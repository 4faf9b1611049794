// Package warranttest makes small worlds for tests: people with SSH keys, a trust root, a log, and warrants that hold, to
// be spoilt one way at a time.
package warranttest

import (
	"crypto/ed25519"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Now is the time of a world: its trust root is a day old, its orders and checkpoints an hour.
var Now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// Origin of the log of a world.
const Origin = "ledger.example.org/test"

// World is a trust root with the private keys behind it. People by ID:
//
//	alice  cirt-analyst       carol  operations-manager, product-manager   erin   administrator
//	bob    product-manager    dave   system-owner, risk-manager            frank  auditor
//
// Every class needs two people, one local signature: orders one of alice, bob, dave and one of carol, dave; curation one
// of alice and one of bob, carol; the trust root two of alice, bob, carol, dave; a policy dave and one of
// alice, bob, carol. Class stage is for environment stage.
type World struct {
	TB           testing.TB
	Root         *trustroot.Root
	RootEnvelope envelope.Envelope     // Root, signed by alice and carol
	Signers      map[string]ssh.Signer // person ID to SSH key
	Log          *Log
}

// New makes a world.
func New(tb testing.TB) *World {
	tb.Helper()
	w := &World{TB: tb, Signers: map[string]ssh.Signer{}, Log: NewLog(tb, Origin)}
	person := func(id string, roles ...string) trustroot.Person {
		signer, key := SSHKey(tb)
		w.Signers[id] = signer
		return trustroot.Person{ID: id, Name: id, Roles: roles, Keys: []envelope.Key{key}}
	}
	deciders := [][]string{{"cirt-analyst", "product-manager", "risk-manager"}, {"operations-manager", "system-owner"}}
	anyone := []string{"cirt-analyst", "product-manager", "operations-manager", "system-owner"}
	r := trustroot.Root{
		Version: 1, Organisation: "Example", MadeAt: Now.Add(-24 * time.Hour), ExpiresAt: Now.Add(365 * 24 * time.Hour),
		People: []trustroot.Person{
			person("alice", "cirt-analyst"), person("bob", "product-manager"),
			person("carol", "operations-manager", "product-manager"), person("dave", "system-owner", "risk-manager"),
			person("erin", "administrator"), person("frank", "auditor"),
		},
		Rules: []trustroot.Rule{
			{Class: trustroot.Stage, Environments: []string{"stage"}, Seats: deciders, Local: 1, MaxWindowHours: 72},
			{Class: trustroot.Routine, Seats: deciders, Local: 1, MaxWindowHours: 72},
			{Class: trustroot.Emergency, Seats: deciders, Local: 1, MaxWindowHours: 12},
			{Class: trustroot.RetireHost, Seats: [][]string{{"operations-manager", "system-owner"}, {"cirt-analyst", "risk-manager"}}, Local: 1, MaxWindowHours: 72},
			{Class: trustroot.Curation, Seats: [][]string{{"cirt-analyst"}, {"product-manager"}}, Local: 1},
			{Class: trustroot.TrustRoot, Seats: [][]string{anyone, anyone}, Local: 2},
			{Class: trustroot.Policy, Seats: [][]string{{"risk-manager"}, {"cirt-analyst", "product-manager"}}, Local: 1},
		},
		Ledger:     trustroot.Ledger{Origin: Origin, Keys: []string{w.Log.VerifierKey}, MaxCheckpointAgeHours: 24},
		Repository: trustroot.Repository{Keys: []string{"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\n"}},
	}
	w.SetRoot(r)
	return w
}

// SetRoot signs r by alice and carol and puts it in force.
func (w *World) SetRoot(r trustroot.Root) {
	w.TB.Helper()
	payload := must(r.Encode())(w.TB)
	w.RootEnvelope = w.Sign(trustroot.PayloadType, payload, "alice", "carol")
	w.Root = must(trustroot.First(w.RootEnvelope, envelope.Digest(payload), Now))(w.TB)
}

// NextRoot gives version N+1 of the root in force, changed by edit and signed by people.
func (w *World) NextRoot(edit func(*trustroot.Root), people ...string) envelope.Envelope {
	w.TB.Helper()
	r := *must(trustroot.Decode(w.RootEnvelope.Payload))(w.TB)
	r.Version, r.Previous = r.Version+1, w.Root.Digest()
	edit(&r)
	return w.Sign(trustroot.PayloadType, must(r.Encode())(w.TB), people...)
}

// Sign makes an envelope with the SSH signatures of people.
func (w *World) Sign(payloadType string, payload []byte, people ...string) envelope.Envelope {
	w.TB.Helper()
	e := envelope.Envelope{PayloadType: payloadType, Payload: payload, Signatures: []envelope.Signature{}}
	for _, id := range people {
		e.Signatures = append(e.Signatures, must(sshkey.Sign(w.Signers[id], payloadType, payload))(w.TB))
	}
	return e
}

// Package gives a curated package whose .deb has the given bytes.
func Package(name, version string, deb []byte) warrant.CuratedRecord {
	return warrant.CuratedRecord{
		SnapshotPackage: warrant.SnapshotPackage{
			Name: name, Arch: "amd64", Version: version, SHA256: envelope.Digest(deb), Size: int64(len(deb)),
			File: "pool/main/" + name + "_" + version + "_amd64.deb",
		},
		Source: name, SourceVersion: version, Upstream: "debian-security", AcceptedBy: "alice", Decision: "dec_1", Because: "accepted",
	}
}

// Record gives a curation record by carol of packages, whose Packages index has the given bytes.
func (w *World) Record(index []byte, packages ...warrant.CuratedRecord) warrant.Record {
	w.TB.Helper()
	slices.SortFunc(packages, func(a, b warrant.CuratedRecord) int { return strings.Compare(a.Name, b.Name) })
	var bare []warrant.SnapshotPackage
	for _, p := range packages {
		bare = append(bare, p.SnapshotPackage)
	}
	return warrant.Record{
		Snapshot: must(warrant.SnapshotDigest(bare))(w.TB), Index: envelope.Digest(index), Author: "carol",
		TrustRoot: warrant.RefOf(w.Root), MadeAt: Now.Add(-2 * time.Hour), Packages: packages,
		Upstreams: []warrant.UpstreamRef{{Name: "debian-security", Release: envelope.Digest(nil), Index: envelope.Digest(nil), Date: Now.Add(-3 * time.Hour), Fingerprint: "F"}},
	}
}

// Order gives a routine order by bob for host "hst_1" in production, which upgrades every package of the record from
// version "1.0" and is open for an hour around Now.
func (w *World) Order(record warrant.Record) warrant.Order {
	w.TB.Helper()
	var actions []warrant.Action
	for _, p := range record.Packages {
		actions = append(actions, warrant.Action{Do: "upgrade", Name: p.Name, Arch: p.Arch, From: "1.0", To: p.Version, SHA256: p.SHA256, Size: p.Size, File: p.File})
	}
	return warrant.Order{
		ID: "ord_1", Class: trustroot.Routine, Environment: "production", Sequence: 1, Author: "bob", TrustRoot: warrant.RefOf(w.Root),
		MadeAt: Now.Add(-time.Hour), ExpiresAt: Now.Add(24 * time.Hour),
		Window: warrant.Window{OpensAt: Now.Add(-30 * time.Minute), ClosesAt: Now.Add(30 * time.Minute)},
		Reason: "CVE-2026-0001", Vulnerabilities: []string{"CVE-2026-0001/hello"},
		Snapshot: warrant.SnapshotRef{SHA256: record.Snapshot, Index: record.Index, Curation: envelope.Digest(must(record.Encode())(w.TB))},
		Plan:     "upgrade", BackOut: "downgrade", Notices: []warrant.Notice{},
		Transactions: []warrant.Transaction{{Hosts: []string{"hst_1"}, Actions: actions}},
	}
}

// Warrant signs the order by alice and carol, the record by alice and bob, and puts the order in the log.
func (w *World) Warrant(order warrant.Order, record warrant.Record) *warrant.Warrant {
	w.TB.Helper()
	curation := w.Sign(warrant.CurationType, must(record.Encode())(w.TB), "alice", "bob")
	return w.Logged(&warrant.Warrant{Order: w.Sign(warrant.OrderType, must(order.Encode())(w.TB), "alice", "carol"), Curation: &curation}, order.ID)
}

// Logged puts the warrant's order, as it is, in the log.
func (w *World) Logged(doc *warrant.Warrant, orderID string) *warrant.Warrant {
	w.TB.Helper()
	doc.Logged = w.Log.Append(proof.Act{
		Kind: "order.warranted", Subject: "order/" + orderID, Prev: -1, At: Now.Add(-time.Hour), Who: "server",
		Facts: []string{envelope.Digest(doc.Order.Payload)},
	})
	return doc
}

// Host gives the host "hst_1" in production, which knows the root in force and has obeyed nothing yet.
func (w *World) Host() warrant.Host {
	return warrant.Host{ID: "hst_1", Environment: "production", Root: w.Root, Now: Now}
}

// SSHKey makes an Ed25519 SSH key.
func SSHKey(tb testing.TB) (ssh.Signer, envelope.Key) {
	tb.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	signer := must(ssh.NewSignerFromKey(must(private, err)(tb)))(tb)
	return signer, must(sshkey.Read(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))))(tb)
}

// ReportKey makes a host's report key.
func ReportKey(tb testing.TB) (ed25519.PrivateKey, envelope.Key) {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	return must(private, err)(tb), envelope.Ed25519Key(public)
}

// Log is a log in memory.
type Log struct {
	Signer      note.Signer
	VerifierKey string
	At          time.Time // of checkpoints
	tb          testing.TB
	origin      string
	size        int64
	hashes      []tlog.Hash
}

// NewLog makes an empty log with a fresh key; its checkpoints are of an hour before Now.
func NewLog(tb testing.TB, origin string) *Log {
	tb.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		tb.Fatal(err)
	}
	return &Log{Signer: must(note.NewSigner(secret))(tb), VerifierKey: public, At: Now.Add(-time.Hour), tb: tb, origin: origin}
}

// ReadHashes makes a Log a tlog.HashReader.
func (l *Log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		out[i] = l.hashes[n]
	}
	return out, nil
}

// Append adds an act and proves it under a new checkpoint.
func (l *Log) Append(a proof.Act) proof.Logged {
	l.tb.Helper()
	entry := must(envelope.Encode(a))(l.tb)
	l.hashes = append(l.hashes, must(tlog.StoredHashes(l.size, entry, l))(l.tb)...)
	l.size++
	path := must(tlog.ProveRecord(l.size, l.size-1, l))(l.tb)
	logged := proof.Logged{Entry: entry, Index: l.size - 1, Hashes: [][]byte{}, Checkpoint: l.Sign(l.Head())}
	for _, h := range path {
		logged.Hashes = append(logged.Hashes, h[:])
	}
	return logged
}

// Head gives the latest checkpoint.
func (l *Log) Head() proof.Checkpoint {
	l.tb.Helper()
	return proof.Checkpoint{Origin: l.origin, Size: l.size, Root: must(tlog.TreeHash(l.size, l))(l.tb), At: l.At}
}

// Sign signs a checkpoint.
func (l *Log) Sign(c proof.Checkpoint) string {
	l.tb.Helper()
	return string(must(note.Sign(&note.Note{Text: proof.FormatCheckpoint(c)}, l.Signer))(l.tb))
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}
