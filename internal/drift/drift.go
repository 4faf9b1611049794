// Package drift says how well stage stands for production: a figure for each production host, with what differs.
package drift

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/memo"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

const stage = "stage"

// Far is the figure below which stage no longer stands for a host, in percent.
const Far = 90

// Drift is a production host beside its stage twin. Percent is the share of packages that are the same, of all that either
// has: 100 is the same set. What the package managers are told differently is listed, and is not in the figure.
type Drift struct {
	Host        string       `json:"host"`
	Twin        string       `json:"twin"` // the stage host; empty: no stage host of this release has reported
	TwinName    string       `json:"twin_name"`
	Named       bool         `json:"named"` // the host's record names the twin; else it is the nearest of its kind
	Percent     float64      `json:"percent"`
	Same        int          `json:"same"`
	Packages    int          `json:"packages"` // in either
	Differences []Difference `json:"differences"`
}

// Estate is the hosts.
type Estate interface {
	Host(ctx context.Context, id string) (estate.Host, error)
	HostSets(ctx context.Context, since int64) ([]estate.HostSet, int64, error)
	KinOf(ctx context.Context, host string) ([]estate.Kin, error)
	PackageSet(ctx context.Context, digest string) (pkgset.Set, error)
	Inventory(ctx context.Context, h estate.Host, root string) (wire.Inventory, error)
}

// Drifts compares stage with production.
type Drifts struct {
	estate Estate
	sets   memo.Memo[pkgset.Set]
	shapes memo.Memo[shape] // by the digest of the set
	draw   drawing

	mu   sync.Mutex // guards what follows
	upTo int64
	of   map[string]estate.HostSet // hosts with a set, by ID

	fleet   sync.Mutex          // guards what follows; taken before mu
	at      int64               // the state of the estate that kinds is of
	kinds   []Kind              // what Fleet gave last
	staged  map[string][]string // by release: the sets of stage, sorted
	nearest map[kindOf]float64  // percent, as long as staged holds
}

// kindOf is what the hosts of a kind have in common.
type kindOf struct{ release, set string }

type figure struct{ same, all int }

func (f figure) percent() float64 {
	if f.all == 0 {
		return 100
	}
	return 100 * float64(f.same) / float64(f.all)
}

// New makes Drifts.
func New(e Estate) *Drifts {
	return &Drifts{estate: e, sets: memo.Memo[pkgset.Set]{Most: 32 << 20}, shapes: memo.Memo[shape]{Most: 64 << 20}, of: map[string]estate.HostSet{}, at: -1,
		nearest: map[kindOf]float64{}}
}

// Of compares a host with its stage twin. A stage host has none: Invalid.
func (d *Drifts) Of(ctx context.Context, host string) (Drift, error) {
	h, err := d.estate.Host(ctx, host)
	if err != nil {
		return Drift{}, err
	}
	if h.Environment == stage {
		return Drift{}, fault.New(fault.Invalid, "host %s is a stage host; drift is of the others", h.Name)
	}
	out := Drift{Host: host, Differences: []Difference{}}
	if h.PackageSet == "" || !h.RetiredAt.IsZero() {
		return out, nil
	}
	kin, err := d.estate.KinOf(ctx, host)
	if err != nil {
		return out, err
	}
	if err := d.catchUp(ctx); err != nil {
		return out, err
	}
	here, err := d.shape(ctx, h.PackageSet)
	if err != nil {
		return out, err
	}
	best := figure{all: -1}
	for _, k := range kin {
		digest := d.setOf(k.ID)
		if digest == "" {
			continue
		}
		there, err := d.shape(ctx, digest)
		if err != nil {
			return out, err
		}
		f := there.against(here)
		if best.all < 0 || f.percent() > best.percent() {
			best, out.Twin, out.TwinName, out.Named = f, k.ID, k.Name, k.Named
		}
	}
	if out.Twin == "" {
		return out, nil
	}
	out.Percent, out.Same, out.Packages = best.percent(), best.same, best.all
	return out, d.list(ctx, h, &out)
}

// list adds what differs.
func (d *Drifts) list(ctx context.Context, h estate.Host, out *Drift) error {
	twin, err := d.estate.Host(ctx, out.Twin)
	if err != nil {
		return err
	}
	here, err := d.set(ctx, h.PackageSet)
	if err != nil {
		return err
	}
	there, err := d.set(ctx, twin.PackageSet)
	if err != nil {
		return err
	}
	_, _, packages := Packages(there, here)
	out.Differences = append(out.Differences, packages...)
	if h.Inventory == "" || twin.Inventory == "" {
		return nil
	}
	ours, err := d.estate.Inventory(ctx, h, "")
	if err != nil {
		return err
	}
	theirs, err := d.estate.Inventory(ctx, twin, "")
	if err == nil {
		out.Differences = append(out.Differences, Configuration(theirs, ours)...)
	}
	return err
}

func (d *Drifts) set(ctx context.Context, digest string) (pkgset.Set, error) {
	return d.sets.Get(digest, func() (pkgset.Set, int, error) {
		set, err := d.estate.PackageSet(ctx, digest)
		return set, 200 * len(set), err
	})
}

func (d *Drifts) shape(ctx context.Context, digest string) (shape, error) {
	return d.shapes.Get(digest, func() (shape, int, error) {
		set, err := d.estate.PackageSet(ctx, digest)
		s := d.draw.of(set)
		return s, s.size(), err
	})
}

// Kind is the production hosts that have the same packages, with the nearest stage set of their release: no host of the kind
// has a twin that is nearer.
type Kind struct {
	Release string  `json:"release"`
	Hosts   int     `json:"hosts"`
	Host    string  `json:"host"`    // one of them
	Percent float64 `json:"percent"` // 0 where no stage host of the release has reported
}

// Fleet gives all kinds of production hosts, the farthest from stage first; the caller does not change it. It grows with
// distinct sets, not with hosts, and works out only what changed since the last call.
func (d *Drifts) Fleet(ctx context.Context) ([]Kind, error) {
	if err := d.catchUp(ctx); err != nil {
		return nil, err
	}
	d.fleet.Lock()
	defer d.fleet.Unlock()
	staged, kinds, at := d.sort()
	if at == d.at {
		return d.kinds, nil
	}
	for of := range d.nearest {
		if kinds[of] == nil || !slices.Equal(staged[of.release], d.staged[of.release]) {
			delete(d.nearest, of)
		}
	}
	d.staged = staged
	all := make([]Kind, 0, len(kinds))
	for of, k := range kinds {
		percent, known := d.nearest[of]
		if !known {
			var err error
			if percent, err = d.near(ctx, of.set, staged[of.release]); err != nil {
				return nil, err
			}
			d.nearest[of] = percent
		}
		k.Percent = percent
		all = append(all, *k)
	}
	slices.SortFunc(all, func(a, b Kind) int { return cmp.Or(cmp.Compare(a.Percent, b.Percent), cmp.Compare(a.Host, b.Host)) })
	d.kinds, d.at = all, at
	return all, nil
}

// sort parts the hosts into stage, whose sets it gives, and the others, by kind; with the state of the estate that this is of.
func (d *Drifts) sort() (staged map[string][]string, kinds map[kindOf]*Kind, at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.upTo == d.at {
		return nil, nil, d.at
	}
	of, kinds := map[kindOf]bool{}, map[kindOf]*Kind{}
	for _, h := range d.of {
		key := kindOf{h.Release, h.SetDigest}
		if h.Environment == stage {
			of[key] = true
			continue
		}
		k := kinds[key]
		if k == nil {
			k = &Kind{Release: h.Release, Host: h.HostID}
			kinds[key] = k
		}
		k.Hosts, k.Host = k.Hosts+1, min(k.Host, h.HostID)
	}
	staged = map[string][]string{}
	for key := range of {
		staged[key.release] = append(staged[key.release], key.set)
	}
	for _, sets := range staged {
		slices.Sort(sets)
	}
	return staged, kinds, d.upTo
}

// near gives how much of a set the nearest of stage has, in percent.
func (d *Drifts) near(ctx context.Context, set string, staged []string) (percent float64, err error) {
	if _, same := slices.BinarySearch(staged, set); same {
		return 100, nil
	}
	here, err := d.shape(ctx, set)
	if err != nil {
		return 0, err
	}
	for _, s := range staged {
		there, err := d.shape(ctx, s)
		if err != nil {
			return 0, err
		}
		percent = max(percent, there.against(here).percent())
	}
	return percent, nil
}

// catchUp takes over which host has which set.
func (d *Drifts) catchUp(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed, upTo, err := d.estate.HostSets(ctx, d.upTo)
	if err != nil {
		return err
	}
	for _, h := range changed {
		switch {
		case h.Root != "": // a root of its own, patched apart
		case h.SetDigest == "":
			delete(d.of, h.HostID)
		default:
			d.of[h.HostID] = h
		}
	}
	d.upTo = upTo
	return nil
}

func (d *Drifts) setOf(host string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of[host].SetDigest
}
