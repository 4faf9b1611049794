package scans

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// MaxFindings and MaxHosts bound one report. An unpatched host has 17,000.
const (
	MaxFindings = 500_000
	MaxHosts    = 100_000
)

// fold takes a report's records and keeps one finding for each vulnerability of a package on a host.
type fold struct {
	byName  map[string]int
	hosts   []scanner.Host
	held    map[heldKey]*Finding
	strings map[string]string // each text once
}

type heldKey struct {
	host             int
	id, pkg, version string
	banner           bool
	claim            scanner.Claim
}

func newFold() *fold {
	return &fold{byName: map[string]int{}, held: map[heldKey]*Finding{}, strings: map[string]string{}}
}

// Host implements scanner.Sink.
func (f *fold) Host(h scanner.Host) error {
	i, err := f.host(h.Name)
	if err != nil {
		return err
	}
	known := &f.hosts[i]
	known.Names = union(known.Names, h.Names)
	known.Addresses = union(known.Addresses, h.Addresses)
	known.MACs = union(known.MACs, h.MACs)
	known.CPE = cmp.Or(h.CPE, known.CPE)
	known.Credentialed = known.Credentialed || h.Credentialed
	if h.TakenAt.After(known.TakenAt) {
		known.TakenAt = h.TakenAt
	}
	return nil
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) && len(a) < 64 {
			a = append(a, s)
		}
	}
	return a
}

func (f *fold) host(name string) (int, error) {
	i, known := f.byName[name]
	if !known {
		if i = len(f.hosts); i >= MaxHosts {
			return 0, fault.New(fault.Invalid, "the report names more than %d hosts; import it in parts", MaxHosts)
		}
		name = f.one(name)
		f.byName[name], f.hosts = i, append(f.hosts, scanner.Host{Name: name})
	}
	return i, nil
}

// Row implements scanner.Sink.
func (f *fold) Row(r scanner.Row) error {
	host, err := f.host(r.Host)
	if err != nil {
		return err
	}
	packages := r.Packages
	if len(packages) == 0 {
		packages = []scanner.Package{{}}
	}
	for _, id := range r.IDs() {
		for _, p := range packages {
			if err := f.keep(host, id, p, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fold) keep(host int, id string, p scanner.Package, r scanner.Row) error {
	key := heldKey{host, f.one(id), f.one(p.Name), f.one(p.Version), r.Banner, r.Claim}
	if held := f.held[key]; held != nil {
		held.Records++
		held.Fixed = cmp.Or(held.Fixed, f.one(p.Fixed))
		return nil
	}
	if len(f.held) >= MaxFindings {
		return fault.New(fault.Invalid, "the report has more than %d findings; import it in parts", MaxFindings)
	}
	f.held[key] = &Finding{N: host, ID: key.id, Source: f.one(p.Source), Banner: r.Banner, Claim: r.Claim, Package: key.pkg, Version: key.version,
		Fixed: f.one(p.Fixed), Severity: f.one(r.Severity), Vector: f.one(r.Vector), Plugin: f.one(r.Plugin), Title: f.one(r.Title), Records: 1}
	return nil
}

// one keeps each text once: the same titles and packages come on every host.
func (f *fold) one(s string) string {
	known, ok := f.strings[s]
	if !ok {
		known = strings.Clone(s)
		f.strings[known] = known
	}
	return known
}

// findings folds what is held onto source packages, sorted as a report's findings are. sourceOf gives the source package of a
// package on a host, as found in that host's own set, or empty.
func (f *fold) findings(sourceOf func(host int, pkg string) string, stated func(id string) []string) []Finding {
	type key struct {
		host       int
		id, source string
		banner     bool
		claim      scanner.Claim
	}
	folded := make(map[key]*Finding, len(f.held))
	for k, h := range f.held {
		h.Source = source(*h, sourceOf(k.host, h.Package), stated)
		at := key{k.host, k.id, h.Source, k.banner, k.claim}
		first := folded[at]
		switch {
		case first == nil:
			folded[at] = h
			continue
		case cmp.Or(cmp.Compare(h.Package, first.Package), cmp.Compare(h.Version, first.Version)) < 0: // in no order: the result must not depend on it
			h.Records += first.Records
			folded[at] = h
		default:
			first.Records += h.Records
		}
	}
	all := make([]Finding, 0, len(folded))
	for _, h := range folded {
		all = append(all, *h)
	}
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.N, b.N), cmp.Compare(a.Source, b.Source), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Claim, b.Claim), banners(a, b))
	})
	return all
}

func banners(a, b Finding) int {
	switch {
	case a.Banner == b.Banner:
		return 0
	case b.Banner:
		return -1
	}
	return 1
}

// source says which source package a finding is about: the host's own package set knows best, then the report, then the one
// source package that our sources state the vulnerability about; else the package's own name stands for it.
func source(f Finding, own string, stated func(id string) []string) string {
	switch {
	case f.Package == "":
		return Unknown
	case own != "":
		return own
	case f.Source != "":
		return f.Source
	}
	if names := stated(f.ID); len(names) == 1 {
		return names[0]
	}
	return f.Package
}

// sources maps the packages of a set to their source packages. Kernel images of Debian come from a source package of signed
// copies, which the set has mapped already.
func sources(set pkgset.Set) map[string]string {
	m := make(map[string]string, 2*len(set))
	for _, p := range set {
		m[p.Source] = p.Source
	}
	for _, p := range set {
		m[p.Name] = p.Source
	}
	return m
}

// names is what a report calls a host, besides its name.
func names(h scanner.Host) []string {
	return append([]string{}, slices.Concat(h.Names, h.Addresses, h.MACs)...)
}

// directory finds our hosts by name.
type directory struct {
	full  map[string][]string // IDs
	short map[string][]string // IDs by the first label of a name
}

func newDirectory(known map[string][]string) directory {
	d := directory{map[string][]string{}, map[string][]string{}}
	for id, names := range known {
		for _, name := range names {
			add(d.full, name, id)
			if _, err := netip.ParseAddr(name); err != nil {
				label, _, _ := strings.Cut(name, ".")
				add(d.short, label, id)
			}
		}
	}
	return d
}

func add(m map[string][]string, key, id string) {
	if !slices.Contains(m[key], id) {
		m[key] = append(m[key], id)
	}
}

// find gives our host that a report means: by a full name or an address, else by a host name without a domain on either side.
// Two hosts that answer to it are none.
func (d directory) find(h scanner.Host) string {
	var full, short []string
	for _, name := range slices.Concat([]string{strings.ToLower(h.Name)}, h.Names, h.Addresses) {
		full = union(full, d.full[name])
		if _, err := netip.ParseAddr(name); err == nil {
			continue
		}
		label, _, qualified := strings.Cut(name, ".")
		if qualified {
			short = union(short, d.full[label]) // ours has no domain
		} else {
			short = union(short, d.short[name])
		}
	}
	switch {
	case len(full) == 1:
		return full[0]
	case len(full) == 0 && len(short) == 1:
		return short[0]
	}
	return ""
}

// taken is when a host was scanned: as the report says of the host, else of itself, else when it came.
func taken(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
