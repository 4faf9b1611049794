package verdict_test

import (
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

func TestJudge(t *testing.T) {
	fixed := intake.Statement{Source: "debian-tracker", Package: "lvm2", Release: "bookworm", ID: "CVE-2026-1", Status: intake.Fixed, FixedVersion: "2.03.16-2"}
	with := func(status intake.Status, note string) intake.Statement {
		return intake.Statement{Source: "debian-tracker", Package: "lvm2", Release: "bookworm", ID: "CVE-2026-1", Status: status, Note: note}
	}
	cases := []struct {
		name, release, source, version string
		statement                      intake.Statement
		want                           verdict.Status
		fixed, reason                  string
	}{
		{"older", "bookworm", "lvm2", "2.03.16-1", fixed, verdict.Affected, "2.03.16-2", "2.03.16-1 is older than the fix in 2.03.16-2"},
		{"equal", "bookworm", "lvm2", "2.03.16-2", fixed, verdict.NotAffected, "2.03.16-2", "has the fix"},
		{"newer", "bookworm", "lvm2", "2.03.16-2+deb12u1", fixed, verdict.NotAffected, "2.03.16-2", "has the fix"},
		{"tilde is older", "bookworm", "lvm2", "2.03.16-2~deb12u1", fixed, verdict.Affected, "2.03.16-2", "older"},
		{"an epoch is newer", "bookworm", "lvm2", "1:1.0-1", fixed, verdict.NotAffected, "2.03.16-2", "has the fix"},
		{"an old backport", "bookworm", "lvm2", "2.03.15-1~bpo12+1", fixed, verdict.Affected, "2.03.16-2", "older"},
		{"a newer backport", "bookworm", "lvm2", "2.03.22-1~bpo12+1", fixed, verdict.Undetermined, "2.03.16-2", "backports"},
		{"no version", "bookworm", "lvm2", "1 2", fixed, verdict.Undetermined, "2.03.16-2", "cannot be compared"},
		{"open", "bookworm", "lvm2", "9-1", with(intake.Open, ""), verdict.Affected, "", "no fix in bookworm"},
		{"never affected", "bookworm", "lvm2", "0-1", with(intake.NotAffected, ""), verdict.NotAffected, "", "ever affected"},
		{"undetermined", "bookworm", "lvm2", "9-1", with(intake.Undetermined, "says nothing"), verdict.Undetermined, "", "says nothing"},
		{"other release", "trixie", "lvm2", "9-1", fixed, verdict.Undetermined, "", "about lvm2 in bookworm, not lvm2 in trixie"},
		{"other source", "bookworm", "curl", "9-1", fixed, verdict.Undetermined, "", "not curl"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := verdict.Judge(c.release, c.source, c.version, c.statement)
			if v.Status != c.want || v.Fixed != c.fixed || !strings.Contains(v.Reason, c.reason) {
				t.Errorf("got %+v", v)
			}
		})
	}
}

func TestOpenSaysWhatTheVendorPlans(t *testing.T) {
	s := intake.Statement{Source: "debian-tracker", Package: "vim", Release: "bookworm", Status: intake.Open, Expectation: "postponed",
		Note: "Minor issue", Urgency: "unimportant"}
	want := "debian-tracker: no fix in bookworm; postponed (Minor issue); rated unimportant"
	if v := verdict.Judge("bookworm", "vim", "1-1", s); v.Reason != want {
		t.Errorf("got %q", v.Reason)
	}
}

// TestEveryVerdictSaysWhy goes through what is known to go wrong when statements are matched with hosts: each verdict with
// the sentence that explains it.
func TestEveryVerdictSaysWhy(t *testing.T) {
	rpm := func(pkg, fixed string) intake.Statement {
		return intake.Statement{Source: "v", Package: pkg, Release: "rocky-9", ID: "CVE-2026-1", Status: intake.Fixed, FixedVersion: fixed, Scheme: intake.RPM}
	}
	with := func(s intake.Statement, change func(*intake.Statement)) intake.Statement {
		change(&s)
		return s
	}
	module := func(m string) func(*intake.Statement) { return func(s *intake.Statement) { s.Module = m } }
	binary := func(s *intake.Statement) { s.Binary = true }
	unknown := func(s *intake.Statement) { s.Binary, s.Status = true, intake.Undetermined }
	debs := func(s *intake.Statement) { s.Scheme = intake.Deb }
	byOthers := func(p pkgset.Package) pkgset.Package {
		p.RPM.Vendor = "Fedora Project"
		return p
	}
	esm := func(s *intake.Statement) { s.Condition = "esm-infra" }
	open := with(fixedIn("CVE-2026-1", "curl", ""), func(s *intake.Statement) { s.Status = intake.Open })
	kernel := func(version string) pkgset.Package { return rpmPkg("kernel-core", "kernel", version, "") }
	runs := verdict.Kernel{Release: "5.14.0-362.el9.x86_64", Version: "#1 SMP PREEMPT_DYNAMIC Thu Jan 1"}
	cases := []struct {
		trap       string
		set        pkgset.Set
		kernel     verdict.Kernel
		statements []intake.Statement
		want       verdict.Status // "": not affected, or nothing is stated
		reason     string
	}{
		{"the name of a source package holds no epoch: its binaries do", pkgset.Set{rpmPkg("openssl-libs", "openssl", "1:3.0.7-27.el9", "")}, verdict.Kernel{},
			[]intake.Statement{rpm("openssl", "1:3.0.7-28.el9")}, verdict.Affected, "v: 1:3.0.7-27.el9 is older than the fix in 1:3.0.7-28.el9"},
		{"an epoch wins over any version", pkgset.Set{rpmPkg("openssl-libs", "openssl", "1:3.0.7-27.el9", "")}, verdict.Kernel{},
			[]intake.Statement{rpm("openssl", "9-1.el9")}, "", ""},
		{"no binary tells the epoch", pkgset.Set{{Name: "perl-Errno", Arch: "x86_64", Version: "1.30-480.el9", Source: "perl", SourceVersion: "5.32.1-480.el9", RPM: &pkgset.RPM{}}},
			verdict.Kernel{}, []intake.Statement{rpm("perl", "4:5.32.1-480.el9")}, "", ""},
		{"tilde is older, caret newer", pkgset.Set{rpmPkg("a", "a", "1.0~rc1-1.el9", "")}, verdict.Kernel{},
			[]intake.Statement{rpm("a", "1.0-1.el9")}, verdict.Affected, "older"},
		{"the vendor names binary packages only", pkgset.Set{rpmPkg("perl-libs", "perl", "1-1.el9", "")}, verdict.Kernel{},
			[]intake.Statement{with(rpm("perl-libs", "1-2.el9"), binary)}, verdict.Affected, "v: perl-libs 1-1.el9 is older than the fix in 1-2.el9"},
		{"the binary that is named is not installed", pkgset.Set{rpmPkg("perl-libs", "perl", "1-1.el9", "")}, verdict.Kernel{},
			[]intake.Statement{with(rpm("perl-doc", "1-2.el9"), binary)}, "", ""},
		{"another stream of the module", pkgset.Set{rpmPkg("redis", "redis", "6-1.el9", "redis:6:9:9")}, verdict.Kernel{},
			[]intake.Statement{with(rpm("redis", "7-1.el9"), module("redis:7"))}, "", ""},
		{"its stream of the module", pkgset.Set{rpmPkg("redis", "redis", "6-1.el9", "redis:6:9:9")}, verdict.Kernel{},
			[]intake.Statement{with(rpm("redis", "6-2.el9"), module("redis:6")), with(rpm("redis", "7-1.el9"), module("redis:7"))}, verdict.Affected, "fix in 6-2.el9"},
		{"of no module, where the vendor tells modules apart", pkgset.Set{rpmPkg("redis", "redis", "6-1.el9", "redis:6:9:9")}, verdict.Kernel{},
			[]intake.Statement{rpm("redis", "9-1.el9"), with(rpm("redis", "6-1.el9"), module("redis:6"))}, "", ""},
		{"a module is no other package", pkgset.Set{rpmPkg("redis", "redis", "5-1.el9", "")}, verdict.Kernel{},
			[]intake.Statement{with(rpm("redis", "6-2.el9"), module("redis:6"))}, "", ""},
		{"versions of two rules", pkgset.Set{rpmPkg("a", "a", "1-1.el9", "")}, verdict.Kernel{},
			[]intake.Statement{with(rpm("a", "1-2"), debs)}, verdict.Undetermined, "another rule"},
		{"rpm: the new kernel is installed, the old one runs", pkgset.Set{kernel("5.14.0-362.el9"), kernel("5.14.0-427.el9")}, runs,
			[]intake.Statement{rpm("kernel", "5.14.0-400.el9")}, verdict.FixedAfterReboot, "kernel 5.14.0-362.el9 still runs"},
		{"rpm: the same by binary packages", pkgset.Set{kernel("5.14.0-362.el9"), kernel("5.14.0-427.el9")}, runs,
			[]intake.Statement{with(rpm("kernel-core", "5.14.0-400.el9"), binary)}, verdict.FixedAfterReboot, "kernel 5.14.0-362.el9 still runs"},
		{"rpm: headers are no kernel", pkgset.Set{rpmPkg("kernel-headers", "kernel", "5.14.0-362.el9", "")}, runs,
			[]intake.Statement{rpm("kernel", "5.14.0-400.el9")}, verdict.Undetermined, "no image of kernel is installed"},
		{"of two binaries one has the fix, and of the other nothing is determined", pkgset.Set{rpmPkg("perl-doc", "perl", "1-2.el9", ""), rpmPkg("perl-libs", "perl", "1-2.el9", "")}, verdict.Kernel{},
			[]intake.Statement{with(rpm("perl-doc", ""), unknown), with(rpm("perl-libs", "1-2.el9"), binary)}, verdict.Undetermined, "v of perl-doc: not determined by the vendor"},
		{"of two binaries one is older, and of the other nothing is determined", pkgset.Set{rpmPkg("perl-doc", "perl", "1-1.el9", ""), rpmPkg("perl-libs", "perl", "1-1.el9", "")}, verdict.Kernel{},
			[]intake.Statement{with(rpm("perl-doc", ""), unknown), with(rpm("perl-libs", "1-2.el9"), binary)}, verdict.Affected, "perl-libs 1-1.el9 is older"},
		{"of two binaries one has the fix, the other is older", pkgset.Set{rpmPkg("perl-doc", "perl", "1-1.el9", ""), rpmPkg("perl-libs", "perl", "1-2.el9", "")}, verdict.Kernel{},
			[]intake.Statement{with(rpm("perl-doc", "1-2.el9"), binary), with(rpm("perl-libs", "1-2.el9"), binary)}, verdict.Affected, "perl-doc 1-1.el9 is older"},
		{"of two binaries one has the fix, the other is compared by another rule", pkgset.Set{rpmPkg("perl-doc", "perl", "1-2.el9", ""), rpmPkg("perl-libs", "perl", "1-2.el9", "")}, verdict.Kernel{},
			[]intake.Statement{with(with(rpm("perl-doc", "1-2.el9"), binary), debs), with(rpm("perl-libs", "1-2.el9"), binary)}, verdict.Undetermined, "another rule"},
		{"the fixed kernel waits for its boot, and of its tools nothing is determined", pkgset.Set{kernel("5.14.0-362.el9"), kernel("5.14.0-427.el9"), rpmPkg("kernel-tools", "kernel", "5.14.0-427.el9", "")}, runs,
			[]intake.Statement{with(rpm("kernel-core", "5.14.0-400.el9"), binary), with(rpm("kernel-tools", ""), unknown)}, verdict.FixedAfterReboot, "kernel 5.14.0-362.el9 still runs"},
		{"beside a package that has the fix stands one that others made", pkgset.Set{byOthers(rpmPkg("perl-doc", "perl", "9-1.el9", "")), rpmPkg("perl-libs", "perl", "1-2.el9", "")}, verdict.Kernel{},
			[]intake.Statement{rpm("perl", "1-2.el9")}, verdict.Undetermined, "v: 1-2.el9 has the fix of 1-2.el9; it says nothing about perl-doc, which comes from Fedora Project"},
		{"beside a package that others made stands one that is older", pkgset.Set{byOthers(rpmPkg("perl-doc", "perl", "0-1.el9", "")), rpmPkg("perl-libs", "perl", "1-1.el9", "")}, verdict.Kernel{},
			[]intake.Statement{rpm("perl", "1-2.el9")}, verdict.Affected, "v: 1-1.el9 is older"},
		{"one binary has the fix, the one that others made is named too", pkgset.Set{byOthers(rpmPkg("perl-doc", "perl", "9-1.el9", "")), rpmPkg("perl-libs", "perl", "1-2.el9", "")}, verdict.Kernel{},
			[]intake.Statement{with(rpm("perl-doc", "1-2.el9"), binary)}, verdict.Undetermined, "v says nothing of perl-doc that others made"},
		{"beside a package of the module stands one of none", pkgset.Set{rpmPkg("redis", "redis", "6-1.el9", "redis:6:9:9"), rpmPkg("redis-doc", "redis", "7-1.el9", "")}, verdict.Kernel{},
			[]intake.Statement{with(rpm("redis", "6-1.el9"), module("redis:6"))}, verdict.Undetermined, "says nothing about redis-doc, which is of no module"},
		{"beside a package that has the fix stands a backport", pkgset.Set{pkg("curl", "curl", "1-2"), pkg("libcurl4", "curl", "2-1~bpo12+1")}, verdict.Kernel{},
			[]intake.Statement{fixedIn("CVE-2026-1", "curl", "1-2")}, verdict.Undetermined, "1-2 has the fix of 1-2; it says nothing about backports such as 2-1~bpo12+1"},
		{"what never was in the release may be in a backport", pkgset.Set{pkg("curl", "curl", "2-1~bpo12+1")}, verdict.Kernel{},
			[]intake.Statement{with(fixedIn("CVE-2026-1", "curl", ""), func(s *intake.Statement) { s.Status = intake.NotAffected })}, verdict.Undetermined, "says nothing about backports such as 2-1~bpo12+1"},
		{"the fix is for subscribers", pkgset.Set{pkg("curl", "curl", "1-1")}, verdict.Kernel{},
			[]intake.Statement{with(fixedIn("CVE-2026-1", "curl", "1-1+esm1"), esm)}, verdict.Affected, "the fix is for those with esm-infra"},
		{"without it the vendor has none", pkgset.Set{pkg("curl", "curl", "1-1")}, verdict.Kernel{},
			[]intake.Statement{open, with(fixedIn("CVE-2026-1", "curl", "1-1+esm1"), esm)}, verdict.Affected, "the fix is for those with esm-infra"},
		{"a subscriber has it", pkgset.Set{pkg("curl", "curl", "1-1+esm1")}, verdict.Kernel{},
			[]intake.Statement{open, with(fixedIn("CVE-2026-1", "curl", "1-1+esm1"), esm)}, "", ""},
		{"a later advisory corrects the first", pkgset.Set{pkg("curl", "curl", "1-2")}, verdict.Kernel{},
			[]intake.Statement{fixedIn("CVE-2026-1", "curl", "1-2"), fixedIn("CVE-2026-1", "curl", "1-3")}, verdict.Affected, "1-2 is older than the fix in 1-3"},
	}
	for _, c := range cases {
		t.Run(c.trap, func(t *testing.T) {
			f := verdict.NewFleet()
			f.Learn(intake.Lead(c.statements))
			place(t, f, "h", verdict.Class{Release: c.statements[0].Release, Kernel: c.kernel}, c.set)
			status, reason := verdict.Status(""), ""
			for _, x := range f.Findings("h") {
				status, reason = x.Verdict.Status, x.Verdict.Reason
			}
			if status != c.want || !strings.Contains(reason, c.reason) {
				t.Errorf("got %q, %q", status, reason)
			}
		})
	}
}
