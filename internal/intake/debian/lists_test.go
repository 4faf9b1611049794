package debian_test

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
)

const advisories = `[21 Aug 2026] DSA-2-2 tool - regression update
	[bookworm] - tool 1.2-1+deb12u3
[20 Aug 2026] DSA-2-1 tool - security update
	{CVE-2026-1 CVE-2026-2}
	[bookworm] - tool 1.2-1+deb12u2
	[trixie] - tool <not-affected> (Only affects old versions)
	NOTE: a note
[19 Aug 2026] DLA-1-1 tool - security update
	{CVE-2026-1}
	[bookworm] - tool 1.2-1+deb12u1
`

const issues = `CVE-2026-9 (a description)
	{DSA-2-1}
	- tool 1.3-1 (bug #1; low)
	[bookworm] - tool <no-dsa> (Minor issue)
	[bullseye] - tool <end-of-life> (EOL in LTS)
	[trixie] - tool <postponed> (Revisit)
	- gone <removed>
	- other <unfixed>
	[bookworm] - other <undetermined>
	TODO: check
CVE-2026-8
	RESERVED
CVE-2026-7 (x)
	NOT-FOR-US: y
`

func lines(statements []intake.Statement) (all []string) {
	for _, s := range statements {
		all = append(all, strings.Join(strings.Fields(strings.Join([]string{s.Release, s.Package, s.ID, string(s.Status), s.FixedVersion, s.Advisory, s.Expectation, s.Note}, " ")), " "))
	}
	return all
}

func TestListsBecomeStatements(t *testing.T) {
	r, err := debian.Advisories()(strings.NewReader(advisories))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"bookworm tool CVE-2026-1 fixed 1.2-1+deb12u2 DSA-2-1", "bookworm tool CVE-2026-1 fixed 1.2-1+deb12u1 DLA-1-1",
		"bookworm tool CVE-2026-2 fixed 1.2-1+deb12u2 DSA-2-1", "bookworm tool DSA-2-2 fixed 1.2-1+deb12u3 DSA-2-2",
		"trixie tool CVE-2026-1 not-affected DSA-2-1 Only affects old versions", "trixie tool CVE-2026-2 not-affected DSA-2-1 Only affects old versions"}
	if d := cmp.Diff(want, lines(r.Statements)); d != "" {
		t.Error(d)
	}
	if r, err = debian.Issues()(strings.NewReader(issues)); err != nil {
		t.Fatal(err)
	}
	want = []string{"bookworm other CVE-2026-9 undetermined", "bookworm tool CVE-2026-9 open no-dsa Minor issue", "bullseye tool CVE-2026-9 open end-of-life EOL in LTS",
		"sid other CVE-2026-9 open", "sid tool CVE-2026-9 fixed 1.3-1", "trixie tool CVE-2026-9 open postponed Revisit"}
	if d := cmp.Diff(want, lines(r.Statements)); d != "" {
		t.Error(d)
	}
	if r, err = debian.Issues("trixie")(strings.NewReader(issues)); err != nil || len(r.Statements) != 1 {
		t.Errorf("of trixie: %+v %v", r.Statements, err)
	}
}

func TestDamagedListsAreRefused(t *testing.T) {
	for name, doc := range map[string]string{"empty": "", "HTML": "<html>", "no head": "\t- tool 1", "a long line": "CVE-1 " + strings.Repeat("x", 300<<10),
		"too many CVEs": "[12 Feb 2025] DSA-1-1 tool\n\t{" + strings.Repeat("CVE-2026-1 ", 10_001) + "}\n\t[bookworm] - tool 1\nx", "no package": "CVE-2026-1\n\t- <b>\n", "UTF-16": "\xff\xfeC\x00V\x00"} {
		for _, parse := range []intake.Parser{debian.Advisories(), debian.Issues()} {
			if r, err := parse(strings.NewReader(doc)); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		}
	}
	for name, doc := range map[string]string{"debian.csv": "a,b\n", "ubuntu.csv": "version,codename,series,created,release,eol\n1,x,<b>,2020-01-01\n",
		"security-support-ended.deb12": "tool 1\n", "security-support-ended.deb99": "tool 1 2020-01-01\n", "security-support-limited": "", "passwd": "root"} {
		if r, err := debian.Support(name, strings.NewReader(doc)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestSupportEnds(t *testing.T) {
	show := func(name, doc string) (all []string) {
		r, err := debian.Support(name, strings.NewReader(doc))
		if err != nil {
			t.Fatal(name, err)
		}
		for _, s := range r.Support {
			all = append(all, strings.Join(strings.Fields(strings.Join([]string{s.Release, s.Package, s.Kind, s.Until.Format("2006-01-02"), s.Version, s.Note}, " ")), " "))
		}
		return all
	}
	if d := cmp.Diff([]string{"bookworm regular 2026-06-11", "bookworm lts 2028-07-01"}, show("debian.csv",
		"version,codename,series,created,release,eol,eol-lts,eol-elts\n12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-06-10,2028-06-30\n,Sid,sid,1993-08-16\n")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"bookworm php-horde* ended 2025-03-22 0 incompatible"}, show("x/security-support-ended.deb12", "# c\nphp-horde.* 0 2025-03-22 incompatible\n")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"binutils limited 0001-01-01 Only trusted content"}, show("security-support-limited", "binutils   Only trusted content\n")); d != "" {
		t.Error(d)
	}
}

// TestRealLists: every line of the lists as published is understood.
func TestRealLists(t *testing.T) {
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	for file, parse := range map[string]func(io string) (int, error){
		"debian-dsa/DSA.list": read(dir, debian.Advisories("bookworm")), "debian-dsa/DLA.list": read(dir, debian.Advisories("bookworm")),
		"debian-support/debian.csv": support(dir), "debian-support/ubuntu.csv": support(dir), "debian-support/security-support-ended.deb9": support(dir),
		"debian-support/security-support-ended.deb10": support(dir), "debian-support/security-support-ended.deb11": support(dir),
		"debian-support/security-support-ended.deb12": support(dir), "debian-support/security-support-limited": support(dir),
	} {
		n, err := parse(file)
		if os.IsNotExist(err) {
			t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
		}
		if err != nil || n != counts[path.Base(file)] {
			t.Errorf("%s: %d records, %v; want %d", file, n, err, counts[path.Base(file)])
		}
	}
}

func read(dir string, parse intake.Parser) func(string) (int, error) {
	return func(file string) (int, error) {
		f, err := os.Open(filepath.Join(dir, file))
		if err != nil {
			return 0, err
		}
		defer f.Close()
		r, err := parse(f)
		return len(r.Statements), err
	}
}

func support(dir string) func(string) (int, error) {
	return func(file string) (int, error) {
		f, err := os.Open(filepath.Join(dir, file))
		if err != nil {
			return 0, err
		}
		defer f.Close()
		r, err := debian.Support(file, f)
		return len(r.Support), err
	}
}

func FuzzLists(f *testing.F) {
	f.Add(advisories)
	f.Add(issues)
	f.Fuzz(func(t *testing.T, doc string) {
		for _, parse := range []intake.Parser{debian.Advisories(), debian.Issues()} {
			r, err := parse(strings.NewReader(doc))
			if err != nil && fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
			for _, s := range r.Statements {
				if s.Package == "" || s.Release == "" || s.ID == "" || (s.FixedVersion != "") != (s.Status == intake.Fixed) {
					t.Errorf("%+v", s)
				}
			}
		}
		for _, name := range []string{"debian.csv", "security-support-ended.deb12", "security-support-limited"} {
			if _, err := debian.Support(name, strings.NewReader(doc)); err != nil && fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
		}
	})
}

// counts of records in the sample files; Debian 11's list of what is no longer supported is empty.
var counts = map[string]int{"DSA.list": 5968, "DLA.list": 2623, "debian.csv": 33, "ubuntu.csv": 59, "security-support-ended.deb9": 21,
	"security-support-ended.deb10": 8, "security-support-ended.deb11": 0, "security-support-ended.deb12": 16, "security-support-limited": 32}
