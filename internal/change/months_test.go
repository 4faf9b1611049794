package change

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// TestTheRateOfEmergenciesIsCounted: production orders with quorum count, emergencies apart; others do not.
func TestTheRateOfEmergenciesIsCounted(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d)
		stage := w.staged()
		order := func(emergency bool) Order {
			p := w.proposal(Production)
			p.Of = stage.ID
			if emergency {
				p.Class, p.Grounds = trustroot.Emergency, "remote exploit in use"
			}
			return w.propose(p)
		}
		for _, emergency := range []bool{false, true, false} {
			o := order(emergency)
			w.approve(o)
			w.carryOut(o, warrant.Done)
		}
		order(true) // without quorum
		got, err := w.Months(t.Context(), w.now)
		want := []Month{{Month: w.now.Format("2006-01"), Orders: 3, Emergencies: 1}}
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Error(d, err)
		}
		if got, err := w.Months(t.Context(), w.now.AddDate(0, 1, 0)); err != nil || len(got) != 0 {
			t.Errorf("from the next month on: %+v, %v", got, err)
		}
	})
}
