package unpack_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/unpack"
)

var limits = unpack.Limits{Files: 10, File: 1000, Total: 3000}

func walk(b []byte) (files map[string]string, err error) {
	files = map[string]string{}
	return files, unpack.Walk(bytes.NewReader(b), int64(len(b)), limits, func(f unpack.File) error {
		body, err := io.ReadAll(f.Body)
		files[f.Path] = string(body)
		return err
	})
}

type file struct {
	name, body string
	kind       byte
}

func tarred(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Typeflag: f.kind, Size: int64(len(f.body)), Mode: 0o600, Linkname: "/etc/passwd"}
		if f.kind == 0 {
			h.Typeflag, h.Linkname = tar.TypeReg, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		one, err := w.Create(f.name)
		if err == nil {
			_, err = io.WriteString(one, f.body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compressed(t testing.TB, w io.WriteCloser, b *bytes.Buffer, plain []byte) []byte {
	t.Helper()
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, plain []byte) []byte {
	b := new(bytes.Buffer)
	return compressed(t, gzip.NewWriter(b), b, plain)
}

func TestEveryKindOfArchiveIsRead(t *testing.T) {
	plain := tarred(t, file{name: "./a.json", body: "1"}, file{name: "sub/RLSA-2026:1.json", body: "2"})
	b := new(bytes.Buffer)
	z, err := zstd.NewWriter(b)
	if err != nil {
		t.Fatal(err)
	}
	for name, archive := range map[string][]byte{
		"tar": plain, "tar.gz": gzipped(t, plain), "tar.zst": compressed(t, z, b, plain),
		"zip": zipped(t, file{name: "a.json", body: "1"}, file{name: "sub/", body: ""}, file{name: "sub/RLSA-2026:1.json", body: "2"}),
	} {
		files, err := walk(archive)
		if err != nil || len(files) != 2 || files["a.json"] != "1" || files["sub/RLSA-2026:1.json"] != "2" {
			t.Errorf("%s: %q, %v", name, files, err)
		}
	}
}

func TestBadArchivesAreRefused(t *testing.T) {
	good := tarred(t, file{name: "a.json", body: strings.Repeat("x", 600)})
	large := strings.Repeat("x", 1001)
	many := make([]file, 11)
	for i := range many {
		many[i].name = string(rune('a' + i))
	}
	for name, archive := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "empty tar": tarred(t), "cut tar": good[:600], "cut gzip": gzipped(t, good)[:40],
		"cut zip":          zipped(t, file{name: "a", body: "b"})[:30],
		"leads out":        tarred(t, file{name: "../a.json"}),
		"leads out inside": zipped(t, file{name: "a/../../b.json"}),
		"absolute":         zipped(t, file{name: "/a.json"}),
		"backslash":        zipped(t, file{name: `a\b.json`}),
		"control sign":     zipped(t, file{name: "a\x00.json"}),
		"not ASCII":        zipped(t, file{name: "ä.json"}),
		"symbolic link":    tarred(t, file{name: "a", kind: tar.TypeSymlink}),
		"hard link":        tarred(t, file{name: "a", kind: tar.TypeLink}),
		"device":           tarred(t, file{name: "a", kind: tar.TypeChar}),
		"twice":            zipped(t, file{name: "a"}, file{name: "a"}),
		"too large a file": zipped(t, file{name: "a", body: large}),
		"too large in all": zipped(t, file{name: "a", body: large[:900]}, file{name: "b", body: large[:900]}, file{name: "c", body: large[:900]}, file{name: "d", body: large[:900]}),
		"too many files":   zipped(t, many...),
	} {
		if files, err := walk(archive); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %q, %v", name, files, err)
		}
	}
}

func TestPlainIsBounded(t *testing.T) {
	r, err := unpack.Plain(bytes.NewReader(gzipped(t, make([]byte, 1<<20))), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); fault.KindOf(err) != fault.Invalid || len(b) > 1000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func FuzzWalk(f *testing.F) {
	f.Add(zipped(f, file{name: "a.json", body: "1"}))
	f.Add(tarred(f, file{name: "a.json", body: "1"}))
	f.Add(gzipped(f, tarred(f, file{name: "a.json", body: "1"})))
	f.Fuzz(func(t *testing.T, b []byte) {
		files, err := walk(b)
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		total := 0
		for path, body := range files {
			total += len(body)
			if strings.Contains(path, "..") && unpack.CheckPath(path) != nil {
				t.Errorf("took %q", path)
			}
		}
		if total > 4000 || len(files) > limits.Files {
			t.Errorf("%d bytes in %d files", total, len(files))
		}
	})
}
