package estate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

func (w *world) record(f record.Fields) record.Record {
	w.t.Helper()
	rec, err := w.Records.Create(w.t.Context(), "erin", f)
	check(w.t, err)
	return rec
}

// TestRecordsAndHostsFindEachOther: by suggestion, confirmed by a person; what a record says then counts in lists.
func TestRecordsAndHostsFindEachOther(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		ctx := t.Context()
		web, _ := w.enrol("web1")
		w.enrol("db1")
		rec := w.record(record.Fields{Hostname: "web1.example.org", Environment: "production", Zone: "dmz", Criticality: "high", Owner: "alice"})
		w.record(record.Fields{Hostname: "switch1"})
		u, err := w.Unmatched(ctx)
		check(t, err)
		if u.RecordCount != 2 || u.HostCount != 2 || u.Records[1].Hostname != "web1.example.org" || len(u.Records[0].Suggested) != 0 ||
			cmp.Diff(u.Records[1].Suggested, []Suggestion{{LoneHost{web.ID, "web1", "web1"}, []string{"name"}}}) != "" {
			t.Errorf("before: %+v", u)
		}
		rec, err = w.Link(ctx, "erin", rec.ID, rec.Revision, web.ID)
		check(t, err)
		u, err = w.Unmatched(ctx)
		check(t, err)
		if u.RecordCount != 1 || u.HostCount != 1 || len(u.Environment) != 1 || u.Environment[0].Is != "stage" || u.Environment[0].Says != "production" {
			t.Errorf("linked: %+v", u)
		}
		if h, err := w.Host(ctx, web.ID); err != nil || h.Environment != "stage" {
			t.Errorf("the record changed the host's environment to %q (%v)", h.Environment, err)
		}
		f, err := w.Facets(ctx, Filter{Zone: "dmz"})
		check(t, err)
		if diff := cmp.Diff([]string{"web1"}, names(w.list(Filter{Zone: "dmz", Criticality: "high", Owner: "alice"}, "", 10))); diff != "" || f.Hosts != 1 ||
			f.By(ByZone)[""] != 1 {
			t.Errorf("%s\n%+v", diff, f)
		}
		rec, err = w.Records.Change(ctx, "erin", rec.ID, rec.Revision, record.Fields{Hostname: "web1", Zone: "core"})
		check(t, err)
		if got := w.list(Filter{Zone: "dmz"}, "", 10); len(got) != 0 {
			t.Errorf("still in the old zone: %v", names(got))
		}
		if _, err = w.Records.Link(ctx, "erin", rec.ID, rec.Revision, ""); err != nil {
			t.Fatal(err)
		}
		if got := w.list(Filter{Zone: "core"}, "", 10); len(got) != 0 {
			t.Errorf("an unlinked record counts: %v", names(got))
		}
	})
}

func TestAHostHasOneRecord(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	h, _ := w.enrol("web1")
	a, b := w.record(record.Fields{Hostname: "a"}), w.record(record.Fields{Hostname: "b"})
	_, err := w.Link(t.Context(), "erin", a.ID, a.Revision, h.ID)
	check(t, err)
	if _, err := w.Link(t.Context(), "erin", b.ID, b.Revision, h.ID); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second record: %v", err)
	}
	if _, err := w.Link(t.Context(), "erin", b.ID, b.Revision, "hst_nobody"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no such host: %v", err)
	}
	if err := w.Records.Drop(t.Context(), "erin", a.ID, a.Revision+1); fault.KindOf(err) != fault.Conflict {
		t.Errorf("drop while linked: %v", err)
	}
}

// TestUnmatchedIsToldOnceADay: whoever sweeps, and however often.
func TestUnmatchedIsToldOnceADay(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.enrol("web1")
		for range 3 {
			check(t, w.TellUnmatched(t.Context()))
		}
		w.now = w.now.Add(24 * time.Hour)
		check(t, w.TellUnmatched(t.Context()))
		if n := strings.Count(w.log.kinds(), "estate.compared"); n != 2 {
			t.Errorf("told %d times in two days", n)
		}
	})
}

// TestAHostIsSuggestedByWhatItHas: its serial number, in any case, before its name and its addresses, and it is said why. What a
// hundred hosts share suggests no more than a few.
func TestAHostIsSuggestedByWhatItHas(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	ctx := t.Context()
	tell := func(name, serial string, addresses ...string) Host {
		h, _ := w.enrol(name)
		b, err := envelope.Encode(wire.Inventory{Hostname: name, Kernel: wire.Kernel{Installed: []string{}}, Sources: []wire.Source{},
			Hardware: wire.Hardware{Serial: serial}, Addresses: addresses})
		check(t, err)
		c := w.put(1, "1")
		c.Inventory, err = blob.PutBytes(ctx, w.Blobs, b)
		check(t, err)
		h, _, err = w.CheckIn(ctx, h.ID, c)
		check(t, err)
		return h
	}
	named := tell("db1", "", "192.0.2.7")
	serial := tell("renamed", "CZ-1234", "192.0.2.8", "2001:db8::8")
	for i := range 100 {
		tell(fmt.Sprintf("pod%d", i), "", "172.17.0.1")
	}
	w.record(record.Fields{Hostname: "db1.example.org", Serial: "cz-1234", Addresses: []string{"2001:db8::8", "192.0.2.7"}})
	w.record(record.Fields{Hostname: "pods", Addresses: []string{"172.17.0.1"}})
	u, err := w.Unmatched(ctx)
	check(t, err)
	want := []Suggestion{
		{LoneHost{serial.ID, "renamed", "renamed"}, []string{"serial number", "address"}},
		{LoneHost{named.ID, "db1", "db1"}, []string{"name", "address"}},
	}
	if d := cmp.Diff(want, u.Records[0].Suggested); d != "" {
		t.Error(d)
	}
	if n := len(u.Records[1].Suggested); n != mostSuggested {
		t.Errorf("%d hosts are suggested for an address that 100 have", n)
	}
	if got, err := w.Host(ctx, serial.ID); err != nil || got.Serial != "CZ-1234" || !slices.Equal(got.Addresses, []string{"192.0.2.8", "2001:db8::8"}) {
		t.Errorf("kept: %+v, %v", got, err)
	}
}
