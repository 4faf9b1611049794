package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// send posts a document with an idempotency key.
func (s *story) send(t *testing.T, person, path, key string, in any) (status int, body string) {
	t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.doors[0].URL+v1.Prefix+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.tokens[person])
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if b, err = io.ReadAll(answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// TestWhatIsSentAgainIsMadeOnce: each operation that makes something answers the same key the same way, or says that it was
// made where the answer was a secret.
func TestWhatIsSentAgainIsMadeOnce(t *testing.T) {
	s := tell(t)
	s.hosts[0].version = "3.0.1-1" // so that there is something to do
	s.checkIn(s.hosts[0])
	order := s.proposal(v1.Proposal{Kind: change.Stage})
	otherOrder := order
	otherOrder.Reason = "Something else"
	token := func(name string) v1.NewToken {
		return v1.NewToken{Name: name, Actions: []staff.Action{staff.Read}, Days: 1}
	}
	for _, c := range []struct {
		person, path, kind string
		in, other          any
		secret             string
	}{
		{"bob", "/orders", "order.proposed", order, otherOrder, ""},
		{"carol", "/snapshots", "snapshot.proposed", v1.SnapshotProposal{Release: "bookworm"},
			v1.SnapshotProposal{Release: "bookworm", Upstreams: []string{"security"}}, ""},
		{"erin", "/tokens", "token.made", token("one"), token("two"), "pwa_"},
		{"erin", "/enrolments", "token.made", v1.Enrolment{Name: "new-1", Environment: "stage", Hours: 1},
			v1.Enrolment{Name: "new-2", Environment: "stage", Hours: 1}, "pwe_"},
	} {
		t.Run(c.path, func(t *testing.T) {
			before := s.acts(s.tokens["alice"], c.kind)
			status, first := s.send(t, c.person, c.path, "key 1", c.in)
			if status != http.StatusOK || !strings.Contains(first, c.secret) {
				t.Fatalf("first: %d %s", status, first)
			}
			status, again := s.send(t, c.person, c.path, "key 1", c.in)
			switch {
			case c.secret == "" && (status != http.StatusOK || again != first):
				t.Errorf("again: %d %s\nfirst: %s", status, again, first)
			case c.secret != "" && (status != http.StatusConflict || strings.Contains(again, c.secret)):
				t.Errorf("a secret again: %d %s", status, again)
			}
			if status, body := s.send(t, c.person, c.path, "key 1", c.other); status != http.StatusConflict {
				t.Errorf("another request: %d %s", status, body)
			}
			if n := s.acts(s.tokens["alice"], c.kind) - before; n != 1 {
				t.Errorf("made %d times", n)
			}
		})
	}
}

func TestAnIdempotencyKeyIsShortAndPrintable(t *testing.T) {
	w := open(t, "")
	s := &story{world: w, tokens: map[string]string{"erin": w.mustLogin("erin")}}
	in := v1.Enrolment{Name: "new-1", Environment: "stage", Hours: 1}
	for name, key := range map[string]string{"long": strings.Repeat("k", 129), "tab": "a\tb", "not ASCII": "schlüssel"} {
		if status, body := s.send(t, "erin", "/enrolments", key, in); status != http.StatusUnprocessableEntity || strings.Contains(body, key) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, body := s.send(t, "erin", "/enrolments", strings.Repeat("~", 128), in); status != http.StatusOK {
		t.Errorf("the longest: %d %s", status, body)
	}
}
