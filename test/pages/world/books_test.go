//go:build pages

package world

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/retirement"
	"github.com/patchwarrant/patchwarrant/internal/suspicion"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// keepBooks writes what people know of the machines: an inventory, groups, a standard build, and the limits in force.
func (s *site) keepBooks(told *settled) {
	s.t.Helper()
	for i, h := range hosts {
		f := record.Fields{Hostname: h.name, Vendor: "Dell", Model: "PowerEdge R650", Serial: fmt.Sprintf("7XK%04d", 411+i), Maintenance: "dell-emea@example.org, contract 88-1204",
			Rack: s.text(fmt.Sprintf("Gävle 1, row C, rack %d", 3+i)), Use: s.text(h.role), Addresses: []string{fmt.Sprintf("192.0.2.%d", 11+i)}, Zone: "core", Environment: h.environment,
			Ring: "ring-2", Criticality: "high", Exposure: "internal", Owner: "dave", Unit: s.text("Certificate services"), Build: "web-base"}
		if h.role == "web" {
			f.Zone, f.Exposure, f.StageTwin = "dmz", "internet", "stage-web"
		}
		if h.environment == "stage" {
			f.Criticality, f.StageTwin = "low", ""
		}
		if h.name == "mail-01" {
			continue // nobody wrote it down
		}
		var made record.Record
		s.ok(s.as("erin", http.MethodPost, "/records", f, &made))
		s.link(made, h.name)
		if h.name == "web-02" {
			told.Inventory[0] = made.ID
		}
	}
	var printer record.Record
	s.ok(s.as("erin", http.MethodPost, "/records", record.Fields{Hostname: "printer-2", Vendor: "HP", Zone: "office", Owner: "dave", Notes: s.text("Leased until March.")}, &printer))
	told.Inventory[1] = printer.ID
	for name, g := range map[string]v1.GroupDefinition{
		"exposed":  {Expression: `exposure in ["internet", "dmz"]`, Note: s.text("Reachable from outside")},
		"core-ca":  {Expression: `zone == "core" && criticality in ["high", "critical"]`, Note: s.text("Certificate systems")},
		"unlisted": {Expression: `!recorded`},
	} {
		s.ok(s.as("erin", http.MethodPut, "/groups/"+name, g, nil))
	}
	s.ok(s.as("erin", http.MethodPut, "/builds/web-base", v1.BuildOfHost{Host: s.hosts["stage-web"].ID, Days: 30}, nil))
	told.Policies[0] = s.limit("ncssr-2.0.5", "rita", "alice")
}

// link says which host a record is about, as the page's form does.
func (s *site) link(r record.Record, host string) {
	s.t.Helper()
	form := url.Values{"revision": {strconv.FormatInt(r.Revision, 10)}, "host": {s.hosts[host].ID}}
	request := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, "https://"+name+"/hosts/records/"+r.ID+"/host", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.AddCookie(&http.Cookie{Name: "__Host-patchwarrant", Value: s.people["erin"].token})
	answer := httptest.NewRecorder()
	s.door.ServeHTTP(answer, request)
	if answer.Code != http.StatusSeeOther {
		s.t.Fatalf("link %s: %d %s", host, answer.Code, answer.Body)
	}
}

// limit has bob propose a shipped profile as the limits, and others sign it.
func (s *site) limit(profile string, signers ...string) string {
	s.t.Helper()
	p, err := policy.Profile(profile)
	s.ok(err)
	var made deadline.Adoption
	s.ok(s.as("bob", http.MethodPost, "/policies", v1.Policy{Name: p.Name, Title: s.text(p.Title), Basis: s.text(p.Basis), Note: s.text("As it is shipped."), Rules: p.Rules}, &made))
	for _, who := range signers {
		s.ok(s.as(who, http.MethodPost, "/policies/"+made.Digest+"/signatures", v1.Approval{Signature: s.sign(who, policy.Type, made.Payload)}, nil))
	}
	return made.Digest
}

// leaveOpen leaves what is under way today: a scanner's report, an assessment, and what waits for others.
func (s *site) leaveOpen(told *settled) {
	s.t.Helper()
	var scanned v1.ImportedReport
	s.ok(s.as("alice", http.MethodPost, "/scan-reports?from=scanner.example.org", s.scanned(), &scanned))
	told.Scan = scanned.ID

	var p v1.Payload
	draft := v1.AssessmentDraft{Vulnerability: "CVE-2026-31990/postgresql-15", Severity: "critical", Priority: "urgent", Reason: s.text("Tenants of three customers share this server."),
		Factors: deadline.Factors{Exploit: "published", Complexity: "low", Effect: "critical", Criticality: "high", Location: "internal", Beachhead: true, Patch: true}, Total: true}
	s.ok(s.as("alice", http.MethodPost, "/assessments/draft", draft, &p))
	s.ok(s.as("alice", http.MethodPost, "/assessments", envelope.Envelope{PayloadType: p.PayloadType, Payload: p.Payload,
		Signatures: []envelope.Signature{s.sign("alice", p.PayloadType, p.Payload)}}, nil))

	s.decide("rita", v1.Draft{Vulnerability: "CVE-2025-61817/git", Kind: triage.AcceptRisk, Scope: triage.FleetScope, Reason: s.text("No release has a fix, and git is used by the deployment only."),
		Until: time.Now().Add(60 * 24 * time.Hour), Exception: &triage.Exception{Ground: triage.Grounds[1], Control: s.text("Clones come from our own server alone."), Owner: "dave",
			Plan: s.text("Take the fix with the next point release.")}}, "alice")
	told.Undecided = s.decide("bob", v1.Draft{Vulnerability: "CVE-2025-40022/postfix", Kind: triage.NotConcerned, Scope: triage.FleetScope,
		Justification: triage.Justifications[0], Reason: s.text("The relay in front takes no bare line feed.")}).ID

	var suspected suspicion.Suspicion
	s.ok(s.as("carol", http.MethodPost, "/suspicions", v1.NewSuspicion{Title: s.text("The status page of nginx answers to everyone"), Host: "web-03",
		Package: "nginx", Noticed: s.text("Seen while I looked for the cause of a slow page: /status needs no login.")}, &suspected))
	told.Suspicion = suspected.ID

	var leaving retirement.Retirement
	s.ok(s.as("carol", http.MethodPost, "/retirements", v1.RetirementProposal{Host: s.hosts["batch-07"].ID, Reason: s.text("Replaced by batch-08; the disks are wiped.")}, &leaving))
	told.Retirement = leaving.ID
	told.Policies[1] = s.limit("cis")
	for list, query := range map[string]string{"hosts": "environment=stage", "vulnerabilities": "state=affected&kev=yes", "changes": "state=closed"} {
		s.ok(s.as("erin", http.MethodPost, "/views", v1.NewView{List: list, Name: s.text("Look here first"), Query: query, Shared: true}, nil))
	}
}

// scanned is a report of a scanner about hosts of ours and a stranger.
func (s *site) scanned() []byte {
	text := func(words string) string { return "<![CDATA[" + s.text(words) + "]]>" }
	item := func(id, name, cve string) string {
		return fmt.Sprintf(`<ReportItem severity="3" pluginID="%s" pluginName="%s"><cve>%s</cve><plugin_type>local</plugin_type><plugin_output>%s</plugin_output></ReportItem>`, id, name, cve, text("Installed: old"))
	}
	report := `<NessusClientData_v2><Report>`
	for _, h := range []string{"web-01", "web-02", "web-03", "db-01"} {
		report += fmt.Sprintf(`<ReportHost name="%s"><HostProperties><tag name="host-fqdn">%s</tag><tag name="Credentialed_Scan">true</tag></HostProperties>`, h, h) +
			item("204710", "openssl", "CVE-2026-30412") + item("204811", "nginx", "CVE-2026-29550") + item("204902", "curl", "CVE-2026-11209") + `</ReportHost>`
	}
	report += `<ReportHost name="camera-4"><ReportItem severity="2" pluginID="51192"><cve>CVE-2025-90210</cve></ReportItem></ReportHost></Report></NessusClientData_v2>`
	return []byte(report)
}
