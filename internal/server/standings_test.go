package server

import (
	"slices"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

// TestStandingsFollowHostsRecordsAndGroups: a rule of the policy hears of a host what the estate, the inventory and the groups
// say, whichever of them changed; where nothing did, the version stays, and no clock is worked out again.
func TestStandingsFollowHostsRecordsAndGroups(t *testing.T) {
	s := &story{world: open(t, "")}
	ctx := t.Context()
	rules := &standings{estate: s.server.estate, records: s.server.records}
	last := 0
	look := func(what string, changed bool, host string, want deadline.Standing) {
		t.Helper()
		of, version, err := rules.Standings(ctx)
		s.ok(err)
		got := of(host)
		if got.Environment != want.Environment || got.Zone != want.Zone || got.Unit != want.Unit || !slices.Equal(got.Groups, want.Groups) {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
		if (version != last) != changed {
			t.Errorf("%s: version %d after %d", what, version, last)
		}
		last = version
	}
	saved := map[string]group.Group{}
	save := func(name, condition string) {
		t.Helper()
		x, err := s.server.groups.Save(ctx, "erin", group.Group{Name: name, Expression: condition, ChangedAt: saved[name].ChangedAt})
		s.ok(err)
		saved[name] = x
	}
	s.enrol("web-1", "production")
	s.enrol("stage-1", "stage")
	web, stage := s.hosts[0].host.ID, s.hosts[1].host.ID
	look("hosts alone", true, web, deadline.Standing{Environment: "production"})
	save("live", `environment == "production"`)
	look("a group", true, web, deadline.Standing{Environment: "production", Groups: []string{"live"}})
	look("again", false, stage, deadline.Standing{Environment: "stage"})
	save("exposed", `zone == "dmz"`)
	look("a group nobody is in", true, web, deadline.Standing{Environment: "production", Groups: []string{"live"}})

	rec, err := s.server.records.Create(ctx, "erin", record.Fields{Hostname: "web-1", Zone: "dmz", Unit: "shop"})
	s.ok(err)
	rec, err = s.server.estate.Link(ctx, "erin", rec.ID, rec.Revision, web)
	s.ok(err)
	here := deadline.Standing{Environment: "production", Zone: "dmz", Unit: "shop", Groups: []string{"exposed", "live"}}
	look("a record", true, web, here)
	look("a root of the host", false, web+"/srv/chroot", here)
	save("exposed", `zone in ["dmz", "edge"]`)
	look("a condition that the same hosts meet", false, web, here)
	rec, err = s.server.records.Change(ctx, "erin", rec.ID, rec.Revision, record.Fields{Hostname: "web-1", Zone: "core", Unit: "shop"})
	s.ok(err)
	look("another zone", true, web, deadline.Standing{Environment: "production", Zone: "core", Unit: "shop", Groups: []string{"live"}})
	s.ok(s.server.groups.Drop(ctx, "erin", "live"))
	look("no group", true, web, deadline.Standing{Environment: "production", Zone: "core", Unit: "shop"})

	rec, err = s.server.records.Link(ctx, "erin", rec.ID, rec.Revision, "")
	s.ok(err)
	other, err := s.server.records.Create(ctx, "erin", record.Fields{Hostname: "web-1.example.org", Zone: "edge"})
	s.ok(err)
	_, err = s.server.estate.Link(ctx, "erin", other.ID, other.Revision, web)
	s.ok(err)
	s.ok(s.server.records.Drop(ctx, "erin", rec.ID, rec.Revision))
	look("a record in the place of another, which is dropped", true, web, deadline.Standing{Environment: "production", Zone: "edge", Groups: []string{"exposed"}})
}
