package triage_test

import (
	"slices"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// limit has people hold a role only in some zones.
func (w *world) limit(person int, role string, zones ...string) {
	r := *w.people.Root
	r.People = slices.Clone(r.People)
	p := &r.People[person]
	p.Scopes = append(slices.Clone(p.Scopes), trustroot.Scope{Role: role, Zones: zones})
	w.people.SetRoot(r)
}

const (
	bob  = 1
	dave = 3
)

// TestWhoIsLimitedDecidesOnlyAboutTheirHosts: at the draft, at the hand-in, and as the second person; hst_a (stage) and hst_b
// are affected, hst_c is not.
func TestWhoIsLimitedDecidesOnlyAboutTheirHosts(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.places = map[string]trustroot.Place{"hst_a": {Zone: "lab"}, "hst_b": {Zone: "core"}, "hst_c": {Zone: "dmz"}}
		ctx := t.Context()
		accept := func(scope string) triage.Decision {
			return triage.Decision{Vulnerability: openssl, Kind: triage.Accept, Scope: scope, Reason: "fix it"}
		}
		early := w.draft("bob", accept("fleet"))
		w.limit(bob, "product-manager", "core")
		_, err := w.Draft(ctx, "bob", accept("fleet"))
		if fault.CodeOf(err) != fault.Scope {
			t.Errorf("for hosts elsewhere too: %v", err)
		}
		if _, err := w.Decide(ctx, "bob", w.people.Sign(triage.DecisionType, early, "bob")); err == nil {
			t.Error("a draft of before is handed in")
		}
		if _, err := w.Draft(ctx, "bob", accept("host/hst_a")); fault.CodeOf(err) != fault.Scope {
			t.Errorf("for one host elsewhere: %v", err)
		}
		if _, err := w.Draft(ctx, "bob", accept("host/hst_unknown")); fault.CodeOf(err) != fault.Scope {
			t.Errorf("for a host nobody knows: %v", err)
		}
		w.decide("bob", accept("environment/production"))
		if got := w.inForce(); !slices.Equal(got, []string{"accept environment/production"}) {
			t.Errorf("in force: %v", got)
		}
		// The second person is limited too, and the risk is in other zones.
		w.people.Root.People[2].Roles = append(w.people.Root.People[2].Roles, "risk-manager") // carol signs policies
		w.limit(dave, "risk-manager", "core")
		risk := triage.Decision{Vulnerability: openssl, Kind: triage.AcceptRisk, Scope: "fleet", Reason: "no", Until: w.now.AddDate(0, 1, 0),
			Exception: &triage.Exception{Ground: "limited-threat", Control: "firewall", Owner: "dave", Plan: "replace"}}
		made, err := w.Decide(ctx, "alice", w.people.Sign(triage.DecisionType, w.draft("alice", risk), "alice"))
		if err != nil || made.InForce {
			t.Fatalf("%+v, %v", made, err)
		}
		waiting, err := w.WaitingDecision(ctx, made.ID)
		if err != nil {
			t.Fatal(err)
		}
		agree := w.people.Sign(triage.DecisionType, waiting.Payload, "dave").Signatures[0]
		if _, err := w.Agree(ctx, "dave", made.ID, agree); fault.CodeOf(err) != fault.Scope {
			t.Errorf("the second is limited: %v", err)
		}
		w.places["hst_a"] = trustroot.Place{Zone: "core"}
		if now, err := w.Agree(ctx, "dave", made.ID, agree); err != nil || !now.InForce {
			t.Errorf("all hosts are within: %+v, %v", now, err)
		}
	})
}

// TestADecisionThatOutgrowsItsSignersIsReopened: a host elsewhere comes to be affected, or one moves.
func TestADecisionThatOutgrowsItsSignersIsReopened(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.places = map[string]trustroot.Place{"hst_a": {Zone: "core"}, "hst_b": {Zone: "core"}}
		w.limit(bob, "product-manager", "core")
		accept := triage.Decision{Vulnerability: openssl, Kind: triage.Accept, Scope: "fleet", Reason: "fix it"}
		holds := func(what string, want ...string) {
			t.Helper()
			w.sweep()
			if got := w.inForce(); !slices.Equal(got, want) {
				t.Errorf("%s: %v", what, got)
			}
		}
		w.decide("bob", accept)
		holds("nothing changed", "accept fleet")
		w.host("hst_n", "production", pkg("openssl", "openssl", "3.0.17-1~deb12u2"))
		holds("a host came that is not affected", "accept fleet")
		w.host("hst_n", "production", pkg("openssl", "openssl", "3.0.9-1"))
		holds("it is affected, and nobody knows where it stands")
		w.places["hst_n"] = trustroot.Place{Zone: "core"}
		w.decide("bob", accept)
		holds("it is known", "accept fleet")
		w.places["hst_b"] = trustroot.Place{Zone: "dmz"}
		holds("another moved")
		w.decide("alice", accept)
		holds("alice is not limited", "accept fleet")
	})
}
