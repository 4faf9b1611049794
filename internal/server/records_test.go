package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

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
		r, err := http.NewRequestWithContext(t.Context(), method, w.doors[0].URL+v1.Prefix+"/records/"+rec.ID, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("If-Match", etag)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		var p v1.Problem
		_ = json.Unmarshal(b, &p)
		return answer.StatusCode, answer.Header.Get("ETag"), p
	}
	_, etag, _ := send(http.MethodGet, "", "")
	const change = `{"hostname":"web1","zone":"dmz"}`
	if status, _, p := send(http.MethodPut, "", change); status != http.StatusUnprocessableEntity {
		t.Errorf("without If-Match: %d %+v", status, p)
	}
	if status, _, p := send(http.MethodPut, etag, change); status != http.StatusOK {
		t.Errorf("with the ETag read: %d %+v", status, p)
	}
	if status, _, p := send(http.MethodPut, etag, `{"hostname":"web1","zone":"core"}`); status != http.StatusConflict || p.Code != record.Stale {
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
