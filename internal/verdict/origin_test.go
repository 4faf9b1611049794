package verdict_test

import (
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

func TestAnRPMPackageOfAnotherVendorIsUndetermined(t *testing.T) {
	f := verdict.NewFleet()
	s := fixedIn("CVE-2026-1", "a", "1-2.el9")
	s.Release, s.Scheme = "rocky-9", intake.RPM
	f.Learn([]intake.Statement{s})
	for host, c := range map[string]struct {
		vendor string
		want   verdict.Status
	}{"epel": {"Fedora Project", verdict.Undetermined}, "own": {"Rocky Enterprise Software Foundation", verdict.Affected}, "silent": {"", verdict.Affected}} {
		p := rpmPkg("a", "a", "1-1.el9", "")
		p.RPM.Vendor = c.vendor
		place(t, f, host, verdict.Class{Release: "rocky-9", SetDigest: host}, pkgset.Set{p})
		if got := f.Findings(host); len(got) != 1 || got[0].Verdict.Status != c.want {
			t.Errorf("%s: %+v", host, got)
		}
	}
	if got := f.Tally(); len(got) != 1 || got[0].Affected != 2 || got[0].Undetermined != 1 {
		t.Errorf("tally %+v", got)
	}
}

// TestTheEndOfSupportIsTold: a release counts until its last free support ends; a package may end before.
func TestTheEndOfSupportIsTold(t *testing.T) {
	f := verdict.NewFleet()
	day := func(s string) time.Time { d, _ := time.Parse(time.DateOnly, s); return d }
	open := func(source string) intake.Statement {
		return intake.Statement{Source: "t", Package: source, Release: "bookworm", ID: "CVE-2026-1", Status: intake.Open}
	}
	f.Learn([]intake.Statement{open("curl"), open("php-horde-x")})
	place(t, f, "h", verdict.Class{Release: "bookworm"}, pkgset.Set{pkg("curl", "curl", "1-1"), pkg("x", "php-horde-x", "1-1")})
	support := []intake.Support{{Release: "bookworm", Kind: "regular", Until: day("2026-06-11")}, {Release: "bookworm", Kind: "lts", Until: day("2028-07-01")},
		{Release: "bookworm", Kind: "elts", Until: day("2033-07-01")}, {Release: "bookworm", Package: "php-horde*", Kind: "ended", Until: day("2026-01-01")}}
	reasons := func() string {
		all := ""
		for _, x := range f.Findings("h") {
			all += x.Source + ": " + x.Verdict.Reason + "\n"
		}
		return all
	}
	f.Support(support, day("2026-07-01"))
	const ended = "php-horde-x: t: no fix in bookworm; no fixes are made any more: support of php-horde-x in bookworm ended on 2026-01-01\n"
	if got := reasons(); got != "curl: t: no fix in bookworm\n"+ended || len(f.Ended()) != 0 {
		t.Errorf("got %s, ended %v", got, f.Ended())
	}
	f.Support(support, day("2028-07-01"))
	if got := reasons(); !strings.HasPrefix(got, "curl: t: no fix in bookworm; no fixes are made any more: support of bookworm ended on 2028-06-30\n") || len(f.Ended()) != 1 {
		t.Errorf("got %s, ended %v", got, f.Ended())
	}
}
