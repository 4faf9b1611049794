package web

import (
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/triage"
)

var inputs = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// through signs alice in on the page that carries a form, and gives where the page after it sends which fields.
func (w *world) through(page *httptest.ResponseRecorder) (token, to string, form url.Values) {
	w.t.Helper()
	carried := url.Values{}
	for _, m := range inputs.FindAllStringSubmatch(page.Body.String(), -1) {
		carried.Set(m[1], html.UnescapeString(m[2]))
	}
	if page.Code != http.StatusUnauthorized || !carried.Has("held") {
		w.t.Fatalf("%d %s", page.Code, page.Body)
	}
	answer := w.answer(carried.Get("to"))
	answer.Set("held", carried.Get("held"))
	on := w.ask("", http.MethodPost, "/sign-in", answer)
	body, form := on.Body.String(), url.Values{}
	target := regexp.MustCompile(`(?s)<form method="post" action="([^"]*)" class="buttons">(.*?)</form>`).FindStringSubmatch(body)
	if on.Code != http.StatusOK || target == nil {
		w.t.Fatalf("%d %s", on.Code, body)
	}
	for _, m := range inputs.FindAllStringSubmatch(target[2], -1) {
		form.Add(m[1], html.UnescapeString(m[2]))
	}
	for _, c := range on.Result().Cookies() {
		if c.Name == sessionCookie {
			token = c.Value
		}
	}
	return token, html.UnescapeString(target[1]), form
}

// TestALoginThatIsOldIsAskedForAgain: and nothing that was typed is lost.
func TestALoginThatIsOldIsAskedForAgain(t *testing.T) {
	w := newWorld(t, "")
	old := w.login("alice")
	w.now = w.now.Add(6 * time.Minute)
	sent := url.Values{"name": {`"x"` + "\n<b>"}, "days": {"1"}, "action": {"read", "audit"}}
	page := w.ask(old, http.MethodPost, "/account/tokens", sent)
	if !strings.Contains(page.Body.String(), `value="alice"`) || strings.Contains(page.Body.String(), "Alice Example") {
		t.Errorf("the page does not know who it was, or is a person's: %s", page.Body)
	}
	token, to, form := w.through(page)
	if to != "/account/tokens" || !maps.EqualFunc(form, sent, slices.Equal) {
		t.Fatalf("%s %v", to, form)
	}
	if a := w.ask(old, http.MethodGet, "/account", nil); a.Code != http.StatusOK || strings.Contains(a.Body.String(), "pwa_") || strings.Contains(a.Body.String(), "<td>&#34;x&#34;") {
		t.Errorf("it was done before anybody said so: %d", a.Code)
	}
	form.Set("name", "x")
	if a := w.ask(token, http.MethodPost, to, form); a.Code != http.StatusOK || !strings.Contains(a.Body.String(), "pwa_") {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	if a := w.ask(token, http.MethodGet, "/account", nil); strings.Contains(a.Body.String(), "pwa_") {
		t.Error("the secret is shown again")
	}
}

// TestASignatureOutlivesItsSession: what was signed on a page that a form made counts after a new login, without another
// signature; for somebody else it does not.
func TestASignatureOutlivesItsSession(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("alice")
	encoded, payload, _ := w.draft(token, "/decisions/draft", url.Values{"vulnerability": {"CVE-2026-1002/openssl"}, "kind": {"accept"}, "scope": {"fleet"}, "reason": {"exploited"},
		"justification": {triage.Justifications[0]}})
	signed := w.assertion(url.Values{"payload": {encoded}}, triage.DecisionType, payload)
	w.now = w.now.Add(61 * time.Minute)
	token, to, form := w.through(w.ask(token, http.MethodPost, "/decisions", signed))
	if a := w.ask(w.login("carol"), http.MethodPost, to, form); a.Code != http.StatusForbidden {
		t.Errorf("sent by carol: %d", a.Code)
	}
	if a := w.ask(token, http.MethodPost, to, form); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/vulnerabilities/CVE-2026-1002/openssl?said=decided" {
		t.Errorf("%d %s", a.Code, a.Body)
	}
}

// TestWhatWasSentStaysOnThisSite: the page after a sign-in sends nothing elsewhere, and shows what it carries as text.
func TestWhatWasSentStaysOnThisSite(t *testing.T) {
	w := newWorld(t, "")
	for _, to := range []string{"//evil.example.org/x", "https://evil.example.org/", "javascript:alert(1)"} {
		answer := w.answer(to)
		answer.Set("held", url.Values{`"><script>`: {"</dd><script>"}}.Encode())
		a := w.ask("", http.MethodPost, "/sign-in", answer)
		if body := a.Body.String(); a.Code != http.StatusOK || !strings.Contains(body, `action="/"`) || strings.Contains(body, "evil") || strings.Contains(body, "<script>") {
			t.Errorf("%s: %d %s", to, a.Code, body)
		}
	}
	answer := w.answer("/account/tokens")
	answer.Set("held", "%zz")
	if a := w.ask("", http.MethodPost, "/sign-in", answer); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("nonsense: %d", a.Code)
	}
}

// TestWhatIsNotCarried: signing out, a script's question and what is too large lead to the sign-in page and from there back to
// the page that the visitor was on.
func TestWhatIsNotCarried(t *testing.T) {
	w := newWorld(t, "")
	for name, c := range map[string]struct {
		path, body string
		header     [2]string
		want       string
	}{
		"signing out": {"/sign-out", "", [2]string{}, "/sign-in?to=%2Fhosts%2Fgroups"},
		"too large":   {"/hosts/groups", "name=" + strings.Repeat("x", maxHeld), [2]string{}, "/sign-in?to=%2Fhosts%2Fgroups"},
		"a script's":  {"/account/passkeys/challenge", "", [2]string{"Accept", "application/json"}, "/sign-in?to=%2Fhosts%2Fgroups"},
		"an upload":   {"/hosts/imports", "", [2]string{"Content-Type", "multipart/form-data; boundary=x"}, "/sign-in?to=%2Fhosts%2Fgroups"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+site1+c.path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Referer", "https://"+site1+"/hosts/groups")
		if c.header[0] != "" {
			r.Header.Set(c.header[0], c.header[1])
		}
		a := httptest.NewRecorder()
		w.door.ServeHTTP(a, r)
		if got := a.Header().Get("Location") + a.Header().Get("HX-Redirect"); got != c.want {
			t.Errorf("%s: %d %q", name, a.Code, got)
		}
	}
}

// TestNoFormsAddressIsADeadEnd: each address that only takes forms leads, asked as a page, to a page.
func TestNoFormsAddressIsADeadEnd(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("carol")
	known := strings.NewReplacer("{cve}", "CVE-2026-1001", "{source}", "openssl", "{id}", w.order.ID)
	for _, r := range routes {
		if r.method != http.MethodPost || slices.ContainsFunc(routes, func(other route) bool { return other.method == http.MethodGet && other.path == r.path }) {
			continue
		}
		at := known.Replace(r.path)
		for steps := 0; ; steps++ {
			a := w.ask(token, http.MethodGet, at, nil)
			if a.Code == http.StatusSeeOther && steps < 4 {
				at = a.Header().Get("Location")
				continue
			}
			if a.Code != http.StatusOK && !strings.Contains(r.path, "{") { // the ID may be of something else
				t.Errorf("%s leads to %s: %d", r.path, at, a.Code)
			}
			break
		}
	}
	for from, to := range map[string]string{"/decisions/draft": "/decisions", "/decisions": "/", "/vulnerabilities/CVE-1/a%2Fb/assessments/draft": "/vulnerabilities/CVE-1/a%2Fb/assessments",
		"/hosts/enrolments": "/hosts", "/changes/" + w.order.ID + "/signatures": "/changes/" + w.order.ID} {
		if a := w.ask("", http.MethodGet, from, nil); a.Code != http.StatusSeeOther || a.Header().Get("Location") != to {
			t.Errorf("%s leads to %d %s", from, a.Code, a.Header().Get("Location"))
		}
	}
}
