package change

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

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

// TestAnOrderIsConcludedOnce: also where the server that took the last report has a clock that is ahead.
func TestAnOrderIsConcludedOnce(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	o := w.propose(w.proposal(Stage))
	w.approve(o)
	_, err := w.Rollouts.Offer(t.Context(), "hst_s", 1)
	w.ok(err)
	w.now = w.now.Add(5 * time.Second)
	w.ok(w.report(o, "hst_s", warrant.RunFailed))
	for _, after := range []time.Duration{-4 * time.Second, 10 * time.Second, 10 * time.Second} {
		w.now = w.now.Add(after)
		w.ok(w.Settle(t.Context()))
	}
	w.want("acts", w.acts(o.ID), "order.proposed order.approved order.approved order.warranted order.failed")
}

// TestALateReportIsReconciledToo: of a host that was given up, after its order was settled without it.
func TestALateReportIsReconciledToo(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d)
		p := w.proposal(Production)
		p.Of = w.staged().ID
		o := w.propose(p)
		w.approve(o)
		w.ok(w.report(o, "hst_p", warrant.Done))
		_, err := w.Rollouts.Offer(t.Context(), "hst_q", 1)
		w.ok(err)
		settle := func(after time.Duration) {
			t.Helper()
			w.now = w.now.Add(after)
			w.ok(w.Rollouts.Sweep(t.Context()))
			w.ok(w.Settle(t.Context()))
		}
		settle(time.Hour + rollout.Grace)
		w.want("given up", w.state(o.ID).State+", "+w.reconciled, Failed+", hst_p of "+o.ID)
		settle(time.Hour)
		w.ok(w.report(o, "hst_q", warrant.Done))
		w.investigations = []integrity.Investigation{{Order: o.ID, Host: "hst_q", State: integrity.Open}}
		settle(time.Second)
		settle(time.Second)
		w.want("late", w.state(o.ID).State+", "+w.reconciled, Investigating+", hst_q of "+o.ID)
		w.investigations[0].State, w.investigations[0].Outcome = integrity.Closed, integrity.Legitimate
		settle(time.Second)
		settle(time.Second)
		w.want("state", w.state(o.ID).State, Closed)
		w.want("acts", w.acts(o.ID), "order.proposed order.approved order.approved order.warranted order.failed order.under-investigation order.closed")
	})
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
	w.want("reconciled", w.reconciled, "hst_s of "+o.ID)
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
	s, err := sshkey.Sign(w.people.Signers["carol"], warrant.OrderType, o.Payload)
	w.ok(err)
	_, err = w.Approve(t.Context(), "dave", o.ID, s)
	check("somebody else's signature", err, fault.BadSignature)
	s, err = sshkey.Sign(w.people.Signers["carol"], warrant.OrderType, append([]byte(nil), o.Payload[1:]...))
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

// TestWhoIsLimitedToOtherHostsIsRefusedAtTheDoor: of the order's hosts all must be within the scope, where the order says they
// stand and where they stand now.
func TestWhoIsLimitedToOtherHostsIsRefusedAtTheDoor(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	w.unit = "cards"
	limited := *w.people.Root
	limited.People = slices.Clone(limited.People)
	limited.People[2].Roles = append(slices.Clone(limited.People[2].Roles), "risk-manager")
	limited.People[2].Scopes = []trustroot.Scope{{Role: "operations-manager", Units: []string{"cards"}}} // carol
	limited.People[3].Scopes = []trustroot.Scope{{Role: "system-owner", Zones: []string{"hst_p"}},
		{Role: "risk-manager", Zones: []string{"hst_p"}}} // dave; stage is zone hst_s
	w.people.SetRoot(limited)
	record := w.people.Record([]byte("index"), warranttest.Package("hello", "2.0", []byte("deb")))
	w.snapshot.Ref.SHA256 = record.Snapshot
	o := w.propose(w.proposal(Stage))
	if !slices.Equal(o.Places, []trustroot.Place{{Platform: "debian", Unit: "cards", Zone: "hst_s"}}) {
		t.Errorf("places %+v", o.Places)
	}
	refused := func(person string) {
		t.Helper()
		if err := w.sign(person, o); fault.CodeOf(err) != fault.Scope {
			t.Errorf("%s: %v", person, err)
		}
	}
	refused("dave")
	w.ok(w.sign("alice", o))
	w.unit = "loans"         // the hosts went to another unit since
	w.ok(w.sign("carol", o)) // as product manager she is not limited, but that seat is alice's
	w.want("state", w.state(o.ID).State, Proposed)
	w.unit = "cards"
	o = w.propose(w.proposal(Stage))
	w.ok(w.sign("alice", o))
	w.ok(w.sign("carol", o))
	w.want("state", w.state(o.ID).State, Warranted)

	w.ok(w.Rollouts.Halt(t.Context(), "dave", o.ID, "look first")) // whoever sees trouble stops it
	if err := w.Resume(t.Context(), "dave", o.ID, "it is fine"); fault.CodeOf(err) != fault.Scope {
		t.Errorf("dave lets it go on: %v", err)
	}
	w.ok(w.Resume(t.Context(), "alice", o.ID, "it is fine"))
}

// TestPeopleAtTheSameTime: of an order that is approved, withdrawn and rejected at once one thing comes; each signature counts once, and
// what was warranted has one rollout. So is a halted rollout resumed by one.
func TestPeopleAtTheSameTime(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d)
		came := map[string]int{}
		for range 12 {
			o := w.propose(w.proposal(Stage))
			atOnce(func() error { return w.sign("alice", o) }, func() error { return w.sign("alice", o) },
				func() error { return w.sign("carol", o) }, func() error { return w.sign("carol", o) },
				func() error { return w.Withdraw(t.Context(), "bob", o.ID, "wrong") }, func() error { return w.Reject(t.Context(), "dave", o.ID, "no") })
			got, acts := w.state(o.ID), strings.Fields(w.acts(o.ID))
			approved, ends := 0, 0
			for _, a := range acts {
				switch a {
				case "order.approved":
					approved++
				case "order." + Warranted, "order." + Withdrawn, "order." + Rejected:
					ends++
					w.want("state", got.State, strings.TrimPrefix(a, "order."))
				}
			}
			if ends != 1 || approved != len(got.Signatures) || approved > 2 || got.State == Warranted && approved != 2 {
				t.Errorf("%s with %d signatures: %v", got.State, len(got.Signatures), acts)
			}
			came[got.State]++
			if got.State != Warranted {
				w.want("rollout", w.of("rollout/"+o.ID), "")
				continue
			}
			w.want("rollout", w.of("rollout/"+o.ID), "rollout.started")
			w.ok(w.Rollouts.Halt(t.Context(), "dave", o.ID, "look first"))
			resume := func() error { return w.Resume(t.Context(), "alice", o.ID, "fine") }
			if done := atOnce(resume, resume, resume); done != 1 {
				t.Errorf("resumed %d times", done)
			}
		}
		t.Log(came)
		if r, err := w.log.Audit(t.Context(), nil); err != nil || len(r.Findings) > 0 {
			t.Errorf("the ledger: %+v, %v", r, err)
		}
	})
}

// atOnce does several things at the same time and gives how many came to pass.
func atOnce(all ...func() error) (done int) {
	var running sync.WaitGroup
	var came atomic.Int32
	start := make(chan struct{})
	for _, do := range all {
		running.Go(func() {
			<-start
			if do() == nil {
				came.Add(1)
			}
		})
	}
	close(start)
	running.Wait()
	return int(came.Load())
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

func TestATrustRootThatComesDuringAnApprovalCounts(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	o := w.propose(w.proposal(Stage))
	w.ok(w.sign("alice", o))
	next := w.people.NextRoot(func(r *trustroot.Root) { r.Organisation = "Renamed" }, "alice", "carol")
	root, err := w.people.Root.Next(next, w.now)
	w.ok(err)
	w.meanwhile = root
	if err := w.sign("carol", o); fault.CodeOf(err) != fault.RootRollback {
		t.Error(err)
	}
	w.want("acts", w.acts(o.ID), "order.proposed order.approved")
	w.want("state", w.state(o.ID).State, Proposed)
}

func TestAnExpiredTrustRootWarrantsNothing(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	root := *w.people.Root
	root.ExpiresAt = w.now.Add(30 * time.Minute)
	w.people.SetRoot(root)
	o := w.propose(w.proposal(Stage))
	w.ok(w.sign("alice", o))
	w.now = root.ExpiresAt
	if err := w.sign("carol", o); fault.CodeOf(err) != fault.RootExpired {
		t.Error(err)
	}
	w.want("state", w.state(o.ID).State, Proposed)
	if _, _, err := w.Propose(t.Context(), "bob", w.proposal(Stage)); fault.CodeOf(err) != fault.RootExpired {
		t.Errorf("propose: %v", err)
	}
	if err := w.Resume(t.Context(), "carol", o.ID, "looked at"); fault.CodeOf(err) != fault.RootExpired {
		t.Errorf("resume: %v", err)
	}
}

// What stage showed and nothing explained will pass as staged on production: whoever approves that reads it in what they sign.
func TestWhatNothingExplainedOnStageIsAcknowledged(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	w.showed = []explain.Staged{{Path: "/usr/bin/hello", Verdict: explain.AsShipped}, {Path: "/etc/cron.d/more", Verdict: explain.Unexplained},
		{Path: "/usr/lib/hello.so", Verdict: explain.Missing}}
	for i := range 9 {
		w.showed = append(w.showed, explain.Staged{Path: fmt.Sprintf("/var/lib/hello/%d", i), Verdict: explain.Unexplained})
	}
	p := w.proposal(Production)
	p.Of = w.staged().ID
	const said = "stage showed 11 changes that no package explains: /etc/cron.d/more, /usr/lib/hello.so (missing), /var/lib/hello/0, /var/lib/hello/1, /var/lib/hello/2, …"
	if _, _, err := w.Propose(t.Context(), "bob", p); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), said) {
		t.Errorf("without a word: %v", err)
	}
	p.Acknowledge = "hello's caches, and a file the tester left"
	o := w.propose(p)
	signed, err := warrant.DecodeOrder(o.Payload)
	w.ok(err)
	if !strings.HasSuffix(signed.Reason, "\n"+said+"; acknowledged: "+p.Acknowledge) {
		t.Errorf("the order says %q", signed.Reason)
	}
	entries, err := w.log.List(t.Context(), ledger.Filter{Subject: "order/" + o.ID})
	w.ok(err)
	if !strings.Contains(string(entries[0].Act.Detail), `"acknowledge":"hello's caches`) {
		t.Errorf("the act says %s", entries[0].Act.Detail)
	}
	w.showed = nil
	if _, _, err := w.Propose(t.Context(), "bob", p); fault.KindOf(err) != fault.Invalid {
		t.Errorf("nothing to acknowledge: %v", err)
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

func TestListGoesOnBelowASequenceNumber(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d)
		var made []Order
		for range 3 {
			made = append(made, w.propose(w.proposal(Stage)))
		}
		w.approve(made[1])
		for _, state := range []string{Proposed, Withdrawn} { // the second time, payloads come from memory
			first, err := w.List(t.Context(), 2)
			w.ok(err)
			rest, err := w.ListBefore(t.Context(), first[1].Sequence, 2)
			w.ok(err)
			for i, o := range append(first, rest...) {
				want := w.state(made[2-i].ID)
				want.Signatures = nil
				if diff := cmp.Diff(want, o); diff != "" {
					t.Error(diff)
				}
			}
			if len(first) != 2 || len(rest) != 1 {
				t.Errorf("pages of %d and %d", len(first), len(rest))
			}
			w.want("state", rest[0].State, state)
			if state == Proposed {
				w.ok(w.Withdraw(t.Context(), "bob", made[0].ID, "too early"))
			}
		}
	})
}

// An order goes into those other roots that the proposer asks for, that lag, that their host lets orders change, and that are
// of the host's release; nowhere else.
func TestRootsThatLagComeUnderTheSameOrder(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	stage := w.staged()
	root := estate.HostRoot{PackageSet: "inside", Distribution: "debian", Release: "bookworm", Arch: "amd64", Changeable: true}
	closed, older := root, root
	closed.Changeable, older.Release = false, "bullseye"
	w.roots = map[string]estate.HostRoot{"/srv/chroot": root, "/srv/closed": closed, "/srv/older": older}
	p := w.proposal(Production)
	p.Of = stage.ID
	where := func(o Order) (all []string) {
		for _, x := range o.Transactions {
			all = append(all, strings.TrimSpace(x.Root+" "+strings.Join(x.Hosts, " ")))
		}
		return all
	}
	w.want("not asked for", strings.Join(where(w.propose(p)), "; "), "hst_p hst_q")
	p.Roots = true
	o := w.propose(p)
	w.want("asked for", strings.Join(where(o), "; "), "hst_p hst_q; /srv/chroot hst_p")
	p.Hosts = []string{"hst_p"}
	w.want("of one host", strings.Join(where(w.propose(p)), "; "), "hst_p; /srv/chroot hst_p")
	w.installed = "2.0" // the host's own package was upgraded before, that of the root was not
	alone := w.propose(p)
	w.want("the root alone", strings.Join(where(alone), "; "), "/srv/chroot hst_p")
	if again, err := warrant.DecodeOrder(alone.Payload); err != nil || again.Transactions[0].Root != "/srv/chroot" {
		t.Errorf("what people sign names %+v, %v", again.Transactions, err)
	}
	w.approve(o)
	w.want("approved", w.state(o.ID).State, Warranted)
	_, runs, err := w.Rollouts.Get(t.Context(), o.ID)
	if err != nil || len(runs) != 2 {
		t.Errorf("a host has one run, whatever it does in its roots: %d, %v", len(runs), err)
	}
}

// Copied files come under the order that upgrades their package on the host, or later; never in a root that the host keeps closed.
func TestCopiesComeUnderTheSameOrder(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	stage := w.staged()
	root := estate.HostRoot{PackageSet: "none", Inventory: "copies", Distribution: "debian", Release: "bookworm", Arch: "amd64", Copies: 1, Changeable: true}
	closed := root
	closed.Changeable = false
	w.roots = map[string]estate.HostRoot{"/srv/chroot": root, "/srv/closed": closed}
	d := func(s string) string { return envelope.Digest([]byte(s)) }
	w.copies.Copies = []wire.Lagging{{Path: "/usr/lib/hello.so", Package: "hello", Has: d("old")}}
	w.ships = explain.Contents{Name: "hello", Version: "2.0", Files: []explain.Shipped{{Path: "/usr/lib/hello.so", Type: "f", Size: 3, SHA256: d("new")}}}
	p := w.proposal(Production)
	p.Of = stage.ID
	if o := w.propose(p); len(o.Transactions) != 1 {
		t.Errorf("not asked for: %+v", o.Transactions)
	}
	p.Roots = true
	want := warrant.Transaction{Hosts: []string{"hst_p"}, Root: "/srv/chroot", Actions: []warrant.Action{}, Copies: []warrant.Copy{{Path: "/usr/lib/hello.so",
		From: d("old"), To: d("new"), Size: 3, Package: "hello", Version: "2.0", Deb: w.packages[0].SHA256}}}
	o := w.propose(p)
	if diff := cmp.Diff([]warrant.Transaction{want}, o.Transactions[1:]); diff != "" || o.Transactions[0].Root != "" {
		t.Error(diff)
	}
	w.installed = "2.0" // the host's own package was upgraded before
	w.copies = wire.Inventory{Lagging: []wire.Lagging{{Path: "/usr/lib/hello.so", Package: "hello", Has: d("old"), Host: d("new")}}}
	alone := w.propose(p)
	again, err := warrant.DecodeOrder(alone.Payload)
	if diff := cmp.Diff([]warrant.Transaction{want}, again.Transactions); err != nil || diff != "" {
		t.Error(err, diff)
	}
	w.approve(o)
	w.want("approved", w.state(o.ID).State, Warranted)
}
