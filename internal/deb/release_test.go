package deb

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

var sampleRelease = `Suite: oldstable-security
Codename: bookworm-security
Date: Wed, 18 Nov 2026 22:17:00 UTC
Valid-Until: Wed, 25 Nov 2026 22:17:00 UTC
Acquire-By-Hash: yes
SHA256:
 ` + strings.Repeat("ab", 32) + ` 376000 main/binary-amd64/Packages.xz
 ` + strings.Repeat("cd", 32) + `       0 main/i18n/Translation-en
`

func TestParseRelease(t *testing.T) {
	got, err := ParseRelease([]byte(sampleRelease))
	if err != nil {
		t.Fatal(err)
	}
	want := Release{
		Suite: "oldstable-security", Codename: "bookworm-security", ByHash: true,
		Date: time.Date(2026, 11, 18, 22, 17, 0, 0, time.UTC), ValidUntil: time.Date(2026, 11, 25, 22, 17, 0, 0, time.UTC),
		Files: map[string]ReleaseFile{
			"main/binary-amd64/Packages.xz": {376000, strings.Repeat("ab", 32)},
			"main/i18n/Translation-en":      {0, strings.Repeat("cd", 32)},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if again := FormatDate(got.Date); again != "Wed, 18 Nov 2026 22:17:00 UTC" {
		t.Errorf("date is written %q", again)
	}
}

func TestMalformedReleasesAreRefused(t *testing.T) {
	for rule, change := range map[string][2]string{
		"no date":       {"Date: Wed, 18 Nov 2026 22:17:00 UTC\n", ""},
		"other zone":    {"22:17:00 UTC\nValid", "22:17:00 CET\nValid"},
		"bad expiry":    {"25 Nov", "soon"},
		"no digests":    {"SHA256:", "MD5Sum:"},
		"short digest":  {"abab", "ab"},
		"no size":       {" 376000 ", " x "},
		"climbing path": {"main/i18n", "main/../../etc"},
		"two stanzas":   {"SHA256:", "\nSHA256:"},
		"empty":         {sampleRelease, ""},
	} {
		r, err := ParseRelease(bytes.Replace([]byte(sampleRelease), []byte(change[0]), []byte(change[1]), 1))
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v, %v, want an error of kind invalid", rule, r, err)
		}
	}
}

func FuzzParseRelease(f *testing.F) {
	f.Add([]byte(sampleRelease))
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := ParseRelease(text); err == nil && (r.Date.IsZero() || len(r.Files) == 0) {
			t.Fatalf("accepted without date or files: %v", r)
		}
	})
}
