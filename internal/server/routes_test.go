package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// TestAListOfNothingIsAnEmptyArray: on a new server each list is there, and empty.
func TestAListOfNothingIsAnEmptyArray(t *testing.T) {
	w := open(t, "")
	token := w.mustLogin("frank")
	for path, name := range map[string]string{
		"/hosts": "hosts", "/sources": "sources", "/advisories": "advisories", "/accepted": "accepted", "/upstreams": "upstreams",
		"/snapshots": "snapshots", "/orders": "orders", "/investigations?order=ord_x": "investigations",
		"/hosts/hst_x/findings": "findings", "/hosts/hst_x/states": "states", "/acts?subject=order/ord_x": "acts", "/vulnerabilities": "rows", "/views?list=hosts": "views",
		"/vulnerabilities/CVE-2026-1/none/history": "episodes", "/figures/days": "days", "/figures/remediation": "months", "/figures/remediation/2026-11": "episodes",
		"/figures/emergencies?since=2026-01-01": "months",
	} {
		var document map[string]json.RawMessage
		if err := w.ask(token, http.MethodGet, path, nil, &document); err != nil {
			t.Errorf("GET %s: %v", path, err)
			continue
		}
		if got := string(document[name]); got != "[]" {
			t.Errorf("GET %s: %s is %s", path, name, got)
		}
	}
	var channels struct{ Channels []struct{ Name string } }
	if err := w.ask(token, http.MethodGet, "/channels", nil, &channels); err != nil || len(channels.Channels) != 2 {
		t.Errorf("channels %+v, %v", channels, err)
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	w := open(t, "")
	token := w.mustLogin("frank")
	digest := strings.Repeat("0", 64)
	for _, route := range []string{"GET /hosts/hst_x", "GET /orders/ord_x", "GET /orders/ord_x/rollout", "GET /orders/ord_x/reconciliation",
		"POST /orders/ord_x/bundle", "GET /snapshots/" + digest, "GET /investigations/inv_x", "GET /manifests/" + digest,
		"GET /reports/" + digest, "GET /facts/" + digest, "GET /acts/99", "GET /acts/99/proof", "GET /vulnerabilities/CVE-2026-1/none"} {
		method, path, _ := strings.Cut(route, " ")
		if err := w.ask(token, method, path, nil, nil); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", route, err)
		}
	}
}

func TestComposingTakesTheAcceptancesOfARelease(t *testing.T) {
	accepted := []triage.Accepted{
		{Decision: "dec_1", Person: "alice", Source: "openssl", Release: "bookworm", FixedVersion: "3.0.2"},
		{Decision: "dec_1", Person: "alice", Source: "openssl", Release: "trixie", FixedVersion: "3.5.1"},
		{Decision: "dec_2", Person: "bob", Source: "curl", Release: "bookworm", FixedVersion: "7.88"},
	}
	openssl := curation.Acceptance{Decision: "dec_1", Person: "alice", Source: "openssl", Version: "3.0.2"}
	curl := curation.Acceptance{Decision: "dec_2", Person: "bob", Source: "curl", Version: "7.88"}
	for name, c := range map[string]struct {
		release   string
		decisions []string
		want      []curation.Acceptance
	}{
		"all in force":        {"bookworm", nil, []curation.Acceptance{openssl, curl}},
		"those named":         {"bookworm", []string{"dec_2"}, []curation.Acceptance{curl}},
		"none of the release": {"forky", nil, nil},
	} {
		got, err := choose(accepted, c.release, c.decisions)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	if _, err := choose(accepted, "trixie", []string{"dec_1", "dec_2"}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a decision that accepts nothing for the release: %v", err)
	}
}
