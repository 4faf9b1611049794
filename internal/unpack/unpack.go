// Package unpack walks through archives of documents from outside: zip, and tar plain or compressed with gzip, bzip2, xz or
// zstd. Names, sizes and counts are bounded, so that no archive can write elsewhere, fill the disk or go on for ever.
package unpack

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Limits bound an archive; what is beyond one of them is fault.Invalid.
type Limits struct {
	Files int   // regular files
	File  int64 // bytes of one file, unpacked
	Total int64 // bytes of all files, unpacked
}

const (
	maxName   = 300      // bytes of a path
	maxWindow = 64 << 20 // bytes of memory an xz or zstd archive may ask for
)

// File is one regular file of an archive. Body gives at most Limits.File bytes and an error beyond them.
type File struct {
	Path string // checked by CheckPath
	Body io.Reader
}

// CheckPath refuses paths that are not plain: absolute, with "..", empty parts, backslashes, or anything but printable ASCII.
func CheckPath(path string) error {
	plain := len(path) <= maxName && fs.ValidPath(path) && path != "."
	for i := range len(path) {
		plain = plain && path[i] > ' ' && path[i] < 0x7f && path[i] != '\\'
	}
	if !plain {
		return fault.New(fault.Invalid, "the path %q is not a plain relative one", clip(path))
	}
	return nil
}

// Walk calls take with each regular file of an archive of size bytes, in the archive's order. A path that CheckPath
// refuses, stands twice or is no regular file (links, devices), and bytes that are no whole archive, are fault.Invalid.
// Errors of take end the walk and come back.
func Walk(archive io.ReaderAt, size int64, limits Limits, take func(File) error) error {
	w := &walk{limits: limits, take: take, seen: map[string]bool{}}
	magic := make([]byte, 4)
	if _, err := archive.ReadAt(magic, 0); err != nil {
		if errors.Is(err, io.EOF) {
			return fault.New(fault.Invalid, "this is no archive: it has %d bytes", size)
		}
		return err
	}
	if bytes.Equal(magic, []byte("PK\x03\x04")) || bytes.Equal(magic, []byte("PK\x05\x06")) {
		return w.zip(archive, size)
	}
	return w.tar(io.NewSectionReader(archive, 0, size))
}

type walk struct {
	limits Limits
	take   func(File) error
	seen   map[string]bool
	total  int64
}

func (w *walk) zip(archive io.ReaderAt, size int64) error {
	z, err := zip.NewReader(archive, size)
	if err != nil {
		return fault.New(fault.Invalid, "the zip archive is damaged or truncated: %w", err)
	}
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		if !f.Mode().IsRegular() {
			return fault.New(fault.Invalid, "the archive's %q is no regular file", clip(f.Name))
		}
		body, err := f.Open()
		if err != nil {
			return fault.New(fault.Invalid, "the archive's %q is damaged: %w", clip(f.Name), err)
		}
		err = w.file(f.Name, body)
		if err := errors.Join(err, body.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) tar(r io.Reader) error {
	plain, err := decompress(r)
	if err != nil {
		return err
	}
	t := tar.NewReader(plain)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) && len(w.seen) > 0 {
			return nil
		}
		if err != nil {
			return fault.New(fault.Invalid, "this is no zip or tar archive, or it is damaged or truncated: %w", err)
		}
		switch h.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		case tar.TypeReg:
		default:
			return fault.New(fault.Invalid, "the archive's %q is no regular file", clip(h.Name))
		}
		if err := w.file(strings.TrimPrefix(h.Name, "./"), t); err != nil {
			return err
		}
	}
}

func (w *walk) file(path string, body io.Reader) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	if w.seen[path] {
		return fault.New(fault.Invalid, "the archive holds %s twice", path)
	}
	w.seen[path] = true
	if len(w.seen) > w.limits.Files {
		return fault.New(fault.Invalid, "the archive holds more than %d files", w.limits.Files)
	}
	b := &bounded{r: body, path: path, left: w.limits.File, total: w.limits.Total - w.total}
	if err := w.take(File{path, b}); err != nil {
		return err
	}
	// What take left is read too: it counts, and the archive's own check sums are checked.
	if _, err := io.Copy(io.Discard, b); err != nil {
		return err
	}
	w.total += b.read
	return nil
}

// bounded gives an error in place of the byte beyond a bound, and makes an archive's damage fault.Invalid.
type bounded struct {
	r                 io.Reader
	path              string
	read, left, total int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.read += int64(n)
	switch {
	case b.read > b.left:
		return 0, fault.New(fault.Invalid, "%s unpacks to more than %d bytes", b.path, b.left)
	case b.read > b.total:
		return 0, fault.New(fault.Invalid, "the archive unpacks to more bytes than a source may have")
	case err != nil && !errors.Is(err, io.EOF):
		return n, fault.New(fault.Invalid, "%s in the archive is damaged or truncated: %w", b.path, err)
	}
	return n, err
}

// Plain gives the text behind r, which may be compressed with gzip, bzip2, xz or zstd, in at most max bytes; beyond them
// reading fails with fault.Invalid. Damage is fault.Invalid too.
func Plain(r io.Reader, max int64) (io.Reader, error) {
	plain, err := decompress(r)
	if err != nil {
		return nil, err
	}
	return &bounded{r: plain, path: "the file", left: max, total: max}, nil
}

func decompress(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	magic, err := b.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	var plain io.Reader = b
	err = nil
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		plain, err = gzip.NewReader(b)
	case bytes.HasPrefix(magic, []byte("BZh")):
		plain = bzip2.NewReader(b)
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		plain, err = xz.NewReader(b, maxWindow)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// Without goroutines of its own the decoder needs no closing.
		plain, err = zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "the compression is damaged: %w", err)
	}
	return plain, nil
}

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
