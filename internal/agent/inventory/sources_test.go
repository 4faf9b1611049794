package inventory

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

func write(t *testing.T, root, path, text string) string {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return full
}

func TestSourcesSayWhomTheHostTrusts(t *testing.T) {
	root := t.TempDir()
	write(t, root, "etc/apt/sources.list", `# a comment
deb http://deb.example/debian bookworm main contrib # why not
deb-src	http://deb.example/debian	bookworm	main
deb [arch=amd64 trusted=yes signed-by=/usr/share/keyrings/x.gpg] https://user:secret@x.example/ ./
rpm http://not.example/ a b
deb broken
`)
	write(t, root, "etc/apt/sources.list.d/b.sources", `# Debian's own form
Types: deb
URIs: http://deb.example/debian-security http://mirror.example/debian-security
Suites: bookworm-security
Components: main
# a comment inside
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
Check-Valid-Until: no

Types: deb
Enabled: no
URIs: http://off.example/
Suites: off

Types: deb
URIs: http://inline.example/
Suites: ./
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQ
 -----END PGP PUBLIC KEY BLOCK-----
`)
	write(t, root, "etc/apt/sources.list.d/c.sources", "not a stanza\n")
	write(t, root, "etc/apt/sources.list.d/d.list.save", "deb http://ignored.example/ a b\n")
	got, err := readSources(root)
	if err != nil {
		t.Fatal(err)
	}
	list, b := "/etc/apt/sources.list", "/etc/apt/sources.list.d/b.sources"
	want := []wire.Source{
		{File: list, Types: []string{"deb"}, URIs: []string{"http://deb.example/debian"}, Suites: []string{"bookworm"}, Components: []string{"main", "contrib"}},
		{File: list, Types: []string{"deb-src"}, URIs: []string{"http://deb.example/debian"}, Suites: []string{"bookworm"}, Components: []string{"main"}},
		{File: list, Types: []string{"deb"}, URIs: []string{"https://x.example/"}, Suites: []string{"./"}, Components: []string{},
			SignedBy: "/usr/share/keyrings/x.gpg", Options: []string{"trusted=yes"}},
		{File: b, Types: []string{"deb"}, URIs: []string{"http://deb.example/debian-security", "http://mirror.example/debian-security"},
			Suites: []string{"bookworm-security"}, Components: []string{"main"}, SignedBy: "/usr/share/keyrings/debian-archive-keyring.gpg",
			Options: []string{"check-valid-until=no"}},
		{File: b, Types: []string{"deb"}, URIs: []string{"http://inline.example/"}, Suites: []string{"./"}, Components: []string{}, SignedBy: "inline"},
		{File: "/etc/apt/sources.list.d/c.sources", Options: []string{"unreadable"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzSources(f *testing.F) {
	f.Add([]byte("deb [signed-by=/x] http://a b c\nTypes: deb\nURIs: http://u:p@h/\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseList(b)
		parseSources(b)
	})
}

func TestInventoryOfAHost(t *testing.T) {
	root := t.TempDir()
	write(t, root, "etc/os-release", "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_CODENAME='bookworm'\n#X=1\n")
	write(t, root, "etc/hostname", "web1\n")
	write(t, root, "proc/sys/kernel/osrelease", "6.1.0-30-amd64\n")
	write(t, root, "proc/sys/kernel/version", "#1 SMP Debian 6.1.124-1\n")
	write(t, root, "boot/vmlinuz-6.1.0-31-amd64", "")
	write(t, root, "boot/vmlinuz-6.1.0-30-amd64", "")
	write(t, root, "boot/config-6.1.0-31-amd64", "")
	write(t, root, "run/reboot-required", "")
	write(t, root, "var/lib/apt/lists/deb.example_InRelease", "")
	fetched := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	lists := filepath.Join(root, "var/lib/apt/lists")
	if err := os.Chtimes(lists, fetched, fetched); err != nil {
		t.Fatal(err)
	}
	got, err := Read(root, pkgset.Set{{Name: "dpkg", Arch: "amd64"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := wire.Inventory{Hostname: "web1", Distribution: "debian", Release: "bookworm", Arch: "amd64", RebootRequired: true, IndexAt: fetched,
		Kernel:  wire.Kernel{Running: "6.1.0-30-amd64", Version: "#1 SMP Debian 6.1.124-1", Installed: []string{"6.1.0-30-amd64", "6.1.0-31-amd64"}},
		Sources: []wire.Source{}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestHostWithoutAnIndexSaysSo(t *testing.T) {
	root := t.TempDir()
	write(t, root, "var/lib/apt/lists/lock", "")
	if at, err := indexTime(root); err != nil || !at.IsZero() {
		t.Errorf("index of %s (%v)", at, err)
	}
	if at, err := indexTime(t.TempDir()); err != nil || !at.IsZero() {
		t.Errorf("index of %s (%v)", at, err)
	}
}

// TestOriginsOfRPMAreWhatDnfNoted: with the address where the repository is configured; what dnf did not note is unknown.
func TestOriginsOfRPMAreWhatDnfNoted(t *testing.T) {
	set := pkgset.Set{{Name: "bash", Arch: "x86_64", Version: "5.2-1.fc41", RPM: &pkgset.RPM{}}, {Name: "by-hand", Arch: "noarch", Version: "1-1", RPM: &pkgset.RPM{}},
		{Name: "copr", Arch: "noarch", Version: "2:1-1", RPM: &pkgset.RPM{}}, {Name: "zlib", Arch: "x86_64", Version: "1-1", RPM: &pkgset.RPM{}}}
	root := t.TempDir()
	before := ListsState(root)
	write(t, root, "etc/yum.repos.d/fedora.repo", "[fedora]\nbaseurl=https://u:p@mirror.example/fedora/\n[old]\nenabled=0\nbaseurl=https://old.example/\n")
	write(t, root, dnf5State, "[nevras]\n\"bash-5.2-1.fc41.x86_64\" = {from_repo = \"fedora\"}\n\"zlib-1-1.x86_64\" = {from_repo = \"fedora\"}\n\"copr-2:1-1.noarch\" = {from_repo = \"old\"}\n\"by-hand-2-1.noarch\" = {from_repo = \"fedora\"}\n")
	if ListsState(root) == before {
		t.Error("nobody would look again")
	}
	got, err := Origins(root, set)
	if err != nil {
		t.Fatal(err)
	}
	want := wire.Origins{PackageSet: set.Digest(), Of: [][]int{{0}, {}, {1}, {0}},
		Sources: []wire.Origin{{Repository: "fedora", Site: "https://mirror.example/fedora/"}, {Repository: "old"}}}
	if d := cmp.Diff(want, got); d != "" || got.Check() != nil {
		t.Error(d, got.Check())
	}
	write(t, root, dnf5State, "rubbish")
	if got, err := Origins(root, set); err != nil || len(got.Sources) > 0 {
		t.Errorf("of what cannot be read: %+v, %v", got, err)
	}
}
