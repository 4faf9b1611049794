package change

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
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
	investigations []integrity.Investigation
	installed      string // version of hello on every host
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) CurrentRoot(context.Context) (*trustroot.Root, error)      { return w.people.Root, nil }
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
	return estate.Host{ID: id, Environment: environment, Arch: "amd64", PackageSet: "set", ReportKey: key, SeenReportKey: key}
}

func (w *world) Hosts(context.Context) ([]estate.Host, error) {
	observer := w.host("hst_o", "production")
	observer.ReportKey = ""
	return []estate.Host{w.host("hst_s", "stage"), w.host("hst_p", "production"), w.host("hst_q", "production"), observer}, nil
}

func (w *world) Host(_ context.Context, id string) (estate.Host, error) { return w.host(id, ""), nil }

func (w *world) PackageSet(context.Context, string) (pkgset.Set, error) {
	return pkgset.Set{{Name: "hello", Arch: "amd64", Version: w.installed}}, nil
}

func (w *world) MakeManifest(context.Context, warrant.Order, []integrity.Run) (string, error) {
	return envelope.Digest([]byte("manifest")), nil
}

func (w *world) Reconcile(_ context.Context, o warrant.Order, runs []integrity.Run) (integrity.Reconciliation, error) {
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
	s, err := envelope.SignSSH(w.people.Signers[person], warrant.OrderType, o.Payload)
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
		if offer == nil {
			continue
		}
		payload, err := warrant.Report{Host: host, Order: o.ID, OrderDigest: o.Digest, Outcome: outcome, BegunAt: w.now, EndedAt: w.now,
			Packages: []warrant.Observed{}}.Encode()
		w.ok(err)
		w.ok(w.Rollouts.Report(w.t.Context(), host, wire.Report{Order: o.ID, Envelope: envelope.Envelope{PayloadType: warrant.ReportType,
			Payload: payload, Signatures: []envelope.Signature{envelope.SignEd25519(w.key, warrant.ReportType, payload)}}}))
	}
	w.ok(w.Settle(w.t.Context()))
}

func (w *world) state(order string) Order {
	w.t.Helper()
	o, err := w.Get(w.t.Context(), order)
	w.ok(err)
	return o
}

func (w *world) acts(order string) string {
	w.t.Helper()
	entries, err := w.log.List(w.t.Context(), ledger.Filter{Subject: "order/" + order})
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

func TestFromStageToProduction(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d)
		stage := w.staged()
		w.want("stage", stage.State, Closed)
		w.want("acts", w.acts(stage.ID), "order.proposed order.approved order.approved order.warranted order.closed")

		p := w.proposal(Production)
		p.Of = stage.ID
		o := w.propose(p)
		if o.Sequence <= stage.Sequence || o.Stage.Order != stage.ID || o.Stage.Manifest != stage.Manifest || o.Environment != "production" {
			t.Errorf("order %+v", o.Order)
		}
		if hosts := strings.Join(o.Transactions[0].Hosts, " "); hosts != "hst_p hst_q" {
			t.Errorf("hosts %s", hosts)
		}
		w.approve(o)
		w.want("approved", w.state(o.ID).State, Warranted)
		w.carryOut(o, warrant.Done)
		o = w.state(o.ID)
		w.want("state", o.State, Closed)
		if has, err := w.Blobs.Has(t.Context(), o.Result); err != nil || !has {
			t.Errorf("the result %q is not kept: %v", o.Result, err)
		}
		w.want("acts", w.acts(o.ID), "order.proposed order.approved order.approved order.warranted order.closed")
	})
}

func TestWhatNothingExplainsKeepsTheOrderOpen(t *testing.T) {
	for outcome, want := range map[string]string{integrity.Legitimate: Closed, integrity.Incident: Failed} {
		w := begin(t, dbtest.Open(t))
		stage := w.staged()
		p := w.proposal(Production)
		p.Of = stage.ID
		o := w.propose(p)
		w.approve(o)
		w.investigations = []integrity.Investigation{
			{Order: o.ID, State: integrity.Closed, Outcome: integrity.Legitimate}, {Order: o.ID, State: integrity.Open},
			{Order: "ord_other", State: integrity.Open}}
		w.carryOut(o, warrant.Done)
		w.want("state", w.state(o.ID).State, Investigating)
		w.ok(w.Settle(t.Context()))
		w.want("state", w.state(o.ID).State, Investigating)
		w.investigations[1].State, w.investigations[1].Outcome = integrity.Closed, outcome
		w.ok(w.Settle(t.Context()))
		w.want("state", w.state(o.ID).State, want)
		w.want("acts", w.acts(o.ID), "order.proposed order.approved order.approved order.warranted order.under-investigation order."+want)
	}
}

func TestBackOutGoesToTheOlderSnapshot(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	stage := w.staged()
	w.installed = "2.0"
	older := warranttest.Package("hello", "1.0", []byte("old deb"))
	w.packages = []deb.IndexEntry{{Name: "hello", Arch: "amd64", Version: "1.0", Filename: older.File, Size: older.Size, SHA256: older.SHA256}}
	p := w.proposal(BackOut)
	p.Of = stage.ID
	o := w.propose(p)
	a := o.Transactions[0].Actions[0]
	w.want("order", o.Environment+" "+o.Transactions[0].Hosts[0]+" "+a.Do+" "+a.From+" "+a.To, "stage hst_s downgrade 2.0 1.0")
	w.approve(o)
	w.carryOut(o, warrant.Done)
	w.want("state", w.state(o.ID).State, Closed)
	p.Of = o.ID
	if _, _, err := w.Propose(t.Context(), "bob", p); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a back-out of a back-out: %v", err)
	}
}

func TestAFailedStageGivesNoManifest(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	o := w.propose(w.proposal(Stage))
	w.approve(o)
	w.carryOut(o, warrant.RunFailed)
	w.want("state", w.state(o.ID).State+w.state(o.ID).Manifest, Failed)
	w.promoted = w.snapshot.Ref.SHA256
	p := w.proposal(Production)
	p.Of = o.ID
	if _, _, err := w.Propose(t.Context(), "bob", p); fault.KindOf(err) != fault.Conflict {
		t.Errorf("production after a failed stage: %v", err)
	}
}

func TestApprovals(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	o := w.propose(w.proposal(Stage))
	check := func(what string, err error, code string) {
		t.Helper()
		if fault.CodeOf(err) != code || err == nil {
			t.Errorf("%s: %v, want code %s", what, err, code)
		}
	}
	check("the author", w.sign("bob", o), fault.Author)
	s, err := envelope.SignSSH(w.people.Signers["carol"], warrant.OrderType, o.Payload)
	w.ok(err)
	_, err = w.Approve(t.Context(), "dave", o.ID, s)
	check("somebody else's signature", err, fault.BadSignature)
	s, err = envelope.SignSSH(w.people.Signers["carol"], warrant.OrderType, append([]byte(nil), o.Payload[1:]...))
	w.ok(err)
	_, err = w.Approve(t.Context(), "carol", o.ID, s)
	check("other bytes", err, fault.BadSignature)

	w.ok(w.sign("alice", o))
	if err := w.sign("alice", o); fault.KindOf(err) != fault.Conflict {
		t.Errorf("twice: %v", err)
	}
	w.want("one of two", w.state(o.ID).State, Proposed)
	if offer, err := w.Rollouts.Offer(t.Context(), "hst_s", 1); offer != nil || err != nil {
		t.Errorf("an order without its quorum is offered: %v", err)
	}
	w.ok(w.sign("carol", o))
	w.want("two of two", w.state(o.ID).State, Warranted)
	if err := w.sign("dave", o); fault.KindOf(err) != fault.Conflict {
		t.Errorf("after the quorum: %v", err)
	}
}

func TestAnOrderOfAnOlderTrustRootTakesNoApprovals(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	o := w.propose(w.proposal(Stage))
	next := w.people.NextRoot(func(r *trustroot.Root) { r.Organisation = "Renamed" }, "alice", "carol")
	root, err := w.people.Root.Next(next, w.now)
	w.ok(err)
	w.people.Root = root
	if err := w.sign("alice", o); fault.CodeOf(err) != fault.RootRollback {
		t.Error(err)
	}
}

func TestProposalsThatAreRefused(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	stage := w.staged()
	production := func(edit func(*Proposal)) Proposal {
		p := w.proposal(Production)
		p.Of = stage.ID
		edit(&p)
		return p
	}
	emergency := func(p *Proposal) { p.Class, p.Notices, p.Grounds = trustroot.Emergency, nil, "remote exploit in use" }
	for name, c := range map[string]struct {
		p    Proposal
		want fault.Kind
	}{
		"notice one second late":   {production(func(p *Proposal) { p.Notices[0].At = p.Notices[0].At.Add(time.Second) }), fault.Conflict},
		"no notice":                {production(func(p *Proposal) { p.Notices = nil }), fault.Conflict},
		"emergency, no grounds":    {production(func(p *Proposal) { emergency(p); p.Grounds = "" }), fault.Invalid},
		"grounds, no emergency":    {production(func(p *Proposal) { p.Grounds = "hurry" }), fault.Invalid},
		"class stage":              {production(func(p *Proposal) { p.Class = trustroot.Stage }), fault.Invalid},
		"no stage order":           {production(func(p *Proposal) { p.Of = "" }), fault.Invalid},
		"window too long":          {production(func(p *Proposal) { p.Window.ClosesAt = p.Window.OpensAt.Add(73 * time.Hour) }), fault.Denied},
		"emergency, 13 h":          {production(func(p *Proposal) { emergency(p); p.Window.ClosesAt = p.Window.OpensAt.Add(13 * time.Hour) }), fault.Denied},
		"window over":              {production(func(p *Proposal) { p.Window.OpensAt, p.Window.ClosesAt = w.now.Add(-2*time.Hour), w.now }), fault.Invalid},
		"window backwards":         {production(func(p *Proposal) { p.Window.ClosesAt = p.Window.OpensAt }), fault.Invalid},
		"unknown snapshot":         {production(func(p *Proposal) { p.Snapshot = strings.Repeat("0", 64) }), fault.NotFound},
		"observe-only host":        {production(func(p *Proposal) { p.Hosts = []string{"hst_o"} }), fault.NotFound},
		"host of other places":     {production(func(p *Proposal) { p.Hosts = []string{"hst_s"} }), fault.NotFound},
		"no back-out plan":         {production(func(p *Proposal) { p.BackOut = "" }), fault.Invalid},
		"unknown kind":             {production(func(p *Proposal) { p.Kind = "party" }), fault.Invalid},
		"back-out of a lost cause": {func() Proposal { p := w.proposal(BackOut); p.Of = "ord_none"; return p }(), fault.NotFound},
	} {
		if _, _, err := w.Propose(t.Context(), "bob", c.p); err == nil || fault.KindOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if _, _, err := w.Propose(t.Context(), "mallory", w.proposal(Stage)); fault.CodeOf(err) != fault.Author {
		t.Errorf("an unknown author: %v", err)
	}
	w.promoted = strings.Repeat("1", 64)
	if _, _, err := w.Propose(t.Context(), "bob", production(func(*Proposal) {})); fault.KindOf(err) != fault.Conflict {
		t.Errorf("another snapshot promoted: %v", err)
	}
	w.promoted = w.snapshot.Ref.SHA256
	o := w.propose(production(emergency))
	if !strings.Contains(o.Reason, "remote exploit in use") {
		t.Errorf("the grounds of an emergency are not signed: %q", o.Reason)
	}
	w.NoticeHours = 0
	w.propose(production(func(p *Proposal) { p.Notices[0].At = p.Window.OpensAt }))
}

func TestOrdersEndWithoutQuorum(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	reject, withdraw, late := w.propose(w.proposal(Stage)), w.propose(w.proposal(Stage)), w.propose(w.proposal(Stage))
	if err := w.Reject(t.Context(), "bob", reject.ID, "no"); fault.KindOf(err) != fault.Denied {
		t.Errorf("the author rejects: %v", err)
	}
	if err := w.Withdraw(t.Context(), "alice", withdraw.ID, "no"); fault.KindOf(err) != fault.Denied {
		t.Errorf("another withdraws: %v", err)
	}
	if err := w.Reject(t.Context(), "alice", reject.ID, ""); fault.KindOf(err) != fault.Invalid {
		t.Errorf("rejected without reason: %v", err)
	}
	w.ok(w.Reject(t.Context(), "alice", reject.ID, "plan is thin"))
	w.ok(w.Withdraw(t.Context(), "bob", withdraw.ID, "mistake"))
	if err := w.sign("alice", reject); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a rejected order is approved: %v", err)
	}
	w.now = late.Window.ClosesAt
	if err := w.sign("alice", late); fault.KindOf(err) != fault.Conflict {
		t.Errorf("approved after the window: %v", err)
	}
	w.ok(w.Settle(t.Context()))
	w.want("states", w.state(reject.ID).State+" "+w.state(withdraw.ID).State+" "+w.state(late.ID).State, Rejected+" "+Withdrawn+" "+Expired)
	w.want("acts", w.acts(late.ID), "order.proposed order.expired")
}
