package deb

import (
	"os"
	"path/filepath"
	"testing"
)

// shared gives the path of a file of the shared sample data, or skips the test where it is absent.
func shared(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("PATCHWARRANT_SHARED")
	for up := "."; dir == ""; up = filepath.Join(up, "..") {
		abs, err := filepath.Abs(up)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(abs, "go.mod")); err == nil {
			dir = filepath.Join(abs, "..", "shared", "data")
		} else if abs == "/" {
			break
		}
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("sample data %s is not here; set PATCHWARRANT_SHARED to its directory", name)
	}
	return path
}
