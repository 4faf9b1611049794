package rollout

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

func TestRolloutGoesWaveByWaveToItsEnd(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := start(t, d, "h1", "h2", "h3", "h4")
		if w.offered("h2") {
			t.Error("h2 is offered the order before the canary is done")
		}
		w.carryOut("h1", Done)
		if w.offered("h4") {
			t.Error("h4 is offered the order before wave 1 is done")
		}
		w.carryOut("h3", Done)
		w.carryOut("h2", Done)
		w.carryOut("h4", Done)
		w.want("states", w.states(), "ended done done done done")
		w.want("acts", w.acts(), "rollout.started "+strings.Repeat("run.offered run.begun run.done ", 4)+"rollout.ended")
		if w.offered("h1") {
			t.Error("a done host is offered the order again")
		}
	})
}

func TestTheOfferIsAWarrantThatHolds(t *testing.T) {
	w := start(t, dbtest.Open(t), "hst_1")
	o, err := w.Offer(t.Context(), "hst_1", 0)
	w.ok(err)
	doc, err := warrant.Parse(o.Warrant)
	w.ok(err)
	host := w.people.Host()
	leave, err := doc.Check(host)
	w.ok(err)
	if leave.OrderDigest != w.digest || len(doc.Roots) != 1 {
		t.Errorf("offer of %s with %d roots", leave.OrderDigest, len(doc.Roots))
	}
	if len(o.Files) != 2 || o.Files[1].Path != w.order.Transactions[0].Actions[0].File {
		t.Errorf("files %v, want the release and the host's own package", o.Files)
	}
	f, err := w.File(t.Context(), "hst_1", w.order.ID, o.Files[1].Path)
	w.ok(err)
	b, err := io.ReadAll(f)
	w.ok(errors.Join(err, f.Close()))
	w.want("file", string(b), o.Files[1].Path)
	for _, c := range [][2]string{{"hst_1", "pool/other.deb"}, {"hst_2", o.Files[1].Path}} {
		if _, err := w.File(t.Context(), c[0], w.order.ID, c[1]); fault.KindOf(err) != fault.NotFound {
			t.Errorf("file %s for %s: %v", c[1], c[0], err)
		}
	}
	w.ok(w.report("hst_1", Done, ""))
	if _, err := w.File(t.Context(), "hst_1", w.order.ID, o.Files[1].Path); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a file after the end of the run: %v", err)
	}
}

func TestAFailedRunHaltsAndResumingNeedsSomeoneElse(t *testing.T) {
	for _, bad := range []State{Refused, Failed, Interrupted} {
		t.Run(string(bad), func(t *testing.T) {
			w := start(t, dbtest.Open(t), "h1", "h2", "h3")
			w.carryOut("h1", bad)
			w.want("states", w.states(), "halted "+string(bad)+" waiting waiting")
			if w.offered("h2") {
				t.Error("a halted rollout offers")
			}
			if err := w.Resume(t.Context(), w.order.Author, w.order.ID, "it is fine"); fault.KindOf(err) != fault.Denied {
				t.Errorf("the author resumes: %v", err)
			}
			if err := w.Resume(t.Context(), "dave", w.order.ID, ""); fault.KindOf(err) != fault.Invalid {
				t.Errorf("resumed without a reason: %v", err)
			}
			w.ok(w.Resume(t.Context(), "dave", w.order.ID, "disk was full, repaired"))
			w.carryOut("h2", Done)
			w.carryOut("h3", Done)
			w.want("states", w.states(), "ended "+string(bad)+" done done")
			if !strings.Contains(w.acts(), "run."+string(bad)+" rollout.halted rollout.resumed run.offered") {
				t.Error(w.acts())
			}
		})
	}
}

func TestAnOfferNotBegunIsTakenBackByTheHalt(t *testing.T) {
	w := start(t, dbtest.Open(t), "h1", "h2", "h3")
	w.carryOut("h1", Done)
	if !w.offered("h2") || !w.offered("h3") {
		t.Fatal("wave 1 is not offered")
	}
	w.ok(w.begin("h2"))
	w.ok(w.report("h2", Failed, "FAILED"))
	if err := w.begin("h3"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("begin in a halted rollout: %v", err)
	}
	w.want("states", w.states(), "halted done failed waiting")
	w.ok(w.Resume(t.Context(), "dave", w.order.ID, "looked at"))
	w.carryOut("h3", Done)
	w.want("states", w.states(), "ended done failed done")
}

// Everything may be said twice: a killed agent or a lost answer must not make a second run.
func TestRepeatsChangeNothing(t *testing.T) {
	w := start(t, dbtest.Open(t), "h1", "h2")
	for range 2 {
		if !w.offered("h1") {
			t.Fatal("not offered")
		}
	}
	w.ok(w.begin("h1"))
	w.ok(w.begin("h1"))
	if !w.offered("h1") {
		t.Error("a run that has begun is not handed its warrant again")
	}
	w.ok(w.report("h1", Done, ""))
	w.ok(w.report("h1", Done, ""))
	w.want("acts", w.acts(), "rollout.started run.offered run.begun run.done")

	for range 2 {
		if err := w.report("h1", Failed, "FAILED"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a contradicting report: %v", err)
		}
	}
	w.want("states", w.states(), "running done waiting")
	w.want("acts", w.acts(), "rollout.started run.offered run.begun run.done rollout.contradicted")
}

func TestReportsAreBelievedOnlyFromTheHost(t *testing.T) {
	w := start(t, dbtest.Open(t), "h1", "h2")
	w.carryOut("h1", Done)
	good := w.says("h2", Done, "")
	for name, in := range map[string]wire.Report{
		"another host's key": w.signed("h1", good),
		"another host's report": func() wire.Report {
			r := good
			r.Host = "h1"
			return w.signed("h2", r)
		}(),
		"other bytes of the order": func() wire.Report {
			r := good
			r.OrderDigest = digestOf("another order")
			return w.signed("h2", r)
		}(),
		"no outcome": func() wire.Report {
			r := good
			r.Outcome = string(Begun)
			return w.signed("h2", r)
		}(),
	} {
		if err := w.Report(t.Context(), "h2", in); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
	w.want("states", w.states(), "running done waiting")
}

// An executor that cannot read what it was given refuses without knowing the order.
func TestARefusalMayNameNoOrder(t *testing.T) {
	w := start(t, dbtest.Open(t), "h1")
	r := w.says("h1", Done, "")
	r.Order, r.OrderDigest = "", ""
	if err := w.Report(t.Context(), "h1", w.signed("h1", r)); fault.KindOf(err) != fault.Denied {
		t.Errorf("done without an order: %v", err)
	}
	r.Outcome, r.Code = warrant.Refused, fault.Malformed
	w.ok(w.Report(t.Context(), "h1", w.signed("h1", r)))
	w.want("states", w.states(), "ended refused")
}

func TestSilenceCountsAsFailed(t *testing.T) {
	w := start(t, dbtest.Open(t), "h1", "h2", "h3")
	w.carryOut("h1", Done)
	if !w.offered("h2") {
		t.Fatal("not offered")
	}
	w.ok(w.begin("h2"))
	w.now = w.order.Window.ClosesAt
	if w.offered("h3") {
		t.Error("offered after the window")
	}
	w.now = w.order.Window.ClosesAt.Add(Grace - time.Microsecond)
	w.ok(w.Sweep(t.Context()))
	w.want("states within grace", w.states(), "running done begun waiting")
	w.now = w.order.Window.ClosesAt.Add(Grace)
	w.ok(w.Sweep(t.Context()))
	w.ok(w.Sweep(t.Context()))
	w.want("states", w.states(), "ended done lost missed")

	w.ok(w.report("h2", Done, "")) // the host was away, and tells the truth late
	w.want("states", w.states(), "ended done done missed")
	w.want("acts", w.acts(), "rollout.started run.offered run.begun run.done run.offered run.begun run.lost run.missed rollout.ended run.done")
}

// TestTheStateBeforeIsTheFirstOneTold: a host that forgot its errand looks again when all is done, and the act of its report
// cites what the run is reconciled by.
func TestTheStateBeforeIsTheFirstOneTold(t *testing.T) {
	w := start(t, dbtest.Open(t), "h1")
	if !w.offered("h1") {
		t.Fatal("not offered")
	}
	w.ok(w.begin("h1"))
	again := w.signed("h1", w.says("h1", Done, ""))
	again.Before.PackageSet = digestOf("set after")
	w.ok(w.Report(t.Context(), "h1", again))
	_, runs, err := w.Get(t.Context(), w.order.ID)
	w.ok(err)
	acts, err := w.log.List(t.Context(), ledger.Filter{Subject: "run/" + w.order.ID + "/h1"})
	w.ok(err)
	cited := acts[len(acts)-1].Act.Facts
	if before := digestOf("set before"); runs[0].Before.PackageSet != before || !slices.Contains(cited, before) {
		t.Errorf("before %+v, act cites %q", runs[0].Before, cited)
	}
}

func TestOffersKeepToTheWindow(t *testing.T) {
	w := start(t, dbtest.Open(t), "h1")
	w.now = w.order.Window.OpensAt.Add(-time.Second)
	if w.offered("h1") {
		t.Error("offered before the window")
	}
	w.now = w.order.Window.OpensAt
	if !w.offered("h1") {
		t.Error("not offered as the window opens")
	}
	w.now = w.order.Window.ClosesAt
	if err := w.begin("h1"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("begun after the window: %v", err)
	}
	w.now = w.now.Add(Grace)
	w.ok(w.Sweep(t.Context()))
	w.want("a host that came too late, and was told so", w.states(), "ended missed")
}

// The machine as a table: what may follow what.
func TestStates(t *testing.T) {
	all := []State{Waiting, Offered, Begun, Done, Refused, Failed, Interrupted, Lost, Missed}
	outcomes := []State{Done, Refused, Failed, Interrupted}
	want := map[State][]State{
		Waiting: append([]State{Offered, Missed}, outcomes...),
		Offered: append([]State{Waiting, Begun, Lost}, outcomes...),
		Begun:   append([]State{Lost}, outcomes...),
		Lost:    outcomes,
		Missed:  outcomes,
	}
	for _, from := range all {
		for _, to := range all {
			if got := from.mayBecome(to); got != slices.Contains(want[from], to) {
				t.Errorf("%s → %s: %v", from, to, got)
			}
		}
	}
}

func TestWavesDouble(t *testing.T) {
	if got := fmt.Sprint(waves(9)); got != "[0 1 1 2 2 2 2 3 3]" {
		t.Error(got)
	}
}

func TestRunsInPages(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := start(t, d, "h1", "h2", "h3")
		w.carryOut("h1", Done)
		page := func(p RunPage) (hosts string) {
			t.Helper()
			_, n, runs, err := w.Page(t.Context(), w.order.ID, p)
			w.ok(err)
			if n[Done] != 1 || n[Waiting] != 2 || len(n) != 2 {
				t.Errorf("counts %v", n)
			}
			for _, r := range runs {
				hosts += r.Host + " "
			}
			return hosts
		}
		w.want("first", page(RunPage{Limit: 2}), "h1 h2 ")
		w.want("rest", page(RunPage{From: 2, Limit: 2}), "h3 ")
		w.want("waiting", page(RunPage{State: Waiting, Limit: 1}), "h2 ")
		if _, _, _, err := w.Page(t.Context(), "ord_none", RunPage{Limit: 1}); fault.KindOf(err) != fault.NotFound {
			t.Errorf("no such rollout: %v", err)
		}
		runs, err := w.RunsOf(t.Context(), "h1", "", 10)
		if err != nil || len(runs) != 1 || runs[0].State != Done || runs[0].Order != w.order.ID {
			t.Errorf("of h1: %+v, %v", runs, err)
		}
		if runs, err := w.RunsOf(t.Context(), "h1", w.order.ID, 10); err != nil || len(runs) != 0 {
			t.Errorf("older ones of h1: %+v, %v", runs, err)
		}
	})
}

// A host is brought the packages of all its roots, and those of no other host.
func TestTheFilesAreThoseOfAllRoots(t *testing.T) {
	w := start(t, dbtest.Open(t), "hst_1", "hst_2")
	o := w.order
	other := o.Transactions[0].Actions[0]
	other.Name, other.File = "other", "pool/other.deb"
	o.Transactions = append(o.Transactions, warrant.Transaction{Hosts: []string{"hst_2"}, Root: "/srv/chroot", Actions: []warrant.Action{other}})
	payload, err := o.Encode()
	w.ok(err)
	for host, want := range map[string]int{"hst_1": 2, "hst_2": 3} {
		if files, err := w.files(t.Context(), host, payload); err != nil || len(files) != want {
			t.Errorf("%s is brought %v, %v, want %d files", host, files, err, want)
		}
	}
}
