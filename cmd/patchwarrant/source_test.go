package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/unpack"
)

// A directory is uploaded as an archive of its files, made while it is read.
func TestADirectoryIsUploadedAsAnArchive(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "2026"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"a.json": "1", "2026/b.json": "2"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	body, err := openUpload(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	err = unpack.Walk(bytes.NewReader(b), int64(len(b)), unpack.Limits{Files: 10, File: 10, Total: 100}, func(f unpack.File) error {
		content, err := io.ReadAll(f.Body)
		files[f.Path] = string(content)
		return err
	})
	if err != nil || len(files) != 2 || files["a.json"] != "1" || files["2026/b.json"] != "2" {
		t.Errorf("%q, %v", files, err)
	}
	if _, err := openUpload(filepath.Join(dir, "none")); err == nil {
		t.Error("opened what is not there")
	}
	if body, err = openUpload(filepath.Join(dir, "a.json")); err != nil {
		t.Error(err)
	} else if b, err := io.ReadAll(body); err != nil || string(b) != "1" {
		t.Errorf("%q, %v", b, err)
	}
}
