package rollout

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
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
