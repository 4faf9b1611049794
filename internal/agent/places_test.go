package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

func TestWriteFileReplacesAndLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, text := range []string{"one", "two"} {
		if err := writeFile(path, 0o600, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("%q (%v)", b, err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(filepath.Join(dir, "d"), 0o600, nil); err == nil {
		t.Error("a directory was replaced")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left %v (%v)", entries, err)
	}
}

func TestConfigIsCheckedWhereItIsRead(t *testing.T) {
	p := Places{Etc: t.TempDir()}
	if _, err := readConfig(p); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no configuration: %v", err)
	}
	for text, ok := range map[string]bool{
		`{"server":"https://x","host_id":"h","roots":["/","/srv/chroot"]}`:   true,
		`{"server":"https://x","host_id":"h","roots":[]}`:                    false,
		`{"server":"https://x","host_id":"h","roots":["srv"]}`:               false,
		`{"server":"https://x","host_id":"h","roots":["/"],"scan_hours":-1}`: false,
		`{"server":"","host_id":"h","roots":["/"]}`:                          false,
		`{`: false,
	} {
		if err := os.WriteFile(p.config(), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readConfig(p); (err == nil) != ok || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", text, err)
		}
	}
}
