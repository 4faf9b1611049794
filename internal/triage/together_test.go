package triage_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// many is the tracker with n more vulnerabilities in vim, the first fixed in a version of its own.
func many(n int, first string) (doc string, names []string) {
	var all []string
	for i := range n {
		id, fixed := fmt.Sprintf("CVE-2026-%04d", 1000+i), "9-2"
		if i == 0 {
			fixed = first
		}
		names = append(names, id+"/vim")
		all = append(all, `"`+id+`":{"releases":{"bookworm":{"status":"resolved","fixed_version":"`+fixed+`"}}}`)
	}
	return strings.Replace(tracker("3.0.17-1~deb12u2"), `"vim":{`, `"vim":{`+strings.Join(all, ",")+",", 1), names
}

func acceptAll(names []string) triage.Decision {
	return triage.Decision{Vulnerability: names[0], Kind: triage.Accept, Scope: triage.FleetScope, Reason: "patch them all"}.Together(names)
}

// TestManyAreDecidedAtOnce: one document and one signature about 500 vulnerabilities; each has it in its history and its ledger, and
// re-opens alone.
func TestManyAreDecidedAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const n = 500
		w := newWorld(t, d)
		doc, names := many(n, "9-2")
		w.imports(debian.TrackerSource, doc)
		before := w.view().Undecided
		made, err := w.Decide(t.Context(), "alice", w.people.Sign(triage.DecisionType, w.draft("alice", acceptAll(names)), "alice"))
		if err != nil || !made.InForce || len(made.About()) != n {
			t.Fatalf("%t, about %d, %v", made.InForce, len(made.About()), err)
		}
		if v := w.view(); v.Undecided != before-n {
			t.Errorf("%d are undecided, before %d", v.Undecided, before)
		}
		entries, err := w.ledger.List(t.Context(), ledger.Filter{KindPrefix: "decision.made"})
		if err != nil || len(entries) != n {
			t.Fatalf("%d acts, %v; want one for each vulnerability", len(entries), err)
		}
		for _, name := range []string{names[0], names[n-1]} {
			c, err := w.Case(t.Context(), name, verdict.HostPage{})
			if err != nil || len(c.History) != 1 || c.History[0].ID != made.ID || c.History[0].Together != n || c.History[0].Signed != entries[0].Act.Facts[0] {
				t.Errorf("%s: the history is %+v, %v", name, c.History, err)
			}
		}
		if parts, err := w.Made(t.Context(), made.ID); err != nil || len(parts) != n || parts[0].Vulnerability != names[0] {
			t.Errorf("%d parts, %v", len(parts), err)
		}
		doc, _ = many(n, "9-3")
		w.imports(debian.TrackerSource, doc)
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := w.view(); v.Undecided != before-n+1 {
			t.Errorf("%d are undecided after the facts about one changed", v.Undecided)
		}
		w.now = w.now.Add(time.Minute)
		again, err := w.Decide(t.Context(), "alice", w.people.Sign(triage.DecisionType, w.draft("alice", acceptAll(names)), "alice"))
		if err != nil || !again.InForce {
			t.Fatal(err)
		}
		if c, err := w.Case(t.Context(), names[1], verdict.HostPage{}); err != nil || len(c.History) != 2 || c.History[0].Ended != "superseded by "+again.ID {
			t.Errorf("decided again: %+v, %v", c.History, err)
		}
	})
}

// TestManyAreRefusedAsAWhole: where the facts about one changed none is decided, and it is named; what is wrong in itself is refused;
// and two people agree to many at once.
func TestManyAreRefusedAsAWhole(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	both := []string{openssl, "CVE-2026-1/vim"}
	none := func(when string) {
		t.Helper()
		if v := w.view(); len(v.Rows[0].Decisions)+len(v.Rows[len(v.Rows)-1].Decisions) != 0 {
			t.Errorf("%s: something is decided", when)
		}
	}
	if _, err := w.Draft(t.Context(), "alice", acceptAll(both)); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "CVE-2026-1/vim") {
		t.Errorf("no fix for one: %v, want it named", err)
	}
	deferred := triage.Decision{Vulnerability: openssl, Kind: triage.Defer, Scope: triage.FleetScope, Reason: "after the move", Until: w.now.AddDate(0, 1, 0)}.Together(both)
	signed := w.people.Sign(triage.DecisionType, w.draft("alice", deferred), "alice")
	w.imports(debian.TrackerSource, tracker("3.0.18-1"))
	if _, err := w.Decide(t.Context(), "alice", signed); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), openssl) || strings.Contains(err.Error(), "/vim") {
		t.Errorf("the facts about one changed: %v, want that one named", err)
	}
	none("the facts changed")

	payload := string(w.draft("alice", deferred))
	for name, bad := range map[string]string{
		"one twice":        strings.ReplaceAll(payload, "CVE-2026-1/vim", openssl),
		"out of order":     strings.ReplaceAll(payload, "CVE-2026-1/vim", "CVE-2026-0/a"),
		"no vulnerability": strings.ReplaceAll(payload, "CVE-2026-1/vim", "what"),
	} {
		if _, err := w.Decide(t.Context(), "alice", w.people.Sign(triage.DecisionType, []byte(bad), "alice")); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	crowd := make([]string, triage.MaxTogether+1)
	for i := range crowd {
		crowd[i] = fmt.Sprintf("CVE-2026-%04d/vim", i)
	}
	if _, err := w.Draft(t.Context(), "alice", acceptAll(crowd)); err == nil {
		t.Error("more than the most are drafted")
	}

	waiting := w.propose("alice", harmless().Together(both))
	none("it waits")
	if made, err := w.agree("bob", waiting); err != nil || !made.InForce || len(made.About()) != 2 {
		t.Fatalf("%+v, %v", made, err)
	}
	if v := w.view(); v.Undecided != 0 {
		t.Errorf("%d are undecided after two agreed", v.Undecided)
	}
	waiting = w.propose("alice", harmless().Together(both))
	if err := w.Refuse(t.Context(), "bob", waiting.ID, "not both"); err != nil {
		t.Fatal(err)
	}
	for _, name := range both {
		entries, err := w.ledger.List(t.Context(), ledger.Filter{Subject: "vulnerability/" + name, KindPrefix: "decision."})
		kinds := ""
		for _, e := range entries {
			kinds += " " + strings.TrimPrefix(e.Act.Kind, "decision.")
		}
		if err != nil || kinds != " proposed made proposed refused" && kinds != " refused proposed made proposed" {
			t.Errorf("%s: its ledger has%s, %v", name, kinds, err)
		}
	}
}
