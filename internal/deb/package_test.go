package deb_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/deb/debtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const changelog = `tool (1.1-1) bookworm-security; urgency=high

  * Fix CVE-2026-0002 and CVE-2026-0001 (again CVE-2026-0002).

 -- A <a@example.org>  Mon, 01 Jun 2026 00:00:00 +0000

tool (1.0-1) unstable; urgency=low

  * First. Not a CVE-20-1.
`

func spec(t testing.TB) debtest.Spec {
	return debtest.Spec{
		Control: debtest.Control("tool", "1.1-1", "amd64"),
		Info:    map[string]string{"conffiles": "/etc/tool.conf\nremove-on-upgrade /etc/old.conf\n", "postinst": "#!/bin/sh\nexit 0\n"},
		Files: []debtest.File{
			{Path: "/usr/bin/tool", Content: "binary"}, {Path: "/etc/tool.conf", Content: "a=1\n"},
			{Path: "/usr/share/doc/tool/changelog.Debian.gz", Content: string(debtest.Gzip(t, []byte(changelog)))},
		},
		Members: []tar.Header{
			{Name: "./usr/bin/tool2", Typeflag: tar.TypeLink, Linkname: "./usr/bin/tool"},
			{Name: "./usr/bin/t", Typeflag: tar.TypeSymlink, Linkname: "tool"},
		},
	}
}

func TestReadGivesTheContentList(t *testing.T) {
	raw := debtest.Build(t, spec(t))
	p, err := deb.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	sum := func(s string) string { d := sha256.Sum256([]byte(s)); return hex.EncodeToString(d[:]) }
	if p.SHA256 != sum(string(raw)) || p.Size != int64(len(raw)) || p.Name != "tool" || p.Version != "1.1-1" || p.Arch != "amd64" {
		t.Errorf("identity: %s %d %s %s %s", p.SHA256, p.Size, p.Name, p.Version, p.Arch)
	}
	if d := cmp.Diff([]string{"/etc/tool.conf", "/etc/old.conf"}, p.Conffiles); d != "" {
		t.Error(d)
	}
	if got := string(p.InfoContent("postinst")); got != "#!/bin/sh\nexit 0\n" {
		t.Errorf("postinst %q", got)
	}
	files := map[string]deb.File{}
	for _, f := range p.Files {
		files[f.Path] = f
	}
	at := time.Unix(1700000000, 0).UTC()
	for _, want := range []deb.File{
		{Path: "/", Type: 'd', Mode: 0o755, User: "root", Group: "root", ModTime: at},
		{Path: "/usr/bin/tool", Type: 'f', Mode: 0o644, User: "root", Group: "root", ModTime: at, Size: 6, SHA256: sum("binary")},
		{Path: "/usr/bin/tool2", Type: 'f', User: "root", Group: "root", ModTime: at, Size: 6, SHA256: sum("binary"), HardLink: "/usr/bin/tool"},
		{Path: "/usr/bin/t", Type: 'l', User: "root", Group: "root", ModTime: at, Target: "tool"},
		{Path: "/etc/tool.conf", Type: 'f', Mode: 0o644, User: "root", Group: "root", ModTime: at, Size: 4, SHA256: sum("a=1\n"), MD5: "d5e29449b9e66d5b4bb0d6ce48fbbcb1"},
	} {
		if d := cmp.Diff(want, files[want.Path]); d != "" {
			t.Errorf("%s: %s", want.Path, d)
		}
	}
}

func TestChangelogNamesCVEs(t *testing.T) {
	got, err := deb.Changelog(bytes.NewReader(debtest.Build(t, spec(t))))
	if err != nil {
		t.Fatal(err)
	}
	want := []deb.ChangelogEntry{{Source: "tool", Version: "1.1-1", CVEs: []string{"CVE-2026-0001", "CVE-2026-0002"}}, {Source: "tool", Version: "1.0-1"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestReadAgreesWithDpkg builds packages with the real dpkg-deb in each compression and compares what Read says with what
// dpkg unpacks.
func TestReadAgreesWithDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg-deb")
	if err != nil {
		t.Skip("dpkg-deb is not installed here")
	}
	tree := t.TempDir()
	for path, content := range map[string]string{
		"DEBIAN/control": debtest.Control("tool", "1-1", "all"), "DEBIAN/conffiles": "/etc/x y\n",
		"etc/x y": "conf", "usr/share/.hidden": strings.Repeat("text ", 100000), "usr/share/" + strings.Repeat("long", 40): "",
	} {
		if err := os.MkdirAll(filepath.Join(tree, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, compression := range []string{"none", "gzip", "xz", "zstd"} {
		out := filepath.Join(t.TempDir(), "tool.deb")
		if b, err := exec.Command(dpkg, "-Z"+compression, "--root-owner-group", "-b", tree, out).CombinedOutput(); err != nil {
			t.Logf("dpkg-deb cannot write %s here: %s", compression, b)
			continue
		}
		for range 2 { // the second time with decoders that were used before
			f, err := os.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			p, err := deb.Read(f)
			f.Close()
			if err != nil {
				t.Fatalf("%s: %v", compression, err)
			}
			compareWithDpkg(t, p, dpkg, out)
		}
	}
}

func compareWithDpkg(t *testing.T, p *deb.Package, dpkg, path string) {
	t.Helper()
	plain, err := exec.Command(dpkg, "--fsys-tarfile", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(bytes.NewReader(plain))
	for i := 0; ; i++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			if i != len(p.Files) {
				t.Errorf("%d files, dpkg unpacks %d", len(p.Files), i)
			}
			return
		} else if err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		io.Copy(sum, tr)
		f := p.Files[i]
		if strings.TrimSuffix("."+f.Path, "/") != strings.TrimSuffix(h.Name, "/") || f.Type == 'f' && f.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
			t.Errorf("file %d is %+v, dpkg unpacks %s", i, f, h.Name)
		}
		if f.Path == "/etc/x y" && f.MD5 != "3a8e4c06e471595f6eb262bb9b5582d9" {
			t.Errorf("conffile with a wrong md5: %+v", f)
		}
	}
}

func TestDamagedPackagesAreRefused(t *testing.T) {
	good := debtest.Build(t, spec(t))
	version := debtest.Member{Name: "debian-binary", Content: []byte("2.0\n")}
	with := func(change func(*debtest.Spec)) []byte {
		s := spec(t)
		change(&s)
		return debtest.Build(t, s)
	}
	member := func(h tar.Header) []byte {
		return with(func(s *debtest.Spec) { s.Members = append(s.Members, h) })
	}
	for rule, raw := range map[string][]byte{
		"empty":               {},
		"text":                []byte("hello"),
		"cut off":             good[:len(good)/2],
		"last byte cut off":   good[:len(good)-200],
		"only version":        debtest.Archive(version),
		"format 3":            debtest.Archive(debtest.Member{Name: "debian-binary", Content: []byte("3.0\n")}),
		"wrong order":         debtest.Archive(version, debtest.Member{Name: "data.tar.gz"}),
		"bzip2":               debtest.Archive(version, debtest.Member{Name: "control.tar.bz2"}),
		"no gzip":             debtest.Archive(version, debtest.Member{Name: "control.tar.gz", Content: []byte("xxxx")}),
		"no xz":               debtest.Archive(version, debtest.Member{Name: "control.tar.xz", Content: []byte("xxxx")}),
		"no zstd":             debtest.Archive(version, debtest.Member{Name: "control.tar.zst", Content: []byte("xxxx")}),
		"no control":          with(func(s *debtest.Spec) { s.Control = "" }),
		"bad version":         with(func(s *debtest.Spec) { s.Control = debtest.Control("tool", "1 1", "all") }),
		"climbing path":       member(tar.Header{Name: "./usr/../../etc/passwd", Typeflag: tar.TypeReg}),
		"line end":            member(tar.Header{Name: "./usr/a\nb", Typeflag: tar.TypeReg}),
		"same path twice":     member(tar.Header{Name: "./usr/bin/tool", Typeflag: tar.TypeReg}),
		"dangling hard link":  member(tar.Header{Name: "./usr/x", Typeflag: tar.TypeLink, Linkname: "./nothing"}),
		"relative conffile":   with(func(s *debtest.Spec) { s.Info["conffiles"] = "etc/x\n" }),
		"control in a folder": with(func(s *debtest.Spec) { s.Info["x/y"] = "" }),
	} {
		if p, err := deb.Read(bytes.NewReader(raw)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v, %v, want an error of kind invalid", rule, p, err)
		}
	}
}

func TestCompressionBombIsRefused(t *testing.T) {
	var control, data bytes.Buffer
	for out, f := range map[*bytes.Buffer]struct {
		name string
		body []byte
	}{&control: {"./control", []byte(debtest.Control("tool", "1-1", "all"))}, &data: {"./zeros", make([]byte, 100<<20)}} {
		z, err := zstd.NewWriter(out)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(z)
		if err := w.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Size: int64(len(f.body))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.body); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
	}
	raw := debtest.Archive(debtest.Member{Name: "debian-binary", Content: []byte("2.0\n")},
		debtest.Member{Name: "control.tar.zst", Content: control.Bytes()}, debtest.Member{Name: "data.tar.zst", Content: data.Bytes()})
	if p, err := deb.Read(bytes.NewReader(raw)); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "times its size") {
		t.Errorf("%d bytes of package: %v, %v", len(raw), p, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(debtest.Build(f, spec(f)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := deb.Read(bytes.NewReader(raw))
		if err == nil && p.Size != int64(len(raw)) {
			t.Fatalf("read %d of %d bytes", p.Size, len(raw))
		}
		deb.Changelog(bytes.NewReader(raw))
	})
}
