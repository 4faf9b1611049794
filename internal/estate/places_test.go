package estate

import (
	"slices"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// TestAHostStandsWhereItsRecordSays: unit and zone are people's word, and of a host without a record, or not known at all, nobody
// said anything.
func TestAHostStandsWhereItsRecordSays(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		web, _ := w.enrol("web1")
		other, _ := w.enrol("web2")
		at := func(hosts ...string) []trustroot.Place {
			t.Helper()
			places, err := w.PlacesOf(t.Context(), hosts)
			check(t, err)
			return places
		}
		if got := at(web.ID, "hst_none"); !slices.Equal(got, []trustroot.Place{{}}) {
			t.Errorf("before: %+v", got)
		}
		rec := w.record(record.Fields{Hostname: "web1", Unit: "cards", Zone: "dmz"})
		_, err := w.Link(t.Context(), "erin", rec.ID, rec.Revision, web.ID)
		check(t, err)
		stands := trustroot.Place{Unit: "cards", Zone: "dmz"}
		if got := at(web.ID, other.ID, web.ID); !slices.Equal(got, []trustroot.Place{{}, stands}) {
			t.Errorf("after: %+v", got)
		}
		all, err := w.Places(t.Context())
		check(t, err)
		if len(all) != 2 || all[web.ID] != stands {
			t.Errorf("all: %+v", all)
		}
	})
}
