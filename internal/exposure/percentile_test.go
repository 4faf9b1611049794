package exposure

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPercentilesAreByNearestRank(t *testing.T) {
	at := func(month time.Month) time.Time { return time.Date(2026, month, 3, 0, 0, 0, 0, time.UTC) }
	all := []remedied{{at(2), 5 * time.Hour}}
	for n := range 10 {
		all = append(all, remedied{at(1), time.Duration(10-n) * time.Hour})
	}
	want := []Remediation{{"2026-01", 10, 5, 9, 10}, {"2026-02", 1, 5, 5, 5}}
	if d := cmp.Diff(want, remediation(all)); d != "" {
		t.Error(d)
	}
	if got := remediation(nil); len(got) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}
