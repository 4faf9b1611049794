package estate

import (
	"context"
	"strings"
)

// Property is what hosts are counted by.
type Property int

// Properties.
const (
	ByEnvironment Property = iota
	ByRelease
	ByState
	ByZone
	ByOwner
	ByUnit
	ByCriticality
	ByExposure
	properties
)

// cell is what facets count: a value of each property.
type cell [properties]string

func (f Filter) cell() cell {
	return cell{f.Environment, f.Release, string(f.State), f.Zone, f.Owner, f.Unit, f.Criticality, f.Exposure}
}

// misfits gives by how many properties a cell is not as wanted, and the last of them.
func (c cell) misfits(want cell) (n int, at Property) {
	for p := range properties {
		retired := p == ByState && want[p] == "" && c[p] == string(Retired)
		if want[p] != "" && want[p] != c[p] || retired {
			n, at = n+1, p
		}
	}
	return n, at
}

func (c cell) fits(want cell) bool {
	n, _ := c.misfits(want)
	return n == 0
}

// Values gives a property of every host, by ID: the same pointer while no host changed. Nobody changes the map.
func (e *Estate) Values(ctx context.Context, p Property) (all *map[string]string, err error) {
	err = e.current(ctx, func(d *directory) error {
		if all = d.values[p].Load(); all != nil {
			return nil
		}
		values := make(map[string]string, len(d.byID))
		for id, h := range d.byID {
			values[id] = h.cell[p]
		}
		all = &values
		d.values[p].Store(all)
		return nil
	})
	return all, err
}

// Facets counts hosts by each property, under the filter's other fields.
type Facets struct {
	Hosts int // under the whole filter
	by    [properties]map[string]int

	Groups map[string]int // hosts by group, under the filter but for its own group
	Failed map[string]int // hosts for which a group's condition cannot be evaluated
}

// By gives how many hosts have each value of a property.
func (f Facets) By(p Property) map[string]int { return f.by[p] }

func (f *Facets) add(want, c cell, n int) {
	misfits, at := c.misfits(want)
	switch misfits {
	case 0:
		f.Hosts += n
		for p := range properties {
			f.by[p][c[p]] += n
		}
	case 1:
		f.by[at][c[at]] += n
	}
}

// Facets counts the hosts a filter chooses.
func (e *Estate) Facets(ctx context.Context, f Filter) (all Facets, err error) {
	for p := range all.by {
		all.by[p] = map[string]int{}
	}
	f.Text = strings.ToLower(f.Text)
	want := f.cell()
	err = e.current(ctx, func(d *directory) error {
		group, err := d.groupBit(f)
		if err != nil {
			return err
		}
		d.countGroups(f, &all)
		if f.Text == "" && group == 0 {
			for c, n := range d.cells {
				all.add(want, c, n)
			}
			return nil
		}
		for _, h := range d.byName {
			if h.groups.in&group == group && h.has(f.Text) {
				all.add(want, h.cell, 1)
			}
		}
		return nil
	})
	return all, err
}
