package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	captest "github.com/hashicorp/cap/oidc"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

var _ staff.Provider = (*Provider)(nil)

const page = "https://patch.example.org/sign-in/provider/corp"

// verifier is a PKCE verifier that the provider is to expect.
type verifier string

func (v verifier) Verifier() string { return string(v) }
func (v verifier) Challenge() string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
func (v verifier) Method() captest.ChallengeMethod { return captest.S256 }
func (v verifier) Copy() captest.CodeVerifier      { return v }

// world is an OpenID provider that somebody else wrote, over TLS, and a browser that begins a login.
type world struct {
	*captest.TestProvider
	ours           *Provider
	binding, state string
	code           string
	now            time.Time
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{TestProvider: captest.StartTestProvider(t), now: time.Now()}
	w.SetClientCreds("patchwarrant", "secret")
	w.SetAllowedRedirectURIs([]string{page})
	w.SetExpectedAuthCode("code-1")
	w.SetCustomClaims(map[string]any{"preferred_username": "alice", "email": "alice@example.org", "email_verified": true})
	w.ours = New(Config{Name: "corp", Issuer: w.Addr(), ClientID: "patchwarrant", ClientSecret: "secret", Claim: "preferred_username",
		RedirectURL: page, Client: w.HTTPClient(), Now: func() time.Time { return w.now }})
	return w
}

// visit has a browser go to the provider and come back.
func (w *world) visit(t *testing.T) {
	t.Helper()
	address, binding, err := w.ours.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	w.SetExpectedAuthNonce(q.Get("nonce"))
	v := verifier(derive("verifier", binding))
	w.SetPKCEVerifier(v)
	if q.Get("code_challenge") != v.Challenge() || q.Get("code_challenge_method") != "S256" || strings.Contains(address, binding) ||
		strings.Contains(address, string(v)) {
		t.Errorf("the browser is sent to %s", address)
	}
	if q.Get("scope") != "openid profile email" {
		t.Errorf("scope %q", q.Get("scope"))
	}
	q.Set("scope", "openid") // this provider takes several for one
	u.RawQuery = q.Encode()
	client := *w.HTTPClient()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Get(u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	back, err := answer.Location()
	if err != nil || !strings.HasPrefix(back.String(), page+"?") {
		t.Fatalf("came back to %s, %v", back, err)
	}
	w.binding, w.state, w.code = binding, back.Query().Get("state"), back.Query().Get("code")
}

func TestAProviderNamesAPerson(t *testing.T) {
	for claim, want := range map[string]string{"preferred_username": "alice", "email": "alice@example.org"} {
		w := open(t)
		w.ours.Claim = claim
		w.visit(t)
		if person, err := w.ours.Finish(t.Context(), w.binding, w.state, w.code); err != nil || person != want {
			t.Errorf("%s: person %q, %v", claim, person, err)
		}
	}
}

// TestALoginByAProviderIsRefused: each way the browser, the network or the provider may have it wrong.
func TestALoginByAProviderIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, w *world){
		"begun in another browser": func(t *testing.T, w *world) {
			state, code := w.state, w.code
			w.visit(t)
			w.state, w.code = state, code
		},
		"no state":          func(_ *testing.T, w *world) { w.state = "" },
		"no browser secret": func(_ *testing.T, w *world) { w.binding, w.state = "", derive("state", "") },
		"another code":      func(_ *testing.T, w *world) { w.code = "code-2" },
		"another verifier":  func(_ *testing.T, w *world) { w.SetPKCEVerifier(verifier("x")) },
		"another redirect":  func(_ *testing.T, w *world) { w.SetAllowedRedirectURIs([]string{"https://evil.example.org"}) },
		"nonce of another":  func(_ *testing.T, w *world) { w.SetExpectedAuthNonce("x") },
		"no ID token":       func(_ *testing.T, w *world) { w.SetOmitIDTokens(true) },
		"for another client": func(_ *testing.T, w *world) {
			w.SetCustomClaims(map[string]any{"aud": "other", "preferred_username": "alice"})
		},
		"of another issuer": func(_ *testing.T, w *world) {
			w.SetCustomClaims(map[string]any{"iss": "https://evil", "preferred_username": "alice"})
		},
		"over": func(_ *testing.T, w *world) { w.now = w.now.Add(24 * time.Hour) },
		"another key": func(t *testing.T, w *world) {
			private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			_, public, alg, id := w.SigningKeys()
			w.SetSigningKeys(private, public, alg, id)
		},
		"names nobody":          func(_ *testing.T, w *world) { w.SetCustomClaims(map[string]any{}) },
		"name is no text":       func(_ *testing.T, w *world) { w.SetCustomClaims(map[string]any{"preferred_username": 7}) },
		"mail not verified":     func(_ *testing.T, w *world) { w.mail(false) },
		"mail verified, a text": func(_ *testing.T, w *world) { w.mail("true") },
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			w.visit(t)
			spoil(t, w)
			if person, err := w.ours.Finish(t.Context(), w.binding, w.state, w.code); fault.KindOf(err) != fault.Unauthenticated || person != "" {
				t.Errorf("person %q, %v", person, err)
			}
		})
	}
}

func (w *world) mail(verified any) {
	w.ours.Claim = "email"
	w.SetCustomClaims(map[string]any{"email": "alice@example.org", "email_verified": verified})
}

func TestAProviderThatIsAwayIsAskedAgain(t *testing.T) {
	w := open(t)
	right := w.ours.Issuer
	w.ours.Issuer = right + "/elsewhere"
	if _, _, err := w.ours.Begin(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Begin: %v", err)
	}
	w.ours.Issuer = right
	w.visit(t)
}
