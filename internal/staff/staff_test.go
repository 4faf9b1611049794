package staff_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/staff/passkey"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

// world is a server's staff room, with the people's keys and a clock.
type world struct {
	*warranttest.World
	*staff.Staff
	now  time.Time
	held time.Duration // how long answers were held back
}

// site is that of envelopetest's passkeys.
var site = staff.Passkeys{RPID: "patch.example.org", Origins: []string{"https://patch.example.org"}, Attest: passkey.Attest}

// empty gives a room without a trust root; the people's root names its ledger.
func empty(t *testing.T, d *db.DB) *world {
	t.Helper()
	secret, verifier, err := note.GenerateKey(rand.Reader, warranttest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{World: warranttest.New(t), now: warranttest.Now}
	clock := func() time.Time { return w.now }
	l, err := ledger.New(ledger.Config{DB: d, Signer: signer, Verifier: verifier, Origin: warranttest.Origin,
		GuardFile: filepath.Join(t.TempDir(), "guard"), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w.Staff = staff.New(staff.Config{DB: d, Ledger: l, Blobs: blobs, Now: clock, Passkeys: site,
		Hold: func(_ context.Context, d time.Duration) { w.held += d }})
	r := *w.Root
	r.Ledger.Keys = []string{verifier}
	w.SetRoot(r)
	return w
}

// open gives a room with the people's root in force.
func open(t *testing.T, d *db.DB) *world {
	t.Helper()
	w := empty(t, d)
	if _, err := w.Install(t.Context(), w.RootEnvelope, envelope.Digest(w.RootEnvelope.Payload)); err != nil {
		t.Fatal(err)
	}
	return w
}

// acts gives the kinds and subjects in the ledger from an index on.
func (w *world) acts(t *testing.T, from int64) []string {
	t.Helper()
	entries, err := w.Ledger.List(t.Context(), ledger.Filter{From: from})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Act.Kind+" "+e.Act.Subject)
	}
	return all
}

// answer signs a challenge as a person.
func (w *world) answer(t *testing.T, person string) (challenge string, sig envelope.Signature) {
	t.Helper()
	c, err := w.Challenge(t.Context(), person)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := staff.EncodeLogin(person, c.Origin, c.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	sig, err = sshkey.Sign(w.Signers[person], staff.LoginType, payload)
	if err != nil {
		t.Fatal(err)
	}
	return c.Challenge, sig
}

func (w *world) mustLogin(t *testing.T, person string) string {
	t.Helper()
	challenge, sig := w.answer(t, person)
	token, _, err := w.Login(t.Context(), person, challenge, sig, "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTheFirstTrustRootIsPinnedAndInstalledOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := empty(t, d)
		if _, err := w.CurrentRoot(t.Context()); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("before: %v", err)
		}
		digest := envelope.Digest(w.RootEnvelope.Payload)
		if _, err := w.Install(t.Context(), w.RootEnvelope, strings.Repeat("0", 64)); fault.CodeOf(err) != fault.RootChain {
			t.Errorf("another digest: %v", err)
		}
		if _, err := w.Install(t.Context(), w.RootEnvelope, digest); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Install(t.Context(), w.RootEnvelope, digest); fault.KindOf(err) != fault.Conflict {
			t.Errorf("again: %v", err)
		}
		r, err := w.CurrentRoot(t.Context())
		if err != nil || r.Digest() != digest {
			t.Errorf("current root: %v", err)
		}
		if got := w.acts(t, 0); !slices.Equal(got, []string{"trust-root.installed trust-root/1"}) {
			t.Errorf("acts: %v", got)
		}
	})
}

func TestATrustRootOfAnotherLedgerIsRefused(t *testing.T) {
	w := empty(t, dbtest.Open(t))
	other := warranttest.New(t)
	_, err := w.Install(t.Context(), other.RootEnvelope, envelope.Digest(other.RootEnvelope.Payload))
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("Install: %v", err)
	}
}

// next gives version 2 without a person, signed by others.
func (w *world) next(t *testing.T, without string, signers ...string) envelope.Envelope {
	t.Helper()
	r := *w.Root
	r.Version, r.Previous = 2, envelope.Digest(w.RootEnvelope.Payload)
	r.People = slices.DeleteFunc(slices.Clone(r.People), func(p trustroot.Person) bool { return p.ID == without })
	payload, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return w.Sign(trustroot.PayloadType, payload, signers...)
}

func TestATrustRootAdvancesUnderAQuorumAndWhoLeavesItIsOut(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		token := w.mustLogin(t, "frank")
		if _, err := w.Advance(t.Context(), "alice", w.next(t, "frank", "alice")); fault.CodeOf(err) != fault.Quorum {
			t.Errorf("one signature: %v", err)
		}
		if _, err := w.Authenticate(t.Context(), token, ""); err != nil {
			t.Errorf("before: %v", err)
		}
		if _, err := w.Advance(t.Context(), "alice", w.next(t, "frank", "alice", "carol")); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Authenticate(t.Context(), token, ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("a person who left: %v", err)
		}
		if roots, err := w.Roots(t.Context(), 1); err != nil || len(roots) != 2 {
			t.Errorf("roots: %d, %v", len(roots), err)
		}
		again := staff.New(w.Config)
		if r, err := again.CurrentRoot(t.Context()); err != nil || r.Version != 2 {
			t.Errorf("after a restart: %v", err)
		}
	})
}

var qForge = db.Q(`INSERT INTO staff_root (version, digest, envelope, installed_at) VALUES (2, $1, $2, 0)`)

// TestATrustRootPutIntoTheDatabaseIsNotFollowed: whoever edits the database has no quorum.
func TestATrustRootPutIntoTheDatabaseIsNotFollowed(t *testing.T) {
	w := open(t, dbtest.Open(t))
	forged := w.next(t, "frank", "alice")
	text, err := envelope.Encode(forged)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.DB.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), qForge, envelope.Digest(forged.Payload), string(text))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if r, err := w.CurrentRoot(t.Context()); fault.CodeOf(err) != fault.Quorum {
		t.Errorf("current root is version %v, %v", r, err)
	}
}

func TestASessionEndsByTimeAndByLogout(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		idle, busy, out := w.mustLogin(t, "alice"), w.mustLogin(t, "bob"), w.mustLogin(t, "carol")
		s, err := w.Authenticate(t.Context(), out, "")
		if err != nil || s.Person.ID != "carol" {
			t.Fatalf("session of %s, %v", s.Person.ID, err)
		}
		if err := w.Logout(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Authenticate(t.Context(), out, ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("after logout: %v", err)
		}
		watching := w.mustLogin(t, "dave") // a page of theirs asks by itself, and nobody is there
		if _, err := w.AuthenticateUnattended(t.Context(), watching, ""); err != nil {
			t.Errorf("an open session asked unattended: %v", err)
		}
		for i := range 14 {
			if _, err := w.Authenticate(t.Context(), busy, ""); err != nil {
				t.Fatalf("busy session at %s: %v", w.now, err)
			}
			if _, err := w.AuthenticateUnattended(t.Context(), watching, ""); (err == nil) != (i < 2) {
				t.Errorf("unattended session at %s: %v", w.now, err)
			}
			w.now = w.now.Add(50 * time.Minute)
		}
		if _, err := w.Authenticate(t.Context(), idle, ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("idle session: %v", err)
		}
		w.now = w.now.Add(21 * time.Minute) // 12 h 1 min
		if _, err := w.Authenticate(t.Context(), busy, ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("busy session after 12 hours: %v", err)
		}
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.acts(t, 1); !slices.Contains(got, "session.ended person/carol") {
			t.Errorf("acts: %v", got)
		}
	})
}

// TestALoginThatFailsIsRecorded: each way to fail, each as one act with its reason, none with a session.
func TestALoginThatFailsIsRecorded(t *testing.T) {
	cases := map[string]struct {
		spoil   func(t *testing.T, w *world, challenge *string, sig *envelope.Signature)
		subject string
	}{
		"challenge of another person": {func(t *testing.T, w *world, challenge *string, _ *envelope.Signature) {
			*challenge, _ = w.answer(t, "bob")
		}, "person/alice"},
		"challenge made up": {func(_ *testing.T, _ *world, challenge *string, _ *envelope.Signature) {
			*challenge = strings.Repeat("A", len(*challenge))
		}, "person/alice"},
		"challenge over": {func(_ *testing.T, w *world, _ *string, _ *envelope.Signature) {
			w.now = w.now.Add(5 * time.Minute)
		}, "person/alice"},
		"challenge answered before": {func(t *testing.T, w *world, challenge *string, sig *envelope.Signature) {
			if _, _, err := w.Login(t.Context(), "alice", *challenge, *sig, ""); err != nil {
				t.Fatal(err)
			}
		}, "person/alice"},
		"key of another person": {func(t *testing.T, w *world, challenge *string, sig *envelope.Signature) {
			payload, _ := staff.EncodeLogin("alice", warranttest.Origin, *challenge)
			*sig, _ = sshkey.Sign(w.Signers["bob"], staff.LoginType, payload)
		}, "person/alice"},
		"signature for another server": {func(t *testing.T, w *world, challenge *string, sig *envelope.Signature) {
			payload, _ := staff.EncodeLogin("alice", "elsewhere.example.org", *challenge)
			*sig, _ = sshkey.Sign(w.Signers["alice"], staff.LoginType, payload)
		}, "person/alice"},
		"signature of another type": {func(t *testing.T, w *world, challenge *string, sig *envelope.Signature) {
			payload, _ := staff.EncodeLogin("alice", warranttest.Origin, *challenge)
			*sig, _ = sshkey.Sign(w.Signers["alice"], trustroot.PayloadType, payload)
		}, "person/alice"},
		"no signature": {func(_ *testing.T, _ *world, _ *string, sig *envelope.Signature) { sig.Sig = nil }, "person/alice"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := open(t, dbtest.Open(t))
			challenge, sig := w.answer(t, "alice")
			c.spoil(t, w, &challenge, &sig)
			before := int64(len(w.acts(t, 0)))
			token, _, err := w.Login(t.Context(), "alice", challenge, sig, "192.0.2.1")
			if fault.KindOf(err) != fault.Unauthenticated || token != "" {
				t.Errorf("Login = %q, %v", token, err)
			}
			if got := w.acts(t, before); !slices.Equal(got, []string{"login.refused " + c.subject}) {
				t.Errorf("acts: %v", got)
			}
		})
	}
}

// TestAFloodOfFailuresIsCounted: a thousand unknown names and tokens are two acts.
func TestAFloodOfFailuresIsCounted(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		challenge, sig := w.answer(t, "alice")
		for i := range 50 {
			if _, _, err := w.Login(t.Context(), "eve"+strings.Repeat("e", i), challenge, sig, ""); err == nil {
				t.Fatal("eve is in")
			}
			if _, err := w.Authenticate(t.Context(), "pwt_guess", ""); err == nil {
				t.Fatal("a guess is in")
			}
		}
		w.now = w.now.Add(10*time.Minute + time.Second)
		for range 2 {
			if err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"trust-root.installed trust-root/1", "login.refused person/-", "attempts.counted person/-"}
		if got := w.acts(t, 0); !slices.Equal(got, want) {
			t.Errorf("acts: %v", got)
		}
		e, err := w.Ledger.Entry(t.Context(), 2)
		if err != nil || !strings.Contains(string(e.Act.Detail), `"more":99,`) {
			t.Errorf("detail %s, %v", e.Act.Detail, err)
		}
	})
}

func TestAnActionWithoutLeaveIsRecorded(t *testing.T) {
	w := open(t, dbtest.Open(t))
	erin, _ := w.Root.Person("erin")
	session := staff.Session{Person: erin, Way: staff.ByKey, MadeAt: w.now}
	if err := w.Authorize(t.Context(), session, staff.EnrolHost, ""); err != nil {
		t.Errorf("an administrator enrols hosts: %v", err)
	}
	if err := w.Authorize(t.Context(), session, staff.Approve, ""); fault.KindOf(err) != fault.Denied {
		t.Errorf("an administrator approves: %v", err)
	}
	if got := w.acts(t, 1); !slices.Equal(got, []string{"access.refused person/erin"}) {
		t.Errorf("acts: %v", got)
	}
}
