package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// maxCopies bounds the copies of an order's transactions together: what people sign travels to each host in a warrant.
const maxCopies = 4000

// Follow adds to a plan what brings the copies in other roots of its hosts level with the hosts' own packages as the plan leaves
// them. Only what a package of the snapshot has at that path is taken: contents gives the content list of one, by digest.
// Configuration files stay. What of the host's own is not as its package has it is not copied. A back-out names the transactions
// that it undoes: only copies that these renewed go back, with their package.
func (p Plan) Follow(hosts []HostPackages, snapshot []deb.IndexEntry, contents func(deb string) (explain.Contents, error), undone []warrant.Transaction) (Plan, error) {
	if !slices.ContainsFunc(hosts, func(h HostPackages) bool { return len(h.Copies) > 0 }) {
		return p, nil
	}
	f := following{entries: map[[3]string]deb.IndexEntry{}, contents: contents, lists: map[string]explain.Contents{}, known: map[[2]string]original{}}
	for _, e := range snapshot {
		f.entries[[3]string{e.Name, e.Arch, e.Version}] = e
	}
	planned, own, copies := map[string][]warrant.Action{}, map[string]HostPackages{}, map[string][]warrant.Copy{}
	for _, t := range p.Transactions {
		for _, id := range t.Hosts {
			planned[id+t.Root] = t.Actions
		}
	}
	for _, h := range hosts {
		if h.Root == "" {
			own[h.ID] = h
		}
	}
	renewed := renewedBy(undone)
	for _, h := range hosts {
		all, err := f.copies(own[h.ID], planned[h.ID], h.Copies)
		if err != nil {
			return Plan{}, fmt.Errorf("copies in root %s of host %s: %w", h.Root, h.ID, err)
		}
		if undone != nil {
			all = slices.DeleteFunc(all, func(c warrant.Copy) bool { return !renewed[h.ID+h.Root+" "+c.Path+" "+c.From] })
		}
		copies[h.ID+h.Root] = all
	}
	return p.with(hosts, copies)
}

// renewedBy gives what transactions renew, by host, root, path and new content.
func renewedBy(transactions []warrant.Transaction) map[string]bool {
	all := map[string]bool{}
	for _, t := range transactions {
		for _, id := range t.Hosts {
			for _, c := range t.Copies {
				all[id+t.Root+" "+c.Path+" "+c.To] = true
			}
		}
	}
	return all
}

// with adds copies, by host and root, to a plan.
func (p Plan) with(hosts []HostPackages, copies map[string][]warrant.Copy) (Plan, error) {
	g := grouping{plan: Plan{Idle: p.Idle}}
	for _, t := range p.Transactions {
		for _, id := range t.Hosts {
			if err := g.add(id, t.Root, t.Actions, copies[id+t.Root]); err != nil {
				return Plan{}, err
			}
			delete(copies, id+t.Root)
		}
	}
	for _, h := range hosts {
		if alone := copies[h.ID+h.Root]; len(alone) > 0 {
			if err := g.add(h.ID, h.Root, []warrant.Action{}, alone); err != nil {
				return Plan{}, err
			}
		}
	}
	p, n := g.done(), 0
	for _, t := range p.Transactions {
		n += len(t.Copies)
	}
	if n > maxCopies {
		return p, fault.New(fault.Conflict, "the order would renew %d copied files, more than the %d that one takes: propose it for fewer hosts, one after the other", n, maxCopies)
	}
	return p, nil
}

// following finds the originals of copies, each once.
type following struct {
	entries  map[[3]string]deb.IndexEntry // by name, architecture, version
	contents func(deb string) (explain.Contents, error)
	lists    map[string]explain.Contents
	known    map[[2]string]original // by package digest and path
}

type original struct {
	explain.Shipped
	is bool
}

func (f *following) original(pkg, path string) (original, error) {
	if o, ok := f.known[[2]string{pkg, path}]; ok {
		return o, nil
	}
	list, ok := f.lists[pkg]
	if !ok {
		var err error
		if list, err = f.contents(pkg); err != nil {
			return original{}, err
		}
		f.lists[pkg] = list
	}
	var o original
	o.Shipped, o.is = list.Original(path)
	f.known[[2]string{pkg, path}] = o
	return o, nil
}

// copies gives what is to be renewed of the files in a root, sorted by path; own is the host's own root, and actions what is done there.
func (f *following) copies(own HostPackages, actions []warrant.Action, files []wire.Lagging) ([]warrant.Copy, error) {
	var out []warrant.Copy
	if len(files) == 0 {
		return nil, nil
	}
	has, changed := newContents(own), map[string]bool{}
	for _, a := range actions {
		has[[2]string{a.Name, a.Arch}], changed[a.Name] = a.To, true
	}
	for _, c := range files {
		for _, arch := range []string{own.Arch, "all"} {
			version, _ := has.version(c.Package, arch)
			e, curated := f.entries[[3]string{c.Package, arch, version}]
			if !curated {
				continue
			}
			o, err := f.original(e.SHA256, c.Path)
			if err != nil {
				return nil, err
			}
			renewed := warrant.Copy{Path: c.Path, From: c.Has, To: o.SHA256, Size: o.Size, Package: c.Package, Version: version, Deb: e.SHA256}
			if o.is && !c.Attributes && (changed[c.Package] || c.Host == o.SHA256) && renewed.Sound() {
				out = append(out, renewed)
			}
			break
		}
	}
	slices.SortFunc(out, func(a, b warrant.Copy) int { return strings.Compare(a.Path, b.Path) })
	return slices.CompactFunc(out, func(a, b warrant.Copy) bool { return a.Path == b.Path }), nil
}
