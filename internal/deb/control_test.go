package deb

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const twoStanzas = `

Package: a
Description: short
 long
 .
 more
Size: 1

package: b
Tag:
 x,
 y`

func TestReaderGivesStanzas(t *testing.T) {
	for name, source := range map[string]io.Reader{
		"whole": strings.NewReader(twoStanzas), "byte by byte": iotest.OneByteReader(strings.NewReader(twoStanzas)),
	} {
		r := NewReader(source)
		a, err := r.Next()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := []string{a.Get("Package"), a.Get("description"), a.Get("SIZE"), a.Get("Absent"), a.Raw}
		want := []string{"a", "short\n long\n .\n more", "1", "", "Package: a\nDescription: short\n long\n .\n more\nSize: 1\n"}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: first stanza: %s", name, d)
		}
		b, err := r.Next()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff([]string{"b", "x,\n y", "package: b\nTag:\n x,\n y\n"}, []string{b.Get("Package"), b.Get("Tag"), b.Raw}); d != "" {
			t.Errorf("%s: second stanza: %s", name, d)
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the last: %v, want EOF", name, err)
		}
	}
}

func TestMalformedStanzasAreRefused(t *testing.T) {
	for rule, text := range map[string]string{
		"no colon":            "Package a\n",
		"field twice":         "Package: a\npackage: b\n",
		"continues nothing":   " a\n",
		"blank line of space": "Package: a\n \nSize: 1\n",
		"NUL byte":            "Package: a\x00\n",
		"comment":             "# Package: a\n",
		"too large":           "Package: " + strings.Repeat("a", MaxStanza) + "\n",
	} {
		if s, err := NewReader(strings.NewReader(text)).Next(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v, %v, want an error of kind invalid", rule, s.fields, err)
		}
	}
}

func TestReaderPassesOnItsSourcesError(t *testing.T) {
	broken := errors.New("cable cut")
	r := NewReader(io.MultiReader(strings.NewReader("Package: a\nSi"), iotest.ErrReader(broken)))
	if s, err := r.Next(); !errors.Is(err, broken) {
		t.Errorf("got %v, %v: half a stanza must not be given", s.fields, err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(twoStanzas)
	f.Add(sampleStatus)
	f.Add(samplePackages)
	f.Fuzz(func(t *testing.T, text string) {
		r := NewReader(strings.NewReader(text))
		var all strings.Builder
		for {
			s, err := r.Next()
			if err != nil {
				break
			}
			all.WriteString(s.Raw + "\n")
		}
		again := NewReader(strings.NewReader(all.String()))
		for range strings.Count(all.String(), "\n\n") {
			if _, err := again.Next(); err != nil {
				t.Fatalf("what was read cannot be read again: %v", err)
			}
		}
		ParseStatus(strings.NewReader(text))
		for range ParsePackages(strings.NewReader(text)) {
		}
	})
}

func FuzzParseChangelog(f *testing.F) {
	f.Add("curl (7.88-1+deb12u1) bookworm-security; urgency=high\n\n  * Fix CVE-2026-1, CVE-2026-1.\n\n -- x <x@example.org>  Sat, 21 Nov 2026 10:00:00 +0000\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseChangelog(strings.NewReader(text))
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		for _, e := range all {
			if e.Source == "" || ValidVersion(e.Version) != nil || !slices.IsSorted(e.CVEs) {
				t.Errorf("%+v", e)
			}
		}
	})
}
