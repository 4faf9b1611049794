package world

import (
	"maps"
	"strings"
	"testing"
)

func TestCgroupDirIsBelowTheMountOfVersion2(t *testing.T) {
	const v1 = "30 24 0:26 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
	const v2 = "31 24 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n"
	const own = "9:name=systemd:/other\n0::/user.slice/session-1.scope\n"
	for name, c := range map[string]struct{ mounts, own, want string }{
		"both versions":        {v1 + v2, own, "/sys/fs/cgroup/unified/user.slice/session-1.scope"},
		"version 1 only":       {v1, own, ""},
		"no cgroup of its own": {v2, "9:name=systemd:/\n", ""},
	} {
		if got := cgroupDir(c.mounts, c.own); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestArchiveIsTheComponentMainOfTheSuite(t *testing.T) {
	const targets = `bookworm contrib amd64 http://m/debian/ /l/contrib
bookworm main i386 http://m/debian/ /l/i386
bookworm main amd64 http://m/debian/ /l/main.lz4
bookworm-security main amd64 http://s/debian-security/ /l/security
`
	want := Archive{Suite: "bookworm", URL: "http://m/debian", index: "/l/main.lz4"}
	if got := archive([]byte(targets), "bookworm", "amd64"); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := archive([]byte(targets), "trixie", "amd64"); got.index != "" {
		t.Errorf("found %+v", got)
	}
}

func TestNewestVersionOfSeveralCounts(t *testing.T) {
	stanza := func(name, version string) string {
		return "Package: " + name + "\nVersion: " + version + "\nArchitecture: amd64\nFilename: pool/p.deb\nSize: 1\nSHA256: " +
			strings.Repeat("0", 64) + "\n\n"
	}
	index := stanza("aa", "1.9") + stanza("bb", "1") + stanza("aa", "1.10") + stanza("aa", "1.2")
	got, err := newestVersions(strings.NewReader(index), []string{"aa", "missing"})
	if want := map[string]string{"aa": "1.10"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func TestInitIsOneInItsNamespaceOnly(t *testing.T) {
	for status, want := range map[string]bool{
		"Name:\tsystemd\nNSpid:\t4711\t1\n": true,
		"NSpid:\t1\n":                       false, // of the machine itself
		"NSpid:\t4711\t12\n":                false,
		"NSpid:\t4711\t11\n":                false,
	} {
		if got := isInit(status); got != want {
			t.Errorf("%q: %v", status, got)
		}
	}
}

func TestMountsInATreeAreFound(t *testing.T) {
	const mounts = `22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:21 / /w/one/root/dev rw - devtmpfs udev rw
24 22 0:22 / /w/with\040space rw - tmpfs none rw
`
	for root, want := range map[string]string{
		"/w/one/root":     "/w/one/root/dev",
		"/w/one":          "/w/one/root/dev",
		"/w/one/root/dev": "/w/one/root/dev",
		"/w/with space":   `/w/with\040space`,
		"/w/on":           "",
		"/w/two":          "",
	} {
		if got := mountIn(mounts, root); got != want {
			t.Errorf("%s: %q, want %q", root, got, want)
		}
	}
}
