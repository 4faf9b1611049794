package trustroot

import (
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// ShippedRules are the quorum rules of a trust root whose authors choose none: every class needs two different people and
// one local signature; the trust root itself, two local ones. Source.
func ShippedRules() []Rule {
	const (
		cirt, product, risk = "cirt-analyst", "product-manager", "risk-manager"
		operations, owner   = "operations-manager", "system-owner"
	)
	all := []string{cirt, product, risk, operations, owner}
	return []Rule{
		{Class: TrustRoot, Seats: [][]string{all, all}, Local: 2},
		{Class: Policy, Seats: [][]string{{risk, owner}, {cirt, product}}, Local: 1},
		{Class: Curation, Seats: [][]string{{product, operations, risk}, {cirt}}, Local: 1},
		{Class: Stage, Environments: []string{"stage"}, Seats: [][]string{{product, operations, owner, risk}, {cirt, operations, owner}}, Local: 1, MaxWindowHours: 168},
		{Class: Routine, Seats: [][]string{{risk, cirt}, {operations, owner}}, Local: 1, MaxWindowHours: 72},
		{Class: Emergency, Seats: [][]string{{cirt}, {operations}}, Local: 1, MaxWindowHours: 12},
		{Class: RetireHost, Seats: [][]string{{operations, owner}, {cirt, risk}}, Local: 1, MaxWindowHours: 168},
	}
}

// Roles gives all roles: those that approve first.
func Roles() []string { return slices.Concat(approving, apart) }

// Check refuses a person that no trust root could hold; fault.Invalid.
func (p Person) Check() error {
	if why := p.check(map[string]bool{}); why != "" {
		return fault.New(fault.Invalid, "person %q: %s", p.ID, why)
	}
	return nil
}

// Stuck gives the classes whose quorum no order could reach, whoever of those with one of the roles is its author: with so
// few people everyone is needed, and the author does not count. It looks at roles as if everyone had a key.
func (r *Root) Stuck(authors []string) (classes []string) {
	var all []Approval
	for _, p := range r.People {
		all = append(all, Approval{p, envelope.Proof{Kind: envelope.SSH}})
	}
	for _, rule := range r.Rules {
		moves := rule.Class == TrustRoot && r.Quorum(rule.Class, "", all) == nil
		for _, p := range r.People {
			writes := slices.ContainsFunc(p.Roles, func(role string) bool { return slices.Contains(authors, role) })
			moves = moves || rule.Class != TrustRoot && writes && r.Quorum(rule.Class, p.ID, all) == nil
		}
		if !moves {
			classes = append(classes, rule.Class)
		}
	}
	return classes
}
