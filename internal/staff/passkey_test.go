package staff_test

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope/envelopetest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/staff/passkey"
	"github.com/patchwarrant/patchwarrant/internal/staff/passkey/passkeytest"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// session logs a person in and gives the session.
func (w *world) session(t *testing.T, person string) staff.Session {
	t.Helper()
	s, err := w.Authenticate(t.Context(), w.mustLogin(t, person), "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// register offers a passkey as a person.
func (w *world) register(t *testing.T, s staff.Session, p *envelopetest.Passkey) (staff.Passkey, error) {
	t.Helper()
	r, err := w.NewPasskey(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return w.RegisterPasskey(t.Context(), s, r.Challenge, "blue key", passkeytest.Register(t, p, r.Challenge))
}

// passkeyLogin answers a challenge as the page does: it signs what it was asked for.
func (w *world) passkeyLogin(t *testing.T, person string, p *envelopetest.Passkey) (string, error) {
	t.Helper()
	c, err := w.Challenge(t.Context(), person)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := staff.EncodeLogin(person, c.Origin, c.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.Passkey.Challenge, envelopetest.Challenge(staff.LoginType, payload)) {
		t.Error("the page is asked for another challenge than is verified")
	}
	token, _, err := w.Login(t.Context(), person, c.Challenge, p.Sign(staff.LoginType, payload), "")
	return token, err
}

func (w *world) pending(t *testing.T) (ids []string) {
	t.Helper()
	all, err := w.PendingKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		ids = append(ids, p.Person+" "+p.Key.ID)
	}
	return ids
}

// TestAPasskeyOpensNothingBeforeATrustRootHoldsIt: registered, it waits; in the trust root, it logs in; dropped from it, it
// neither logs in nor waits again.
func TestAPasskeyOpensNothingBeforeATrustRootHoldsIt(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		alice := w.session(t, "alice")
		key := envelopetest.NewPasskey(t)
		made, err := w.register(t, alice, key)
		if err != nil {
			t.Fatal(err)
		}
		if made.Key.ID != key.Key.ID || made.Key.Public != key.Key.Public || made.AAGUID != "00000000-0000-0000-0000-000000000000" {
			t.Errorf("registered %+v, want %+v", made, key.Key)
		}
		if ok, err := w.Blobs.Has(t.Context(), made.Attestation); err != nil || !ok {
			t.Errorf("attestation object: %v, %v", ok, err)
		}
		if got := w.pending(t); !slices.Equal(got, []string{"alice " + key.Key.ID}) {
			t.Errorf("pending: %v", got)
		}
		if _, err := w.passkeyLogin(t, "alice", key); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("login with a pending key: %v", err)
		}

		with := w.NextRoot(func(r *trustroot.Root) { r.People[0].Keys = append(r.People[0].Keys, made.Key) }, "alice", "carol")
		root, err := w.Advance(t.Context(), "alice", with)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.pending(t); len(got) > 0 {
			t.Errorf("pending after a trust root took it: %v", got)
		}
		token, err := w.passkeyLogin(t, "alice", key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := w.Challenge(t.Context(), "alice")
		if err != nil || base64.RawURLEncoding.EncodeToString(c.Passkey.Credentials[0]) != strings.TrimPrefix(key.Key.ID, "webauthn:") {
			t.Errorf("the page is not asked for alice's key: %v", err)
		}

		w.Root, w.RootEnvelope = root, with
		without := w.NextRoot(func(r *trustroot.Root) { r.People[0].Keys = r.People[0].Keys[:1] }, "alice", "carol")
		if _, err := w.Advance(t.Context(), "alice", without); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Authenticate(t.Context(), token, ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("session of a dropped key: %v", err)
		}
		if got := w.pending(t); len(got) > 0 {
			t.Errorf("a dropped key waits again: %v", got)
		}
		if _, err := w.register(t, alice, key); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a dropped key is offered again: %v", err)
		}
	})
}

func spoilt(p *envelopetest.Passkey, old, spoilt string) {
	p.Client = func(b *[]byte) { *b = bytes.Replace(*b, []byte(old), []byte(spoilt), 1) }
}

// TestARegistrationIsRefused: each way an authenticator, a page or a thief may have it wrong.
func TestARegistrationIsRefused(t *testing.T) {
	type attempt struct {
		challenge string
		key       *envelopetest.Passkey
		response  []byte
	}
	w := open(t, dbtest.Open(t))
	cases := map[string]func(a *attempt){
		"not touched":                   func(a *attempt) { a.key.Flags = 0x04 },
		"user not verified":             func(a *attempt) { a.key.Flags = 0x01 },
		"can be copied":                 func(a *attempt) { a.key.Flags = 0x0d },
		"was copied":                    func(a *attempt) { a.key.Flags = 0x1d },
		"for another site":              func(a *attempt) { a.key.RPID = "evil.example.org" },
		"on another site's page":        func(a *attempt) { a.key.Key.Origins = []string{"https://evil.example.org"} },
		"an assertion, no registration": func(a *attempt) { spoilt(a.key, "webauthn.create", "webauthn.get") },
		"inside another page":           func(a *attempt) { spoilt(a.key, `"crossOrigin":false`, `"crossOrigin":true`) },
		"challenge of bob": func(a *attempt) {
			r, _ := w.NewPasskey(t.Context(), w.session(t, "bob"))
			a.challenge = r.Challenge
		},
		"challenge of a login": func(a *attempt) {
			c, _ := w.Challenge(t.Context(), "alice")
			a.challenge = c.Challenge
		},
		"challenge over":   func(a *attempt) { w.now = w.now.Add(5 * time.Minute) },
		"no credential":    func(a *attempt) { a.response = []byte(`{}`) },
		"large credential": func(a *attempt) { a.response = make([]byte, 65<<10) },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			s := w.session(t, "alice")
			r, err := w.NewPasskey(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			a := attempt{challenge: r.Challenge, key: envelopetest.NewPasskey(t)}
			spoil(&a)
			if a.response == nil {
				a.response = passkeytest.Register(t, a.key, a.challenge)
			}
			if _, err := w.RegisterPasskey(t.Context(), s, a.challenge, "k", a.response); fault.KindOf(err) != fault.Invalid {
				t.Errorf("RegisterPasskey: %v", err)
			}
		})
	}
	if got := w.pending(t); len(got) > 0 {
		t.Errorf("pending: %v", got)
	}
}

func TestAPendingPasskeyIsTakenBackByItsOwnerOnly(t *testing.T) {
	w := open(t, dbtest.Open(t))
	p, err := w.register(t, w.session(t, "alice"), envelopetest.NewPasskey(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.DropPasskey(t.Context(), "bob", p.Key.ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("bob drops alice's: %v", err)
	}
	if err := w.DropPasskey(t.Context(), "alice", p.Key.ID); err != nil || len(w.pending(t)) > 0 {
		t.Errorf("alice drops hers: %v", err)
	}
}

// TestAskingToLogInTellsNobodyWhoExists: someone without a passkey looks like nobody at all, and each always the same.
func TestAskingToLogInTellsNobodyWhoExists(t *testing.T) {
	w := open(t, dbtest.Open(t))
	seen := map[string]bool{}
	for _, name := range []string{"alice", "nobody"} {
		var before [][]byte
		for range 2 {
			c, err := w.Challenge(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			ids := c.Passkey.Credentials
			if len(ids) != 2 || len(ids[0]) != 32 || len(ids[1]) != 32 || bytes.Equal(ids[0], ids[1]) {
				t.Errorf("%s: %x", name, ids)
			}
			if before != nil && !slices.EqualFunc(before, ids, bytes.Equal) {
				t.Errorf("%s: other credentials the second time", name)
			}
			before = ids
		}
		seen[string(before[0])] = true
	}
	if len(seen) != 2 {
		t.Error("all names have the same made-up credentials")
	}
	if _, err := w.passkeyLogin(t, "alice", envelopetest.NewPasskey(t)); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("login with a stranger's passkey: %v", err)
	}
}

// FuzzAttest: whatever a browser hands in as a new passkey is taken only for this site, this challenge and the key within.
func FuzzAttest(f *testing.F) {
	key := envelopetest.NewPasskey(f)
	f.Add(passkeytest.Register(f, key, challenge))
	f.Add([]byte(`{"id":"a","rawId":"a","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"oA"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		made, err := passkey.Attest(b, challenge, key.RPID, key.Key.Origins)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
			return
		}
		if len(made.Credential) == 0 || len(made.SPKI) == 0 {
			t.Errorf("%+v", made)
		}
	})
}

const challenge = "Y2hhbGxlbmdlY2hhbGxlbmdlY2hhbGxlbmdlY2hhbGw"
