package triage_test

import (
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// claims is an OpenVEX document with a statement for each pair of a vulnerability and what is said of it.
func claims(pairs ...string) string {
	var all []string
	for i := 0; i < len(pairs); i += 2 {
		cve, product, _ := strings.Cut(pairs[i], " ")
		all = append(all, `{"vulnerability":{"name":"`+cve+`"},"products":[{"@id":"`+product+`"}],`+pairs[i+1]+`}`)
	}
	return `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"x","timestamp":"2026-08-04T10:00:00Z","version":1,"statements":[` + strings.Join(all, ",") + `]}`
}

// TestAClaimClearsNothing: what one says who is not the vendor stands beside the vendor's word, also where the vendor speaks about
// binaries only; alone, a warning counts and a denial does not, and a release of which nobody else speaks stays unjudged.
func TestAClaimClearsNothing(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	before := w.view()
	const harmless, affected = `"status":"not_affected","justification":"component_not_present"`, `"status":"affected","action_statement":"wait"`
	said := []string{
		"CVE-2026-1 pkg:deb/debian/openssl?arch=source&distro=debian-12", harmless,
		"CVE-2026-1 pkg:deb/debian/vim@1-1?arch=source&distro=debian-12", `"status":"fixed"`,
		"CVE-2026-8 pkg:deb/debian/vim?arch=source&distro=debian-12", affected,
		"CVE-2026-9 pkg:deb/debian/vim?arch=source&distro=debian-12", harmless}
	w.imports("others", claims(said...))
	after := w.view()
	if after.Findings != before.Findings+2 || after.Vulnerabilities != before.Vulnerabilities+1 || len(after.Rows) != len(before.Rows)+1 {
		t.Errorf("%d findings and %d vulnerabilities, before %d and %d: only the warning may add any", after.Findings, after.Vulnerabilities, before.Findings, before.Vulnerabilities)
	}
	c, err := w.Case(t.Context(), openssl, verdict.HostPage{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Statements) != 2 || c.Statements[0].Claim || !c.Statements[1].Claim || c.Statements[1].Source != "others" || c.Statements[1].Note != "component not present" {
		t.Errorf("the claim is not shown beside the vendor's word: %+v", c.Statements)
	}
	for _, h := range c.Hosts {
		if strings.HasPrefix(h.Verdict.Reason, "others:") {
			t.Errorf("%s is judged by the claim: %s", h.Host, h.Verdict.Reason)
		}
	}
	if c, err = w.Case(t.Context(), "CVE-2026-9/vim", verdict.HostPage{}); err != nil || len(c.Statements) != 1 || len(c.Hosts) != 0 {
		t.Errorf("a denial alone: %+v, %v; want it shown, and no host judged by it", c, err)
	}
	if len(c.History) != 0 {
		t.Errorf("what another decided came as a decision: %+v", c.History)
	}
	w.hosts[2].Release = "trixie"
	w.imports("others", claims(append(said, "CVE-2026-9 pkg:deb/debian/vim?arch=source&distro=debian-13", harmless)...))
	if v := w.view(); len(v.Unjudged) != 1 {
		t.Errorf("unjudged are %v; a claim makes no release known", v.Unjudged)
	}
}
