package estate

import (
	"slices"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

// TestKinOfAHost: the one that its record names; else those that share most with it.
func TestKinOfAHost(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	ctx := t.Context()
	of := map[string]Host{}
	for _, name := range []string{"s-build", "s-group", "s-plain", "p"} {
		h, _ := w.enrol(name)
		of[name] = h
	}
	link := func(f record.Fields, host string) record.Record {
		t.Helper()
		rec := w.record(f)
		rec, err := w.Link(ctx, "erin", rec.ID, rec.Revision, of[host].ID)
		check(t, err)
		return rec
	}
	kin := func(want string) {
		t.Helper()
		all, err := w.KinOf(ctx, of["p"].ID)
		check(t, err)
		var names []string
		for _, k := range all {
			names = append(names, k.Name)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("kin %q, want %q", got, want)
		}
	}
	kin("s-build s-group s-plain")
	link(record.Fields{Hostname: "s-group", QuorumGroup: "web", Ring: "1"}, "s-group")
	p := link(record.Fields{Hostname: "p.example.org", QuorumGroup: "web", Ring: "1", Build: "base"}, "p")
	link(record.Fields{Hostname: "s-build", Build: "base"}, "s-build")
	kin("s-build") // the build weighs more than group and ring
	_, err := w.Records.Change(ctx, "erin", p.ID, p.Revision, record.Fields{Hostname: "p.example.org", StageTwin: "s-plain"})
	check(t, err)
	all, err := w.KinOf(ctx, of["p"].ID)
	if err != nil || len(all) != 1 || all[0].Name != "s-plain" || !all[0].Named {
		t.Errorf("named: %+v, %v", all, err)
	}
}
