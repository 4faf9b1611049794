package pool_test

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/deb/debtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pool"
)

func world(t *testing.T) (p *pool.Pool, dir string, raw []byte, entry deb.IndexEntry) {
	t.Helper()
	dir = t.TempDir()
	blobs, err := blob.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	raw = debtest.Build(t, debtest.Spec{Control: debtest.Control("tool", "1:1.1-1", "amd64")})
	read, err := deb.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return pool.New(blobs), dir, raw, deb.IndexEntry{Name: "tool", Version: "1:1.1-1", Arch: "amd64", SHA256: read.SHA256, Size: read.Size}
}

func TestAddedPackageIsGivenBack(t *testing.T) {
	p, _, raw, entry := world(t)
	for range 2 { // the second time it is there already
		if err := p.Add(t.Context(), entry, bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := p.Open(t.Context(), entry.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if want := "pool/" + entry.SHA256 + "/tool_1.1-1_amd64.deb"; pool.File(entry) != want {
		t.Errorf("file %s, want %s", pool.File(entry), want)
	}
}

func TestOtherBytesAreRefused(t *testing.T) {
	p, dir, raw, entry := world(t)
	changed := bytes.Clone(raw)
	changed[len(raw)-1] ^= 1
	for rule, b := range map[string][]byte{
		"changed": changed, "cut off": raw[:len(raw)-1], "longer": append(bytes.Clone(raw), 0), "empty": nil,
	} {
		if err := p.Add(t.Context(), entry, bytes.NewReader(b)); fault.CodeOf(err) != fault.Arbitrary {
			t.Errorf("%s: got %v, want code %s", rule, err, fault.Arbitrary)
		}
	}
	if kept, err := os.ReadDir(dir); err != nil || len(kept) > 1 {
		t.Errorf("refused bytes were kept: %v %v", kept, err)
	}
	for rule, e := range map[string]deb.IndexEntry{
		"name":         {Name: "other", Version: entry.Version, Arch: entry.Arch, SHA256: entry.SHA256, Size: entry.Size},
		"version":      {Name: entry.Name, Version: "1:1.2-1", Arch: entry.Arch, SHA256: entry.SHA256, Size: entry.Size},
		"architecture": {Name: entry.Name, Version: entry.Version, Arch: "all", SHA256: entry.SHA256, Size: entry.Size},
	} {
		if err := p.Add(t.Context(), e, bytes.NewReader(raw)); fault.CodeOf(err) != fault.Arbitrary {
			t.Errorf("other %s: got %v, want code %s", rule, err, fault.Arbitrary)
		}
	}
}
