package pkgset

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

var installedRPM = []rpm.Installed{
	{Name: "ruby", Arch: "x86_64", Version: "3.1.4-143.el9", Source: "ruby", SourceVersion: "3.1.4-143.el9", Module: "ruby:3.1:9:9", Vendor: "Rocky"},
	{Name: "openssl-libs", Arch: "x86_64", Version: "1:3.0.7-24.el9", Source: "openssl", SourceVersion: "3.0.7-24.el9", Vendor: "Rocky", Key: "702d426d350d275d"},
	{Name: "gpg-pubkey", Arch: "noarch", Version: "350d275d-6279464b", Source: "gpg-pubkey", SourceVersion: "350d275d-6279464b"},
}

func TestSetOfRPM(t *testing.T) {
	s := FromRPM(installedRPM)
	want := Set{
		{"openssl-libs", "x86_64", "1:3.0.7-24.el9", "openssl", "3.0.7-24.el9", "", false, &RPM{"", "Rocky", "702d426d350d275d"}},
		{"ruby", "x86_64", "3.1.4-143.el9", "ruby", "3.1.4-143.el9", "", false, &RPM{"ruby:3.1:9:9", "Rocky", ""}},
	}
	if d := cmp.Diff(want, s); d != "" {
		t.Error(d)
	}
	if s[0].CompareVersions("1-1", "1^a-1") >= 0 || (Package{}).CompareVersions("1-1", "1.0-1") >= 0 {
		t.Error("versions are not compared by their packager's rule")
	}
	if _, err := Parse([]byte(headerRPM)); err == nil {
		t.Error("the empty set has two forms")
	}
}

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
		{"libc6", "amd64", "2.36-9", "glibc", "2.36-9", "", false, nil},
		{"libc6", "i386", "2.36-9", "glibc", "2.36-9", "reinstreq", false, nil},
		{"sudo", "amd64", "1.9-1", "sudo", "1.9-1", "half-configured", false, nil},
		{"zlib1g", "amd64", "1:1.2-1", "zlib", "1:1.2-1", "", true, nil},
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
	for _, s := range []Set{{}, FromStatus(status), FromRPM(installedRPM)} {
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
