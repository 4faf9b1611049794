package debian_test

import (
	"bytes"
	"cmp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
)

func index(source, version string) []deb.IndexEntry {
	return []deb.IndexEntry{{Name: "lib" + source, Source: source, SourceVersion: version}}
}

func TestArchiveFixIsTheLowestVersionAtOrAfterTheEntry(t *testing.T) {
	cases := []struct {
		name    string
		entries []deb.ChangelogEntry
		want    map[string]string
	}{
		{"the entry itself", []deb.ChangelogEntry{{Version: "1.0-2", CVEs: []string{"CVE-2026-1"}}, {Version: "1.0-1"}},
			map[string]string{"CVE-2026-1": "1.0-2"}},
		{"a rebuild sorts below what it was rebuilt from", []deb.ChangelogEntry{{Version: "1.2-1~deb12u1"}, {Version: "1.2-1", CVEs: []string{"CVE-2026-1"}}},
			map[string]string{"CVE-2026-1": "1.2-1~deb12u1"}},
		{"the oldest entry that names it", []deb.ChangelogEntry{{Version: "1.2-1", CVEs: []string{"CVE-2026-1", "CVE-2026-2"}}, {Version: "1.1-1", CVEs: []string{"CVE-2026-1"}}},
			map[string]string{"CVE-2026-1": "1.1-1", "CVE-2026-2": "1.2-1"}},
		{"an entry of another source", []deb.ChangelogEntry{{Version: "2-1", CVEs: []string{"CVE-2026-2"}}, {Source: "wget", Version: "1-1", CVEs: []string{"CVE-2026-1"}}},
			map[string]string{"CVE-2026-2": "2-1"}},
		{"a changelog the index does not vouch for", []deb.ChangelogEntry{{Version: "9-1", CVEs: []string{"CVE-2026-1"}}},
			map[string]string{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.entries {
				c.entries[i].Source = cmp.Or(c.entries[i].Source, "curl")
			}
			offered := c.entries[0].Version
			if len(c.want) == 0 {
				offered = "1-1"
			}
			b, err := debian.ReadArchive("bookworm", index("curl", offered), map[string][]deb.ChangelogEntry{"curl": c.entries}).Encode()
			if err != nil {
				t.Fatal(err)
			}
			reading, err := debian.ParseArchive(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, s := range reading.Statements {
				if s.Package != "curl" || s.Release != "bookworm" || s.Source != "debian-archive" {
					t.Errorf("statement %+v", s)
				}
				got[s.ID] = s.FixedVersion
			}
			if d := gocmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestArchiveRefusesDamage(t *testing.T) {
	good := `{"release":"bookworm","sources":[{"source":"curl","entries":[{"version":"1-1","cves":["CVE-2026-1"]}]}]}`
	if _, err := debian.ParseArchive(strings.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string]string{
		"truncated":     good[:len(good)-2],
		"trailing":      good + "1",
		"unknown field": strings.Replace(good, `"cves"`, `"cvs"`, 1),
		"version":       strings.Replace(good, "1-1", "1 1", 1),
		"source":        strings.Replace(good, "curl", "C", 1),
		"release":       strings.Replace(good, "bookworm", "", 1),
		"name":          strings.Replace(good, "CVE-2026-1", "BUG-1", 1),
	} {
		if _, err := debian.ParseArchive(strings.NewReader(doc)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v, want an invalid error", name, err)
		}
	}
}

func FuzzArchive(f *testing.F) {
	b, err := debian.ReadArchive("bookworm", index("curl", "1.0-2"), map[string][]deb.ChangelogEntry{"curl": {{Source: "curl", Version: "1.0-2", CVEs: []string{"CVE-2026-1"}}}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := debian.ParseArchive(bytes.NewReader(b))
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		for _, s := range r.Statements {
			if s.Package == "" || s.ID == "" || s.Status != intake.Fixed || deb.ValidVersion(s.FixedVersion) != nil {
				t.Errorf("%+v", s)
			}
		}
	})
}
