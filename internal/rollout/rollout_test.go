package rollout

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// world is a running rollout of one order on some hosts.
type world struct {
	*Rollouts
	t      *testing.T
	people *warranttest.World
	log    *ledger.Ledger
	now    time.Time
	order  warrant.Order
	digest string
	keys   map[string]ed25519.PrivateKey
}

func (w *world) Host(_ context.Context, id string) (estate.Host, error) {
	public := w.keys[id].Public().(ed25519.PublicKey)
	return estate.Host{ID: id, ReportKey: base64.StdEncoding.EncodeToString(public)}, nil
}

// Carry gives the files of the one snapshot; their bytes are their paths.
func (w *world) Carry(ctx context.Context, snapshot string) ([]wire.File, error) {
	var files []wire.File
	for _, p := range []string{"dists/x/InRelease", w.order.Transactions[0].Actions[0].File, "pool/other.deb"} {
		digest, err := blob.PutBytes(ctx, w.Blobs, []byte(p))
		if err != nil {
			return nil, err
		}
		files = append(files, wire.File{Path: p, SHA256: digest, Size: int64(len(p))})
	}
	return files, nil
}

// Roots gives the one trust root.
func (w *world) Roots(_ context.Context, from int64) ([]envelope.Envelope, error) {
	if from > w.people.Root.Version {
		return nil, nil
	}
	return []envelope.Envelope{w.people.RootEnvelope}, nil
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func start(t *testing.T, d *db.DB, hosts ...string) *world {
	t.Helper()
	w := &world{t: t, people: warranttest.New(t), now: warranttest.Now, keys: map[string]ed25519.PrivateKey{}}
	for _, h := range hosts {
		_, private, err := ed25519.GenerateKey(nil)
		w.ok(err)
		w.keys[h] = private
	}
	clock := func() time.Time { return w.now }
	log, err := ledger.New(ledger.Config{DB: d, Signer: w.people.Log.Signer, Verifier: w.people.Log.VerifierKey,
		Origin: warranttest.Origin, GuardFile: filepath.Join(t.TempDir(), "guard"), Now: clock})
	w.ok(err)
	blobs, err := blob.Dir(t.TempDir())
	w.ok(err)
	w.log, w.Rollouts = log, New(Config{DB: d, Ledger: log, Blobs: blobs, Roots: w, Files: w, Hosts: w, Now: clock})

	record := w.people.Record([]byte("index"), warranttest.Package("hello", "2.0", []byte("deb")))
	w.order = w.people.Order(record)
	w.order.Transactions[0].Hosts = hosts
	doc := w.people.Warrant(w.order, record)
	w.digest = envelope.Digest(doc.Order.Payload)
	put := func(e envelope.Envelope) string {
		b, err := envelope.Encode(e)
		w.ok(err)
		digest, err := blob.PutBytes(t.Context(), blobs, b)
		w.ok(err)
		return digest
	}
	signed, curation := put(doc.Order), put(*doc.Curation)
	w.ok(d.Write(t.Context(), func(tx *db.Tx) error {
		index, err := log.Append(t.Context(), tx, proof.Act{Kind: "order.warranted", Subject: "order/" + w.order.ID, Who: "server", Facts: []string{w.digest}})
		if err != nil {
			return err
		}
		return w.Start(t.Context(), tx, Warranted{Order: w.order, Digest: w.digest, Envelope: signed, Curation: curation, Index: index})
	}))
	return w
}

// offered reports whether the host is offered the order now.
func (w *world) offered(host string) bool {
	w.t.Helper()
	o, err := w.Offer(w.t.Context(), host, 1)
	w.ok(err)
	return o != nil
}

func (w *world) begin(host string) error {
	return w.Begin(w.t.Context(), host, wire.Begin{Order: w.order.ID, Before: wire.Observation{At: w.now, PackageSet: digestOf("set before")}})
}

func (w *world) signed(host string, r warrant.Report) wire.Report {
	w.t.Helper()
	payload, err := r.Encode()
	w.ok(err)
	return wire.Report{Order: w.order.ID, After: wire.Observation{At: w.now, PackageSet: digestOf("set after")},
		Envelope: envelope.Envelope{PayloadType: warrant.ReportType, Payload: payload,
			Signatures: []envelope.Signature{envelope.SignEd25519(w.keys[host], warrant.ReportType, payload)}}}
}

func (w *world) says(host string, outcome State, code string) warrant.Report {
	return warrant.Report{Order: w.order.ID, OrderDigest: w.digest, Host: host, Outcome: string(outcome), Code: code,
		BegunAt: warranttest.Now, EndedAt: warranttest.Now, Packages: []warrant.Observed{}, Session: digestOf("session")}
}

func (w *world) report(host string, outcome State, code string) error {
	return w.Report(w.t.Context(), host, w.signed(host, w.says(host, outcome, code)))
}

// carryOut takes a host through its run.
func (w *world) carryOut(host string, outcome State) {
	w.t.Helper()
	if !w.offered(host) {
		w.t.Fatalf("host %s is not offered the order", host)
	}
	w.ok(w.begin(host))
	w.ok(w.report(host, outcome, ""))
}

// states gives the rollout's state and its runs'.
func (w *world) states() string {
	w.t.Helper()
	r, runs, err := w.Get(w.t.Context(), w.order.ID)
	w.ok(err)
	s := r.State
	for _, run := range runs {
		s += " " + string(run.State)
	}
	return s
}

// acts gives the kinds of the acts on rollout and runs, in order, and proves each.
func (w *world) acts() string {
	w.t.Helper()
	entries, err := w.log.List(w.t.Context(), ledger.Filter{})
	w.ok(err)
	var kinds []string
	for _, e := range entries {
		if strings.HasPrefix(e.Act.Subject, "run/") || strings.HasPrefix(e.Act.Subject, "rollout/") {
			kinds = append(kinds, e.Act.Kind)
		}
	}
	return strings.Join(kinds, " ")
}

func digestOf(s string) string { return envelope.Digest([]byte(s)) }

func (w *world) want(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s: %s\nwant %s", what, got, want)
	}
}

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
