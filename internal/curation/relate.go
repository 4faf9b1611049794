package curation

import (
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// native gives the architecture on which the dependencies of a package must be met.
func (h *host) native(arch string) string {
	if arch == "all" {
		return h.arch
	}
	return arch
}

// met reports whether the host will have what satisfies a relation of p. What an installed package provides is read from
// the upstream entry of the same name, preferably of the same version: package sets do not tell it.
func (c *closure) met(h *host, p *Chosen, r deb.Relation) bool {
	arch := h.native(p.Arch)
	for own, version := range h.has[r.Name] {
		if r.Accepts(version) && c.serves(nameArch{r.Name, own}, arch, r) {
			return true
		}
	}
	for _, n := range c.providers[r.Name] {
		version, ok := h.has[n.Name][n.Arch]
		if ok && c.serves(nameArch{n.Name, n.Arch}, arch, r) && c.known(n.Name, n.Arch, version).satisfies(r) {
			return true
		}
	}
	return false
}

// serves reports whether a package counts for dependencies of packages of another architecture (Multi-Arch).
func (c *closure) serves(key nameArch, arch string, r deb.Relation) bool {
	if key.arch == arch || key.arch == "all" || r.Qualifier == key.arch {
		return true
	}
	for _, n := range c.byName[key.name] {
		if n.Arch == key.arch {
			return n.MultiArch == "foreign" || n.MultiArch == "allowed" && r.Qualifier == "any"
		}
	}
	return false
}

// known gives the upstream entry of a version, or else the newest of the same name and architecture, or nil.
func (c *closure) known(name, arch, version string) *Candidate {
	var newest *Candidate
	for _, n := range c.byName[name] {
		if n.Arch != arch {
			continue
		}
		if n.Version == version {
			return n
		}
		if newest == nil {
			newest = n
		}
	}
	return newest
}

// satisfies reports whether the candidate, by its name or what it provides, satisfies the relation.
func (p *Candidate) satisfies(r deb.Relation) bool {
	return p != nil && p.read() == nil && r.SatisfiedBy(p.Name, p.Version, p.relations.provides)
}

// suppliers gives the candidates by which a host can satisfy a relation of p: those of the name, newest first, then those
// that provide it. An installed package is never replaced by an older one, a chosen one by no other version.
func (c *closure) suppliers(h *host, p *Chosen, r deb.Relation) []*Candidate {
	arch := h.native(p.Arch)
	var all []*Candidate
	for _, list := range [][]*Candidate{c.byName[r.Name], c.providers[r.Name]} {
		for _, n := range list {
			version, there := h.has[n.Name][n.Arch]
			have, taken := c.chosen[nameArch{n.Name, n.Arch}]
			unfit := there && deb.Compare(n.Version, version) <= 0 || taken && have.Version != n.Version
			if !unfit && (n.Arch == arch || n.Arch == "all") && n.satisfies(r) && !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all
}

// excluded looks for pairs that may not be on one host together: a chosen package that conflicts with or breaks what
// the host will have, or the other way round as far as upstream knows the installed version.
func (c *closure) excluded() error {
	for _, h := range c.hosts {
		for _, p := range c.planned(h) {
			for name, versions := range h.has {
				for arch, version := range versions {
					if err := c.pair(p, nameArch{name, arch}, version); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// pair checks a planned package against one that the host will have.
func (c *closure) pair(p *Chosen, key nameArch, version string) error {
	if key.name == p.Name {
		return nil
	}
	other := c.known(key.name, key.arch, version)
	if err := clash(&p.Candidate, key, version, other); err != nil || other == nil || other.Version != version {
		return err
	}
	return clash(other, nameArch{p.Name, p.Arch}, p.Version, &p.Candidate)
}

// clash reports that p excludes a package by its name and version or, where an upstream entry tells, by what it provides.
func clash(p *Candidate, key nameArch, version string, entry *Candidate) error {
	if err := p.read(); err != nil {
		return err
	}
	for _, alternatives := range p.relations.conflicts {
		for _, r := range alternatives {
			provided := entry != nil && entry.read() == nil && r.Name != key.name && r.SatisfiedBy("", "", entry.relations.provides)
			if r.Name == key.name && r.Accepts(version) || provided {
				return fault.New(fault.Conflict, "%s %s cannot be installed together with %s %s (it conflicts with or breaks %s)", p.Name, p.Version, key.name, version, r)
			}
		}
	}
	return nil
}
