package curation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// Acceptance is a decision that lets a source package in, from a version on.
type Acceptance struct {
	Decision string // ID
	Person   string
	Source   string
	Version  string // of the source; this one or a later one
}

// Candidate is a package of an upstream that may go into a snapshot.
type Candidate struct {
	deb.IndexEntry
	Upstream  string
	relations relations
}

// Chosen is a candidate that goes into a snapshot. Because is "accepted", "dependency of NAME" and the like.
type Chosen struct {
	Candidate
	Acceptance Acceptance
	Because    string
}

// relations of a candidate, read once.
type relations struct {
	needs     [][]deb.Relation // Pre-Depends and Depends
	provides  [][]deb.Relation
	conflicts [][]deb.Relation // Conflicts and Breaks
	read      bool
}

func (c *Candidate) read() error {
	if c.relations.read {
		return nil
	}
	join := func(fields ...string) (all [][]deb.Relation, err error) {
		for _, f := range fields {
			parsed, err := deb.ParseRelations(f)
			if err != nil {
				return nil, fmt.Errorf("package %s %s of upstream %s: %w", c.Name, c.Version, c.Upstream, err)
			}
			all = append(all, parsed...)
		}
		return all, nil
	}
	var err error
	if c.relations.needs, err = join(c.PreDepends, c.Depends); err != nil {
		return err
	}
	if c.relations.provides, err = join(c.Provides); err != nil {
		return err
	}
	c.relations.conflicts, err = join(c.Conflicts, c.Breaks)
	c.relations.read = err == nil
	return err
}

type nameArch struct{ name, arch string }

// closure works out a snapshot. It is a set that only grows until nothing is missing any more, so it ends.
type closure struct {
	byName    map[string][]*Candidate // newest first
	bySource  map[string][]*Candidate
	providers map[string][]*Candidate
	chosen    map[nameArch]*Chosen
	hosts     []*host
	grown     bool
}

// host is what a host will have: what it has, with the chosen upgrades and additions.
type host struct {
	set  pkgset.Set
	arch string                       // dpkg's own
	has  map[string]map[string]string // name, architecture: version
}

func (h *host) put(name, arch, version string) {
	if h.has[name] == nil {
		h.has[name] = map[string]string{}
	}
	h.has[name][arch] = version
}

// Close gives the snapshot for hosts with these package sets: of every accepted source the binaries that are installed
// on any of them in a lower version, at the newest version upstream has; and whatever those need that the hosts will not
// have. All packages of one source come at one step, as their dependencies on each other are strict. Of what upstream
// has no newer version for (an old kernel's image), the old one stays, as long as something of the source is newer.
//
// Errors are of kind Conflict: upstream has no version that fixes; two packages of the result exclude each other; a
// dependency can be met by nothing.
func Close(candidates []Candidate, accepted []Acceptance, sets []pkgset.Set) ([]Chosen, error) {
	c := newClosure(candidates, sets)
	for _, a := range leading(accepted) {
		if err := c.accept(a); err != nil {
			return nil, err
		}
	}
	for c.grown = true; c.grown; {
		c.grown = false
		if err := c.step(); err != nil {
			return nil, err
		}
	}
	if err := c.excluded(); err != nil {
		return nil, err
	}
	all := make([]Chosen, 0, len(c.chosen))
	for _, p := range c.chosen {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Chosen) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch))
	})
	return all, nil
}

// leading keeps one acceptance for each source, that of the highest version, sorted by source.
func leading(accepted []Acceptance) []Acceptance {
	sorted := slices.SortedFunc(slices.Values(accepted), func(a, b Acceptance) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), deb.Compare(b.Version, a.Version), strings.Compare(a.Decision, b.Decision))
	})
	return slices.CompactFunc(sorted, func(a, b Acceptance) bool { return a.Source == b.Source })
}

func newClosure(candidates []Candidate, sets []pkgset.Set) *closure {
	c := &closure{byName: map[string][]*Candidate{}, bySource: map[string][]*Candidate{},
		providers: map[string][]*Candidate{}, chosen: map[nameArch]*Chosen{}}
	for i := range candidates {
		p := &candidates[i]
		c.byName[p.Name] = append(c.byName[p.Name], p)
		c.bySource[p.Source] = append(c.bySource[p.Source], p)
		for clause := range strings.SplitSeq(p.Provides, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(clause), " ")
			if name, _, _ = strings.Cut(name, ":"); name != "" {
				c.providers[name] = append(c.providers[name], p)
			}
		}
	}
	for _, lists := range []map[string][]*Candidate{c.byName, c.bySource, c.providers} {
		for _, list := range lists {
			slices.SortStableFunc(list, func(a, b *Candidate) int { return deb.Compare(b.Version, a.Version) })
		}
	}
	for _, s := range sets {
		h := &host{set: s, has: make(map[string]map[string]string, len(s))}
		for _, p := range s {
			h.put(p.Name, p.Arch, p.Version)
			if p.Name == "dpkg" {
				h.arch = p.Arch
			}
		}
		c.hosts = append(c.hosts, h)
	}
	return c
}

// accept chooses the binaries of an accepted source.
func (c *closure) accept(a Acceptance) error {
	for _, h := range c.hosts {
		installed, newer := 0, 0
		for _, p := range h.set {
			if p.Source != a.Source || deb.Compare(p.SourceVersion, a.Version) >= 0 {
				continue
			}
			installed++
			if best := c.newest(p, func(n *Candidate) bool {
				return n.Source == a.Source && deb.Compare(n.SourceVersion, a.Version) >= 0
			}); best != nil {
				newer++
				c.choose(best, a, "accepted")
			}
		}
		if installed > 0 && newer == 0 {
			return fault.New(fault.Conflict, "no upstream has %s in version %s or later, which decision %s accepts: refresh the mirrors, or wait for the vendor", a.Source, a.Version, a.Decision)
		}
	}
	return nil
}

// newest gives the newest candidate for an installed package that is newer than it and fits, or nil.
func (c *closure) newest(p pkgset.Package, fits func(*Candidate) bool) *Candidate {
	for _, n := range c.byName[p.Name] {
		if n.Arch == p.Arch && deb.Compare(n.Version, p.Version) > 0 && fits(n) {
			return n
		}
	}
	return nil
}

// choose puts a candidate into the snapshot.
func (c *closure) choose(p *Candidate, a Acceptance, because string) {
	key := nameArch{p.Name, p.Arch}
	if _, ok := c.chosen[key]; ok {
		return
	}
	c.chosen[key] = &Chosen{Candidate: *p, Acceptance: a, Because: because}
	c.grown = true
}

// step goes once over all hosts: applies what is chosen, and chooses what that needs.
func (c *closure) step() error {
	for _, h := range c.hosts {
		for _, p := range h.set {
			if n, ok := c.chosen[nameArch{p.Name, p.Arch}]; ok && deb.Compare(p.Version, n.Version) < 0 {
				h.put(p.Name, p.Arch, n.Version)
			}
		}
		for _, p := range c.planned(h) {
			if err := p.read(); err != nil {
				return err
			}
			for _, alternatives := range p.relations.needs {
				if err := c.meet(h, p, alternatives); err != nil {
					return err
				}
			}
			c.siblings(h, p)
			c.spare(h, p)
		}
	}
	return nil
}

// planned gives what a host will get from the snapshot, sorted by name so that the result does not depend on chance.
func (c *closure) planned(h *host) []*Chosen {
	var all []*Chosen
	for key, p := range c.chosen {
		if was, _ := h.set.Find(key.name, key.arch); h.has[key.name][key.arch] == p.Version && was.Version != p.Version {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *Chosen) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch))
	})
	return all
}

// siblings chooses the installed binaries of a planned package's source.
func (c *closure) siblings(h *host, p *Chosen) {
	for _, q := range h.set {
		if q.Source != p.Source || deb.Compare(q.SourceVersion, p.SourceVersion) >= 0 {
			continue
		}
		if n := c.newest(q, func(n *Candidate) bool { return n.Source == p.Source && n.SourceVersion == p.SourceVersion }); n != nil {
			c.choose(n, p.Acceptance, "same source as "+p.Name)
		}
	}
}

// spare chooses newer versions of installed packages whose old versions a planned package breaks.
func (c *closure) spare(h *host, p *Chosen) {
	for _, r := range slices.Concat(p.relations.conflicts...) {
		for arch, version := range h.has[r.Name] {
			if r.Op == "" || r.Name == p.Name || !r.Accepts(version) {
				continue
			}
			q := pkgset.Package{Name: r.Name, Arch: arch, Version: version}
			if n := c.newest(q, func(n *Candidate) bool { return !r.Accepts(n.Version) }); n != nil {
				c.choose(n, p.Acceptance, "older versions are broken by "+p.Name)
			}
		}
	}
}

// meet sees to it that one of the alternatives holds on the host. A package that is there already, upgraded, comes before
// a new one; apart from that the order of the alternatives decides.
func (c *closure) meet(h *host, p *Chosen, alternatives []deb.Relation) error {
	if slices.ContainsFunc(alternatives, func(r deb.Relation) bool { return c.met(h, p, r) }) {
		return nil
	}
	var all []*Candidate
	for _, r := range alternatives {
		all = append(all, c.suppliers(h, p, r)...)
	}
	if len(all) == 0 {
		return fault.New(fault.Conflict, "%s %s needs %s, which neither the host has nor an upstream offers beside what is chosen already", p.Name, p.Version, oneOf(alternatives))
	}
	found := all[max(0, slices.IndexFunc(all, func(n *Candidate) bool { return h.has[n.Name][n.Arch] != "" }))]
	h.put(found.Name, found.Arch, found.Version)
	c.grown = true
	c.choose(found, p.Acceptance, "dependency of "+p.Name)
	return nil
}

func oneOf(alternatives []deb.Relation) string {
	var all []string
	for _, r := range alternatives {
		all = append(all, r.String())
	}
	return strings.Join(all, " or ")
}
