package server

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// TestPagesOfFindings: a host may have two versions of a source package, and other roots with the same. Page by page comes each
// finding, once.
func TestPagesOfFindings(t *testing.T) {
	s := tell(t)
	m := s.hosts[0]
	set := func(versions ...string) string {
		var all pkgset.Set
		for _, v := range versions {
			all = append(all, pkgset.Package{Name: "openssl" + v, Arch: "amd64", Version: v, Source: "openssl", SourceVersion: v})
		}
		return s.put(all.Canonical())
	}
	inventory, err := envelope.Encode(wire.Inventory{Hostname: m.host.Name, Distribution: "debian", Release: "bookworm", Arch: "amd64",
		Kernel: wire.Kernel{Running: "6.1.0-40-amd64", Installed: []string{}}, Sources: []wire.Source{}})
	s.ok(err)
	m.counter++
	_, need, err := s.server.estate.CheckIn(t.Context(), m.host.ID, wire.CheckIn{Counter: m.counter, At: s.now, PackageSet: set("3.0.0-1", "3.0.1-1"),
		Inventory: s.put(inventory), Trees: s.observe(m).Trees, TrustRootVersion: 1, AgentVersion: "1.0", ReportKey: m.reportKey(),
		Roots: map[string]wire.Root{"/srv/a": {PackageSet: set("3.0.1-1"), Inventory: s.put(inventory)}}})
	if err != nil || len(need) > 0 {
		t.Fatalf("%v, %v", need, err)
	}
	path := "/hosts/" + m.host.ID + "/findings"
	var whole, got v1.Findings
	s.as("alice", http.MethodGet, path, nil, &whole)
	for after := ""; len(got.Findings) <= len(whole.Findings); {
		var page v1.Findings
		s.as("alice", http.MethodGet, path+"?limit=1&after="+url.QueryEscape(after), nil, &page)
		if len(page.Findings) == 0 {
			break
		}
		last := page.Findings[0]
		after = last.ID + "/" + last.Source + "/" + last.Version + last.Root
		got.Findings = append(got.Findings, page.Findings...)
	}
	if d := cmp.Diff(whole, got); d != "" || len(whole.Findings) < 3 {
		t.Errorf("%d findings; page by page: %s", len(whole.Findings), d)
	}
}

// TestPagesOfTheQueue: an advisory that is reviewed meanwhile moves none of the others to another page.
func TestPagesOfTheQueue(t *testing.T) {
	s := tell(t)
	var whole v1.Advisories
	s.as("alice", http.MethodGet, "/advisories?limit=1000", nil, &whole)
	if len(whole.Advisories) < 2 || whole.All != len(whole.Advisories) {
		t.Fatalf("%d of %d", len(whole.Advisories), whole.All)
	}
	var got []intake.Advisory
	for after := ""; len(got) <= len(whole.Advisories); {
		var page v1.Advisories
		s.as("alice", http.MethodGet, "/advisories?limit=1&after="+url.QueryEscape(after), nil, &page)
		if len(page.Advisories) == 0 {
			break
		}
		got = append(got, page.Advisories...)
		last := got[len(got)-1]
		after = last.DueAt.Format(time.RFC3339Nano) + "/" + last.Source + "/" + last.ID
		s.as("alice", http.MethodPost, "/advisories/reviews", intake.Review{Advisories: []intake.Seen{last.Seen()}, Reason: "read"}, nil)
	}
	if d := cmp.Diff(whole.Advisories, got); d != "" {
		t.Error("page by page: ", d)
	}
}
