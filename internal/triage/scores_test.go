package triage

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// TestTheVendorsScoreLeads: of the vendors' the worst, then NVD's, then the record's; what is told twice is kept once, and the
// highest is shown where another leads.
func TestTheVendorsScoreLeads(t *testing.T) {
	const low, medium, high = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", "CVSS:3.1/AV:N/AC:H/PR:L/UI:N/S:U/C:N/I:N/A:H", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
	score := func(vector, source string) intake.CVSS {
		c, err := intake.ReadCVSS(vector, source)
		if err != nil {
			t.Fatal(err)
		}
		return *c
	}
	about := &intake.About{Scores: []intake.CVSS{score(high, "nvd@nist.gov"), score(low, "cna")}}
	leading := []intake.Statement{{Source: "redhat-vex", Vector: low}, {Source: "debian-tracker"}, {Source: "ubuntu-osv", Vector: medium}, {Source: "osv", Vector: "none"}}
	for name, want := range map[string]struct {
		leading []intake.Statement
		about   *intake.About
		sources []string
		highest string
	}{
		"all":           {leading, about, []string{"ubuntu-osv", "redhat-vex", "nvd@nist.gov"}, "nvd@nist.gov"},
		"vendors alone": {leading, nil, []string{"ubuntu-osv", "redhat-vex"}, ""},
		"NVD alone":     {nil, about, []string{"nvd@nist.gov", "cna"}, ""},
		"nobody":        {leading[1:2], nil, nil, ""},
	} {
		var v Vulnerability
		v.score(want.leading, want.about)
		var got []string
		for _, c := range scoresOf(want.leading, want.about) {
			got = append(got, c.Source)
		}
		if d := cmp.Diff(want.sources, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if len(got) > 0 && v.CVSS.Source != got[0] || len(got) == 0 && v.CVSS != nil {
			t.Errorf("%s: %+v leads", name, v.CVSS)
		}
		if highest := v.HighestCVSS; want.highest == "" != (highest == nil) || highest != nil && highest.Source != want.highest {
			t.Errorf("%s: the highest is %+v", name, highest)
		}
	}
	if about.Scores[0].Source != "nvd@nist.gov" || len(about.Scores) != 2 {
		t.Errorf("what the source said was changed: %+v", about.Scores)
	}
}
