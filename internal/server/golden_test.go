package server

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/savedview"
	"github.com/patchwarrant/patchwarrant/internal/scans"
	"github.com/patchwarrant/patchwarrant/internal/suspicion"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

var update = flag.Bool("update", false, "write testdata/*.json as the server answers now")

// scanOf is a scanner's report about a host of the story and a stranger.
const scanOf = `<NessusClientData_v2><Report><ReportHost name="192.0.2.7"><HostProperties>` +
	`<tag name="host-fqdn">watched-1</tag><tag name="Credentialed_Scan">true</tag></HostProperties><ReportItem severity="0" pluginID="1"/>` +
	`<ReportItem severity="3" pluginID="2" pluginName="openssl"><cve>CVE-2026-1001</cve><plugin_type>local</plugin_type></ReportItem></ReportHost>` +
	`<ReportHost name="printer"><ReportItem severity="2" pluginID="3"><cve>CVE-2026-9001</cve></ReportItem></ReportHost></Report></NessusClientData_v2>`

// TestTheAPIIsWhatItWas: a difference here is one that programs of others meet. One that is meant is taken with -update,
// and stands in the change for its reader to judge. Each answer is also what /openapi.json says, and what our own
// programs understand.
func TestTheAPIIsWhatItWas(t *testing.T) {
	s := tell(t)
	var document map[string]any
	golden(t, "openapi", fetch(t, s, "/openapi.json", &document))
	var reconciled integrity.Reconciliation
	s.as("alice", http.MethodGet, "/orders/"+s.order.ID+"/reconciliation", nil, &reconciled)
	var open v1.Investigations
	s.as("alice", http.MethodGet, "/investigations", nil, &open)
	if len(open.Investigations) != 1 || len(reconciled.PerHost) != 1 {
		t.Fatalf("%d investigations, %d hosts reconciled", len(open.Investigations), len(reconciled.PerHost))
	}
	var saved savedview.View
	s.as("alice", http.MethodPost, "/views", v1.NewView{List: "hosts", Name: "Silent ones", Query: "state=silent", Shared: true}, &saved)
	var scanned v1.ImportedReport
	s.as("alice", http.MethodPost, "/scan-reports?from=file", []byte(scanOf), &scanned)
	suspected := s.suspicion("alice")
	for _, c := range []struct {
		name, path, operation string
		read                  any // as our own programs read it
	}{
		{"whoami", "/whoami", "/whoami", new(v1.Whoami)},
		{"sessions", "/sessions", "/sessions", new(v1.Sessions)},
		{"hosts", "/hosts", "/hosts", new(v1.Hosts)},
		{"host", "/hosts/" + s.hosts[1].host.ID, "/hosts/{id}", new(estate.Host)},
		{"states", "/hosts/" + s.hosts[1].host.ID + "/states", "/hosts/{id}/states", new(v1.FileStates)},
		{"host-packages", "/hosts/" + s.hosts[1].host.ID + "/packages", "/hosts/{id}/packages", new(v1.Packages)},
		{"host-inventory", "/hosts/" + s.hosts[1].host.ID + "/inventory", "/hosts/{id}/inventory", new(wire.Inventory)},
		{"findings", "/hosts/" + s.hosts[2].host.ID + "/findings", "/hosts/{id}/findings", new(v1.Findings)},
		{"vulnerabilities", "/vulnerabilities", "/vulnerabilities", new(triage.View)},
		{"vulnerability", "/vulnerabilities/CVE-2026-1001/openssl", "/vulnerabilities/{cve}/{source}", new(triage.Case)},
		{"history", "/vulnerabilities/CVE-2026-1001/openssl/history", "/vulnerabilities/{cve}/{source}/history", new(v1.Episodes)},
		{"days", "/figures/days", "/figures/days", new(v1.Days)},
		{"remediation", "/figures/remediation", "/figures/remediation", new(v1.Remediations)},
		{"remediated", "/figures/remediation/" + s.now.Format("2006-01"), "/figures/remediation/{month}", new(v1.Episodes)},
		{"emergencies", "/figures/emergencies", "/figures/emergencies", new(v1.Months)},
		{"views", "/views", "/views", new(v1.Views)},
		{"accepted", "/accepted", "/accepted", new(v1.Accepted)},
		{"sources", "/sources", "/sources", new(v1.Sources)},
		{"upstreams", "/upstreams", "/upstreams", new(v1.Upstreams)},
		{"snapshots", "/snapshots", "/snapshots", new(v1.Snapshots)},
		{"snapshot", "/snapshots/" + s.record, "/snapshots/{id}", new(v1.Snapshot)},
		{"channels", "/channels", "/channels", new(v1.Channels)},
		{"orders", "/orders", "/orders", new(v1.Orders)},
		{"order", "/orders/" + s.order.ID, "/orders/{id}", new(v1.Order)},
		{"rollout", "/orders/" + s.order.ID + "/rollout", "/orders/{id}/rollout", new(v1.Rollout)},
		{"reconciliation", "/orders/" + s.order.ID + "/reconciliation", "/orders/{id}/reconciliation", new(integrity.Reconciliation)},
		{"manifest", "/manifests/" + s.stage.Manifest, "/manifests/{id}", new(explain.Manifest)},
		{"report", "/reports/" + reconciled.PerHost[0].Report, "/reports/{id}", new(explain.Report)},
		{"investigations", "/investigations", "/investigations", new(v1.Investigations)},
		{"investigation", "/investigations/" + open.Investigations[0].ID, "/investigations/{id}", new(integrity.Investigation)},
		{"scan-reports", "/scan-reports", "/scan-reports", new(v1.ScanReports)},
		{"scan-report", "/scan-reports/" + scanned.ID, "/scan-reports/{id}", new(v1.ScanReport)},
		{"scan-comparison", "/scan-reports/" + scanned.ID + "/comparison", "/scan-reports/{id}/comparison", new(scans.Comparison)},
		{"vulnerability-scans", "/vulnerabilities/CVE-2026-1001/openssl/scans", "/vulnerabilities/{cve}/{source}/scans", new(v1.ScannersSay)},
		{"host-scans", "/hosts/" + s.hosts[2].host.ID + "/scans", "/hosts/{id}/scans", new(v1.HostScans)},
		{"suspicions", "/suspicions", "/suspicions", new(v1.Suspicions)},
		{"suspicion", "/suspicions/" + suspected, "/suspicions/{id}", new(suspicion.Suspicion)},
		{"scores", "/figures/scores?by=unit", "/figures/scores", new(v1.Scores)},
		{"duties", "/duties", "/duties", new(v1.Duties)},
		{"acts", "/acts", "/acts", new(v1.Acts)},
		{"problem", "/hosts/hst_x", "/hosts/{id}", new(v1.Problem)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var answer any
			b := fetch(t, s, v1.Prefix+c.path, &answer)
			golden(t, c.name, b)
			sameAfterReading(t, b, c.read)
			operation := document["paths"].(map[string]any)[v1.Prefix+c.operation].(map[string]any)["get"].(map[string]any)
			for _, wrong := range schemas(document).of(operation, c.name == "problem").check("", answer) {
				t.Errorf("/openapi.json says something else: %s", wrong)
			}
		})
	}
}

// fetch gives the body of an answer as it came, and reads it.
func fetch(t *testing.T, s *story, path string, out any) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.doors[0].URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.tokens["alice"])
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, out); err != nil {
		t.Fatalf("GET %s: %s: %v", path, answer.Status, err)
	}
	return b
}

// sameAfterReading: the type that the command line reads an answer into loses nothing of it.
func sameAfterReading(t *testing.T, b []byte, read any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(read); err != nil {
		t.Fatalf("read into %T: %v", read, err)
	}
	again, err := json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(normal(t, b), "\n"), strings.Split(normal(t, again), "\n")); diff != "" {
		t.Errorf("%T loses (-answer +read):\n%s", read, diff)
	}
}

// golden compares a document with testdata/NAME.json, or writes it there.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	got := normal(t, b)
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s is not there: go test ./internal/server -run %s -update", path, strings.SplitN(t.Name(), "/", 2)[0])
	} else if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-was +is):\n%s", name, diff)
	}
}

// chance matches what is another in each run: IDs, digests, keys and fingerprints.
var chance = regexp.MustCompile(`\b([a-z]{3})_[0-9a-hjkmnp-tv-z]{26}\b|\b[0-9a-f]{64}\b|\b[0-9a-f]{16}\b|SHA256:[A-Za-z0-9+/]{43}|\b[0-9a-f]{40}\b|[A-Za-z0-9+/]{43}=|file://[^"]*`)

// normal gives a document with its keys sorted, what is signed opened, and what chance made numbered in the order it comes,
// so that what was equal stays equal.
func normal(t *testing.T, b []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(opened(v)); err != nil {
		t.Fatal(err)
	}
	met := map[string]string{}
	kinds := map[string]int{}
	return chance.ReplaceAllStringFunc(text.String(), func(s string) string {
		if met[s] == "" {
			kind := "digest"
			if strings.HasPrefix(s, "file:") {
				kind = "directory"
			} else if before, _, ok := strings.Cut(s, "_"); ok {
				kind = before
			} else if strings.HasPrefix(s, "SHA256:") || strings.HasSuffix(s, "=") || len(s) == 40 {
				kind = "key"
			}
			kinds[kind]++
			met[s] = fmt.Sprintf("%s_%d", kind, kinds[kind])
		}
		return met[s]
	})
}

// opened replaces base64 of documents by the documents, and owners of files, who are whoever runs the test.
func opened(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = opened(v[k])
			if _, number := v[k].(float64); number && (k == "uid" || k == "gid") {
				v[k] = "owner"
			}
		}
	case []any:
		for i := range v {
			v[i] = opened(v[i])
		}
	case string:
		var inner map[string]any
		if b, err := base64.StdEncoding.DecodeString(v); err == nil && json.Unmarshal(b, &inner) == nil {
			return map[string]any{"base64 of": opened(inner)}
		}
	}
	return v
}
