package server

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/envelopetest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/staff/passkey/passkeytest"
)

const atExample = "url = \"https://patch.example.org\"\n"

// TestAPasskeyIsRegisteredOverTheDoor: what the page is given is what browsers take, and their answer waits for a trust root.
func TestAPasskeyIsRegisteredOverTheDoor(t *testing.T) {
	w := open(t, atExample)
	token := w.mustLogin("alice")
	var r v1.Registration
	if err := w.ask(token, http.MethodPost, "/passkeys/registration", nil, &r); err != nil {
		t.Fatal(err)
	}
	if r.RP.ID != "patch.example.org" || r.AuthenticatorSelection.UserVerification != "required" || r.PubKeyCredParams[0].Alg != -7 ||
		r.Attestation != "direct" || strings.Contains(r.User.ID, base64.RawURLEncoding.EncodeToString([]byte("alice"))) {
		t.Errorf("registration %+v", r)
	}
	key := envelopetest.NewPasskey(t)
	in := v1.NewPasskey{Name: "blue", Challenge: r.Challenge}
	if err := json.Unmarshal(passkeytest.Register(t, key, r.Challenge), &in.Credential); err != nil {
		t.Fatal(err)
	}
	if err := w.ask(token, http.MethodPost, "/passkeys", in, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.ask(token, http.MethodPost, "/passkeys", in, nil); fault.KindOf(err) != fault.Invalid {
		t.Errorf("the same answer again: %v", err)
	}
	var p v1.Passkeys
	if err := w.ask(w.mustLogin("frank"), http.MethodGet, "/people/pending-keys", nil, &p); err != nil || len(p.Passkeys) != 1 ||
		p.Passkeys[0].Key.Public != key.Key.Public {
		t.Errorf("pending %+v, %v", p, err)
	}
	var c v1.Challenge
	if err := w.ask("", http.MethodPost, "/login/challenge", v1.Person{Person: "nobody"}, &c); err != nil || c.Passkey == nil ||
		len(c.Passkey.AllowCredentials) != 2 || c.Passkey.RPID != "patch.example.org" {
		t.Errorf("challenge %+v, %v", c.Passkey, err)
	}
}

// TestAnOldLoginIsAskedForTheKeyAgain, and not told on for it.
func TestAnOldLoginIsAskedForTheKeyAgain(t *testing.T) {
	w := open(t, "")
	token := w.mustLogin("erin")
	w.now = w.now.Add(6 * time.Minute)
	in := v1.NewToken{Name: "x", Actions: []staff.Action{staff.Read}, Days: 1}
	if err := w.ask(token, http.MethodPost, "/tokens", in, nil); fault.CodeOf(err) != staff.StepUp {
		t.Errorf("six minutes after the login: %v", err)
	}
	var acts v1.Acts
	if err := w.ask(token, http.MethodGet, "/acts?kind=access.", nil, &acts); err != nil || len(acts.Acts) > 0 {
		t.Errorf("acts %+v, %v", acts, err)
	}
	var made v1.MadeToken
	if err := w.ask(w.mustLogin("erin"), http.MethodPost, "/tokens", in, &made); err != nil || !strings.HasPrefix(made.Secret, "pwa_") {
		t.Fatalf("made %+v, %v", made, err)
	}
	if err := w.ask(made.Secret, http.MethodGet, "/hosts", nil, nil); err != nil {
		t.Errorf("reading with the token: %v", err)
	}
	if err := w.ask(made.Secret, http.MethodPost, "/enrolments", v1.Enrolment{Name: "a", Environment: "stage", Hours: 1}, nil); fault.KindOf(err) != fault.Denied {
		t.Errorf("out of scope: %v", err)
	}
}

// TestThingsOfOthersAreNotThere: a person's own routes end nothing of somebody else's, whatever ID they are given.
func TestThingsOfOthersAreNotThere(t *testing.T) {
	w := open(t, atExample)
	alice, bob := w.mustLogin("alice"), w.mustLogin("bob")
	var who v1.Whoami
	if err := w.ask(alice, http.MethodGet, "/whoami", nil, &who); err != nil {
		t.Fatal(err)
	}
	if err := w.ask(bob, http.MethodDelete, "/sessions/"+who.Session, nil, nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("alice's session: %v", err)
	}
	if err := w.ask(bob, http.MethodDelete, "/accounts/alice/sessions/"+who.Session, nil, nil); fault.KindOf(err) != fault.Denied {
		t.Errorf("alice's session without leave: %v", err)
	}
	if err := w.ask(w.mustLogin("erin"), http.MethodDelete, "/accounts/alice/sessions/"+who.Session, nil, nil); err != nil {
		t.Errorf("by the administrator: %v", err)
	}
	if err := w.ask(alice, http.MethodGet, "/whoami", nil, nil); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("ended session: %v", err)
	}
}

func TestTheFirstTrustRootComesByTheLink(t *testing.T) {
	w := bare(t, atExample)
	link, _, err := w.server.BootstrapLink(t.Context())
	secret, ok := strings.CutPrefix(link, "https://patch.example.org/setup?link=")
	if err != nil || !ok {
		t.Fatalf("link %q, %v", link, err)
	}
	var in v1.LoggedIn
	if err := w.ask("", http.MethodPost, "/login/link", v1.Link{Secret: secret}, &in); err != nil {
		t.Fatal(err)
	}
	var identity v1.Identity
	if err := w.ask(in.Token, http.MethodGet, "/bootstrap", nil, &identity); err != nil || identity.LedgerKey != w.server.keys.Verifier {
		t.Errorf("identity %+v, %v", identity, err)
	}
	if err := w.ask(in.Token, http.MethodGet, "/hosts", nil, nil); fault.KindOf(err) != fault.Denied {
		t.Errorf("reading by the link: %v", err)
	}
	root := v1.FirstTrustRoot{SHA256: strings.Repeat("0", 64), Envelope: w.RootEnvelope}
	if err := w.ask(in.Token, http.MethodPost, "/bootstrap/trust-root", root, nil); err == nil {
		t.Error("another trust root than people agreed on")
	}
	root.SHA256 = envelope.Digest(w.RootEnvelope.Payload)
	if err := w.ask(in.Token, http.MethodPost, "/bootstrap/trust-root", root, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.ask(in.Token, http.MethodGet, "/bootstrap", nil, nil); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("after the installation: %v", err)
	}
	if link, _, err := w.server.BootstrapLink(t.Context()); err != nil || link != "" {
		t.Errorf("another link %q, %v", link, err)
	}
	w.mustLogin("alice")
}

// TestWhatACallerHasIsNotSentAgain, until it changes.
func TestWhatACallerHasIsNotSentAgain(t *testing.T) {
	w := open(t, "")
	token := w.mustLogin("alice")
	get := func(etag string) (status int, body, tag string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.doors[0].URL+v1.Prefix+"/tokens", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("If-None-Match", etag)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if c := answer.Header.Get("Cache-Control"); c != "private, no-cache" {
			t.Errorf("Cache-Control %q", c)
		}
		return answer.StatusCode, string(b), answer.Header.Get("ETag")
	}
	status, body, tag := get("")
	if status != http.StatusOK || body == "" || tag == "" {
		t.Fatalf("first: %d, %q, %q", status, body, tag)
	}
	if status, body, again := get(`"x", W/` + tag); status != http.StatusNotModified || body != "" || again != tag {
		t.Errorf("unchanged: %d, %q, %q", status, body, again)
	}
	in := v1.NewToken{Name: "x", Actions: []staff.Action{staff.Read}, Days: 1}
	if err := w.ask(token, http.MethodPost, "/tokens", in, nil); err != nil {
		t.Fatal(err)
	}
	if status, body, changed := get(tag); status != http.StatusOK || body == "" || changed == tag {
		t.Errorf("changed: %d, %q, %q", status, body, changed)
	}
}
