package server

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

// tagged sends a document that was made from the one with an ETag.
func (w *world) tagged(token, method, path, etag, body string) (status int, tag string, p v1.Problem) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.doors[0].URL+v1.Prefix+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	if etag != "" {
		r.Header.Set("If-Match", etag)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = json.Unmarshal(b, &p)
	return answer.StatusCode, answer.Header.Get("ETag"), p
}

// TestNothingWithANameIsWrittenOver: a group, a template of orders and a build are made where there is none, and changed from what
// they are.
func TestNothingWithANameIsWrittenOver(t *testing.T) {
	s := tell(t)
	const slot = `{"weekday":"tuesday","at":"08:00","hours":4}`
	for _, c := range []struct{ person, path, one, other string }{
		{"erin", "/groups/dmz", `{"expression":"true"}`, `{"expression":"false"}`},
		{"bob", "/order-templates/weekly", `{"time_zone":"UTC","reason":"r","plan":"one","back_out":"b","stage":` + slot + `,"production":` + slot + `}`,
			`{"time_zone":"UTC","reason":"r","plan":"two","back_out":"b","stage":` + slot + `,"production":` + slot + `}`},
		{"erin", "/builds/base", `{"days":7,"host":"` + s.hosts[0].host.ID + `"}`, `{"days":8,"host":"` + s.hosts[0].host.ID + `"}`},
	} {
		token := s.tokens[c.person]
		send := func(etag, body string, want int, code string) {
			t.Helper()
			if status, _, p := s.tagged(token, http.MethodPut, c.path, etag, body); status != want || p.Code != code {
				t.Errorf("%s: %d %+v", c.path, status, p)
			}
		}
		send(`"00000000000000000000000000000000"`, c.one, http.StatusNotFound, "")
		send("", c.one, http.StatusOK, "")
		send("", c.other, http.StatusConflict, fault.Stale)
		_, etag, _ := s.tagged(token, http.MethodGet, c.path, "", "")
		send(etag, c.other, http.StatusOK, "")
		send(etag, c.one, http.StatusConflict, fault.Stale)
	}
}

// TestARecordIsNotWrittenOver: a change names what it was made from; fields that are none of a person's are refused.
func TestARecordIsNotWrittenOver(t *testing.T) {
	w := open(t, "")
	token := w.mustLogin("erin")
	var rec record.Record
	if err := w.ask(token, http.MethodPost, "/records", record.Fields{Hostname: "web1"}, &rec); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"hostname":"x","revision":7}`, `{"hostname":"x","host":"hst_1"}`, `{"hostname":"x","id":"rec_1"}`} {
		if err := w.ask(token, http.MethodPost, "/records", []byte(body), nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", body, err)
		}
	}
	send := func(method, etag, body string) (int, string, v1.Problem) {
		t.Helper()
		return w.tagged(token, method, "/records/"+rec.ID, etag, body)
	}
	_, etag, _ := send(http.MethodGet, "", "")
	const change = `{"hostname":"web1","zone":"dmz"}`
	if status, _, p := send(http.MethodPut, "", change); status != http.StatusUnprocessableEntity {
		t.Errorf("without If-Match: %d %+v", status, p)
	}
	if status, _, p := send(http.MethodPut, etag, change); status != http.StatusOK {
		t.Errorf("with the ETag read: %d %+v", status, p)
	}
	if status, _, p := send(http.MethodPut, etag, `{"hostname":"web1","zone":"core"}`); status != http.StatusConflict || p.Code != fault.Stale {
		t.Errorf("over a change of somebody else: %d %+v", status, p)
	}
	if err := w.ask(token, http.MethodGet, "/records/"+rec.ID, nil, &rec); err != nil || rec.Zone != "dmz" || rec.Revision != 2 {
		t.Errorf("%+v, %v", rec, err)
	}
	var out record.Import
	if err := w.ask(token, http.MethodPost, "/record-imports?format=csv", []byte("hostname,zone\nweb1,core\n"), &out); err != nil || out.Changed != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}
