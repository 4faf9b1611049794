// Package badinput makes files that no parser of foreign bytes may trip over: truncated, endless, packed to explode, in other
// encodings, nested too deep. They are made, not kept: the largest unpacks to gigabytes.
package badinput

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Size is how many bytes an endless file has, packed ones unpacked.
const Size = 32 << 20

// File is a bad file. It is small, or repeats itself; Open gives it from its beginning.
type File struct {
	Name string
	Open func() io.Reader
}

// Files gives all bad files.
func Files() []File {
	var all []File
	for name, text := range texts() {
		all = append(all, File{name, func() io.Reader { return strings.NewReader(text) }})
	}
	for name, parts := range map[string][2]string{
		"endless blanks": {"", " "}, "endless zeros": {"", "\x00"}, "endless line": {"cve,epss\n", "x"}, "endless JSON string": {`{"id":"`, "x"},
		"endless JSON number": {`{"id":`, "9"}, "endless JSON array": {`{"affected":[`, "{},"}, "deep JSON array": {"", "["}, "deep JSON object": {"", `{"a":`},
		"deep XML": {"", "<a>"}, "endless XML text": {"<a>", "x"}, "endless XML attribute": {`<a b="`, "x"}, "endless XML comment": {"<!--", "x"}, "endless XML attributes": {"<a ", `b="c" `},
	} {
		all = append(all, File{name, func() io.Reader { return io.LimitReader(endless(parts[0], parts[1]), Size) }})
	}
	for name, b := range packed() {
		all = append(all, File{name, func() io.Reader { return bytes.NewReader(b) }})
	}
	return all
}

func texts() map[string]string {
	laughs := `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY l0 "ha">`
	for i := range 30 {
		laughs += fmt.Sprintf(`<!ENTITY l%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&l%d;", i), 10))
	}
	wide := utf16.Encode([]rune(`{"id":"CVE-2026-1"}`))
	little, big := []byte{0xff, 0xfe}, []byte{0xfe, 0xff}
	for _, c := range wide {
		little, big = append(little, byte(c), byte(c>>8)), append(big, byte(c>>8), byte(c))
	}
	return map[string]string{
		"empty": "", "a page of an error": "<!DOCTYPE html><html><head><title>404</title></head><body>gone</body></html>", "cut JSON": `{"id":"CVE-2026-1","modif`, "cut XML": `<?xml version="1.0"?><a><b`,
		"null": "null", "two documents": "{}{}", "an array in place of an object": "[]", "a text in place of an object": `"x"`, "a number out of range": `{"count":1e999999,"notices":1e400}`,
		"billion laughs": laughs + `]><l>&l30;</l>`, "an entity of a file": `<!DOCTYPE l [<!ENTITY f SYSTEM "file:///etc/passwd">]><l>&f;</l>`,
		"UTF-16 little endian": string(little), "UTF-16 big endian": string(big), "UTF-7": `<?xml version="1.0" encoding="UTF-7"?><a/>`, "Latin-1": "{\"id\":\"caf\xe9\"}", "overlong UTF-8": "{\"id\":\"\xc0\xaf\"}",
		"lone surrogates": `{"id":"\ud800"}`, "text that runs backwards": "{\"id\":\"\u202egro.elpmaxe\"}", "control characters": "\x1b]0;x\x07\x00\x01\x02",
	}
}

// packed gives compressed files and archives.
func packed() map[string][]byte {
	zeros := io.LimitReader(endless("", "\x00"), 1<<30)
	var gz, zs bytes.Buffer
	write(gzip.NewWriter(&gz), zeros)
	z, err := zstd.NewWriter(&zs)
	must(err)
	write(z, io.LimitReader(endless("", "\x00"), 1<<30))
	return map[string][]byte{
		"gzip bomb": gz.Bytes(), "zstd bomb": zs.Bytes(), "cut gzip": gz.Bytes()[:100], "cut zstd": zs.Bytes()[:20], "gzip header alone": {0x1f, 0x8b, 8, 0}, "xz header alone": []byte("\xfd7zXZ\x00"),
		"bzip2 header alone": []byte("BZh9"), "zip bomb": zipped(map[string]int64{"a.json": 1 << 30}), "zip that leads out": zipped(map[string]int64{"../../a.json": 1}),
		"zip of a zip bomb": zippedBytes("a.json", zipped(map[string]int64{"a.json": 1 << 28})), "cut zip": zipped(map[string]int64{"a.json": 1000})[:60],
		"tar with a link": link(),
	}
}

func zipped(files map[string]int64) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, size := range files {
		w, err := z.Create(name)
		must(err)
		_, err = io.Copy(w, io.LimitReader(endless("", " "), size))
		must(err)
	}
	must(z.Close())
	return b.Bytes()
}

func zippedBytes(name string, content []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	must(err)
	_, err = w.Write(content)
	must(err)
	must(z.Close())
	return b.Bytes()
}

func link() []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(w.WriteHeader(&tar.Header{Name: "a.json", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}))
	must(w.Close())
	return b.Bytes()
}

func write(w io.WriteCloser, r io.Reader) {
	_, err := io.Copy(w, r)
	must(err)
	must(w.Close())
}

// must: writing to memory does not fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// endless gives first, and then again and again what follows.
func endless(first, again string) io.Reader {
	return io.MultiReader(strings.NewReader(first), &repeat{text: strings.Repeat(again, 4096/len(again)+1)})
}

type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(p []byte) (n int, err error) {
	for n < len(p) {
		c := copy(p[n:], r.text[r.at:])
		n, r.at = n+c, (r.at+c)%len(r.text)
	}
	return n, nil
}
