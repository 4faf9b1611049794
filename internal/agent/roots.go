package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/agent/inventory"
	"github.com/patchwarrant/patchwarrant/internal/agent/lag"
	"github.com/patchwarrant/patchwarrant/internal/agent/processes"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// lagSeen are the copies in a root, those that lag and the others, of which two trees.
type lagSeen struct {
	of          string
	lag, copies []wire.Lagging
}

// originsSeen are a package set's origins, of which lists.
type originsSeen struct {
	of      string
	origins []byte
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// describe reads what the configured roots say of themselves, after their trees were taken. A root besides / that cannot be
// read does not silence the host: what was known of it stands, and the host says so.
func (a *Agent) describe(ctx context.Context, o *observation) error {
	var unread, bare []string
	o.roots = map[string]wire.Root{}
	for _, root := range a.config.Roots {
		if root == "/" {
			continue
		}
		r, err := a.readRoot(ctx, o, root)
		switch {
		case err == nil:
			a.rootSeen[root] = r
		case fault.KindOf(err) == fault.NotFound:
			bare = append(bare, root)
			continue
		case ctx.Err() != nil:
			return err
		default:
			a.log.Warn("a root cannot be read", "root", root, "error", err)
			unread = append(unread, root)
			known, ok := a.rootSeen[root]
			if !ok {
				continue
			}
			r = known
		}
		o.roots[root] = r.Root
		for digest, x := range r.objects {
			o.objects[digest] = x
		}
	}
	host, err := a.readRoot(ctx, o, "/")
	if err != nil {
		return err
	}
	for _, root := range bare {
		if err := a.describeBare(ctx, o, root, host.inventory); err != nil {
			return err
		}
	}
	host.inventory.Unread = unread
	a.processes(ctx, &host.inventory)
	b, err := envelope.Encode(host.inventory)
	if err != nil {
		return fmt.Errorf("read inventory: %w", err)
	}
	o.PackageSet, o.origins, o.inventory = host.PackageSet, host.Origins, o.add(wire.InventoryObject, b)
	for digest, x := range host.objects {
		if digest != host.Inventory {
			o.objects[digest] = x
		}
	}
	return nil
}

// describeBare tells of a root without a packager if it holds copies of the host's files, as one without packages and of the
// host's release. Of any other only the tree is told.
func (a *Agent) describeBare(ctx context.Context, o *observation, root string, host wire.Inventory) error {
	i := wire.Inventory{Distribution: host.Distribution, Release: host.Release, Version: host.Version, Arch: host.Arch, Sources: []wire.Source{}}
	if err := a.copied(ctx, &i, o.Trees, root); err != nil || len(i.Lagging)+len(i.Copies) == 0 {
		return err
	}
	b, err := envelope.Encode(i)
	if err != nil {
		return err
	}
	o.roots[root] = wire.Root{PackageSet: o.add(wire.PackagesObject, pkgset.Set{}.Canonical()), Inventory: o.add(wire.InventoryObject, b)}
	return nil
}

// rootFacts are what one root says, with the bytes behind the digests.
type rootFacts struct {
	wire.Root
	inventory wire.Inventory
	objects   map[string]object
}

func (a *Agent) readRoot(ctx context.Context, o *observation, root string) (r rootFacts, err error) {
	at := filepath.Join(a.places.Root, root)
	set, keys, err := inventory.Packages(ctx, at)
	if err != nil {
		return r, fmt.Errorf("read packages of %s: %w", root, err)
	}
	if r.inventory, err = inventory.Read(at, set, keys); err != nil {
		return r, fmt.Errorf("read inventory of %s: %w", root, err)
	}
	if root != "/" {
		r.inventory.Kernel.Running, r.inventory.Kernel.Version = "", "" // it runs none
		r.inventory.Hardware, r.inventory.Addresses = wire.Hardware{}, nil
		if err := a.copied(ctx, &r.inventory, o.Trees, root); err != nil {
			return r, err
		}
	}
	facts := observation{objects: map[string]object{}}
	r.PackageSet = facts.add(wire.PackagesObject, set.Canonical())
	of := r.PackageSet + "\n" + inventory.ListsState(at)
	seen := a.originsSeen[root]
	if seen.of != of {
		origins, err := inventory.Origins(at, set)
		if err != nil {
			return r, fmt.Errorf("read origins of packages of %s: %w", root, err)
		}
		if seen.origins, err = envelope.Encode(origins); err != nil {
			return r, err
		}
		seen.of = of
		a.originsSeen[root] = seen
	}
	r.Origins = facts.add(wire.OriginsObject, seen.origins)
	b, err := envelope.Encode(r.inventory)
	if err != nil {
		return r, err
	}
	r.Inventory, r.objects = facts.add(wire.InventoryObject, b), facts.objects
	return r, nil
}

// changeable reports whether the host's own policy, which the executor obeys, lets orders change a root.
func (p Places) changeable(root string) bool {
	var policy struct{ Roots []string }
	return readJSON(filepath.Join(p.Etc, "executor.json"), &policy) == nil && slices.Contains(policy.Roots, root)
}

// owned names the packages of copies.
func (a *Agent) owned(root string, copies []wire.Lagging) []wire.Lagging {
	paths := make([]string, len(copies))
	for i, l := range copies {
		paths[i] = l.Path
	}
	return lag.Owned(copies, inventory.Owners(a.places.Root, paths), inventory.Owners(filepath.Join(a.places.Root, root), paths))
}

// copied tells of a root whether orders may change it and which of its files are copies, looked for anew where its tree or the
// host's changed since the last look.
func (a *Agent) copied(ctx context.Context, i *wire.Inventory, trees map[string]string, root string) error {
	i.Changeable = a.places.changeable(root)
	seen, of := a.lagSeen[root], trees["/"]+" "+trees[root]
	if seen.of != of && trees["/"] != "" && trees[root] != "" {
		behind, level, err := a.compare(ctx, root)
		if err != nil {
			return fmt.Errorf("look for copies in %s: %w", root, err)
		}
		seen = lagSeen{of, a.owned(root, behind), slices.DeleteFunc(a.owned(root, level), func(l wire.Lagging) bool { return a.oneFile(root, l.Path) })}
		a.lagSeen[root] = seen
	}
	i.Lagging, i.Copies = seen.lag, seen.copies
	return nil
}

// oneFile reports whether a path leads to the host's own file in a root too, by a mount or a second name: that is no copy yet.
func (a *Agent) oneFile(root, path string) bool {
	name, _ := filetree.Unquote(path)
	outside, err := os.Lstat(filepath.Join(a.places.Root, name))
	inside, errInside := os.Lstat(filepath.Join(a.places.Root, root, name))
	return err == nil && errInside == nil && os.SameFile(outside, inside)
}

// compare compares a root with the host's own, and remembers the copies.
func (a *Agent) compare(ctx context.Context, root string) (behind, level []wire.Lagging, err error) {
	host, err := filetree.Read(a.places.tree("/"))
	if err != nil {
		return nil, nil, err
	}
	inside, err := filetree.Read(a.places.tree(root))
	if err != nil {
		return nil, nil, err
	}
	was := map[string]string{}
	if err := readJSON(a.places.copies(root), &was); err != nil && !isMissing(err) {
		a.log.Warn("which files of a root were copies of the host's is not known any more", "root", root, "error", err)
	}
	copies, behind, level, err := lag.Find(ctx, lag.Tree{Objects: host, Digest: host.Digest}, lag.Tree{Objects: inside, Digest: inside.Digest}, was)
	if err == nil && !maps.Equal(copies, was) {
		err = writeJSON(a.places.copies(root), 0o600, copies)
	}
	return behind, level, err
}

// processes adds which processes run replaced files, as the helper tells, with the packages that such files belong to; and
// other systems, to which the processes lead as well.
func (a *Agent) processes(ctx context.Context, i *wire.Inventory) {
	r, err := processes.Ask(ctx, a.places.Looker)
	if err != nil {
		why := filetree.Quote(err.Error())
		r.Processes = wire.Processes{Unknown: why[:min(len(why), wire.MaxText)]}
		if isMissing(err) {
			r.Processes.Unknown = "the unit patchwarrant-processes.socket does not run on this host"
		}
	}
	var paths []string
	for _, p := range r.Processes.Old {
		for _, f := range p.Old {
			paths = append(paths, f.Path)
		}
	}
	owners := inventory.Owners(a.places.Root, paths)
	for _, p := range r.Processes.Old {
		for n := range p.Old {
			if p.Root == "" {
				p.Old[n].Package = owners[p.Old[n].Path]
			}
		}
	}
	i.Processes = r.Processes
	i.Found = inventory.Found(a.places.Root, a.config.Roots, r.Roots)
}
