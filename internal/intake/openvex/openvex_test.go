package openvex_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/openvex"
)

// document has every status, about packages of several distributions and about an image; of the tool in bookworm something else
// was said before.
const document = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.org/vex/1","author":"Example","timestamp":"2026-08-04T10:00:00Z","last_updated":"2026-08-05T10:00:00Z","version":2,
"statements":[
{"vulnerability":{"name":"CVE-2026-1"},"timestamp":"2026-08-05T09:00:00Z","status":"not_affected","justification":"vulnerable_code_not_present",
 "products":[{"@id":"pkg:deb/debian/tool?arch=source&distro=debian-12"},{"@id":"pkg:deb/debian/tool-bin?distro=debian-12"},{"@id":"x","identifiers":{"purl":"pkg:rpm/redhat/tool-libs?distro=redhat-9.4"}}]},
{"vulnerability":{"name":"CVE-2026-1"},"status":"affected","action_statement":"Update.","products":[{"@id":"pkg:deb/debian/tool?arch=source&distro=bookworm"}]},
{"vulnerability":{"name":"EX-7","aliases":["CVE-2026-2"]},"status":"fixed","products":[{"@id":"pkg:deb/ubuntu/tool@1.2-3?arch=source&distro=esm-infra/focal"},
 {"@id":"pkg:rpm/redhat/tool@1.2-3.el9?arch=src&epoch=2&distro=rhel-9.2"},{"@id":"pkg:deb/ubuntu/tool?arch=source&distro=jammy"}]},
{"vulnerability":{"name":"CVE-2026-3"},"status":"under_investigation","products":[{"@id":"pkg:deb/debian/tool?arch=source&distro=debian-13"}]},
{"vulnerability":{"name":"CVE-2026-4"},"status":"not_affected","impact_statement":"It is not built.","products":[{"@id":"pkg:deb/debian/tool@1-1?arch=source&distro=debian-12.11"},
 {"@id":"pkg:oci/image@sha256:00","subcomponents":[{"@id":"pkg:deb/debian/tool?distro=debian-12"}]},{"@id":"pkg:deb/debian/tool"}]}]}`

func TestStatusesBecomeStatements(t *testing.T) {
	got, err := openvex.Parse()("v.json", strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	want := []intake.Statement{
		{ID: "CVE-2026-1", Package: "tool", Release: "bookworm", Status: intake.NotAffected, Note: "vulnerable code not present"},
		{ID: "CVE-2026-4", Package: "tool", Release: "bookworm", Status: intake.Undetermined, Note: "not affected in version 1-1: It is not built."},
		{ID: "CVE-2026-2", Package: "tool", Release: "focal", Condition: "esm-infra", Status: intake.Fixed, FixedVersion: "1.2-3"},
		{ID: "CVE-2026-2", Package: "tool", Release: "jammy", Status: intake.Undetermined, Note: "said to be fixed, without a version"},
		{ID: "CVE-2026-4", Package: "pkg:deb/debian/tool", Release: openvex.Product, Status: intake.NotAffected, Note: "It is not built."},
		{ID: "CVE-2026-4", Package: "pkg:oci/image@sha256:00", Release: openvex.Product, Status: intake.NotAffected, Note: "It is not built."},
		{ID: "CVE-2026-2", Package: "tool", Release: "rhel-9", Scheme: intake.RPM, Status: intake.Fixed, FixedVersion: "2:1.2-3.el9"},
		{ID: "CVE-2026-1", Package: "tool-libs", Release: "rhel-9", Scheme: intake.RPM, Binary: true, Status: intake.NotAffected, Note: "vulnerable code not present"},
		{ID: "CVE-2026-3", Package: "tool", Release: "trixie", Status: intake.Undetermined, Expectation: "investigating", Note: "under investigation"},
	}
	if d := cmp.Diff(want, got.Statements); d != "" {
		t.Error(d)
	}
	if !got.Revised.Equal(time.Date(2026, 8, 5, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("revised %s", got.Revised)
	}
	if got, err = openvex.Parse("trixie")("v.json", strings.NewReader(document)); err != nil || len(got.Statements) != 3 {
		t.Errorf("of trixie, and products: %+v, %v", got.Statements, err)
	}
}

func TestDamagedDocumentsAreRefused(t *testing.T) {
	for name, doc := range map[string]string{
		"empty": "", "not JSON": "<html>", "truncated": document[:len(document)/2], "two documents": document + document, "CSAF": `{"document":{"csaf_version":"2.0"}}`,
		"an older format":  strings.Replace(document, "/v0.2.0", "", 1),
		"no date":          strings.Replace(document, `"timestamp":"2026-08-04T10:00:00Z",`, "", 1),
		"no justification": strings.Replace(document, `"justification":"vulnerable_code_not_present",`, "", 1),
		"no such status":   strings.Replace(document, "under_investigation", "fine", 1),
		"no vulnerability": strings.Replace(document, "CVE-2026-3", "", 1),
		"a script":         strings.Replace(document, "CVE-2026-3", "<script>", 1),
		"deep JSON":        strings.Repeat(`{"statements":[`, 20_000),
		"UTF-16":           "\xff\xfe{\x00}\x00",
	} {
		if r, err := openvex.Parse()("v.json", strings.NewReader(doc)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %d statements, %v", name, len(r.Statements), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(document))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := openvex.Parse()("v.json", strings.NewReader(string(b)))
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		for _, s := range r.Statements {
			if s.Package == "" || s.Release == "" || s.ID == "" || s.Status == "" || (s.FixedVersion != "") != (s.Status == intake.Fixed) {
				t.Errorf("%+v", s)
			}
		}
	})
}
