package inventory

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

const aptConf = `// a comment
Acquire::Check-Valid-Until "false"; # another
Acquire { AllowInsecureRepositories "yes"; https { Verify-Peer "0"; example.org { Verify-Host "no"; }; }; };
/* APT::Get::AllowUnauthenticated "true"; */
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Origins-Pattern { "origin=Debian,label=Debian-Security"; "o=x"; };
Acquire::Check-Date "true";
`

func TestAptConfIsReadAsAptDoes(t *testing.T) {
	all, ok := parseAptConf(aptConf)
	if !ok {
		t.Error("it breaks off")
	}
	want := []wire.Setting{
		{Name: "acquire::check-valid-until", Value: "false"}, {Name: "acquire::allowinsecurerepositories", Value: "yes"},
		{Name: "acquire::https::verify-peer", Value: "0"}, {Name: "acquire::https::example.org::verify-host", Value: "no"},
		{Name: "apt::periodic::unattended-upgrade", Value: "1"},
		{Name: "unattended-upgrade::origins-pattern::", Value: "origin=Debian,label=Debian-Security"},
		{Name: "unattended-upgrade::origins-pattern::", Value: "o=x"}, {Name: "acquire::check-date", Value: "true"},
	}
	if d := cmp.Diff(want, all); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want[:4], looseSettings(all)); d != "" {
		t.Error("what loosens checks: ", d)
	}
}

// TestAptConfAgreesWithApt asks apt-config about the same text.
func TestAptConfAgreesWithApt(t *testing.T) {
	program, err := exec.LookPath("apt-config")
	if err != nil {
		t.Skip("apt is not installed here")
	}
	file := write(t, t.TempDir(), "x.conf", aptConf)
	out, err := exec.Command(program, "-c", file, "dump", "--format=%F \"%v\";%n", "Acquire", "APT::Periodic", "Unattended-Upgrade").Output()
	if err != nil {
		t.Fatal(err)
	}
	all, _ := parseAptConf(aptConf)
	for _, s := range all {
		line := s.Name + " \"" + s.Value + "\";"
		if !strings.Contains(strings.ToLower(string(out)), strings.ToLower(line)) {
			t.Errorf("apt does not say %s", line)
		}
	}
}

func TestSettingsThatLoosenChecksAndInstall(t *testing.T) {
	root := t.TempDir()
	write(t, root, "etc/os-release", "ID=rocky\nVERSION_ID=\"9.3\"\n")
	write(t, root, "etc/apt/apt.conf.d/20auto", `APT::Periodic::Unattended-Upgrade "1";`)
	write(t, root, "etc/apt/apt.conf.d/99off", `Acquire::Check-Valid-Until "no"`) // no end
	write(t, root, "etc/apt/apt.conf.d/ignored.bak", `Acquire::Check-Date "no";`)
	write(t, root, "usr/bin/unattended-upgrade", "")
	write(t, root, "etc/yum.repos.d/r.repo", "[base]\nbaseurl=https://u:p@mirror.example/9/\n  https://second.example/9/\ngpgcheck=0\ngpgkey=file:///etc/pki/k\n[off]\nenabled=0\nbaseurl=http://off.example/\n")
	write(t, root, "etc/dnf/automatic.conf", "[commands]\napply_updates = yes\n")
	write(t, root, "etc/apt/preferences.d/p", "Explanation: x\nPackage: *\nPin: release a=stable\nPin-Priority: 990\n")
	write(t, root, "etc/apt/preferences", "rubbish\n")
	i, err := Read(root, pkgset.Set{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []wire.Setting{{File: "/etc/apt/apt.conf.d/99off", Name: "unreadable"}, {File: "/etc/yum.repos.d/r.repo", Name: "base::gpgcheck", Value: "0"}}
	if d := cmp.Diff(want, i.Loose); d != "" {
		t.Error(d)
	}
	if !i.Updates.Installs || i.Version != "9.3" {
		t.Errorf("updates %+v of %q", i.Updates, i.Version)
	}
	if d := cmp.Diff([]wire.Pin{{File: "/etc/apt/preferences.d/p", Packages: "*", Pin: "release a=stable", Priority: 990},
		{File: "/etc/apt/preferences", Pin: "unreadable"}}, i.Pins); d != "" {
		t.Error(d)
	}
	repo := wire.Source{File: "/etc/yum.repos.d/r.repo", Types: []string{"rpm"}, URIs: []string{"https://mirror.example/9/", "https://second.example/9/"},
		Suites: []string{"base"}, Components: []string{}, SignedBy: "file:///etc/pki/k", Options: []string{"gpgcheck=0"}}
	if d := cmp.Diff([]wire.Source{repo}, i.Sources); d != "" {
		t.Error(d)
	}
	if err := i.Check(); err != nil {
		t.Error(err)
	}
}

func TestOriginsAreTheListsThatHaveThisVersion(t *testing.T) {
	root := t.TempDir()
	set := pkgset.Set{{Name: "bash", Arch: "amd64", Version: "5-1"}, {Name: "local", Arch: "all", Version: "1"}, {Name: "openssl", Arch: "amd64", Version: "3-1"}}
	index := func(version string) string {
		return "Package: bash\nArchitecture: amd64\nVersion: 5-1\n\nPackage: openssl\nArchitecture: amd64\nVersion: " + version + "\n"
	}
	write(t, root, lists+"/deb.example_debian_dists_bookworm_main_binary-amd64_Packages", index("3-0"))
	write(t, root, lists+"/deb.example_debian_dists_bookworm_InRelease", "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: bookworm\nSHA256:\n")
	write(t, root, lists+"/deb.example_security_dists_bookworm-security_main_binary-amd64_Packages", index("3-1"))
	write(t, root, lists+"/deb.example_security_dists_bookworm-security_Release", "Label: Debian-Security\n")
	write(t, root, lists+"/broken_dists_x_main_binary-amd64_Packages.xz", "rubbish")
	o, err := Origins(root, set)
	if err != nil {
		t.Fatal(err)
	}
	want := wire.Origins{PackageSet: set.Digest(), Of: [][]int{{0, 1}, {}, {1}}, Sources: []wire.Origin{
		{Site: "deb.example/debian/dists/bookworm", Origin: "Debian", Label: "Debian", Suite: "oldstable", Codename: "bookworm", Component: "main"},
		{Site: "deb.example/security/dists/bookworm-security", Label: "Debian-Security", Component: "main"}}}
	if d := cmp.Diff(want, o); d != "" {
		t.Error(d)
	}
	if err := o.Check(); err != nil {
		t.Error(err)
	}
}

func TestOtherSystemsAreFound(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"srv/chroot/bookworm", "var/lib/machines/m", "opt/jail"} {
		write(t, root, dir+"/etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n")
		write(t, root, dir+"/var/lib/dpkg/status", "")
	}
	write(t, root, "srv/chroot/empty/etc/os-release", "ID=debian\n") // no books: no system
	write(t, root, "etc/schroot/chroot.d/jail", "[jail]\ndirectory=/opt/jail\n")
	var got []string
	for _, f := range Found(root, []string{"/", "/opt/jail"}, []string{"/run/x"}) {
		got = append(got, strings.Join([]string{f.Path, f.Kind, f.Release, map[bool]string{true: "reported"}[f.Reported]}, " "))
	}
	want := []string{"/opt/jail chroot bookworm reported", "/run/x process  ", "/srv/chroot/bookworm chroot bookworm ", "/var/lib/machines/m machine bookworm "}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTheMachineAndItsAddresses(t *testing.T) {
	root := t.TempDir()
	write(t, root, "sys/class/dmi/id/sys_vendor", "QEMU\n")
	write(t, root, "proc/cpuinfo", "processor\t: 0\nmodel name\t: CPU X\nflags\t\t: fpu hypervisor\n\nprocessor\t: 1\n")
	write(t, root, "proc/meminfo", "MemTotal:        2048 kB\n")
	write(t, root, "proc/net/fib_trie", "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.7\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n")
	write(t, root, "proc/net/if_inet6", "00000000000000000000000000000001 01 80 10 80 lo\n20010db8000000000000000000000001 02 40 00 80 eth0\n20010db8000000000000000000000002 02 40 00 01 eth0\nfe80000000000000000000000000000a 02 40 20 80 eth0\n")
	write(t, root, "etc/machine-id", "0123\n")
	if d := cmp.Diff(wire.Hardware{Vendor: "QEMU", CPU: "CPU X", CPUs: 2, MemoryKiB: 2048, Virtualization: "vm"}, hardware(root)); d != "" {
		t.Error(d)
	}
	if got := addresses(root); !slices.Equal(got, []string{"192.0.2.7", "2001:db8::1"}) {
		t.Errorf("addresses %v", got)
	}
	if id := machineID(root); len(id) != 64 || strings.Contains(id, "0123") && strings.HasPrefix(id, "0123") {
		t.Errorf("machine ID %s", id)
	}
}

// TestPackagesOfRPM makes a real database with rpm and reads it; one that rpm cannot read is not an empty host.
func TestPackagesOfRPM(t *testing.T) {
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("rpm is not installed here")
	}
	root := t.TempDir()
	if _, _, err := Packages(t.Context(), root); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a root without books: %v", err)
	}
	database := filepath.Join(root, "var/lib/rpm")
	spec := write(t, t.TempDir(), "x.spec", "Name: x\nVersion: 1.0~rc1\nRelease: 2.el9\nEpoch: 3\nSummary: x\nLicense: none\nVendor: Some Vendor\nBuildArch: noarch\n%description\nx\n%files\n")
	build := t.TempDir()
	if out, err := exec.Command("rpmbuild", "--define", "_topdir "+build, "--define", "_rpmdir "+build, "-bb", spec).CombinedOutput(); err != nil {
		t.Skipf("rpmbuild: %v: %s", err, out)
	}
	if out, err := exec.Command("rpm", "--dbpath", database, "-i", "--justdb", "--nodeps", "--ignorearch", filepath.Join(build, "noarch", "x-1.0~rc1-2.el9.noarch.rpm")).CombinedOutput(); err != nil {
		t.Skipf("rpm -i: %v: %s", err, out)
	}
	set, _, err := Packages(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	want := pkgset.Set{{Name: "x", Arch: "noarch", Version: "3:1.0~rc1-2.el9", Source: "x", SourceVersion: "1.0~rc1-2.el9", RPM: &pkgset.RPM{Vendor: "Some Vendor"}}}
	if d := cmp.Diff(want, set); d != "" {
		t.Error(d)
	}
	for name, spoil := range map[string]func() error{
		"damaged": func() error {
			return os.WriteFile(filepath.Join(database, "rpmdb.sqlite"), bytes.Repeat([]byte("x"), 8192), 0o644)
		},
		"of another form": func() error {
			return errors.Join(os.RemoveAll(database), os.MkdirAll(database, 0o755), os.WriteFile(filepath.Join(database, "Packages.db"), []byte("new form"), 0o644))
		},
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if set, _, err := Packages(t.Context(), root); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "newer than this rpm") {
			t.Errorf("a database %s: %v, %v", name, set, err)
		}
	}
}

func FuzzSettings(f *testing.F) {
	f.Add(aptConf)
	f.Add("[base]\nbaseurl=x\n y\n")
	f.Add("Package: *\nPin: release a=stable\nPin-Priority: 990\n")
	f.Fuzz(func(t *testing.T, s string) {
		all, _ := parseAptConf(s)
		for _, v := range all {
			if strings.ContainsAny(v.Name+v.Value, "\n\x00\x1b") || len(v.Value) > wire.MaxText {
				t.Errorf("%+v", v)
			}
		}
		looseSettings(all)
		parseINI(s)
		parsePins([]byte(s))
		if _, err := releaseHead(strings.NewReader(s)); err != nil {
			t.Error(err)
		}
	})
}
