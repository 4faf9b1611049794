package server

import (
	"net/http"
	"strings"
	"testing"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/suspicion"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// TestAnOwnVulnerabilityIsTriaged: what a report turned out to be is matched with hosts, queued for review, and decided.
func TestAnOwnVulnerabilityIsTriaged(t *testing.T) {
	s := tell(t)
	id := s.suspicion("frank")
	s.as("alice", http.MethodPut, "/suspicions/"+id+"/owner", v1.NewOwner{}, nil)
	var answered suspicion.Suspicion
	s.as("alice", http.MethodPost, "/suspicions/"+id+"/answers", v1.Reply{Kind: suspicion.IsVulnerability, Reason: "seen",
		New: &suspicion.Ours{Title: "Any password opens the door", Package: "openssl", Severity: "high", Hosts: []string{s.hosts[1].host.Name}}}, &answered)
	s.ok(s.server.suspicions.Publish(t.Context()))
	name := answered.Answer.Vulnerability
	var c triage.Case
	s.as("bob", http.MethodGet, "/vulnerabilities/"+name, nil, &c)
	if !strings.HasPrefix(name, "PW-") || c.Counts[verdict.Affected] == 0 || len(c.Statements) != 1 || c.Statements[0].Urgency != "high" {
		t.Errorf("%s: %+v", name, c)
	}
	var queue v1.Advisories
	s.as("bob", http.MethodGet, "/advisories?limit=1000", nil, &queue)
	queued := false
	for _, a := range queue.Advisories {
		queued = queued || a.Source == "own" && name == a.ID+"/openssl"
	}
	if !queued {
		t.Errorf("it is not in the queue: %+v", queue)
	}
	var payload v1.Payload
	s.as("bob", http.MethodPost, "/decisions/draft", v1.Draft{Vulnerability: name, Kind: triage.Configure, Scope: "fleet", Reason: "the door is locked"}, &payload)
	s.as("bob", http.MethodPost, "/decisions", s.Sign(triage.DecisionType, payload.Payload, "bob"), nil)
}

// TestFindingsOfAPenetrationTestFold: the one with a CVE stands beside our verdict, and each is somebody's to answer.
func TestFindingsOfAPenetrationTestFold(t *testing.T) {
	s := tell(t)
	report := "title,severity,cve,host,package,evidence,tester,date\nOld OpenSSL,high,CVE-2026-1001,web-1,openssl,banner,Red,2026-11-20\nDefault password,high,,web-1,,admin:admin,Red,2026-11-20\n"
	var imported v1.ImportedReport
	for range 2 {
		s.as("alice", http.MethodPost, "/scan-reports?from=file", []byte(report), &imported)
		s.ok(s.server.suspicions.Sweep(t.Context()))
	}
	if imported.Scanner != "pentest" || imported.Findings != 2 || imported.Vulnerabilities != 2 || imported.UnknownHosts != 0 || !imported.Unchanged {
		t.Errorf("%+v", imported)
	}
	var said v1.ScannersSay
	s.as("frank", http.MethodGet, "/vulnerabilities/CVE-2026-1001/openssl/scans", nil, &said)
	if len(said.Findings) != 1 || said.Findings[0].Title != "Old OpenSSL" {
		t.Errorf("%+v", said)
	}
	var all v1.Suspicions
	s.as("frank", http.MethodGet, "/suspicions", nil, &all)
	if all.Open != 2 || all.Unowned != 2 {
		t.Errorf("%+v", all)
	}
}
