package triage_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// TestAPackageThatOthersMadeIsUndetermined: what a distribution states is not about packages from elsewhere; one that is the
// distribution's too, or that no list has any more, is judged.
func TestAPackageThatOthersMadeIsUndetermined(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	set := pkgset.Set{pkg("curl", "curl", "1-1"), pkg("nodejs", "openssl", "1-1"), pkg("vim", "vim", "1-1")}
	w.sets["s"] = set
	w.hosts = []estate.HostSet{{HostID: "a", Release: "bookworm", SetDigest: "s", Origins: "o"}, {HostID: "b", Release: "bookworm", SetDigest: "s"}}
	w.Origins = func(context.Context, string) (wire.Origins, error) {
		return wire.Origins{PackageSet: "s", Sources: []wire.Origin{{Origin: "Debian"}, {Origin: ". nodistro", Site: "deb.nodesource.com"}}, Of: [][]int{{0, 1}, {1}, {}}}, nil
	}
	f, err := w.Findings(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if len(f) != 3 {
		t.Fatalf("found %+v", f)
	}
	for _, x := range f[:2] {
		if x.Source != "openssl" || x.Verdict.Status != triage.Undetermined || !strings.Contains(x.Verdict.Reason, "openssl comes from . nodistro") {
			t.Errorf("%+v", x)
		}
	}
	if f, err = w.Findings(t.Context(), "b"); err != nil || len(f) == 0 || f[0].Verdict.Status == triage.Undetermined {
		t.Errorf("the same set without it: %+v, %v", f, err)
	}
}

func TestAnRPMPackageOfAnotherVendorIsUndetermined(t *testing.T) {
	f := triage.NewFleet()
	s := fixedIn("CVE-2026-1", "a", "1-2.el9")
	s.Release, s.Scheme = "rocky-9", intake.RPM
	f.Learn([]intake.Statement{s})
	for host, c := range map[string]struct {
		vendor string
		want   triage.Status
	}{"epel": {"Fedora Project", triage.Undetermined}, "own": {"Rocky Enterprise Software Foundation", triage.Affected}, "silent": {"", triage.Affected}} {
		p := rpmPkg("a", "a", "1-1.el9", "")
		p.RPM.Vendor = c.vendor
		place(t, f, host, triage.Class{Release: "rocky-9", SetDigest: host}, pkgset.Set{p})
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
	f := triage.NewFleet()
	day := func(s string) time.Time { d, _ := time.Parse(time.DateOnly, s); return d }
	open := func(source string) intake.Statement {
		return intake.Statement{Source: "t", Package: source, Release: "bookworm", ID: "CVE-2026-1", Status: intake.Open}
	}
	f.Learn([]intake.Statement{open("curl"), open("php-horde-x")})
	place(t, f, "h", triage.Class{Release: "bookworm"}, pkgset.Set{pkg("curl", "curl", "1-1"), pkg("x", "php-horde-x", "1-1")})
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
