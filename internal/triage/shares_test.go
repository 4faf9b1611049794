package triage_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// Shares are counted here a second time, host by host from what each case shows.
func TestSharesAreTheSumOfTheirHosts(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.host("hst_c", "production", pkg("openssl", "openssl", fixedOpenssl))
	w.host("hst_d", "stage", pkg("openssl", "openssl", "3.0.9-1"))
	owner := map[string]string{"hst_a": "alice", "hst_b": "bob", "hst_c": "bob", "hst_d": "alice"}
	all, err := w.Shares(t.Context(), func(host string) string { return owner[host] }, map[string]bool{openssl: true})
	if err != nil {
		t.Fatal(err)
	}
	view, err := w.Vulnerabilities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*triage.Share{"alice": {Hosts: 2, Of: []int{0}}, "bob": {Hosts: 2, Of: []int{0}}}
	for _, v := range view.Rows {
		c, err := w.Case(t.Context(), v.Name, triage.HostPage{})
		if err != nil {
			t.Fatal(err)
		}
		has := map[string]bool{}
		for _, h := range c.Hosts {
			if h.Verdict.Status == triage.Affected {
				want[owner[h.Host]].Findings++
				has[owner[h.Host]] = true
			}
		}
		for who := range has {
			want[who].Vulnerabilities++
			if v.Name == openssl {
				want[who].Of[0]++
			}
		}
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	if sum := all["alice"].Findings + all["bob"].Findings; sum != view.Findings || sum == 0 {
		t.Errorf("the shares have %d findings, the view %d", sum, view.Findings)
	}
}
