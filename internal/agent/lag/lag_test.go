package lag

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for path, text := range files {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func scan(t *testing.T, root string) Tree {
	t.Helper()
	s, err := filetree.Scan(t.Context(), root, filetree.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Tree{s, s.Digest}
}

func TestCopiesLagWhenOnlyTheHostsWereReplaced(t *testing.T) {
	host, inside := t.TempDir(), t.TempDir()
	write(t, host, map[string]string{"usr/lib/ssl.so": "old", "usr/lib/z.so": "old", "usr/bin/own": "host's"})
	if err := os.Symlink("usr/lib", filepath.Join(host, "lib")); err != nil {
		t.Fatal(err)
	}
	write(t, inside, map[string]string{"lib/ssl.so": "old", "usr/lib/z.so": "old", "usr/bin/own": "its own", "usr/lib/only": "here"})
	copies, behind, level, err := Find(t.Context(), scan(t, host), scan(t, inside), nil)
	if err != nil || len(copies) != 2 || len(behind) != 0 || len(level) != 2 || level[0].Path != "/lib/ssl.so" || level[0].Host != "" {
		t.Fatalf("at first: %v, %v, %v", copies, behind, err)
	}
	write(t, host, map[string]string{"usr/lib/ssl.so": "new", "usr/lib/z.so": "new", "usr/bin/own": "new"})
	write(t, inside, map[string]string{"usr/lib/z.so": "new"})
	copies, behind, level, err = Find(t.Context(), scan(t, host), scan(t, inside), copies)
	if err != nil || len(behind) != 1 || behind[0].Path != "/lib/ssl.so" || behind[0].Has != copies["/lib/ssl.so"] || behind[0].Host == behind[0].Has || len(level) != 1 {
		t.Fatalf("after the host's upgrade: %v, %v", behind, err)
	}
	if _, again, _, _ := Find(t.Context(), scan(t, host), scan(t, inside), copies); len(again) != 1 {
		t.Errorf("it is forgotten before the copy followed: %v", again)
	}
	write(t, inside, map[string]string{"lib/ssl.so": "new"})
	if _, behind, _, err = Find(t.Context(), scan(t, host), scan(t, inside), copies); err != nil || len(behind) != 0 {
		t.Errorf("after the copy followed: %v, %v", behind, err)
	}
}

func TestOnlyTheHostsPackagesCount(t *testing.T) {
	behind := []wire.Lagging{{Path: "/a"}, {Path: "/b"}, {Path: "/c"}}
	got := Owned(behind, map[string]string{"/a": "pa", "/b": "pb"}, map[string]string{"/b": "pb"})
	if d := cmp.Diff([]wire.Lagging{{Path: "/a", Package: "pa"}}, got); d != "" {
		t.Error(d)
	}
}
