// Package draft is what people need who write a trust root: the rules of those who choose none, which quorums few people can
// reach, and the next version with one scope changed. Hosts need none of it.
package draft

import (
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// ShippedRules are the quorum rules of a trust root whose authors choose none: every class needs two different people and
// one local signature; the trust root itself, two local ones. Source.
func ShippedRules() []trustroot.Rule {
	const (
		cirt, product, risk = "cirt-analyst", "product-manager", "risk-manager"
		operations, owner   = "operations-manager", "system-owner"
	)
	all := []string{cirt, product, risk, operations, owner}
	return []trustroot.Rule{
		{Class: trustroot.TrustRoot, Seats: [][]string{all, all}, Local: 2},
		{Class: trustroot.Policy, Seats: [][]string{{risk, owner}, {cirt, product}}, Local: 1},
		{Class: trustroot.Curation, Seats: [][]string{{product, operations, risk}, {cirt}}, Local: 1},
		{Class: trustroot.Stage, Environments: []string{"stage"}, Seats: [][]string{{product, operations, owner, risk}, {cirt, operations, owner}}, Local: 1, MaxWindowHours: 168},
		{Class: trustroot.Routine, Seats: [][]string{{risk, cirt}, {operations, owner}}, Local: 1, MaxWindowHours: 72},
		{Class: trustroot.Emergency, Seats: [][]string{{cirt}, {operations}}, Local: 1, MaxWindowHours: 12},
		{Class: trustroot.RetireHost, Seats: [][]string{{operations, owner}, {cirt, risk}}, Local: 1, MaxWindowHours: 168},
	}
}

// Stuck gives the classes whose quorum no order could reach, whoever of those with one of the roles is its author: with so
// few people everyone is needed, and the author does not count. It looks at roles as if everyone had a key and no scope.
func Stuck(r *trustroot.Root, authors []string) (classes []string) {
	var all []trustroot.Approval
	for _, p := range r.People {
		p.Scopes = nil
		all = append(all, trustroot.Approval{Person: p, Proof: envelope.Proof{Kind: envelope.SSH}})
	}
	for _, rule := range r.Rules {
		moves := rule.Class == trustroot.TrustRoot && r.Quorum(rule.Class, "", all) == nil
		for _, p := range r.People {
			writes := slices.ContainsFunc(p.Roles, func(role string) bool { return slices.Contains(authors, role) })
			moves = moves || rule.Class != trustroot.TrustRoot && writes && r.Quorum(rule.Class, p.ID, all) == nil
		}
		if !moves {
			classes = append(classes, rule.Class)
		}
	}
	return classes
}

// Scoped gives the version after r in which one role of a person has this scope alone, or none where the scope limits nothing. It
// is as long in force as r was; nobody has signed it.
func Scoped(r *trustroot.Root, person string, s trustroot.Scope, now time.Time) (*trustroot.Root, error) {
	i := slices.IndexFunc(r.People, func(p trustroot.Person) bool { return p.ID == person })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "trust root version %d has no person %q", r.Version, person)
	}
	next := *r
	next.Version, next.Previous = r.Version+1, r.Digest()
	next.MadeAt = now.UTC().Truncate(time.Second)
	next.ExpiresAt = next.MadeAt.Add(r.ExpiresAt.Sub(r.MadeAt))
	next.People = slices.Clone(r.People)
	p := &next.People[i]
	p.Scopes = slices.DeleteFunc(slices.Clone(p.Scopes), func(old trustroot.Scope) bool { return old.Role == s.Role })
	if len(s.Platforms)+len(s.Units)+len(s.Zones) > 0 {
		p.Scopes = append(p.Scopes, s)
	}
	if len(p.Scopes) == 0 {
		p.Scopes = nil
	}
	payload, err := next.Encode()
	if err != nil {
		return nil, err
	}
	return trustroot.Decode(payload)
}
