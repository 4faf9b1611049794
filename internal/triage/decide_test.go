package triage_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

func TestDecideRefuses(t *testing.T) {
	accept := triage.Decision{Vulnerability: openssl, Kind: triage.Accept, Scope: triage.FleetScope, Reason: "patch it"}
	cases := []struct {
		name, who string
		envelope  func(w *world) envelope.Envelope
		kind      fault.Kind
		want      string
	}{
		{"handed in by another", "bob", func(w *world) envelope.Envelope {
			return w.people.Sign(triage.DecisionType, w.draft("alice", accept), "alice")
		}, fault.Denied, "cannot hand in"},
		{"signed by another", "alice", func(w *world) envelope.Envelope {
			return w.people.Sign(triage.DecisionType, w.draft("alice", accept), "bob")
		}, fault.Denied, "want the signature of alice"},
		{"signed by two", "alice", func(w *world) envelope.Envelope {
			return w.people.Sign(triage.DecisionType, w.draft("alice", accept), "alice", "bob")
		}, fault.Denied, "and no other"},
		{"signed by nobody", "alice", func(w *world) envelope.Envelope {
			return w.people.Sign(triage.DecisionType, w.draft("alice", accept))
		}, fault.Denied, "want the signature of alice"},
		{"changed after signing", "alice", func(w *world) envelope.Envelope {
			e := w.people.Sign(triage.DecisionType, w.draft("alice", accept), "alice")
			e.Payload = []byte(strings.Replace(string(e.Payload), "patch it", "patch me", 1))
			return e
		}, fault.Denied, ""},
		{"by an auditor", "frank", func(w *world) envelope.Envelope {
			return w.people.Sign(triage.DecisionType, w.draft("frank", accept), "frank")
		}, fault.Denied, "has none of the roles"},
		{"of another type", "alice", func(w *world) envelope.Envelope {
			return w.people.Sign("application/vnd.patchwarrant.order.v1+json", w.draft("alice", accept), "alice")
		}, fault.Invalid, "the envelope holds"},
		{"twice", "alice", func(w *world) envelope.Envelope {
			e := w.people.Sign(triage.DecisionType, w.draft("alice", accept), "alice")
			if _, err := w.Decide(w.t.Context(), "alice", e); err != nil {
				w.t.Fatal(err)
			}
			return e
		}, fault.Conflict, "handed in before"},
		{"the facts changed since", "alice", func(w *world) envelope.Envelope {
			e := w.people.Sign(triage.DecisionType, w.draft("alice", accept), "alice")
			w.imports(debian.TrackerSource, tracker("3.0.18-1"))
			return e
		}, fault.Conflict, "the facts about CVE-2026-1/openssl changed"},
		{"the draft is old", "alice", func(w *world) envelope.Envelope {
			e := w.people.Sign(triage.DecisionType, w.draft("alice", accept), "alice")
			w.now = w.now.Add(25 * time.Hour)
			return e
		}, fault.Conflict, "not within the last day"},
		{"under an older trust root", "alice", func(w *world) envelope.Envelope {
			e := w.people.Sign(triage.DecisionType, w.draft("alice", accept), "alice")
			next, err := w.people.Root.Next(w.people.NextRoot(func(*trustroot.Root) {}, "alice", "carol"), w.now)
			if err != nil {
				w.t.Fatal(err)
			}
			w.people.Root = next
			return e
		}, fault.Conflict, "version 2 is in force"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, dbtest.Open(t))
			e := c.envelope(w)
			before := len(w.acts())
			_, err := w.Decide(t.Context(), c.who, e)
			if fault.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("got %v, want %s with %q", err, c.kind, c.want)
			}
			if len(w.acts()) != before {
				t.Error("a refused decision left an act")
			}
		})
	}
}

func TestDraftRefusesUnsoundDecisions(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	sound := triage.Decision{Vulnerability: openssl, Kind: triage.Defer, Scope: triage.FleetScope, Reason: "later", Until: w.now.Add(time.Hour)}
	if _, err := w.Draft(t.Context(), "alice", sound); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		spoil func(d *triage.Decision)
		kind  fault.Kind
	}{
		"kind":                           {func(d *triage.Decision) { d.Kind = "ignore" }, fault.Invalid},
		"scope":                          {func(d *triage.Decision) { d.Scope = "everything" }, fault.Invalid},
		"no reason":                      {func(d *triage.Decision) { d.Reason = " " }, fault.Invalid},
		"a deferral without a term":      {func(d *triage.Decision) { d.Until = time.Time{} }, fault.Invalid},
		"a term that is over":            {func(d *triage.Decision) { d.Until = w.now }, fault.Invalid},
		"a term of two years":            {func(d *triage.Decision) { d.Until = w.now.AddDate(2, 0, 0) }, fault.Invalid},
		"an acceptance with a term":      {func(d *triage.Decision) { d.Kind = triage.Accept }, fault.Invalid},
		"not affected without a reason":  {func(d *triage.Decision) { d.Kind = triage.NotConcerned }, fault.Invalid},
		"a justification that VEX lacks": {func(d *triage.Decision) { d.Kind, d.Justification = triage.NotConcerned, "we_hope" }, fault.Invalid},
		"a justification for a deferral": {func(d *triage.Decision) { d.Justification = "component_not_present" }, fault.Invalid},
		"an unknown vulnerability":       {func(d *triage.Decision) { d.Vulnerability = "CVE-2026-9/openssl" }, fault.NotFound},
		"accepting what nobody has fixed": {func(d *triage.Decision) {
			d.Vulnerability, d.Kind, d.Until = "CVE-2026-1/vim", triage.Accept, time.Time{}
		}, fault.Conflict},
		"a vulnerability without a source": {func(d *triage.Decision) { d.Vulnerability = "CVE-2026-1" }, fault.NotFound},
	}
	for name, c := range cases {
		d := sound
		c.spoil(&d)
		if _, err := w.Draft(t.Context(), "alice", d); fault.KindOf(err) != c.kind {
			t.Errorf("%s: got %v, want %s", name, err, c.kind)
		}
	}
}

func FuzzDecodeDecision(f *testing.F) {
	d := triage.Decision{ID: id.New("dec", warranttest.Now), Vulnerability: openssl, Kind: triage.Reject, Scope: triage.FleetScope, Reason: "r",
		Facts: []string{strings.Repeat("a", 64)}, Person: "alice", MadeAt: warranttest.Now}
	payload, err := d.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := triage.DecodeDecision(payload)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil || string(again) != string(payload) {
			t.Errorf("decoded and encoded again: %s %v", again, err)
		}
	})
}

// TestWhateverIsStatedCanBeDecided: advisories without a CVE, and the names that rpm's source packages have.
func TestWhateverIsStatedCanBeDecided(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	const document = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.org/1","author":"x","timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[%s]}`
	var statements []string
	names := []string{"CVE-2026-7/NetworkManager", "RHSA-2026:100/mod_http2", "USN-100-1/openssl", "CVE-2026-8/R", "CVE-2026-9/python3.12-setuptools_scm"}
	for _, name := range names {
		id, source, _ := strings.Cut(name, "/")
		statements = append(statements, fmt.Sprintf(`{"vulnerability":{"name":%q},"products":[{"@id":"pkg:rpm/redhat/%s?arch=src&distro=rhel-9"}],"status":"affected","action_statement":"wait"}`, id, source))
	}
	w.imports("others", fmt.Sprintf(document, strings.Join(statements, ",")))
	for _, name := range names {
		w.decide("alice", triage.Decision{Vulnerability: name, Kind: triage.Defer, Scope: triage.FleetScope, Reason: "later", Until: w.now.Add(time.Hour)})
	}
}

// TestATermThatIsOverComesNotInForce: the second person agrees after the end that the first gave the exception.
func TestATermThatIsOverComesNotInForce(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	d := triage.Decision{Vulnerability: openssl, Kind: triage.NotConcerned, Scope: triage.FleetScope, Reason: "not reachable", Justification: triage.Justifications[0], Until: w.now.Add(time.Hour)}
	payload := w.draft("alice", d)
	both := w.people.Sign(triage.DecisionType, payload, "alice", "bob")
	first := both
	first.Signatures = both.Signatures[:1]
	made, err := w.Decide(t.Context(), "alice", first)
	if err != nil || made.InForce {
		t.Fatal(made, err)
	}
	w.now = w.now.Add(time.Hour)
	if made, err = w.Agree(t.Context(), "bob", made.ID, both.Signatures[1]); fault.KindOf(err) != fault.Conflict {
		t.Errorf("in force: %t, %v", made.InForce, err)
	}
}
