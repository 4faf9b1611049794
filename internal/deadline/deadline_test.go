package deadline_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

const name = "CVE-2026-1/openssl"

// world is deadlines over a real ledger, blobs and database; what triage and intake say is given.
type world struct {
	looks int // at standings
	*deadline.Deadlines
	t         *testing.T
	people    *warranttest.World
	ledger    *ledger.Ledger
	now       time.Time
	row       triage.Vulnerability
	episode   exposure.Episode
	unread    map[string]bool
	standings []deadline.Standing // of the hosts affected, by host "0", "1", …
	replaced  bool                // another trust root came into force
}

func (w *world) CurrentRoot(context.Context) (*trustroot.Root, error) { return w.people.Root, nil }

// RootInForce is another one's where it was replaced meanwhile.
func (w *world) RootInForce(context.Context, *db.Tx) (warrant.RootRef, error) {
	if w.replaced {
		return warrant.RootRef{Version: w.people.Root.Version + 1}, nil
	}
	return warrant.RefOf(w.people.Root), nil
}
func (w *world) Vulnerabilities(context.Context) (triage.View, error) {
	v := triage.View{}
	if w.row.Affected+w.row.AfterReboot+w.row.Undetermined > 0 {
		v.Rows = []triage.Vulnerability{w.row}
	}
	return v, nil
}

func (w *world) OpenEpisodes(context.Context) ([]exposure.Episode, error) {
	if !w.episode.FixedAt.IsZero() {
		return nil, nil
	}
	return []exposure.Episode{w.episode}, nil
}
func (w *world) History(context.Context, string) ([]exposure.Episode, error) {
	return []exposure.Episode{w.episode}, nil
}
func (w *world) Unreviewed(context.Context) (map[string]bool, error) { return w.unread, nil }

// estate tells the standings of hosts.
type estate struct{ *world }

func (e estate) Standings(context.Context) (func(string) deadline.Standing, int, error) {
	e.looks++ // none is like the one before
	return func(host string) deadline.Standing { return e.standings[host[0]-'0'] }, e.looks, nil
}

// given is triage as the world has it.
type given struct{ *world }

func (g given) Standings(_ context.Context, of func(string) string) (map[string][]string, error) {
	var all []string
	for i := range g.standings {
		all = append(all, of(string(rune('0'+i))))
	}
	slices.Sort(all)
	return map[string][]string{name: slices.Compact(all)}, nil
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	secret, verifier, err := note.GenerateKey(rand.Reader, "example.org/log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, people: warranttest.New(t), now: warranttest.Now, unread: map[string]bool{"CVE-2026-1": true},
		standings: []deadline.Standing{{Environment: "production", Exposure: "internal"}},
		row: triage.Vulnerability{Name: name, ID: "CVE-2026-1", Source: "openssl", Affected: 1,
			Releases: []triage.Release{{Release: "bookworm", Status: intake.Fixed, Fixed: "3.0.17", Urgency: "high"}}},
		episode: exposure.Episode{Vulnerability: name, Number: 1, IdentifiedAt: warranttest.Now, AffectedAt: warranttest.Now}}
	w.ledger, err = ledger.New(ledger.Config{DB: d, Signer: signer, Verifier: verifier, Origin: "example.org/log",
		GuardFile: filepath.Join(t.TempDir(), "guard"), Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w.Deadlines = deadline.New(deadline.Config{DB: d, Ledger: w.ledger, Blobs: blobs, Root: w, Triage: given{w}, Exposure: w, Intake: w, Standings: estate{w},
		Default: "ncssr-2.0.5", Now: func() time.Time { return w.now }})
	return w
}

// after lets time pass, sweeps, and gives the clocks in words: when due and stopped, in hours since the identification.
func (w *world) after(hours int) map[policy.Clock]string {
	w.t.Helper()
	w.now = warranttest.Now.Add(time.Duration(hours) * time.Hour)
	if err := w.Sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	all, err := w.Of(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	told := map[policy.Clock]string{}
	for _, c := range all {
		text := "due " + c.Due.Sub(warranttest.Now).String()
		if !c.Running() {
			text = "stopped " + c.StoppedAt.Sub(warranttest.Now).String() + " by " + strings.Fields(c.Stopped)[0]
		}
		if !c.BreachedAt.IsZero() {
			text += ", late"
		}
		told[c.Clock] = text
	}
	return told
}

func (w *world) want(step string, got, want map[policy.Clock]string) {
	w.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("%s:\n%s", step, diff)
	}
}

type told = map[policy.Clock]string

func (w *world) decision(kind, scope string) triage.Decision {
	return triage.Decision{ID: "dec_1", Vulnerability: name, Kind: kind, Scope: scope, MadeAt: w.now}
}

// TestClocksStopOnWhatHappenedOnly follows one vulnerability from its identification to the observed fix.
func TestClocksStopOnWhatHappenedOnly(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.want("identified", w.after(0), told{"review": "due 48h0m0s", "assessment": "due 48h0m0s", "response": "due 96h0m0s", "remediation": "due 336h0m0s"})
		w.unread = nil
		w.want("reviewed", w.after(3), told{"review": "stopped 3h0m0s by reviewed", "assessment": "due 48h0m0s", "response": "due 96h0m0s", "remediation": "due 336h0m0s"})
		w.want("nobody assessed", w.after(50), told{"review": "stopped 3h0m0s by reviewed", "assessment": "due 48h0m0s, late", "response": "due 96h0m0s", "remediation": "due 336h0m0s"})
		w.assess("dave", deadline.Assessment{Severity: "high"})
		w.row.Decisions = []triage.Decision{w.decision(triage.Accept, triage.FleetScope)}
		w.want("assessed late, and answered", w.after(51), told{"review": "stopped 3h0m0s by reviewed", "assessment": "stopped 50h0m0s by assessment, late",
			"response": "stopped 50h0m0s by decision", "remediation": "due 336h0m0s"})
		w.row.Decisions = nil
		w.want("the decision was re-opened", w.after(100), told{"review": "stopped 3h0m0s by reviewed", "assessment": "stopped 50h0m0s by assessment, late",
			"response": "due 96h0m0s, late", "remediation": "due 336h0m0s"})
		w.row.Affected, w.episode.FixedAt = 0, warranttest.Now.Add(200*time.Hour)
		w.want("observed fixed", w.after(201), told{"review": "stopped 3h0m0s by reviewed", "assessment": "stopped 50h0m0s by assessment, late",
			"response": "stopped 200h0m0s by observed, late", "remediation": "stopped 200h0m0s by observed"})
		entries, err := w.ledger.List(t.Context(), ledger.Filter{KindPrefix: "clocks."})
		if err != nil || len(entries) != 6 {
			t.Errorf("%d acts, %v; want one for each change", len(entries), err)
		}
		w.want("nothing new", w.after(300), w.after(301))
		if again, err := w.ledger.List(t.Context(), ledger.Filter{KindPrefix: "clocks."}); err != nil || len(again) != 6 {
			t.Errorf("%d acts, %v; want none where nothing changed", len(again), err)
		}
	})
}

// TestDecisionsTogetherStopTheClocks: those for hosts, groups, environments and the fleet count together; until they answer for all
// hosts affected the clock runs, led by the tightest of the others.
func TestDecisionsTogetherStopTheClocks(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.unread = nil
	w.standings = []deadline.Standing{{Environment: "production", Exposure: "internet", Groups: []string{"web"}}, {Environment: "production", Exposure: "internal"},
		{Environment: "stage", Exposure: "isolated"}}
	decide := func(all ...triage.Decision) {
		for i := range all {
			all[i].ID = "dec_" + all[i].Scope
			all[i].MadeAt = w.now.Add(time.Duration(i) * time.Hour)
		}
		w.row.Decisions = all
	}
	want := func(step string, hours int, response, remediation string) {
		t.Helper()
		got := w.after(hours)
		if got["response"] != response || got["remediation"] != remediation {
			t.Errorf("%s: response %s, remediation %s; want %s and %s", step, got["response"], got["remediation"], response, remediation)
		}
	}
	want("undecided", 1, "due 96h0m0s", "due 168h0m0s")
	decide(w.decision(triage.NotConcerned, "group/web"))
	want("the group's hosts are left out", 2, "due 96h0m0s", "due 336h0m0s")
	decide(w.decision(triage.NotConcerned, "host/1"))
	want("one host is left out, which leads not", 3, "due 96h0m0s", "due 168h0m0s")
	decide(w.decision(triage.NotConcerned, "group/web"), w.decision(triage.NotConcerned, "host/1"))
	want("stage is left", 4, "due 96h0m0s", "due 336h0m0s")
	decide(w.decision(triage.NotConcerned, "group/web"), w.decision(triage.Accept, "host/1"), w.decision(triage.Accept, triage.FleetScope))
	want("all are answered for, two not settled", 5, "stopped 5h0m0s by decision", "due 336h0m0s")
	decide(w.decision(triage.NotConcerned, "group/web"), w.decision(triage.NotConcerned, "host/1"), w.decision(triage.AcceptRisk, "environment/stage"))
	w.now = w.now.Add(3 * time.Hour)
	if got := w.after(10)["remediation"]; !strings.HasPrefix(got, "stopped ") {
		t.Errorf("settled for all: remediation is %s", got)
	}
	all, err := w.Of(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Clock == policy.Remediation && c.Stopped != "decision dec_environment/stage and 2 more" {
			t.Errorf("stopped by %q, want all three", c.Stopped)
		}
	}
	decide(w.decision(triage.NotConcerned, "group/web"), w.decision(triage.NotConcerned, "host/1"))
	want("one was re-opened", 11, "due 96h0m0s", "due 336h0m0s")
}

// TestScoresReachTheClocks: CVSS and SSVC are facts of rules and fill in the factors, each with who said it; an assessment goes
// before them.
func TestScoresReachTheClocks(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.standings = []deadline.Standing{{Environment: "production", Exposure: "internet", Criticality: "high"}}
	w.row.Releases[0].Urgency = ""
	w.want("nobody rates it", w.after(0), told{"review": "due 48h0m0s", "assessment": "due 48h0m0s", "response": "due 96h0m0s", "remediation": "due 4320h0m0s"})
	score := func(vector, source string) *intake.CVSS {
		c, err := intake.ReadCVSS(vector, source)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	w.row.CVSS = score("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", "nvd@nist.gov")
	w.want("NVD rates it high", w.after(1), told{"review": "due 48h0m0s", "assessment": "due 48h0m0s", "response": "due 96h0m0s", "remediation": "due 168h0m0s"})
	w.row.SSVC = &intake.SSVC{Exploitation: "poc", Automatable: "yes", Impact: "total", Source: "CISA-ADP"}
	w.want("an exploit is out, and the network reaches it", w.after(2), told{"review": "due 48h0m0s", "assessment": "due 48h0m0s", "response": "due 24h0m0s", "remediation": "due 96h0m0s"})
	w.row.HighestCVSS = score("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "cna")

	s, err := w.Suggest(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if f := s.Factors; s.Given != "high" || f.Exploit != "published" || f.Complexity != "medium" || f.Effect != "high" || !s.Automatable || !s.Total {
		t.Errorf("suggested are %+v", s.Assessment)
	}
	why := map[string]string{}
	for _, h := range s.Hints {
		why[h.Factor] = h.Why
	}
	for factor, says := range map[string]string{"exploit": "CISA-ADP", "complexity": "nvd@nist.gov: CVSS:3.1/AV:N", "effect": "8.8 by nvd@nist.gov; the highest is 9.8 by cna",
		"automatable": "CISA-ADP", "total": "CISA-ADP"} {
		if !strings.Contains(why[factor], says) {
			t.Errorf("%s: %q, want who said it: %q", factor, why[factor], says)
		}
	}
	bod := func() bool { // whether the rule for what is exposed, automatable and total leads
		p, err := policy.Profile("bod-26-04")
		if err != nil {
			t.Fatal(err)
		}
		preview, err := w.Try(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(preview.Shifts, func(s deadline.Shift) bool { return s.Rule == "exposed, automatable and total" })
	}
	if !bod() {
		t.Error("SSVC reaches no rule")
	}
	w.assess("alice", deadline.Assessment{Severity: "high"})
	if bod() {
		t.Error("SSVC goes before a person's assessment that it is not automatable")
	}
}

// assess has a person assess with sound factors, what a names being other.
func (w *world) assess(who string, a deadline.Assessment) {
	w.t.Helper()
	if _, err := w.tryAssess(who, a); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tryAssess(who string, a deadline.Assessment) (deadline.Assessment, error) {
	w.t.Helper()
	s, err := w.Suggest(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	a.Vulnerability, a.Factors = name, s.Factors
	if a.Priority == "" {
		a.Priority = s.Priority
	}
	payload, err := w.Draft(w.t.Context(), who, a)
	if err != nil {
		return a, err
	}
	return w.Assess(w.t.Context(), who, w.people.Sign(deadline.AssessmentType, payload, who))
}

// TestWhatAnswersForAllHosts: a decision stops the response when it covers every host affected, and remediation only when
// nothing is left to remediate.
func TestWhatAnswersForAllHosts(t *testing.T) {
	for says, c := range map[string]struct {
		decisions             []triage.Decision
		response, remediation bool // run
	}{
		"nothing":                        {nil, true, true},
		"accepted for the fleet":         {[]triage.Decision{{Kind: triage.Accept, Scope: triage.FleetScope}}, false, true},
		"deferred for the fleet":         {[]triage.Decision{{Kind: triage.Defer, Scope: triage.FleetScope}}, false, true},
		"not affected for the fleet":     {[]triage.Decision{{Kind: triage.NotConcerned, Scope: triage.FleetScope}}, false, false},
		"rejected for one environment":   {[]triage.Decision{{Kind: triage.Reject, Scope: "environment/stage"}}, true, true},
		"rejected for both":              {[]triage.Decision{{Kind: triage.Reject, Scope: "environment/stage"}, {Kind: triage.Reject, Scope: "environment/production"}}, false, false},
		"rejected, but accepted for one": {[]triage.Decision{{Kind: triage.Reject, Scope: triage.FleetScope}, {Kind: triage.Accept, Scope: "environment/production"}}, false, true},
		"rejected for one host":          {[]triage.Decision{{Kind: triage.Reject, Scope: "host/hst_a"}}, true, true},
	} {
		t.Run(says, func(t *testing.T) {
			w := newWorld(t, dbtest.Open(t))
			w.standings = []deadline.Standing{{Environment: "stage"}, {Environment: "production"}}
			w.row.Decisions = c.decisions
			got := w.after(1)
			if response, remediation := strings.HasPrefix(got["response"], "due"), strings.HasPrefix(got["remediation"], "due"); response != c.response || remediation != c.remediation {
				t.Errorf("response runs %v, want %v; remediation runs %v, want %v", response, c.response, remediation, c.remediation)
			}
		})
	}
}

// TestTheMostPressingHostsLead: exposure of one host shortens the clock of all, and its standing is named.
func TestTheMostPressingHostsLead(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.want("internal hosts", told{"remediation": w.after(1)["remediation"]}, told{"remediation": "due 336h0m0s"})
	w.standings = append(w.standings, deadline.Standing{Environment: "production", Exposure: "internet"})
	w.want("one on the internet", told{"remediation": w.after(2)["remediation"]}, told{"remediation": "due 168h0m0s"})
	all, err := w.Running(t.Context(), deadline.Clock{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(c deadline.Clock) bool { return c.Clock == policy.Remediation })
	if i < 0 || all[i].Lead.Exposure != "internet" {
		t.Errorf("leading is %+v", all)
	}
	if !slices.IsSortedFunc(all, func(a, b deadline.Clock) int { return a.Due.Compare(b.Due) }) {
		t.Error("clocks that run are not in the order in which they run out")
	}
	next, err := w.Running(t.Context(), all[1], 10)
	if err != nil || len(next) != len(all)-2 {
		t.Errorf("after the second there are %d, %v; want %d", len(next), err, len(all)-2)
	}
}

// TestFixStartsItsClockWhenItWasFirstKnown: under PCI DSS the month counts from the release of the patch, once.
func TestFixStartsItsClockWhenItWasFirstKnown(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	other := w.Config
	other.Default = "pci-4.0.1"
	w.Deadlines = deadline.New(other)
	w.row.Releases[0].Status, w.row.Releases[0].Urgency = intake.Open, "critical"
	if got, ok := w.after(1)["remediation"]; ok {
		t.Errorf("without a fix remediation is %s", got)
	}
	w.row.Releases[0].Status = intake.Fixed
	for _, at := range []int{10, 20} {
		if got := w.after(at)["remediation"]; got != "due 730h0m0s" {
			t.Errorf("at %d h: %s, want 30 days from when the fix was known", at, got)
		}
	}
}

// TestSeverityChangesOnlyWithASignedReason is incident 1972158: a severity lowered without a word.
func TestSeverityChangesOnlyWithASignedReason(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.after(0)
	for says, a := range map[string]deadline.Assessment{
		"reason is missing":   {Severity: "low"},
		"severity is none of": {Severity: "harmless", Reason: "it is not so bad, really"},
		"priority not":        {Severity: "high", Priority: "low"},
	} {
		if _, err := w.tryAssess("alice", a); err == nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
	if got := w.after(1)["remediation"]; got != "due 336h0m0s" {
		t.Fatalf("remediation is %s before anything was signed", got)
	}
	w.assess("alice", deadline.Assessment{Severity: "low", Reason: "only reachable by root on the host itself"})
	if got := w.after(2)["remediation"]; got != "due 4320h0m0s" {
		t.Errorf("remediation is %s, want the 180 days of a low one", got)
	}
	all, err := w.ledger.List(t.Context(), ledger.Filter{KindPrefix: "assessment."})
	if err != nil || len(all) != 1 || !strings.Contains(string(all[0].Act.Detail), `"given":"high","severity":"low"`) {
		t.Errorf("the ledger says %v, %v", all, err)
	}
}

// TestAssessmentsThatAreRefused tries to have one count that its person did not sign.
func TestAssessmentsThatAreRefused(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.after(0)
	s, err := w.Suggest(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := w.Draft(t.Context(), "alice", s.Assessment)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(who string, b []byte) envelope.Envelope { return w.people.Sign(deadline.AssessmentType, b, who) }
	for says, try := range map[string]struct {
		who string
		e   envelope.Envelope
	}{
		"signed by another":    {"alice", sign("bob", payload)},
		"handed in by another": {"bob", sign("alice", payload)},
		"one byte more":        {"alice", sign("alice", append(slices.Clone(payload), ' '))},
		"another kind":         {"alice", w.people.Sign(triage.DecisionType, payload, "alice")},
		"two signatures":       {"alice", w.people.Sign(deadline.AssessmentType, payload, "alice", "bob")},
	} {
		if _, err := w.Assess(t.Context(), try.who, try.e); err == nil {
			t.Errorf("%s: it counts", says)
		}
	}
	if own, err := w.Draft(t.Context(), "carol", s.Assessment); err != nil {
		t.Fatal(err)
	} else if _, err := w.Assess(t.Context(), "carol", sign("carol", own)); err != nil {
		t.Errorf("a product manager assesses: %v", err)
	}
	if _, err := w.Assess(t.Context(), "alice", sign("alice", payload)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Assess(t.Context(), "alice", sign("alice", payload)); fault.KindOf(err) != fault.Conflict {
		t.Errorf("handed in again: %v, want a conflict", err)
	}
	w.row.Releases[0].Urgency = "low"
	late, err := w.Draft(t.Context(), "alice", deadline.Assessment{Vulnerability: name, Factors: s.Factors, Severity: "low", Priority: s.Priority})
	if err != nil {
		t.Fatal(err)
	}
	w.row.Releases[0].Urgency = "critical"
	if _, err := w.Assess(t.Context(), "alice", sign("alice", late)); fault.KindOf(err) != fault.Conflict {
		t.Errorf("sources changed their word meanwhile: %v, want a conflict", err)
	}
}

// TestPolicyIsInForceOnceOthersSigned: the author never counts, a risk manager is needed, and the clocks follow.
func TestPolicyIsInForceOnceOthersSigned(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.after(0)
		p, err := policy.Profile("en-319-401")
		if err != nil {
			t.Fatal(err)
		}
		a, err := w.Propose(t.Context(), "bob", p)
		if err != nil {
			t.Fatal(err)
		}
		sign := func(who string) error {
			_, err := w.Sign(t.Context(), who, a.Digest, w.people.Sign(policy.Type, a.Payload, who).Signatures[0])
			return err
		}
		if err := sign("bob"); fault.CodeOf(err) != fault.Author {
			t.Errorf("its author signs: %v", err)
		}
		w.replaced = true
		if err := sign("alice"); fault.CodeOf(err) != fault.RootRollback {
			t.Errorf("while another trust root comes into force: %v", err)
		}
		w.replaced, w.now = false, w.people.Root.ExpiresAt
		if err := sign("alice"); fault.CodeOf(err) != fault.RootExpired {
			t.Errorf("under an expired trust root: %v", err)
		}
		w.now = warranttest.Now
		if err := sign("alice"); err != nil {
			t.Fatal(err)
		}
		if err := sign("alice"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("twice: %v", err)
		}
		if now, _ := w.InForce(t.Context()); now.Version != 0 {
			t.Error("one signature puts it in force")
		}
		if err := sign("dave"); err != nil {
			t.Fatal(err)
		}
		if now, _ := w.InForce(t.Context()); now.Version != 1 || now.Name != "en-319-401" {
			t.Errorf("in force is %s, version %d", now.Name, now.Version)
		}
		if got := w.after(1)["response"]; got != "due 168h0m0s" {
			t.Errorf("response is %s, want the new policy's seven days", got)
		}
		if err := w.Withdraw(t.Context(), "bob", a.Digest); fault.KindOf(err) != fault.Conflict {
			t.Errorf("what is in force is withdrawn: %v", err)
		}
	})
}

// TestATryChangesNothing: the dry run says what would move, and nothing does.
func TestATryChangesNothing(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	before := w.after(50)
	p, err := policy.Profile("bod-26-04")
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Try(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	want := []deadline.Effect{
		{Clock: policy.Review, Earlier: 1, OverdueNow: 1, OverdueThen: 1}, {Clock: policy.Assessment, Same: 1, OverdueNow: 1, OverdueThen: 1},
		{Clock: policy.Response, Later: 1}, {Clock: policy.Remediation, Ended: 1},
	}
	if diff := cmp.Diff(want, got.Effects); diff != "" {
		t.Error(diff)
	}
	if len(got.Shifts) != 3 {
		t.Errorf("%d clocks are listed, want those three that differ", len(got.Shifts))
	}
	w.want("after the try", w.after(50), before)
}

func FuzzDecodeAssessment(f *testing.F) {
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x","predicate":{}}`))
	good, err := deadline.Assessment{ID: "asm_00000000000000000000000000", Vulnerability: name, Severity: "high", Priority: "high", Person: "alice",
		MadeAt: warranttest.Now}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := deadline.DecodeAssessment(b)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
			return
		}
		if again, err := a.Encode(); err != nil || string(again) != string(b) {
			t.Errorf("read %q, written %q, %v", b, again, err)
		}
	})
}

// TestAWorseWordComesThroughAnAssessment: who only confirmed what sources said, or even lowered it with a reason, did not know of the
// worse word that came later; a milder one changes nothing.
func TestAWorseWordComesThroughAnAssessment(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.row.Releases[0].Urgency = "low"
	w.after(0)
	w.assess("alice", deadline.Assessment{Severity: "low"})
	if got := w.after(1)["remediation"]; got != "due 4320h0m0s" {
		t.Fatalf("remediation is %s", got)
	}
	w.row.Releases[0].Urgency = "critical"
	if got := w.after(2)["remediation"]; got != "due 96h0m0s" {
		t.Errorf("sources raised it to critical, and remediation is %s", got)
	}
	w.assess("alice", deadline.Assessment{Severity: "medium", Reason: "only reachable by root on the host itself"})
	if got := w.after(3)["remediation"]; got != "due 1080h0m0s" {
		t.Errorf("assessed again, and remediation is %s", got)
	}
	w.row.Releases[0].Urgency = "low"
	if got := w.after(4)["remediation"]; got != "due 1080h0m0s" {
		t.Errorf("sources lowered it, and remediation is %s", got)
	}
}

// TestABreachStaysWhenItIsFixed: with the last host fixed nothing is known any more of what made the limit tight, and the limit that
// held until then counts.
func TestABreachStaysWhenItIsFixed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.row.Exploited, w.standings = &intake.Exploited{ID: "CVE-2026-1", Since: "2026-01-02"}, []deadline.Standing{{Environment: "production", Exposure: "internet"}}
		w.want("exploited", w.after(30), told{"review": "due 48h0m0s", "assessment": "due 48h0m0s", "response": "due 24h0m0s, late", "remediation": "due 96h0m0s"})
		w.after(97)
		w.row, w.standings, w.episode.FixedAt = triage.Vulnerability{}, nil, warranttest.Now.Add(100*time.Hour)
		w.want("fixed too late", w.after(101), told{"review": "stopped 100h0m0s by observed, late", "assessment": "stopped 100h0m0s by observed, late",
			"response": "stopped 100h0m0s by observed, late", "remediation": "stopped 100h0m0s by observed, late"})
		all, err := w.Of(t.Context(), name)
		if err != nil || len(all) != 4 || all[3].Due.Sub(warranttest.Now) != 96*time.Hour || all[3].Rule != "exploited" || all[3].Lead.Exposure != "internet" {
			t.Errorf("%v, %+v", err, all)
		}
		w.want("nothing new", w.after(102), w.after(103))
	})
}

// TestNotKnowingStopsNoRemediation: hosts that were affected, and of which nobody can say any more, were not observed fixed. What only
// ever was undetermined has nothing to remediate yet.
func TestNotKnowingStopsNoRemediation(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.after(0)
	w.row.Affected, w.row.Undetermined, w.row.Releases[0].Status, w.standings = 0, 1, intake.Undetermined, nil
	if got := w.after(1)["remediation"]; got != "due 336h0m0s" {
		t.Errorf("of unknown state, and remediation is %s", got)
	}
	if got := w.after(400)["remediation"]; got != "due 336h0m0s, late" {
		t.Errorf("of unknown state for long, and remediation is %s", got)
	}
	w.row.Decisions = []triage.Decision{w.decision(triage.NotConcerned, triage.FleetScope)}
	if got := w.after(401)["remediation"]; got != "stopped 400h0m0s by decision, late" {
		t.Errorf("decided, and remediation is %s", got)
	}
	w = newWorld(t, dbtest.Open(t))
	w.row.Affected, w.row.Undetermined, w.standings, w.episode.AffectedAt = 0, 1, nil, time.Time{}
	if got := w.after(1)["remediation"]; got != "stopped 1h0m0s by no" {
		t.Errorf("never affected, and remediation is %s", got)
	}
}
