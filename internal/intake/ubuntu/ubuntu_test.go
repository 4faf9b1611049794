package ubuntu_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/ubuntu"
)

const page = `{"notices":[{"id":"USN-1-1","title":"tool vulnerability","cves_ids":["CVE-2026-1","CVE-2026-2"],"release_packages":{
"jammy":[{"name":"tool","version":"1.0-1ubuntu1","is_source":true},{"name":"tool-bin","version":"1.0-1ubuntu1","is_source":false}],
"focal":[{"name":"tool-bin","version":"0.9-1ubuntu1~esm1","is_source":false,"pocket":"esm-infra"}]}},
{"id":"USN-2-1","cves_ids":[],"release_packages":{"jammy":[{"name":"old","version":"","is_source":false}]}}],"limit":20,"offset":0,"total_results":2}`

// definitions in the forms by vulnerability and by notice.
const definitions = `<?xml version="1.0"?>
<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5" xmlns:ind="x"><definitions>
<definition class="vulnerability" id="oval:com.ubuntu.jammy:def:1" version="1"><metadata><title>CVE-2026-1 on Ubuntu 22.04</title>
<advisory><cve priority="medium" cvss_vector="CVSS:3.1/x" usns="1-1">CVE-2026-1</cve></advisory></metadata><criteria><criteria operator="OR">
<criterion test_ref="t1" comment="tool package in jammy was vulnerable but has been fixed (note: '1.0-1ubuntu1')."/>
<criterion test_ref="t2" comment="other package in jammy is affected and needs fixing."/>
<criterion test_ref="t3" comment="third package in jammy is affected, but a decision has been made to defer addressing it (note: '2026-01-01')."/>
<criterion test_ref="t4" comment="fourth package in jammy may be odd."/>
<criterion test_ref="t5" comment="(CVE-2026-9) tool package in jammy is affected and needs fixing."/></criteria></criteria></definition>
<definition class="patch" id="oval:com.ubuntu.jammy:def:2" version="1"><metadata><title>USN-1-1 -- tool</title><reference source="USN" ref_id="USN-1-1"/>
<advisory><cve priority="low">CVE-2026-3</cve></advisory></metadata><criteria><criterion test_ref="t6" comment="Long Term Support"/></criteria></definition>
</definitions><tests><ind:textfilecontent54_test id="t6"><ind:object object_ref="o6"/><ind:state state_ref="s6"/></ind:textfilecontent54_test></tests>
<objects><ind:textfilecontent54_object id="o6"><ind:pattern var_ref="v6"/></ind:textfilecontent54_object></objects>
<states><ind:textfilecontent54_state id="s6"><ind:subexpression operation="less than">0:1.0-2</ind:subexpression></ind:textfilecontent54_state></states>
<variables><constant_variable id="v6"><value>^tool-bin(?::\w+|)\s+(.*)$</value><value>^libtool\+\+(?::\w+|)\s+(.*)$</value></constant_variable></variables></oval_definitions>`

// kernels are definitions about kernels, by notice and by vulnerability; a notice whose test names nothing, and one without vulnerabilities.
const kernels = `<?xml version="1.0"?>
<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5" xmlns:ind="x" xmlns:unix="y"><definitions>
<definition class="patch" id="oval:com.ubuntu.jammy:def:1" version="1"><metadata><title>USN-3-1 -- Linux kernel</title><reference source="USN" ref_id="USN-3-1"/>
<advisory><cve priority="high">CVE-2026-4</cve><cve priority="low">CVE-2026-5</cve></advisory></metadata><criteria><criteria operator="OR"><criteria operator="AND">
<criterion test_ref="k1" comment="Long Term Support"/><criterion test_ref="k2" comment="Long Term Support"/></criteria></criteria></criteria></definition>
<definition class="patch" id="oval:com.ubuntu.jammy:def:2" version="1"><metadata><title>USN-4-1</title><reference source="USN" ref_id="USN-4-1"/>
<advisory><cve>CVE-2026-6</cve></advisory></metadata><criteria><criterion test_ref="gone" comment="Long Term Support"/></criteria></definition>
<definition class="patch" id="oval:com.ubuntu.jammy:def:4" version="1"><metadata><title>USN-5-1</title><reference source="USN" ref_id="USN-5-1"/></metadata>
<criteria><criterion test_ref="k1" comment="Long Term Support"/></criteria></definition>
<definition class="inventory" id="oval:com.ubuntu.jammy:def:100" version="1"><metadata><title>Check that Ubuntu is installed.</title></metadata>
<criteria><criterion test_ref="k3" comment="The host is part of the unix family."/></criteria></definition>
<definition class="vulnerability" id="oval:com.ubuntu.jammy:def:3" version="1"><metadata><title>CVE-2026-4</title><advisory><cve priority="high">CVE-2026-4</cve></advisory></metadata>
<criteria><criteria operator="AND"><criterion test_ref="k1" comment="linux package in jammy was vulnerable but has been fixed (note: '5.15.0-43.46')."/>
<criterion test_ref="k2" comment="kernel version comparison"/></criteria><criterion test_ref="t9" comment="something new"/></criteria></definition></definitions>
<tests><unix:uname_test id="k1"><unix:object object_ref="o1"/><unix:state state_ref="s1"/></unix:uname_test>
<ind:variable_test id="k2"><ind:object object_ref="o2"/><ind:state state_ref="s2"/></ind:variable_test></tests></oval_definitions>`

// TestKernelsThatRunNameNoPackage: by vulnerability the comment states of the source package; by notice nothing does, and it is counted.
func TestKernelsThatRunNameNoPackage(t *testing.T) {
	r, err := ubuntu.OVAL("jammy")(strings.NewReader(kernels))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"jammy linux CVE-2026-4 fixed 5.15.0-43.46 high"}, lines(r.Statements)); d != "" {
		t.Error(d)
	}
	want := map[string]int{"asks which kernel runs, and names no package": 2, "names no package": 1, "has a comment in words that are not known": 1, "names no vulnerability": 1}
	if d := cmp.Diff(want, r.PassedOver); d != "" {
		t.Error(d)
	}
}

func lines(statements []intake.Statement) (all []string) {
	for _, s := range statements {
		binary := ""
		if s.Binary {
			binary = "binary"
		}
		all = append(all, strings.Join(strings.Fields(strings.Join([]string{s.Release, s.Package, binary, s.ID, string(s.Status), s.FixedVersion, s.Advisory, s.Condition,
			s.Urgency, s.Expectation}, " ")), " "))
	}
	return all
}

func TestNoticesBecomeStatements(t *testing.T) {
	r, err := ubuntu.Notices()("p.json", strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"focal tool-bin binary CVE-2026-1 fixed 0.9-1ubuntu1~esm1 USN-1-1 esm-infra", "focal tool-bin binary CVE-2026-2 fixed 0.9-1ubuntu1~esm1 USN-1-1 esm-infra",
		"jammy old binary USN-2-1 undetermined USN-2-1", "jammy tool CVE-2026-1 fixed 1.0-1ubuntu1 USN-1-1", "jammy tool CVE-2026-2 fixed 1.0-1ubuntu1 USN-1-1"}
	if d := cmp.Diff(want, lines(r.Statements)); d != "" {
		t.Error(d)
	}
	if r, err = ubuntu.Notices("focal")("p.json", strings.NewReader(page)); err != nil || len(r.Statements) != 2 {
		t.Errorf("of focal: %+v, %v", r.Statements, err)
	}
}

func TestDefinitionsBecomeStatements(t *testing.T) {
	r, err := ubuntu.OVAL("jammy")(strings.NewReader(definitions))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"jammy fourth CVE-2026-1 undetermined medium", "jammy libtool++ binary CVE-2026-3 fixed 1.0-2 USN-1-1 low", "jammy other CVE-2026-1 open medium",
		"jammy third CVE-2026-1 open medium postponed", "jammy tool CVE-2026-1 fixed 1.0-1ubuntu1 medium", "jammy tool-bin binary CVE-2026-3 fixed 1.0-2 USN-1-1 low"}
	if d := cmp.Diff(want, lines(r.Statements)); d != "" {
		t.Error(d)
	}
}

func TestDamageIsRefused(t *testing.T) {
	for name, doc := range map[string]string{"empty": "", "HTML": "<html>", "cut page": page[:200], "two pages": page + page, "no notices": "{}", "UTF-16": "\xff\xfe{\x00",
		"a bad name": strings.Replace(page, "USN-1-1", "<b>", 1), "a bad package": strings.Replace(page, `"tool"`, `"../x"`, 1), "deep JSON": `{"notices":` + strings.Repeat("[", 20_000)} {
		if r, err := ubuntu.Notices()("p.json", strings.NewReader(doc)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	many := func(piece string, n int) string { return strings.TrimSuffix(strings.Repeat(piece, n), ",") }
	for name, doc := range map[string]string{
		"too many CVEs":       `{"notices":[{"id":"USN-1-1","cves_ids":[` + many(`"CVE-2026-1",`, 10_001) + `],"release_packages":{"jammy":[{"name":"tool","version":"1"}]}}]}`,
		"CVEs times packages": `{"notices":[{"id":"USN-1-1","cves_ids":[` + many(`"CVE-2026-1",`, 5000) + `],"release_packages":{"jammy":[` + many(`{"name":"tool","version":"1"},`, 5000) + `]}}]}`,
	} {
		if r, err := ubuntu.Notices()("p.json", strings.NewReader(doc)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %d statements, %v", name, len(r.Statements), err)
		}
	}
	for name, change := range map[string][2]string{
		"too many CVEs":       {"<cve priority=\"low\">CVE-2026-3</cve>", strings.Repeat("<cve>CVE-2026-3</cve>", 10_001)},
		"CVEs times packages": {`<criterion test_ref="t4" comment="fourth package in jammy may be odd."/>`, strings.Repeat(`<criterion test_ref="t4" comment="a package in jammy may be odd."/>`, 60_000)},
		"packages of a test":  {"<value>", strings.Repeat("<value>tool</value>", 10_001) + "<value>"},
	} {
		doc := strings.Replace(definitions, change[0], change[1], 1)
		if name == "CVEs times packages" {
			doc = strings.Replace(doc, "</cve></advisory>", "</cve>"+strings.Repeat("<cve>CVE-2026-1</cve>", 99)+"</advisory>", 1)
		}
		if r, err := ubuntu.OVAL("jammy")(strings.NewReader(doc)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %d statements, %v", name, len(r.Statements), err)
		}
	}
	laughs := `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><oval_definitions>&b;</oval_definitions>`
	for name, doc := range map[string]string{"empty": "", "not XML": page, "cut": definitions[:900], "billion laughs": laughs, "another release": strings.ReplaceAll(definitions, "jammy", "focal"),
		"deep": strings.Repeat("<a>", 100), "endless": "<a x='" + strings.Repeat("x", 70<<20), "a charset of its own": `<?xml version="1.0" encoding="UTF-7"?><a/>`,
		"no definitions": "<oval_definitions></oval_definitions>", "a cut gzip": "\x1f\x8b\x08"} {
		if r, err := ubuntu.OVAL("jammy")(strings.NewReader(doc)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestRealFiles: what Canonical published is understood.
func TestRealFiles(t *testing.T) {
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	for file, want := range map[string]int{"oci.com.ubuntu.jammy.usn.oval.xml.bz2": 5, "oci.com.ubuntu.jammy.cve.oval.xml.bz2": 2, "oci.com.ubuntu.jammy.pkg.oval.xml.bz2": 2, "api-notices.json": 7} {
		f, err := os.Open(filepath.Join(dir, "ubuntu", file))
		if err != nil {
			t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
		}
		var r intake.Reading
		if strings.HasSuffix(file, ".json") {
			r, err = ubuntu.Notices()(file, f)
		} else {
			r, err = ubuntu.OVAL("jammy")(f)
		}
		if err != nil || len(r.Statements) != want || len(r.PassedOver) > 0 {
			t.Errorf("%s: %q, %v, %v; want %d", file, lines(r.Statements), r.PassedOver, err, want)
		}
		f.Close()
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(page))
	f.Add([]byte(definitions))
	f.Add([]byte(kernels))
	f.Fuzz(func(t *testing.T, b []byte) {
		one, err := ubuntu.Notices()("p.json", strings.NewReader(string(b)))
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		other, err := ubuntu.OVAL()(strings.NewReader(string(b)))
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		for _, s := range append(one.Statements, other.Statements...) {
			if s.Package == "" || s.Release == "" || s.ID == "" || (s.FixedVersion != "") != (s.Status == intake.Fixed) {
				t.Errorf("%+v", s)
			}
		}
	})
}
