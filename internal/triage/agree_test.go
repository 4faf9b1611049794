package triage_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

func harmless() triage.Decision {
	return triage.Decision{Vulnerability: openssl, Kind: triage.NotConcerned, Scope: triage.FleetScope, Reason: "that code is not built here",
		Justification: "vulnerable_code_not_present"}
}

func (w *world) risk() triage.Decision {
	return triage.Decision{Vulnerability: openssl, Kind: triage.AcceptRisk, Scope: triage.FleetScope, Reason: "the vendor's fix breaks the signer",
		Exception: &triage.Exception{Ground: "incompatible", Control: "the port is open to two hosts", Owner: "dave", Plan: "a new signer in spring"},
		Until:     w.now.Add(90 * 24 * time.Hour)}
}

// propose has who sign a decision, and expects it to wait.
func (w *world) propose(who string, d triage.Decision) triage.Waiting {
	w.t.Helper()
	made, err := w.Decide(w.t.Context(), who, w.people.Sign(triage.DecisionType, w.draft(who, d), who))
	if err != nil {
		w.t.Fatal(err)
	}
	if made.InForce {
		w.t.Fatalf("%s by %s alone is in force", d.Kind, who)
	}
	waiting, err := w.WaitingDecision(w.t.Context(), made.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return waiting
}

func (w *world) agree(who string, d triage.Waiting) (triage.Decided, error) {
	return w.Agree(w.t.Context(), who, d.ID, w.people.Sign(triage.DecisionType, d.Payload, who).Signatures[0])
}

// TestNoImpactNeedsTwoRoles is R-405: a vulnerability is closed as harmless only with CIRT and product manager agreeing; and
// a risk is accepted by the risk manager and presented to the CIRT.
func TestNoImpactNeedsTwoRoles(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		harmless := w.propose("alice", harmless())
		if n := len(w.view().Rows[0].Decisions); n != 0 {
			t.Errorf("%d decisions hold while it waits", n)
		}
		if _, err := w.agree("alice", harmless); fault.CodeOf(err) != fault.Author {
			t.Errorf("its author agrees: %v", err)
		}
		if _, err := w.agree("dave", harmless); fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "none of the roles") {
			t.Errorf("a risk manager agrees: %v", err)
		}
		if made, err := w.agree("bob", harmless); err != nil || !made.InForce {
			t.Fatalf("a product manager agrees: %+v, %v", made, err)
		}
		if _, err := w.agree("carol", harmless); fault.KindOf(err) != fault.NotFound {
			t.Errorf("a third agrees to what waits no more: %v", err)
		}
		if got := w.view().Rows[0].Decisions; len(got) != 1 || got[0].Kind != triage.NotConcerned {
			t.Errorf("in force is %+v", got)
		}
		risk := w.propose("dave", w.risk())
		if made, err := w.agree("alice", risk); err != nil || !made.InForce {
			t.Fatalf("the CIRT agrees: %+v, %v", made, err)
		}
		if _, err := w.Decide(t.Context(), "bob", w.people.Sign(triage.DecisionType, w.draft("bob", w.risk()), "bob")); fault.KindOf(err) != fault.Denied {
			t.Errorf("a product manager accepts a risk: %v", err)
		}
		again := harmless.Decision
		two := w.people.Sign(triage.DecisionType, w.draft("alice", again), "alice", "carol")
		if made, err := w.Decide(t.Context(), "alice", two); err != nil || !made.InForce {
			t.Errorf("handed in with both signatures: %+v, %v", made, err)
		}
		if all, err := w.WaitingDecisions(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("%d wait, %v; want none", len(all), err)
		}
	})
}

// TestWhatWaitsInVainLapses: a decision that nobody agreed to within a week, or whose facts changed, comes to nothing; and so
// does one that is refused.
func TestWhatWaitsInVainLapses(t *testing.T) {
	for says, end := range map[string]func(w *world, d triage.Waiting){
		"nobody agreed in time": func(w *world, _ triage.Waiting) { w.now = w.now.Add(7 * 24 * time.Hour) },
		"the facts about CVE-2026-1/openssl changed": func(w *world, _ triage.Waiting) {
			w.imports(debian.TrackerSource, tracker("3.0.18-1"))
		},
		"it is built, I checked": func(w *world, d triage.Waiting) {
			for _, none := range []string{"", " \n", strings.Repeat("x", 4001)} {
				if err := w.Refuse(w.t.Context(), "bob", d.ID, none); fault.KindOf(err) != fault.Invalid {
					t.Errorf("refused with %d bytes of reason: %v", len(none), err)
				}
			}
			if err := w.Refuse(w.t.Context(), "bob", d.ID, "it is built, I checked"); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		w := newWorld(t, dbtest.Open(t))
		d := w.propose("alice", harmless())
		end(w, d)
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.agree("bob", d); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: it can be agreed to: %v", says, err)
		}
		acts := w.acts()
		if last := acts[len(acts)-1]; !strings.Contains(last, says) {
			t.Errorf("the last act says %s, want %q", last, says)
		}
	}
}

// TestAWaitingDecisionEndsOnce: of people who agree, refuse and let it lapse at the same time one is heard, and the others are told.
// What was refused never comes in force.
func TestAWaitingDecisionEndsOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		for range 20 {
			waiting, before := w.propose("alice", harmless()), len(w.acts())
			var made, refused error
			var both sync.WaitGroup
			start := make(chan struct{})
			both.Go(func() { <-start; _, made = w.agree("bob", waiting) })
			both.Go(func() { <-start; refused = w.Refuse(t.Context(), "bob", waiting.ID, "it is built, I checked") })
			close(start)
			both.Wait()
			acts, held := w.acts()[before:], len(w.view().Rows[0].Decisions)
			want, lost := "decision.made", refused
			if refused == nil {
				want, lost = "decision.refused", made
			}
			if (made == nil) == (refused == nil) || len(acts) != 1 || !strings.Contains(acts[0], want) || (held == 1) != (made == nil) {
				t.Fatalf("agreed %v, refused %v, %d in force, acts %v", made, refused, held, acts)
			}
			if k := fault.KindOf(lost); k != fault.Conflict && k != fault.NotFound {
				t.Errorf("who came late: %v", lost)
			}
			if made == nil {
				w.decide("bob", triage.Decision{Vulnerability: openssl, Kind: triage.Reopen, Scope: triage.FleetScope, Reason: "again"})
			}
		}
	})
}

// TestNoDecisionUnderAReplacedTrustRoot: people who left with it must not decide while the next comes into force.
func TestNoDecisionUnderAReplacedTrustRoot(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	waiting := w.propose("alice", harmless())
	signed := w.people.Sign(triage.DecisionType, w.draft("alice", triage.Decision{Vulnerability: openssl, Kind: triage.Accept, Scope: triage.FleetScope, Reason: "x"}), "alice")
	w.replaced = true
	if _, err := w.agree("bob", waiting); fault.CodeOf(err) != fault.RootRollback {
		t.Errorf("agreed: %v", err)
	}
	if _, err := w.Decide(t.Context(), "alice", signed); fault.CodeOf(err) != fault.RootRollback {
		t.Errorf("decided: %v", err)
	}
	if _, err := w.WaitingDecision(t.Context(), waiting.ID); err != nil {
		t.Errorf("it does not wait any more: %v", err)
	}
}

// TestUndoingIsADecision: what was decided ends, nothing takes its place, and the history keeps both.
func TestUndoingIsADecision(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.decide("alice", triage.Decision{Vulnerability: openssl, Kind: triage.Accept, Scope: triage.FleetScope, Reason: "patch it"})
	w.decide("bob", triage.Decision{Vulnerability: openssl, Kind: triage.Reopen, Scope: triage.FleetScope, Reason: "wrong package"})
	c, err := w.Case(t.Context(), openssl, verdict.HostPage{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.History) != 2 || c.History[0].EndedAt.IsZero() || c.History[1].EndedAt.IsZero() {
		t.Errorf("history is %+v", c.History)
	}
	if got := w.view().Rows[0]; len(got.Decisions) != 0 {
		t.Errorf("in force is %+v", got.Decisions)
	}
	w.decide("alice", triage.Decision{Vulnerability: openssl, Kind: triage.Configure, Scope: triage.FleetScope, Reason: "the option is off"})
}

func TestAnExceptionSaysAllItMust(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	for says, spoil := range map[string]func(*triage.Decision){
		"ground":    func(d *triage.Decision) { d.Exception.Ground = "too busy" },
		"control":   func(d *triage.Decision) { d.Exception.Control = " " },
		"plan":      func(d *triage.Decision) { d.Exception.Plan = "" },
		"owner":     func(d *triage.Decision) { d.Exception.Owner = "" },
		"until":     func(d *triage.Decision) { d.Until = time.Time{} },
		"exception": func(d *triage.Decision) { d.Exception = nil },
	} {
		d := w.risk()
		spoil(&d)
		if _, err := w.Draft(t.Context(), "dave", d); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
	d := w.risk()
	d.Exception.Owner = "nobody"
	if _, err := w.Decide(t.Context(), "dave", w.people.Sign(triage.DecisionType, w.draft("dave", d), "dave")); fault.KindOf(err) != fault.Invalid {
		t.Errorf("an owner the trust root does not know: %v", err)
	}
}
