package csaf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/csaf"
)

// vex is a document in the form of Red Hat's: a module's fix in the main stream of RHEL 8, one in an extended stream, an
// affected package, one that is not, one under investigation, and a product that is no RHEL.
const vex = `{"document":{"category":"csaf_vex","csaf_version":"2.0","title":"tool: overflow","aggregate_severity":{"text":"Moderate"},
"publisher":{"name":"Example"},"tracking":{"id":"CVE-2026-1","current_release_date":"2026-08-04T19:54:43+00:00","status":"final"}},
"product_tree":{"branches":[{"category":"vendor","name":"Example","branches":[
 {"category":"product_name","name":"8","product":{"product_id":"A8","name":"8","product_identification_helper":{"cpe":"cpe:/a:redhat:enterprise_linux:8::appstream"}}},
 {"category":"product_name","name":"8.6","product":{"product_id":"E86","name":"8.6","product_identification_helper":{"cpe":"cpe:/o:redhat:rhel_eus:8.6::baseos"}}},
 {"category":"product_name","name":"9","product":{"product_id":"R9","name":"9","product_identification_helper":{"cpe":"cpe:/o:redhat:enterprise_linux:9"}}},
 {"category":"product_name","name":"sat","product":{"product_id":"SAT","name":"Satellite","product_identification_helper":{"cpe":"cpe:/a:redhat:satellite:6"}}},
 {"category":"architecture","name":"src","branches":[
  {"category":"product_version","name":"tool.src","product":{"product_id":"tool.src::t:6","name":"tool","product_identification_helper":{"purl":"pkg:rpm/redhat/tool@6.2-1.module%2Bel8?arch=src&epoch=2&rpmmod=t:6:8100:48"}}},
  {"category":"product_version","name":"plain.src","product":{"product_id":"plain.src","name":"plain","product_identification_helper":{"purl":"pkg:rpm/redhat/tool@6.1-1.el8_6?arch=src"}}}]},
 {"category":"architecture","name":"x86_64","branches":[
  {"category":"product_version","name":"tool-libs","product":{"product_id":"libs::t:6","name":"libs","product_identification_helper":{"purl":"pkg:rpm/redhat/tool-libs@6.2-1.module%2Bel8?arch=x86_64&epoch=2&rpmmod=t:6:8100:48"}}}]},
 {"category":"product_version","name":"tool","product":{"product_id":"tool","name":"tool","product_identification_helper":{"purl":"pkg:rpm/redhat/tool"}}},
 {"category":"product_version","name":"other","product":{"product_id":"other","name":"other","product_identification_helper":{"purl":"pkg:rpm/redhat/other?arch=src"}}}]}],
"relationships":[
 {"category":"default_component_of","product_reference":"tool.src::t:6","relates_to_product_reference":"A8","full_product_name":{"product_id":"A8:tool.src","name":"tool"}},
 {"category":"default_component_of","product_reference":"libs::t:6","relates_to_product_reference":"A8","full_product_name":{"product_id":"A8:libs","name":"libs"}},
 {"category":"default_component_of","product_reference":"plain.src","relates_to_product_reference":"E86","full_product_name":{"product_id":"E86:tool.src","name":"tool"}},
 {"category":"default_component_of","product_reference":"tool","relates_to_product_reference":"R9","full_product_name":{"product_id":"R9:tool","name":"tool"}},
 {"category":"default_component_of","product_reference":"other","relates_to_product_reference":"R9","full_product_name":{"product_id":"R9:other","name":"other"}},
 {"category":"default_component_of","product_reference":"other","relates_to_product_reference":"A8","full_product_name":{"product_id":"A8:other","name":"other"}},
 {"category":"default_component_of","product_reference":"tool","relates_to_product_reference":"SAT","full_product_name":{"product_id":"SAT:tool","name":"tool of Satellite"}}]},
"vulnerabilities":[{"cve":"CVE-2026-1","title":"overflow in tool",
"product_status":{"fixed":["A8:tool.src","A8:libs","E86:tool.src"],"known_affected":["R9:tool","SAT:tool"],"known_not_affected":["R9:other"],"under_investigation":["A8:other"]},
"flags":[{"label":"vulnerable_code_not_present","product_ids":["R9:other"]}],
"threats":[{"category":"impact","details":"Important","product_ids":["A8:tool.src"]}],
"scores":[{"cvss_v3":{"vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},"products":["R9:tool"]}],
"remediations":[{"category":"vendor_fix","url":"https://access.redhat.com/errata/RHSA-2026:1","product_ids":["A8:tool.src","A8:libs"]},
 {"category":"no_fix_planned","details":"Will not fix","product_ids":["R9:tool"]}]}]}`

func TestStatusesBecomeStatements(t *testing.T) {
	parse := csaf.RedHat()
	got, err := parse("2026/cve-2026-1.json", strings.NewReader(vex))
	if err != nil {
		t.Fatal(err)
	}
	base := intake.Statement{ID: "CVE-2026-1", Scheme: intake.RPM, Urgency: "Moderate", Description: "overflow in tool"}
	with := func(change func(*intake.Statement)) intake.Statement { s := base; change(&s); return s }
	want := []intake.Statement{
		with(func(s *intake.Statement) {
			s.Release, s.Package, s.Status = "rhel-8", "other", intake.Undetermined
			s.Expectation, s.Note = "investigating", "the publisher is investigating"
		}),
		with(func(s *intake.Statement) {
			s.Release, s.Package, s.Status, s.FixedVersion, s.Module = "rhel-8", "tool", intake.Fixed, "2:6.2-1.module+el8", "t:6"
			s.Advisory, s.Urgency = "RHSA-2026:1", "Important"
		}),
		with(func(s *intake.Statement) {
			s.Release, s.Package, s.Status, s.FixedVersion, s.Condition = "rhel-8.6", "tool", intake.Fixed, "6.1-1.el8_6", "eus"
		}),
		with(func(s *intake.Statement) {
			s.Release, s.Package, s.Status, s.Note = "rhel-9", "other", intake.NotAffected, "vulnerable code not present"
		}),
		with(func(s *intake.Statement) {
			s.Release, s.Package, s.Status, s.Binary = "rhel-9", "tool", intake.Open, true
			s.Expectation, s.Note, s.Vector = "ignored", "Will not fix", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
		}),
	}
	if d := cmp.Diff(want, got.Statements); d != "" {
		t.Error(d)
	}
	if !got.Revised.Equal(time.Date(2026, 8, 4, 19, 54, 43, 0, time.UTC)) {
		t.Errorf("revised %s", got.Revised)
	}
	if got, err = csaf.RedHat("rhel-9")("x.json", strings.NewReader(vex)); err != nil || len(got.Statements) != 2 {
		t.Errorf("of rhel-9: %+v, %v", got.Statements, err)
	}
	if got, err = csaf.Parse("rhel-9")("x.json", strings.NewReader(vex)); err != nil || len(got.Statements) != 3 || got.Statements[0].Release != csaf.Product {
		t.Errorf("with products: %+v, %v", got.Statements, err)
	}
}

func TestDamagedDocumentsAreRefused(t *testing.T) {
	for name, doc := range map[string]string{
		"empty": "", "not JSON": "<html>", "truncated": vex[:len(vex)/2], "two documents": vex + vex, "a feed": `{"feed":{}}`,
		"no date":                strings.Replace(vex, "current_release_date", "x", 1),
		"no such product":        strings.Replace(vex, `"fixed":["A8:tool.src"`, `"fixed":["A8:nothing"`, 1),
		"unknown status":         strings.Replace(vex, `"fixed":`, `"mended":`, 1),
		"a name with a script":   strings.Replace(vex, `"cve":"CVE-2026-1"`, `"cve":"<script>"`, 1),
		"deep JSON":              `{"product_tree":{"branches":` + strings.Repeat(`[{"branches":`, 20_000),
		"UTF-16":                 "\xff\xfe{\x00}\x00",
		"an odd csaf version":    strings.Replace(vex, `"csaf_version":"2.0"`, `"csaf_version":"1.0"`, 1),
		"a product tree of text": `{"product_tree":"x"}`,
	} {
		if r, err := csaf.Parse()("x.json", strings.NewReader(doc)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %d statements, %v", name, len(r.Statements), err)
		}
	}
}

func TestWhichFilesAreDocuments(t *testing.T) {
	for p, want := range map[string]bool{"2026/rhsa-2026_1.json": true, "white/a.json": true, "white/white-feed.json": false, "provider-metadata.json": false,
		"service.json": false, "changes.csv": false, "a.json.asc": false, "category-x.json": false} {
		if csaf.IsDocument(p) != want {
			t.Errorf("%s: %v", p, !want)
		}
	}
}

// TestRealDocuments: what publishers made is understood, or refused with a reason that is named here.
func TestRealDocuments(t *testing.T) {
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	for pattern, c := range map[string]struct {
		parse                 func(...string) intake.DocumentParser
		documents, statements int
	}{
		"redhat/csaf-vex/*.json":                   {csaf.RedHat, 6, 9},
		"redhat/csaf-vex/2023/*.json":              {csaf.RedHat, 1, 30},
		"redhat/csaf-advisories/*.json":            {csaf.RedHat, 3, 57},
		"redhat/csaf-advisories/2023/*.json":       {csaf.RedHat, 1, 6},
		"csaf/csaf_*.json":                         {csaf.Parse, 19, 0},
		"csaf/providers/*/white/avendor*0004.json": {csaf.Parse, 2, 4},
	} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
		}
		statements := 0
		for _, file := range files {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.parse()(file, f)
			if err != nil || r.Revised.IsZero() {
				t.Errorf("%s: %v", file, err)
			}
			statements += len(r.Statements)
			f.Close()
		}
		if len(files) != c.documents || c.statements != 0 && statements != c.statements {
			t.Errorf("%s: %d documents, %d statements; want %d and %d", pattern, len(files), statements, c.documents, c.statements)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(vex))
	f.Add([]byte(`{"document":{"csaf_version":"2.0","tracking":{"id":"a1","current_release_date":"2026-01-01T00:00:00Z"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []intake.DocumentParser{csaf.Parse(), csaf.RedHat("rhel-9")} {
			r, err := parse("x.json", strings.NewReader(string(b)))
			if err != nil && fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
			for _, s := range r.Statements {
				if s.Package == "" || s.Release == "" || s.ID == "" || s.Status == "" || (s.FixedVersion != "") != (s.Status == intake.Fixed) {
					t.Errorf("%+v", s)
				}
			}
		}
	})
}

// TestABinaryOfAnotherSourceIsStated: beside a source package a status may name a binary one that is built from another, as Red Hat's
// about CVE-2026-7323 did: firefox is affected, not only its flatpak.
func TestABinaryOfAnotherSourceIsStated(t *testing.T) {
	const document = `{"document":{"category":"csaf_vex","csaf_version":"2.0","tracking":{"id":"CVE-2026-1","current_release_date":"2026-08-04T19:54:43+00:00"}},
"product_tree":{"branches":[{"category":"product_name","name":"10","product":{"product_id":"R10","product_identification_helper":{"cpe":"cpe:/o:redhat:enterprise_linux:10"}}},
 {"category":"product_version","name":"a","product":{"product_id":"a","product_identification_helper":{"purl":"pkg:rpm/redhat/tool-flatpak?arch=src"}}},
 {"category":"product_version","name":"b","product":{"product_id":"b","product_identification_helper":{"purl":"pkg:rpm/redhat/tool@1-1.el10?arch=x86_64"}}},
 {"category":"product_version","name":"c","product":{"product_id":"c","product_identification_helper":{"purl":"pkg:rpm/redhat/tool-flatpak-libs@1-1.el10?arch=x86_64"}}}],
"relationships":[{"product_reference":"a","relates_to_product_reference":"R10","full_product_name":{"product_id":"R10:a"}},
 {"product_reference":"b","relates_to_product_reference":"R10","full_product_name":{"product_id":"R10:b"}},
 {"product_reference":"c","relates_to_product_reference":"R10","full_product_name":{"product_id":"R10:c"}}]},
"vulnerabilities":[{"cve":"CVE-2026-1","product_status":{"known_affected":["R10:a","R10:b","R10:c"]}}]}`
	r, err := csaf.RedHat()("x.json", strings.NewReader(document))
	if err != nil || len(r.Statements) != 2 {
		t.Fatalf("%v, %+v", err, r.Statements)
	}
	if tool := r.Statements[0]; tool.Package != "tool" || !tool.Binary || tool.Status != intake.Open || r.Statements[1].Package != "tool-flatpak" {
		t.Errorf("%+v", r.Statements)
	}
}

// TestALongWordCostsOnce: what is said of many products is not read again for each of them.
func TestALongWordCostsOnce(t *testing.T) {
	const products = 50_000
	long := strings.Repeat("x ", 1<<20)
	ids := strings.TrimSuffix(strings.Repeat(`"p",`, products), ",")
	document := `{"document":{"category":"csaf_vex","csaf_version":"2.0","title":"` + long + `","aggregate_severity":{"text":"` + long + `"},"tracking":{"id":"CVE-2026-1","current_release_date":"2026-08-04T19:54:43+00:00"}},
"product_tree":{"full_product_names":[{"product_id":"p","name":"p"}]},
"vulnerabilities":[{"cve":"CVE-2026-1","product_status":{"known_affected":[` + ids + `]},"threats":[{"category":"impact","details":"` + long + `","product_ids":["p"]}],
"remediations":[{"category":"none_available","details":"` + long + `","product_ids":["p"]}]}]}`
	r, err := csaf.Parse()("x.json", strings.NewReader(document))
	if err != nil || len(r.Statements) != 1 || len(r.Statements[0].Note) > 300 {
		t.Fatalf("%v, %d statements", err, len(r.Statements))
	}
}
