package evidence

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/deb/debtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

const vulnerability = "CVE-2026-0001/hello"

// world has taken a change from decision to close, with real signatures, orders, rollouts and ledger. Estate, curation and
// integrity say what the test arranged.
type world struct {
	*Sealer
	t         *testing.T
	keyrings  keyrings
	people    *warranttest.World
	log       *ledger.Ledger
	changes   *change.Changes
	rollouts  *rollout.Rollouts
	keys      map[string]ed25519.PrivateKey
	snapshot  curation.Snapshot
	packages  []deb.IndexEntry
	integrity *integrity.Integrity
	order     change.Order
	stage     change.Order
	later     []envelope.Envelope // trust roots after the first

	// What a dishonest server, host or curator may arrange.
	rooted     bool                                     // hosts have another root, and orders go there too
	copied     bool                                     // and it has no packages but a copied file, which orders renew
	stale      bool                                     // but executors say that it is as it was
	silentRoot bool                                     // and executors do not report on it
	burglar    bool                                     // a file changed in production's other root that nothing explains
	intruder   bool                                     // a file changed on production that nothing explains
	ratified   bool                                     // and two people called it legitimate
	found      string                                   // version that hosts report, if not the approved one
	acceptedBy string                                   // whom the curation record names, if not the one who decided
	unlisted   bool                                     // the upstream's index does not name the package
	hasty      bool                                     // the decision came after the proposal of the snapshot
	unproposed bool                                     // no entry says who proposed the snapshot
	late       time.Duration                            // after the window opens, when executors ran
	meanwhile  func(w *world, accepted triage.Decision) // between the decision and the proposal of the snapshot
	afterwards func(w *world, accepted triage.Decision) // after the proposal
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(v any) string {
	w.t.Helper()
	b, ok := v.([]byte)
	if !ok {
		var err error
		b, err = envelope.Encode(v)
		w.ok(err)
	}
	digest, err := blob.PutBytes(w.t.Context(), w.Blobs, b)
	w.ok(err)
	return digest
}

func (w *world) act(kind, subject string, detail any, facts ...string) {
	w.t.Helper()
	w.actBy("server", kind, subject, detail, facts...)
}

func (w *world) actBy(who, kind, subject string, detail any, facts ...string) {
	w.t.Helper()
	b, err := json.Marshal(detail)
	w.ok(err)
	w.ok(w.DB.Write(w.t.Context(), func(tx *db.Tx) error {
		_, err := w.log.Append(w.t.Context(), tx, proof.Act{Kind: kind, Subject: subject, Who: who, Facts: facts, Detail: b})
		return err
	}))
}

func (w *world) CurrentRoot(context.Context) (*trustroot.Root, error) { return w.people.Root, nil }
func (w *world) RootInForce(context.Context, *db.Tx) (warrant.RootRef, error) {
	return warrant.RefOf(w.people.Root), nil
}
func (w *world) Channel(context.Context, string) (string, error)    { return w.snapshot.Ref.SHA256, nil }
func (w *world) Carry(context.Context, string) ([]wire.File, error) { return nil, nil }
func (w *world) Snapshot(context.Context, string) (curation.Snapshot, error) {
	return w.snapshot, nil
}
func (w *world) Packages(context.Context, string) ([]deb.IndexEntry, error) { return w.packages, nil }
func (w *world) Roots(_ context.Context, from int64) ([]envelope.Envelope, error) {
	return append([]envelope.Envelope{w.people.RootEnvelope}, w.later...)[from-1:], nil
}
func (w *world) Host(_ context.Context, id string) (estate.Host, error) {
	key := base64.StdEncoding.EncodeToString(w.keys[id].Public().(ed25519.PublicKey))
	environment := map[string]string{"hst_s": "stage", "hst_p": "production"}[id]
	h := estate.Host{ID: id, Environment: environment, Arch: "amd64", PackageSet: "set", ReportKey: key, SeenReportKey: key}
	if w.rooted {
		h.Roots = map[string]estate.HostRoot{chroot: {PackageSet: "set", Arch: "amd64", Changeable: true}}
	}
	if w.copied {
		h.Roots = map[string]estate.HostRoot{chroot: {PackageSet: "none", Inventory: "copies", Arch: "amd64", Copies: 1, Changeable: true}}
	}
	return h, nil
}
func (w *world) PlacesOf(context.Context, []string) ([]trustroot.Place, error) {
	return []trustroot.Place{{Platform: "debian"}}, nil
}

func (w *world) Hosts(ctx context.Context) ([]estate.Host, error) {
	s, _ := w.Host(ctx, "hst_s")
	p, _ := w.Host(ctx, "hst_p")
	return []estate.Host{s, p}, nil
}
func (w *world) InventoryOf(context.Context, string) (wire.Inventory, error) {
	return wire.Inventory{Copies: []wire.Lagging{{Path: library, Package: "hello", Has: envelope.Digest([]byte("old"))}}}, nil
}
func (w *world) PackageSet(_ context.Context, digest string) (pkgset.Set, error) {
	if digest == "none" {
		return pkgset.Set{}, nil
	}
	return pkgset.Set{{Name: "hello", Arch: "amd64", Version: "1.0"}}, nil
}

const (
	chroot  = "/srv/chroot"
	library = "/usr/lib/hello.so" // of hello, where it is copied
)

// facts are what a host told of its other root.
func (w *world) facts(of string) string {
	f := wire.HostFacts{At: warranttest.Now, Files: []wire.FactFile{{Path: "/etc/hostname", Size: int64(len(of)), Content: []byte(of)}}}
	return w.put(&f)
}

// trees scans a host's file tree before and after: dpkg writes hello's list, and perhaps somebody else something. In a bare root
// it writes none.
func (w *world) trees(bare, intruder bool) (before, after string) {
	w.t.Helper()
	root := w.t.TempDir()
	scan := func() string {
		s, err := filetree.Scan(w.t.Context(), root, filetree.Options{Start: warranttest.Now}, nil)
		w.ok(err)
		for d := range s.Digests() {
			b, err := s.Get(w.t.Context(), d)
			w.ok(err)
			w.put(b)
		}
		return s.Digest
	}
	info := filepath.Join(root, "var/lib/dpkg/info")
	list := "/.\n"
	w.ok(os.MkdirAll(info, 0o755))
	if w.copied {
		list += "/usr\n/usr/lib\n" + library + "\n"
		w.ok(os.MkdirAll(filepath.Join(root, "usr/lib"), 0o755))
		w.ok(os.WriteFile(filepath.Join(root, library), []byte("old"), 0o644))
	}
	before = scan()
	if w.copied {
		w.ok(os.WriteFile(filepath.Join(root, library), []byte("newer"), 0o644))
	}
	if !bare {
		w.ok(os.WriteFile(filepath.Join(info, "hello.list"), []byte(list), 0o644))
	}
	if intruder {
		w.ok(os.WriteFile(filepath.Join(root, "var/lib/intruder"), nil, 0o644))
	}
	return before, scan()
}

// silent is integrity without its investigations: a server that hides what it found.
type silent struct{ *integrity.Integrity }

func (s silent) Reconcile(ctx context.Context, o warrant.Order, runs []integrity.Run) (integrity.Reconciliation, error) {
	r, err := s.Integrity.Reconcile(ctx, o, runs)
	r.Clean = true
	return r, err
}

// keyrings are those of upstreams, by name.
type keyrings map[string][]byte

func (k keyrings) Keyring(_ context.Context, name string) ([]byte, error) {
	if b, ok := k[name]; ok {
		return b, nil
	}
	return nil, fault.New(fault.NotFound, "no upstream is named %q", name)
}

func newWorld(t *testing.T, arrange ...func(*world)) *world {
	t.Helper()
	w := &world{t: t, keyrings: keyrings{}, people: warranttest.New(t), keys: map[string]ed25519.PrivateKey{}}
	d := dbtest.Open(t)
	clock := func() time.Time { return warranttest.Now }
	log, err := ledger.New(ledger.Config{DB: d, Signer: w.people.Log.Signer, Verifier: w.people.Log.VerifierKey,
		Origin: warranttest.Origin, GuardFile: filepath.Join(t.TempDir(), "guard"), Now: clock})
	w.ok(err)
	blobs, err := blob.Dir(t.TempDir())
	w.ok(err)
	w.log = log
	w.rollouts = rollout.New(rollout.Config{DB: d, Ledger: log, Blobs: blobs, Roots: w, Files: w, Hosts: w, Now: clock})
	w.integrity = integrity.New(integrity.Config{DB: d, Ledger: log, Blobs: blobs, Root: w, Estate: w, Now: clock})
	w.changes = change.New(change.Config{DB: d, Ledger: log, Blobs: blobs, Root: w, Curation: w, Estate: w, Rollouts: w.rollouts, Integrity: silent{w.integrity}, Now: clock})
	w.Sealer = New(Config{DB: d, Ledger: log, Blobs: blobs, Orders: w.changes, Roots: w, Keyrings: w.keyrings, Now: clock})

	w.act("trust-root.installed", "trust-root/1", struct{}{}, w.people.Root.Digest())
	for _, h := range []string{"hst_s", "hst_p"} {
		_, private, err := ed25519.GenerateKey(nil)
		w.ok(err)
		w.keys[h] = private
		host, _ := w.Host(t.Context(), h)
		w.act("host.enrolled", "host/"+h, map[string]any{"report_key": host.ReportKey})
	}
	for _, a := range arrange {
		a(w)
	}
	w.curate()
	w.stage = w.carryOut(change.Proposal{Kind: change.Stage})
	w.order = w.carryOut(change.Proposal{Kind: change.Production, Class: trustroot.Routine, Of: w.stage.ID,
		Notices: []warrant.Notice{{At: warranttest.Now, Audience: "owners"}}})
	return w
}

// decide signs a decision by its person and records it, without a word on what it replaces.
func (w *world) decide(d triage.Decision) {
	w.t.Helper()
	payload, err := d.Encode()
	w.ok(err)
	w.act("decision.made", "vulnerability/"+d.Vulnerability, map[string]any{"decision": d.ID},
		append([]string{envelope.Digest(payload), w.put(w.people.Sign(triage.DecisionType, payload, d.Person))}, d.Facts...)...)
}

// replaced has bob reject what alice accepted.
func replaced(w *world, accepted triage.Decision) {
	accepted.ID, accepted.Kind, accepted.Person = id.New("dec", warranttest.Now), triage.Reject, "bob"
	w.decide(accepted)
}

func reopened(w *world, accepted triage.Decision) {
	payload, err := accepted.Encode()
	w.ok(err)
	w.act("decision.reopened", "vulnerability/"+accepted.Vulnerability, map[string]any{"decision": accepted.ID}, envelope.Digest(payload))
}

// curate decides, verifies an upstream and curates one package from it.
func (w *world) curate() {
	w.t.Helper()
	now := warranttest.Now
	statement := w.put([]byte("statement"))
	decision := triage.Decision{ID: id.New("dec", now), Vulnerability: vulnerability, Kind: triage.Accept, Scope: triage.FleetScope, Reason: "fixed upstream",
		Facts: []string{statement}, Person: "alice", TrustRoot: warrant.RefOf(w.people.Root), MadeAt: now}
	if !w.hasty {
		w.decide(decision)
	}
	if w.meanwhile != nil {
		w.meanwhile(w, decision)
	}

	spec := debtest.Spec{Control: debtest.Control("hello", "2.0", "amd64")}
	if w.copied {
		spec.Files = []debtest.File{{Path: library, Content: "newer"}}
	}
	bytes := debtest.Build(w.t, spec)
	w.put(bytes)
	hello := warranttest.Package("hello", "2.0", bytes)
	hello.Decision, hello.AcceptedBy = decision.ID, cmp.Or(w.acceptedBy, "alice")
	listed := hello.SHA256
	if w.unlisted {
		listed = envelope.Digest(nil)
	}
	index := fmt.Appendf(nil, "Package: hello\nArchitecture: amd64\nVersion: 2.0\nFilename: %s\nSize: %d\nSHA256: %s\n", hello.File, hello.Size, listed)
	signer, err := pgp.Generate("Upstream", "upstream@example.org", pgp.Ed25519, now.Add(-time.Hour))
	w.ok(err)
	date := now.Add(-time.Minute)
	release := fmt.Sprintf("Suite: stable\nDate: %s\nSHA256:\n %s %d main/binary-amd64/Packages\n", date.Format("Mon, 02 Jan 2006 15:04:05 UTC"), envelope.Digest(index), len(index))
	inRelease, err := signer.SignClearsigned([]byte(release), date)
	w.ok(err)
	keyring, err := signer.ArmouredPublic()
	w.ok(err)
	w.keyrings["debian-security"] = keyring
	up := warrant.UpstreamRef{Name: "debian-security", Release: w.put(inRelease), Index: w.put(index), Date: date, Fingerprint: signer.Fingerprint()}
	w.act("mirror.refreshed", "upstream/debian-security", struct{}{}, w.put([]byte("an older release")))
	w.act("mirror.refreshed", "upstream/debian-security", struct{}{}, up.Release, up.Index)

	record := w.people.Record(index, hello)
	record.Upstreams, record.MadeAt = []warrant.UpstreamRef{up}, now
	signed, err := record.Encode()
	w.ok(err)
	if !w.unproposed {
		w.actBy("person/carol", "snapshot.proposed", "snapshot/"+record.Snapshot, struct{}{}, envelope.Digest(signed))
	}
	if w.hasty {
		w.decide(decision)
	}
	if w.afterwards != nil {
		w.afterwards(w, decision)
	}
	stored := w.put(w.people.Sign(warrant.CurationType, signed, "alice", "bob"))
	w.act("snapshot.signed", "snapshot/"+record.Snapshot, struct{}{}, envelope.Digest(signed), stored)
	w.snapshot = curation.Snapshot{Envelope: stored,
		Ref: warrant.SnapshotRef{SHA256: record.Snapshot, Index: record.Index, Curation: envelope.Digest(signed)}}
	w.packages = []deb.IndexEntry{{Name: "hello", Arch: "amd64", Version: "2.0", Filename: hello.File, Size: hello.Size, SHA256: hello.SHA256}}
}

// carryOut proposes, approves and runs an order to its close.
func (w *world) carryOut(p change.Proposal) change.Order {
	w.t.Helper()
	ctx, now := w.t.Context(), warranttest.Now
	p.Snapshot, p.Reason, p.Plan, p.BackOut, p.Vulnerabilities = w.snapshot.Ref.SHA256, vulnerability, "upgrade", "downgrade", []string{vulnerability}
	p.Window, p.Roots = warrant.Window{OpensAt: now, ClosesAt: now.Add(time.Hour)}, w.rooted
	o, _, err := w.changes.Propose(ctx, "bob", p)
	w.ok(err)
	for _, person := range []string{"alice", "carol"} {
		s, err := sshkey.Sign(w.people.Signers[person], warrant.OrderType, o.Payload)
		w.ok(err)
		_, err = w.changes.Approve(ctx, person, o.ID, s)
		w.ok(err)
	}
	host := o.Transactions[0].Hosts[0]
	work, err := w.rollouts.Offer(ctx, host, 1)
	w.ok(err)
	doc, err := warrant.Parse(work.Warrant)
	w.ok(err)
	leave, err := doc.Check(warrant.Host{ID: host, Environment: o.Environment, Root: w.people.Root, Now: now})
	w.ok(err)
	was, is := w.trees(false, w.intruder && p.Kind == change.Production)
	before := wire.Observation{At: now, PackageSet: w.put([]byte("before " + o.ID)), Trees: map[string]string{"/": was}}
	after := wire.Observation{At: now, PackageSet: w.put([]byte("after " + o.ID)), Trees: map[string]string{"/": is}}
	if w.rooted {
		before.Trees[chroot], after.Trees[chroot] = w.trees(w.copied, w.burglar && p.Kind == change.Production)
	}
	if w.rooted && !w.copied {
		before.RootFacts, after.RootFacts = map[string]string{chroot: w.facts("before")}, map[string]string{chroot: w.facts("after")}
	}
	w.ok(w.rollouts.Begin(ctx, host, wire.Begin{Order: o.ID, Before: before}))
	found := []warrant.Observed{}
	for _, t := range o.For(host) {
		for _, a := range t.Actions {
			if t.Root == "" || !w.silentRoot {
				found = append(found, warrant.Observed{Root: t.Root, Name: a.Name, Arch: a.Arch, From: a.From, To: a.To, Now: cmp.Or(w.found, a.To), Status: "installed"})
			}
		}
		for _, c := range t.Copies {
			now := c.To
			if w.stale {
				now = c.From
			}
			if !w.silentRoot {
				found = append(found, warrant.Observed{Root: t.Root, Name: c.Path, From: c.From, To: c.To, Now: now, Status: "copy"})
			}
		}
	}
	payload, err := warrant.Report{Host: host, Order: o.ID, OrderDigest: o.Digest, Outcome: warrant.Done, BegunAt: now.Add(w.late), EndedAt: now.Add(w.late),
		Packages: found, Session: w.put([]byte("session of " + o.ID)), LogSize: leave.Checkpoint.Size, LogRoot: fmt.Sprintf("%x", leave.Checkpoint.Root)}.Encode()
	w.ok(err)
	w.ok(w.rollouts.Report(ctx, host, wire.Report{Order: o.ID, Before: before, After: after, Envelope: envelope.Envelope{
		PayloadType: warrant.ReportType, Payload: payload, Signatures: []envelope.Signature{envelope.SignEd25519(w.keys[host], warrant.ReportType, payload)}}}))
	w.ok(w.changes.Settle(ctx))
	o, err = w.changes.Get(ctx, o.ID)
	w.ok(err)
	if o.State != change.Closed {
		w.t.Fatalf("%s order is %s", o.Kind, o.State)
	}
	if w.ratified && p.Kind == change.Production {
		all, err := w.integrity.Investigations(ctx)
		w.ok(err)
		for _, person := range []string{"alice", "carol"} {
			_, err := w.integrity.Resolve(ctx, person, all[0].ID, integrity.Resolution{Outcome: integrity.Legitimate, Reason: "an admin's note"})
			w.ok(err)
		}
	}
	return o
}

func (w *world) sealed() []byte {
	w.t.Helper()
	b, err := w.Seal(w.t.Context(), "frank", w.order.ID)
	w.ok(err)
	return b
}

func (w *world) verify(b []byte) (Result, error) {
	return Verify(b, Options{RootDigest: w.people.Root.Digest()})
}
