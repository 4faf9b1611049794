package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
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
	if a := w.ask(token, http.MethodGet, "/setup", nil); a.Code != http.StatusOK || !strings.Contains(a.Body.String(), "trust-root draft") {
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
