package web

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
)

// places are all pages of the site in a world.
func (w *world) places() []string {
	c := func(host string) string { return w.hosts[host].id }
	return []string{"/", "/search?q=open", "/vulnerabilities", "/vulnerabilities?q=open&state=affected&decision=none&kev=yes&source=openssl&sort=hosts&page=2",
		"/vulnerabilities/CVE-2026-1001/openssl", "/vulnerabilities/CVE-2026-1002/openssl", "/vulnerabilities/CVE-2026-1004/openssl", "/decisions/" + w.undecided, "/decisions/" + w.made, "/clocks", "/exceptions", "/policy", "/policy/statement.txt", "/policy/draft", "/policy/draft?from=cis", "/policies/" + w.proposed, "/hosts", "/hosts?state=silent&environment=production&q=s",
		"/hosts/" + c("web-2"), "/hosts/" + c("web-2") + "?tab=packages", "/hosts/" + c("web-2") + "?tab=system", "/hosts/" + c("web-2") + "?tab=runs", "/hosts/" + c("web-2") + "?tab=files", "/hosts/" + c("web-2") + "?tab=record",
		"/hosts/" + c("web-2") + "?tab=inventory", "/hosts/" + c("web-2") + "?tab=drift", "/hosts/" + c("stage-1") + "?tab=drift", "/hosts/" + c("db-1") + "?tab=inventory", "/hosts/estate", "/hosts/estate?q=web", "/hosts/groups", "/hosts/groups?change=core", "/changes/templates", "/hosts/builds", "/hosts/builds/base", "/hosts/records/" + w.inventory, "/hosts/records/" + w.stranger, "/hosts/retirements/" + w.leaving,
		"/hosts/inventory.csv", "/hosts/inventory.json",
		"/hosts/" + c("silent-1"), "/repository", "/repository/snapshots/" + w.record, "/repository/compare?a=" + w.record + "&b=" + w.record,
		"/changes", "/changes?state=closed&kind=stage", "/changes/" + w.stage.ID, "/changes/" + w.order.ID, "/changes/" + w.waiting.ID,
		"/changes/" + w.order.ID + "/order.txt", "/changes/" + w.order.ID + "/rollout", "/changes/" + w.order.ID + "/hosts/" + c("web-2"),
		"/changes/" + w.order.ID + "/hosts/" + c("web-2") + "?verdict=unexplained&dir=/usr/share", "/investigations", "/investigations/" + w.investigation,
		"/suspicions", "/suspicions?state=open&host=web-1", "/suspicions/" + w.suspected, "/reports", "/reports?days=365", "/reports?days=x", "/reports?by=zone", "/ledger", "/ledger?kind=host.", "/ledger?at=3", "/ledger/0", "/ledger/5", "/people", "/people/duties", "/account", "/scans", "/scans/" + w.scan, "/scans/" + w.scan + "?relation=agree&banner=no&q=openssl", "/sources", "/sources?here=yes&q=2026&source=debian-tracker"}
}

// offeredPlaces are pages that only some may see.
var offeredPlaces = []string{"/changes/new", "/changes/new?kind=production", "/changes/new?kind=back-out", "/vulnerabilities/CVE-2026-1002/openssl/assessment",
	"/decisions/new?vulnerability=CVE-2026-1002/openssl&vulnerability=CVE-2026-1003/openssl"}

// TestEveryPageIsRendered: whole, escaped by its template, small, and under the strict policy.
func TestEveryPageIsRendered(t *testing.T) {
	w := newWorld(t, "")
	token, decider := w.login("carol"), w.login("alice")
	shared := 0
	for _, name := range []string{"app.css", "app.js", "htmx.min.js", "icon.svg"} {
		shared += len(static[name].bytes)
	}
	for _, place := range append(w.places(), offeredPlaces...) {
		token := token
		if strings.HasSuffix(place, "/assessment") || strings.HasPrefix(place, "/decisions/new") {
			token = decider
		}
		a := w.ask(token, http.MethodGet, place, nil)
		body := a.Body.String()
		if a.Code != http.StatusOK {
			t.Errorf("%s: %d %s", place, a.Code, body)
		}
		if strings.HasPrefix(body, "<!doctype html>") && !strings.HasSuffix(strings.TrimSpace(body), "</html>") {
			t.Errorf("%s breaks off", place)
		}
		if weight := len(body) + shared; weight > 150_000 {
			t.Errorf("%s weighs %d bytes with all it loads", place, weight)
		}
		if strings.Contains(body, " style=") || strings.Contains(body, "<style") || strings.Contains(body, "onclick") || strings.Contains(body, "ZgotmplZ") {
			t.Errorf("%s has something inline", place)
		}
		if got := a.Header().Get("Content-Security-Policy"); got != contentPolicy {
			t.Errorf("%s: policy %q", place, got)
		}
	}
}

// TestAnAnnouncementIsShownInTheQueue with its title and link, whether it is signed, and what it names that is here.
func TestAnAnnouncementIsShownInTheQueue(t *testing.T) {
	w := newWorld(t, "")
	body := w.ask(w.login("carol"), http.MethodGet, "/sources?q=n1", nil).Body.String()
	for _, want := range []string{`<a href="https://example.org/1" rel="noreferrer noopener">DSA-1-1 openssl</a>`, "not signed", `<a href="/vulnerabilities/CVE-2026-1001/openssl">CVE-2026-1001</a>`} {
		if !strings.Contains(body, want) {
			t.Errorf("the queue lacks %s", want)
		}
	}
}

// TestWhatIsShownOfOrders: facets count under each other, a window of one day says the day once, and rules are explained.
func TestWhatIsShownOfOrders(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("carol")
	for place, wants := range map[string][]string{
		"/changes":              {">stage <b>2</b>", ">production <b>1</b>", ">closed <b>1</b>", ">proposed <b>1</b>", ">under investigation <b>1</b>"},
		"/changes?state=closed": {">stage <b>1</b>", ">proposed <b>1</b>"},
		"/changes/" + w.waiting.ID: {w.waiting.Window.OpensAt.Format("2 Jan 2006 15:04") + "</time> – <time datetime=\"" + w.waiting.Window.ClosesAt.Format("2006-01-02T15:04:05Z") +
			"\" title=\"" + w.waiting.Window.ClosesAt.Format("2006-01-02 15:04:05") + " UTC\">" + w.waiting.Window.ClosesAt.Format("15:04") + "</time>"},
		"/changes/" + w.order.ID + "/hosts/" + w.hosts["web-2"].id: {"<dt>P1</dt>", explain.Rules["P1"]},
	} {
		body := w.ask(token, http.MethodGet, place, nil).Body.String()
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", place, want)
			}
		}
	}
	if body := w.ask(token, http.MethodGet, "/changes?state=closed", nil).Body.String(); strings.Contains(body, ">production <b>") {
		t.Error("a kind that no closed order has is offered")
	}
}

// TestThirdPartyFilesAreWhatTheyAre: the bytes that were reviewed, and no others.
func TestThirdPartyFilesAreWhatTheyAre(t *testing.T) {
	list, err := os.ReadFile("THIRD-PARTY.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"htmx.min.js"} {
		if digest := envelope.Digest(static[name].bytes); !strings.Contains(string(list), "`"+digest+"`") {
			t.Errorf("%s has the digest %s, which THIRD-PARTY.md does not name", name, digest)
		}
	}
}
