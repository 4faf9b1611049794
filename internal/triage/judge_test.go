package triage_test

import (
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

func TestJudge(t *testing.T) {
	fixed := intake.Statement{Source: "debian-tracker", Package: "lvm2", Release: "bookworm", ID: "CVE-2026-1", Status: intake.Fixed, FixedVersion: "2.03.16-2"}
	with := func(status intake.Status, note string) intake.Statement {
		return intake.Statement{Source: "debian-tracker", Package: "lvm2", Release: "bookworm", ID: "CVE-2026-1", Status: status, Note: note}
	}
	cases := []struct {
		name, release, source, version string
		statement                      intake.Statement
		want                           triage.Status
		fixed, reason                  string
	}{
		{"older", "bookworm", "lvm2", "2.03.16-1", fixed, triage.Affected, "2.03.16-2", "2.03.16-1 is older than the fix in 2.03.16-2"},
		{"equal", "bookworm", "lvm2", "2.03.16-2", fixed, triage.NotAffected, "2.03.16-2", "has the fix"},
		{"newer", "bookworm", "lvm2", "2.03.16-2+deb12u1", fixed, triage.NotAffected, "2.03.16-2", "has the fix"},
		{"tilde is older", "bookworm", "lvm2", "2.03.16-2~deb12u1", fixed, triage.Affected, "2.03.16-2", "older"},
		{"an epoch is newer", "bookworm", "lvm2", "1:1.0-1", fixed, triage.NotAffected, "2.03.16-2", "has the fix"},
		{"an old backport", "bookworm", "lvm2", "2.03.15-1~bpo12+1", fixed, triage.Affected, "2.03.16-2", "older"},
		{"a newer backport", "bookworm", "lvm2", "2.03.22-1~bpo12+1", fixed, triage.Undetermined, "2.03.16-2", "backports"},
		{"no version", "bookworm", "lvm2", "1 2", fixed, triage.Undetermined, "2.03.16-2", "cannot be compared"},
		{"open", "bookworm", "lvm2", "9-1", with(intake.Open, ""), triage.Affected, "", "no fix in bookworm"},
		{"never affected", "bookworm", "lvm2", "0-1", with(intake.NotAffected, ""), triage.NotAffected, "", "ever affected"},
		{"undetermined", "bookworm", "lvm2", "9-1", with(intake.Undetermined, "says nothing"), triage.Undetermined, "", "says nothing"},
		{"other release", "trixie", "lvm2", "9-1", fixed, triage.Undetermined, "", "about lvm2 in bookworm, not lvm2 in trixie"},
		{"other source", "bookworm", "curl", "9-1", fixed, triage.Undetermined, "", "not curl"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := triage.Judge(c.release, c.source, c.version, c.statement)
			if v.Status != c.want || v.Fixed != c.fixed || !strings.Contains(v.Reason, c.reason) {
				t.Errorf("got %+v", v)
			}
		})
	}
}

func TestOpenSaysWhatTheVendorPlans(t *testing.T) {
	s := intake.Statement{Source: "debian-tracker", Package: "vim", Release: "bookworm", Status: intake.Open, Expectation: "postponed",
		Note: "Minor issue", Urgency: "unimportant"}
	want := "debian-tracker: no fix in bookworm; postponed (Minor issue); rated unimportant"
	if v := triage.Judge("bookworm", "vim", "1-1", s); v.Reason != want {
		t.Errorf("got %q", v.Reason)
	}
}
