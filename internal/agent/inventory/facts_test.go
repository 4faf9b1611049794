package inventory

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

func TestCollect(t *testing.T) {
	root := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("etc/shadow", "root:secret\n")
	put("etc/tool.conf", "password = secret\n")
	put("usr/bin/shared", "x")
	put("usr/share/ca-certificates/mozilla/a.crt", "A")
	put("var/lib/dpkg/status", "Package: tool\n")
	put("var/lib/dpkg/info/tool:amd64.list", "/.\n/usr\n/usr/bin\n/usr/bin/shared\n")
	put("var/lib/dpkg/info/tool:amd64.conffiles", "/etc/tool.conf\n")
	put("var/lib/dpkg/info/other.list", "/.\n/usr\n/usr/bin\n/usr/bin/shared\n/usr/bin/other\n")
	put("var/cache/apt/pkgcache.bin", string(make([]byte, 10*wire.FactHead)))
	if err := os.Symlink("/etc/shadow", filepath.Join(root, "var/lib/dpkg/diversions")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(root, "var/lib/dpkg/statoverride"), 0o600); err != nil {
		t.Fatal(err)
	}
	put("var/log/dpkg.log", "")
	if err := os.Truncate(filepath.Join(root, "var/log/dpkg.log"), wire.MaxFactFile+1); err != nil {
		t.Fatal(err)
	}
	facts, err := Collect(root, []string{"tool"}, filetree.Policy{}, time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if err := facts.Check(); err != nil {
		t.Error(err)
	}
	if f := facts.File("/var/lib/dpkg/status"); f == nil || string(f.Content) != "Package: tool\n" {
		t.Errorf("status: %+v", f)
	}
	if f := facts.File("/etc/tool.conf"); f == nil || f.MD5 != "129e54fb73bca138bb56f8512a729ef2" || f.Content != nil {
		t.Errorf("a conffile's content must not be told, its md5 must: %+v", f)
	}
	if f := facts.File("/var/log/dpkg.log"); f == nil || f.Content != nil || f.Size != wire.MaxFactFile+1 {
		t.Errorf("a file over the bound is told without content: %d bytes", len(f.Content))
	}
	if f := facts.File("/var/cache/apt/pkgcache.bin"); f == nil || !f.Head || len(f.Content) != wire.FactHead {
		t.Errorf("a cache is told by its head: %+v", f)
	}
	for _, path := range []string{"/var/lib/dpkg/diversions", "/var/lib/dpkg/statoverride", "/usr/share/ca-certificates/mozilla/a.crt", "/etc/shadow"} {
		if f := facts.File(path); f != nil {
			t.Errorf("%s must not be told: %+v", path, f)
		}
	}
	if want := []string{"/usr/bin/shared"}; !slices.Equal(facts.Shared, want) {
		t.Errorf("shared files %q, want %q", facts.Shared, want)
	}
}
