package estate

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

func names(hosts []Host) (all []string) {
	for _, h := range hosts {
		all = append(all, h.Name)
	}
	return all
}

func (w *world) list(f Filter, after string, limit int) []Host {
	w.t.Helper()
	hosts, err := w.List(w.t.Context(), f, after, limit)
	check(w.t, err)
	return hosts
}

func TestListGoesOnWhereItEnded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		var want []string
		for i := range 60 { // more than one statement fetches
			name := fmt.Sprintf("h%02d", (i*37)%60)
			w.enrol(name)
			want = append(want, name)
		}
		twin, _ := w.enrol("h07") // names need not differ
		want = append(want, twin.Name)
		slices.Sort(want)
		for _, limit := range []int{1, 7, 60, 100} {
			var got []string
			for after := ""; ; {
				page := w.list(Filter{}, after, limit)
				if len(page) == 0 {
					break
				}
				got = append(got, names(page)...)
				after = page[len(page)-1].ID
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pages of %d:\n%s", limit, diff)
			}
		}
		if _, err := w.List(t.Context(), Filter{}, "hst_nobody", 1); fault.KindOf(err) != fault.Invalid {
			t.Errorf("after a host that is not there: %v", err)
		}
	})
}

// TestAnotherServersChangesShow: what one server writes, the other's lists and counts show.
func TestAnotherServersChangesShow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w, other := newWorld(t, d), newWorld(t, d)
		h, _ := w.enrol("web1")
		w.enrol("db1")
		facets := func(f Filter) Facets {
			t.Helper()
			all, err := other.Facets(t.Context(), f)
			check(t, err)
			return all
		}
		same := func(got Facets, hosts int, want map[Property]map[string]int) {
			t.Helper()
			if got.Hosts != hosts {
				t.Errorf("%d hosts", got.Hosts)
			}
			for p, counts := range want {
				if diff := cmp.Diff(counts, got.By(p)); diff != "" {
					t.Error(diff)
				}
			}
		}
		same(facets(Filter{}), 2, map[Property]map[string]int{ByEnvironment: {"stage": 2}, ByRelease: {"": 2}, ByState: {"observe-only": 2}})
		other.Blobs = w.Blobs
		_, _, err := w.CheckIn(t.Context(), h.ID, w.put(1, "1"))
		check(t, err)
		w.now = w.now.Add(w.Estate.Silent + time.Second)
		check(t, w.Silence(t.Context()))
		same(facets(Filter{State: Silent, Release: "bookworm"}), 1,
			map[Property]map[string]int{ByEnvironment: {"stage": 1}, ByRelease: {"": 1, "bookworm": 1}, ByState: {"silent": 1}})
		for _, c := range []struct {
			filter Filter
			want   []string
		}{
			{Filter{Text: "WEB"}, []string{"web1"}},
			{Filter{Text: h.ID}, []string{"web1"}},
			{Filter{Release: "bookworm"}, []string{"web1"}},
			{Filter{State: Reports}, nil},
			{Filter{Environment: "production"}, nil},
			{Filter{Environment: "stage", State: Silent}, []string{"db1", "web1"}},
		} {
			if diff := cmp.Diff(c.want, names(other.list(c.filter, "", 10))); diff != "" {
				t.Errorf("%+v:\n%s", c.filter, diff)
			}
		}
		if got := facets(Filter{Text: "web"}); got.Hosts != 1 || got.By(ByState)[string(Silent)] != 1 {
			t.Errorf("counted by text: %+v", got)
		}
		known, err := other.Names(t.Context(), []string{h.ID, "hst_nobody"})
		check(t, err)
		if diff := cmp.Diff(map[string]string{h.ID: "web1"}, known); diff != "" {
			t.Error(diff)
		}
	})
}

// TestHostSetsGivesWhatChanged: each change once, and heartbeats are none.
func TestHostSetsGivesWhatChanged(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		a, _ := w.enrol("a")
		w.enrol("b")
		all, upTo, err := w.HostSets(t.Context(), 0)
		check(t, err)
		if len(all) != 2 {
			t.Fatalf("from the start: %+v", all)
		}
		for counter, version := range []string{"1", "1", "2"} {
			_, _, err := w.CheckIn(t.Context(), a.ID, w.put(int64(counter+1), version))
			check(t, err)
			check(t, w.Flush(t.Context()))
			changed, last, err := w.HostSets(t.Context(), upTo)
			check(t, err)
			if beat := counter == 1; beat != (len(changed) == 0) || !beat && (changed[0].HostID != a.ID || changed[0].SetDigest == "") {
				t.Errorf("check-in %d: %+v", counter+1, changed)
			}
			upTo = last
		}
	})
}
