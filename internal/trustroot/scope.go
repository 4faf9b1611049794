package trustroot

import "slices"

// Scope limits one role of a person to hosts of its platforms, business units and zones; an empty list limits nothing. Of
// several scopes of one role each limits it. Source: R-101.
type Scope struct {
	Role      string   `json:"role"`
	Platforms []string `json:"platforms,omitempty"` // distributions, as hosts report them: debian, ubuntu, rhel
	Units     []string `json:"units,omitempty"`
	Zones     []string `json:"zones,omitempty"`
}

// Place is where a host stands, as scopes see it. What nobody said is empty, and no list holds it.
type Place struct {
	Platform string `json:"platform,omitempty"`
	Unit     string `json:"unit,omitempty"`
	Zone     string `json:"zone,omitempty"`
}

func (s Scope) valid(roles []string) bool {
	limits := slices.Concat(s.Platforms, s.Units, s.Zones)
	return slices.Contains(roles, s.Role) && slices.Contains(approving, s.Role) && len(limits) > 0 && !slices.Contains(limits, "")
}

// covers reports whether all places are within the scope. No places are not: what touches no host in particular touches all.
func (s Scope) covers(places []Place) bool {
	in := func(list []string, word string) bool { return len(list) == 0 || slices.Contains(list, word) }
	return len(places) > 0 && !slices.ContainsFunc(places, func(p Place) bool {
		return !in(s.Platforms, p.Platform) || !in(s.Units, p.Unit) || !in(s.Zones, p.Zone)
	})
}

// at gives approvals with the roles that count for what touches hosts at some places.
func at(places []Place, approvals []Approval) []Approval {
	here := slices.Clone(approvals)
	for i, a := range here {
		here[i].Person.Roles = slices.DeleteFunc(slices.Clone(a.Person.Roles), func(role string) bool {
			return slices.ContainsFunc(a.Person.Scopes, func(s Scope) bool { return s.Role == role && !s.covers(places) })
		})
	}
	return here
}
