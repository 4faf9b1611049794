package staff

import (
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// TestWhoMayDoWhat writes out the whole table, role by role, in the order cirt, product, risk, operations, owner, admin,
// auditor.
func TestWhoMayDoWhat(t *testing.T) {
	roles := []string{cirt, product, risk, operations, owner, admin, auditor}
	want := map[Action]string{
		Read:             "yes yes yes yes yes yes yes",
		Audit:            "yes yes yes yes yes no yes",
		ImportAdvisories: "yes no no no no yes no",
		AcceptShrink:     "yes no no no no yes no",
		ConfigureMirror:  "no no no no no yes no",
		RefreshMirror:    "no yes no no no yes no",
		Decide:           "yes yes yes no no no no",
		ProposePolicy:    "yes yes yes no no no no",
		ProposeSnapshot:  "yes yes no no no no no",
		Approve:          "yes yes yes yes yes no no",
		Promote:          "no yes no yes no no no",
		ProposeOrder:     "no yes no yes no no no",
		CancelOrder:      "yes yes yes yes yes no no",
		Investigate:      "yes yes yes yes yes no no",
		EnrolHost:        "no no no yes yes yes no",
		EditRecord:       "no no no yes yes yes no",
		LinkRecord:       "no no no yes yes yes no",
		ProposeRetire:    "no no no yes yes no no",
		AdvanceTrustRoot: "yes yes yes yes yes yes no",
		ReportSuspicion:  "yes yes yes yes yes yes yes",
		ReadSuspicions:   "yes no yes no no no yes",
		AnswerSuspicion:  "yes no no no no no no",
		TakeDuty:         "yes yes yes yes yes yes no",
		InstallTrustRoot: "no no no no no no no",
		JoinTrustRoot:    "no no no no no no no",
		SaveView:         "yes yes yes yes yes yes yes",
		OwnAccount:       "yes yes yes yes yes yes yes",
		RegisterKey:      "yes yes yes yes yes yes yes",
		MakeToken:        "yes yes yes yes yes yes yes",
		SeeAccounts:      "no no yes yes yes yes yes",
		EndSessions:      "no no no yes no yes no",
		GiveNotice:       "no no no yes no yes no",
		ReviewAccount:    "no no yes yes yes yes no",
	}
	for action := range may {
		answers := strings.Fields(want[action])
		if len(answers) != len(roles) {
			t.Errorf("%s: the test does not say who may", action)
			continue
		}
		for i, role := range roles {
			if got := Can(trustroot.Person{Roles: []string{role}}, action); got != (answers[i] == "yes") {
				t.Errorf("%s may %s: %v", role, action, got)
			}
		}
		if Can(trustroot.Person{}, action) || Can(trustroot.Person{Roles: []string{"root"}}, action) {
			t.Errorf("someone without a role may %s", action)
		}
	}
	if len(want) != len(may) {
		t.Errorf("the test has %d actions, the table %d", len(want), len(may))
	}
	if Can(trustroot.Person{Roles: roles}, "no-such-action") {
		t.Error("everyone may do what is no action")
	}
	both := trustroot.Person{Roles: []string{risk, operations}}
	if !Can(both, ProposeOrder) || Can(both, ProposeSnapshot) {
		t.Error("several roles add up to more or less than each")
	}
}

// TestHowFarEachWayReaches writes out the whole table, way by way, for someone with every role: key, provider, token with
// every scope, link, invitation.
func TestHowFarEachWayReaches(t *testing.T) {
	everyone := trustroot.Person{ID: "x", Roles: []string{cirt, product, risk, operations, owner, admin, auditor}}
	var all []Action
	for a := range may {
		all = append(all, a)
	}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	want := map[Action]string{
		Read:             "yes yes yes no no",
		Audit:            "yes yes yes no no",
		ImportAdvisories: "yes yes yes no no",
		AcceptShrink:     "yes no no no no",
		ConfigureMirror:  "yes no no no no",
		RefreshMirror:    "yes yes yes no no",
		Decide:           "yes no no no no",
		ProposePolicy:    "yes no no no no",
		ProposeSnapshot:  "yes yes yes no no",
		Approve:          "yes no no no no",
		Promote:          "yes no yes no no",
		ProposeOrder:     "yes yes yes no no",
		CancelOrder:      "yes no yes no no",
		Investigate:      "yes no no no no",
		EnrolHost:        "yes no yes no no",
		EditRecord:       "yes no yes no no",
		LinkRecord:       "yes no no no no",
		ProposeRetire:    "yes no no no no",
		AdvanceTrustRoot: "yes no no no no",
		ReportSuspicion:  "yes yes yes no no",
		ReadSuspicions:   "yes yes no no no",
		AnswerSuspicion:  "yes no no no no",
		TakeDuty:         "yes no no no no",
		InstallTrustRoot: "no no no yes no",
		JoinTrustRoot:    "no no no no yes",
		SaveView:         "yes yes yes no no",
		OwnAccount:       "yes yes no no no",
		RegisterKey:      "fresh no no no no",
		MakeToken:        "fresh no no no no",
		SeeAccounts:      "yes yes no no no",
		EndSessions:      "fresh no no no no",
		GiveNotice:       "fresh no no no no",
		ReviewAccount:    "fresh no no no no",
	}
	for _, a := range all {
		answers := strings.Fields(want[a])
		if len(answers) != 5 {
			t.Errorf("%s: the test does not say who may", a)
			continue
		}
		for i, way := range []Way{ByKey, ByProvider, ByToken, ByLink, ByInvitation} {
			s := Session{Person: everyone, Way: way, MadeAt: now, Actions: all}
			young, old := s.allows(a, now.Add(freshFor)) == nil, s.allows(a, now.Add(freshFor+1)) == nil
			if young != (answers[i] != "no") || old != (answers[i] == "yes") {
				t.Errorf("%s by %s: young %v, old %v, want %s", a, way, young, old, answers[i])
			}
			if s.Can(a) != young {
				t.Errorf("%s by %s: Can disagrees", a, way)
			}
		}
	}
	if (Session{Person: everyone, Way: ByToken, MadeAt: now, Actions: []Action{Read}}).Can(ProposeOrder) {
		t.Error("a token reaches beyond its scope")
	}
	if (Session{Person: everyone, MadeAt: now, Actions: all}).Can(Read) {
		t.Error("someone who came in no way reads")
	}
}
