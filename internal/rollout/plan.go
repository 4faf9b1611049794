package rollout

import (
	"cmp"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// HostPackages is what a host has in one of its roots: its architecture in dpkg's words and its installed packages.
type HostPackages struct {
	ID       string
	Root     string // empty: the host's own
	Arch     string
	Packages pkgset.Set
	Copies   []wire.Lagging // in another root: files that were copied from the host's own packages
}

// Plan is the exact transactions of an order, those of other roots after those of the hosts' own, and the hosts that need nothing.
type Plan struct {
	Transactions []warrant.Transaction
	Idle         []string
}

// PlanTransactions gives each host the actions that bring it to the snapshot: an upgrade where a lower version is
// installed, an install only where an upgraded or installed package depends on a package the host lacks and the
// snapshot holds. Nothing is removed and nothing goes down. Hosts with equal needs share a transaction. A dependency that
// neither host nor snapshot meets by name is left to the host: package sets do not say what virtual packages the installed
// ones provide, and the executor refuses (PLAN) when apt would resolve differently.
func PlanTransactions(hosts []HostPackages, snapshot []deb.IndexEntry) (Plan, error) {
	sorted := slices.SortedFunc(slices.Values(hosts), func(a, b HostPackages) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Root, b.Root))
	})
	known := map[string][]warrant.Action{} // by architecture and set, which hosts share
	var g grouping
	for _, h := range sorted {
		key := h.Arch + " " + h.Packages.Digest()
		actions, ok := known[key]
		if !ok {
			var err error
			if actions, err = resolve(h, snapshot); err != nil {
				return Plan{}, err
			}
			known[key] = actions
		}
		if err := g.add(h.ID, h.Root, actions, nil); err != nil {
			return Plan{}, err
		}
	}
	return g.done(), nil
}

// PlanBackOut undoes an order: what it upgraded goes down to the version it came from, taken from the given older
// snapshot, and what it installed is removed, in each root of each host where the order's version is still the installed one.
func PlanBackOut(done []warrant.Transaction, hosts []HostPackages, older []deb.IndexEntry) (Plan, error) {
	sets := map[string]HostPackages{}
	for _, h := range hosts {
		sets[h.ID+h.Root] = h
	}
	var g grouping
	for _, t := range done {
		for _, id := range t.Hosts {
			h, ok := sets[id+t.Root]
			if !ok {
				continue
			}
			actions, err := undo(t.Actions, newContents(h), older)
			if err != nil {
				return Plan{}, err
			}
			if err := g.add(id, t.Root, actions, nil); err != nil {
				return Plan{}, err
			}
		}
	}
	return g.done(), nil
}

func undo(actions []warrant.Action, has contents, older []deb.IndexEntry) ([]warrant.Action, error) {
	var back []warrant.Action
	for _, a := range actions {
		if v, ok := has.version(a.Name, a.Arch); !ok || v != a.To {
			continue
		}
		if a.Do == "install" {
			back = append(back, warrant.Action{Do: "remove", Name: a.Name, Arch: a.Arch, From: a.To})
			continue
		}
		i := slices.IndexFunc(older, func(e deb.IndexEntry) bool {
			return e.Name == a.Name && e.Arch == a.Arch && e.Version == a.From
		})
		if i < 0 {
			return nil, fault.New(fault.Conflict, "%s %s %s is not in the snapshot to go back to; curate it there first", a.Name, a.Arch, a.From)
		}
		back = append(back, action("downgrade", older[i], a.To))
	}
	slices.SortFunc(back, byName)
	return back, nil
}

// grouping collects hosts with equal actions and copies in the same root, in order of first appearance.
type grouping struct {
	plan  Plan
	group map[string]int
}

func (g *grouping) add(host, root string, actions []warrant.Action, copies []warrant.Copy) error {
	if len(actions)+len(copies) == 0 {
		g.plan.Idle = append(g.plan.Idle, host)
		return nil
	}
	t := warrant.Transaction{Root: root, Actions: actions, Copies: copies}
	b, err := envelope.Encode(t)
	if err != nil {
		return err
	}
	if g.group == nil {
		g.group = map[string]int{}
	}
	i, ok := g.group[string(b)]
	if !ok {
		i = len(g.plan.Transactions)
		g.group[string(b)] = i
		g.plan.Transactions = append(g.plan.Transactions, t)
	}
	g.plan.Transactions[i].Hosts = append(g.plan.Transactions[i].Hosts, host)
	return nil
}

// done gives the plan: a host is idle if it needs nothing in any of its roots.
func (g *grouping) done() Plan {
	told := map[string]bool{}
	for _, t := range g.plan.Transactions {
		for _, host := range t.Hosts {
			told[host] = true
		}
	}
	g.plan.Idle = slices.DeleteFunc(g.plan.Idle, func(host string) bool {
		known := told[host]
		told[host] = true
		return known
	})
	slices.SortStableFunc(g.plan.Transactions, func(a, b warrant.Transaction) int { return strings.Compare(a.Root, b.Root) })
	return g.plan
}

// contents is what a host has, by name and architecture.
type contents map[[2]string]string

func newContents(h HostPackages) contents {
	c := make(contents, len(h.Packages))
	for _, p := range h.Packages {
		c[[2]string{p.Name, p.Arch}] = p.Version
	}
	return c
}

func (c contents) version(name, arch string) (string, bool) {
	v, ok := c[[2]string{name, arch}]
	return v, ok
}

// resolution is the work on one host: what it will have, and the entries chosen so far.
type resolution struct {
	arch   string
	has    contents
	byName map[string][]deb.IndexEntry
	chosen map[[2]string]warrant.Action
	todo   []deb.IndexEntry
}

func resolve(h HostPackages, snapshot []deb.IndexEntry) ([]warrant.Action, error) {
	r := &resolution{arch: h.Arch, has: newContents(h), byName: map[string][]deb.IndexEntry{}, chosen: map[[2]string]warrant.Action{}}
	for _, e := range newest(snapshot) {
		r.byName[e.Name] = append(r.byName[e.Name], e)
		provides, err := deb.ParseRelations(e.Provides)
		if err != nil {
			return nil, fault.New(fault.Invalid, "snapshot package %s: Provides: %w", e.Name, err)
		}
		for _, p := range slices.Concat(provides...) {
			if p.Name != e.Name {
				r.byName[p.Name] = append(r.byName[p.Name], e)
			}
		}
	}
	for _, e := range newest(snapshot) {
		if v, ok := r.has.version(e.Name, e.Arch); ok && deb.Compare(v, e.Version) < 0 {
			r.choose(e)
		}
	}
	for len(r.todo) > 0 {
		e := r.todo[0]
		r.todo = r.todo[1:]
		if err := r.require(e); err != nil {
			return nil, err
		}
	}
	actions := make([]warrant.Action, 0, len(r.chosen))
	for _, a := range r.chosen {
		actions = append(actions, a)
	}
	slices.SortFunc(actions, byName)
	return actions, nil
}

// newest keeps the highest version of each name and architecture, sorted by them.
func newest(snapshot []deb.IndexEntry) []deb.IndexEntry {
	sorted := slices.SortedFunc(slices.Values(snapshot), func(a, b deb.IndexEntry) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch), -deb.Compare(a.Version, b.Version))
	})
	return slices.CompactFunc(sorted, func(a, b deb.IndexEntry) bool { return a.Name == b.Name && a.Arch == b.Arch })
}

// choose plans an entry, once.
func (r *resolution) choose(e deb.IndexEntry) {
	key := [2]string{e.Name, e.Arch}
	if _, ok := r.chosen[key]; ok {
		return
	}
	do, from := "install", r.has[key]
	if from != "" {
		do = "upgrade"
	}
	r.chosen[key] = action(do, e, from)
	r.has[key] = e.Version
	r.todo = append(r.todo, e)
}

// require chooses what a planned entry needs and the host will not have.
func (r *resolution) require(e deb.IndexEntry) error {
	for _, field := range []string{e.PreDepends, e.Depends} {
		clauses, err := deb.ParseRelations(field)
		if err != nil {
			return fault.New(fault.Invalid, "snapshot package %s: %w", e.Name, err)
		}
		for _, alternatives := range clauses {
			if !slices.ContainsFunc(alternatives, r.met) {
				r.meet(alternatives)
			}
		}
	}
	return nil
}

// met reports whether what the host will have satisfies the relation, by name or by what a planned package provides.
func (r *resolution) met(rel deb.Relation) bool {
	for _, arch := range []string{r.arch, "all"} {
		if v, ok := r.has.version(rel.Name, arch); ok && rel.Accepts(v) {
			return true
		}
	}
	for _, e := range r.byName[rel.Name] {
		if _, planned := r.chosen[[2]string{e.Name, e.Arch}]; planned && satisfies(e, rel) {
			return true
		}
	}
	return false
}

// meet chooses the first entry of the snapshot that satisfies one of the alternatives, in their order.
func (r *resolution) meet(alternatives []deb.Relation) {
	for _, rel := range alternatives {
		for _, e := range r.byName[rel.Name] {
			if (e.Arch == r.arch || e.Arch == "all") && satisfies(e, rel) {
				r.choose(e)
				return
			}
		}
	}
}

func satisfies(e deb.IndexEntry, rel deb.Relation) bool {
	provides, err := deb.ParseRelations(e.Provides)
	return err == nil && rel.SatisfiedBy(e.Name, e.Version, provides)
}

func action(do string, e deb.IndexEntry, from string) warrant.Action {
	return warrant.Action{Do: do, Name: e.Name, Arch: e.Arch, From: from, To: e.Version, SHA256: e.SHA256, Size: e.Size, File: e.Filename}
}

func byName(a, b warrant.Action) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch))
}
