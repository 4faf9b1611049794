package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
)

// TestListIsASearchThroughAll: whatever index serves a filter, it gives what a plain look at every entry gives.
func TestListIsASearchThroughAll(t *testing.T) {
	kinds := []string{"order.proposed", "order.closed", "order-x.made", "host.silent", "run.done", "run.offered"}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		random := rand.New(rand.NewPCG(1, 2))
		for range 60 {
			if err := w.write(t.Context(), act(kinds[random.IntN(len(kinds))], fmt.Sprint("order/", random.IntN(4)))); err != nil {
				t.Fatal(err)
			}
		}
		all, err := w.List(t.Context(), ledger.Filter{})
		if err != nil || len(all) != 60 {
			t.Fatalf("%d entries, %v", len(all), err)
		}
		pick := func(from ...string) string { return from[random.IntN(len(from))] }
		for range 200 {
			f := ledger.Filter{Subject: pick("", "", "order/1", "order/9"), KindPrefix: pick("", "order.", "order", "run.done", "r", "x"),
				From: random.Int64N(50), Before: random.Int64N(70), Newest: random.IntN(2) == 0, Limit: random.IntN(30)}
			var want []int64
			for _, e := range all {
				if (f.Subject == "" || e.Act.Subject == f.Subject) && strings.HasPrefix(e.Act.Kind, f.KindPrefix) && e.Index >= f.From &&
					(f.Before == 0 || e.Index < f.Before) {
					want = append(want, e.Index)
				}
			}
			if f.Newest {
				slices.Reverse(want)
			}
			if f.Limit > 0 {
				want = want[:min(len(want), f.Limit)]
			}
			entries, err := w.List(t.Context(), f)
			var got []int64
			for _, e := range entries {
				got = append(got, e.Index)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%+v: %v, %v; want %v", f, got, err, want)
			}
		}
	})
}
