package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

func TestTreeAndDiff(t *testing.T) {
	dir := t.TempDir()
	root, a, b := filepath.Join(dir, "root"), filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write := func(content string) {
		t.Helper()
		if err := os.MkdirAll(root, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "file\xff"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	call := func(f func([]string, *bytes.Buffer) int, want int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if got := f(args, &out); got != want {
			t.Errorf("%q: exit %d, want %d: %s", args, got, want, out.String())
		}
		return out.String()
	}
	var stderr bytes.Buffer
	tree := func(args []string, out *bytes.Buffer) int { return runTree(args, out, &stderr) }
	diff := func(args []string, out *bytes.Buffer) int { return runDiff(args, out, &stderr) }

	write("one")
	digest := call(tree, exitSame, root, "-o", a)
	if call(tree, exitSame, "-o", b, root) != digest {
		t.Error("two states of one tree have different digests")
	}
	if out := call(diff, exitSame, a, b); out != "" {
		t.Errorf("equal trees: %s", out)
	}
	write("three")
	call(tree, exitSame, root, "-o", b)
	if out := call(diff, exitDiffers, a, b); !strings.HasPrefix(out, `changed  /file\xff  f 0644 `) || strings.Count(out, "\n") != 1 {
		t.Errorf("diff: %s", out)
	}
	var c filetree.Change
	if err := json.Unmarshal([]byte(call(diff, exitDiffers, a, b, "--json")), &c); err != nil || c.Path != `/file\xff` || c.Before.Size != 3 || c.After.Size != 5 {
		t.Errorf("diff --json: %+v, %v", c, err)
	}
	call(diff, exitTrouble, a)
	call(diff, exitTrouble, a, root)
	call(tree, exitTrouble, root)
	call(tree, exitTrouble, filepath.Join(dir, "none"), "-o", a)
	if err := os.WriteFile(a, []byte("not a state"), 0o600); err != nil {
		t.Fatal(err)
	}
	call(tree, exitTrouble, root, "-o", a)
	if got, _ := os.ReadFile(a); string(got) != "not a state" {
		t.Error("a file that is no state was overwritten")
	}
}
