package web

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

// TestUpload: a form with its file last is read up to the file; without one it is whole, or nothing where the form is about it; what
// is too large or breaks off is refused.
func TestUpload(t *testing.T) {
	form := func(file string, fields ...string) *visit {
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		for _, f := range fields {
			name, value, _ := strings.Cut(f, "=")
			if err := m.WriteField(name, value); err != nil {
				t.Fatal(err)
			}
		}
		if file != "" {
			w, err := m.CreateFormFile("f", "x.txt")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(file)); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "https://x/", &b)
		r.Header.Set("Content-Type", m.FormDataContentType())
		return &visit{r: r}
	}
	fields, file, err := form("content", "a=1", "b=two").upload()
	if err != nil || fields.Get("a") != "1" || fields.Get("b") != "two" || file == nil || file.FileName() != "x.txt" {
		t.Fatalf("%v %v %v", fields, file, err)
	}
	if b, err := whole(file, 3); err != nil || string(b) != "cont" {
		t.Errorf("read %q, %v; want a byte more than the most", b, err)
	}
	if fields, file, err := form("", "a=1").upload(); err != nil || file != nil || fields.Get("a") != "1" {
		t.Errorf("without a file: %v %v %v", fields, file, err)
	}
	if _, _, err := form("", "a=1").file(); err == nil {
		t.Error("a form about its file is taken without one")
	}
	if _, _, err := form("content", "a="+strings.Repeat("x", maxField+1)).upload(); err == nil {
		t.Error("a field of any size is taken")
	}
	if _, _, err := form("", strings.Split(strings.Repeat("a=1 ", maxFields+1), " ")[:maxFields+1]...).upload(); err == nil {
		t.Error("any number of fields is taken")
	}
	for most := int64(1); most < 100; most += 7 { // the whole form has more
		cut := form("", "a=1")
		cut.r.Body = io.NopCloser(io.MultiReader(io.LimitReader(cut.r.Body, most), iotest.ErrReader(io.ErrUnexpectedEOF)))
		if fields, _, err := cut.upload(); err == nil {
			t.Errorf("a form that breaks off after %d bytes is taken: %v", most, fields)
		}
	}
	other := form("content", "a=1")
	other.r.Header.Set("Content-Type", "text/plain")
	if _, _, err := other.upload(); err == nil {
		t.Error("what is no form is taken")
	}
}
