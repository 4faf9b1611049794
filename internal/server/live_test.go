package server

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
)

// TestNewActsAreTold: to who comes back, from where they were; then as they happen.
func TestNewActsAreTold(t *testing.T) {
	w := open(t, "")
	token := w.mustLogin("alice")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.doors[0].URL+v1.Prefix+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Last-Event-ID", "0")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if c := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || c != "text/event-stream" {
		t.Fatalf("%s, %s", answer.Status, c)
	}
	lines := bufio.NewScanner(answer.Body)
	event := func(want ...string) {
		t.Helper()
		for _, line := range append(want, "") {
			if !lines.Scan() || lines.Text() != line {
				t.Fatalf("%q, %v; want %q", lines.Text(), lines.Err(), line)
			}
		}
	}
	event("id: 1", "event: act", `data: {"index":1,"kind":"login.accepted","subject":"person/alice"}`)
	w.mustLogin("bob")
	event("id: 2", "event: act", `data: {"index":2,"kind":"login.accepted","subject":"person/bob"}`)
	if strings.Contains(answer.Header.Get("Cache-Control"), "public") {
		t.Error("events may be kept on the way")
	}

	// Whoever has no leave any more is told nothing more, though the stream was open before.
	if err := w.ask(w.mustLogin("erin"), http.MethodPost, "/accounts/alice/notice", v1.Reason{Reason: "leaves"}, nil); err != nil {
		t.Fatal(err)
	}
	w.mustLogin("carol")
	for lines.Scan() {
		if strings.Contains(lines.Text(), "person/carol") {
			t.Fatalf("told to who left: %s", lines.Text())
		}
	}
}
