package estate

import (
	"context"
	"math/bits"
	"slices"
	"strings"
)

// Membership is a group as decisions about it see it: who is in it, and where they stand.
type Membership struct {
	Condition string
	Hosts     map[string]bool // by ID
	Stands    []string        // the distinct environments, zones, exposures and criticalities of its hosts, sorted
}

// Memberships gives all groups by name, of hosts that are not retired. They are shared: nobody changes them.
func (e *Estate) Memberships(ctx context.Context) (map[string]Membership, error) {
	all, err := e.Members(ctx)
	if err != nil {
		return nil, err
	}
	return *all, nil
}

// Members gives what Memberships does, and the same pointer while nothing changed.
func (e *Estate) Members(ctx context.Context) (all *map[string]Membership, err error) {
	err = e.current(ctx, func(d *directory) error {
		if all = d.members.Load(); all == nil {
			made := d.memberships()
			all = &made
			d.members.Store(all)
		}
		return nil
	})
	return all, err
}

func (d *directory) memberships() map[string]Membership {
	all := make(map[string]Membership, len(d.groups.groups))
	stands := make([]map[string]bool, len(d.groups.groups))
	for i, g := range d.groups.groups {
		stands[i], all[g.Name] = map[string]bool{}, Membership{Condition: g.Expression, Hosts: map[string]bool{}}
	}
	for id, h := range d.byID {
		if State(h.cell[ByState]) == Retired || h.groups.in == 0 {
			continue
		}
		stand := strings.Join([]string{h.cell[ByEnvironment], h.cell[ByZone], h.cell[ByExposure], h.cell[ByCriticality]}, ", ")
		for in := h.groups.in; in != 0; in &= in - 1 {
			i := bits.TrailingZeros64(in)
			all[d.groups.groups[i].Name].Hosts[id] = true
			stands[i][stand] = true
		}
	}
	for i, g := range d.groups.groups {
		m := all[g.Name]
		for stand := range stands[i] {
			m.Stands = append(m.Stands, stand)
		}
		slices.Sort(m.Stands)
		all[g.Name] = m
	}
	return all
}
