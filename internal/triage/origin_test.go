package triage_test

import (
	"context"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
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
		if x.Source != "openssl" || x.Verdict.Status != verdict.Undetermined || !strings.Contains(x.Verdict.Reason, "openssl comes from . nodistro") {
			t.Errorf("%+v", x)
		}
	}
	if f, err = w.Findings(t.Context(), "b"); err != nil || len(f) == 0 || f[0].Verdict.Status == verdict.Undetermined {
		t.Errorf("the same set without it: %+v, %v", f, err)
	}
}
