package triage_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// Standings are those of the hosts that the case itself shows as affected: two ways to the same answer.
func TestStandingsAreThoseOfTheAffectedHosts(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.host("hst_c", "production", pkg("openssl", "openssl", fixedOpenssl))
	w.host("hst_d", "stage", pkg("openssl", "openssl", "3.0.9-1"))
	standing := map[string]string{"hst_a": "ca", "hst_b": "office", "hst_c": "dmz", "hst_d": "ca"}
	all, err := w.Standings(t.Context(), func(host string) string { return standing[host] })
	if err != nil {
		t.Fatal(err)
	}
	view, err := w.Vulnerabilities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for _, v := range view.Rows {
		c, err := w.Case(t.Context(), v.Name, triage.HostPage{})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range c.Hosts {
			if h.Verdict.Status == triage.Affected || h.Verdict.Status == triage.FixedAfterReboot {
				want[v.Name] = append(want[v.Name], standing[h.Host])
			}
		}
		slices.Sort(want[v.Name])
		if want[v.Name] = slices.Compact(want[v.Name]); len(want[v.Name]) == 0 {
			delete(want, v.Name)
		}
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("standings differ from those of the hosts affected:\n%s", diff)
	}
	if len(all[openssl]) != 2 {
		t.Errorf("openssl affects %v, want ca and office", all[openssl])
	}
}
