package policy_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/policy"
)

var t0 = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

func profile(t testing.TB, name string) *policy.Compiled {
	t.Helper()
	p, err := policy.Profile(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := policy.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProfilesShipped(t *testing.T) {
	var names []string
	for _, p := range policy.Profiles() {
		names = append(names, p.Name)
		profile(t, p.Name)
		if p.Version != 0 {
			t.Errorf("%s is shipped as if in force", p.Name)
		}
	}
	if want := []string{"bod-26-04", "cis", "en-319-401", "ncssr-1.7", "ncssr-2.0.5", "pci-4.0.1"}; !slices.Equal(names, want) {
		t.Errorf("shipped are %v, want %v", names, want)
	}
}

// Each row names a limit that a standard sets and the facts it is set for.
func TestLimitsOfTheStandards(t *testing.T) {
	identified := policy.Events{Identified: t0}
	released := policy.Events{Identified: t0, FixReleased: t0.Add(10 * time.Hour)}
	const hour, day = time.Hour, 24 * time.Hour
	for _, row := range []struct {
		says, profile string
		clock         policy.Clock
		facts         policy.Facts
		events        policy.Events
		due           time.Time
		clause        string
	}{
		{"96 hours for CVSS 7", "ncssr-1.7", policy.Remediation, policy.Facts{CVSS: 7}, identified, t0.Add(96 * hour), "4.f"},
		{"six months for other patches, from their release", "ncssr-1.7", policy.Remediation, policy.Facts{CVSS: 5, Fix: true}, released, t0.Add(10*hour + 182*day), "1.l"},
		{"48 hours for critical", "en-319-401", policy.Remediation, policy.Facts{Severity: "critical"}, identified, t0.Add(48 * hour), "7.9.2-09X"},
		{"a month from the release for critical", "pci-4.0.1", policy.Remediation, policy.Facts{Severity: "critical", Fix: true}, released, t0.Add(10*hour + 30*day), "6.3.3"},
		{"three days", "bod-26-04", policy.Remediation, policy.Facts{KEV: true, Automatable: true, Exposure: "internet"}, identified, t0.Add(3 * day), "table 1"},
		{"a month", "cis", policy.Remediation, policy.Facts{}, identified, t0.Add(30 * day), "7.7"},
		{"48 hours to assess", "ncssr-2.0.5", policy.Assessment, policy.Facts{}, identified, t0.Add(48 * hour), "4.3"},
		{"exposure shortens", "ncssr-2.0.5", policy.Remediation, policy.Facts{CVSS: 7.5, Exposure: "dmz"}, identified, t0.Add(7 * day), "4.3"},
		{"without it", "ncssr-2.0.5", policy.Remediation, policy.Facts{CVSS: 7.5, Exposure: "internal"}, identified, t0.Add(14 * day), "4.3"},
	} {
		all, err := profile(t, row.profile).Deadlines(row.facts, row.events)
		if err != nil {
			t.Fatal(err)
		}
		if got := all[row.clock]; !got.Due.Equal(row.due) || got.Clause != row.clause {
			t.Errorf("%s, %s: due %s by %q (%s), want %s by %s", row.profile, row.says, got.Due, got.Rule, got.Clause, row.due, row.clause)
		}
	}
}

func TestWhatHasNotHappenedStartsNoClock(t *testing.T) {
	all, err := profile(t, "pci-4.0.1").Deadlines(policy.Facts{Severity: "critical", Fix: true}, policy.Events{Identified: t0})
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := all[policy.Remediation]; ok {
		t.Errorf("no fix was released, but remediation is due %s", d.Due)
	}
	if _, ok := all[policy.Review]; !ok {
		t.Error("the review has no clock")
	}
	all, _ = profile(t, "bod-26-04").Deadlines(policy.Facts{Exposure: "internal"}, policy.Events{Identified: t0})
	if d, ok := all[policy.Remediation]; ok {
		t.Errorf("the lowest risk waits for the next upgrade, but is due %s", d.Due)
	}
}

// The lead is never later than any class's own deadline, and each lead is one of theirs.
func TestTightestLeads(t *testing.T) {
	c := profile(t, "ncssr-2.0.5")
	rapid.Check(t, func(r *rapid.T) {
		var classes []map[policy.Clock]policy.Deadline
		for range rapid.IntRange(1, 5).Draw(r, "classes") {
			f := policy.Facts{CVSS: rapid.Float64Range(0, 10).Draw(r, "cvss"), KEV: rapid.Bool().Draw(r, "kev"),
				Exposure: rapid.SampledFrom([]string{"internet", "dmz", "internal", ""}).Draw(r, "exposure")}
			d, err := c.Deadlines(f, policy.Events{Identified: t0})
			if err != nil {
				r.Fatal(err)
			}
			classes = append(classes, d)
		}
		lead := policy.Tightest(classes...)
		for _, clock := range policy.Clocks {
			met := false
			for _, d := range classes {
				if d[clock].Due.Before(lead[clock].Due) {
					r.Fatalf("%s is due %s, but leads at %s", clock, d[clock].Due, lead[clock].Due)
				}
				met = met || cmp.Equal(d[clock], lead[clock])
			}
			if !met {
				r.Fatalf("the lead of %s is no class's", clock)
			}
		}
	})
}

func TestPoliciesThatAreRefused(t *testing.T) {
	for says, change := range map[string]func(*policy.Policy){
		"its name":                  func(p *policy.Policy) { p.Name = "Über" },
		"risk assessment":           func(p *policy.Policy) { p.Basis = " " },
		"1 to 200 rules":            func(p *policy.Policy) { p.Rules = nil },
		`rule 3 ("exploited")`:      func(p *policy.Policy) { p.Rules[2].When = "kev &&" },
		"fields: attack":            func(p *policy.Policy) { p.Rules[0].When = "cvs > 7.0" },
		"true or false":             func(p *policy.Policy) { p.Rules[0].When = "cvss" },
		"is none of [review":        func(p *policy.Policy) { p.Rules[0].Clock = "patch" },
		"is none of [published":     func(p *policy.Policy) { p.Rules[0].From = "someday" },
		"1 to 17568 hours":          func(p *policy.Policy) { p.Rules[0].Hours = 0 },
		"only remediation":          func(p *policy.Policy) { p.Rules[0].PlanStops = true },
		"no rule limits review":     func(p *policy.Policy) { p.Rules = p.Rules[1:] },
		"another rule for response": func(p *policy.Policy) { p.Rules = append(p.Rules, p.Rules[2]) },
	} {
		p, err := policy.Profile("ncssr-2.0.5")
		if err != nil {
			t.Fatal(err)
		}
		p.Rules = slices.Clone(p.Rules)
		change(&p)
		if _, err = policy.Compile(p); err == nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want Invalid with %q", err, says)
		}
	}
}

func TestASignedPolicyIsReadBack(t *testing.T) {
	p, err := policy.Profile("cis")
	if err != nil {
		t.Fatal(err)
	}
	p.Version, p.Person, p.MadeAt = 3, "anna", t0
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := policy.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got.Policy); diff != "" {
		t.Errorf("read back it differs:\n%s", diff)
	}
	if _, err := policy.Decode(append(b, ' ')); err == nil {
		t.Error("a payload with a byte more is read")
	}
}

func TestStatementForTheCPSNamesEveryLimit(t *testing.T) {
	for _, p := range policy.Profiles() {
		text := p.Statement("Example CA")
		for _, r := range p.Rules {
			if !strings.Contains(text, "- "+r.Name+": within "+policy.Span(r.Hours)) {
				t.Errorf("%s: the text does not name %q, %d hours", p.Name, r.Name, r.Hours)
			}
		}
		if strings.Contains(text, "%!") {
			t.Errorf("%s: %s", p.Name, text)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, p := range policy.Profiles() {
		b, err := p.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"name":"a","title":"b","basis":"c","rules":[{"name":"r","clause":"1","when":"kev","clock":"review","from":"identified","hours":1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := policy.Read(b)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		c, err := policy.Compile(p)
		if err != nil {
			t.Fatal("read, but not compiled:", err)
		}
		if _, err := c.Deadlines(policy.Facts{Groups: []string{}}, policy.Events{Identified: t0}); err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatal(err)
		}
	})
}

func BenchmarkDeadlines(b *testing.B) {
	c := profile(b, "ncssr-2.0.5")
	f := policy.Facts{Severity: "high", CVSS: 7.5, Exposure: "dmz"}
	for b.Loop() {
		all, err := c.Deadlines(f, policy.Events{Identified: t0})
		if err != nil || len(slices.Collect(maps.Keys(all))) != 4 {
			b.Fatal(all, err)
		}
	}
}

func TestAPolicyThatIsNoJSONSaysWhere(t *testing.T) {
	for text, want := range map[string]string{"{\n  \"name\": x": "line 2, column 11: ", "{\n\n\"rules\": 7}": "line 3, column 10: "} {
		if _, err := policy.Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
