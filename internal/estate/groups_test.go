package estate

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

func (w *world) save(name, expression string) {
	w.t.Helper()
	before, err := w.Groups.Get(w.t.Context(), name)
	if fault.KindOf(err) != fault.NotFound {
		check(w.t, err)
	}
	_, err = w.Groups.Save(w.t.Context(), "erin", group.Group{Name: name, Expression: expression, ChangedAt: before.ChangedAt})
	check(w.t, err)
}

// TestGroupsFollowHostsRecordsAndConditions: whatever of the three changes, at the next look.
func TestGroupsFollowHostsRecordsAndConditions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		ctx := t.Context()
		web, _ := w.enrol("web1")
		w.enrol("db1")
		in := func(group string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, names(w.list(Filter{Group: group}, "", 10))); diff != "" {
				t.Errorf("%s:\n%s", group, diff)
			}
			f, err := w.Facets(ctx, Filter{Group: group})
			if err != nil || f.Hosts != len(want) || f.Groups[group] != len(want) {
				t.Errorf("%s: counted %d and %v, %v", group, f.Hosts, f.Groups, err)
			}
		}
		w.save("dmz", `zone == "dmz" && criticality in ["high", "critical"]`)
		in("dmz")
		rec := w.record(record.Fields{Hostname: "web1", Zone: "dmz", Criticality: "high", Addresses: []string{"192.0.2.7"}})
		rec, err := w.Link(ctx, "erin", rec.ID, rec.Revision, web.ID)
		check(t, err)
		in("dmz", "web1")
		w.save("unrecorded", "!recorded")
		in("unrecorded", "db1")
		w.save("net", `addresses.exists(a, a.startsWith("192.0.2."))`)
		in("net", "web1")
		w.save("silent", `state == "silent" && environment == "stage"`)
		in("silent")
		w.now = w.now.Add(w.Estate.Silent + time.Second)
		check(t, w.Silence(ctx))
		in("silent", "db1", "web1")
		w.save("dmz", `zone == "core"`)
		in("dmz")
		_, err = w.Records.Change(ctx, "erin", rec.ID, rec.Revision, record.Fields{Hostname: "web1", Zone: "core"})
		check(t, err)
		in("dmz", "web1")
		w.save("broken", `1 / (size(name) - size(name)) == 1`)
		f, err := w.Facets(ctx, Filter{})
		if err != nil || f.Failed["broken"] != 2 || f.Groups["broken"] != 0 {
			t.Errorf("a condition that fails: %v %v %v", f.Groups, f.Failed, err)
		}
		check(t, w.Groups.Drop(ctx, "erin", "dmz"))
		if _, err := w.List(ctx, Filter{Group: "dmz"}, "", 10); fault.KindOf(err) != fault.NotFound {
			t.Errorf("a dropped group: %v", err)
		}
	})
}

// BenchmarkGroups is what it takes to take over one changed condition of ten, over 100,000 hosts.
func BenchmarkGroups(b *testing.B) {
	d := directory{}
	hosts := make([]entry, 100_000)
	records := make([]record.Record, len(hosts))
	for i := range hosts {
		id := fmt.Sprintf("hst_%d", i)
		hosts[i] = entry{id: id, name: id, cell: cell{ByEnvironment: "production", ByRelease: "bookworm", ByState: "reports"}}
		records[i] = record.Record{ID: fmt.Sprintf("rec_%d", i), Host: id, Fields: record.Fields{Hostname: id, Zone: fmt.Sprintf("z%d", i%20),
			Criticality: record.Criticalities[i%4], Addresses: []string{"192.0.2.1"}}}
	}
	d.take(hosts, records, version{1, 1, 0})
	var groups []group.Group
	for i := range 10 {
		groups = append(groups, group.Group{Name: fmt.Sprintf("g%d", i),
			Expression: fmt.Sprintf(`zone == "z%d" && criticality in ["high", "critical"] || name.endsWith("%d7")`, i, i)})
	}
	d.regroup(groups)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		groups[0].Expression = fmt.Sprintf(`zone == "z%d"`, i)
		d.regroup(groups)
	}
}
