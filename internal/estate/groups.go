package estate

import (
	"math/bits"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/expr"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

// grouping is who is in which group: conditions compiled once, evaluated over the hosts that changed.
type grouping struct {
	groups     []group.Group // those that conditions are of
	conditions []expr.Condition
	values     map[string]any // reused from host to host; the directory's lock guards it
}

// membership is one host's groups, a bit each; failed are those whose condition could not be evaluated for it.
type membership struct{ in, failed uint64 }

// newGrouping compiles groups. One that does not compile any more has no members; Save lets none in.
func newGrouping(groups []group.Group) *grouping {
	g := &grouping{values: make(map[string]any, len(group.Language.Fields()))}
	for _, x := range groups {
		if c, err := group.Language.Compile(x.Expression); err == nil {
			g.groups, g.conditions = append(g.groups, x), append(g.conditions, c)
		}
	}
	return g
}

// bit gives the bit of a group, 0 where there is none of the name.
func (g *grouping) bit(name string) uint64 {
	for i, x := range g.groups {
		if x.Name == name {
			return 1 << i
		}
	}
	return 0
}

const every = ^uint64(0)

// evaluate says which of some groups a host is in.
func (g *grouping) evaluate(e *entry, rec record.Record, some uint64) (m membership) {
	if len(g.conditions) == 0 || some == 0 {
		return m
	}
	v := g.values
	for _, f := range record.Table {
		v[f.Name] = f.Text(rec.Fields)
	}
	v["addresses"], v["recorded"], v["name"] = append([]string{}, rec.Addresses...), rec.ID != "", e.name
	v["environment"], v["release"], v["state"] = e.cell[ByEnvironment], e.cell[ByRelease], e.cell[ByState]
	v["distribution"], v["arch"], v["kernel"] = e.distribution, e.arch, e.kernel
	for i, c := range g.conditions {
		if some&(1<<i) == 0 {
			continue
		}
		switch in, err := c.Holds(v); {
		case err != nil:
			m.failed |= 1 << i
		case in:
			m.in |= 1 << i
		}
	}
	return m
}

// regroup takes other groups over; only conditions that were not there before are evaluated, over all hosts.
func (d *directory) regroup(groups []group.Group) {
	old, now := d.groups, newGrouping(groups)
	kept, fresh := map[int]int{}, uint64(0) // old bits by new ones
	for i, x := range now.groups {
		at := slices.IndexFunc(old.groups, func(y group.Group) bool { return y.Name == x.Name && y.Expression == x.Expression })
		if at >= 0 {
			kept[i] = at
		} else {
			fresh |= 1 << i
		}
	}
	d.groups = now
	d.grouped.Store(nil)
	d.members.Store(nil)
	for _, e := range d.byName {
		m := now.evaluate(e, d.records[d.recordOf[e.id]], fresh)
		for i, at := range kept {
			m.in |= e.groups.in >> at & 1 << i
			m.failed |= e.groups.failed >> at & 1 << i
		}
		e.groups = m
	}
}

// groupBit gives the bit of the group that a filter asks for.
func (d *directory) groupBit(f Filter) (uint64, error) {
	if f.Group == "" {
		return 0, nil
	}
	bit := d.groups.bit(f.Group)
	if bit == 0 {
		return 0, fault.New(fault.NotFound, "there is no group of this name")
	}
	return bit, nil
}

// countGroups adds the hosts of each group that fit a filter but for its group.
func (d *directory) countGroups(f Filter, all *Facets) {
	all.Groups, all.Failed = map[string]int{}, map[string]int{}
	if len(d.groups.groups) == 0 {
		return
	}
	if f == (Filter{}) {
		if known := d.grouped.Load(); known != nil {
			all.Groups, all.Failed = known.Groups, known.Failed
			return
		}
		defer func() { d.grouped.Store(&Facets{Groups: all.Groups, Failed: all.Failed}) }()
	}
	want := f.cell()
	for _, h := range d.byName {
		if h.groups == (membership{}) || !h.cell.fits(want) || !h.has(f.Text) {
			continue
		}
		for in := h.groups.in; in != 0; in &= in - 1 {
			all.Groups[d.groups.groups[bits.TrailingZeros64(in)].Name]++
		}
		for failed := h.groups.failed; failed != 0; failed &= failed - 1 {
			all.Failed[d.groups.groups[bits.TrailingZeros64(failed)].Name]++
		}
	}
}
