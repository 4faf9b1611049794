package vex_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	openvex "github.com/openvex/go-vex/pkg/vex"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/vex"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// decided has one decision of every kind, each about a CVE of its own, and two about one CVE.
func decided() []vex.Decided {
	var all []vex.Decided
	for i, kind := range []string{triage.Accept, triage.AcceptRisk, triage.Configure, triage.Defer, triage.NotConcerned, triage.Reject} {
		d := triage.Decision{ID: "dec_" + kind, Vulnerability: "CVE-2026-000" + string(rune('1'+i)) + "/openssl", Kind: kind, Scope: triage.FleetScope,
			Reason: "because of " + kind, MadeAt: now, Until: now.Add(time.Hour)}
		switch kind {
		case triage.NotConcerned:
			d.Justification = "vulnerable_code_not_present"
		case triage.AcceptRisk:
			d.Exception = &triage.Exception{Ground: "incompatible", Control: "a firewall.", Owner: "dave", Plan: "a new one."}
		}
		all = append(all, vex.Decided{Decision: d, Installed: vex.Installed{Binaries: []string{"libssl3", "openssl"}, Points: map[string][]string{"bookworm": {"12.11"}}},
			Releases: []triage.Release{{Release: "bookworm", Status: intake.Fixed, Fixed: "3.0.17"}}})
	}
	other := all[5]
	other.Vulnerability, other.Binaries = "CVE-2026-0006/vim", []string{"vim"}
	return append(all, other)
}

func input(all []vex.Decided) vex.Input {
	return vex.Input{Author: "Example CA", Namespace: "https://patch.example.org", At: now, Decided: all}
}

// TestOpenVEXSaysWhatWasDecided reads the document back with the format's own library, as a scanner does: by the package URL of
// a binary package as Trivy and Grype write it.
func TestOpenVEXSaysWhatWasDecided(t *testing.T) {
	b, err := vex.OpenVEX(input(decided()))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openvex.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	for cve, want := range map[string]openvex.Status{
		"CVE-2026-0001": openvex.StatusAffected, "CVE-2026-0002": openvex.StatusAffected, "CVE-2026-0003": openvex.StatusAffected,
		"CVE-2026-0004": openvex.StatusUnderInvestigation, "CVE-2026-0005": openvex.StatusNotAffected, "CVE-2026-0006": openvex.StatusNotAffected,
	} {
		for _, purl := range []string{"pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&distro=debian-12", "pkg:deb/debian/openssl@3.0.9-1?arch=source&distro=debian-12"} {
			found := doc.Matches(cve, purl, nil)
			if len(found) != 1 || found[0].Status != want {
				t.Errorf("%s on %s: %+v, want %s", cve, purl, found, want)
			}
		}
		if found := doc.Matches(cve, "pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&distro=debian-13", nil); len(found) != 0 {
			t.Errorf("%s is stated for a release that nobody decided about", cve)
		}
	}
}

// TestOpenVEXRefusesWhatTheFormatForbids: a decision that would make no statement is told, not left out in silence.
func TestOpenVEXRefusesWhatTheFormatForbids(t *testing.T) {
	all := decided()
	all[4].Justification = "we_hope"
	if _, err := vex.OpenVEX(input(all)); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "dec_not-affected") {
		t.Errorf("%v; want Invalid and the decision's ID", err)
	}
}

// TestCSAFHoldsItsSchema: the document passes the schema and the mandatory tests of CSAF 2.0, and says the same as OpenVEX.
func TestCSAFHoldsItsSchema(t *testing.T) {
	b, err := vex.CSAF(input(decided()))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Vulnerabilities []struct {
			CVE    string              `json:"cve"`
			Status map[string][]string `json:"product_status"`
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, v := range doc.Vulnerabilities {
		for word, ids := range v.Status {
			got[v.CVE] = append(got[v.CVE], word)
			if v.CVE == "CVE-2026-0006" && !slices.Contains(ids, "pkg:deb/debian/vim?distro=debian-12") {
				t.Errorf("two packages of one CVE: %v", ids)
			}
		}
	}
	for cve, want := range map[string]string{"CVE-2026-0001": "known_affected", "CVE-2026-0004": "under_investigation", "CVE-2026-0005": "known_not_affected", "CVE-2026-0006": "known_not_affected"} {
		if !slices.Equal(got[cve], []string{want}) {
			t.Errorf("%s is %v, want %s", cve, got[cve], want)
		}
	}
	if len(doc.Vulnerabilities) != 6 {
		t.Errorf("%d vulnerabilities, want 6: each CVE once", len(doc.Vulnerabilities))
	}
	if _, err := vex.CSAF(input(nil)); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of nothing: %v", err)
	}
	if err := vex.Check(bytes.Replace(b, []byte(`"final"`), []byte(`"done"`), 1)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a document outside the schema: %v", err)
	}
}

// TestCheckAgreesWithPublishers: real documents of the VEX profile pass what ours must pass.
func TestCheckAgreesWithPublishers(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/data/csaf/csaf_vex_2022-evd-uc-0*.json")
	if len(files) == 0 {
		t.Skip("the sample documents of CSAF VEX are not here")
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := vex.Check(b); err != nil {
			t.Errorf("%s: %v", filepath.Base(f), err)
		}
	}
}

func TestWhatHoldsForAPartIsLeftOut(t *testing.T) {
	view := triage.View{Rows: []triage.Vulnerability{
		{Name: "CVE-2026-1/a", ID: "CVE-2026-1", Source: "a", Decisions: []triage.Decision{{ID: "dec_1", Vulnerability: "CVE-2026-1/a", Scope: triage.FleetScope}, {ID: "dec_2", Scope: "host/x"}}},
		{Name: "TEMP-1/b", ID: "TEMP-1", Source: "b", Decisions: []triage.Decision{{ID: "dec_3", Scope: triage.FleetScope}}},
	}}
	decided, left := vex.Of(view, map[string]vex.Installed{"a": {Binaries: []string{"a-bin"}}})
	if len(decided) != 1 || decided[0].ID != "dec_1" || !slices.Equal(decided[0].Binaries, []string{"a-bin"}) || !slices.Equal(left, []string{"dec_2", "dec_3"}) {
		t.Errorf("%+v, left %v", decided, left)
	}
}
