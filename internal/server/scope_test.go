package server

import (
	"net/http"
	"testing"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// TestWhoIsLimitedAnswersForTheirHostsOnly: an investigation of another host is refused over the API, with the code.
func TestWhoIsLimitedAnswersForTheirHostsOnly(t *testing.T) {
	s := tell(t)
	var open v1.Investigations
	s.as("alice", http.MethodGet, "/investigations", nil, &open)
	_, err := s.server.Staff.Advance(t.Context(), "carol", s.NextRoot(func(r *trustroot.Root) {
		r.People[1].Scopes = []trustroot.Scope{{Role: "product-manager", Zones: []string{"lab"}}} // bob
	}, "alice", "carol"))
	s.ok(err)
	path, ours := "/investigations/"+open.Investigations[0].ID+"/resolutions", integrity.Resolution{Outcome: integrity.Legitimate, Reason: "ours"}
	if err := s.ask(s.mustLogin("bob"), http.MethodPost, path, ours, nil); fault.KindOf(err) != fault.Denied || fault.CodeOf(err) != fault.Scope {
		t.Errorf("who is limited to another zone: %v", err)
	}
	if err := s.ask(s.mustLogin("carol"), http.MethodPost, path, ours, nil); err != nil {
		t.Errorf("who is not limited: %v", err)
	}
}
