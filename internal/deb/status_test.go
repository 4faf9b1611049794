package deb

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const sampleStatus = `Package: bsdutils
Essential: yes
Status: install ok installed
Maintainer: util-linux packagers <util-linux@packages.debian.org>
Architecture: amd64
Source: util-linux (2.38.1-5+deb12u3)
Version: 1:2.38.1-5+deb12u3

Package: sudo
Status: hold ok half-configured
Architecture: amd64
Version: 1.9.13p3-1+deb12u1
Conffiles:
 /etc/sudoers 1234567890abcdef1234567890abcdef
 /etc/old file 00000000000000000000000000000000 obsolete
 /etc/new newconffile

Package: gone
Status: deinstall ok config-files
`

func TestParseStatus(t *testing.T) {
	got, err := ParseStatus(strings.NewReader(sampleStatus))
	if err != nil {
		t.Fatal(err)
	}
	want := []Installed{
		{Name: "bsdutils", Arch: "amd64", Version: "1:2.38.1-5+deb12u3", Source: "util-linux", SourceVersion: "2.38.1-5+deb12u3",
			Want: "install", Flag: "ok", State: "installed", Maintainer: "util-linux packagers <util-linux@packages.debian.org>", Essential: true},
		{Name: "sudo", Arch: "amd64", Version: "1.9.13p3-1+deb12u1", Source: "sudo", SourceVersion: "1.9.13p3-1+deb12u1",
			Want: "hold", Flag: "ok", State: "half-configured", Conffiles: []Conffile{
				{Path: "/etc/sudoers", MD5: "1234567890abcdef1234567890abcdef"},
				{Path: "/etc/old file", MD5: "00000000000000000000000000000000", Obsolete: true},
				{Path: "/etc/new"},
			}},
		{Name: "gone", Want: "deinstall", Flag: "ok", State: "config-files"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestMalformedStatusIsRefused(t *testing.T) {
	good := "Package: sudo\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1-1\n"
	if _, err := ParseStatus(strings.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	for rule, change := range map[string][2]string{
		"name":      {"Package: sudo", "Package: ../sudo"},
		"status":    {"install ok installed", "install ok great"},
		"two words": {"install ok installed", "ok installed"},
		"arch":      {"amd64", "AMD 64"},
		"version":   {"1-1", "1_1"},
		"none":      {"Version: 1-1", "Versio: 1-1"},
		"source":    {"Version", "Source: x (y\nVersion"},
		"conffile":  {"Version", "Conffiles:\n /etc/x zz\nVersion"},
	} {
		_, err := ParseStatus(strings.NewReader(strings.Replace(good, change[0], change[1], 1)))
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v, want an error of kind invalid", rule, err)
		}
	}
}

func TestSourceOf(t *testing.T) {
	for _, c := range []struct{ name, version, field, source, sourceVersion string }{
		{"sudo", "1.9-1", "", "sudo", "1.9-1"},
		{"libssl3", "3.0-1", "openssl", "openssl", "3.0-1"},
		{"dmsetup", "2:1.02.185-2", "lvm2 (2.03.16-2)", "lvm2", "2.03.16-2"},
		{"linux-image-6.1.0-56-amd64", "6.1.192-2", "linux-signed-amd64 (6.1.192+2)", "linux", "6.1.192-2"},
		{"linux-headers-6.12-amd64", "6.12.117-1~deb12u1", "linux-signed-6.12-amd64 (6.12.117+1~deb12u1)", "linux-6.12", "6.12.117-1~deb12u1"},
		{"linux-image-5.15.0-91-generic", "5.15.0-91.101", "linux-signed", "linux", "5.15.0-91.101"},
		{"linux-image-5.15.0-1050-aws", "5.15.0-1050.55", "linux-signed-aws", "linux-aws", "5.15.0-1050.55"},
		{"linux-image-6.5.0-14-generic", "6.5.0-14.14~22.04.1", "linux-signed-hwe-6.5", "linux-hwe-6.5", "6.5.0-14.14~22.04.1"},
		{"grub-efi-amd64-signed", "1+2.06+13+deb12u1", "", "grub2", "2.06-13+deb12u1"},
		{"fwupd-amd64-signed", "1:1.4+1", "", "fwupd-efi", "1:1.4-1"},
		{"shim-signed", "1.51~1+deb12u1+16.1-2~deb12u1", "shim-signed (1.51~1+deb12u1)", "shim", "16.1-2~deb12u1"},
		{"shim-signed", "1.51", "", "shim-signed", "1.51"},
		{"python3-signedjson", "1.1-1", "python-signedjson", "python-signedjson", "1.1-1"},
	} {
		source, version, err := SourceOf(c.name, c.version, c.field)
		if source != c.source || version != c.sourceVersion || err != nil {
			t.Errorf("%s %s (%s): got %s %s %v, want %s %s", c.name, c.version, c.field, source, version, err, c.source, c.sourceVersion)
		}
	}
}

// TestRealStatus reads the status of a real Debian 12 host, in which nine packages have another epoch than their source.
func TestRealStatus(t *testing.T) {
	f, err := os.Open(shared(t, "inventory/debian12-host.dpkg-status"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := ParseStatus(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 785 {
		t.Errorf("got %d packages, want 785", len(all))
	}
	epochs := 0
	for _, p := range all {
		if epoch, _, _ := splitVersion(p.Version); !strings.HasPrefix(p.SourceVersion, epoch+":") && epoch != "" {
			epochs++
		}
	}
	if epochs == 0 {
		t.Errorf("no package with another epoch than its source: source versions are not read")
	}
}
