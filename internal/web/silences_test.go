package web

import (
	"net/http"
	"strings"
	"testing"
)

// TestTodaySaysWhatIsNotHeard: of the server itself, of hosts whose second term ended, of the planted vulnerability.
func TestTodaySaysWhatIsNotHeard(t *testing.T) {
	w := newWorld(t, "")
	page := w.ask(w.login("alice"), http.MethodGet, "/", nil).Body.String()
	for _, want := range []string{"The server itself: dead man&#39;s switch", "Host silent-1 says nothing", "escalated: its second term ended"} {
		if !strings.Contains(page, want) {
			t.Errorf("Today lacks %q", want)
		}
	}
	if page := w.ask(w.login("alice"), http.MethodGet, "/hosts/"+w.hosts["silent-1"].id, nil).Body.String(); !strings.Contains(page, "Clock of contact") {
		t.Error("the host's page does not say it")
	}
}
