package exposure_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// story gives the episodes of openssl's vulnerability in words; times in hours since the world began.
func (w *world) story(began time.Time) []string {
	w.t.Helper()
	all, err := w.History(w.t.Context(), openssl)
	if err != nil {
		w.t.Fatal(err)
	}
	hour := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return fmt.Sprint(t.Sub(began).Hours())
	}
	told := []string{}
	for _, e := range all {
		told = append(told, strings.TrimSpace(fmt.Sprintf("%d: known %s affected %s fixed %s gone %s hosts %d most %d left %d %s", e.Number, hour(e.IdentifiedAt), hour(e.AffectedAt),
			hour(e.FixedAt), hour(e.GoneAt), e.Hosts, e.Most, e.Left, e.Gone)))
	}
	return told
}

// TestOnlyAnObservedFixEndsAnEpisode: every way for a vulnerability to leave the view, and what history makes of it.
func TestOnlyAnObservedFixEndsAnEpisode(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*world)
		want []string
	}{
		"nothing happens": {func(w *world) { w.look() },
			[]string{"1: known 1 affected 1 fixed - gone - hosts 2 most 2 left 0"}},
		"one host is patched": {func(w *world) { w.patch("hst_a"); w.look() },
			[]string{"1: known 1 affected 1 fixed - gone - hosts 2 most 2 left 0"}},
		"all hosts are patched": {func(w *world) { w.patch("hst_a"); w.look(); w.patch("hst_b"); w.look() },
			[]string{"1: known 1 affected 1 fixed 3 gone - hosts 0 most 2 left 0"}},
		"the package is removed": {func(w *world) { w.host("hst_a", "stage", pkg("vim", "vim", "9-1")); w.patch("hst_b"); w.look() },
			[]string{"1: known 1 affected 1 fixed 2 gone - hosts 0 most 2 left 0"}},
		"all hosts leave": {func(w *world) { w.retire("hst_a"); w.look(); w.retire("hst_b"); w.look() },
			[]string{"1: known 1 affected 1 fixed - gone 3 hosts 0 most 2 left 2 hosts left"}},
		"the last host leaves after the others were patched": {func(w *world) { w.patch("hst_a"); w.look(); w.retire("hst_b"); w.look() },
			[]string{"1: known 1 affected 1 fixed - gone 3 hosts 0 most 2 left 1 hosts left"}},
		"the last host is patched after the others left": {func(w *world) { w.retire("hst_a"); w.look(); w.patch("hst_b"); w.look() },
			[]string{"1: known 1 affected 1 fixed 3 gone - hosts 0 most 2 left 1"}},
		"the source withdraws it": {func(w *world) {
			w.states(intake.NotAffected, "")
			w.look()
		},
			[]string{"1: known 1 affected 1 fixed - gone 2 hosts 0 most 2 left 0 withdrawn"}},
		"the source says that what is installed is fixed": {func(w *world) { w.states(intake.Fixed, "3.0.9-1"); w.look() },
			[]string{"1: known 1 affected 1 fixed 2 gone - hosts 0 most 2 left 0"}},
		"it comes back": {func(w *world) {
			w.patch("hst_a")
			w.patch("hst_b")
			w.look()
			w.host("hst_b", "production", pkg("openssl", "openssl", "3.0.9-1"))
			w.look()
			w.look()
		}, []string{"1: known 1 affected 1 fixed 2 gone - hosts 0 most 2 left 0", "2: known 3 affected 3 fixed - gone - hosts 1 most 1 left 0"}},
		"it comes back after all hosts left": {func(w *world) {
			w.retire("hst_a")
			w.retire("hst_b")
			w.look()
			w.host("hst_b", "production", pkg("openssl", "openssl", "3.0.9-1"))
			w.look()
		}, []string{"1: known 1 affected 1 fixed - gone - hosts 1 most 2 left 2"}},
		"patched while the server was down": {func(w *world) { w.restart(); w.patch("hst_a"); w.patch("hst_b"); w.look() },
			[]string{"1: known 1 affected 1 fixed 2 gone - hosts 0 most 2 left 0"}},
		"left while the server was down": {func(w *world) { w.restart(); w.retire("hst_a"); w.retire("hst_b"); w.retire("hst_c"); w.look() },
			[]string{"1: known 1 affected 1 fixed - gone 2 hosts 0 most 2 left 0 hosts left"}},
		"a peak within the day": {func(w *world) {
			w.host("hst_d", "production", pkg("openssl", "openssl", "3.0.9-1"))
			w.look()
			w.patch("hst_d")
			w.look()
			w.now = w.now.Add(24 * time.Hour)
			w.look()
		}, []string{"1: known 1 affected 1 fixed - gone - hosts 2 most 3 left 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dbtest.Open(t))
			began := w.now
			w.look()
			c.do(w)
			if d := cmp.Diff(c.want, w.story(began)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestWhatIsUndeterminedStaysOpen: unknown is no fix.
func TestWhatIsUndeterminedStaysOpen(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	began := w.now
	w.look()
	w.patch("hst_a")
	w.host("hst_b", "production", pkg("openssl", "openssl", "3.0.18-1~bpo12+1"))
	w.look()
	if d := cmp.Diff([]string{"1: known 1 affected 1 fixed - gone - hosts 2 most 2 left 0"}, w.story(began)); d != "" {
		t.Error(d)
	}
}

// TestHistoryIsWrittenWithItsAct: one act for a sweep with events or a new day, none for one without; its fact lists the
// episodes, and the totals of a day are written once.
func TestHistoryIsWrittenWithItsAct(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.look()
		w.look()
		w.restart()
		w.look()
		w.patch("hst_a")
		w.patch("hst_b")
		w.look()
		w.now = w.now.Add(24 * time.Hour)
		w.look()
		entries, err := w.ledger.List(t.Context(), ledger.Filter{KindPrefix: "exposure."})
		if err != nil || len(entries) != 3 {
			t.Fatalf("%d acts, %v", len(entries), err)
		}
		var details []string
		for _, e := range entries {
			var detail map[string]any
			if err := json.Unmarshal(e.Act.Detail, &detail); err != nil {
				t.Fatal(err)
			}
			if detail["totals"] != nil {
				detail["totals"] = true
			}
			details = append(details, fmt.Sprint(detail))
			fact, err := blob.ReadAll(t.Context(), w.blobs, e.Act.Facts[0], 1<<20)
			if err != nil || !json.Valid(fact) {
				t.Errorf("the fact of act %d: %v", e.Index, err)
			}
		}
		if d := cmp.Diff([]string{"map[appeared:3 totals:true]", "map[fixed:1]", "map[changed:1 totals:true]"}, details); d != "" {
			t.Error(d)
		}
		story, err := w.History(t.Context(), openssl)
		if err != nil || len(story) != 1 || story[0].Act != entries[1].Index {
			t.Errorf("history %+v, %v", story, err)
		}
		days, err := w.Days(t.Context(), time.Time{})
		if err != nil || len(days) != 2 || days[0].Act != entries[0].Index || days[0].Findings != 4 || days[0].Vulnerabilities != 2 ||
			days[0].Urgencies["low"] != 1 || days[0].Hosts != 3 || days[0].Judged != 3 || days[1].Findings != 1 {
			t.Errorf("days %+v, %v", days, err)
		}
		fixed, err := w.Fixed(t.Context(), time.Time{}, w.now, exposure.Episode{}, 0)
		if err != nil || len(fixed) != 1 || fixed[0].Vulnerability != openssl || fixed[0].TimeToRemediate() != 3*time.Hour {
			t.Errorf("fixed %+v, %v", fixed, err)
		}
		if rest, err := w.Fixed(t.Context(), time.Time{}, w.now, fixed[0], 0); err != nil || len(rest) != 0 {
			t.Errorf("after the last: %+v, %v", rest, err)
		}
		months, err := w.Remediation(t.Context(), time.Time{})
		if err != nil || len(months) != 1 || months[0].Fixed != 1 || months[0].MedianHours != 3 {
			t.Errorf("months %+v, %v", months, err)
		}
	})
}

// TestHistoryThatCouldNotBeWrittenIsWrittenLater: a sweep that failed takes nothing with it.
func TestHistoryThatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	began := w.now
	w.look()
	w.retire("hst_a")
	w.retire("hst_b")
	whole := w.Exposure.Ledger
	w.Exposure.Ledger = broken{}
	if err := w.Sweep(t.Context()); err == nil {
		t.Fatal("a broken ledger does not stop the sweep")
	}
	w.Exposure.Ledger = whole
	w.look()
	if d := cmp.Diff([]string{"1: known 1 affected 1 fixed - gone 2 hosts 0 most 2 left 2 hosts left"}, w.story(began)); d != "" {
		t.Error(d)
	}
}

type broken struct{}

func (broken) Append(context.Context, *db.Tx, proof.Act) (int64, error) {
	return 0, errors.New("broken")
}
