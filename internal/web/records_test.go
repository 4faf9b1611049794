package web

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/retirement"
)

// TestARecordIsEditedInThePage: with the revision the form was made from, else not.
func TestARecordIsEditedInThePage(t *testing.T) {
	w := newWorld(t, "")
	token, path := w.login("erin"), "/hosts/records/"+w.inventory
	rec, err := w.Records.Get(t.Context(), w.inventory)
	w.ok(err)
	page := w.ask(token, http.MethodGet, path, nil).Body.String()
	if !strings.Contains(page, `name="revision" value="2"`) || !strings.Contains(page, `value="A 12"`) {
		t.Errorf("the form: %s", page)
	}
	form := url.Values{"revision": {"2"}, "hostname": {rec.Hostname}, "zone": {"lab"}, "host": {"hst_evil"}}
	if a := w.ask(token, http.MethodPost, path, form); a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if a := w.ask(token, http.MethodPost, path, form); a.Code != http.StatusConflict || !strings.Contains(a.Body.String(), fault.Stale) {
		t.Errorf("over another change: %d %s", a.Code, a.Body)
	}
	now, err := w.Records.Get(t.Context(), w.inventory)
	if err != nil || now.Zone != "lab" || now.Rack != "" || now.Host != rec.Host {
		t.Errorf("%+v, %v", now, err)
	}
	if a := w.ask(w.login("frank"), http.MethodPost, path, form); a.Code != http.StatusForbidden {
		t.Errorf("an auditor edits: %d", a.Code)
	}
	if page := w.ask(token, http.MethodGet, "/hosts?zone=lab", nil).Body.String(); !strings.Contains(page, ">db-1<") || strings.Contains(page, ">web-1<") {
		t.Error("the list of hosts is not by zone")
	}
}

// send posts a form with a file.
func (w *world) send(token, path string, fields url.Values, file string) *httptest.ResponseRecorder {
	w.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for name := range fields {
		w.ok(m.WriteField(name, fields.Get(name)))
	}
	f, err := m.CreateFormFile("content", "file")
	w.ok(err)
	_, err = f.Write([]byte(file))
	w.ok(err)
	w.ok(m.Close())
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "https://"+site1+path, &b)
	r.Header.Set("Content-Type", m.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.RemoteAddr = netip.AddrPortFrom(w.from, 1024).String()
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: token})
	answer := httptest.NewRecorder()
	w.door.ServeHTTP(answer, r)
	return answer
}

func TestAFileIsLookedAtBeforeItIsTakenOver(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("erin")
	send := func(do string) *httptest.ResponseRecorder {
		return w.send(token, "/hosts/imports", url.Values{"do": {do}}, "hostname,zone\nrouter-1,core\n")
	}
	found := func() int {
		all, err := w.Records.List(t.Context(), record.Filter{Text: "router"}, "", 10)
		w.ok(err)
		return len(all)
	}
	if a := send("look"); a.Code != http.StatusOK || !strings.Contains(a.Body.String(), "What the file would change") || found() != 0 {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	if a := send("import"); a.Code != http.StatusOK || !strings.Contains(a.Body.String(), "Imported") || found() != 1 {
		t.Errorf("%d %s", a.Code, a.Body)
	}
}

// TestAHostIsRetiredInThePage: proposed by one, signed by two others; it leaves lists and totals at once.
func TestAHostIsRetiredInThePage(t *testing.T) {
	w := newWorld(t, "")
	ctx, host := t.Context(), w.hosts["db-1"].id
	before, err := w.Triage.Vulnerabilities(ctx)
	w.ok(err)
	a := w.ask(w.login("carol"), http.MethodPost, "/hosts/retirements", url.Values{"host": {host}, "reason": {"hall closed"}})
	id := strings.TrimSuffix(strings.TrimPrefix(a.Header().Get("Location"), "/hosts/retirements/"), "?said=proposed")
	r, err := w.Retirements.Get(ctx, id)
	if err != nil || a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s %v", a.Code, a.Body, err)
	}
	token := w.login("alice")
	if page := w.ask(token, http.MethodGet, "/", nil).Body.String(); !strings.Contains(page, "Sign the retirement of db-1") {
		t.Error("it does not wait for alice")
	}
	page := w.ask(token, http.MethodGet, "/hosts/retirements/"+id, nil).Body.String()
	if !strings.Contains(page, r.SHA256) || !strings.Contains(page, challengeOf(retirement.PayloadType, r.Payload)) {
		t.Error("the page does not show what is signed")
	}
	if a := w.ask(token, http.MethodPost, "/hosts/retirements/"+id+"/signatures", w.assertion(url.Values{}, retirement.PayloadType, r.Payload)); a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	_, err = w.Retirements.Approve(ctx, "dave", id, w.people.Sign(retirement.PayloadType, r.Payload, "dave").Signatures[0])
	w.ok(err)
	after, err := w.Triage.Vulnerabilities(ctx)
	if err != nil || after.Hosts != before.Hosts-1 || after.Findings >= before.Findings {
		t.Errorf("before %d hosts, %d findings; after %d, %d", before.Hosts, before.Findings, after.Hosts, after.Findings)
	}
	if page := w.ask(token, http.MethodGet, "/hosts/"+host, nil).Body.String(); !strings.Contains(page, "Out of service since") || strings.Contains(page, `id="retire"`) {
		t.Error("its page")
	}
	if all, err := w.Estate.List(ctx, estate.Filter{}, "", 100); err != nil || len(all) != before.Hosts-1 {
		t.Errorf("%d hosts listed, %v", len(all), err)
	}
}

func TestAGroupIsSavedInThePage(t *testing.T) {
	w := newWorld(t, "")
	token := w.login("erin")
	form := url.Values{"name": {"inside"}, "expression": {`zone == "core"`}}
	if a := w.ask(token, http.MethodPost, "/hosts/groups", form); a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if page := w.ask(token, http.MethodGet, "/hosts?group=inside", nil).Body.String(); !strings.Contains(page, ">db-1<") || strings.Contains(page, ">web-1<") {
		t.Error("the list of hosts is not by group")
	}
	if a := w.ask(token, http.MethodPost, "/hosts/groups", url.Values{"name": {"x"}, "expression": {"zone == "}}); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("half a condition: %d", a.Code)
	}
	if a := w.ask(w.login("frank"), http.MethodPost, "/hosts/groups/drop", form); a.Code != http.StatusForbidden {
		t.Errorf("an auditor drops it: %d", a.Code)
	}
	if a := w.ask(token, http.MethodPost, "/hosts/groups/drop", form); a.Code != http.StatusSeeOther {
		t.Errorf("drop: %d %s", a.Code, a.Body)
	}
}

// TestAHostIsShownBesideItsStageTwin: with the figure, and what differs.
func TestAHostIsShownBesideItsStageTwin(t *testing.T) {
	w := newWorld(t, "")
	w.hosts["db-1"].version = "9.9-1"
	w.checkIn("db-1")
	page := w.ask(w.login("alice"), http.MethodGet, "/hosts/"+w.hosts["db-1"].id+"?tab=drift", nil).Body.String()
	for _, want := range []string{"<b>50.0 %</b>", "stage-1", "openssl:amd64", "9.9-1"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if page := w.ask(w.login("alice"), http.MethodGet, "/", nil).Body.String(); !strings.Contains(page, "Stage drift") {
		t.Error("Today does not say it")
	}
}

// TestAComponentListIsRegisteredInThePage: what is judged, what nobody knows, and what no verdict is about stand on its page.
func TestAComponentListIsRegisteredInThePage(t *testing.T) {
	w := newWorld(t, "")
	const list = `{"bomFormat":"CycloneDX","components":[{"name":"a","purl":"pkg:npm/a@1"},
{"name":"libssl3","purl":"pkg:deb/debian/libssl3@3.0.1-1?arch=amd64&upstream=openssl"}]}`
	erin := w.login("erin")
	fields := url.Values{"name": {"image-7"}, "days": {"5"}, "release": {"bookworm"}}
	if a := w.send(erin, "/hosts/builds/sbom", fields, list); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/hosts/builds/image-7?said=recorded" {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	page := w.ask(erin, http.MethodGet, "/hosts/builds/image-7", nil).Body.String()
	for _, want := range []string{"CVE-2026-1003/openssl", "<h2>Undetermined</h2>", "CVE-2026-1004/openssl", "<h2>Not judged</h2>", "1 component of the component list", "<td>npm</td>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if page := w.ask(erin, http.MethodGet, "/hosts/builds", nil).Body.String(); !strings.Contains(page, "1 component not judged") || !strings.Contains(page, `action="/hosts/builds/sbom"`) {
		t.Error("the list of builds does not say that something is not judged")
	}
	if a := w.send(w.login("frank"), "/hosts/builds/sbom", fields, list); a.Code != http.StatusForbidden {
		t.Errorf("by an auditor: %d", a.Code)
	}
	fields.Set("days", "x")
	if a := w.send(erin, "/hosts/builds/sbom", fields, list); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("without a number of days: %d", a.Code)
	}
}

// TestABuildIsRegisteredInThePage: it shows what affects it and who came from it, counts as no host, and alarms when it is overdue.
func TestABuildIsRegisteredInThePage(t *testing.T) {
	w := newWorld(t, "")
	ctx, token := t.Context(), w.login("erin")
	before, err := w.Triage.Vulnerabilities(ctx)
	w.ok(err)
	a := w.ask(token, http.MethodPost, "/hosts/builds", url.Values{"name": {"base-12"}, "host": {w.hosts["db-1"].id}, "days": {"5"}})
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/hosts/builds/base-12?said=recorded" {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	rec, err := w.Records.Get(ctx, w.inventory)
	w.ok(err)
	rec.Build = "base-12"
	_, err = w.Records.Change(ctx, "erin", rec.ID, rec.Revision, rec.Fields)
	w.ok(err)
	page := w.ask(token, http.MethodGet, "/hosts/builds/base-12", nil).Body.String()
	if !strings.Contains(page, "CVE-2026-1003/openssl") || !strings.Contains(page, ">db-1</a>") {
		t.Errorf("the page: %s", page)
	}
	if after, err := w.Triage.Vulnerabilities(ctx); err != nil || after.Hosts != before.Hosts || after.Findings != before.Findings {
		t.Errorf("a build counts as a host: %d, %d", after.Hosts, after.Findings)
	}
	b, err := w.Builds.Get(ctx, "base-12")
	w.ok(err)
	w.now = b.Findings[0].DueAt
	if page := w.ask(w.login("erin"), http.MethodGet, "/", nil).Body.String(); !strings.Contains(page, "Standard build base-12 is overdue") {
		t.Error("Today does not say it")
	}
	if a := w.ask(w.login("erin"), http.MethodPost, "/hosts/builds/base-12/drop", url.Values{}); a.Code != http.StatusSeeOther {
		t.Errorf("drop: %d %s", a.Code, a.Body)
	}
}

var madeFrom = regexp.MustCompile(`name="from" value="(\d+)"`)

// TestNothingIsWrittenOverInThePage: the form of a group, a template and a build changes what it was loaded with, and the form of a
// new one changes none; what was typed is shown with the refusal.
func TestNothingIsWrittenOverInThePage(t *testing.T) {
	w := newWorld(t, "")
	erin, bob := w.login("erin"), w.login("bob")
	template := url.Values{"name": {"weekly"}, "time_zone": {"UTC"}, "reason": {"routine"}, "plan": {"first"}, "back_out": {"back"}, "stage_weekday": {"tuesday"},
		"stage_at": {"08:00"}, "stage_hours": {"4"}, "production_weekday": {"thursday"}, "production_at": {"22:00"}, "production_hours": {"3"}}
	if a := w.ask(bob, http.MethodPost, "/changes/templates", template); a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	for _, c := range []struct {
		token, page, to string
		form            url.Values
		typed           string
	}{
		{erin, "/hosts/groups?change=core", "/hosts/groups", url.Values{"name": {"core"}, "expression": {`zone == "lab"`}, "note": {"mine <b>"}}, "mine &lt;b&gt;"},
		{bob, "/changes/templates?change=weekly", "/changes/templates", template, "first"},
		{erin, "/hosts/builds/base", "/hosts/builds", url.Values{"name": {"base"}, "host": {w.hosts["db-1"].id}, "days": {"7"}}, w.hosts["db-1"].id},
	} {
		from := madeFrom.FindStringSubmatch(w.ask(c.token, http.MethodGet, c.page, nil).Body.String())
		if from == nil {
			t.Fatalf("%s has no form that says what it was made from", c.page)
		}
		refused := func(what string) {
			t.Helper()
			a := w.ask(c.token, http.MethodPost, c.to, c.form)
			if a.Code != http.StatusConflict || !strings.Contains(a.Body.String(), fault.Stale) || !strings.Contains(a.Body.String(), c.typed) {
				t.Errorf("%s %s: %d %s", c.page, what, a.Code, a.Body)
			}
		}
		c.form.Del("from")
		refused("made again")
		c.form.Set("from", from[1])
		if a := w.ask(c.token, http.MethodPost, c.to, c.form); a.Code != http.StatusSeeOther {
			t.Errorf("%s: %d %s", c.page, a.Code, a.Body)
		}
		refused("over another change")
		c.form.Set("from", "yesterday")
		if a := w.ask(c.token, http.MethodPost, c.to, c.form); a.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s from nonsense: %d", c.page, a.Code)
		}
	}
	if a := w.ask(w.login("frank"), http.MethodGet, "/hosts/groups?change=core", nil); a.Code != http.StatusOK || madeFrom.MatchString(a.Body.String()) {
		t.Errorf("an auditor is offered to change: %d", a.Code)
	}
}
