package duty

import (
	"slices"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

func person(id string, roles ...string) trustroot.Person {
	return trustroot.Person{ID: id, Roles: roles}
}

// staffed is a house in which every role has two people.
func staffed() Facts {
	root := &trustroot.Root{}
	for _, role := range trustroot.Roles() {
		root.People = append(root.People, person("a-"+role, role), person("b-"+role, role))
	}
	return Facts{Root: root, Leaving: map[string]bool{}, Owners: map[string]string{}}
}

func told(all []Duty) (lines []string) {
	for _, d := range all {
		lines = append(lines, d.Subject+": "+d.Why)
	}
	return lines
}

// TestWhateverLosesItsOwnerIsFound, and nothing else; and it goes when somebody who stays takes it.
func TestWhateverLosesItsOwnerIsFound(t *testing.T) {
	const here, gone, leaving = "a-system-owner", "zoe", "b-system-owner"
	full := func() Facts {
		f := staffed()
		f.Hosts, f.Records = map[string]int{here: 90_000}, map[string]int{here: 3}
		f.Platforms, f.Units, f.Clocks = map[string]int{"debian": 9}, map[string]int{"cards": 9, "": 4}, 7
		f.Sources, f.Groups, f.Investigations = []string{"kev"}, []string{"dmz"}, []string{"inv_1"}
		f.Owners = map[string]string{"source/kev": here, "group/dmz": here, "investigation/inv_1": here}
		f.Exceptions, f.Suspicions = map[string]string{"dec_1": here}, map[string]int{"a-cirt-analyst": 2}
		f.Policy, f.PolicyBy = 3, here
		return f
	}
	if got := told(Find(full())); len(got) != 0 {
		t.Fatalf("in a house that is in order: %v", got)
	}
	for what, c := range map[string]struct {
		change func(*Facts)
		want   []string
	}{
		"a host's owner left":       {func(f *Facts) { f.Hosts[gone] = 10_000 }, []string{"host/of/zoe: zoe is not of the trust root"}},
		"a host's owner leaves":     {func(f *Facts) { f.Hosts[leaving] = 5; f.Leaving[leaving] = true }, []string{"host/of/b-system-owner: b-system-owner leaves", "role/system-owner: a-system-owner has no deputy"}},
		"hosts of nobody":           {func(f *Facts) { f.Hosts[""] = 2; f.Records[""] = 1 }, []string{"host/of/nobody: nobody owns it", "record/of/nobody: nobody owns it"}},
		"a source of nobody":        {func(f *Facts) { delete(f.Owners, "source/kev") }, []string{"source/kev: nobody owns it"}},
		"a group's owner left":      {func(f *Facts) { f.Owners["group/dmz"] = gone }, []string{"group/dmz: zoe is not of the trust root"}},
		"an investigation":          {func(f *Facts) { f.Investigations = append(f.Investigations, "inv_2") }, []string{"investigation/inv_2: nobody owns it"}},
		"an exception's owner left": {func(f *Facts) { f.Exceptions["dec_2"] = gone }, []string{"exception/dec_2: zoe is not of the trust root"}},
		"a suspicion's owner":       {func(f *Facts) { f.Suspicions[here] = 1 }, []string{"suspicion/of/a-system-owner: a-system-owner is no cirt analyst any more"}},
		"the policy's author left":  {func(f *Facts) { f.PolicyBy = gone }, []string{"policy/3: zoe is not of the trust root"}},
		"the policy was taken":      {func(f *Facts) { f.PolicyBy, f.Owners["policy/3"] = gone, here }, nil},
		"a platform outside of scopes": {func(f *Facts) {
			for i, p := range f.Root.People {
				if slices.Contains(p.Roles, "product-manager") {
					f.Root.People[i].Scopes = []trustroot.Scope{{Role: "product-manager", Platforms: []string{"rhel"}}}
				}
			}
		}, []string{"platform/debian: no product manager answers for it"}},
		"a unit outside of scopes": {func(f *Facts) {
			for i, p := range f.Root.People {
				if slices.Contains(p.Roles, "risk-manager") {
					f.Root.People[i].Scopes = []trustroot.Scope{{Role: "risk-manager", Units: []string{"payments"}}}
				}
			}
		}, []string{"unit/cards: no risk manager answers for it"}},
		"nobody decides": {func(f *Facts) {
			for _, role := range clockHolders {
				f.Leaving["a-"+role], f.Leaving["b-"+role] = true, true
			}
		}, []string{"clock/running: nobody may decide", "platform/debian: no product manager answers for it", "role/cirt-analyst: nobody holds it", "role/product-manager: nobody holds it",
			"role/risk-manager: nobody holds it", "suspicion/of/a-cirt-analyst: a-cirt-analyst leaves", "unit/cards: no risk manager answers for it"}},
	} {
		f := full()
		c.change(&f)
		if got := told(Find(f)); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}
