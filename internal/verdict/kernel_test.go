package verdict_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/osv"
	"github.com/patchwarrant/patchwarrant/internal/intake/ubuntu"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// ubuntuHost has packages as Ubuntu writes them into dpkg's status: lines of name, version and Source field.
func ubuntuHost(t *testing.T, lines ...string) pkgset.Set {
	t.Helper()
	var status strings.Builder
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, " ")
		version, source, _ := strings.Cut(rest, " ")
		status.WriteString("Package: " + name + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + version + "\n")
		if source != "" {
			status.WriteString("Source: " + source + "\n")
		}
		status.WriteString("\n")
	}
	installed, err := deb.ParseStatus(strings.NewReader(status.String()))
	if err != nil {
		t.Fatal(err)
	}
	return pkgset.FromStatus(installed)
}

const ubuntuRecord = `{"schema_version":"1.7.0","id":"USN-9-1","modified":"2026-01-02T00:00:00Z","upstream":["UBUNTU-CVE-2026-1"],"affected":[
{"package":{"ecosystem":"Ubuntu:22.04:LTS","name":"linux","purl":"pkg:deb/ubuntu/linux@5.15.0-91.101?arch=source&distro=jammy"},
 "ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"5.15.0-91.101"}]}]},
{"package":{"ecosystem":"Ubuntu:22.04:LTS","name":"linux-aws","purl":"pkg:deb/ubuntu/linux-aws@5.15.0-1051.56?arch=source&distro=jammy"},
 "ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"5.15.0-1051.56"}]}]},
{"package":{"ecosystem":"Ubuntu:22.04:LTS","name":"linux-hwe-6.5","purl":"pkg:deb/ubuntu/linux-hwe-6.5@6.5.0-15.15~22.04.1?arch=source&distro=jammy"},
 "ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"6.5.0-15.15~22.04.1"}]}]}]}`

const ubuntuNotice = `{"notices":[{"id":"USN-9-1","title":"Linux kernel vulnerabilities","cves_ids":["CVE-2026-1"],"release_packages":{"jammy":[
{"name":"linux","version":"5.15.0-91.101","is_source":true},{"name":"linux-aws","version":"5.15.0-1051.56","is_source":true},
{"name":"linux-hwe-6.5","version":"6.5.0-15.15~22.04.1","is_source":true},
{"name":"linux-image-5.15.0-91-generic","version":"5.15.0-91.101","is_source":false},{"name":"linux-image-generic","version":"5.15.0.91.88","is_source":false}]}}]}`

// TestUbuntusKernels: its kernels are many sources whose images come from a signed one, the metapackages have numbers of their
// own, and the running version stands half in uname -r and half in uname -v.
func TestUbuntusKernels(t *testing.T) {
	record, err := osv.Parse("jammy")("USN-9-1.json", strings.NewReader(ubuntuRecord))
	if err != nil {
		t.Fatal(err)
	}
	notice, err := ubuntu.Notices("jammy")("0.json", strings.NewReader(ubuntuNotice))
	if err != nil {
		t.Fatal(err)
	}
	const (
		oldImage, newImage = "linux-image-5.15.0-89-generic 5.15.0-89.99 linux-signed", "linux-image-5.15.0-91-generic 5.15.0-91.101 linux-signed"
		oldModules         = "linux-modules-5.15.0-89-generic 5.15.0-89.99 linux"
		newModules         = "linux-modules-5.15.0-91-generic 5.15.0-91.101 linux"
		headers            = "linux-headers-5.15.0-89-generic 5.15.0-89.99 linux"
		libc               = "linux-libc-dev 5.15.0-89.99 linux"
		meta               = "linux-image-generic 5.15.0.89.86 linux-meta"
		tools              = "linux-tools-common 5.15.0-89.99 linux"
		firmware           = "linux-firmware 20220329.git681281e4-0ubuntu3.23"
		nvidia             = "linux-modules-nvidia-535-5.15.0-89-generic 5.15.0-89.99+1 linux-restricted-modules"
	)
	generic := func(number, upload string) verdict.Kernel {
		return verdict.Kernel{Release: number + "-generic", Version: "#" + upload + "-Ubuntu SMP Tue Nov 14 13:30:08 UTC 2023"}
	}
	cases := []struct {
		name   string
		set    []string
		kernel verdict.Kernel
		want   []string // source, verdict and a part of the reason
	}{
		{"runs the fix, the old image and its headers are still there", []string{oldImage, newImage, oldModules, newModules, headers, libc, meta, tools, firmware, nvidia}, generic("5.15.0-91", "101"), nil},
		{"installed, not running", []string{oldImage, newImage, oldModules, newModules, headers, libc, meta}, generic("5.15.0-89", "99"),
			[]string{"linux fixed-after-reboot 5.15.0-91.101 has the fix of 5.15.0-91.101; kernel 5.15.0-89.99 still runs"}},
		{"not installed; headers, tools and metapackages are one finding with the image", []string{oldImage, oldModules, headers, libc, meta, tools}, generic("5.15.0-89", "99"),
			[]string{"linux affected 5.15.0-89.99 is older than the fix in 5.15.0-91.101"}},
		{"the unsigned image", []string{"linux-image-unsigned-5.15.0-91-generic 5.15.0-91.101 linux"}, generic("5.15.0-91", "101"), nil},
		{"the image that runs was removed", []string{newImage, newModules}, generic("5.15.0-89", "99"), []string{"linux fixed-after-reboot kernel 5.15.0-89.99 still runs"}},
		{"the unsigned image runs, a fixed one waits", []string{"linux-image-unsigned-5.15.0-89-generic 5.15.0-89.99 linux", newImage}, generic("5.15.0-89", "99"),
			[]string{"linux fixed-after-reboot still runs"}},
		{"unknown what runs: the oldest counts", []string{oldImage, newImage}, verdict.Kernel{Release: "5.15.0-91-generic", Version: "#1 SMP"}, []string{"linux affected older"}},
		{"a cloud's kernel, with its modules", []string{"linux-image-5.15.0-1050-aws 5.15.0-1050.55 linux-signed-aws", "linux-modules-5.15.0-1050-aws 5.15.0-1050.55 linux-aws",
			"linux-aws-headers-5.15.0-1050 5.15.0-1050.55 linux-aws"}, verdict.Kernel{Release: "5.15.0-1050-aws", Version: "#55-Ubuntu SMP"}, []string{"linux-aws affected 5.15.0-1050.55 is older"}},
		{"the same, upgraded but not booted", []string{"linux-image-5.15.0-1050-aws 5.15.0-1050.55 linux-signed-aws", "linux-image-5.15.0-1051-aws 5.15.0-1051.56 linux-signed-aws"},
			verdict.Kernel{Release: "5.15.0-1050-aws", Version: "#55-Ubuntu SMP"}, []string{"linux-aws fixed-after-reboot kernel 5.15.0-1050.55 still runs"}},
		{"a newer line for new hardware runs, libc's headers are of the old", []string{"linux-image-6.5.0-14-generic 6.5.0-14.14~22.04.1 linux-signed-hwe-6.5",
			"linux-image-6.5.0-15-generic 6.5.0-15.15~22.04.1 linux-signed-hwe-6.5", libc}, generic("6.5.0-14", "14~22.04.1"),
			[]string{"linux undetermined no image of linux is installed that could run, only packages built beside it", "linux-hwe-6.5 fixed-after-reboot kernel 6.5.0-14.14~22.04.1 still runs"}},
		{"headers of a cloud's kernel only", []string{"linux-aws-headers-5.15.0-1050 5.15.0-1050.55 linux-aws"}, generic("5.15.0-91", "101"), []string{"linux-aws undetermined no image of linux-aws"}},
		{"debug symbols are no image", []string{"linux-image-5.15.0-91-generic-dbgsym 5.15.0-91.101 linux", oldImage}, generic("5.15.0-89", "99"), []string{"linux affected older"}},
	}
	for _, c := range cases {
		for from, statements := range map[string][]intake.Statement{"OSV": record.Statements, "notices": notice.Statements} {
			t.Run(c.name+", by "+from, func(t *testing.T) {
				f := verdict.NewFleet()
				slices.SortStableFunc(statements, intake.Compare)
				f.Learn(statements)
				place(t, f, "h", verdict.Class{Release: "jammy", Kernel: c.kernel}, ubuntuHost(t, c.set...))
				var got []string
				for i, x := range f.Findings("h") {
					got = append(got, x.Source+" "+string(x.Verdict.Status)+" "+x.Verdict.Reason)
					if i < len(c.want) {
						words := strings.SplitN(c.want[i], " ", 3)
						if x.Source == words[0] && string(x.Verdict.Status) == words[1] && strings.Contains(x.Verdict.Reason, words[2]) {
							got[i] = c.want[i]
						}
					}
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
			})
		}
	}
}
