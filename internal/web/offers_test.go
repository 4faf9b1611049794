package web

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// router finds the route that serves a method and a path, as the site does.
type router struct{ mux *http.ServeMux }

func newRouter() router {
	r := router{http.NewServeMux()}
	for _, one := range routes {
		r.mux.Handle(one.method+" "+one.path, http.NotFoundHandler())
	}
	return r
}

func (r router) route(method, address string) (route, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host != "" || !strings.HasPrefix(u.Path, "/") {
		return route{}, false
	}
	_, pattern := r.mux.Handler(httptest.NewRequest(method, u.EscapedPath(), nil))
	i := slices.IndexFunc(routes, func(one route) bool { return one.method+" "+one.path == pattern })
	if i < 0 {
		return route{}, false
	}
	return routes[i], true
}

// notPlaces are routes of pages that places leaves out: before there is a session or a trust root, and parts and files that
// have tests of their own.
var notPlaces = []string{"/sign-in", "/sign-in/providers/{id}", "/sign-in/provider/{id}", "/setup", "/setup/progress", "/setup/upstreams", "/setup/findings/{id}",
	"/join", "/join/progress", "/hosts/arrivals/{name}", "/facts/{id}", "/suspicions/{id}/evidence"}

// TestNoPageIsForgotten: what is tested of every page is tested of each.
func TestNoPageIsForgotten(t *testing.T) {
	w, r := newWorld(t, ""), newRouter()
	var met []string
	for _, place := range append(w.places(), offeredPlaces...) {
		one, there := r.route(http.MethodGet, place)
		if !there {
			t.Errorf("no route serves %s", place)
		}
		met = append(met, one.path)
	}
	for _, one := range routes {
		if one.method == http.MethodGet && slices.Contains(met, one.path) == slices.Contains(notPlaces, one.path) {
			t.Errorf("GET %s is in none of places and notPlaces, or in both", one.path)
		}
	}
}

var (
	posts = regexp.MustCompile(`<form method="post" action="([^"]+)"|formaction="([^"]+)"|hx-post="([^"]+)"`)
	gets  = regexp.MustCompile(`href="(/[^"]*)"|hx-get="([^"]+)"`)
)

// offers gives what a page of ours has to follow or to send, by the method that it takes.
func offers(page string) map[string][]string {
	all := map[string][]string{}
	for method, pattern := range map[string]*regexp.Regexp{http.MethodPost: posts, http.MethodGet: gets} {
		for _, found := range pattern.FindAllStringSubmatch(page, -1) {
			all[method] = append(all[method], html.UnescapeString(strings.Join(found[1:], "")))
		}
	}
	return all
}

// seldom are forms that the pages of the world have no occasion to offer; the tests that send them look at them.
var seldom = []string{"/sign-out", "/theme", "/sign-in", "/account/passkeys/challenge", "/people/{id}/notice/withdrawal",
	"/decisions", "/vulnerabilities/{cve}/{source}/assessments", "/policies", "/repository/upstreams/{id}/removal",
	"/views/{id}/drop", "/changes/templates/drop", "/repository/snapshots/{id}/signatures", "/account/passkeys/drop", "/account/tokens/{id}/end", "/changes/{id}/rollout/halt", "/changes/{id}/rollout/resume"}

// TestNoPageOffersWhatIsRefused: to each person, whatever their role, every link and form of every page leads to what they
// may do; and each thing that can be done is offered to somebody.
func TestNoPageOffersWhatIsRefused(t *testing.T) {
	w, r := newWorld(t, ""), newRouter()
	offered := map[string]bool{}
	for _, p := range w.people.Root.People {
		token := w.login(p.ID)
		for _, place := range append(w.places(), offeredPlaces...) {
			at, _ := r.route(http.MethodGet, place)
			a := w.ask(token, http.MethodGet, place, nil)
			private := at.path == "/suspicions/{id}" && p.ID != "carol" && !staff.Can(p, staff.ReadSuspicions) // it is carol's
			if want := staff.Can(p, at.action) && !private; (a.Code == http.StatusOK) != want {
				t.Errorf("%s to %s (%v): %d", place, p.ID, p.Roles, a.Code)
			}
			for method, addresses := range offers(a.Body.String()) {
				for _, address := range addresses {
					to, there := r.route(method, address)
					if !there {
						if !strings.HasPrefix(address, "/static/") {
							t.Errorf("%s has %s %s, which nothing serves", place, method, address)
						}
						continue
					}
					offered[to.method+" "+to.path] = true
					if to.action != "" && !staff.Can(p, to.action) {
						t.Errorf("%s offers %s (%v) %s %s, which is refused", place, p.ID, p.Roles, method, address)
					}
				}
			}
		}
	}
	for _, one := range routes {
		before := strings.HasPrefix(one.path, "/setup") || strings.HasPrefix(one.path, "/join") || strings.HasPrefix(one.path, "/sign-in/")
		if one.method == http.MethodPost && !before && !offered["POST "+one.path] && !slices.Contains(seldom, one.path) {
			t.Errorf("POST %s is offered to nobody", one.path)
		}
	}
}

// TestAnotherSitesPageCannotPostAnything: no form's target takes a request that a browser says comes from elsewhere, with a
// session, with none, and where it would begin one.
func TestAnotherSitesPageCannotPostAnything(t *testing.T) {
	w := newWorld(t, "")
	tokens := []string{"", w.login("alice"), w.login("carol"), w.login("erin")}
	last := func() int64 {
		all, err := w.Ledger.List(t.Context(), ledger.Filter{Newest: true, Limit: 1})
		w.ok(err)
		return all[0].Index
	}
	before := last()
	for _, one := range routes {
		if one.method != http.MethodPost {
			continue
		}
		path := strings.NewReplacer("{cve}/{source}", "CVE-2026-1001/openssl", "{id}", w.waiting.ID, "{session}", "x").Replace(one.path)
		for _, token := range tokens {
			for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example.org"}} {
				request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+site1+path, strings.NewReader("reason=x&theme=dark"))
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				request.Header.Set(header[0], header[1])
				if token != "" {
					request.AddCookie(&http.Cookie{Name: sessionCookie, Value: token})
				}
				a := httptest.NewRecorder()
				w.door.ServeHTTP(a, request)
				if a.Code != http.StatusForbidden || a.Header().Get("Set-Cookie") != "" {
					t.Errorf("POST %s with %s: %d %s", path, header[0], a.Code, a.Header().Get("Set-Cookie"))
				}
			}
		}
	}
	if after := last(); after != before {
		t.Errorf("%d acts were written", after-before)
	}
}

// TestTheSharesAreTheWhole: each vulnerability that affects a host is in one part of the bar, whatever was decided.
func TestTheSharesAreTheWhole(t *testing.T) {
	view := triage.View{}
	for _, kind := range append(triage.Kinds(), "") {
		row := triage.Vulnerability{Affected: 1}
		if kind != "" && kind != triage.Reopen {
			row.Decisions = []triage.Decision{{Kind: kind}}
		}
		view.Rows = append(view.Rows, row)
	}
	sum := 0
	for _, part := range decidedShares(view) {
		sum += part.Count
	}
	if sum != len(view.Rows) {
		t.Errorf("%d of %d are shown", sum, len(view.Rows))
	}
}
