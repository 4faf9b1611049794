package web

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// limits leaves limits to look at: clocks, an assessment, a decision that waits for a second person, a policy that waits for
// signatures.
func (w *world) limits() {
	w.t.Helper()
	const exploited = "CVE-2026-1002/openssl"
	suggestion, err := w.Deadlines.Suggest(w.t.Context(), exploited)
	w.ok(err)
	suggestion.Severity, suggestion.Reason = "critical", w.text("It is exploited, and we are exposed.")
	payload, err := w.Deadlines.Draft(w.t.Context(), "carol", suggestion.Assessment)
	w.ok(err)
	_, err = w.Deadlines.Assess(w.t.Context(), "carol", w.people.Sign(deadline.AssessmentType, payload, "carol"))
	w.ok(err)
	w.decide("bob", triage.Decision{Vulnerability: "CVE-2026-1004/openssl", Kind: triage.NotConcerned, Scope: triage.FleetScope,
		Justification: triage.Justifications[0], Reason: w.text("We do not have that part.")})
	waiting, err := w.Triage.WaitingDecisions(w.t.Context())
	w.ok(err)
	w.undecided = waiting[0].ID
	w.ok(w.Deadlines.Sweep(w.t.Context()))
	p, err := policy.Profile("cis")
	w.ok(err)
	p.Title, p.Basis, p.Note, p.Rules[0].Name, p.Rules[0].Clause = w.text("Ours"), w.text("Our assessment"), w.text("note"), w.text("first"), w.text("clause")
	a, err := w.Deadlines.Propose(w.t.Context(), "bob", p)
	w.ok(err)
	w.proposed = a.Digest
}

func (w *world) decide(person string, d triage.Decision) (id string) {
	w.t.Helper()
	payload, err := w.Triage.Draft(w.t.Context(), person, d)
	w.ok(err)
	made, err := w.Triage.Decide(w.t.Context(), person, w.people.Sign(triage.DecisionType, payload, person))
	w.ok(err)
	return made.ID
}

// draft asks a page for a draft, and gives the payload to sign as the form carries it, and as it is.
func (w *world) draft(token, path string, form url.Values) (encoded string, payload []byte, page string) {
	w.t.Helper()
	a := w.ask(token, http.MethodPost, path, form)
	found := regexp.MustCompile(`name="payload" value="([^"]+)"`).FindStringSubmatch(a.Body.String())
	if a.Code != http.StatusOK || found == nil {
		w.t.Fatalf("%s: %d %s", path, a.Code, a.Body)
	}
	encoded = html.UnescapeString(found[1])
	return encoded, decodeBase64(w.t, encoded), a.Body.String()
}

// TestAVulnerabilityIsAssessedInThePage: the form says what the data suggests and why; another severity needs a reason; the
// passkey's signature over exactly what was shown counts.
func TestAVulnerabilityIsAssessedInThePage(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("alice")
	const path = "/vulnerabilities/CVE-2026-1001/openssl"
	page := w.ask(token, http.MethodGet, path+"/assessment", nil).Body.String()
	for _, want := range []string{"EPSS gives a probability of exploitation of 0.41", "no source says how hard it is", "the worst of the hosts affected", `<option value="published" selected>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the form lacks %q", want)
		}
	}
	form := url.Values{"exploit": {"published"}, "complexity": {"low"}, "effect": {"high"}, "criticality": {"high"}, "location": {"internet"}, "patch": {"yes"},
		"automatable": {"yes"}, "severity": {"low"}}
	if a := w.ask(token, http.MethodPost, path+"/assessments/draft", form); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.Body.String(), "reason is missing") {
		t.Errorf("another severity without a reason: %d", a.Code)
	}
	form.Set("reason", "The vulnerable option is off in our build.")
	encoded, payload, shown := w.draft(token, path+"/assessments/draft", form)
	for _, want := range []string{envelope.Digest(payload), challengeOf(deadline.AssessmentType, payload), "sources give"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	hand := func(over []byte) int {
		return w.ask(token, http.MethodPost, path+"/assessments", w.assertion(url.Values{"payload": {encoded}}, deadline.AssessmentType, over)).Code
	}
	if got := hand(append(payload, ' ')); got != http.StatusForbidden {
		t.Errorf("a signature over other bytes: %d", got)
	}
	if got := hand(payload); got != http.StatusSeeOther {
		t.Errorf("%d", got)
	}
	all, err := w.Deadlines.Assessments(t.Context(), "CVE-2026-1001/openssl")
	if err != nil || len(all) != 1 || all[0].Severity != "low" || !all[0].Automatable || !all[0].Factors.Patch || all[0].Priority != all[0].Factors.Priority() {
		t.Errorf("assessments %+v, %v", all, err)
	}
	w.ok(w.Deadlines.Sweep(t.Context()))
	page = w.ask(token, http.MethodGet, path, nil).Body.String()
	for _, want := range []string{"The vulnerable option is off", ">holds<", "assessment " + all[0].ID, "criticality high"} {
		if !strings.Contains(page, want) {
			t.Errorf("the dossier lacks %q", want)
		}
	}
}

// TestNoImpactIsAgreedInThePages: alice's decision waits and says for whom; what bob decided she agrees to with her passkey, and
// only then it is in force.
func TestNoImpactIsAgreedInThePages(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("alice")
	const path = "/vulnerabilities/CVE-2026-1002/openssl"
	encoded, payload, shown := w.draft(token, "/decisions/draft", url.Values{"vulnerability": {"CVE-2026-1002/openssl"}, "kind": {triage.NotConcerned}, "scope": {"fleet"}, "reason": {"not linked"},
		"justification": {triage.Justifications[0]}})
	if !strings.Contains(shown, "It takes two different people") {
		t.Error("the draft does not say that it needs another")
	}
	a := w.ask(token, http.MethodPost, "/decisions", w.assertion(url.Values{"payload": {encoded}}, triage.DecisionType, payload))
	to := a.Header().Get("Location")
	if a.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/decisions/dec_") {
		t.Fatalf("%d %s %s", a.Code, to, a.Body)
	}
	page := w.ask(token, http.MethodGet, to, nil).Body.String()
	if !strings.Contains(page, "may agree: Bob Example, Carol Example.") || strings.Contains(page, "Agree with a passkey") || !strings.Contains(page, envelope.Digest(payload)) {
		t.Error("the page does not say who has to agree, or offers it to the author")
	}
	if page := w.ask(token, http.MethodGet, path, nil).Body.String(); !strings.Contains(page, "Waiting for a second person") || !strings.Contains(page, strings.TrimSuffix(to, "?said=waits")) {
		t.Error("the dossier does not show what waits")
	}

	waiting, err := w.Triage.WaitingDecision(t.Context(), w.undecided)
	w.ok(err)
	at := "/decisions/" + w.undecided
	if page := w.ask(token, http.MethodGet, at, nil).Body.String(); !strings.Contains(page, challengeOf(triage.DecisionType, waiting.Payload)) || !strings.Contains(page, waiting.SHA256) {
		t.Error("the page does not show what is signed")
	}
	if a := w.ask(token, http.MethodPost, at+"/signatures", w.assertion(url.Values{}, triage.DecisionType, append(waiting.Payload, ' '))); a.Code != http.StatusForbidden {
		t.Errorf("a signature over other bytes: %d", a.Code)
	}
	if a := w.ask(token, http.MethodPost, at+"/signatures", w.assertion(url.Values{}, triage.DecisionType, waiting.Payload)); a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	c, err := w.Triage.Case(t.Context(), waiting.Vulnerability, verdict.HostPage{})
	if err != nil || len(c.History) != 1 || !c.History[0].EndedAt.IsZero() {
		t.Errorf("history %+v, %v", c.History, err)
	}
}

// TestADecisionIsRefusedInThePage: with a reason, and it ends.
func TestADecisionIsRefusedInThePage(t *testing.T) {
	w := newWorld(t, "")
	a := w.ask(w.login("carol"), http.MethodPost, "/decisions/"+w.undecided+"/refusal", url.Values{"reason": {"we do have it"}})
	if a.Code != http.StatusSeeOther || !strings.HasPrefix(a.Header().Get("Location"), "/vulnerabilities/CVE-2026-1004/openssl") {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	if a := w.ask(w.login("alice"), http.MethodGet, "/decisions/"+w.undecided, nil); a.Code != http.StatusNotFound {
		t.Errorf("it still waits: %d", a.Code)
	}
}

// TestARiskIsAcceptedWithAllItMust: the form's ground, control, owner and plan are what is signed.
func TestARiskIsAcceptedWithAllItMust(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("alice")
	form := url.Values{"vulnerability": {"CVE-2026-1002/openssl"}, "kind": {triage.AcceptRisk}, "scope": {"fleet"}, "reason": {"a week"}, "until": {w.now.AddDate(0, 0, 7).Format("2006-01-02")},
		"ground": {triage.Grounds[1]}, "control": {"the port is closed"}, "owner": {"dave"}, "plan": {"patch in the next window"}}
	_, payload, page := w.draft(token, "/decisions/draft", form)
	d, err := triage.DecodeDecision(payload)
	if err != nil || d.Exception == nil || *d.Exception != (triage.Exception{Ground: triage.Grounds[1], Control: "the port is closed", Owner: "dave", Plan: "patch in the next window"}) {
		t.Errorf("%+v, %v", d, err)
	}
	if !strings.Contains(page, "the port is closed") || !strings.Contains(page, "Dave Example") {
		t.Error("the page does not show the exception")
	}
	form.Set("control", " ")
	if a := w.ask(token, http.MethodPost, "/decisions/draft", form); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("without a control: %d", a.Code)
	}
}

// TestLimitsAreTriedProposedAndSigned: what is wrong is said with rule and column beside what was typed; the dry run keeps
// nothing; alice's passkey and dave's command line put the policy in force, and not before.
func TestLimitsAreTriedProposedAndSigned(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("carol")
	text, err := editable(policy.Profiles()[0])
	w.ok(err)
	wrong := strings.Replace(text, `"when": "`, `"when": "kev && no_such < `, 1)
	for _, to := range []string{"/policies/try", "/policies"} {
		a := w.ask(token, http.MethodPost, to, url.Values{"policy": {wrong}})
		if body := html.UnescapeString(a.Body.String()); a.Code != http.StatusUnprocessableEntity || !strings.Contains(body, "rule 1 (") || !strings.Contains(body, "column 8") || !strings.Contains(body, wrong) {
			t.Errorf("%s: %d %s", to, a.Code, body)
		}
	}
	before, err := w.Deadlines.Running(t.Context(), deadline.Clock{}, deadline.MaxList)
	w.ok(err)
	page := w.ask(token, http.MethodPost, "/policies/try", url.Values{"policy": {text}}).Body.String()
	if !strings.Contains(page, "What it would do to today's clocks") || !strings.Contains(page, "The most pressing that differ") || !strings.Contains(page, `formaction="/policies"`) {
		t.Errorf("no dry run: %s", page)
	}
	if page := w.ask(w.login("frank"), http.MethodPost, "/policies/try", url.Values{"policy": {text}}).Body.String(); strings.Contains(page, `formaction="/policies"`) {
		t.Error("the auditor is offered to propose")
	}
	if all, err := w.Deadlines.Policies(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%d policies after a dry run, %v", len(all), err)
	}
	w.ok(w.Deadlines.Sweep(t.Context()))
	if after, err := w.Deadlines.Running(t.Context(), deadline.Clock{}, deadline.MaxList); err != nil || len(after) != len(before) || after[0].Due != before[0].Due {
		t.Errorf("clocks changed by a dry run: %v", err)
	}

	a := w.ask(token, http.MethodPost, "/policies", url.Values{"policy": {text}})
	path, _, _ := strings.Cut(a.Header().Get("Location"), "?")
	if a.Code != http.StatusSeeOther || !strings.HasPrefix(path, "/policies/") {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if page := w.ask(token, http.MethodGet, path, nil).Body.String(); !strings.Contains(page, "You are the author") || strings.Contains(page, "data-passkey ") {
		t.Error("the author is offered to sign")
	}
	digest := strings.TrimPrefix(path, "/policies/")
	adoption, err := w.Deadlines.Policy(t.Context(), digest)
	w.ok(err)
	alice := w.login("alice")
	page = w.ask(alice, http.MethodGet, path, nil).Body.String()
	for _, want := range []string{digest, challengeOf(policy.Type, adoption.Payload), "patchwarrant policy sign " + digest, "which is still missing", "What it would do"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if a := w.ask(alice, http.MethodPost, path+"/signatures", w.assertion(url.Values{}, policy.Type, append(adoption.Payload[:len(adoption.Payload):len(adoption.Payload)], ' '))); a.Code != http.StatusForbidden {
		t.Errorf("a signature over other bytes: %d", a.Code)
	}
	if a := w.ask(alice, http.MethodPost, path+"/signatures", w.assertion(url.Values{}, policy.Type, adoption.Payload)); a.Code != http.StatusSeeOther {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	if page := w.ask(alice, http.MethodGet, "/policy", nil).Body.String(); !strings.Contains(page, "No signed policy is in force") {
		t.Error("one signature put it in force")
	}
	if adoption, err = w.Deadlines.Sign(t.Context(), "dave", digest, w.people.Sign(policy.Type, adoption.Payload, "dave").Signatures[0]); err != nil || adoption.State != deadline.InForce {
		t.Errorf("%s, %v", adoption.State, err)
	}
	if page := w.ask(alice, http.MethodGet, "/policy", nil).Body.String(); !strings.Contains(page, "version 2 in force") {
		t.Error("the page does not say what is in force")
	}
	if a := w.ask(w.login("carol"), http.MethodPost, "/policies/"+w.proposed+"/withdrawal", url.Values{}); a.Code != http.StatusSeeOther {
		t.Errorf("withdraw: %d %s", a.Code, a.Body)
	}
}

// TestClocksAreListedByPages: the longest due first, counted, and a page's end is the next one's begin.
func TestClocksAreListedByPages(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("frank")
	all, err := w.Deadlines.Running(t.Context(), deadline.Clock{}, deadline.MaxList)
	w.ok(err)
	row, next := regexp.MustCompile(`<tr data-row><td><time datetime="([^"]+)".*?<td>(\w+)</td><td class="tight"><a href="/vulnerabilities/([^"]+)"`), regexp.MustCompile(`<a href="([^"]+)" rel="next">`)
	var listed []string
	for path := "/clocks"; path != ""; {
		page := w.ask(token, http.MethodGet, path, nil).Body.String()
		for _, found := range row.FindAllStringSubmatch(page, -1) {
			listed = append(listed, strings.Join(found[1:], " "))
		}
		path = ""
		if further := next.FindStringSubmatch(page); further != nil {
			path = html.UnescapeString(further[1])
		}
	}
	var want []string
	for _, c := range all {
		want = append(want, c.Due.UTC().Format("2006-01-02T15:04:05Z")+" "+string(c.Clock)+" "+c.Vulnerability)
	}
	if len(all) <= clocksPage || !slices.Equal(listed, want) {
		t.Errorf("the pages list %d clocks of %d, or in another order", len(listed), len(all))
	}
	if a := w.ask(token, http.MethodGet, "/clocks?after=yesterday", nil); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("nonsense: %d", a.Code)
	}
}

// TestTodaySaysWhatLimitsWant: clocks, what waits for the visitor's signature, and that no policy is signed.
func TestTodaySaysWhatLimitsWant(t *testing.T) {
	w := newWorld(t, "")
	page := w.ask(w.login("alice"), http.MethodGet, "/", nil).Body.String()
	for _, want := range []string{"No signed policy is in force", "/decisions/" + w.undecided, "/policies/" + w.proposed, `<a href="/clocks">All `} {
		if !strings.Contains(page, want) {
			t.Errorf("Today lacks %q", want)
		}
	}
	page = w.ask(w.login("bob"), http.MethodGet, "/", nil).Body.String()
	if strings.Contains(page, "/decisions/"+w.undecided) || strings.Contains(page, "/policies/"+w.proposed) {
		t.Error("the author is asked to sign")
	}
}

// TestExceptionsAreListedByTheirEnd: the soonest first, with owner and control.
func TestExceptionsAreListedByTheirEnd(t *testing.T) {
	w := newWorld(t, "")
	d := triage.Decision{Vulnerability: "CVE-2026-1002/openssl", Kind: triage.AcceptRisk, Scope: triage.FleetScope, Reason: "a week", Until: w.now.AddDate(0, 0, 7),
		Exception: &triage.Exception{Ground: triage.Grounds[1], Control: "the port is closed", Owner: "carol", Plan: "the next window"}}
	payload, err := w.Triage.Draft(t.Context(), "dave", d)
	w.ok(err)
	made, err := w.Triage.Decide(t.Context(), "dave", w.people.Sign(triage.DecisionType, payload, "dave"))
	w.ok(err)
	token := w.login("frank")
	if page := w.ask(token, http.MethodGet, "/exceptions", nil).Body.String(); strings.Contains(page, "the port is closed") {
		t.Error("a risk that one person accepts is an exception")
	}
	_, err = w.Triage.Agree(t.Context(), "alice", made.ID, w.people.Sign(triage.DecisionType, payload, "alice").Signatures[0])
	w.ok(err)
	page := w.ask(token, http.MethodGet, "/exceptions", nil).Body.String()
	deferred, accepted := strings.Index(page, "CVE-2026-1003/openssl"), strings.Index(page, "CVE-2026-1002/openssl")
	if deferred < 0 || accepted < deferred || !strings.Contains(page, "the port is closed") || !strings.Contains(page, "Carol Example") {
		t.Errorf("deferred at %d, accepted at %d", deferred, accepted)
	}
}
