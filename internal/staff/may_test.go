package staff

import (
	"strings"
	"testing"

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
		ConfigureMirror:  "no no no no no yes no",
		RefreshMirror:    "no yes no no no yes no",
		Decide:           "yes yes no no no no no",
		ProposeSnapshot:  "yes yes no no no no no",
		Approve:          "yes yes yes yes yes no no",
		Promote:          "no yes no yes no no no",
		ProposeOrder:     "no yes no yes no no no",
		CancelOrder:      "yes yes yes yes yes no no",
		Investigate:      "yes yes yes yes yes no no",
		EnrolHost:        "no no no yes yes yes no",
		AdvanceTrustRoot: "yes yes yes yes yes yes no",
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
	if !Can(both, ProposeOrder) || Can(both, Decide) {
		t.Error("several roles add up to more or less than each")
	}
}
