package web

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/hiddeco/sshsig"

	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// TestEveryRouteAsksForLeave: the table of routes times roles. Whoever has no session is sent to sign in, whoever's roles
// do not allow the action is refused, and nobody else is.
func TestEveryRouteAsksForLeave(t *testing.T) {
	w := newWorld(t, "")
	open := map[string]bool{"/sign-in": true, "/sign-in/challenge": true, "/sign-in/ssh": true, "/theme": true, "/sign-in/providers/{id}": true, "/sign-in/provider/{id}": true, "/setup": true, "/join": true}
	wild := regexp.MustCompile(`\{[a-z$]+\}`)
	for _, r := range routes {
		if (r.action == "") != open[r.path] {
			t.Errorf("%s %s asks for %q", r.method, r.path, r.action)
		}
		if r.action == "" {
			continue
		}
		path := wild.ReplaceAllStringFunc(r.path, func(s string) string {
			if s == "{$}" {
				return ""
			}
			return "x"
		})
		form := url.Values(nil)
		if r.method == http.MethodPost {
			form = url.Values{}
		}
		if a := w.ask("", r.method, path, form); !asksToSignIn(a) {
			t.Errorf("%s %s without a session: %d", r.method, path, a.Code)
		}
		w.from = w.from.Next() // many guesses from one address wait
		if a := w.ask("pwt_guess", r.method, path, form); !asksToSignIn(a) || !strings.Contains(a.Header().Get("Set-Cookie"), "Max-Age=0") {
			t.Errorf("%s %s with a guessed session: %d", r.method, path, a.Code)
		}
		for _, p := range w.people.Root.People {
			a := w.ask(w.login(p.ID), r.method, path, form)
			refused := a.Code == http.StatusForbidden && strings.Contains(a.Body.String(), "none of the roles")
			if refused == staff.Can(p, r.action) {
				t.Errorf("%s %s by %s (%v): %d", r.method, path, p.ID, p.Roles, a.Code)
			}
		}
	}
}

// asksToSignIn reports whether an answer leads to the sign-in page, or is that page with what was sent.
func asksToSignIn(a *httptest.ResponseRecorder) bool {
	return a.Code == http.StatusSeeOther && strings.HasPrefix(a.Header().Get("Location"), "/sign-in") ||
		a.Code == http.StatusUnauthorized && strings.Contains(a.Body.String(), "data-passkey-login") && strings.Contains(a.Body.String(), `name="held"`)
}

// TestForeignTextIsEscaped: whatever comes from outside stands on the pages as text.
func TestForeignTextIsEscaped(t *testing.T) {
	const mark = `<b>"'&<script src=//x>`
	w := newWorld(t, mark)
	token := w.login("carol")
	met := 0
	for _, place := range w.places() {
		a := w.ask(token, http.MethodGet, place, nil)
		if a.Code != http.StatusOK {
			t.Errorf("%s: %d", place, a.Code)
		}
		if !strings.HasPrefix(a.Header().Get("Content-Type"), "text/html") {
			continue
		}
		body := a.Body.String()
		if strings.Contains(body, "<b>\"") || strings.Contains(body, "<script src=//x>") || strings.Contains(body, `"'&`) {
			t.Errorf("%s: foreign text unescaped: %s", place, around(body, "<script src=//x>"))
		}
		met += strings.Count(body, "&lt;script src=//x&gt;")
	}
	if met < 100 {
		t.Errorf("foreign text was met %d times: the world lacks it", met)
	}
}

func around(s, part string) string {
	i := max(strings.Index(s, part), 0)
	return s[max(0, i-80):min(len(s), i+80)]
}

// TestAnotherSitesPageCannotPost: neither by what the browser says of the request, nor by its origin.
func TestAnotherSitesPageCannotPost(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("carol")
	for name, header := range map[string][2]string{"cross-site": {"Sec-Fetch-Site", "cross-site"}, "same site, other host": {"Sec-Fetch-Site", "same-site"},
		"old browser": {"Origin", "https://evil.example.org"}, "sandboxed": {"Origin", "null"}} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+site1+"/changes/"+w.waiting.ID+"/rejection", strings.NewReader("reason=x"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(header[0], header[1])
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: token})
		a := httptest.NewRecorder()
		w.door.ServeHTTP(a, r)
		if a.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, a.Code)
		}
		if a.Header().Get("Content-Security-Policy") != contentPolicy {
			t.Errorf("%s: the refusal has no policy", name)
		}
	}
	if o, err := w.Changes.Get(t.Context(), w.waiting.ID); err != nil || o.State != "proposed" {
		t.Errorf("the order is %s, %v", o.State, err)
	}
}

// TestNoAnswerCanBeFramed: whatever the route and whoever asks, a refusal and a file among them.
func TestNoAnswerCanBeFramed(t *testing.T) {
	w := newWorld(t, "")
	ask := func(token, method, path string) {
		var form url.Values
		if method == http.MethodPost {
			form = url.Values{}
		}
		h := w.ask(token, method, path, form).Header()
		if !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("X-Frame-Options") != "DENY" ||
			h.Get("Cross-Origin-Opener-Policy") != "same-origin" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %v", method, path, h)
		}
	}
	for _, token := range []string{"", w.login("carol"), w.login("frank")} {
		for _, r := range routes {
			if r.path != "/sign-out" {
				ask(token, r.method, strings.NewReplacer("{$}", "", "{", "", "}", "").Replace(r.path))
			}
		}
		for _, place := range append(w.places(), "/static/app.js", "/static/none", "/nowhere", "/sign-in?again=yes") {
			ask(token, http.MethodGet, place)
		}
		ask(token, http.MethodPut, "/hosts")
	}
}

func TestNobodyIsSentElsewhere(t *testing.T) {
	for to, want := range map[string]string{"/hosts?q=a": "/hosts?q=a", "": "/", "https://evil.example.org/": "/", "//evil.example.org": "/", `/\evil.example.org`: "/",
		"/%09//evil.example.org/\t": "/", "javascript:alert(1)": "/", "/\n/evil.example.org": "/", "hosts": "/", "///evil.example.org": "/"} {
		if got := local(to); got != want {
			t.Errorf("local(%q) = %q, want %q", to, got, want)
		}
	}
	w := newWorld(t, "")
	a := w.ask("", http.MethodPost, "/theme", url.Values{"theme": {"dark"}, "to": {"//evil.example.org"}})
	if got := a.Header().Get("Location"); got != "/" {
		t.Errorf("after choosing a theme: %q", got)
	}
	a = w.ask("", http.MethodPost, "/sign-in", w.answer("//evil.example.org"))
	if got := a.Header().Get("Location"); a.Code != http.StatusSeeOther || got != "/" {
		t.Errorf("after signing in: %d %q", a.Code, got)
	}
}

// answer is alice's form to sign in with her passkey.
func (w *world) answer(to string) url.Values {
	w.t.Helper()
	c, err := w.Staff.Challenge(w.t.Context(), "alice")
	w.ok(err)
	payload, err := staff.EncodeLogin("alice", c.Origin, c.Challenge)
	w.ok(err)
	return w.assertion(url.Values{"person": {"alice"}, "challenge": {c.Challenge}, "to": {to}}, staff.LoginType, payload)
}

// TestSigningInGivesANewSession: whatever cookie was there, and that session is over; the cookie is for this host, HTTPS
// and the server only.
func TestSigningInGivesANewSession(t *testing.T) {
	w := newWorld(t, "")
	old := w.login("frank")
	a := w.ask(old, http.MethodPost, "/sign-in", w.answer("/hosts"))
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/hosts" {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	c := a.Result().Cookies()[0]
	if c.Name != "__Host-patchwarrant" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %s", c)
	}
	if c.Value == old || c.Value == "" {
		t.Errorf("the session was taken over")
	}
	if _, err := w.Staff.Authenticate(t.Context(), old, ""); err == nil {
		t.Error("the session that was there before goes on")
	}
	if a := w.ask(c.Value, http.MethodGet, "/", nil); a.Code != http.StatusOK || !strings.Contains(a.Body.String(), "Alice Example") {
		t.Errorf("the new session: %d", a.Code)
	}
	if a := w.ask(c.Value, http.MethodGet, "/sign-in?to=/changes", nil); a.Header().Get("Location") != "/changes" {
		t.Errorf("signing in again: %d", a.Code)
	}
	w.ask(c.Value, http.MethodPost, "/sign-out", url.Values{})
	if a := w.ask(c.Value, http.MethodGet, "/", nil); a.Code != http.StatusSeeOther {
		t.Errorf("after signing out: %d", a.Code)
	}
}

// TestSigningInFails: with an answer given before, one of somebody else, and none.
func TestSigningInFails(t *testing.T) {
	w := newWorld(t, "")
	used := w.answer("/")
	w.ask("", http.MethodPost, "/sign-in", used)
	other := w.answer("/")
	other.Set("person", "bob")
	none := w.answer("/")
	none.Del("signature")
	for name, form := range map[string]url.Values{"used": used, "somebody else's": other, "none": none, "nonsense": {"sshsig": {"x"}, "person": {"alice"}}} {
		a := w.ask("", http.MethodPost, "/sign-in", form)
		if a.Code != http.StatusUnauthorized && a.Code != http.StatusUnprocessableEntity || a.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s: %d", name, a.Code)
		}
	}
}

// TestSigningInWithAnSSHKey: the page's command is signed as ssh-keygen does it; what a name could do to a shell is refused.
func TestSigningInWithAnSSHKey(t *testing.T) {
	w := newWorld(t, "")
	a := w.ask("", http.MethodPost, "/sign-in/ssh", url.Values{"person": {"bob"}})
	challenge := regexp.MustCompile(`name="challenge" value="([^"]+)"`).FindStringSubmatch(a.Body.String())
	if a.Code != http.StatusOK || challenge == nil || !strings.Contains(a.Body.String(), "ssh-keygen -Y sign -n login.v1@patchwarrant") {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	payload, err := staff.EncodeLogin("bob", w.Ledger.Origin, challenge[1])
	w.ok(err)
	sig, err := sshsig.ParseSignature(w.people.Sign(staff.LoginType, payload, "bob").Signatures[0].Sig)
	w.ok(err)
	a = w.ask("", http.MethodPost, "/sign-in", url.Values{"person": {"bob"}, "challenge": {challenge[1]}, "to": {"/"}, "sshsig": {"\n" + string(sshsig.Armor(sig)) + " \n"}})
	if a.Code != http.StatusSeeOther || len(a.Result().Cookies()) != 1 {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	for _, name := range []string{"", "bob'; rm -rf ~ #", "Bob", strings.Repeat("b", 65), "b\nob"} {
		if a := w.ask("", http.MethodPost, "/sign-in/ssh", url.Values{"person": {name}}); a.Code != http.StatusUnprocessableEntity {
			t.Errorf("%q: %d", name, a.Code)
		}
	}
}

// TestTheChallengeTellsNothing: who exists and who does not get answers of the same form.
func TestTheChallengeTellsNothing(t *testing.T) {
	w := newWorld(t, "")
	shape := regexp.MustCompile(`^\{"challenge":"[\w-]{75}","sign":"[\w-]{43}","rp_id":"patch.example.org","credentials":\["[\w-]+","[\w-]+"\]\}\n$`)
	for _, person := range []string{"alice", "bob", "nobody"} {
		a := w.ask("", http.MethodPost, "/sign-in/challenge", url.Values{"person": {person}})
		if a.Code != http.StatusOK || !shape.MatchString(a.Body.String()) {
			t.Errorf("%s: %d %s", person, a.Code, a.Body)
		}
	}
}

func TestStaticFilesAreCachedByTheirBytes(t *testing.T) {
	w := newWorld(t, "")
	first := w.ask("", http.MethodGet, asset("app.css"), nil)
	tag := first.Header().Get("ETag")
	if first.Code != http.StatusOK || tag == "" || !strings.Contains(first.Header().Get("Cache-Control"), "immutable") ||
		!strings.HasPrefix(first.Header().Get("Content-Type"), "text/css") {
		t.Errorf("%d %v", first.Code, first.Header())
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+site1+"/static/app.css", nil)
	r.Header.Set("If-None-Match", tag)
	a := httptest.NewRecorder()
	w.door.ServeHTTP(a, r)
	if a.Code != http.StatusNotModified || a.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("asked again: %d %v", a.Code, a.Header())
	}
	for _, name := range []string{"", "nothing.css", "..%2fweb.go"} {
		if a := w.ask("", http.MethodGet, "/static/"+name, nil); a.Code == http.StatusOK {
			t.Errorf("%q is served", name)
		}
	}
}

func decodeBase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
