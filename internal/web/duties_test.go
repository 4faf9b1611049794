package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestADutyIsTakenInThePages: Today counts them, the list offers those that are taken there, and one that was taken is gone.
func TestADutyIsTakenInThePages(t *testing.T) {
	w := newWorld(t, "")
	alice := w.login("alice")
	if today := w.ask(alice, http.MethodGet, "/", nil).Body.String(); !strings.Contains(today, "duties have no owner") {
		t.Error("Today does not count them")
	}
	const offer = `name="subject" value="source/kev"`
	if page := w.ask(alice, http.MethodGet, "/people/duties", nil).Body.String(); !strings.Contains(page, offer) {
		t.Errorf("the source is not offered: %s", page)
	}
	if page := w.ask(w.login("frank"), http.MethodGet, "/people/duties", nil).Body.String(); strings.Contains(page, offer) || !strings.Contains(page, "source/kev") {
		t.Error("an auditor is offered it, or does not see it")
	}
	if a := w.ask(alice, http.MethodPost, "/people/duties", url.Values{"subject": {"source/kev"}}); a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if page := w.ask(alice, http.MethodGet, "/people/duties", nil).Body.String(); strings.Contains(page, "source/kev") {
		t.Error("it was taken, and is shown")
	}
}
