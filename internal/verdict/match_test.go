package verdict_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// sourceOf says of which source package the binary packages of these tests are.
var sourceOf = map[string]string{"redis": "redis", "redis-doc": "redis", "perl-libs": "perl", "perl-Errno": "perl"}

var rpmVersions = []string{"1-1.el9", "1-2.el9", "2-1.el9", "1:1-1.el9", "1:2-1.el9"}

// rpmPkg is a binary package; the name of its source package holds no epoch.
func rpmPkg(name, source, version, module string) pkgset.Package {
	_, plain, epoch := strings.Cut(version, ":")
	if !epoch {
		plain = version
	}
	return pkgset.Package{Name: name, Arch: "x86_64", Version: version, Source: source, SourceVersion: plain, RPM: &pkgset.RPM{Module: module}}
}

// TestFleetEqualsJudgingOneByOne: what the rule books of rpm hosts find, with modules, statements about binary packages and
// fixes under conditions, is what choosing and judging statement by statement finds; and the counts are the sums of it.
func TestFleetEqualsJudgingOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := verdict.NewFleet()
		learned := rpmStatements(t)
		f.Learn(learned)
		sets := map[string]pkgset.Set{}
		for i := range rapid.IntRange(1, 5).Draw(t, "hosts") {
			sets[fmt.Sprint(i)] = rpmSet(t)
		}
		put := func() {
			for host, set := range sets {
				place(t, f, host, verdict.Class{Release: "rocky-9", SetDigest: set.Digest()}, set)
			}
		}
		put()
		if rapid.Bool().Draw(t, "learn again") {
			learned = rpmStatements(t)
			if _, again := f.Learn(learned); again {
				put()
			}
		}
		for host, set := range sets {
			want := oneByOne(set, learned)
			got := map[string]verdict.Status{}
			for _, x := range f.Findings(host) {
				got[x.ID+"/"+x.Source] = x.Verdict.Status
			}
			if d := gocmp.Diff(want, got); d != "" {
				t.Fatalf("%v\n%s", set, d)
			}
		}
		if d := gocmp.Diff(bruteForce(f, len(sets), learned), counts(f)); d != "" {
			t.Fatal(d)
		}
	})
}

func rpmStatements(t *rapid.T) (all []intake.Statement) {
	for range rapid.IntRange(0, 12).Draw(t, "statements") {
		s := intake.Statement{Source: "v", Release: "rocky-9", ID: fmt.Sprintf("CVE-2026-%d", rapid.IntRange(0, 2).Draw(t, "id")), Scheme: intake.RPM,
			Status:    rapid.SampledFrom([]intake.Status{intake.Fixed, intake.Fixed, intake.Fixed, intake.Open, intake.NotAffected, intake.Undetermined}).Draw(t, "status"),
			Condition: rapid.SampledFrom([]string{"", "", "eus"}).Draw(t, "condition")}
		s.Package = rapid.SampledFrom([]string{"redis", "redis-doc", "perl", "perl-libs", "perl-Errno"}).Draw(t, "package")
		s.Binary = sourceOf[s.Package] != "" && (sourceOf[s.Package] != s.Package || rapid.Bool().Draw(t, "binary"))
		if s.Package == "redis" || s.Package == "redis-doc" {
			s.Module = rapid.SampledFrom([]string{"", "", "redis:6", "redis:7"}).Draw(t, "module")
		}
		if s.Status == intake.Fixed {
			s.FixedVersion = rapid.SampledFrom(rpmVersions).Draw(t, "fixed")
		}
		all = append(all, s)
	}
	return intake.Lead(all)
}

func rpmSet(t *rapid.T) (set pkgset.Set) {
	module := rapid.SampledFrom([]string{"", "redis:6:9:1", "redis:7:9:1"}).Draw(t, "label")
	version := rapid.SampledFrom(rpmVersions).Draw(t, "redis")
	for _, name := range []string{"redis", "redis-doc"} {
		if rapid.Bool().Draw(t, name) {
			set = append(set, rpmPkg(name, "redis", version, module))
		}
	}
	perl := rapid.SampledFrom(rpmVersions).Draw(t, "perl")
	if rapid.Bool().Draw(t, "perl-Errno") { // versioned apart from its source
		p := rpmPkg("perl-Errno", "perl", perl, "")
		p.Version = rapid.SampledFrom([]string{"0.5-1.el9", "1.5-1.el9"}).Draw(t, "Errno")
		set = append(set, p)
	}
	if rapid.Bool().Draw(t, "perl-libs") {
		set = append(set, rpmPkg("perl-libs", "perl", perl, ""))
	}
	for _, p := range set {
		p.RPM.Vendor = rapid.SampledFrom([]string{"", "", "Fedora Project"}).Draw(t, "vendor")
	}
	return set
}

// oneByOne is the rule in words: for each vulnerability of an installed source package, what is stated about the source goes
// before what is stated about its binaries; the first that applies about each decides, and the worst of the binaries counts.
// Nothing is determined of what another vendor made.
func oneByOne(set pkgset.Set, learned []intake.Statement) map[string]verdict.Status {
	all := map[string]verdict.Status{}
	for _, id := range []string{"CVE-2026-0", "CVE-2026-1", "CVE-2026-2"} {
		for _, source := range []string{"perl", "redis"} {
			var parts pkgset.Set
			var of pkgset.Package // that stands for the source
			version, epoch, mixed := "", false, false
			for _, p := range set {
				if p.Source == source {
					mixed = mixed || len(parts) > 0 && p.RPM.Vendor != parts[0].RPM.Vendor
					if parts = append(parts, p); version == "" || p.RPM.Vendor == "" {
						of = p
					}
					if version == "" {
						version = p.SourceVersion
					}
					if strings.HasSuffix(p.Version, p.SourceVersion) {
						version, epoch = p.Version, true
					}
				}
			}
			if len(parts) == 0 {
				continue
			}
			module := strings.Join(strings.Split(parts[0].RPM.Module+"::", ":")[:2], ":")
			if module == ":" {
				module = ""
			}
			worst := verdict.NotAffected
			judge := func(s intake.Statement, p pkgset.Package, version string) {
				if !epoch && version == p.SourceVersion {
					s.FixedVersion = strings.TrimPrefix(s.FixedVersion, "1:")
				}
				status := verdict.Judge("rocky-9", s.Package, version, s).Status
				if p.RPM.Vendor != "" || status == verdict.NotAffected && mixed {
					status = verdict.Undetermined
				}
				if gravity := []verdict.Status{verdict.NotAffected, verdict.Undetermined, verdict.Affected}; slices.Index(gravity, status) > slices.Index(gravity, worst) {
					worst = status
				}
			}
			if s, ok := decisive(learned, id, source, false, module); ok {
				judge(s, of, version)
			} else {
				for _, p := range parts {
					if s, ok := decisive(learned, id, p.Name, true, module); ok {
						judge(s, p, p.Version)
					}
				}
			}
			if worst != verdict.NotAffected {
				all[id+"/"+source] = worst
			}
		}
	}
	return all
}

// decisive gives the statement about a package that applies.
func decisive(learned []intake.Statement, id, name string, binary bool, module string) (intake.Statement, bool) {
	var about []intake.Statement
	modular := false
	for _, s := range learned {
		if s.ID == id && s.Package == name && s.Binary == binary {
			about = append(about, s)
			modular = modular || s.Module != ""
		}
	}
	about = slices.DeleteFunc(about, func(s intake.Statement) bool {
		return s.Module != module && (s.Module != "" || modular)
	})
	if len(about) == 0 {
		return intake.Statement{}, false
	}
	if about[0].Status == intake.Open && about[0].Condition == "" {
		for _, s := range about {
			if s.Condition != "" && s.Status == intake.Fixed {
				return s, true
			}
		}
	}
	return about[0], true
}
