package pkgset

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

var status = []deb.Installed{
	{Name: "zlib1g", Arch: "amd64", Version: "1:1.2-1", Source: "zlib", SourceVersion: "1:1.2-1", Want: "hold", Flag: "ok", State: "installed"},
	{Name: "sudo", Arch: "amd64", Version: "1.9-1", Source: "sudo", SourceVersion: "1.9-1", Want: "install", Flag: "ok", State: "half-configured"},
	{Name: "libc6", Arch: "i386", Version: "2.36-9", Source: "glibc", SourceVersion: "2.36-9", Want: "install", Flag: "reinstreq", State: "installed"},
	{Name: "libc6", Arch: "amd64", Version: "2.36-9", Source: "glibc", SourceVersion: "2.36-9", Want: "install", Flag: "ok", State: "installed"},
	{Name: "left", Arch: "amd64", Version: "1-1", Source: "left", SourceVersion: "1-1", Want: "deinstall", Flag: "ok", State: "config-files"},
	{Name: "never", Want: "unknown", Flag: "ok", State: "not-installed"},
}

func TestSetOfStatus(t *testing.T) {
	s := FromStatus(status)
	want := Set{
		{"libc6", "amd64", "2.36-9", "glibc", "2.36-9", "", false},
		{"libc6", "i386", "2.36-9", "glibc", "2.36-9", "reinstreq", false},
		{"sudo", "amd64", "1.9-1", "sudo", "1.9-1", "half-configured", false},
		{"zlib1g", "amd64", "1:1.2-1", "zlib", "1:1.2-1", "", true},
	}
	if d := cmp.Diff(want, s); d != "" {
		t.Error(d)
	}
	if p, ok := s.Find("libc6", "i386"); !ok || p.State != "reinstreq" {
		t.Errorf("Find: %v %v", p, ok)
	}
	if p, ok := s.Find("libc", "i386"); ok {
		t.Errorf("Find gives %v for what is not there", p)
	}
}

func TestCanonicalComesBack(t *testing.T) {
	for _, s := range []Set{{}, FromStatus(status)} {
		got, err := Parse(s.Canonical())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(s, got); d != "" {
			t.Error(d)
		}
		if got.Digest() != s.Digest() {
			t.Error("the digest changed")
		}
	}
}

func TestOtherFormsAreRefused(t *testing.T) {
	good := FromStatus(status).Canonical()
	replace := func(old, new string) []byte { return bytes.Replace(good, []byte(old), []byte(new), 1) }
	for rule, b := range map[string][]byte{
		"empty": {}, "header": replace("set 1", "set 2"), "no line end": good[:len(good)-1],
		"order": replace("sudo", "aaa"), "twice": append(bytes.Clone(good), "zlib1g\tamd64\t1:1.2-1\tzlib\t1:1.2-1\t\theld\n"...),
		"state": replace("half-configured", "config-files"), "version": replace("1.9-1", "1_9"), "name": replace("zlib1g", "Zlib"),
		"fields": replace("\theld", ""), "held": replace("held", "holding"),
	} {
		if s, err := Parse(b); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v, %v, want an error of kind invalid", rule, s, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(FromStatus(status).Canonical())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := Parse(b); err == nil && !bytes.Equal(s.Canonical(), b) {
			t.Fatalf("read %q and wrote %q", b, s.Canonical())
		}
	})
}
