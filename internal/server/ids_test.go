package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/retirement"
	"github.com/patchwarrant/patchwarrant/internal/savedview"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/suspicion"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/web"
)

// route is an operation of the API or a route of the pages.
type route struct {
	method, path string
	action       staff.Action
	page         bool
}

// routes are all routes of the people's door: of the API as /openapi.json has it, of the pages as they are served.
func (w *world) routes() (all []route) {
	w.t.Helper()
	answer, err := http.Get(w.doors[0].URL + "/openapi.json")
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	var document struct {
		Paths map[string]map[string]struct {
			Action staff.Action `json:"x-action"`
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&document); err != nil {
		w.t.Fatal(err)
	}
	for path, operations := range document.Paths {
		for method, o := range operations {
			all = append(all, route{strings.ToUpper(method), path, o.Action, false})
		}
	}
	for _, r := range web.Routes() {
		all = append(all, route{r.Method, strings.ReplaceAll(r.Path, "{$}", ""), r.Action, true})
	}
	return all
}

// visit sends a request with no body worth reading, and gives what comes back but for the path itself.
func (w *world) visit(r route, path, token string) string {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), r.method, w.doors[0].URL+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	if r.page {
		request.AddCookie(&http.Cookie{Name: "__Host-patchwarrant", Value: token})
	} else {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultTransport.RoundTrip(request) // a redirect is an answer
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	text := fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("Location"), " ", string(b))
	return strings.NewReplacer(url.QueryEscape(path), "PATH", path, "PATH").Replace(text)
}

// things gives, for each path with IDs, one where they name what is there, and one where they name nothing.
func (s *story) things(session, token string) map[string][2]string {
	s.t.Helper()
	var open v1.Investigations
	s.as("alice", http.MethodGet, "/investigations", nil, &open)
	digest, other := s.order.Manifest, strings.Repeat("0", 64)
	if digest == "" {
		digest = s.stage.Manifest
	}
	pairs := map[string][2]string{}
	both := func(there, missing string, paths ...string) {
		for _, p := range paths {
			begin, end := strings.Index(p, "{"), strings.LastIndex(p, "}")+1
			pairs[p] = [2]string{p[:begin] + there + p[end:], p[:begin] + missing + p[end:]}
		}
	}
	const api = v1.Prefix
	for _, door := range []string{api + "/orders", "/changes"} {
		both(s.order.ID, "ord_none", door+"/{id}", door+"/{id}/signatures", door+"/{id}/rejection", door+"/{id}/withdrawal", door+"/{id}/rollout",
			door+"/{id}/rollout/halt", door+"/{id}/rollout/resume", door+"/{id}/bundle", door+"/{id}/reconciliation", door+"/{id}/order.txt")
	}
	both(s.order.ID+"/hosts/"+s.hosts[1].host.ID, "ord_none/hosts/hst_none", "/changes/{id}/hosts/{host}")
	both(s.hosts[1].host.ID, "hst_none", api+"/hosts/{id}", api+"/hosts/{id}/findings", api+"/hosts/{id}/drift", api+"/hosts/{id}/states", api+"/hosts/{id}/packages", api+"/hosts/{id}/inventory", "/hosts/{id}")
	for _, door := range []string{api, "/repository"} {
		both(s.record, other, door+"/snapshots/{id}", door+"/snapshots/{id}/signatures")
		both("stage", "none", door+"/channels/{id}/promotions")
		both("security", "none", door+"/upstreams/{id}", door+"/upstreams/{id}/refresh", door+"/upstreams/{id}/removal")
	}
	for _, door := range []string{api, ""} {
		both("CVE-2026-1001/openssl", "CVE-2026-9999/none", door+"/vulnerabilities/{cve}/{source}", door+"/vulnerabilities/{cve}/{source}/history",
			door+"/vulnerabilities/{cve}/{source}/clocks", door+"/vulnerabilities/{cve}/{source}/assessment")
		both(open.Investigations[0].ID, "inv_none", door+"/investigations/{id}", door+"/investigations/{id}/resolutions")
		both(digest, other, door+"/facts/{id}", door+"/manifests/{id}", door+"/reports/{id}")
		both("debian-tracker", "none", door+"/sources/{id}/content", door+"/sources/{id}/fetches", door+"/sources/{id}/documents", door+"/sources/{id}/shrinks")
	}
	both("alice", "nobody", "/setup/people/{id}/drop", "/setup/people/{id}/invitations")
	both(s.hosts[1].host.ID, "hst_none", "/setup/findings/{id}")
	both(s.hosts[1].host.Name, "none", "/hosts/arrivals/{name}")
	both("CVE-2026-1001/openssl", "CVE-2026-9999/none", "/vulnerabilities/{cve}/{source}/assessments",
		"/vulnerabilities/{cve}/{source}/assessments/draft")
	both(s.waitingDecision(), "dec_none", api+"/decisions/waiting/{id}", api+"/decisions/waiting/{id}/signatures", api+"/decisions/waiting/{id}/refusal",
		"/decisions/{id}", "/decisions/{id}/signatures", "/decisions/{id}/refusal")
	both("3", "99999", api+"/acts/{index}", api+"/acts/{index}/proof", "/ledger/{index}")
	both("alice", "nobody", api+"/accounts/{id}/notice", api+"/accounts/{id}/notice/withdrawal", api+"/accounts/{id}/reviews",
		"/people/{id}/notice", "/people/{id}/notice/withdrawal", "/people/{id}/reviews")
	both("alice/sessions/"+session, "alice/sessions/ses_none", api+"/accounts/{person}/sessions/{id}", "/people/{id}/sessions/{session}/end")
	both("alice/tokens/"+token, "alice/tokens/tok_none", api+"/accounts/{person}/tokens/{id}")
	both(session, "ses_none", api+"/sessions/{id}", "/account/sessions/{id}/end")
	both(token, "tok_none", api+"/tokens/{id}", "/account/tokens/{id}/end")
	both(s.now.Format("2006-01"), "1970-01", api+"/figures/remediation/{month}")
	var rec record.Record
	s.as("erin", http.MethodPost, "/records", record.Fields{Hostname: "printer-1"}, &rec)
	both(rec.ID, "rec_none", api+"/records/{id}", api+"/records/{id}/host", "/hosts/records/{id}", "/hosts/records/{id}/host", "/hosts/records/{id}/drop")
	s.as("erin", http.MethodPut, "/groups/dmz", v1.GroupDefinition{Expression: "recorded"}, nil)
	both("dmz", "none", api+"/groups/{id}")
	s.as("bob", http.MethodPut, "/order-templates/weekly", v1.TemplateDefinition{Zone: "UTC", Stage: change.Slot{Weekday: "tuesday", At: "08:00", Hours: 4},
		Production: change.Slot{Weekday: "thursday", At: "08:00", Hours: 4}, Reason: "r", Plan: "p", BackOut: "b"}, nil)
	both("weekly", "none", api+"/order-templates/{id}")
	s.as("erin", http.MethodPut, "/builds/base", v1.BuildOfHost{Host: s.hosts[1].host.ID, Days: 30}, nil)
	both("base", "none", api+"/builds/{id}", api+"/builds/{id}/status", api+"/builds/{id}/sbom", "/hosts/builds/{id}", "/hosts/builds/{id}/drop")
	var leaving retirement.Retirement
	s.as("carol", http.MethodPost, "/retirements", v1.RetirementProposal{Host: s.hosts[2].host.ID, Reason: "old"}, &leaving)
	both(leaving.ID, "ret_none", api+"/retirements/{id}", api+"/retirements/{id}/signatures", api+"/retirements/{id}/end",
		"/hosts/retirements/{id}", "/hosts/retirements/{id}/signatures", "/hosts/retirements/{id}/end")
	var scanned v1.ImportedReport
	s.as("alice", http.MethodPost, "/scan-reports", []byte(scanOf), &scanned)
	both(scanned.ID, "scn_none", api+"/scan-reports/{id}", api+"/scan-reports/{id}/comparison", "/scans/{id}")
	both("CVE-2026-1001/openssl", "CVE-2026-9999/none", api+"/vulnerabilities/{cve}/{source}/scans")
	suspected := s.suspicion("alice")
	for _, door := range []string{api, ""} {
		both(suspected, "sus_none", door+"/suspicions/{id}", door+"/suspicions/{id}/evidence", door+"/suspicions/{id}/owner", door+"/suspicions/{id}/answers")
	}
	both(s.hosts[1].host.ID, "hst_none", api+"/hosts/{id}/scans")
	both("openvex", "csaf", api+"/exports/vex/{format}") // no ID, but no leave either
	both("waits", "none", api+"/passkeys/{id}")
	for _, door := range []string{api, ""} {
		both(s.policy("bob"), other, door+"/policies/{id}", door+"/policies/{id}/signatures", door+"/policies/{id}/withdrawal")
	}
	both(s.view("alice"), "vew_none", api+"/views/{id}", "/views/{id}/drop")
	return pairs
}

// policy has a person propose one and gives its digest.
func (s *story) policy(person string) string {
	s.t.Helper()
	p, err := policy.Profile("cis")
	if err != nil {
		s.t.Fatal(err)
	}
	var made deadline.Adoption
	s.as(person, http.MethodPost, "/policies", v1.Policy{Name: p.Name, Title: p.Title, Basis: p.Basis, Rules: p.Rules}, &made)
	return made.Digest
}

// waitingDecision has alice decide what needs a second person, and gives its ID.
func (s *story) waitingDecision() string {
	s.t.Helper()
	draft := v1.Draft{Vulnerability: "CVE-2026-1001/openssl", Kind: triage.Reject, Scope: "environment/other", Reason: "a false positive"}
	var payload v1.Payload
	s.as("alice", http.MethodPost, "/decisions/draft", draft, &payload)
	var made triage.Decided
	s.as("alice", http.MethodPost, "/decisions", s.Sign(triage.DecisionType, payload.Payload, "alice"), &made)
	return made.ID
}

// suspicion reports one for a person and gives its ID.
func (s *story) suspicion(person string) string {
	s.t.Helper()
	var made suspicion.Suspicion
	s.as(person, http.MethodPost, "/suspicions", v1.NewSuspicion{Title: "Any password opens the door", Host: s.hosts[1].host.Name, Noticed: "by chance",
		Evidence: &v1.Attachment{Name: "screen.txt", Content: []byte("seen")}}, &made)
	return made.ID
}

// view saves a private view for a person and gives its ID.
func (s *story) view(person string) string {
	s.t.Helper()
	var saved savedview.View
	s.as(person, http.MethodPost, "/views", v1.NewView{List: "hosts", Name: "Mine", Query: "state=silent"}, &saved)
	return saved.ID
}

// open to everyone: what they name is a provider that the sign-in page lists.
var openPaths = []string{v1.Prefix + "/login/providers/{id}", v1.Prefix + "/login/providers/{id}/answer", "/sign-in/providers/{id}", "/sign-in/provider/{id}"}

// TestAnIDGivesNoLeave: whoever has no leave is refused whatever ID they name, and learns nothing of it: the answer for
// what is there is the answer for what is not. A new route with an ID fails here until somebody says what it names.
func TestAnIDGivesNoLeave(t *testing.T) {
	s := tell(t)
	var who v1.Whoami
	s.as("alice", http.MethodGet, "/whoami", nil, &who)
	var program v1.MadeToken
	narrow := func(person string, a staff.Action) string {
		s.as(person, http.MethodPost, "/tokens", v1.NewToken{Name: "x", Actions: []staff.Action{a}, Days: 1}, &program)
		return program.Secret
	}
	for _, person := range []string{"alice", "bob", "carol", "erin", "frank"} {
		s.tokens[person] = s.mustLogin(person)
	}
	s.as("alice", http.MethodGet, "/whoami", nil, &who)
	imports, reads := narrow("erin", staff.ImportAdvisories), narrow("alice", staff.Read)
	things := s.things(who.Session, program.Token.ID)
	met := 0
	for _, r := range s.routes() {
		if !strings.Contains(r.path, "{") || slices.Contains(openPaths, r.path) {
			continue
		}
		pair, considered := things[r.path]
		if !considered {
			t.Errorf("%s %s takes an ID: say in this test what it names", r.method, r.path)
			continue
		}
		met++
		without := map[string]string{"nobody": "", "a guess": "pwt_guess", "a token for another thing": imports}
		if r.action == staff.ImportAdvisories {
			without["a token for another thing"] = reads
		}
		for _, p := range s.Root.People {
			if token := s.tokens[p.ID]; token != "" && !staff.Can(p, r.action) {
				without[p.ID] = token
			}
		}
		for name, token := range without {
			there, missing := s.visit(r, pair[0], token), s.visit(r, pair[1], token)
			if status := there[:3]; status != "401" && status != "403" && (status != "303" || !strings.Contains(there, "/sign-in?")) {
				t.Errorf("%s %s by %s: %.80s", r.method, pair[0], name, there)
			}
			if there != missing {
				t.Errorf("%s %s tells %s what is there:\n%s\n%s", r.method, r.path, name, there, missing)
			}
		}
	}
	if met < 60 {
		t.Errorf("only %d routes with IDs", met)
	}
}

// TestATokenReachesItsScopeAlone: whatever the route of the API or of the pages, and whatever roles its person has, a token
// opens what needs the actions that it names, and nothing else. A route that is added is in it.
func TestATokenReachesItsScopeAlone(t *testing.T) {
	w := open(t, "")
	wild := regexp.MustCompile(`\{\w+\}`)
	refused := 0
	for person, scope := range map[string]staff.Action{"alice": staff.Read, "erin": staff.ImportAdvisories, "carol": staff.EnrolHost} {
		var made v1.MadeToken
		if err := w.ask(w.mustLogin(person), http.MethodPost, "/tokens", v1.NewToken{Name: "x", Actions: []staff.Action{scope}, Days: 1}, &made); err != nil {
			t.Fatal(err)
		}
		for _, r := range w.routes() {
			if r.action == "" || strings.HasSuffix(r.path, "/live") { // which never ends
				continue
			}
			answer := w.visit(r, wild.ReplaceAllString(r.path, "x"), made.Secret)
			if opened := answer[:3] != "401" && answer[:3] != "403"; opened != (r.action == scope) {
				t.Errorf("%s %s (%s) with a token to %s: %.60s", r.method, r.path, r.action, scope, answer)
			}
			refused++
		}
	}
	if refused < 500 {
		t.Errorf("only %d requests", refused)
	}
}

// TestWhatIsAnothersIsNotThere: one's own routes, and those about one person, find nothing of anybody else's.
func TestWhatIsAnothersIsNotThere(t *testing.T) {
	s := tell(t)
	var who v1.Whoami
	s.as("alice", http.MethodGet, "/whoami", nil, &who)
	var program v1.MadeToken
	s.as("alice", http.MethodPost, "/tokens", v1.NewToken{Name: "x", Actions: []staff.Action{staff.Read}, Days: 1}, &program)
	const api = v1.Prefix
	for _, c := range []struct {
		person, method, path, alices, none string
		page                               bool
	}{
		{"bob", "DELETE", api + "/sessions/", who.Session, "ses_none", false},
		{"bob", "DELETE", api + "/tokens/", program.Token.ID, "tok_none", false},
		{"erin", "DELETE", api + "/accounts/bob/sessions/", who.Session, "ses_none", false},
		{"erin", "DELETE", api + "/accounts/bob/tokens/", program.Token.ID, "tok_none", false},
		{"bob", "DELETE", api + "/views/", s.view("alice"), "vew_none", false},
		{"bob", "POST", "/account/sessions/", who.Session + "/end", "ses_none/end", true},
		{"bob", "POST", "/account/tokens/", program.Token.ID + "/end", "tok_none/end", true},
		{"erin", "POST", "/people/bob/sessions/", who.Session + "/end", "ses_none/end", true},
	} {
		r := route{method: c.method, page: c.page}
		hers, none := s.visit(r, c.path+c.alices, s.tokens[c.person]), s.visit(r, c.path+c.none, s.tokens[c.person])
		if !strings.HasPrefix(hers, "404") || hers != none {
			t.Errorf("%s %s by %s:\n%s\n%s", c.method, c.path, c.person, hers, none)
		}
	}
	for _, token := range []string{s.tokens["alice"], program.Secret} {
		if err := s.ask(token, http.MethodGet, "/hosts", nil, nil); err != nil {
			t.Errorf("what was alice's is gone: %v", err)
		}
	}
}
