// Package debtest builds small real .deb files for tests.
package debtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Spec is a .deb to build. Control is the control file's text; Info are further members of control.tar; Files are regular
// files of data.tar by absolute path; Members are written to data.tar as they stand, after the files.
type Spec struct {
	Control string
	Info    map[string]string
	Files   []File
	Members []tar.Header
}

// File is a regular file with mode 0644, owned by root.
type File struct{ Path, Content string }

// Control gives the text of a control file with the usual fields; extra are further lines.
func Control(name, version, arch string, extra ...string) string {
	lines := append([]string{"Package: " + name, "Version: " + version, "Architecture: " + arch,
		"Maintainer: Test <test@example.org>", "Description: test package"}, extra...)
	return strings.Join(lines, "\n") + "\n"
}

// Build gives the bytes of the .deb, compressed with gzip.
func Build(t testing.TB, s Spec) []byte {
	t.Helper()
	control := []tar.Header{{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "./control", Typeflag: tar.TypeReg, Mode: 0o644}}
	content := map[string]string{"./control": s.Control}
	for name, text := range s.Info {
		control = append(control, tar.Header{Name: "./" + name, Typeflag: tar.TypeReg, Mode: 0o755})
		content["./"+name] = text
	}
	data := []tar.Header{{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}}
	made := map[string]bool{}
	for _, f := range s.Files {
		parts := strings.Split(strings.TrimPrefix(f.Path, "/"), "/")
		for i := 1; i < len(parts); i++ {
			if dir := "./" + strings.Join(parts[:i], "/") + "/"; !made[dir] {
				made[dir] = true
				data = append(data, tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755})
			}
		}
		data = append(data, tar.Header{Name: "." + f.Path, Typeflag: tar.TypeReg, Mode: 0o644})
		content["."+f.Path] = f.Content
	}
	data = append(data, s.Members...)
	return Archive(
		Member{"debian-binary", []byte("2.0\n")},
		Member{"control.tar.gz", Gzip(t, archive(t, control, content))},
		Member{"data.tar.gz", Gzip(t, archive(t, data, content))},
	)
}

// Member is one member of an ar archive.
type Member struct {
	Name    string
	Content []byte
}

// Archive gives an ar archive.
func Archive(members ...Member) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range members {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", m.Name, 1700000000, 0, 0, 0o100644, len(m.Content))
		b.Write(m.Content)
		if len(m.Content)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// Gzip compresses.
func Gzip(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func archive(t testing.TB, headers []tar.Header, content map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Uname, h.Gname, h.ModTime, h.Format = "root", "root", time.Unix(1700000000, 0), tar.FormatGNU
		h.Size = int64(len(content[h.Name]))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content[h.Name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Stanza gives the package's stanza of a Packages index: its control text with file name, size and digest.
func Stanza(control, filename string, size int, sha256 string) string {
	return fmt.Sprintf("%sFilename: %s\nSize: %d\nSHA256: %s\n", control, filename, size, sha256)
}
