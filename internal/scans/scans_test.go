package scans_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/scans"
	"github.com/patchwarrant/patchwarrant/internal/scans/scanstest"
)

// TestSectigo: 418 findings of a scanner are 26 distinct vulnerabilities, and both numbers are there. Our own verdicts agree.
func TestSectigo(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		flaws := scanstest.Flaws(26, "libssl3", "3.0.9-1", "3.0.11-1~deb12u1")
		var hosts, records []string
		for i := range 17 {
			hosts = append(hosts, fmt.Sprintf("CA%d.example.net", i+1))
			if i < 16 { // the last is not in the inventory
				w.host(fmt.Sprintf("hst_%02d", i), fmt.Sprintf("ca%d", i+1), "libssl3 3.0.9-1 openssl 3.0.9-1")
			}
		}
		for _, f := range flaws {
			records = append(records, "openssl "+f.CVE+" resolved "+f.Fixed)
		}
		w.states(records...)
		report := scanstest.Nessus(418, hosts, flaws, w.now.Add(-time.Hour))
		r := w.imports(report)
		if r.Findings != 418 || r.Vulnerabilities != 26 || r.Records != 418 || r.Accepted != 418 || r.Hosts != 17 || r.UnknownHosts != 1 {
			t.Errorf("%+v", r)
		}
		c := w.compare(r.ID, scans.Filter{})
		if c.Relations[scans.Agree] != 416 || c.Relations[scans.NotOurs] != 2 || c.Relations[scans.OnlyOurs] != 0 || c.Vulnerabilities != 26 {
			t.Errorf("%+v, %d distinct", c.Relations, c.Vulnerabilities)
		}
		if c.Rows[0].Source != "openssl" || c.Rows[0].Package != "libssl3" {
			t.Errorf("libssl3 is not folded onto openssl: %+v", c.Rows[0])
		}
		_, again, err := w.Import(t.Context(), "alice", strings.NewReader(string(report)), scans.Delivery{From: "file"})
		if err != nil || !again || w.acts("report.imported") != 1 {
			t.Errorf("the same bytes count twice: %v, %d acts", err, w.acts("report.imported"))
		}
		view, err := w.triage.Vulnerabilities(t.Context())
		if err != nil || view.Findings != 416 || view.Vulnerabilities != 26 {
			t.Errorf("our own numbers: %v, %d findings, %d vulnerabilities", err, view.Findings, view.Vulnerabilities)
		}
	})
}

// nessus makes a report about hosts; an item is "package installed fixed CVE…", or "banner CVE".
func nessus(taken time.Time, hosts map[string][]string) []byte {
	var b strings.Builder
	b.WriteString(`<NessusClientData_v2><Report>`)
	for name, items := range hosts {
		fmt.Fprintf(&b, `<ReportHost name="%s"><HostProperties><tag name="Credentialed_Scan">true</tag><tag name="HOST_END_TIMESTAMP">%d</tag></HostProperties>`, name, taken.Unix())
		for i, item := range items {
			f := strings.Fields(item)
			if f[0] == "banner" {
				fmt.Fprintf(&b, `<ReportItem severity="2" pluginID="9%d"><cve>%s</cve><plugin_type>remote</plugin_type></ReportItem>`, i, f[1])
				continue
			}
			fmt.Fprintf(&b, `<ReportItem severity="2" pluginID="%d"><cve>%s</cve><plugin_type>local</plugin_type><plugin_output>Remote package installed : %s_%s
Should be : %s_%s</plugin_output></ReportItem>`, i, strings.Join(f[3:], "</cve><cve>"), f[0], f[1], f[0], f[2])
		}
		b.WriteString(`</ReportHost>`)
	}
	b.WriteString(`</Report></NessusClientData_v2>`)
	return []byte(b.String())
}

// TestEveryDifferenceHasAReason walks through all classes on one host.
func TestEveryDifferenceHasAReason(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.host("hst_a", "ca1", "libssl3 3.0.11-1~deb12u2 openssl 3.0.11-1~deb12u2", "zlib1g 1:1.2.13-1 zlib 1:1.2.13-1", "vim 9-1 vim 9-1",
		"linux-image-6.1.0-40-amd64 6.1.153-1 linux 6.1.153-1", "linux-image-6.1.0-28-amd64 6.1.119-1 linux 6.1.119-1", "bash 5-1 bash 5-1")
	w.states("openssl CVE-2026-0001 resolved 3.0.11-1~deb12u1", "openssl CVE-2026-0002 resolved 3.0.11-1~deb12u3", "zlib CVE-2026-0003 resolved 0",
		"linux CVE-2026-0004 resolved 6.1.140-1", "vim CVE-2026-0005 open - unimportant", "vim CVE-2026-0006 open -", "bash CVE-2026-0007 resolved 5-2",
		"openssl CVE-2026-0008 resolved 3.0.11-1~deb12u1", "openssl CVE-2026-0009 undetermined -", "openssl CVE-2026-0010 resolved 3.0.11-1~deb12u1",
		"nginx CVE-2026-0012 resolved 1-2")
	r := w.imports(nessus(w.now, map[string][]string{"ca1": {"banner CVE-2026-0001", "libssl3 3.0.11-1~deb12u2 3.0.11-1~deb12u3 CVE-2026-0002", "zlib1g 1:1.2.13-1 1:1.3-1 CVE-2026-0003",
		"linux-image-6.1.0-28-amd64 6.1.119-1 6.1.140-1 CVE-2026-0004", "libssl3 3.0.9-1 3.0.11-1~deb12u1 CVE-2026-0008", "libssl3 3.0.11-1~deb12u2 3.0.12-1 CVE-2026-0010",
		"libssl3 3.0.11-1~deb12u2 3.0.12-1 CVE-2026-0009", "libssl3 3.0.11-1~deb12u2 3.0.12-1 CVE-2026-0011", "nginx 1-1 1-2 CVE-2026-0012", "perl 5-1 5-2 CVE-2026-0013", "banner CVE-2026-0014"}}))
	if r.Records != 11 || r.Accepted != 11 {
		t.Fatalf("%+v", r)
	}
	want := map[string]string{
		"CVE-2026-0001/unknown": "contradiction banner", "CVE-2026-0002/openssl": "agree same-word", "CVE-2026-0003/zlib": "contradiction no-such-code",
		"CVE-2026-0004/linux": "contradiction other-kernel", "CVE-2026-0008/openssl": "contradiction newer-set", "CVE-2026-0010/openssl": "contradiction other-fix",
		"CVE-2026-0009/openssl": "only-theirs vendor-unsure", "CVE-2026-0011/openssl": "only-theirs feed-silent", "CVE-2026-0012/nginx": "contradiction not-installed",
		"CVE-2026-0013/perl": "only-theirs not-installed", "CVE-2026-0014/unknown": "only-theirs feed-silent", "CVE-2026-0005/vim": "only-ours unimportant",
		"CVE-2026-0006/vim": "only-ours no-fix-yet", "CVE-2026-0007/bash": "only-ours their-silence",
	}
	c := w.compare(r.ID, scans.Filter{})
	for _, x := range c.Rows {
		name := x.ID + "/" + x.Source
		if got := string(x.Relation) + " " + string(x.Class); got != want[name] {
			t.Errorf("%s: %s, want %s (%s)", name, got, want[name], x.Reason)
		}
		if x.Reason == "" {
			t.Errorf("%s: no reason", name)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not there: %v", want)
	}
	if only := w.compare(r.ID, scans.Filter{Relation: scans.OnlyOurs}); len(only.Rows) != 3 || only.Relations[scans.Contradiction] == 0 {
		t.Errorf("filter: %d rows, %v", len(only.Rows), only.Relations)
	}
	if banners := w.compare(r.ID, scans.Filter{Banner: "yes"}); len(banners.Rows) != 2 {
		t.Errorf("%d banner findings", len(banners.Rows))
	}
}

// TestAReportClosesNothing: what a report says is fixed, and what it is silent about, stays open until a host reports it.
func TestAReportClosesNothing(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.host("hst_a", "ca1", "libssl3 3.0.9-1 openssl 3.0.9-1")
	w.states("openssl CVE-2026-0001 resolved 3.0.11-1", "openssl CVE-2026-0002 resolved 3.0.11-1")
	r := w.imports([]byte(`{"bomFormat":"CycloneDX","metadata":{"component":{"name":"ca1"}},"components":[{"bom-ref":"a","name":"libssl3","version":"3.0.9-1"}],
"vulnerabilities":[{"id":"CVE-2026-0001","analysis":{"state":"resolved"},"affects":[{"ref":"a"}]}]}`))
	c := w.compare(r.ID, scans.Filter{})
	if len(c.Rows) != 2 || c.Classes[scans.ClaimedFixed] != 1 || c.Classes[scans.TheirSilence] != 1 {
		t.Errorf("%+v", c.Tally)
	}
	view, err := w.triage.Vulnerabilities(t.Context())
	if err != nil || view.Findings != 2 {
		t.Errorf("a report closed a finding: %v, %d are left", err, view.Findings)
	}
}

func TestANewerReportTakesThePlace(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.host("hst_a", "ca1", "libssl3 3.0.9-1 openssl 3.0.9-1")
	w.states("openssl CVE-2026-0001 resolved 3.0.11-1", "openssl CVE-2026-0002 resolved 3.0.11-1")
	first := w.imports(nessus(w.now.Add(-48*time.Hour), map[string][]string{"ca1": {"libssl3 3.0.9-1 3.0.11-1 CVE-2026-0001"}, "other": {"libssl3 3.0.9-1 3.0.11-1 CVE-2026-0001"}}))
	w.now = w.now.Add(time.Minute)
	second := w.imports(nessus(w.now.Add(-24*time.Hour), map[string][]string{"ca1": {"libssl3 3.0.9-1 3.0.11-1 CVE-2026-0002"}}))
	w.now = w.now.Add(time.Minute)
	late := w.imports(nessus(w.now.Add(-72*time.Hour), map[string][]string{"ca1": {"libssl3 3.0.9-1 3.0.11-1 CVE-2026-0001 CVE-2026-0002"}}))
	for id, want := range map[string]int{first.ID: 1, second.ID: 1, late.ID: 0} {
		c := w.compare(id, scans.Filter{})
		if n := len(c.Rows) - c.Relations[scans.OnlyOurs]; n != want {
			t.Errorf("%s still says %d findings, want %d", id, n, want)
		}
	}
	counts, said, err := w.About(t.Context(), "CVE-2026-0001/openssl", 10)
	if err != nil || len(said) != 1 || said[0].On.Name != "other" || said[0].Relation != scans.NotOurs || len(counts) != 1 || counts[0].Findings != 1 {
		t.Errorf("%v %+v %+v", err, counts, said)
	}
	on, err := w.OnHost(t.Context(), "hst_a")
	if err != nil || len(on) != 1 || on[0].Report != second.ID {
		t.Errorf("%v %+v", err, on)
	}
	// a scan without a login does not outdate one with
	w.now = w.now.Add(time.Minute)
	w.imports([]byte(strings.Replace(string(nessus(w.now, map[string][]string{"ca1": {"banner CVE-2026-0001"}})), ">true<", ">false<", 1)))
	if on, err = w.OnHost(t.Context(), "hst_a"); err != nil || len(on) != 2 {
		t.Errorf("%v %+v", err, on)
	}
}

func TestAScannerFallsSilent(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.imports(nessus(w.now, map[string][]string{"ca1": {"banner CVE-2026-0001"}}))
	for range 2 {
		w.now = w.now.Add(scans.MaxAge - time.Hour)
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	clocks, err := w.Clocks(t.Context())
	if err != nil || len(clocks) != 1 || clocks[0].SilentAt.IsZero() || w.acts("scanner.silent") != 1 {
		t.Fatalf("%v %+v", err, clocks)
	}
	if err := w.Sweep(t.Context()); err != nil || w.acts("scanner.silent") != 1 {
		t.Errorf("%v: the alarm comes twice", err)
	}
	w.imports(nessus(w.now, map[string][]string{"ca1": {"banner CVE-2026-0002"}}))
	if clocks, err = w.Clocks(t.Context()); err != nil || !clocks[0].SilentAt.IsZero() {
		t.Errorf("%v: a report does not end the alarm", err)
	}
}

func TestWhatIsNoReportIsRefused(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	for _, bad := range []string{"", "<html>", `{"a":1}`, `<NessusClientData_v2><Report>`, `{"LayerCount":1,"Vulnerabilities":{"High":[{"Name":"CVE-2026-0001"}]}}`} {
		if _, _, err := w.Import(t.Context(), "alice", strings.NewReader(bad), scans.Delivery{}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if w.acts("report.refused") != 5 || w.acts("report.imported") != 0 {
		t.Errorf("%d refusals in the ledger", w.acts("report.refused"))
	}
	if _, _, err := w.Import(t.Context(), "alice", strings.NewReader(`{"LayerCount":1,"Vulnerabilities":{"High":[{"Name":"CVE-2026-0001"}]}}`), scans.Delivery{About: "CA1"}); err != nil {
		t.Errorf("with its host named: %v", err)
	}
}

// TestHostsAreNotMistaken: two hosts of one name in two domains are two, and a name that two hosts have is neither.
func TestHostsAreNotMistaken(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.host("hst_a", "web.a.example", "bash 5-1 bash 5-1")
	w.host("hst_b", "web.b.example", "bash 5-1 bash 5-1")
	w.host("hst_c", "db", "bash 5-1 bash 5-1")
	w.host("hst_d", "app", "bash 5-1 bash 5-1")
	w.names["hst_d"] = append(w.names["hst_d"], "192.0.2.9")
	r := w.imports(nessus(w.now, map[string][]string{"192.0.2.9": {"banner CVE-2026-0001"}, "192.0.2.8": {"banner CVE-2026-0001"}, "web.a.example": {"banner CVE-2026-0001"}, "web": {"banner CVE-2026-0001"}, "web.c.example": {"banner CVE-2026-0001"},
		"DB.x.example": {"banner CVE-2026-0001"}}))
	_, hosts, err := w.Report(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"web.a.example": "hst_a", "web": "", "web.c.example": "", "DB.x.example": "hst_c", "192.0.2.9": "hst_d", "192.0.2.8": ""}
	for _, h := range hosts {
		if h.Host != want[h.Name] {
			t.Errorf("%s is taken for %q, want %q", h.Name, h.Host, want[h.Name])
		}
	}
}
