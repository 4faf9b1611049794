package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// TestTheFirstTrustRootIsInstalledByTheLink: once, with nothing else in reach, and never after.
func TestTheFirstTrustRootIsInstalledByTheLink(t *testing.T) {
	w := bare(t, "")
	link, _, err := w.Staff.MakeLink(t.Context())
	w.ok(err)
	if a := w.ask("", http.MethodGet, "/setup", nil); a.Code != http.StatusSeeOther {
		t.Errorf("without the link: %d", a.Code)
	}
	for range 2 { // looking uses nothing up
		if a := w.ask("", http.MethodGet, "/setup?link="+link, nil); a.Code != http.StatusOK || !strings.Contains(a.Body.String(), "Begin") {
			t.Fatalf("%d %s", a.Code, a.Body)
		}
	}
	a := w.ask("", http.MethodPost, "/setup", url.Values{"link": {link}})
	if a.Code != http.StatusSeeOther || len(a.Result().Cookies()) != 1 {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	token := a.Result().Cookies()[0].Value
	if a := w.ask("", http.MethodPost, "/setup", url.Values{"link": {link}}); a.Code != http.StatusUnauthorized {
		t.Errorf("the link again: %d", a.Code)
	}
	if a := w.ask(token, http.MethodGet, "/setup", nil); a.Code != http.StatusOK || !strings.Contains(a.Body.String(), "Name a person") {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	if a := w.ask(token, http.MethodGet, "/hosts", nil); a.Code != http.StatusForbidden {
		t.Errorf("hosts by the link: %d", a.Code)
	}
	file, err := json.Marshal(w.people.RootEnvelope)
	w.ok(err)
	form := url.Values{"envelope": {string(file)}, "digest": {strings.Repeat("0", 64)}}
	if a := w.ask(token, http.MethodPost, "/setup/trust-root", form); a.Code != http.StatusForbidden {
		t.Errorf("another digest: %d %s", a.Code, a.Body)
	}
	form.Set("digest", "sha256:"+envelope.Digest(w.people.RootEnvelope.Payload))
	if a := w.ask(token, http.MethodPost, "/setup/trust-root", form); a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if a := w.ask(token, http.MethodGet, "/setup", nil); a.Code != http.StatusSeeOther {
		t.Errorf("after it: %d", a.Code)
	}
	if a := w.ask(w.login("alice"), http.MethodGet, "/people", nil); a.Code != http.StatusOK {
		t.Errorf("alice: %d", a.Code)
	}
}

// holder opens the bootstrap link and names alice and bob, with marks of a hostile page in their names.
func (w *world) holder() string {
	w.t.Helper()
	link, _, err := w.Staff.MakeLink(w.t.Context())
	w.ok(err)
	token := w.ask("", http.MethodPost, "/setup", url.Values{"link": {link}}).Result().Cookies()[0].Value
	w.must(token, "/setup/organisation", url.Values{"organisation": {`Example <script src=//x>`}})
	for id, role := range map[string][]string{"alice": {"cirt-analyst"}, "carol": {"operations-manager", "system-owner"}} {
		w.must(token, "/setup/people", url.Values{"id": {id}, "name": {id + ` <script src=//x>`}, "role": role})
	}
	return token
}

func (w *world) must(token, path string, form url.Values) *httptest.ResponseRecorder {
	w.t.Helper()
	a := w.ask(token, http.MethodPost, path, form)
	if a.Code != http.StatusSeeOther && a.Code != http.StatusOK {
		w.t.Fatalf("%s: %d %s", path, a.Code, a.Body)
	}
	return a
}

var secretIn = regexp.MustCompile(`invitation[= ](pwi_[\w-]+)`)

// invited opens an invitation that the holder makes, and gives the secret and the session's token.
func (w *world) invited(holder, id string) (secret, token string) {
	w.t.Helper()
	secret = secretIn.FindStringSubmatch(w.must(holder, "/setup/people/"+id+"/invitations", url.Values{}).Body.String())[1]
	a := w.must("", "/join", url.Values{"invitation": {secret}})
	c := a.Result().Cookies()[0]
	if c.Name != invitedCookie || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
		w.t.Errorf("cookie %s", c)
	}
	return secret, c.Value
}

// TestPeopleMakeTheFirstTrustRoot: named by the holder of the link, each hands in keys and signs by an invitation of their own.
func TestPeopleMakeTheFirstTrustRoot(t *testing.T) {
	w := bare(t, "")
	holder := w.holder()
	tokens := map[string]string{}
	for _, id := range []string{"alice", "carol"} {
		_, tokens[id] = w.invited(holder, id)
		w.must(tokens[id], "/join/keys", url.Values{"keys": {string(ssh.MarshalAuthorizedKey(w.people.Signers[id].PublicKey()))}})
	}
	w.must(holder, "/setup/document", url.Values{})
	state, err := w.Setup.Load(t.Context())
	w.ok(err)
	digest := state.Draft.SHA256()
	for who, path := range map[string]string{holder: "/setup", tokens["alice"]: "/join"} {
		body := w.ask(who, http.MethodGet, path, nil).Body.String()
		if strings.Contains(body, `aria-label="Sections"`) {
			t.Errorf("%s shows the site's sections and totals", path)
		}
		if !strings.Contains(body, digest) || strings.Contains(body, "<script src=//x>") || !strings.Contains(body, "&lt;script src=//x&gt;") {
			t.Errorf("%s shows no digest, or foreign text unescaped", path)
		}
	}
	if a := w.ask(tokens["alice"], http.MethodPost, "/join/keys", url.Values{"keys": {string(ssh.MarshalAuthorizedKey(w.people.Signers["dave"].PublicKey()))}}); a.Code != http.StatusConflict {
		t.Errorf("another key under the document: %d", a.Code)
	}
	line := w.must(tokens["alice"], "/join/line", url.Values{}).Body.String()
	if !strings.Contains(line, "patchwarrant trust-root join --server https://"+site1+" --ca "+w.Estate.CA.Hash()+" --invitation pwi_") {
		t.Errorf("no line: %s", around(line, "trust-root join"))
	}
	for _, id := range []string{"alice", "carol"} {
		sig := w.people.Sign(trustroot.PayloadType, state.Draft.Payload, id).Signatures[0]
		_, err := w.Setup.Sign(t.Context(), id, digest, sig)
		w.ok(err)
	}
	for who, path := range map[string]string{holder: "/setup", tokens["alice"]: "/join/progress"} {
		if a := w.ask(who, http.MethodGet, path, nil); a.Code != http.StatusSeeOther || !strings.HasPrefix(a.Header().Get("Location"), "/sign-in") {
			t.Errorf("%s when it is in force: %d", path, a.Code)
		}
	}
	if a := w.ask(holder, http.MethodPost, "/setup/people", url.Values{"id": {"mallory"}, "name": {"M"}, "role": {"auditor"}}); a.Code != http.StatusSeeOther || !strings.HasPrefix(a.Header().Get("Location"), "/sign-in") {
		t.Errorf("naming somebody after it: %d", a.Code)
	}
	if a := w.ask("", http.MethodGet, "/sign-in?to=/setup", nil); !strings.Contains(a.Body.String(), "The trust root is in force") {
		t.Error("nobody is told that it is in force")
	}
}

// TestAnInvitationOpensNothingElse: used again, in place of the holder's session, for another person, from another site.
func TestAnInvitationOpensNothingElse(t *testing.T) {
	w := bare(t, "")
	holder := w.holder()
	secret, alice := w.invited(holder, "alice")
	if a := w.ask("", http.MethodPost, "/join", url.Values{"invitation": {secret}}); a.Code != http.StatusUnauthorized {
		t.Errorf("the invitation again: %d", a.Code)
	}
	for _, path := range []string{"/setup/people", "/setup/people/carol/drop", "/setup/people/carol/invitations", "/setup/document", "/setup/trust-root"} {
		if a := w.ask(alice, http.MethodPost, path, url.Values{}); a.Code != http.StatusForbidden {
			t.Errorf("%s by an invitation: %d", path, a.Code)
		}
	}
	if a := w.ask(holder, http.MethodPost, "/join/keys", url.Values{"keys": {"x"}}); a.Code != http.StatusForbidden {
		t.Errorf("keys by the link: %d", a.Code)
	}
	for path, token := range map[string]string{"/setup/document": holder, "/setup/people": holder, "/join/keys": alice, "/join": "", "/setup": ""} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+site1+path, strings.NewReader("id=m"))
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: token})
		a := httptest.NewRecorder()
		w.door.ServeHTTP(a, r)
		if a.Code != http.StatusForbidden || !strings.Contains(a.Body.String(), "another site") {
			t.Errorf("%s from another site: %d", path, a.Code)
		}
	}
	if state, err := w.Setup.Load(t.Context()); err != nil || len(state.Candidates) != 2 || state.Draft != nil {
		t.Errorf("%+v, %v", state, err)
	}
}

// TestAnUpstreamIsAddedOnThePage: a known one only with its key confirmed; any other with its keys.
func TestAnUpstreamIsAddedOnThePage(t *testing.T) {
	w := newWorld(t, "")
	erin := w.login("erin")
	if a := w.ask(erin, http.MethodPost, "/repository/upstreams", url.Values{"preset": {"bookworm-security"}}); a.Code != http.StatusUnprocessableEntity && a.Code != http.StatusConflict {
		t.Errorf("without the key confirmed: %d", a.Code)
	}
	u := w.archive.Upstream("more")
	form := url.Values{"name": {"more"}, "url": {"http://archive.example.org/<b>"}, "suite": {"stable"}, "component": {"main"}, "arch": {"amd64"}, "max_age_days": {"10"},
		"keyring": {string(u.Keyring)}, "fingerprints": {u.Fingerprints[0] + "\r\n"}, "setup": {"yes"}}
	if a := w.ask(erin, http.MethodPost, "/repository/upstreams", form); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/setup?said=added" {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	for _, path := range []string{"/setup?step=3", "/repository"} {
		if body := w.ask(erin, http.MethodGet, path, nil).Body.String(); !strings.Contains(body, "archive.example.org/&lt;b&gt;") {
			t.Errorf("%s does not show it", path)
		}
	}
	w.must(erin, "/repository/upstreams/more/removal", url.Values{})
	if all, err := w.Mirror.List(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}
