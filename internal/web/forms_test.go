package web

import (
	"errors"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// TestADecisionIsSignedAsItIsShown: the page shows the digest of the exact payload; the passkey's signature over it counts,
// over another payload it does not.
func TestADecisionIsSignedAsItIsShown(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("alice")
	const path = "/vulnerabilities/CVE-2026-1002/openssl"
	a := w.ask(token, http.MethodPost, "/decisions/draft", url.Values{"vulnerability": {"CVE-2026-1002/openssl"}, "kind": {"accept"}, "scope": {"fleet"}, "reason": {"exploited"},
		"justification": {triage.Justifications[0]}})
	found := regexp.MustCompile(`name="payload" value="([^"]+)"`).FindStringSubmatch(a.Body.String())
	if a.Code != http.StatusOK || found == nil {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	encoded := html.UnescapeString(found[1])
	payload := decodeBase64(t, encoded)
	if !strings.Contains(a.Body.String(), envelope.Digest(payload)) || !strings.Contains(a.Body.String(), challengeOf(triage.DecisionType, payload)) {
		t.Error("the page does not show what is signed")
	}
	if a := w.ask(token, http.MethodPost, "/decisions", w.assertion(url.Values{"payload": {encoded}}, triage.DecisionType, append(payload, ' '))); a.Code != http.StatusForbidden {
		t.Errorf("a signature over other bytes: %d", a.Code)
	}
	a = w.ask(token, http.MethodPost, "/decisions", w.assertion(url.Values{"payload": {encoded}}, triage.DecisionType, payload))
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != path+"?said=decided" {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	c, err := w.Triage.Case(t.Context(), "CVE-2026-1002/openssl", verdict.HostPage{})
	if err != nil || len(c.History) != 1 || c.History[0].Person != "alice" {
		t.Errorf("history %+v, %v", c.History, err)
	}
}

// TestAnOrderIsApprovedInThePage: the passkey's signature counts as one, and the page still asks for one by the command
// line (R-103).
func TestAnOrderIsApprovedInThePage(t *testing.T) {
	w := newWorld(t, "")
	token, path := w.login("alice"), "/changes/"+w.waiting.ID
	page := w.ask(token, http.MethodGet, path, nil).Body.String()
	for _, want := range []string{w.waiting.Digest, challengeOf(warrant.OrderType, w.waiting.Payload), "a signature made by the command line", "patchwarrant approve " + w.waiting.ID} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	a := w.ask(token, http.MethodPost, path+"/signatures", w.assertion(url.Values{}, warrant.OrderType, w.waiting.Payload))
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != path+"?said=approved" {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if page := w.ask(token, http.MethodGet, path, nil).Body.String(); !strings.Contains(page, "passkey, browser") || !strings.Contains(page, "You have signed it") {
		t.Error("the page does not show the approval")
	}
	_, err := w.Changes.Approve(t.Context(), "carol", w.waiting.ID, w.people.Sign(warrant.OrderType, w.waiting.Payload, "carol").Signatures[0])
	w.ok(err)
	page = w.ask(token, http.MethodGet, path, nil).Body.String()
	if !strings.Contains(page, `hx-trigger="every 3s"`) {
		t.Error("a running rollout does not ask again")
	}
	a = w.ask(token, http.MethodPost, path+"/rollout/halt", url.Values{"reason": {"wait"}})
	if r, _, err := w.Rollouts.Get(t.Context(), w.waiting.ID); a.Code != http.StatusSeeOther || err != nil || r.State != "halted" {
		t.Errorf("halt: %d %s, rollout %s, %v", a.Code, a.Body, r.State, err)
	}
}

// TestTheAuthorDoesNotApprove: bob is refused by the room, and not offered to.
func TestTheAuthorDoesNotApprove(t *testing.T) {
	w := newWorld(t, "")
	token, path := w.login("bob"), "/changes/"+w.waiting.ID
	if page := w.ask(token, http.MethodGet, path, nil).Body.String(); !strings.Contains(page, "You are the author") || strings.Contains(page, "data-passkey ") {
		t.Error("the author is offered to approve")
	}
	if a := w.ask(token, http.MethodPost, path+"/signatures", w.assertion(url.Values{}, warrant.OrderType, w.waiting.Payload)); a.Code != http.StatusForbidden {
		t.Errorf("%d", a.Code)
	}
	if a := w.ask(token, http.MethodPost, path+"/withdrawal", url.Values{"reason": {"a mistake"}}); a.Code != http.StatusSeeOther {
		t.Errorf("withdraw: %d %s", a.Code, a.Body)
	}
}

func TestAProductionOrderTakesAWordOnWhatStageShowed(t *testing.T) {
	form := url.Values{"kind": {change.Production}, "acknowledge": {" caches "}, "opens": {"2026-11-22T02:00"}, "closes": {"2026-11-22T04:00"}}
	if p, err := proposal(form, time.Time{}); err != nil || p.Acknowledge != "caches" {
		t.Errorf("%+v, %v", p, err)
	}
	w := newWorld(t, "")
	page := w.ask(w.login("carol"), http.MethodGet, "/changes/new?kind=production", nil)
	if !strings.Contains(page.Body.String(), `name="acknowledge"`) {
		t.Error("the page does not ask for it")
	}
}

func TestTheFormOfAnOrderAsksForOtherRoots(t *testing.T) {
	form := url.Values{"kind": {change.Stage}, "opens": {"2026-11-22T02:00"}, "closes": {"2026-11-22T04:00"}}
	if p, err := proposal(form, time.Time{}); err != nil || p.Roots {
		t.Errorf("an empty box: %+v, %v", p, err)
	}
	form.Set("roots", "yes")
	if p, err := proposal(form, time.Time{}); err != nil || !p.Roots {
		t.Errorf("a ticked box: %+v, %v", p, err)
	}
	w := newWorld(t, "")
	for kind, asks := range map[string]bool{change.Stage: true, change.Production: true, change.BackOut: false} { // a back-out goes where its order went
		page := w.ask(w.login("carol"), http.MethodGet, "/changes/new?kind="+kind, nil)
		if strings.Contains(page.Body.String(), `name="roots"`) != asks {
			t.Errorf("kind %s: the page asks for other roots: %v, want %v", kind, !asks, asks)
		}
	}
}

// TestARoleIsLimitedByTheNextTrustRoot: the page drafts it, people sign it elsewhere; nothing changes by the draft.
func TestARoleIsLimitedByTheNextTrustRoot(t *testing.T) {
	w := newWorld(t, "")
	form := url.Values{"person": {"carol"}, "role": {"operations-manager"}, "zones": {"dmz, core,"}}
	a := w.ask(w.login("carol"), http.MethodPost, "/people/scope", form)
	var e envelope.Envelope
	w.ok(envelope.Decode(a.Body.Bytes(), &e))
	next, err := trustroot.Decode(e.Payload)
	if a.Code != http.StatusOK || err != nil || len(e.Signatures) != 0 || !strings.Contains(a.Header().Get("Content-Disposition"), "trust-root.json") {
		t.Fatalf("%d %s, %v", a.Code, a.Body, err)
	}
	carol, _ := next.Person("carol")
	if len(carol.Scopes) != 1 || !slices.Equal(carol.Scopes[0].Zones, []string{"dmz", "core"}) || next.Version != w.people.Root.Version+1 {
		t.Errorf("version %d: %+v", next.Version, carol.Scopes)
	}
	if root, err := w.Staff.CurrentRoot(t.Context()); err != nil || root.Version != w.people.Root.Version {
		t.Errorf("in force: %d, %v", root.Version, err)
	}
	form.Set("role", "auditor")
	if a := w.ask(w.login("carol"), http.MethodPost, "/people/scope", form); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("a role that is not hers: %d", a.Code)
	}
	_, err = w.Staff.Advance(t.Context(), "carol", w.people.Sign(trustroot.PayloadType, e.Payload, "alice", "dave"))
	w.ok(err)
	if page := w.ask(w.login("carol"), http.MethodGet, "/people", nil).Body.String(); !strings.Contains(page, "operations-manager only for zone dmz or core") {
		t.Error("the page does not show the limit")
	}
}

func TestAnOrderIsProposedInThePage(t *testing.T) {
	w := newWorld(t, "")
	s, err := w.Curation.Proposed(t.Context(), w.record)
	w.ok(err)
	form := url.Values{"kind": {change.Stage}, "snapshot": {s.Ref.SHA256}, "opens": {"2026-11-23T10:00"}, "closes": {"2026-11-23T12:00"}, "reason": {"again"},
		"plan": {"upgrade"}, "back_out": {"downgrade"}, "vulnerability": {"CVE-2026-1001/openssl"}}
	a := w.ask(w.login("carol"), http.MethodPost, "/changes", form)
	if a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	id := strings.TrimSuffix(strings.TrimPrefix(a.Header().Get("Location"), "/changes/"), "?said=proposed")
	if o, err := w.Changes.Get(t.Context(), id); err != nil || o.Author != "carol" || o.Window.OpensAt.Hour() != 10 {
		t.Errorf("order %+v, %v", o, err)
	}
	form.Set("opens", "soon")
	if a := w.ask(w.login("carol"), http.MethodPost, "/changes", form); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("nonsense: %d", a.Code)
	}
}

// TestATemplateFillsTheForm: for stage, and for production after it, whose notice went out with stage's.
func TestATemplateFillsTheForm(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("carol")
	form := url.Values{"name": {"weekly"}, "time_zone": {"UTC"}, "stage_weekday": {"tuesday"}, "stage_at": {"08:00"}, "stage_hours": {"4"},
		"production_weekday": {"thursday"}, "production_at": {"22:00"}, "production_hours": {"3"}, "audience": {"customers"},
		"reason": {"Routine {vulnerabilities}"}, "plan": {"<b>upgrade"}, "back_out": {"downgrade"}}
	if a := w.ask(token, http.MethodPost, "/changes/templates", form); a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if page := w.ask(token, http.MethodGet, "/changes/templates", nil).Body.String(); !strings.Contains(page, "Tuesday 08:00") || !strings.Contains(page, "template=weekly") {
		t.Error("the list does not show it")
	}
	page := w.ask(token, http.MethodGet, "/changes/new?kind=stage&template=weekly", nil).Body.String()
	for _, want := range []string{`name="template" value="weekly"`, `T08:00" required`, "&lt;b&gt;upgrade", "to customers"} {
		if !strings.Contains(page, want) {
			t.Errorf("the form lacks %q", want)
		}
	}
	s, err := w.Curation.Proposed(t.Context(), w.record)
	w.ok(err)
	a := w.ask(token, http.MethodPost, "/changes", url.Values{"kind": {change.Stage}, "template": {"weekly"}, "snapshot": {s.Ref.SHA256},
		"opens": {"2026-11-24T08:00"}, "closes": {"2026-11-24T12:00"}})
	id := strings.TrimSuffix(strings.TrimPrefix(a.Header().Get("Location"), "/changes/"), "?said=proposed")
	if o, err := w.Changes.Get(t.Context(), id); err != nil || o.BackOut != "downgrade" || len(o.Notices) != 1 {
		t.Errorf("order %+v, %v", o, err)
	}
	form.Set("stage_hours", "many")
	if a := w.ask(token, http.MethodPost, "/changes/templates", form); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("nonsense: %d", a.Code)
	}
	if a := w.ask(w.login("alice"), http.MethodPost, "/changes/templates/drop", form); a.Code != http.StatusForbidden {
		t.Errorf("an analyst drops it: %d", a.Code)
	}
	if a := w.ask(token, http.MethodPost, "/changes/templates/drop", form); a.Code != http.StatusSeeOther {
		t.Errorf("drop: %d", a.Code)
	}
}

// TestALineEndsWithOneCharacter: browsers end lines with two, which people would sign, see escaped on the command line, and have
// counted against a bound that the form keeps.
func TestALineEndsWithOneCharacter(t *testing.T) {
	w := newWorld(t, "")
	s, err := w.Curation.Proposed(t.Context(), w.record)
	w.ok(err)
	a := w.ask(w.login("carol"), http.MethodPost, "/changes", url.Values{"kind": {change.Stage}, "snapshot": {s.Ref.SHA256}, "reason": {"patches"},
		"plan": {"upgrade\r\nlook"}, "back_out": {"downgrade\r\nlook"}, "opens": {"2026-11-24T08:00"}, "closes": {"2026-11-24T12:00"}})
	id := strings.TrimSuffix(strings.TrimPrefix(a.Header().Get("Location"), "/changes/"), "?said=proposed")
	if o, err := w.Changes.Get(t.Context(), id); err != nil || o.Plan != "upgrade\nlook" || o.BackOut != "downgrade\nlook" {
		t.Errorf("%q, %q, %v", o.Plan, o.BackOut, err)
	}
	form := url.Values{"name": {"long"}, "time_zone": {"UTC"}, "stage_weekday": {"tuesday"}, "stage_at": {"08:00"}, "stage_hours": {"4"},
		"production_weekday": {"thursday"}, "production_at": {"22:00"}, "production_hours": {"3"}, "reason": {"routine"},
		"plan": {strings.Repeat("a line\r\n", 2000/7)}, "back_out": {"back"}}
	if a := w.ask(w.login("bob"), http.MethodPost, "/changes/templates", form); a.Code != http.StatusSeeOther {
		t.Errorf("as long as the form lets it be: %d %s", a.Code, a.Body)
	}
}

// between gives what stands in a page after one text and before another.
func between(t *testing.T, page, after, before string) string {
	t.Helper()
	_, rest, there := strings.Cut(page, after)
	text, _, ended := strings.Cut(rest, before)
	if !there || !ended {
		t.Fatalf("the page has no %q", after)
	}
	return text
}

// TestManyAdvisoriesAreReviewedAtOnce: all that match, in one act with one reason, unless the queue changed meanwhile.
func TestManyAdvisoriesAreReviewedAtOnce(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("alice")
	_, before, err := w.Intake.Queue(t.Context(), 1)
	w.ok(err)
	form := url.Values{"q": {"CVE-2025"}, "source": {"debian-tracker"}, "all": {strings.Repeat("0", 64)}, "relevant": {"no"}, "reason": {"low"}}
	if a := w.ask(token, http.MethodPost, "/sources/reviews", form); a.Code != http.StatusConflict {
		t.Errorf("others than shown: %d", a.Code)
	}
	page := w.ask(token, http.MethodGet, "/sources?q=CVE-2025&source=debian-tracker", nil).Body.String()
	form.Set("all", between(t, page, `name="all" value="`, `"`))
	if a := w.ask(token, http.MethodPost, "/sources/reviews", form); a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	one := url.Values{"relevant": {"yes"}, "reason": {"we use it"}}
	page = w.ask(token, http.MethodGet, "/sources?q=CVE-2026-1004", nil).Body.String()
	one.Set("advisory", between(t, page, `name="advisory" value="`, `"`))
	if a := w.ask(token, http.MethodPost, "/sources/reviews", one); a.Code != http.StatusSeeOther {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	if _, after, err := w.Intake.Queue(t.Context(), 1); err != nil || before-after != 61 {
		t.Errorf("%d advisories left the queue, %v", before-after, err)
	}
}

// TestADiscrepancyIsRatifiedByTwo: and only then the order may be closed.
func TestADiscrepancyIsRatifiedByTwo(t *testing.T) {
	w := newWorld(t, "")
	path := "/investigations/" + w.investigation
	form := url.Values{"outcome": {"legitimate"}, "severity": {"probe"}, "reason": {"an administrator's note"}}
	if a := w.ask(w.login("alice"), http.MethodPost, path+"/resolutions", form); a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if a := w.ask(w.login("alice"), http.MethodPost, path+"/resolutions", form); a.Code != http.StatusForbidden {
		t.Errorf("the same person again: %d", a.Code)
	}
	if a := w.ask(w.login("carol"), http.MethodPost, path+"/resolutions", form); a.Code != http.StatusSeeOther {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	if i, err := w.Integrity.Investigation(t.Context(), w.investigation); err != nil || i.State != "closed" {
		t.Errorf("%s, %v", i.State, err)
	}
}

// TestWhoIsLimitedIsNotOfferedToAnswer: the page says why, Today asks nothing of them, and what they send is refused.
func TestWhoIsLimitedIsNotOfferedToAnswer(t *testing.T) {
	w := newWorld(t, "")
	_, err := w.Staff.Advance(t.Context(), "carol", w.people.NextRoot(func(r *trustroot.Root) {
		r.People[1].Scopes = []trustroot.Scope{{Role: "product-manager", Zones: []string{"lab"}}} // bob
	}, "alice", "carol"))
	w.ok(err)
	path := "/investigations/" + w.investigation
	for person, may := range map[string]bool{"alice": true, "bob": false} {
		token := w.login(person)
		a := w.ask(token, http.MethodGet, path, nil).Body.String()
		if strings.Contains(a, path+"/resolutions") != may || strings.Contains(a, "outside the scope of your roles: platform debian, unit unknown, zone unknown") == may {
			t.Errorf("%s: %s", person, a)
		}
		if today := w.ask(token, http.MethodGet, "/", nil).Body.String(); strings.Contains(today, "Explain a discrepancy") != may {
			t.Errorf("Today of %s", person)
		}
	}
	form := url.Values{"outcome": {"incident"}, "severity": {"probe"}, "reason": {"mine"}}
	if a := w.ask(w.login("bob"), http.MethodPost, path+"/resolutions", form); a.Code != http.StatusForbidden || !strings.Contains(a.Body.String(), fault.Scope) {
		t.Errorf("%d %s", a.Code, a.Body)
	}
}

// TestAChangeOutsideOrdersIsShownAndAnsweredAsSeen: it names no order, and a conclusion on an older report is refused.
func TestAChangeOutsideOrdersIsShownAndAnsweredAsSeen(t *testing.T) {
	w := newWorld(t, "")
	find := func(path string) integrity.Investigation {
		t.Helper()
		r := &explain.Report{Host: "hst_lonely", Counts: map[explain.Verdict]int{explain.Unexplained: 1},
			Lines: []explain.Line{{Path: path, Verdict: explain.Unexplained, Why: "changed while no order ran"}}}
		err := w.Integrity.DB.Write(t.Context(), func(tx *db.Tx) error {
			return w.Integrity.OpenOutside(t.Context(), tx, integrity.Outside{Host: r.Host, Report: r})
		})
		all, listed := w.Integrity.Investigations(t.Context())
		if err := errors.Join(err, listed); err != nil || all[0].Host != r.Host {
			t.Fatal(err)
		}
		return all[0]
	}
	first := find("/etc/cron.d/one")
	path := "/investigations/" + first.ID
	a := w.ask(w.login("alice"), http.MethodGet, path, nil)
	for _, want := range []string{"none: it changed while no order ran", "/etc/cron.d/one", `name="report" value="` + first.Report + `"`} {
		if !strings.Contains(a.Body.String(), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	second := find("/etc/cron.d/two")
	if second.ID != first.ID || second.Report == first.Report {
		t.Errorf("%+v and %+v are not one investigation", first, second)
	}
	form := url.Values{"outcome": {"legitimate"}, "severity": {"probe"}, "reason": {"ours"}, "report": {first.Report}}
	if a := w.ask(w.login("alice"), http.MethodPost, path+"/resolutions", form); a.Code != http.StatusConflict {
		t.Errorf("an answer to the older report: %d", a.Code)
	}
	form.Set("report", second.Report)
	if a := w.ask(w.login("alice"), http.MethodPost, path+"/resolutions", form); a.Code != http.StatusSeeOther {
		t.Errorf("an answer to the newer report: %d", a.Code)
	}
}

// TestFactsAndEvidenceAreDownloads: never shown as pages of ours.
func TestFactsAndEvidenceAreDownloads(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("frank")
	fact := w.put([]byte("<script>alert(1)</script>"))
	for method, path := range map[string]string{http.MethodGet: "/facts/" + fact, http.MethodPost: "/changes/" + w.stage.ID + "/bundle"} {
		a := w.ask(token, method, path, nil)
		if a.Code != http.StatusOK || a.Header().Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(a.Header().Get("Content-Disposition"), "attachment;") {
			t.Errorf("%s %s: %d %v %s", method, path, a.Code, a.Header(), a.Body)
		}
	}
	for _, id := range []string{"..%2f..%2fkeys", strings.Repeat("0", 64), strings.ToUpper(fact)} {
		if a := w.ask(token, http.MethodGet, "/facts/"+id, nil); a.Code != http.StatusNotFound {
			t.Errorf("%s: %d", id, a.Code)
		}
	}
}

// TestAPageThatAsksByItselfDoesNotKeepTheSession: an order that runs is looked at every few seconds, whoever is there, and so
// is what the set-up waits for.
func TestAPageThatAsksByItselfDoesNotKeepTheSession(t *testing.T) {
	w := newWorld(t, "")
	for _, pattern := range polled {
		path := strings.NewReplacer("/changes/{id}", "/changes/"+w.order.ID, "{id}", w.hosts["web-1"].id, "{name}", "web-1?since=0").Replace(pattern)
		token := w.login("alice")
		for range 59 {
			w.now = w.now.Add(time.Minute)
			if a := w.ask(token, http.MethodGet, path, nil); a.Code >= 300 {
				t.Fatalf("%s within the hour: %d", path, a.Code)
			}
		}
		w.now = w.now.Add(2 * time.Minute)
		if a := w.ask(token, http.MethodGet, path, nil); a.Code != http.StatusSeeOther || !strings.HasPrefix(a.Header().Get("Location"), "/sign-in") {
			t.Errorf("%s after an hour without anybody: %d %s", path, a.Code, a.Header().Get("Location"))
		}
	}
}
