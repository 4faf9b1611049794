package estate

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/record"
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
			cmp.Diff(u.Records[1].Suggested, []LoneHost{{web.ID, "web1", "web1"}}) != "" {
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
