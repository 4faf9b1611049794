package triage

import (
	"context"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Groups tells which groups of hosts there are, by name.
type Groups interface {
	Memberships(ctx context.Context) (map[string]estate.Membership, error)
}

// groups are those that decisions are about, by name.
type groups map[string]estate.Membership

// groupsOf gives the groups where one of the scopes is a group's, else none.
func (t *Triage) groupsOf(ctx context.Context, scopes ...string) (groups, error) {
	if t.Groups == nil || !slices.ContainsFunc(scopes, func(s string) bool { _, is := groupOf(s); return is }) {
		return nil, nil
	}
	return t.Groups.Memberships(ctx)
}

// groupOf gives the group that a scope names.
func groupOf(scope string) (name string, is bool) { return strings.CutPrefix(scope, "group/") }

// has says whether a host is in the group that a scope names.
func (g groups) has(scope, host string) bool {
	name, is := groupOf(scope)
	return is && g[name].Hosts[host]
}

// of gives the groups that a host is in, those alone that decisions are about.
func (g groups) of(host string, decisions []Decision) (names []string) {
	for _, d := range decisions {
		if name, is := groupOf(d.Scope); is && g[name].Hosts[host] {
			names = append(names, name)
		}
	}
	return names
}

// fact gives what a decision for a group rests on beside its vulnerability: the group's condition, and where its hosts stand. A
// host that joins where others of the group stand changes nothing; one that joins from elsewhere re-opens what was decided.
// There is none for another scope, or where the group is gone.
func (g groups) fact(scope string) []byte {
	name, is := groupOf(scope)
	m, known := g[name]
	if !is || !known {
		return nil
	}
	b, err := envelope.Encode(map[string]any{"group": name, "condition": m.Condition, "stands": append([]string{}, m.Stands...)})
	if err != nil {
		panic("triage: " + err.Error()) // text always encodes
	}
	return b
}

// check refuses a scope that names no group.
func (g groups) check(scope string) error {
	name, is := groupOf(scope)
	if _, known := g[name]; is && !known {
		return fault.New(fault.NotFound, "there is no group %.80q", name)
	}
	return nil
}
