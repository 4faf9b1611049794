//go:build pages

package world

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// settled names what the story left behind.
type settled struct {
	Stage         string   `json:"stage"`        // orders
	Closed        string   `json:"closed"`       //
	Investigated  string   `json:"investigated"` //
	Waiting       string   `json:"waiting"`      // for approval
	Investigation string   `json:"investigation"`
	Records       []string `json:"records"` // of snapshots, the first two signed

	Inventory  [2]string `json:"inventory"`  // records: of a host, of a machine without one
	Retirement string    `json:"retirement"` // of the silent host, waits for signatures
	Undecided  string    `json:"undecided"`  // decision that waits for a second person
	Policies   [2]string `json:"policies"`   // the one in force, one that waits for signatures
	Scan       string    `json:"scan"`       // a scanner's report
	Suspicion  string    `json:"suspicion"`
}

// tell arranges what happened on the site in the last 28 hours, and sets its clock to now.
func tell(t *testing.T, mark, database string) (*site, settled) {
	t.Helper()
	s := found(t, mark, database, 28*time.Hour)
	var told settled
	s.learn()
	for _, h := range hosts {
		s.enrol(h.name, h.environment, "6.1.0-40-amd64", packages(h.role))
	}
	s.ok(s.as("bob", http.MethodPost, "/upstreams/debian-security/refresh", nil, nil))

	s.accept("CVE-2026-30412/openssl", "Certificates from customers are parsed on every front end.")
	s.accept("CVE-2026-28871/sudo", "Any shell on these hosts could use it.")
	s.decide("bob", v1.Draft{Vulnerability: "CVE-2025-48310/vim", Kind: triage.NotConcerned, Scope: triage.FleetScope, Justification: "vulnerable_code_not_in_execute_path",
		Reason: s.text("Nobody edits files with modelines on servers; the package is in the base image only."), Until: time.Now().Add(120 * 24 * time.Hour)}, "alice")
	s.decide("alice", v1.Draft{Vulnerability: "CVE-2026-11209/curl", Kind: triage.Defer, Scope: triage.FleetScope,
		Reason: s.text("No fix yet; our proxies strip the header that triggers it."), Until: time.Now().Add(30 * time.Hour)})
	first := s.curate()
	told.Stage = s.stage(first, "OpenSSL certificate parser: heap overflow", "CVE-2026-30412/openssl", "CVE-2026-28871/sudo").ID
	o := s.production(first, told.Stage, trustroot.Routine, "OpenSSL certificate parser: heap overflow", nil, "CVE-2026-30412/openssl", "CVE-2026-28871/sudo")
	s.approve(o, "alice", "dave")
	told.Closed = s.ended(o, change.Closed)
	s.enrol("batch-07", "production", "6.1.0-37-amd64", packages("batch")).stop()
	s.keepBooks(&told)

	s.behind(3 * time.Hour)
	s.accept("CVE-2026-33019/curl", "In CISA's catalogue; every host fetches with curl.")
	second := s.curate()
	stage := s.stage(second, "curl: exploited redirect flaw", "CVE-2026-33019/curl")
	s.hosts["web-02"].meddled = true
	o = s.production(second, stage.ID, trustroot.Emergency, "curl: exploited redirect flaw", []string{"web-01", "web-02", "db-01"}, "CVE-2026-33019/curl")
	s.approve(o, "alice", "carol")
	told.Investigated = s.ended(o, change.Investigating)

	s.behind(20 * time.Minute)
	s.accept("CVE-2026-29550/nginx", "The HTTP/3 listener is open to the internet.")
	s.accept("CVE-2026-27744/libxml2", "Used by the import of customers' invoices.")
	third := s.curate()
	stage = s.stage(third, "nginx and libxml2: monthly updates", "CVE-2026-29550/nginx", "CVE-2026-27744/libxml2")
	s.catchUp()
	told.Waiting = s.production(third, stage.ID, trustroot.Routine, "nginx and libxml2: monthly updates", []string{"web-01", "web-03", "db-01", "mail-01"}, "CVE-2026-29550/nginx", "CVE-2026-27744/libxml2").ID
	s.accept("CVE-2026-31990/postgresql-15", "Reachable by every tenant with a database.")
	told.Records = []string{first.Record, second.Record, s.propose().Record}
	s.leaveOpen(&told)
	s.trouble()

	var all v1.Investigations
	s.ok(s.as("frank", http.MethodGet, "/investigations", nil, &all))
	if len(all.Investigations) != 1 || all.Investigations[0].Order != told.Investigated {
		t.Fatalf("investigations %+v, want one, of what order %s left unexplained", all.Investigations, told.Investigated)
	}
	told.Investigation = all.Investigations[0].ID
	s.forget()
	return s, told
}

// catchUp sets the clock right and starts the server again, so that all its sweeps see the time.
func (s *site) catchUp() {
	s.t.Helper()
	s.close()
	s.behind(0)
	s.open()
	s.serve()
}

type document map[string]any

// tracker is what Debian states.
func (s *site) tracker() document {
	tracker := document{}
	for _, a := range advisories {
		here := document{"status": "open", "urgency": s.text(a.urgency)}
		if a.fixed != "" {
			here = document{"status": "resolved", "fixed_version": a.fixed, "urgency": s.text(a.urgency), "repositories": document{"bookworm": a.fixed}}
		}
		if a.note != "" {
			here["nodsa"] = s.text(a.note)
		}
		of, there := tracker[a.source].(document)
		if !there {
			of = document{}
			tracker[a.source] = of
		}
		of[a.id] = document{"description": s.text(a.about), "scope": "remote", "releases": document{"bookworm": here}}
	}
	return tracker
}

// learn imports what is stated.
func (s *site) learn() {
	s.t.Helper()
	b, err := json.Marshal(s.tracker())
	s.ok(err)
	day := func(days int) string { return time.Now().AddDate(0, 0, days).Format(time.DateOnly) }
	s.ok(s.as("alice", http.MethodPut, "/sources/debian-tracker/content?from=security-tracker.debian.org", b, nil))
	b, err = json.Marshal(document{"count": 2, "vulnerabilities": []document{
		{"cveID": "CVE-2026-33019", "vulnerabilityName": s.text("curl redirect to local files"), "dateAdded": day(-6), "dueDate": day(15), "knownRansomwareCampaignUse": "Known"},
		{"cveID": "CVE-2026-31990", "vulnerabilityName": s.text("PostgreSQL planner code execution"), "dateAdded": day(-2), "dueDate": day(19), "knownRansomwareCampaignUse": "Unknown"},
	}})
	s.ok(err)
	s.ok(s.as("alice", http.MethodPut, "/sources/kev/content?from=cisa.gov", b, nil))
	epss := "cve,epss,percentile\n"
	for i, a := range advisories {
		epss += fmt.Sprintf("%s,0.%03d,0.5\n", a.id, 911/(i+1))
	}
	s.ok(s.as("alice", http.MethodPut, "/sources/epss/content?from=first.org", []byte(epss), nil))
}

func (s *site) accept(vulnerability, reason string) {
	s.t.Helper()
	s.decide("alice", v1.Draft{Vulnerability: vulnerability, Kind: triage.Accept, Scope: triage.FleetScope, Reason: s.text(reason)})
}

// decide has who decide, and others agree where it takes a second person.
func (s *site) decide(who string, d v1.Draft, others ...string) (made triage.Decided) {
	s.t.Helper()
	var p v1.Payload
	s.ok(s.as(who, http.MethodPost, "/decisions/draft", d, &p))
	e := envelope.Envelope{PayloadType: p.PayloadType, Payload: p.Payload}
	for _, id := range append([]string{who}, others...) {
		e.Signatures = append(e.Signatures, s.sign(id, p.PayloadType, p.Payload))
	}
	s.ok(s.as(who, http.MethodPost, "/decisions", e, &made))
	return made
}

func (s *site) propose() (made v1.Snapshot) {
	s.t.Helper()
	s.ok(s.as("bob", http.MethodPost, "/snapshots", v1.SnapshotProposal{Release: "bookworm"}, &made))
	return made
}

// curate proposes a snapshot of what is accepted, has it signed, and puts it into the channel stage.
func (s *site) curate() v1.Snapshot {
	s.t.Helper()
	made := s.propose()
	for _, who := range []string{"alice", "carol"} {
		s.ok(s.as(who, http.MethodPost, "/snapshots/"+made.Record+"/signatures", v1.Approval{Signature: s.sign(who, warrant.CurationType, made.Payload)}, nil))
	}
	s.promote("stage", made)
	return made
}

func (s *site) promote(channel string, made v1.Snapshot) {
	s.t.Helper()
	s.ok(s.as("bob", http.MethodPost, "/channels/"+channel+"/promotions", v1.Promotion{Snapshot: made.Snapshot}, nil))
}

// stage has a snapshot installed on the stage hosts, and lets it into production.
func (s *site) stage(made v1.Snapshot, reason string, vulnerabilities ...string) v1.Order {
	s.t.Helper()
	o := s.order(v1.Proposal{Kind: change.Stage, Snapshot: made.Snapshot, Reason: reason, Vulnerabilities: vulnerabilities})
	s.approve(o, "dave", "carol")
	s.ended(o, change.Closed)
	s.promote("production", made)
	return o
}

func (s *site) production(made v1.Snapshot, of, class, reason string, names []string, vulnerabilities ...string) v1.Order {
	s.t.Helper()
	p := v1.Proposal{Kind: change.Production, Class: class, Of: of, Snapshot: made.Snapshot, Reason: reason, Vulnerabilities: vulnerabilities,
		Notices: []warrant.Notice{{At: s.now().UTC().Truncate(time.Second), Audience: s.text("customers by mail, owners")}}}
	if class == trustroot.Emergency {
		p.Grounds = s.text("It is exploited, and the fix is small.")
	}
	for _, n := range names {
		p.Hosts = append(p.Hosts, s.hosts[n].ID)
	}
	slices.Sort(p.Hosts)
	var stage v1.Order
	var m explain.Manifest
	s.ok(s.as("frank", http.MethodGet, "/orders/"+of, nil, &stage))
	s.ok(s.as("frank", http.MethodGet, "/manifests/"+stage.Manifest, nil, &m))
	if len(m.Unaccounted()) > 0 {
		p.Acknowledge = s.text("The caches of the service, rewritten when it started again.")
	}
	return s.order(p)
}

func (s *site) order(p v1.Proposal) v1.Order {
	s.t.Helper()
	opens := s.now().UTC().Truncate(time.Second)
	p.Window = warrant.Window{OpensAt: opens, ClosesAt: opens.Add(8 * time.Hour)}
	p.Reason = s.text(p.Reason)
	p.Plan = s.text("Upgrade one host, wait for its health check, then the others in waves.\nAfter each wave: log in, search, order a test article.")
	p.BackOut = s.text("Downgrade to the versions before; they stay in the pool. Decision by the operations manager within 30 minutes.")
	var o v1.Proposed
	s.ok(s.as("bob", http.MethodPost, "/orders", p, &o))
	return o.Order
}

func (s *site) approve(o v1.Order, who ...string) {
	s.t.Helper()
	for _, id := range who {
		s.ok(s.as(id, http.MethodPost, "/orders/"+o.ID+"/signatures", v1.Approval{Signature: s.sign(id, warrant.OrderType, o.Payload)}, nil))
	}
}

// ended waits for an order's end and gives its ID.
func (s *site) ended(o v1.Order, state string) string {
	s.t.Helper()
	s.until("order "+o.Reason+" is "+state, func() bool {
		s.ok(s.as("frank", http.MethodGet, "/orders/"+o.ID, nil, &o))
		return o.State == state
	})
	return o.ID
}

// trouble is what is wrong today: a source that is refused, an archive signed by somebody else. A silent host is there
// already.
func (s *site) trouble() {
	s.t.Helper()
	if err := s.as("erin", http.MethodPut, "/sources/kev/content?from=mail", []byte(s.text("<html>Request blocked</html>")), nil); err == nil {
		s.t.Fatal("nonsense was taken")
	}
	other, err := pgp.Generate("Other", "other@example.org", pgp.Ed25519, s.now().Add(-time.Hour))
	s.ok(err)
	s.archive.Sign(other, "Suite: stable\n", s.now())
	if err := s.as("bob", http.MethodPost, "/upstreams/debian-security/refresh", nil, nil); err == nil {
		s.t.Fatal("an archive signed by somebody else was taken")
	}
}
