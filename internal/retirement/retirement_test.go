package retirement

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
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
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

type world struct {
	*Retirements
	t      *testing.T
	people *warranttest.World
	root   *trustroot.Root
	now    time.Time
	acts   []proof.Act
}

func (w *world) Append(_ context.Context, _ *db.Tx, a proof.Act) (int64, error) {
	w.acts = append(w.acts, a)
	return int64(len(w.acts) - 1), nil
}
func (w *world) CurrentRoot(context.Context) (*trustroot.Root, error) { return w.root, nil }
func (w *world) RootInForce(context.Context, *db.Tx) (warrant.RootRef, error) {
	return warrant.RefOf(w.root), nil
}

func (w *world) kinds() string {
	var all []string
	for _, a := range w.acts {
		all = append(all, a.Kind)
	}
	return strings.Join(all, " ")
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	w := &world{t: t, people: warranttest.New(t), now: warranttest.Now}
	var err error
	w.root, err = trustroot.Decode(w.people.RootEnvelope.Payload)
	check(t, err)
	now := func() time.Time { return w.now }
	ca, err := estate.OpenCA(t.TempDir(), now)
	check(t, err)
	blobs, err := blob.Dir(t.TempDir())
	check(t, err)
	e := estate.New(estate.Config{DB: d, Ledger: w, Blobs: blobs, CA: ca, Now: now, Silent: time.Hour})
	w.Retirements = New(Config{DB: d, Ledger: w, Blobs: blobs, Root: w, Estate: e, Now: now})
	return w
}

func (w *world) enrol(host string) (estate.Host, *x509.Certificate, error) {
	w.t.Helper()
	token, _, err := w.Estate.MakeToken(w.t.Context(), "person/erin", estate.NewToken{Name: "web1", Environment: "stage", Host: host, Life: time.Hour})
	if err != nil {
		return estate.Host{}, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(w.t, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	check(w.t, err)
	h, der, err := w.Estate.Enrol(w.t.Context(), wire.EnrolRequest{Token: token, Name: "web1", CSR: csr})
	check(w.t, err)
	cert, err := x509.ParseCertificate(der)
	check(w.t, err)
	return h, cert, nil
}

func (w *world) sign(r Retirement, people ...string) (Retirement, error) {
	w.t.Helper()
	var err error
	for _, p := range people {
		if r, err = w.Approve(w.t.Context(), p, r.ID, w.people.Sign(PayloadType, r.Payload, p).Signatures[0]); err != nil {
			return r, err
		}
	}
	return r, nil
}

// TestRetiringTakesTwoPeople: and then the host counts nowhere, is refused at the door, and can still be read.
func TestRetiringTakesTwoPeople(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		ctx := t.Context()
		h, cert, err := w.enrol("")
		check(t, err)
		r, err := w.Propose(ctx, "carol", h.ID, "its hall is closed")
		check(t, err)
		if _, err := w.Propose(ctx, "dave", h.ID, "again"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a second while one waits: %v", err)
		}
		if _, err := w.sign(r, "carol"); fault.CodeOf(err) != fault.Author {
			t.Errorf("the author signs: %v", err)
		}
		r, err = w.sign(r, "alice")
		check(t, err)
		if _, err := w.sign(r, "alice"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("twice: %v", err)
		}
		if now, err := w.Estate.Host(ctx, h.ID); err != nil || !now.RetiredAt.IsZero() || r.State != Proposed {
			t.Fatalf("one signature retired it: %+v, %v", now, err)
		}
		before := len(w.acts)
		r, err = w.sign(r, "dave")
		check(t, err)
		if r.State != InForce || w.kinds() != "token.made host.enrolled retirement.proposed retirement.approved retirement.approved host.retired" {
			t.Errorf("state %s, acts %s", r.State, w.kinds())
		}
		if a := w.acts[before+1]; len(a.Facts) != 2 || a.Facts[0] != envelope.Digest(r.Payload) || a.Facts[1] != r.Envelope {
			t.Errorf("act %+v", a)
		}
		w.gone(h, cert)
	})
}

// gone checks that a host counts nowhere and that its identity is over, its record is not.
func (w *world) gone(h estate.Host, cert *x509.Certificate) {
	w.t.Helper()
	t, ctx := w.t, w.t.Context()
	r0 := strings.Repeat("0", 64)
	now, err := w.Estate.Host(ctx, h.ID)
	if err != nil || now.State() != estate.Retired || now.CanExecute() || now.Name != "web1" {
		t.Errorf("its page: %+v, %v", now, err)
	}
	hosts, err := w.Estate.Hosts(ctx)
	sets, _, err2 := w.Estate.HostSets(ctx, 0)
	listed, err3 := w.Estate.List(ctx, estate.Filter{}, "", 10)
	facets, err4 := w.Estate.Facets(ctx, estate.Filter{})
	if err != nil || err2 != nil || err3 != nil || err4 != nil || len(hosts)+len(listed)+facets.Hosts != 0 || len(sets) != 1 || sets[0].SetDigest != "" {
		t.Errorf("it still counts: %v %v %v %+v", hosts, sets, listed, facets)
	}
	found, err := w.Estate.List(ctx, estate.Filter{State: estate.Retired}, "", 10)
	if err != nil || len(found) != 1 || facets.By(estate.ByState)["retired"] != 1 {
		t.Errorf("by its state: %v, %v", found, err)
	}
	if _, _, err := w.enrol(h.ID); fault.CodeOf(err) != wire.Retired {
		t.Errorf("enrolled again: %v", err)
	}
	if _, err := w.Estate.Renew(ctx, h.ID, nil); err == nil {
		t.Error("a new certificate")
	}
	if _, _, err := w.Estate.CheckIn(ctx, h.ID, wire.CheckIn{Counter: 9, PackageSet: r0, Inventory: r0}); fault.CodeOf(err) != wire.Retired {
		t.Errorf("a check-in: %v", err)
	}
	w.acts = nil
	for range 3 {
		if _, err := w.Estate.Authenticate(ctx, cert); fault.CodeOf(err) != wire.Retired {
			t.Errorf("its certificate: %v", err)
		}
		w.now = w.now.Add(9 * time.Hour)
	}
	if w.kinds() != "host.retired-spoke" {
		t.Errorf("acts of a day: %q", w.kinds())
	}
	w.now = w.now.Add(9 * time.Hour)
	_, _ = w.Estate.Authenticate(ctx, cert)
	spoke, err := w.Estate.RetiredWhoSpoke(ctx)
	if err != nil || len(spoke) != 1 || w.kinds() != "host.retired-spoke host.retired-spoke" {
		t.Errorf("the day after: %v, %q, %v", spoke, w.kinds(), err)
	}
}

func TestRetirementsEnd(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	ctx := t.Context()
	h, _, err := w.enrol("")
	check(t, err)
	if _, err := w.Propose(ctx, "carol", h.ID, " "); fault.KindOf(err) != fault.Invalid {
		t.Errorf("without a reason: %v", err)
	}
	if _, err := w.Propose(ctx, "carol", "hst_nobody", "x"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of nobody: %v", err)
	}
	r, err := w.Propose(ctx, "carol", h.ID, "a mistake")
	check(t, err)
	check(t, w.End(ctx, "carol", r.ID, "indeed"))
	if _, err := w.sign(r, "alice"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("signed after its end: %v", err)
	}
	w.now = w.now.Add(time.Second)
	r, err = w.Propose(ctx, "carol", h.ID, "again")
	check(t, err)
	if _, err := w.Approve(ctx, "alice", r.ID, w.people.Sign(PayloadType, append(r.Payload, ' '), "alice").Signatures[0]); fault.CodeOf(err) != fault.BadSignature {
		t.Errorf("other bytes: %v", err)
	}
	if _, err := w.Approve(ctx, "alice", r.ID, w.people.Sign(PayloadType, r.Payload, "dave").Signatures[0]); fault.CodeOf(err) != fault.BadSignature {
		t.Errorf("somebody else's signature: %v", err)
	}
	w.now = r.ExpiresAt
	if _, err := w.sign(r, "alice"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("signed after its term: %v", err)
	}
	open, err := w.List(ctx, "")
	all, err2 := w.List(ctx, h.ID)
	if err != nil || err2 != nil || len(open) != 0 || len(all) != 2 || all[0].State != Expired || all[1].State != Ended {
		t.Errorf("%d open, %d in all", len(open), len(all))
	}
	if _, err := w.Propose(ctx, "dave", h.ID, "once more"); err != nil {
		t.Errorf("after its term: %v", err)
	}
}

// FuzzDecode: a payload is refused, or is the encoding of what was read.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x","predicate":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Decode(b)
		if err != nil {
			return
		}
		again, err := envelope.EncodeStatement(predicate, nil, d)
		if err != nil || string(again) != string(b) {
			t.Errorf("%q is read as %q, %v", b, again, err)
		}
	})
}

// TestWhoIsLimitedToOtherHostsDoesNotRetireThisOne: nobody said in which unit it is, so no scope by units covers it.
func TestWhoIsLimitedToOtherHostsDoesNotRetireThisOne(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	root := *w.root
	root.People = slices.Clone(root.People)
	root.People[2].Roles = append(slices.Clone(root.People[2].Roles), "risk-manager") // carol stands in for limits anywhere
	root.People[3].Scopes = []trustroot.Scope{{Role: "system-owner", Units: []string{"cards"}}, {Role: "risk-manager", Units: []string{"cards"}}}
	w.people.SetRoot(root)
	w.root = w.people.Root
	h, _, err := w.enrol("")
	check(t, err)
	r, err := w.Propose(t.Context(), "carol", h.ID, "its hall is closed")
	check(t, err)
	if _, err := w.sign(r, "dave"); fault.CodeOf(err) != fault.Scope {
		t.Errorf("a limited owner: %v", err)
	}
	r, err = w.sign(r, "alice")
	check(t, err)
	if r.State != Proposed || r.Place != (trustroot.Place{}) {
		t.Errorf("state %s, place %+v", r.State, r.Place)
	}
}
