package web

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

var boxes = regexp.MustCompile(`<input type="checkbox" name="vulnerability" value="([^"]+)" aria-label="[^"]+">`)

// box gives the names that a list lets its reader tick.
func box(page string) (names []string) {
	for _, found := range boxes.FindAllStringSubmatch(page, -1) {
		names = append(names, html.UnescapeString(found[1]))
	}
	return names
}

// TestManyAreDecidedInThePages: what is ticked in the list is one document, shown with both numbers, signed once; each vulnerability has
// it in its history. A signature over other bytes decides none of them.
func TestManyAreDecidedInThePages(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("alice")
	page := w.ask(token, http.MethodGet, "/vulnerabilities?source=curl", nil).Body.String()
	names := box(page)
	if len(names) != 50 || !strings.Contains(page, `data-all="vulnerability"`) || !strings.Contains(page, `<form method="get" action="/decisions/new">`) {
		t.Fatalf("the list offers %d boxes", len(names))
	}
	names = append(names[:4:4], "CVE-2026-1002/openssl")
	slices.Sort(names)
	a := w.ask(token, http.MethodGet, "/decisions/new?"+url.Values{"vulnerability": append(names, names[0])}.Encode(), nil)
	about, err := subjectOfWorld(w, names)
	w.ok(err)
	both := fmt.Sprintf("<h2>%s findings, 5 vulnerabilities</h2>", count(about.Findings))
	for _, want := range append(names, both, `value="accept" required disabled`, `<option value="group/core">`) {
		if !strings.Contains(a.Body.String(), want) {
			t.Errorf("the form lacks %q: %d", want, a.Code)
		}
	}
	form := url.Values{"vulnerability": names, "kind": {triage.Defer}, "scope": {"group/core"}, "reason": {"in the next window"}, "until": {w.now.AddDate(0, 0, 7).Format("2006-01-02")}}
	encoded, payload, shown := w.draft(token, "/decisions/draft", form)
	d, err := triage.DecodeDecision(payload)
	if err != nil || !slices.Equal(d.About(), names) {
		t.Fatalf("about %v, %v", d.About(), err)
	}
	for _, want := range append(names, both, strings.Join(names[:3], ", ")+" and 2 more", envelope.Digest(payload), challengeOf(triage.DecisionType, payload),
		"patchwarrant vulnerability decide "+strings.Join(names, " ")+" --kind defer") {
		if !strings.Contains(shown, want) {
			t.Errorf("what is signed lacks %q", want)
		}
	}
	if a := w.ask(token, http.MethodPost, "/decisions", w.assertion(url.Values{"payload": {encoded}}, triage.DecisionType, append(payload, ' '))); a.Code != http.StatusForbidden {
		t.Errorf("a signature over other bytes: %d", a.Code)
	}
	a = w.ask(token, http.MethodPost, "/decisions", w.assertion(url.Values{"payload": {encoded}}, triage.DecisionType, payload))
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/decisions/"+d.ID+"?said=decided" {
		t.Fatalf("%d %s %s", a.Code, a.Header().Get("Location"), a.Body)
	}
	for _, name := range names {
		c, err := w.Triage.Case(t.Context(), name, verdict.HostPage{})
		if err != nil || len(c.History) != 1 || c.History[0].ID != d.ID || c.History[0].Together != 5 {
			t.Errorf("%s: history %+v, %v", name, c.History, err)
		}
	}
	if page := w.ask(token, http.MethodGet, vulnerabilityPath(names[4]), nil).Body.String(); !strings.Contains(page, `<a href="/decisions/`+d.ID+`">about 5 vulnerabilities together</a>`) {
		t.Error("the dossier does not say that it was decided with others")
	}
	w.now = w.now.Add(time.Minute)
	alone := triage.Decision{Vulnerability: names[0], Kind: triage.Configure, Scope: "group/core", Reason: "cookies are off"}
	w.decide("bob", alone)
	page = w.ask(token, http.MethodGet, "/decisions/"+d.ID, nil).Body.String()
	for _, want := range append(names, both, "in the next window", "superseded by dec_") {
		if !strings.Contains(page, want) {
			t.Errorf("the decision's page lacks %q", want)
		}
	}
	if n := strings.Count(page, ">in force<"); n != 4 {
		t.Errorf("the decision's page has %d of 5 in force, want 4", n)
	}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// TestAllOfAFilterAreChosen: without a script, over all pages of the list; the form names each of them, says when the list has another
// number than when it was chosen, and what is signed is what it names, whatever the list has then.
func TestAllOfAFilterAreChosen(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("alice")
	page := w.ask(token, http.MethodGet, "/vulnerabilities?source=curl&decision=none&q=cookies", nil).Body.String()
	_, form, _ := strings.Cut(page, `<form method="get" action="/decisions/new">`)
	form, _, _ = strings.Cut(form, "</form>")
	q := url.Values{}
	for _, field := range hidden.FindAllStringSubmatch(form, -1) {
		q.Add(field[1], html.UnescapeString(field[2]))
	}
	if !strings.Contains(form, `<button name="all" value="60">Decide all 60 of this filter</button>`) || q.Get("source") != "curl" || q.Get("decision") != "none" || q.Get("q") != "cookies" {
		t.Fatalf("fields %v of %s", q, form)
	}
	if page := w.ask(token, http.MethodGet, "/vulnerabilities?source=openssl", nil).Body.String(); strings.Contains(page, `name="all"`) {
		t.Error("a list of one page offers more than its boxes")
	}
	q.Set("all", "60")
	for was, said := range map[string]bool{"60": false, "59": true} {
		q.Set("all", was)
		page = w.ask(token, http.MethodGet, "/decisions/new?"+q.Encode(), nil).Body.String()
		if said != strings.Contains(page, "The list had 59 when you chose all of it") {
			t.Errorf("all of %s: that it changed is said: %t", was, !said)
		}
	}
	var names []string
	for _, field := range hidden.FindAllStringSubmatch(page, -1) {
		if field[1] == "vulnerability" {
			names = append(names, field[2])
		}
	}
	if len(names) != 60 || !strings.Contains(page, "60 vulnerabilities</h2>") || slices.ContainsFunc(names, func(n string) bool { return !strings.HasSuffix(n, "/curl") }) {
		t.Fatalf("%d names %v", len(names), names)
	}
	w.decide("bob", triage.Decision{Vulnerability: names[0], Kind: triage.Configure, Scope: triage.FleetScope, Reason: "cookies are off"}) // the filter has 59 now
	asked := url.Values{"vulnerability": names, "kind": {triage.Configure}, "scope": {"environment/stage"}, "reason": {"all of them"}}
	_, payload, _ := w.draft(token, "/decisions/draft", asked)
	if d, err := triage.DecodeDecision(payload); err != nil || !slices.Equal(d.About(), names) {
		t.Errorf("about %d, %v", len(d.About()), err)
	}
	for query, want := range map[string]int{"all=1&q=no+such+thing": http.StatusUnprocessableEntity, "all=x&source=openssl": http.StatusOK} {
		if a := w.ask(token, http.MethodGet, "/decisions/new?"+query, nil); a.Code != want {
			t.Errorf("%s: %d, want %d", query, a.Code, want)
		}
	}
	if a := w.ask(w.login("erin"), http.MethodGet, "/decisions/new?all=60", nil); a.Code != http.StatusForbidden {
		t.Errorf("to one who decides nothing: %d", a.Code)
	}
}

func subjectOfWorld(w *world, names []string) (subject, error) {
	return (&site{Config: w.Config}).subjectOf(w.t.Context(), names)
}

// TestManyAreAgreedToInThePages: what bob decided about several is named to alice in the day's list, in each dossier and whole on the
// page where she agrees; with her signature it is in force for all.
func TestManyAreAgreedToInThePages(t *testing.T) {
	w := newWorld(t, "")
	names := []string{"CVE-2025-2000/curl", "CVE-2025-2001/curl", "CVE-2025-2002/curl", "CVE-2025-2003/curl"}
	w.decide("bob", triage.Decision{Vulnerability: names[0], Kind: triage.NotConcerned, Scope: "group/core", Justification: triage.Justifications[0],
		Reason: "not linked"}.Together(names))
	all, err := w.Triage.WaitingDecisions(t.Context())
	w.ok(err)
	waiting := all[slices.IndexFunc(all, func(d triage.Waiting) bool { return len(d.Also) > 0 })]
	token, at := w.login("alice"), "/decisions/"+waiting.ID
	const inShort = "CVE-2025-2000/curl, CVE-2025-2001/curl, CVE-2025-2002/curl and 1 more"
	for place, wants := range map[string][]string{"/": {inShort}, vulnerabilityPath(names[3]): {at, inShort},
		at: append(names, inShort, "4 vulnerabilities</h2>", waiting.SHA256, challengeOf(triage.DecisionType, waiting.Payload))} {
		page := w.ask(token, http.MethodGet, place, nil).Body.String()
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %q", place, want)
			}
		}
	}
	a := w.ask(token, http.MethodPost, at+"/signatures", w.assertion(url.Values{}, triage.DecisionType, waiting.Payload))
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != at+"?said=decided" {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	for _, name := range names {
		if c, err := w.Triage.Case(t.Context(), name, verdict.HostPage{}); err != nil || len(c.History) != 1 || !c.History[0].EndedAt.IsZero() {
			t.Errorf("%s: history %+v, %v", name, c.History, err)
		}
	}
}

// TestChoosingIsForWhoDecides and is bounded: nobody else sees the boxes or the form; none, too many, and names that are not in the list
// are refused.
func TestChoosingIsForWhoDecides(t *testing.T) {
	w := newWorld(t, "")
	for _, person := range []string{"erin", "frank"} {
		token := w.login(person)
		page := w.ask(token, http.MethodGet, "/vulnerabilities", nil).Body.String()
		if len(box(page)) > 0 || strings.Contains(page, "Decide these") || strings.Contains(page, "data-all") {
			t.Errorf("%s is offered to decide", person)
		}
		for _, to := range []string{"/decisions/draft", "/decisions"} {
			if a := w.ask(token, http.MethodPost, to, url.Values{"vulnerability": {"CVE-2026-1002/openssl"}}); a.Code != http.StatusForbidden {
				t.Errorf("POST %s by %s: %d", to, person, a.Code)
			}
		}
		if a := w.ask(token, http.MethodGet, "/decisions/new?vulnerability=CVE-2026-1002/openssl", nil); a.Code != http.StatusForbidden {
			t.Errorf("the form to %s: %d", person, a.Code)
		}
	}
	token := w.login("alice")
	var many []string
	for i := range triage.MaxTogether + 1 {
		many = append(many, fmt.Sprintf("CVE-2025-%05d/curl", i))
	}
	for want, names := range map[int][][]string{http.StatusUnprocessableEntity: {nil, many}, http.StatusNotFound: {{"CVE-2026-1002/openssl", "<b>x"}}} {
		for _, some := range names {
			a := w.ask(token, http.MethodGet, "/decisions/new?"+url.Values{"vulnerability": some}.Encode(), nil)
			if a.Code != want || strings.Contains(a.Body.String(), "<b>x") {
				t.Errorf("%d names: %d, want %d", len(some), a.Code, want)
			}
			form := url.Values{"vulnerability": some, "kind": {triage.Configure}, "scope": {"fleet"}, "reason": {"x"}}
			if a := w.ask(token, http.MethodPost, "/decisions/draft", form); a.Code != want {
				t.Errorf("a draft about %d names: %d, want %d", len(some), a.Code, want)
			}
		}
	}
}
