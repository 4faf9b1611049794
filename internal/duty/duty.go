// Package duty finds what nobody answers for: when a person leaves, or never was there, whatever they owned is shown and told
// every day until somebody takes it.
package duty

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// Kinds of duty.
const (
	Role          = "role"          // of the trust root: nobody holds it, or one person without a deputy
	Platform      = "platform"      // a distribution that hosts have: a product manager's
	Unit          = "unit"          // a business unit of the inventory: a risk manager's
	Host          = "host"          // enrolled hosts, by the owner in their record
	Record        = "record"        // machines without an agent, by the owner in their record
	Clock         = "clock"         // clocks of vulnerabilities that run
	Source        = "source"        // of advisories
	Group         = "group"         // of hosts
	Exception     = "exception"     // an accepted risk
	Suspicion     = "suspicion"     // without an answer
	Investigation = "investigation" // open
	Policy        = "policy"        // the limits in force
)

// Duty is something without an owner.
type Duty struct {
	Kind    string `json:"kind"`
	Subject string `json:"subject"`         // such as source/kev; hosts, records and suspicions stand together by who owned them
	Count   int    `json:"count"`           // things behind it
	Owner   string `json:"owner,omitempty"` // who owned it
	Why     string `json:"why"`
	Mend    string `json:"mend"`  // who can, and how
	Takes   bool   `json:"takes"` // it is taken here; else where Mend says
}

// Facts is what rooms list about owners.
type Facts struct {
	Root           *trustroot.Root
	Leaving        map[string]bool   // people with a notice
	Owners         map[string]string // who took a subject here
	Hosts, Records map[string]int    // by owner; empty: none is named
	Platforms      map[string]int    // hosts by distribution
	Units          map[string]int    // hosts by business unit
	Clocks         int               // that run; not counted while somebody may stop them
	Sources        []string
	Groups         []string
	Exceptions     map[string]string // decision: owner
	Suspicions     map[string]int    // open ones by owner
	Investigations []string          // open ones
	Policy         int64             // version in force; 0: as shipped, which is the server's
	PolicyBy       string            // who proposed it
}

// takers are the roles that may take a kind of duty.
var takers = map[string][]string{
	Source: {"cirt-analyst"}, Policy: {"cirt-analyst", "product-manager", "risk-manager"}, Group: {"operations-manager", "system-owner", "administrator"},
	Investigation: {"cirt-analyst", "product-manager", "risk-manager", "operations-manager", "system-owner"},
}

// clockHolders are the roles whose decisions stop the clocks of vulnerabilities.
var clockHolders = []string{"cirt-analyst", "product-manager", "risk-manager"}

// Find gives all duties without an owner, by kind and subject. It is a pure function.
func Find(f Facts) []Duty {
	var all []Duty
	add := func(kind, subject string, count int, owner, why, mend string) {
		if count > 0 {
			all = append(all, Duty{kind, kind + "/" + subject, count, owner, why, mend, takers[kind] != nil})
		}
	}
	for _, role := range trustroot.Roles() {
		switch holders := f.holders(role); len(holders) {
		case 0:
			add(Role, role, 1, "", "nobody holds it", "the next trust root names somebody")
		case 1:
			add(Role, role, 1, holders[0].ID, holders[0].ID+" has no deputy", "the next trust root names a second person")
		}
	}
	f.limited(Platform, f.Platforms, "product-manager", func(s trustroot.Scope) []string { return s.Platforms }, add)
	f.limited(Unit, f.Units, "risk-manager", func(s trustroot.Scope) []string { return s.Units }, add)
	if !f.decided() {
		add(Clock, "running", f.Clocks, "", "nobody may decide", "the next trust root names a CIRT analyst")
	}
	f.owned(Host, f.Hosts, "", "the record of the host names another owner", add)
	f.owned(Record, f.Records, "", "the record names another owner", add)
	f.owned(Suspicion, f.Suspicions, "cirt-analyst", "a CIRT analyst takes it", add)
	for id, owner := range f.Exceptions {
		if why := f.why(owner, ""); why != "" {
			add(Exception, id, 1, owner, why, "a new decision names another owner")
		}
	}
	taken := map[string][]string{Source: f.Sources, Group: f.Groups, Investigation: f.Investigations}
	for kind, names := range taken {
		for _, name := range names {
			owner := f.Owners[kind+"/"+name]
			if why := f.why(owner, ""); why != "" {
				add(kind, name, 1, owner, why, "taken by whoever is "+strings.ReplaceAll(strings.Join(takers[kind], " or "), "-", " "))
			}
		}
	}
	if f.Policy > 0 {
		subject := fmt.Sprint(f.Policy)
		owner := cmp.Or(f.Owners[Policy+"/"+subject], f.PolicyBy)
		if why := f.why(owner, ""); why != "" {
			add(Policy, subject, 1, owner, why, "taken by somebody who decides, or the next limits")
		}
	}
	slices.SortFunc(all, func(a, b Duty) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject)) })
	return all
}

// owned adds what stands together by its owners. Where a role is named, an owner must hold it.
func (f Facts) owned(kind string, by map[string]int, role, mend string, add func(kind, subject string, n int, owner, why, mend string)) {
	for owner, n := range by {
		if why := f.why(owner, role); why != "" {
			add(kind, "of/"+cmp.Or(owner, "nobody"), n, owner, why, mend)
		}
	}
}

// limited adds the places, of platforms or units, for which nobody of a role answers.
func (f Facts) limited(kind string, places map[string]int, role string, of func(trustroot.Scope) []string, add func(kind, subject string, n int, owner, why, mend string)) {
	holders := f.holders(role)
	for place, n := range places {
		if place == "" {
			continue
		}
		covers := func(p trustroot.Person) bool {
			return !slices.ContainsFunc(p.Scopes, func(s trustroot.Scope) bool {
				return s.Role == role && len(of(s)) > 0 && !slices.Contains(of(s), place)
			})
		}
		if !slices.ContainsFunc(holders, covers) {
			add(kind, place, n, "", "no "+strings.ReplaceAll(role, "-", " ")+" answers for it", "the next trust root names one, or widens a scope")
		}
	}
}

// decided tells whether somebody may stop the clocks of vulnerabilities.
func (f Facts) decided() bool {
	return slices.ContainsFunc(clockHolders, func(role string) bool { return len(f.holders(role)) > 0 })
}

// holders are the people who hold a role and stay.
func (f Facts) holders(role string) (all []trustroot.Person) {
	for _, p := range f.Root.People {
		if slices.Contains(p.Roles, role) && !f.Leaving[p.ID] {
			all = append(all, p)
		}
	}
	return all
}

// why says why a person cannot own something; empty: they can. A name that the trust root does not have, or of somebody who
// leaves, is no owner, whoever wrote it.
func (f Facts) why(owner, role string) string {
	p, known := f.Root.Person(owner)
	switch {
	case owner == "":
		return "nobody owns it"
	case !known:
		return owner + " is not of the trust root"
	case f.Leaving[owner]:
		return owner + " leaves"
	case role != "" && !slices.Contains(p.Roles, role):
		return owner + " is no " + strings.ReplaceAll(role, "-", " ") + " any more"
	}
	return ""
}
