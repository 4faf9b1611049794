package verdict_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

const openssl = "CVE-2026-1/openssl"

// fiveHosts are four with openssl, of which one has the fix and one waits for a reboot of its kernel, two with vim, and a root.
func fiveHosts(t *testing.T) *verdict.Fleet {
	f := verdict.NewFleet()
	doubt := fixedIn("CVE-2026-2", "openssl", "")
	doubt.Status = intake.Undetermined
	open := fixedIn("CVE-2026-1", "vim", "")
	open.Status = intake.Open
	f.Learn([]intake.Statement{fixedIn("CVE-2026-3", "linux", "6.1.153-1"), fixedIn("CVE-2026-1", "openssl", "3.0.17-1"), doubt, open})
	old, fixed, vim := pkg("openssl", "openssl", "3.0.9-1"), pkg("openssl", "openssl", "3.0.17-1"), pkg("vim", "vim", "9-1")
	image := pkg("linux-image-6.1.0-40-amd64", "linux", "6.1.158-1")
	running := verdict.Kernel{Release: "6.1.0-40-amd64", Version: "#1 SMP Debian 6.1.140-1 (2025-09-20)"}
	for host, c := range map[string]struct {
		kernel verdict.Kernel
		set    pkgset.Set
	}{"a": {set: pkgset.Set{old}}, "b": {set: pkgset.Set{old, vim}}, "c": {set: pkgset.Set{fixed, vim}}, "d": {running, pkgset.Set{image, old}}, "c/srv/root": {set: pkgset.Set{old}}} {
		place(t, f, host, verdict.Class{Release: "bookworm", SetDigest: c.set.Digest(), Kernel: c.kernel}, c.set)
	}
	return f
}

// Standings are those of the hosts that are shown as affected one by one: two ways to the same answer.
func TestStandingsAreThoseOfTheAffectedHosts(t *testing.T) {
	f := fiveHosts(t)
	standing := map[string]string{"a": "ca", "b": "office", "c": "dmz", "d": "ca", "c/srv/root": "jail"}
	all := f.Standings(func(place string) string { return standing[place] })
	want := map[string][]string{}
	for _, n := range f.Tally() {
		name := n.Statement.ID + "/" + n.Source
		for _, h := range f.Hosts(n.Statement.ID, n.Source, verdict.HostPage{}) {
			if h.Verdict.Status == verdict.Affected || h.Verdict.Status == verdict.FixedAfterReboot {
				want[name] = append(want[name], standing[h.Host+h.Root])
			}
		}
		slices.Sort(want[name])
		if want[name] = slices.Compact(want[name]); len(want[name]) == 0 {
			delete(want, name)
		}
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("standings differ from those of the hosts affected:\n%s", diff)
	}
	if got := all[openssl]; !slices.Equal(got, []string{"ca", "jail", "office"}) {
		t.Errorf("openssl affects %v", got)
	}
	if got := all["CVE-2026-3/linux"]; !slices.Equal(got, []string{"ca"}) {
		t.Errorf("the kernel that still runs affects %v", got)
	}
}
