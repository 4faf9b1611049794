package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const helloDigest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

func open(t *testing.T) (*blob.DirStore, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := blob.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func TestPutGivesDigestAndOpenGivesTheBytes(t *testing.T) {
	s, _ := open(t)
	digest, size, err := s.Put(t.Context(), strings.NewReader("hello"))
	if err != nil || digest != helloDigest || size != 5 {
		t.Fatalf("Put = %s, %d, %v", digest, size, err)
	}
	b, err := blob.ReadAll(t.Context(), s, digest, 5)
	if err != nil || string(b) != "hello" {
		t.Fatalf("ReadAll = %q, %v", b, err)
	}
	if _, err := blob.ReadAll(t.Context(), s, digest, 4); fault.KindOf(err) != fault.Invalid {
		t.Errorf("ReadAll over its bound: %v", err)
	}
}

func TestPutBytesKeepsOnce(t *testing.T) {
	s, dir := open(t)
	for range 2 {
		if d, err := blob.PutBytes(t.Context(), s, []byte("hello")); err != nil || d != helloDigest {
			t.Fatalf("PutBytes = %s, %v", d, err)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	if len(files) != 1 {
		t.Errorf("files: %v", files)
	}
}

func TestADamagedBlobIsNotReadAndPutHealsIt(t *testing.T) {
	s, dir := open(t)
	if _, err := blob.PutBytes(t.Context(), s, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, helloDigest[:2], helloDigest)
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("hallo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := blob.ReadAll(t.Context(), s, helloDigest, 100); err == nil {
		t.Errorf("damaged blob read as %q", b)
	}
	if _, _, err := s.Put(t.Context(), strings.NewReader("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := blob.ReadAll(t.Context(), s, helloDigest, 100); err != nil {
		t.Errorf("after Put: %v", err)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	s, _ := open(t)
	if _, err := s.Open(t.Context(), helloDigest); fault.KindOf(err) != fault.NotFound {
		t.Errorf("Open: %v", err)
	}
	if ok, err := s.Has(t.Context(), helloDigest); ok || err != nil {
		t.Errorf("Has = %v, %v", ok, err)
	}
	for _, bad := range []string{"", "../../etc/passwd", strings.ToUpper(helloDigest), helloDigest + "0"} {
		if _, err := s.Open(t.Context(), bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("Open(%q): %v", bad, err)
		}
		if _, err := s.Has(t.Context(), bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("Has(%q): %v", bad, err)
		}
	}
}

func TestABrokenPutLeavesNothing(t *testing.T) {
	s, dir := open(t)
	broken := io.MultiReader(bytes.NewReader(make([]byte, 1000)), failing{})
	if _, _, err := s.Put(t.Context(), broken); !errors.Is(err, errBroken) {
		t.Errorf("Put: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Put(cancelled, strings.NewReader("hello")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled Put: %v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

var errBroken = errors.New("broken")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }
