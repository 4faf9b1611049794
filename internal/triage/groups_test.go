package triage_test

import (
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// TestADecisionForAGroup holds for the group's hosts alone, goes before the environment's and after the host's own, and re-opens when
// the group's condition changes or a host joins from elsewhere; not when one joins where others stand.
func TestADecisionForAGroup(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	web := func(condition string, stands []string, hosts ...string) {
		m := estate.Membership{Condition: condition, Stands: stands, Hosts: map[string]bool{}}
		for _, h := range hosts {
			m.Hosts[h] = true
		}
		w.groups = map[string]estate.Membership{"web": m}
	}
	of := func() map[string]string {
		t.Helper()
		c, err := w.Case(t.Context(), openssl, verdict.HostPage{})
		if err != nil {
			t.Fatal(err)
		}
		kinds, held := map[string]string{"": ""}, map[string]string{}
		for _, d := range c.History {
			kinds[d.ID] = d.Kind
		}
		for _, h := range c.Hosts {
			held[h.Host] = kinds[h.Decision]
		}
		return held
	}
	decide := func(kind, scope string) {
		t.Helper()
		d := triage.Decision{Vulnerability: openssl, Kind: kind, Scope: scope, Reason: "for " + scope}
		if kind == triage.Defer {
			d.Until = w.now.AddDate(0, 1, 0)
		}
		if _, err := w.Decide(t.Context(), "alice", w.people.Sign(triage.DecisionType, w.draft("alice", d), "alice")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Draft(t.Context(), "alice", triage.Decision{Vulnerability: openssl, Kind: triage.Accept, Scope: "group/web", Reason: "x"}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("for a group that is not there: %v", err)
	}
	web("zone == 'dmz'", []string{"production, dmz, internet, high"}, "hst_b")
	decide(triage.Configure, "group/web")
	if held := of(); held["hst_b"] != triage.Configure || held["hst_c"] != "" || held["hst_a"] != "" {
		t.Errorf("it holds for %v", held)
	}
	decide(triage.Accept, "environment/production")
	if held := of(); held["hst_b"] != triage.Configure || held["hst_c"] != triage.Accept {
		t.Errorf("beside the environment's: %v", held)
	}
	decide(triage.Defer, "host/hst_b")
	if held := of(); held["hst_b"] != triage.Defer {
		t.Errorf("beside the host's: %v", held)
	}
	ended := func() string {
		t.Helper()
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := w.Case(t.Context(), openssl, verdict.HostPage{})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range c.History {
			if strings.HasPrefix(d.Scope, "group/") && d.EndedAt.IsZero() {
				return ""
			}
		}
		return "ended"
	}
	web("zone == 'dmz'", []string{"production, dmz, internet, high"}, "hst_b", "hst_c")
	if got := ended(); got != "" {
		t.Error("a host that joined where others stand re-opened it")
	}
	web("zone == 'dmz'", []string{"production, dmz, internet, high", "stage, dmz, internet, low"}, "hst_a", "hst_b", "hst_c")
	if got := ended(); got == "" {
		t.Error("a host that joined from elsewhere did not re-open it")
	}
	decide(triage.Configure, "group/web")
	web("zone != 'office'", []string{"production, dmz, internet, high", "stage, dmz, internet, low"}, "hst_a", "hst_b", "hst_c")
	if got := ended(); got == "" {
		t.Error("another condition did not re-open it")
	}
	decide(triage.Configure, "group/web")
	w.groups = nil
	if got := ended(); got == "" {
		t.Error("it holds though the group is gone")
	}
}
