package verdict_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

func pkg(name, source, version string) pkgset.Package {
	return pkgset.Package{Name: name, Arch: "amd64", Version: version, Source: source, SourceVersion: version}
}

func place(t interface{ Fatal(...any) }, f *verdict.Fleet, host string, c verdict.Class, set pkgset.Set) {
	if err := f.Place(host, c, func() (pkgset.Set, error) { return set, nil }); err != nil {
		t.Fatal(err)
	}
}

func fixedIn(id, source, version string) intake.Statement {
	return intake.Statement{Source: "t", Package: source, Release: "bookworm", ID: id, Status: intake.Fixed, FixedVersion: version}
}

// TestTallyIsTheSumOfTheHosts: the counts made by differences equal those made by judging every host on its own.
func TestTallyIsTheSumOfTheHosts(t *testing.T) {
	versions := []string{"1-1", "1-1+deb12u1", "1-2", "1:0-1", "2-1~bpo12+1", "2-1"}
	sources := []string{"curl", "linux", "vim"}
	rapid.Check(t, func(t *rapid.T) {
		f := verdict.NewFleet()
		learned := statements(t, sources, versions)
		f.Learn(learned)
		hosts := rapid.IntRange(0, 6).Draw(t, "hosts")
		for i := range hosts * 2 { // some are placed twice
			set := set(t, sources, versions)
			c := verdict.Class{Release: "bookworm", SetDigest: set.Digest()}
			if rapid.Bool().Draw(t, "kernel") {
				c.Kernel = verdict.Kernel{Release: "6.1", Version: "#1 SMP Debian " + rapid.SampledFrom(versions).Draw(t, "running") + " (2026-01-01)"}
			}
			place(t, f, fmt.Sprint(i%max(hosts, 1)), c, set)
		}
		if hosts > 1 && rapid.Bool().Draw(t, "remove") {
			f.Remove("0")
		}
		if rapid.Bool().Draw(t, "learn again") {
			learned = statements(t, sources, versions)
			f.Learn(learned)
		}
		if d := gocmp.Diff(bruteForce(f, hosts, learned), counts(f)); d != "" {
			t.Fatal(d)
		}
	})
}

func statements(t *rapid.T, sources, versions []string) []intake.Statement {
	var all []intake.Statement
	for _, source := range sources {
		for i := range rapid.IntRange(0, 5).Draw(t, "statements") {
			s := fixedIn(fmt.Sprintf("CVE-2026-%d", i), source, "")
			s.Status = rapid.SampledFrom([]intake.Status{intake.Fixed, intake.Fixed, intake.Fixed, intake.Open, intake.NotAffected, intake.Undetermined}).Draw(t, "status")
			if s.Status == intake.Fixed {
				s.FixedVersion = rapid.SampledFrom(versions).Draw(t, "fixed")
			}
			all = append(all, s)
		}
	}
	slices.SortFunc(all, intake.Compare)
	return all
}

func set(t *rapid.T, sources, versions []string) pkgset.Set {
	var s pkgset.Set
	names := map[string][]string{"curl": {"curl", "libcurl"}, "linux": {"linux-image-6.1", "linux-image-6.2", "linux-libc-dev"}, "vim": {"vim"}}
	for _, source := range sources {
		for _, name := range names[source] {
			if rapid.Bool().Draw(t, name) {
				s = append(s, pkg(name, source, rapid.SampledFrom(versions).Draw(t, "version")))
			}
		}
	}
	return s
}

// tally is what is counted, by "ID/source".
type tally struct{ Affected, AfterReboot, Undetermined int }

func counts(f *verdict.Fleet) map[string]tally {
	all := map[string]tally{}
	for _, c := range f.Tally() {
		all[c.Statement.ID+"/"+c.Source] = tally{c.Affected, c.AfterReboot, c.Undetermined}
	}
	return all
}

func bruteForce(f *verdict.Fleet, hosts int, learned []intake.Statement) map[string]tally {
	all := map[string]tally{}
	count := func(name string, s verdict.Status) {
		c := all[name]
		switch s {
		case verdict.Affected:
			c.Affected++
		case verdict.FixedAfterReboot:
			c.AfterReboot++
		case verdict.Undetermined:
			c.Undetermined++
		default:
			return
		}
		all[name] = c
	}
	for h := range hosts {
		for _, x := range f.Findings(fmt.Sprint(h)) {
			count(x.ID+"/"+x.Source, x.Verdict.Status)
		}
	}
	perHost := all
	all = map[string]tally{}
	for _, s := range distinct(learned) {
		every := f.Hosts(s.ID, s.Package, verdict.HostPage{})
		for _, v := range every {
			count(s.ID+"/"+s.Package, v.Verdict.Status)
		}
		if d := gocmp.Diff(every, pages(f, s)); d != "" {
			panic("the pages of Hosts are not the whole:\n" + d)
		}
	}
	if d := gocmp.Diff(perHost, all); d != "" {
		panic("Findings and Hosts disagree:\n" + d)
	}
	return all
}

// distinct gives one statement for each vulnerability and source package; sourceOf says whose the binary ones are.
func distinct(learned []intake.Statement) (all []intake.Statement) {
	seen := map[[2]string]bool{}
	for _, s := range learned {
		if sourceOf[s.Package] != "" {
			s.Package = sourceOf[s.Package]
		}
		if at := [2]string{s.ID, s.Package}; !seen[at] {
			seen[at], all = true, append(all, s)
		}
	}
	return all
}

// pages gives what Hosts does, in pages of two and by status, and checks CountHosts.
func pages(f *verdict.Fleet, s intake.Statement) (all []verdict.Judged) {
	for status, n := range f.CountHosts(s.ID, s.Package) {
		got := 0
		for p := (verdict.HostPage{Status: status, Limit: 2}); ; {
			page := f.Hosts(s.ID, s.Package, p)
			if len(page) == 0 {
				break
			}
			all, got, p.After = append(all, page...), got+len(page), page[len(page)-1].Host
		}
		if skipped := f.Hosts(s.ID, s.Package, verdict.HostPage{Status: status, Skip: 1}); got != n || len(skipped) != n-1 {
			panic(fmt.Sprintf("%s: counted %d, in pages %d, without the first %d", status, n, got, len(skipped)))
		}
	}
	slices.SortFunc(all, func(a, b verdict.Judged) int { return cmp.Compare(a.Host, b.Host) })
	return all
}

func TestKernelVerdicts(t *testing.T) {
	old, new := pkg("linux-image-6.1.0-37-amd64", "linux", "6.1.140-1"), pkg("linux-image-6.1.0-40-amd64", "linux", "6.1.153-1")
	headers := pkg("linux-libc-dev", "linux", "6.1.140-1")
	running := func(release, version string) verdict.Kernel {
		return verdict.Kernel{Release: release, Version: "#1 SMP PREEMPT_DYNAMIC Debian " + version + " (2025-09-20)"}
	}
	cases := []struct {
		name   string
		set    pkgset.Set
		kernel verdict.Kernel
		want   verdict.Status // "" for not affected
	}{
		{"runs the fix, the old image is still there", pkgset.Set{old, new, headers}, running("6.1.0-40-amd64", "6.1.153-1"), ""},
		{"installed, not running", pkgset.Set{old, new}, running("6.1.0-37-amd64", "6.1.140-1"), verdict.FixedAfterReboot},
		{"same release, upgraded since the boot", pkgset.Set{pkg("linux-image-6.1.0-40-amd64", "linux", "6.1.158-1")}, running("6.1.0-40-amd64", "6.1.140-1"), verdict.FixedAfterReboot},
		{"not installed", pkgset.Set{old}, running("6.1.0-37-amd64", "6.1.140-1"), verdict.Affected},
		{"unknown what runs: the oldest image counts", pkgset.Set{old, new}, verdict.Kernel{}, verdict.Affected},
		{"somebody else's kernel runs", pkgset.Set{old, new}, verdict.Kernel{Release: "6.8.0", Version: "#1 SMP"}, verdict.Affected},
		{"its image was removed since the boot", pkgset.Set{new, headers}, running("6.1.0-37-amd64", "6.1.140-1"), verdict.FixedAfterReboot},
		{"the image of a newer one was removed", pkgset.Set{new}, running("6.1.0-41-amd64", "6.1.158-1"), ""},
		{"headers only", pkgset.Set{headers}, running("6.8.0", "6.8.1-1"), verdict.Undetermined},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := verdict.NewFleet()
			f.Learn([]intake.Statement{fixedIn("CVE-2026-1", "linux", "6.1.153-1")})
			place(t, f, "h", verdict.Class{Release: "bookworm", Kernel: c.kernel}, c.set)
			got := verdict.Status("")
			for _, x := range f.Findings("h") {
				got = x.Verdict.Status
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLearnMakesOnlyChangedBooksAgain(t *testing.T) {
	f := verdict.NewFleet()
	first := []intake.Statement{fixedIn("CVE-2026-1", "curl", "1-1"), fixedIn("CVE-2026-2", "vim", "1-1")}
	if n, _ := f.Learn(first); n != 2 {
		t.Errorf("%d books made, want 2", n)
	}
	if n, _ := f.Learn(slices.Clone(first)); n != 0 {
		t.Errorf("%d books made without a change", n)
	}
	second := []intake.Statement{first[0], fixedIn("CVE-2026-3", "curl", "2-1"), first[1]}
	if n, _ := f.Learn(second); n != 1 {
		t.Errorf("%d books made for one new advisory", n)
	}
	place(t, f, "h", verdict.Class{Release: "bookworm"}, pkgset.Set{pkg("curl", "curl", "1-1"), pkg("vim", "vim", "0-1")})
	if n, _ := f.Learn(first[:1]); n != 2 || len(f.Tally()) != 0 {
		t.Errorf("%d books, %v: what is no longer stated must go", n, f.Tally())
	}
}

func TestPrecedenceDecidesAndContradictionsStay(t *testing.T) {
	f := verdict.NewFleet()
	tracker, archive := fixedIn("CVE-2026-1", "curl", "2-1"), fixedIn("CVE-2026-1", "curl", "1-1")
	archive.Source = "archive"
	f.Learn([]intake.Statement{tracker, archive})
	place(t, f, "h", verdict.Class{Release: "bookworm"}, pkgset.Set{pkg("curl", "curl", "1-1")})
	if got := f.Tally(); len(got) != 1 || got[0].Affected != 1 || got[0].Statement.Source != "t" {
		t.Errorf("tally %+v", got)
	}
	if got := f.Statements("CVE-2026-1", "curl"); len(got) != 2 {
		t.Errorf("statements %+v", got)
	}
}

func TestAHostWhoseReleaseNobodySpeaksAboutIsUnjudged(t *testing.T) {
	f := verdict.NewFleet()
	f.Learn([]intake.Statement{fixedIn("CVE-2026-1", "curl", "2-1")})
	place(t, f, "a", verdict.Class{Release: "trixie"}, pkgset.Set{pkg("curl", "curl", "1-1")})
	place(t, f, "b", verdict.Class{Release: "bookworm"}, pkgset.Set{pkg("bash", "bash", "1-1")})
	if got := f.Unjudged(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("unjudged %v", got)
	}
}

// TestOurOwnStatements speak of what others made, too; and one of them makes no release one that is spoken about.
func TestOurOwnStatements(t *testing.T) {
	f := verdict.NewFleet()
	s := fixedIn("PW-2026-0001", "gate", "2-1")
	s.Source = intake.Own
	f.Learn([]intake.Statement{s})
	place(t, f, "a", verdict.Class{Release: "bookworm", Foreign: "gate\tus"}, pkgset.Set{pkg("gate", "gate", "1-1")})
	if got := f.Findings("a"); len(got) != 1 || got[0].Verdict.Status != verdict.Affected {
		t.Errorf("found %+v", got)
	}
	if got := f.Unjudged(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("unjudged %v", got)
	}
}

func TestPlaceAsksForASetOnce(t *testing.T) {
	f := verdict.NewFleet()
	c := verdict.Class{Release: "bookworm", SetDigest: "d"}
	asked := 0
	ask := func() (pkgset.Set, error) { asked++; return pkgset.Set{pkg("curl", "curl", "1-1")}, nil }
	for _, host := range []string{"a", "b", "a"} {
		if err := f.Place(host, c, ask); err != nil {
			t.Fatal(err)
		}
	}
	broken := errors.New("no such set")
	if err := f.Place("a", verdict.Class{}, func() (pkgset.Set, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	f.Learn([]intake.Statement{fixedIn("CVE-2026-1", "curl", "2-1")})
	if got := f.Tally(); asked != 1 || len(got) != 1 || got[0].Affected != 2 {
		t.Errorf("asked %d times, tally %+v", asked, got)
	}
}
