package verdict_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// Shares are counted here a second time, host by host from what each has.
func TestSharesAreTheSumOfTheirHosts(t *testing.T) {
	f := fiveHosts(t)
	owner := map[string]string{"a": "alice", "b": "bob", "c": "bob", "d": "alice"}
	all := f.Shares(func(place string) string {
		host, _ := verdict.HostOf(place)
		return owner[host]
	}, map[string]bool{openssl: true})
	want := map[string]*verdict.Share{"alice": {Hosts: 2, Of: []int{0}}, "bob": {Hosts: 2, Of: []int{0}}}
	findings := 0
	for _, n := range f.Tally() {
		findings += n.Affected
		has := map[string]bool{}
		for _, h := range f.Hosts(n.Statement.ID, n.Source, verdict.HostPage{Status: verdict.Affected}) {
			want[owner[h.Host]].Findings++
			has[owner[h.Host]] = true
		}
		for who := range has {
			want[who].Vulnerabilities++
			if n.Statement.ID+"/"+n.Source == openssl {
				want[who].Of[0]++
			}
		}
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	if sum := all["alice"].Findings + all["bob"].Findings; sum != findings || sum == 0 {
		t.Errorf("the shares have %d findings, the fleet %d", sum, findings)
	}
}
