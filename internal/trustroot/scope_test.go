package trustroot_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/admit"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/draft"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

// words are few, and one of them is "unknown".
var (
	word   = rapid.SampledFrom([]string{"", "a", "b"})
	limits = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b"}), 0, 2, rapid.ID)
	places = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) trustroot.Place {
		return trustroot.Place{Platform: word.Draw(t, "platform"), Unit: word.Draw(t, "unit"), Zone: word.Draw(t, "zone")}
	}), 0, 3)
)

// within is what "covers" means, host by host and word by word.
func within(s trustroot.Scope, places []trustroot.Place) bool {
	for _, p := range places {
		for _, x := range []struct {
			limit []string
			is    string
		}{{s.Platforms, p.Platform}, {s.Units, p.Unit}, {s.Zones, p.Zone}} {
			if len(x.limit) > 0 && (x.is == "" || !slices.Contains(x.limit, x.is)) {
				return false
			}
		}
	}
	return len(places) > 0
}

// TestALimitedRoleCountsOnlyWhereItsScopeCoversAllHosts: a quorum of limited people is the quorum of the roles that are left to
// them there, whatever is touched; a quorum that the limits alone prevent has the code SCOPE; the door takes a signature if,
// and only if, it could count.
func TestALimitedRoleCountsOnlyWhereItsScopeCoversAllHosts(t *testing.T) {
	roles := []string{"cirt-analyst", "risk-manager", "operations-manager"}
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(roles), 1, 3, rapid.ID)
	rapid.Check(t, func(t *rapid.T) {
		touched := places.Draw(t, "touched")
		limited, left, free := &trustroot.Root{}, &trustroot.Root{}, &trustroot.Root{}
		kinds := map[string][]string{}
		for _, id := range []string{"a", "b", "c"} {
			p := trustroot.Person{ID: id, Roles: some.Draw(t, "roles of "+id)}
			kinds[id] = rapid.SliceOfN(rapid.Just(envelope.SSH), 0, 1).Draw(t, "signatures of "+id)
			free.People = append(free.People, p)
			q := p
			q.Roles = nil
			for _, role := range p.Roles {
				s := trustroot.Scope{Role: role, Platforms: limits.Draw(t, "platforms"), Units: limits.Draw(t, "units"), Zones: limits.Draw(t, "zones")}
				if none := len(s.Platforms)+len(s.Units)+len(s.Zones) == 0; !none {
					p.Scopes = append(p.Scopes, s)
					if !within(s, touched) {
						continue
					}
				}
				q.Roles = append(q.Roles, role)
			}
			limited.People, left.People = append(limited.People, p), append(left.People, q)
		}
		rule := trustroot.Rule{Class: trustroot.Routine, Seats: rapid.SliceOfN(some, 2, 3).Draw(t, "seats"), Local: 1}
		for _, r := range []*trustroot.Root{limited, left, free} {
			r.Rules = []trustroot.Rule{rule}
		}
		author := rapid.SampledFrom([]string{"", "a"}).Draw(t, "author")
		err := limited.Quorum(trustroot.Routine, author, approvals(limited, kinds), touched...)
		want := left.Quorum(trustroot.Routine, author, approvals(left, kinds))
		if (err == nil) != (want == nil) {
			t.Fatalf("%v, with the roles that are left: %v", err, want)
		}
		anywhere := free.Quorum(trustroot.Routine, author, approvals(free, kinds))
		if (fault.CodeOf(err) == fault.Scope) != (err != nil && anywhere == nil) {
			t.Fatalf("%v, without limits: %v", err, anywhere)
		}
		for i, p := range limited.People {
			seats := func(of trustroot.Person) bool {
				return slices.ContainsFunc(of.Roles, func(role string) bool { return slices.Contains(slices.Concat(rule.Seats...), role) })
			}
			if err := admit.Person(rule.Seats, p, touched...); (err != nil) != (seats(free.People[i]) && !seats(left.People[i])) {
				t.Fatalf("%s at the door: %v", p.ID, err)
			}
		}
	})
}

// TestWhatTouchesNoHostTouchesAll: trust roots, curation records and policies are for hosts anywhere, so limited people do
// not sign them; and a trust root that only limited people could follow is refused.
func TestWhatTouchesNoHostTouchesAll(t *testing.T) {
	w := warranttest.New(t)
	next, err := draft.Scoped(w.Root, "alice", trustroot.Scope{Role: "cirt-analyst", Zones: []string{"dmz"}}, warranttest.Now)
	if fault.KindOf(err) != fault.Invalid {
		t.Fatalf("nobody else signs curation records for that seat: %+v, %v", next, err)
	}
	r := *w.Root
	r.People = slices.Clone(r.People)
	r.People[3].Scopes = []trustroot.Scope{{Role: "system-owner", Zones: []string{"dmz"}}}
	w.SetRoot(r)
	ssh := []string{envelope.SSH}
	signed := approvals(w.Root, map[string][]string{"alice": ssh, "dave": ssh})
	if err := w.Root.Quorum(trustroot.TrustRoot, "", signed); fault.CodeOf(err) != fault.Scope {
		t.Errorf("a trust root: %v", err)
	}
	if err := w.Root.Quorum(trustroot.Routine, "", signed, trustroot.Place{Zone: "dmz"}); err != nil {
		t.Errorf("in the zone: %v", err)
	}
	for what, touched := range map[string][]trustroot.Place{
		"elsewhere": {{Zone: "core"}}, "here and elsewhere": {{Zone: "dmz"}, {Zone: "core"}}, "nobody knows where": {{Platform: "debian"}}, "nowhere": nil,
	} {
		// risk-manager is not limited, so dave may still take the other seat: carol is the one he cannot stand in for.
		both := approvals(w.Root, map[string][]string{"alice": ssh, "dave": ssh})
		if err := w.Root.Quorum(trustroot.Routine, "carol", both, touched...); fault.CodeOf(err) != fault.Scope {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTheNextVersionWithAScope(t *testing.T) {
	w := warranttest.New(t)
	s := trustroot.Scope{Role: "system-owner", Units: []string{"cards"}}
	next, err := draft.Scoped(w.Root, "dave", s, warranttest.Now)
	if err != nil || next.Version != 2 || next.Previous != w.Root.Digest() || len(next.People[3].Scopes) != 1 || len(w.Root.People[3].Scopes) != 0 {
		t.Fatalf("%+v, %v", next, err)
	}
	again, err := draft.Scoped(next, "dave", trustroot.Scope{Role: "system-owner"}, warranttest.Now)
	if err != nil || len(again.People[3].Scopes) != 0 {
		t.Errorf("taken back: %+v, %v", again, err)
	}
	for what, bad := range map[string]trustroot.Scope{
		"a role he has not":        {Role: "cirt-analyst", Zones: []string{"dmz"}},
		"a role that never signs":  {Role: "auditor", Zones: []string{"dmz"}},
		"a zone without a name":    {Role: "system-owner", Zones: []string{""}},
		"a role that there is not": {Role: "king", Zones: []string{"dmz"}},
	} {
		if _, err := draft.Scoped(w.Root, "dave", bad, warranttest.Now); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := draft.Scoped(w.Root, "nobody", s, warranttest.Now); fault.KindOf(err) != fault.NotFound {
		t.Errorf("nobody: %v", err)
	}
}
