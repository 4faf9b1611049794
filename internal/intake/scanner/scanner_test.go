package scanner_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
)

// reports holds a small report of each format with what it says.
var reports = []struct {
	name, text string
	rows       []scanner.Row
	refused    int
}{
	{"nessus", `<?xml version="1.0" ?><NessusClientData_v2><Policy><a><b/></a></Policy><Report name="r"><ReportHost name="10.0.0.1"><HostProperties>
<tag name="HOST_END_TIMESTAMP">1795100000</tag><tag name="host-fqdn">CA1.example.net</tag><tag name="host-ip">10.0.0.1</tag><tag name="mac-address">02:00:0A:00:00:01
02:00:0A:00:00:02</tag><tag name="Credentialed_Scan">true</tag></HostProperties>
<ReportItem port="0" severity="0" pluginID="19506" pluginName="Scan information"><plugin_output>Credentialed checks : yes</plugin_output></ReportItem>
<ReportItem port="0" severity="3" pluginID="7" pluginName="Debian dsa-1 : openssl"><cve>CVE-2026-0002</cve><cve>CVE-2026-0001</cve><cvss3_vector>CVSS:3.1/AV:N</cvss3_vector><plugin_type>local</plugin_type><xref>DSA:1-1</xref><xref>IAVA:2026</xref><plugin_output>
Remote package installed : libssl3_3.0.9-1
Should be                : libssl3_3.0.11-1~deb12u1
Remote package installed : openssl_3.0.9-1
Should be                : openssl_3.0.11-1~deb12u1
</plugin_output></ReportItem>
<ReportItem port="443" severity="2" pluginID="8" pluginName="OpenSSL &lt; 3.0.11 &amp;c"><cve>CVE-2026-0001</cve><plugin_type>remote</plugin_type></ReportItem>
</ReportHost></Report></NessusClientData_v2>`, []scanner.Row{
		{Host: "10.0.0.1", CVEs: []string{"CVE-2026-0001", "CVE-2026-0002"}, Advisories: []string{"DSA-1-1"}, Plugin: "nessus-7", Title: "Debian dsa-1 : openssl",
			Severity: "high", Vector: "CVSS:3.1/AV:N", Claim: scanner.Affected, Packages: []scanner.Package{
				{Name: "libssl3", Version: "3.0.9-1", Fixed: "3.0.11-1~deb12u1"}, {Name: "openssl", Version: "3.0.9-1", Fixed: "3.0.11-1~deb12u1"}}},
		{Host: "10.0.0.1", CVEs: []string{"CVE-2026-0001"}, Plugin: "nessus-8", Title: "OpenSSL < 3.0.11 &c", Severity: "medium", Claim: scanner.Affected, Banner: true}}, 1},
	{"openvas", `<get_reports_response><report id="1"><report id="1"><scan_end>2026-11-20T10:00:00Z</scan_end><results>
<result><name>x</name><host>10.0.0.2<hostname>ca2</hostname></host><nvt oid="1.3.6"><name>Debian: DSA-1</name><refs><ref type="cve" id="CVE-2026-0001"/><ref type="url" id="https://example.net"/></refs><tags>cvss_base_vector=AV:N/AC:L|summary=s</tags></nvt><threat>High</threat><qod><value>97</value><type>package</type></qod><description>Vulnerable package:   openssl
Installed version:    openssl-3.0.9-1
Fixed version:      &gt;=openssl-3.0.11-1~deb12u1</description></result>
<result><host>10.0.0.2</host><nvt oid="1.3.7"><name>Banner</name><cve>CVE-2026-0003, NOCVE</cve></nvt><threat>Medium</threat><qod><value>80</value><type>remote_banner</type></qod></result>
<result><host>10.0.0.2</host><nvt oid="1.3.8"><name>CPE</name></nvt><threat>Log</threat><qod><value>80</value></qod></result></results>
<host><ip>10.0.0.2</ip><detail><name>hostname</name><value>ca2.example.net</value></detail></host></report></report></get_reports_response>`, []scanner.Row{
		{Host: "10.0.0.2", CVEs: []string{"CVE-2026-0001"}, Plugin: "openvas-1.3.6", Title: "Debian: DSA-1", Severity: "high", Vector: "AV:N/AC:L", Claim: scanner.Affected,
			Packages: []scanner.Package{{Name: "openssl", Version: "3.0.9-1", Fixed: "3.0.11-1~deb12u1"}}},
		{Host: "10.0.0.2", CVEs: []string{"CVE-2026-0003"}, Plugin: "openvas-1.3.7", Title: "Banner", Severity: "medium", Claim: scanner.Affected, Banner: true}}, 1},
	{"trivy", `{"SchemaVersion":2,"CreatedAt":"2026-11-20T10:00:00Z","ArtifactName":"ca3","Metadata":{"OS":{"Family":"debian","Name":"12.5"},"ImageConfig":{"x":[1,{"y":null}]}},
"Results":[{"Target":"ca3 (debian 12.5)","Class":"os-pkgs","Type":"debian","Vulnerabilities":[
{"VulnerabilityID":"CVE-2026-0001","VendorIDs":["DSA-1-1"],"PkgName":"libssl3","InstalledVersion":"3.0.9-1","FixedVersion":"3.0.11-1~deb12u1","Status":"fixed","Severity":"HIGH","SeveritySource":"debian","CVSS":{"nvd":{"V3Vector":"CVSS:3.1/AV:N"}}},
{"VulnerabilityID":"CVE-2026-0004","PkgName":"zlib1g","InstalledVersion":"1:1.2.13","Status":"not_affected","Severity":"LOW"},{"PkgName":"x"},7]},
{"Target":"Dockerfile","Misconfigurations":[{"ID":"DS002"}]},{"Target":"app","Vulnerabilities":null}]}`, []scanner.Row{
		{Host: "ca3", CVEs: []string{"CVE-2026-0001"}, Advisories: []string{"DSA-1-1"}, Plugin: "trivy-CVE-2026-0001", Severity: "high", Vector: "CVSS:3.1/AV:N", Claim: scanner.Affected,
			Packages: []scanner.Package{{Name: "libssl3", Version: "3.0.9-1", Fixed: "3.0.11-1~deb12u1"}}},
		{Host: "ca3", CVEs: []string{"CVE-2026-0004"}, Plugin: "trivy-CVE-2026-0004", Severity: "low", Claim: scanner.NotAffected,
			Packages: []scanner.Package{{Name: "zlib1g", Version: "1:1.2.13"}}}}, 3},
	{"trivy", ` [{"Target":"img (debian 10.8)","Vulnerabilities":[{"VulnerabilityID":"CVE-2026-0001","PkgName":"apt","InstalledVersion":"1.8"}]}]`, []scanner.Row{
		{Host: "img", CVEs: []string{"CVE-2026-0001"}, Plugin: "trivy-CVE-2026-0001", Claim: scanner.Affected, Packages: []scanner.Package{{Name: "apt", Version: "1.8"}}}}, 0},
	{"grype", `{"matches":[{"vulnerability":{"id":"CVE-2026-0001","severity":"High","fix":{"versions":["3.0.11"],"state":"fixed"},"advisories":[{"id":"DSA-1-1"}]},
"matchDetails":[{"type":"exact-indirect-match"}],"artifact":{"name":"libssl3","version":"3.0.9-1","type":"deb","upstreams":[{"name":"openssl"}]}},
{"vulnerability":{"id":"GHSA-aaaa-bbbb-cccc","severity":"Low"},"relatedVulnerabilities":[{"id":"CVE-2026-0005"}],"artifact":{"name":"lib","version":"1","type":"npm"}},{}],
"ignoredMatches":[{"vulnerability":{"id":"CVE-2026-0009"}}],"source":{"type":"directory","target":"/"},"distro":{"name":"debian"},"descriptor":{"name":"grype","version":"0.110.0","timestamp":"2026-11-20T10:00:00Z"}}`, []scanner.Row{
		{Host: "/", CVEs: []string{"CVE-2026-0001"}, Advisories: []string{"DSA-1-1"}, Plugin: "grype-CVE-2026-0001", Severity: "high", Claim: scanner.Affected,
			Packages: []scanner.Package{{Name: "libssl3", Version: "3.0.9-1", Source: "openssl", Fixed: "3.0.11"}}},
		{Host: "/", CVEs: []string{"CVE-2026-0005"}, Advisories: []string{"GHSA-aaaa-bbbb-cccc"}, Plugin: "grype-GHSA-aaaa-bbbb-cccc", Severity: "low", Claim: scanner.Affected,
			Packages: []scanner.Package{{Name: "lib", Version: "1"}}}}, 2},
	{"cyclonedx", `{"bomFormat":"CycloneDX","specVersion":"1.5","metadata":{"timestamp":"2026-11-20T10:00:00Z","tools":{"components":[{"name":"Syft","version":"1.2"}]},"component":{"name":"ca4"}},
"vulnerabilities":[{"id":"CVE-2026-0001","ratings":[{"severity":"high"}],"analysis":{"state":"not_affected"},"affects":[{"ref":"a"},{"ref":"inner"},{"ref":"nowhere"}]}],
"components":[{"bom-ref":"a","name":"libssl3","version":"3.0.9-1","purl":"pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&upstream=openssl%403.0.9","components":[{"bom-ref":"inner","name":"z","version":"1"}]}]}`, []scanner.Row{
		{Host: "ca4", CVEs: []string{"CVE-2026-0001"}, Plugin: "Syft-CVE-2026-0001", Severity: "high", Claim: scanner.NotAffected, Packages: []scanner.Package{
			{Name: "libssl3", Version: "3.0.9-1", Source: "openssl"}, {Name: "z", Version: "1"}}}}, 0},
	{"qualys", "\"Report\",\"04 Feb 2026 10:00AM GMT-0500\"\n" + `"CVE","QID","Title","CVSS Rating Labels","Type Detected","Last Detected","Status","Asset Name","Asset IPV4","Disabled","Ignored"
"CVE-2026-0001","8","=cmd|' /C calc'!A0","HIGH","Potential","Feb 03, 2026 07:00 AM","ACTIVE","CA5","10.0.0.5,10.0.0.6","No","No"
"CVE-2026-0002","9","t","HIGH","Confirmed","Feb 03, 2026 07:00 AM","FIXED","CA5","10.0.0.5","No","No"
"CVE-2026-0003","9","t","HIGH","Confirmed","","ACTIVE","CA5","10.0.0.5","No","Yes"
`, []scanner.Row{
		{Host: "CA5", CVEs: []string{"CVE-2026-0001"}, Plugin: "qualys-8", Title: "=cmd|' /C calc'!A0", Severity: "high", Claim: scanner.Affected, Banner: true},
		{Host: "CA5", CVEs: []string{"CVE-2026-0002"}, Plugin: "qualys-9", Title: "t", Severity: "high", Claim: scanner.Fixed}}, 1},
	{"wazuh", `{"took":1,"hits":{"total":{"value":1},"hits":[{"_source":{"agent":{"name":"ca6"},"host":{"os":{"full":"Debian 12"}},"package":{"name":"openssl","version":"3.0.9-1"},
"vulnerability":{"id":"CVE-2026-0001","severity":"Critical","detected_at":"2026-11-20T10:00:00Z","scanner":{"condition":"Package less than 3.0.11"}}}},{"_source":7}]}}`, []scanner.Row{
		{Host: "ca6", CVEs: []string{"CVE-2026-0001"}, Plugin: "wazuh-CVE-2026-0001", Severity: "critical", Claim: scanner.Affected,
			Packages: []scanner.Package{{Name: "openssl", Version: "3.0.9-1", Fixed: "3.0.11"}}}}, 1},
	{"wazuh", `{"data":{"affected_items":[{"name":"curl","version":"1","cve":"CVE-2026-0001","severity":"Medium","condition":"Package unfixed","agent_name":"ca7","agent_ip":"10.0.0.7"}]}}`, []scanner.Row{
		{Host: "ca7", CVEs: []string{"CVE-2026-0001"}, Plugin: "wazuh-CVE-2026-0001", Severity: "medium", Claim: scanner.Affected,
			Packages: []scanner.Package{{Name: "curl", Version: "1"}}}}, 0},
	{"clair", `{"image":"img","unapproved":["CVE-2026-0001"],"vulnerabilities":[{"featurename":"glibc","featureversion":"2.27","vulnerability":"CVE-2026-0001","severity":"Low","fixedby":""}]}`, []scanner.Row{
		{Host: "img", CVEs: []string{"CVE-2026-0001"}, Plugin: "clair-CVE-2026-0001", Severity: "low", Claim: scanner.Affected,
			Packages: []scanner.Package{{Name: "glibc", Version: "2.27"}}}}, 0},
	{"cyclonedx", `<?xml version="1.0"?><bom xmlns="http://cyclonedx.org/schema/bom/1.5" version="1"><metadata><timestamp>2026-11-20T10:00:00Z</timestamp><tools><tool><vendor>v</vendor><name>Trivy</name><version>0.5</version></tool></tools>
<component type="container"><name>ca8</name></component></metadata><components><component type="library" bom-ref="a"><name>libssl3</name><version>3.0.9-1</version><purl>pkg:deb/debian/libssl3@3.0.9-1?upstream=openssl</purl>
<components><component bom-ref="inner"><name>z</name><version>1</version></component></components></component></components>
<vulnerabilities><vulnerability bom-ref="v"><id>CVE-2026-0001</id><references><reference><id>DSA-1-1</id></reference></references><ratings><rating><severity>high</severity><vector>CVSS:3.1/AV:N</vector></rating></ratings>
<description>Heap &lt;overflow&gt;</description><analysis><state>resolved</state></analysis><affects><target><ref>a</ref></target><target><ref>inner</ref></target></affects></vulnerability></vulnerabilities></bom>`, []scanner.Row{
		{Host: "ca8", CVEs: []string{"CVE-2026-0001"}, Advisories: []string{"DSA-1-1"}, Plugin: "Trivy-CVE-2026-0001", Title: "Heap <overflow>", Severity: "high", Vector: "CVSS:3.1/AV:N",
			Claim: scanner.Fixed, Packages: []scanner.Package{{Name: "libssl3", Version: "3.0.9-1", Source: "openssl"}, {Name: "z", Version: "1"}}}}, 0},
	{"spdx", `{"spdxVersion":"SPDX-2.3","packages":[{"name":"libssl3","versionInfo":"3.0.9-1","externalRefs":[
{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:deb/debian/libssl3@3.0.9-1?upstream=openssl"},
{"referenceCategory":"SECURITY","referenceType":"advisory","referenceLocator":"https://example.net/CVE-2026-0001"},
{"referenceCategory":"SECURITY","referenceType":"advisory","referenceLocator":"https://example.net/GHSA-aaaa-bbbb-cccc"}]},{"name":"plain"}],
"creationInfo":{"created":"2026-11-20T10:00:00Z","creators":["Organization: x","Tool: syft-1.2"]},"name":"ca9"}`, []scanner.Row{
		{Host: "ca9", CVEs: []string{"CVE-2026-0001"}, Plugin: "spdx-CVE-2026-0001", Claim: scanner.Undetermined, Packages: []scanner.Package{{Name: "libssl3", Version: "3.0.9-1", Source: "openssl"}}},
		{Host: "ca9", Advisories: []string{"GHSA-aaaa-bbbb-cccc"}, Plugin: "spdx-GHSA-aaaa-bbbb-cccc", Claim: scanner.Undetermined, Packages: []scanner.Package{{Name: "libssl3", Version: "3.0.9-1", Source: "openssl"}}}}, 1},
	{"spdx", `SPDXVersion: SPDX-2.3
DocumentName: ca10
Creator: Tool: syft-1.2
Created: 2026-11-20T10:00:00Z
PackageName: plain
PackageComment: <text>looks like
PackageName: none
ExternalRef: SECURITY advisory https://example.net/CVE-2026-9999</text>
PackageName: curl
PackageVersion: 7.88.1-10
ExternalRef: SECURITY cpe23Type cpe:2.3:a:haxx:curl:7.88.1:*:*:*:*:*:*:*
ExternalRef: SECURITY advisory https://nvd.nist.gov/vuln/detail/CVE-2026-0002
`, []scanner.Row{{Host: "ca10", CVEs: []string{"CVE-2026-0002"}, Plugin: "spdx-CVE-2026-0002", Claim: scanner.Undetermined,
		Packages: []scanner.Package{{Name: "curl", Version: "7.88.1-10"}}}}, 1},
	{"pentest", "\ufeffTitle,severity,host,cve,evidence,package\n\"Old, weak\",High,web1,CVE-2026-0001 CVE-2026-0002,\"a\nb\",openssl\nDefault password,,web2,,,\n,low,web3,,,\nno host,low,,,,\n", []scanner.Row{
		{Host: "web1", CVEs: []string{"CVE-2026-0001", "CVE-2026-0002"}, Plugin: "pentest-0fe6d49e606b", Title: "Old, weak", Severity: "high", Claim: scanner.Affected, Banner: true, Packages: []scanner.Package{{Name: "openssl"}}},
		{Host: "web2", Plugin: "pentest-c2bb5d1edbff", Title: "Default password", Claim: scanner.Affected, Banner: true}}, 2},
	{"pentest", `{"pentest":1,"tester":"Red","date":"2026-11-19","findings":[{"title":"Default password","severity":"High","host":"web2","evidence":"x"},{"host":"web2"}]}`, []scanner.Row{
		{Host: "web2", Plugin: "pentest-c2bb5d1edbff", Title: "Default password", Severity: "high", Claim: scanner.Affected, Banner: true}}, 1},
}

// list keeps rows and hosts.
type list struct {
	rows  []scanner.Row
	hosts []scanner.Host
}

func (l *list) Host(h scanner.Host) error { l.hosts = append(l.hosts, h); return nil }
func (l *list) Row(r scanner.Row) error   { l.rows = append(l.rows, r); return nil }

func TestEachFormat(t *testing.T) {
	for i, c := range reports {
		t.Run(fmt.Sprint(i, c.name), func(t *testing.T) {
			var l list
			r, err := scanner.Read(strings.NewReader(c.text), "", "", &l)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.rows, l.rows, cmp.Transformer("empty", func(s []string) []string { return append([]string{}, s...) }),
				cmp.Transformer("none", func(p []scanner.Package) []scanner.Package { return append([]scanner.Package{}, p...) })); diff != "" {
				t.Error(diff)
			}
			if r.Format != c.name || r.Read != len(c.rows)+c.refused || r.Accepted != len(c.rows) {
				t.Errorf("%+v, want %d accepted and %d refused", r, len(c.rows), c.refused)
			}
			for end := range c.text { // every truncation is an error, or at least says no row twice
				var cut list
				_, err := scanner.Read(strings.NewReader(c.text[:end]), c.name, "", &cut)
				if err == nil && !byLine(c.text) && strings.TrimSpace(c.text[:end]) != strings.TrimSpace(c.text) {
					t.Fatalf("cut after %d bytes it still passes: %q", end, c.text[max(0, end-40):end])
				}
				if err != nil && fault.KindOf(err) != fault.Invalid {
					t.Fatalf("cut after %d bytes: kind %s: %v", end, fault.KindOf(err), err)
				}
			}
		})
	}
}

// byLine reports whether a format ends with any of its lines.
func byLine(text string) bool { return !strings.ContainsAny(strings.TrimSpace(text)[:1], "<{[") }

func TestWhatAReportTellsOfAHost(t *testing.T) {
	var l list
	r, err := scanner.Read(strings.NewReader(reports[0].text), "", "", &l)
	if err != nil || len(l.hosts) != 1 {
		t.Fatalf("%v, %d hosts", err, len(l.hosts))
	}
	h := l.hosts[0]
	if h.Name != "10.0.0.1" || !slices.Equal(h.Names, []string{"ca1.example.net"}) || !slices.Equal(h.Addresses, []string{"10.0.0.1"}) ||
		len(h.MACs) != 2 || !h.Credentialed || h.TakenAt.Unix() != 1795100000 || !r.TakenAt.Equal(h.TakenAt) {
		t.Errorf("%+v", h)
	}
	l = list{}
	if _, err := scanner.Read(strings.NewReader(reports[4].text), "", "ca9", &l); err != nil || l.rows[0].Host != "ca9" {
		t.Errorf("the host given by the importer is not used: %v %+v", err, l.rows)
	}
}

// endless repeats a piece for so many bytes between a head and a tail.
func endless(head, piece string, n int64, tail string) io.Reader {
	return io.MultiReader(strings.NewReader(head), io.LimitReader(&repeat{piece: piece}, n-n%int64(len(piece))), strings.NewReader(tail))
}

type repeat struct {
	piece string
	at    int
}

func (r *repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.piece[r.at]
		r.at = (r.at + 1) % len(r.piece)
	}
	return len(p), nil
}

// TestBombs: what is built to fill memory or to reach elsewhere is refused, and soon.
func TestBombs(t *testing.T) {
	const much = 64 << 20
	cases := map[string]io.Reader{
		"billion laughs":        strings.NewReader(`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><NessusClientData_v2><Report><ReportHost name="&b;"/></Report></NessusClientData_v2>`),
		"external entity":       strings.NewReader(`<!DOCTYPE x SYSTEM "http://127.0.0.1/x"><NessusClientData_v2/>`),
		"unknown entity":        strings.NewReader(`<NessusClientData_v2><Report><ReportHost name="&x;"/></Report></NessusClientData_v2>`),
		"deep XML":              endless("<NessusClientData_v2>", "<a>", much, ""),
		"long text":             endless("<NessusClientData_v2><Report><ReportHost name='h'><ReportItem><plugin_output>", "A", much, ""),
		"long attribute":        endless("<NessusClientData_v2><Report><ReportHost name='", "A", much, "'/>"),
		"deep JSON":             endless(`{"matches":`, "[", much, ""),
		"deep skipped JSON":     endless(`{"SchemaVersion":2,"x":`, `{"a":`, much, ""),
		"long string":           endless(`{"SchemaVersion":2,"Results":[{"Target":"`, "A", much, `"}]}`),
		"one huge record":       endless(`{"matches":[{"vulnerability":{"id":"CVE-2026-0001"},"x":[`, `0,`, much, `0]}]}`),
		"deep components":       endless(`<bom xmlns="http://cyclonedx.org/schema/bom/1.5">`, "<components><component>", much, ""),
		"long component":        endless(`<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><components><component><name>`, "A", much, ""),
		"XML of 1.5, laughs":    strings.NewReader(`<!DOCTYPE bom [<!ENTITY a "aaaa">]><bom xmlns="http://cyclonedx.org/schema/bom/1.5"/>`),
		"a bom of another":      strings.NewReader(`<bom xmlns="http://example.net/"></bom>`),
		"one huge tag":          endless("SPDXVersion: SPDX-2.3\nPackageName: ", "A", much, "\n"),
		"SPDX 3":                strings.NewReader(`{"spdxVersion":"SPDX-3.0","packages":[]}`),
		"endless text":          strings.NewReader("SPDXVersion: SPDX-2.3\nPackageComment: <text>x\n"),
		"one huge line":         endless("\"QID\",\"CVE\"\n\"", "A", much, ""),
		"much that is affected": endless(`{"bomFormat":"CycloneDX","vulnerabilities":[`, `{"id":"CVE-2026-0001","affects":[`+strings.Repeat("{},", 100_000)+`{}]},`, much, "]}"),
		"many that are related": endless(`{"matches":[`, `{"vulnerability":{"id":"CVE-2026-0001"},"artifact":{"name":"x"},"relatedVulnerabilities":[`+strings.Repeat("{},", 100_000)+`{}]},`, much, "]}"),
		"packed":                bytes.NewReader([]byte{0x1f, 0x8b, 8, 0}),
		"UTF-16":                bytes.NewReader([]byte("\xff\xfe{\x00}\x00")),
		"other encoding":        strings.NewReader(`<?xml version="1.0" encoding="utf-16"?><NessusClientData_v2></NessusClientData_v2>`),
		"nothing":               strings.NewReader(""),
		"no element":            strings.NewReader("<>"),
		"no report":             strings.NewReader(`{"hello":1}`),
		"HTML":                  strings.NewReader(`<html><body>log in first</body></html>`),
	}
	for name, r := range cases {
		t.Run(name, func(t *testing.T) {
			counted := &counting{Reader: r}
			_, err := scanner.Read(counted, "", "h", &list{})
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("kind %s: %v", fault.KindOf(err), err)
			}
			if counted.n > 20<<20 {
				t.Errorf("%d bytes were read before it was refused", counted.n)
			}
		})
	}
}

type counting struct {
	io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// failing is a sink whose disk is full.
type failing struct{ list }

func (f *failing) Row(scanner.Row) error { return errors.New("disk full") }

func TestOurOwnTroubleIsNotTheReports(t *testing.T) {
	_, err := scanner.Read(strings.NewReader(reports[0].text), "", "", &failing{})
	if err == nil || fault.KindOf(err) == fault.Invalid {
		t.Errorf("a full disk is said to be the report's fault: %v", err)
	}
}

// TestPenTestsAreBounded: people must answer each finding. What was numbered first stays so, and refused ones have no number.
func TestPenTestsAreBounded(t *testing.T) {
	var met []scanner.Finding
	r, err := scanner.PenTest(strings.NewReader(reports[len(reports)-2].text), "", func(f scanner.Finding) error { met = append(met, f); return nil })
	if err != nil || r.Accepted != 2 || len(met) != 2 || met[0].N != 1 || met[1].N != 2 || met[0].Evidence != "a\nb" || met[1].Title != "Default password" {
		t.Errorf("%+v %+v, %v", r, met, err)
	}
	if _, err := scanner.Read(endless("title,host,evidence\n", "t,h,e\n", 6*(scanner.MaxPenTest+1), ""), "", "", &list{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("%d findings: %v", scanner.MaxPenTest+1, err)
	}
	if _, err := scanner.Read(strings.NewReader("title,host,evidence,colour\nt,h,e,red\n"), "", "", &list{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a column of another form: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, c := range reports {
		f.Add([]byte(c.text), "")
		f.Add([]byte(c.text), c.name)
	}
	f.Fuzz(func(t *testing.T, b []byte, format string) {
		var l list
		r, err := scanner.Read(bytes.NewReader(b), format, "", &l)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("kind %s: %v", fault.KindOf(err), err)
			}
			return
		}
		refused := 0
		for _, n := range r.Refused {
			refused += n
		}
		if r.Read != r.Accepted+refused || r.Accepted != len(l.rows) {
			t.Fatalf("the counts do not add up: %+v, %d rows", r, len(l.rows))
		}
		for _, row := range l.rows {
			if len(row.IDs()) == 0 || row.IDs()[0] == "" || row.Host == "" || len(row.Title) > 600 || strings.ContainsAny(row.Title+row.Host, "\x00\n\x1b") {
				t.Fatalf("%+v", row)
			}
		}
	})
}
