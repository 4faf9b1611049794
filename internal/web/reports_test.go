package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/savedview"
)

// TestADayWithoutASweepIsAGap: days are laid out without gaps in time, and what is not known is no number.
func TestADayWithoutASweepIsAGap(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	day := func(ago, findings int) exposure.Day {
		return exposure.Day{Day: now.AddDate(0, 0, -ago).Format(time.DateOnly), Findings: findings}
	}
	d := dayLine([]exposure.Day{day(3, 7), day(1, 5)}, now)
	if diff := cmp.Diff([]string{"18 Nov", "19 Nov", "20 Nov", "21 Nov"}, d.labels); diff != "" {
		t.Error(diff)
	}
	if got := []bool{d.days[0] == nil, d.days[1] == nil, d.days[2] == nil, d.days[3] == nil}; !cmp.Equal(got, []bool{false, true, false, true}) {
		t.Errorf("missing: %v", got)
	}
	year := dayLine([]exposure.Day{day(364, 7), day(0, 5)}, now)
	if n := len(year.labels); n != 53 || year.days[0] == nil || year.days[n-1] == nil || year.days[n-1].Findings != 5 {
		t.Errorf("%d weeks: %v", n, year.labels)
	}
	if none := dayLine(nil, now); len(none.labels) != 0 {
		t.Errorf("of nothing: %v", none.labels)
	}
	whole := ofHosts(func(x *exposure.Day) int { return x.Hosts - x.Silent })
	if got := whole(&exposure.Day{Coverage: estate.Coverage{Hosts: 100_000, Silent: 1}}); got == 100 {
		t.Error("one silent host among many is rounded away")
	}
}

// TestTheDossierTellsWhenItWasHere: episodes with their act, and a picture of them.
func TestTheDossierTellsWhenItWasHere(t *testing.T) {
	w := newWorld(t, "")
	body := w.ask(w.login("frank"), http.MethodGet, "/vulnerabilities/CVE-2026-1001/openssl", nil).Body.String()
	for _, want := range []string{"When it was here", `aria-labelledby="timeline-title timeline-about"`, "First known here", "decision: accept"} {
		if !strings.Contains(body, want) {
			t.Errorf("the dossier lacks %q", want)
		}
	}
	reports := w.ask(w.login("frank"), http.MethodGet, "/reports", nil).Body.String()
	for _, id := range []string{"findings", "vulnerabilities", "coverage", "ages", "emergencies"} {
		if !strings.Contains(reports, `aria-labelledby="`+id+`-title `) {
			t.Errorf("the reports lack the chart %s", id)
		}
	}
}

// TestReportsShowWhatIsOpenWithEach: a host's zone stands with what it has open, and a property that there is not is the first.
func TestReportsShowWhatIsOpenWithEach(t *testing.T) {
	w := newWorld(t, "")
	frank := w.login("frank")
	for by, want := range map[string]string{"zone": "What is open with each zone", "unit": "What is open with each unit", "x": "What is open with each owner"} {
		body := w.ask(frank, http.MethodGet, "/reports?by="+by, nil).Body.String()
		if !strings.Contains(body, want) || strings.Contains(body, "No host has reported yet") {
			t.Errorf("by %s: no %q, or no hosts", by, want)
		}
	}
}

// TestAHostsFileStatesNameTheOrderThatLeftThem: the state after a run leads to what it changed.
func TestAHostsFileStatesNameTheOrderThatLeftThem(t *testing.T) {
	w := newWorld(t, "")
	host := w.hosts["web-2"].id
	body := w.ask(w.login("frank"), http.MethodGet, "/hosts/"+host+"?tab=files", nil).Body.String()
	if !strings.Contains(body, `href="/changes/`+w.order.ID+`/hosts/`+host+`"`) || !strings.Contains(body, "no order") {
		t.Error("the states do not say which order left them")
	}
}

// TestAViewIsItsOwners: by its ID nobody else drops it, and a private one is on nobody else's pages.
func TestAViewIsItsOwners(t *testing.T) {
	w := newWorld(t, "")
	alice, frank := w.login("alice"), w.login("frank")
	saved := w.ask(alice, http.MethodPost, "/views", url.Values{"list": {"hosts"}, "name": {"Mine alone"}, "query": {"page=2&state=silent"}})
	if got := saved.Header().Get("Location"); saved.Code != http.StatusSeeOther || got != "/hosts?state=silent" {
		t.Fatalf("%d %s", saved.Code, got)
	}
	page := func(token string) string {
		return w.ask(token, http.MethodGet, "/hosts?state=silent", nil).Body.String()
	}
	if !strings.Contains(page(alice), "Mine alone") || !strings.Contains(page(alice), "Drop this view") || strings.Contains(page(frank), "Mine alone") {
		t.Error("a private view is on the wrong pages")
	}
	w.ask(alice, http.MethodPost, "/views", url.Values{"list": {"hosts"}, "name": {"Two"}, "query": {"state=silent&environment=a b"}})
	if !strings.Contains(page(alice), `href="/hosts?environment=a&#43;b&amp;state=silent"`) && !strings.Contains(page(alice), `href="/hosts?environment=a+b&amp;state=silent"`) {
		t.Error("a view's tab does not lead to its filter")
	}
	all, err := w.Views.List(t.Context(), "alice", "hosts")
	w.ok(err)
	for _, view := range all { // alice's own, and bob's shared one
		if a := w.ask(frank, http.MethodPost, "/views/"+view.ID+"/drop", url.Values{"list": {"hosts"}}); a.Code != http.StatusNotFound {
			t.Errorf("%s of %s dropped by another: %d", view.Name, view.Person, a.Code)
		}
	}
	if a := w.ask(alice, http.MethodPost, "/views/"+all[0].ID+"/drop", url.Values{"list": {"//evil.example.org"}}); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("a list that is none: %d to %s", a.Code, a.Header().Get("Location"))
	}
	for _, view := range all[:2] {
		if a := w.ask(alice, http.MethodPost, "/views/"+view.ID+"/drop", url.Values{"list": {"hosts"}}); a.Code != http.StatusSeeOther {
			t.Errorf("dropping one's own: %d", a.Code)
		}
	}
	if rest, err := w.Views.List(t.Context(), "alice", "hosts"); err != nil || len(rest) != 1 || rest[0].Person != "bob" {
		t.Errorf("left: %+v, %v", rest, err)
	}
	if a := w.ask(alice, http.MethodPost, "/views", url.Values{"list": {savedview.Lists[0]}, "name": {"x"}, "query": {""}}); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("a view of nothing: %d", a.Code)
	}
}
