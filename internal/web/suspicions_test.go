package web

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/suspicion"
)

// TestASuspicionGoesRound: an auditor reports it with a file by the form, it waits on Today, alarms, is answered, and its reporter
// sees the answer; a colleague sees nothing of it.
func TestASuspicionGoesRound(t *testing.T) {
	w := newWorld(t, "")
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range map[string]string{"title": "Odd port", "host": "db-1", "package": "", "place": "", "noticed": "line one\r\nline two"} {
		w.ok(form.WriteField(name, value))
	}
	file, err := form.CreateFormFile("evidence", "<b>.html")
	w.ok(err)
	_, err = file.Write([]byte("<script>alert(1)</script>"))
	w.ok(err)
	w.ok(form.Close())
	r := httptest.NewRequest(http.MethodPost, "https://"+site1+"/suspicions", &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	frank := w.login("frank")
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: frank})
	a := httptest.NewRecorder()
	w.door.ServeHTTP(a, r)
	if a.Code != http.StatusSeeOther || !strings.HasPrefix(a.Header().Get("Location"), "/suspicions/sus_") {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	place, _, _ := strings.Cut(a.Header().Get("Location"), "?")
	if page := w.ask(frank, http.MethodGet, place, nil).Body.String(); !strings.Contains(page, "line one\nline two") || !strings.Contains(page, "&lt;b&gt;.html") {
		t.Errorf("the reporter's page: %s", page)
	}
	evidence := w.ask(frank, http.MethodGet, place+"/evidence", nil)
	if evidence.Header().Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(evidence.Header().Get("Content-Disposition"), "attachment; filename=\"sus_") ||
		evidence.Body.String() != "<script>alert(1)</script>" {
		t.Errorf("evidence: %v", evidence.Header())
	}
	for _, path := range []string{place, place + "/evidence"} {
		if a := w.ask(w.login("carol"), http.MethodGet, path, nil); a.Code != http.StatusNotFound {
			t.Errorf("a colleague asks for %s: %d", path, a.Code)
		}
	}
	alice := w.login("alice")
	if today := w.ask(alice, http.MethodGet, "/", nil).Body.String(); !strings.Contains(today, "1 suspicions without an owner") || strings.Contains(today, "has no owner") {
		t.Error("Today does not ask for an owner, or alarms too soon")
	}
	w.now = w.now.Add(suspicion.Unowned + time.Minute)
	w.ok(w.Suspicions.Sweep(t.Context()))
	alice = w.login("alice")
	if today := w.ask(alice, http.MethodGet, "/", nil).Body.String(); !strings.Contains(today, "A suspicion has no owner") {
		t.Error("Today does not alarm")
	}
	if today := w.ask(w.login("carol"), http.MethodGet, "/", nil).Body.String(); strings.Contains(today, "Odd port") {
		t.Error("Today tells a colleague of it")
	}
	if a := w.ask(alice, http.MethodPost, place+"/owner", url.Values{"owner": {"alice"}}); a.Code != http.StatusSeeOther {
		t.Fatalf("take: %d %s", a.Code, a.Body)
	}
	answer := url.Values{"kind": {"new"}, "title": {"Open port"}, "package": {"openssl"}, "severity": {"low"}, "affected": {"bookworm=3.0.2-1"}, "reason": {"seen"}}
	if a := w.ask(alice, http.MethodPost, place+"/answers", answer); a.Code != http.StatusSeeOther {
		t.Fatalf("answer: %d %s", a.Code, a.Body)
	}
	if page := w.ask(w.login("frank"), http.MethodGet, place, nil).Body.String(); !strings.Contains(page, "PW-2026-0001/openssl") {
		t.Error("the reporter does not see the answer")
	}
}
