package estate

import (
	"context"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Package is a package in a root of a host with where it came from.
type Package struct {
	Name          string        `json:"name"`
	Arch          string        `json:"arch"`
	Version       string        `json:"version"`
	Source        string        `json:"source"`
	SourceVersion string        `json:"source_version"`
	State         string        `json:"state,omitempty"` // empty: installed in good order
	Held          bool          `json:"held,omitempty"`
	Module        string        `json:"module,omitempty"` // what follows only of rpm
	Vendor        string        `json:"vendor,omitempty"`
	Key           string        `json:"key,omitempty"`
	Origins       []wire.Origin `json:"origins"` // of its sources, those that have exactly this version now, or the repository that dnf noted; none: unknown, or local
}

// root gives what a host said last of one of its roots; NotFound where it said nothing.
func (h Host) root(path string) (HostRoot, error) {
	r := HostRoot{PackageSet: h.PackageSet, Origins: h.Origins, Inventory: h.Inventory}
	if path != "" && path != "/" {
		r = h.Roots[path]
	}
	if r.PackageSet == "" || r.Inventory == "" {
		return r, fault.New(fault.NotFound, "the host has reported no such root")
	}
	return r, nil
}

// Inventory gives what a host said last about one of its roots; path empty or "/": its own.
func (e *Estate) Inventory(ctx context.Context, host Host, path string) (wire.Inventory, error) {
	r, err := host.root(path)
	if err != nil {
		return wire.Inventory{}, err
	}
	return e.InventoryOf(ctx, r.Inventory)
}

// Packages gives the packages of one of a host's roots, by name, with their origins.
func (e *Estate) Packages(ctx context.Context, host Host, path string) ([]Package, error) {
	r, err := host.root(path)
	if err != nil {
		return nil, err
	}
	set, err := e.PackageSet(ctx, r.PackageSet)
	if err != nil {
		return nil, err
	}
	var origins wire.Origins
	if r.Origins != "" {
		if origins, err = e.OriginsOf(ctx, r.Origins); err != nil {
			return nil, err
		}
	}
	all := make([]Package, len(set))
	for i, p := range set {
		all[i] = packageOf(p)
		if i >= len(origins.Of) {
			continue
		}
		for _, n := range origins.Of[i] {
			all[i].Origins = append(all[i].Origins, origins.Sources[n])
		}
	}
	return all, nil
}

func packageOf(p pkgset.Package) Package {
	out := Package{Name: p.Name, Arch: p.Arch, Version: p.Version, Source: p.Source, SourceVersion: p.SourceVersion, State: p.State, Held: p.Held,
		Origins: []wire.Origin{}}
	if p.RPM != nil {
		out.Module, out.Vendor, out.Key = p.RPM.Module, p.RPM.Vendor, p.RPM.Key
	}
	return out
}
