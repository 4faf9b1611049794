package agent

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agent/inventory"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

func TestReadPolicy(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: the file must be root's")
	}
	p := Places{Etc: t.TempDir(), State: t.TempDir()}
	file := filepath.Join(p.Etc, "scan.json")
	shipped, err := readPolicy(p)
	if err != nil || !shipped.IsSecret("/etc/shadow") {
		t.Fatalf("without a file: %v", err)
	}
	write := func(content string, mode os.FileMode, owner int) error {
		t.Helper()
		_ = os.Remove(file)
		if err := os.WriteFile(file, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, owner, 0); err != nil {
			t.Fatal(err)
		}
		_, err := readPolicy(p)
		return err
	}
	const good = `{"version":1,"secret":["/opt/app.key"]}`
	if err := write(good, 0o644, 0); err != nil {
		t.Fatal(err)
	}
	if own, _ := readPolicy(p); !own.IsSecret("/opt/app.key") || !own.IsSecret("/etc/shadow") {
		t.Error("the file does not add to what is shipped")
	}
	if write(good, 0o664, 0) == nil || write(good, 0o644, 65534) == nil || write(`{"version":9}`, 0o644, 0) == nil {
		t.Error("a policy that others can write, or of another version, was taken")
	}
	_ = os.Remove(file)
	if err := os.Symlink("/etc/hostname", file); err != nil {
		t.Fatal(err)
	}
	if _, err := readPolicy(p); err == nil {
		t.Error("a symlink was taken")
	}
}

func TestScanKeyStays(t *testing.T) {
	p := Places{State: t.TempDir()}
	one, err := scanKey(p)
	if err != nil || len(one) != scanKeySize {
		t.Fatalf("%x, %v", one, err)
	}
	if two, err := scanKey(p); err != nil || string(two) != string(one) {
		t.Errorf("another key: %v", err)
	}
	if info, err := os.Stat(p.scanKey()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.WriteFile(p.scanKey(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := scanKey(p); err == nil {
		t.Error("an empty key was taken")
	}
}

func TestSecretsAreNoFacts(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"var/lib/dpkg/info/tool.list": "/etc/tool.conf\n/etc/tool.open\n", "var/lib/dpkg/info/tool.conffiles": "/etc/tool.conf\n/etc/tool.open\n",
		"etc/tool.conf": "password=1234\n", "etc/tool.open": "x\n",
	} {
		at := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	facts, err := inventory.Collect(root, []string{"tool"}, filetree.Policy{Secret: []string{"/etc/tool.conf"}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if facts.File("/etc/tool.conf") != nil || facts.File("/etc/tool.open") == nil {
		t.Errorf("facts %+v", facts.Files)
	}
}
