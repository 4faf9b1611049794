package vex_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/gocsaf/csaf/v3/csaf"
	openvex "github.com/openvex/go-vex/pkg/vex"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	readcsaf "github.com/patchwarrant/patchwarrant/internal/intake/csaf"
	readopenvex "github.com/patchwarrant/patchwarrant/internal/intake/openvex"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/vex"
)

// harmless is a decision that openssl is not affected, for hosts of Debian 12.11, Ubuntu 22.04, RHEL 9.4 and AlmaLinux 9.
func harmless(kind string) vex.Decided {
	d := triage.Decision{ID: "dec_1", Vulnerability: "CVE-2026-0001/openssl", Kind: kind, Scope: triage.FleetScope, Reason: "not built here", MadeAt: now}
	if kind == triage.NotConcerned {
		d.Justification = "vulnerable_code_not_present"
	}
	one := vex.Decided{Decision: d, Installed: vex.Installed{Binaries: []string{"libssl3", "openssl-libs"}, Points: map[string][]string{"bookworm": {"12.11"}, "rhel-9": {"9.4"}}}}
	for _, release := range []string{"bookworm", "jammy", "rhel-9", "almalinux-9"} {
		one.Releases = append(one.Releases, triage.Release{Release: release, Status: intake.Fixed, Fixed: "9"})
	}
	return one
}

// Package URLs as scanners write them for packages of hosts.
var scanned = map[string]string{
	"Trivy on Debian":    "pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&distro=debian-12.11",
	"Grype on Debian":    "pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&distro=debian-12&upstream=openssl",
	"Trivy on Ubuntu":    "pkg:deb/ubuntu/libssl3@3.0.2-0ubuntu1?arch=amd64&distro=ubuntu-22.04",
	"Trivy on RHEL":      "pkg:rpm/redhat/openssl-libs@3.0.7-27.el9?arch=x86_64&distro=redhat-9.4&epoch=1",
	"Grype on RHEL":      "pkg:rpm/redhat/openssl-libs@3.0.7-27.el9?arch=x86_64&distro=rhel-9.4&epoch=1&upstream=openssl-3.0.7-27.el9.src.rpm",
	"an older Grype":     "pkg:rpm/rhel/openssl-libs@3.0.7-27.el9?arch=x86_64&distro=rhel-9.4&epoch=1&upstream=openssl-3.0.7-27.el9.src.rpm",
	"Trivy on AlmaLinux": "pkg:rpm/alma/openssl-libs@3.0.7-27.el9?arch=x86_64&distro=alma-9&epoch=1",
}

// TestScannersTakeWhatWeWrite decides as scanners do, by the library that both read OpenVEX with. Trivy asks for the package as
// product and takes the last statement that matches, Grype the first; both drop a finding that is not affected or fixed. Of
// CSAF, Trivy takes the products that are known not to be affected whose package URL has no qualifier that the package's
// has not. Source: trivy pkg/vex, grype/vex/openvex.
func TestScannersTakeWhatWeWrite(t *testing.T) {
	for _, kind := range []string{triage.NotConcerned, triage.Accept} {
		in := input([]vex.Decided{harmless(kind)})
		b, err := vex.OpenVEX(in)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := openvex.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		drops := func(cve, purl string, asked []string, pick func([]openvex.Statement) openvex.Statement) bool {
			found := doc.Matches(cve, purl, asked)
			return len(found) > 0 && pick(found).Status == openvex.StatusNotAffected
		}
		trivy := func(cve, purl string) bool {
			return drops(cve, purl, []string{""}, func(all []openvex.Statement) openvex.Statement { return all[len(all)-1] })
		}
		grype := func(cve, purl string) bool {
			return drops(cve, purl, nil, func(all []openvex.Statement) openvex.Statement { return all[0] })
		}
		if b, err = vex.CSAF(in); err != nil {
			t.Fatal(err)
		}
		for name, purl := range scanned {
			want := kind == triage.NotConcerned
			if trivy("CVE-2026-0001", purl) != want || grype("CVE-2026-0001", purl) != want || trivyByCSAF(t, b, "CVE-2026-0001", purl) != want {
				t.Errorf("%s, %s: dropped is not %t by all three", kind, name, want)
			}
			if trivy("CVE-2026-0002", purl) || grype("CVE-2026-0002", purl) || trivyByCSAF(t, b, "CVE-2026-0002", purl) {
				t.Errorf("%s: another vulnerability is dropped", name)
			}
		}
		for _, purl := range []string{"pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&distro=debian-13.1", "pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&distro=debian-12.4",
			"pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12.11", "pkg:deb/ubuntu/libssl3@3.0.2-0ubuntu1?arch=amd64&distro=ubuntu-24.04"} {
			if trivy("CVE-2026-0001", purl) || grype("CVE-2026-0001", purl) || trivyByCSAF(t, b, "CVE-2026-0001", purl) {
				t.Errorf("%s is dropped; no host of ours has it", purl)
			}
		}
	}
}

func trivyByCSAF(t *testing.T, document []byte, cve, purl string) bool {
	t.Helper()
	var advisory csaf.Advisory
	if err := json.Unmarshal(document, &advisory); err != nil {
		t.Fatal(err)
	}
	for _, v := range advisory.Vulnerabilities {
		if string(*v.CVE) != cve || v.ProductStatus.KnownNotAffected == nil {
			continue
		}
		for _, id := range *v.ProductStatus.KnownNotAffected {
			for _, h := range advisory.ProductTree.CollectProductIdentificationHelpers(*id) {
				if h.PURL != nil && openvex.PurlMatches(string(*h.PURL), purl) {
					return true
				}
			}
		}
	}
	return false
}

// TestWhatWeWriteReadsBackTheSame: another Patchwarrant that reads our export has our statuses, for the source package in each
// release.
func TestWhatWeWriteReadsBackTheSame(t *testing.T) {
	all := decided()[:6]
	all[5].Releases = harmless(triage.Reject).Releases
	in := input(all)
	want := map[string]intake.Status{"CVE-2026-0001": intake.Open, "CVE-2026-0002": intake.Open, "CVE-2026-0003": intake.Open,
		"CVE-2026-0004": intake.Undetermined, "CVE-2026-0005": intake.NotAffected, "CVE-2026-0006": intake.NotAffected}
	for name, format := range map[string]struct {
		write func(vex.Input) ([]byte, error)
		read  intake.DocumentParser
	}{"OpenVEX": {vex.OpenVEX, readopenvex.Parse()}, "CSAF": {vex.CSAF, readcsaf.Parse()}} {
		b, err := format.write(in)
		if err != nil {
			t.Fatal(err)
		}
		r, err := format.read("export.json", bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]string{} // releases by vulnerability
		for _, s := range r.Statements {
			if s.Status != want[s.ID] || s.Package != "openssl" || s.Binary {
				t.Errorf("%s: read back is %+v, want %s of openssl", name, s, want[s.ID])
			}
			got[s.ID] = append(got[s.ID], s.Release)
		}
		if releases := strings.Join(got["CVE-2026-0006"], " "); len(got) != 6 || releases != "almalinux-9 bookworm jammy rhel-9" {
			t.Errorf("%s: %d vulnerabilities, the last in %s", name, len(got), releases)
		}
	}
}

func TestPointReleases(t *testing.T) {
	for _, c := range []struct{ release, name, version, want string }{
		{"bookworm", "base-files", "12.4+deb12u11", "12.11"}, {"bookworm", "base-files", "12.4", "12.0"}, {"bullseye", "base-files", "11.1+deb11u9", "11.9"},
		{"bookworm", "base-files", "12.4+derived1", ""}, {"bookworm", "bash", "5.2", ""}, {"jammy", "base-files", "12ubuntu4", ""},
		{"rhel-9", "redhat-release", "9.4-0.5.el9", "9.4"}, {"rocky-9", "rocky-release", "9.3-1.2.el9", "9.3"}, {"almalinux-9", "almalinux-release", "9.5-1.el9", "9.5"},
	} {
		if got := vex.PointOf(c.release, pkgset.Set{{Name: c.name, Version: c.version}}); got != c.want {
			t.Errorf("%s with %s %s: %q, want %q", c.release, c.name, c.version, got, c.want)
		}
	}
}
