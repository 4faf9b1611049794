package verdict_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/csaf"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// spec is a source package to build, with the versions of binary packages that have one of their own.
type spec struct {
	name, epoch, version, release, module string
	parts                                 map[string]string // by the end of their name; "": the source's version
}

func (s spec) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Name: %s\nVersion: %s\nRelease: %s\nSummary: x\nLicense: none\nVendor: Red Hat, Inc.\nBuildArch: noarch\n", s.name, s.version, s.release)
	if s.epoch != "" {
		fmt.Fprintf(&b, "Epoch: %s\n", s.epoch)
	}
	if s.module != "" {
		fmt.Fprintf(&b, "ModularityLabel: %s\n", s.module)
	}
	b.WriteString("%description\nx\n%files\n")
	for _, part := range slices.Sorted(maps.Keys(s.parts)) {
		fmt.Fprintf(&b, "%%package %s\nSummary: x\n", part)
		if version := s.parts[part]; version != "" {
			fmt.Fprintf(&b, "Epoch: 0\nVersion: %s\n", version)
		}
		fmt.Fprintf(&b, "%%description %s\nx\n%%files %s\n", part, part)
	}
	return b.String()
}

// rpmHost builds packages and installs them in a database of rpm's own, and reads that as the agent does.
func rpmHost(t *testing.T, specs ...spec) (database string, set pkgset.Set) {
	t.Helper()
	if _, err := exec.LookPath("rpmbuild"); err != nil {
		t.Skip("rpm is not installed here")
	}
	build, database := t.TempDir(), filepath.Join(t.TempDir(), "rpm")
	run(t, "rpm", "--dbpath", database, "--initdb")
	arguments := []string{"--define", "_topdir " + build, "--define", "_rpmdir " + build, "-bb"}
	for i, s := range specs {
		path := filepath.Join(build, fmt.Sprintf("%d.spec", i))
		if err := os.WriteFile(path, []byte(s.text()), 0o600); err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, path)
	}
	run(t, "rpmbuild", arguments...)
	files, err := filepath.Glob(filepath.Join(build, "noarch", "*.rpm"))
	if err != nil || len(files) < len(specs) {
		t.Fatalf("rpmbuild made %q of %d specs, %v", files, len(specs), err)
	}
	run(t, "rpm", append([]string{"--dbpath", database, "-i", "--justdb", "--nodeps", "--ignorearch", "--oldpackage"}, files...)...)
	installed, err := rpm.ParseQuery(run(t, "rpm", rpm.Arguments(database)...))
	if err != nil {
		t.Fatal(err)
	}
	return database, pkgset.FromRPM(installed)
}

func run(t *testing.T, program string, arguments ...string) []byte {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, arguments...)
	var complaint bytes.Buffer
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", program, err, complaint.Bytes())
	}
	return out
}

// asked is what rpm itself says: its packages of every source in the form that its own comparison takes, and which of pairs
// of versions is the older.
type asked struct{ source, name, version, own, module string } // version: of the source, with the binary's epoch; own: the binary's

func askRPM(t *testing.T, database string) (all []asked) {
	t.Helper()
	const form = `%{NAME} %{EPOCHNUM} %{VERSION}-%{RELEASE} %{SOURCERPM} %{MODULARITYLABEL}\n`
	for line := range strings.Lines(string(run(t, "rpm", "--dbpath", database, "-qa", "--qf", form))) {
		f := strings.Fields(line)
		source := strings.Split(strings.TrimSuffix(f[3], ".src.rpm"), "-")
		n := len(source)
		a := asked{source: strings.Join(source[:n-2], "-"), name: f[0], version: f[1] + ":" + source[n-2] + "-" + source[n-1], own: f[1] + ":" + f[2]}
		if label := strings.Split(f[4], ":"); len(label) > 1 {
			a.module = label[0] + ":" + label[1]
		}
		all = append(all, a)
	}
	return all
}

// older asks rpm which first versions of pairs are older than the second.
func older(t *testing.T, pairs [][2]string) map[[2]string]bool {
	t.Helper()
	var script strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&script, "print(rpm.vercmp(%q, %q)..' ') ", p[0], p[1])
	}
	answers := strings.Fields(string(run(t, "rpm", "--eval", "%{lua:"+script.String()+"}")))
	if len(answers) != len(pairs) {
		t.Fatalf("rpm compares %d of %d pairs", len(answers), len(pairs))
	}
	all := make(map[[2]string]bool, len(pairs))
	for i, p := range pairs {
		all[p] = answers[i] == "-1"
	}
	return all
}

// holdAgainstRPM compares the verdicts of a host with what rpm says of the packages and versions that the statements name. Of
// sources with an epoch of their own only in some binaries, those that are built in the source's version tell it.
func holdAgainstRPM(t *testing.T, release, database string, set pkgset.Set, statements []intake.Statement) (affected, not int) {
	t.Helper()
	type question struct{ id, source, installed, fixed string }
	var questions []question
	var pairs [][2]string
	apart := map[string]bool{} // vulnerabilities of a package of which the vendor tells modules apart
	for _, s := range statements {
		apart[s.ID+" "+s.Package] = apart[s.ID+" "+s.Package] || s.Module != ""
	}
	installed := askRPM(t, database)
	for _, s := range statements {
		for _, a := range installed {
			about := a.source == s.Package && !s.Binary && strings.HasSuffix(a.version, strings.TrimPrefix(a.own, "0:")) || a.name == s.Package && s.Binary
			if s.Status != intake.Fixed || s.Release != release || !about || s.Module != a.module && (s.Module != "" || apart[s.ID+" "+s.Package]) {
				continue
			}
			q := question{s.ID, a.source, a.version, s.FixedVersion}
			if s.Binary {
				q.installed = a.own
			}
			questions, pairs = append(questions, q), append(pairs, [2]string{q.installed, q.fixed})
		}
	}
	before, want, got := older(t, pairs), map[string]bool{}, map[string]bool{}
	for _, q := range questions {
		want[q.id+" "+q.source] = want[q.id+" "+q.source] || before[[2]string{q.installed, q.fixed}]
	}
	f := verdict.NewFleet()
	f.Learn(statements)
	place(t, f, "h", verdict.Class{Release: release}, set)
	for _, x := range f.Findings("h") {
		if x.Verdict.Reason == "" || x.Verdict.Status != verdict.Affected {
			t.Errorf("%+v", x)
		}
		got[x.ID+" "+x.Source] = true
	}
	for q, is := range want {
		if is {
			affected++
		} else {
			not++
			delete(want, q)
		}
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	return affected, not
}

// TestVerdictsAgreeWithRPM holds verdicts against rpm itself: packages that it built and installed, by documents in the form of
// Red Hat's, with epochs, modules, binaries in versions of their own, and marks in versions.
func TestVerdictsAgreeWithRPM(t *testing.T) {
	specs := []spec{
		{name: "plain", version: "1.2.3", release: "4.el9", parts: map[string]string{"libs": ""}},
		{name: "epoch", epoch: "2", version: "1.0", release: "1.el9", parts: map[string]string{"doc": ""}},
		{name: "lang", epoch: "4", version: "5.32.1", release: "480.el9", parts: map[string]string{"Errno": "1.30", "libs": ""}},
		{name: "marks", version: "1.0~rc2^git7", release: "1.el9_2.1"},
		{name: "store", version: "6.2.17", release: "1.module+el9+7+a", module: "store:6:9:9", parts: map[string]string{"doc": ""}},
	}
	database, set := rpmHost(t, specs...)
	var statements []intake.Statement
	n := 0
	for _, s := range specs {
		whole := s.version + "-" + s.release
		versions := []string{whole, "0:" + whole, "1:" + whole, "2:" + whole, "4:" + whole, "5:0-1", s.version + "-0", s.version + "~-1", s.version + "^1-1", s.version + ".0-1",
			"0" + s.version + "-99", s.version + "-" + s.release + ".1", "1.0~rc10-1", "1.0-1", "1.30-480.el9", "1.31-1", "0:999-1"}
		for i := range versions {
			for _, binary := range []string{"", s.name, s.name + "-libs", s.name + "-Errno"} {
				for modules := range 3 { // a vulnerability of no module, of three, and of another than is installed
					n++
					for _, module := range [][]string{{""}, {"", "store:6", "store:70"}, {"store:70"}}[modules] {
						fixed := versions[(i+len(module))%len(versions)]
						r, err := csaf.RedHat()("x.json", strings.NewReader(advisory(fmt.Sprintf("CVE-2026-%d", n), cmp.Or(binary, s.name), fixed, module, binary == "")))
						if err != nil {
							t.Fatal(err)
						}
						statements = append(statements, r.Statements...)
					}
				}
			}
		}
	}
	statements = intake.Lead(statements)
	affected, not := holdAgainstRPM(t, "rhel-9", database, set, statements)
	t.Logf("%d statements about %d packages: rpm and we say affected %d times, not affected %d times", len(statements), len(set), affected, not)
	if affected < 50 || not < 50 {
		t.Error("the sample decides little")
	}
}

// advisory is a document in the form of Red Hat's that fixes one package in RHEL 9.
func advisory(id, name, fixed, module string, source bool) string {
	epoch, version, found := strings.Cut(fixed, ":")
	if !found {
		epoch, version = "", fixed
	}
	purl := "pkg:rpm/redhat/" + name + "@" + strings.NewReplacer("+", "%2B", "^", "%5E", "~", "%7E").Replace(version) + "?arch=" + map[bool]string{true: "src", false: "noarch"}[source]
	if epoch != "" {
		purl += "&epoch=" + epoch
	}
	if module != "" {
		purl += "&rpmmod=" + module + ":9:9"
	}
	return `{"document":{"category":"csaf_security_advisory","csaf_version":"2.0","title":"x","publisher":{"name":"x"},"tracking":{"id":"RHSA-2026:1","current_release_date":"2026-08-04T19:54:43+00:00","status":"final"}},
"product_tree":{"branches":[{"category":"product_name","name":"9","product":{"product_id":"R9","name":"9","product_identification_helper":{"cpe":"cpe:/o:redhat:enterprise_linux:9::baseos"}}},
 {"category":"product_version","name":"p","product":{"product_id":"p","name":"p","product_identification_helper":{"purl":"` + purl + `"}}}],
"relationships":[{"category":"default_component_of","product_reference":"p","relates_to_product_reference":"R9","full_product_name":{"product_id":"R9:p","name":"p"}}]},
"vulnerabilities":[{"cve":"` + id + `","product_status":{"fixed":["R9:p"]}}]}`
}

// TestVerdictsOfRedHatAgreeWithRPM does the same by Red Hat's own documents: of each package and module that they fix, one is
// built in the fixed version and one in a release before it, and held on two hosts.
func TestVerdictsOfRedHatAgreeWithRPM(t *testing.T) {
	var statements []intake.Statement
	for _, dir := range []string{"csaf-vex", "csaf-advisories"} {
		err := filepath.WalkDir(shared(t, "redhat/"+dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".json") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			r, err := csaf.RedHat("rhel-8", "rhel-9")(path, bytes.NewReader(b))
			statements = append(statements, r.Statements...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	statements = intake.Lead(slices.DeleteFunc(statements, func(s intake.Statement) bool { return s.Status != intake.Fixed || s.Binary }))
	type one struct{ name, module string }
	const most = 12 // of each release are built
	for _, release := range []string{"rhel-8", "rhel-9"} {
		built := map[one]intake.Statement{}
		for _, s := range statements {
			if at := (one{s.Package, s.Module}); s.Release == release && len(built) < most {
				built[at] = s
			}
		}
		for _, back := range []string{"", "0."} { // the fixed release, and one before it
			var specs []spec
			for at, s := range built {
				epoch, version, found := strings.Cut(s.FixedVersion, ":")
				if !found {
					epoch, version = "", s.FixedVersion
				}
				i := strings.LastIndexByte(version, '-')
				p := spec{name: at.name, epoch: epoch, version: version[:i], release: back + version[i+1:]}
				if at.module != "" {
					p.module = at.module + ":8:8"
				}
				if !slices.ContainsFunc(specs, func(o spec) bool { return o.name == p.name }) {
					specs = append(specs, p)
				}
			}
			database, set := rpmHost(t, specs...)
			affected, not := holdAgainstRPM(t, release, database, set, statements)
			t.Logf("%s, release %q: %d packages, affected %d, not %d", release, back, len(set), affected, not)
			if back != "" && affected < len(specs) || back == "" && not == 0 {
				t.Error("the sample decides little")
			}
		}
	}
}

// TestTheRunningKernelOfRPM: the image that runs may have been removed since the boot.
func TestTheRunningKernelOfRPM(t *testing.T) {
	image := func(version string) pkgset.Package {
		return pkgset.Package{Name: "kernel-core", Arch: "x86_64", Version: version, Source: "kernel", SourceVersion: version, RPM: &pkgset.RPM{Vendor: "Rocky Enterprise Software Foundation"}}
	}
	const old, fixed = "5.14.0-362.8.1.el9_3", "5.14.0-427.13.1.el9_4"
	for _, c := range []struct {
		running string
		set     pkgset.Set
		want    verdict.Status // "" for not affected
	}{
		{fixed, pkgset.Set{image(old), image(fixed)}, ""}, {old, pkgset.Set{image(old), image(fixed)}, verdict.FixedAfterReboot},
		{old, pkgset.Set{image(fixed)}, verdict.FixedAfterReboot}, {old, pkgset.Set{image(old)}, verdict.Affected},
	} {
		f := verdict.NewFleet()
		s := fixedIn("CVE-2026-1", "kernel", fixed)
		s.Release, s.Scheme = "rocky-9", intake.RPM
		f.Learn([]intake.Statement{s})
		place(t, f, "h", verdict.Class{Release: "rocky-9", Kernel: verdict.Kernel{Release: c.running + ".x86_64", Version: "#1 SMP PREEMPT_DYNAMIC"}}, c.set)
		got := verdict.Status("")
		for _, x := range f.Findings("h") {
			got = x.Verdict.Status
		}
		if got != c.want {
			t.Errorf("%s runs, %d installed: %q, want %q", c.running, len(c.set), got, c.want)
		}
	}
}
