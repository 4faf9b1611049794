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
	pairs  memo.Memo[figure] // by the digests of both sets

	mu   sync.Mutex // guards what follows
	upTo int64
	of   map[string]estate.HostSet // hosts with a set, by ID
}

type figure struct{ same, all int }

func (f figure) percent() float64 {
	if f.all == 0 {
		return 100
	}
	return 100 * float64(f.same) / float64(f.all)
}

// New makes Drifts.
func New(e Estate) *Drifts {
	return &Drifts{estate: e, sets: memo.Memo[pkgset.Set]{Most: 128 << 20}, pairs: memo.Memo[figure]{Most: 4 << 20}, of: map[string]estate.HostSet{}}
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
	best := figure{all: -1}
	for _, k := range kin {
		digest := d.setOf(k.ID)
		if digest == "" {
			continue
		}
		f, err := d.compare(ctx, digest, h.PackageSet)
		if err != nil {
			return out, err
		}
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

func (d *Drifts) compare(ctx context.Context, stage, production string) (figure, error) {
	return d.pairs.Get(stage+production, func() (figure, int, error) {
		a, err := d.set(ctx, stage)
		if err != nil {
			return figure{}, 0, err
		}
		b, err := d.set(ctx, production)
		if err != nil {
			return figure{}, 0, err
		}
		same, all, _ := Packages(a, b)
		return figure{same, all}, 256, nil
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

// Fleet gives all kinds of production hosts, the farthest from stage first. It grows with distinct sets, not with hosts.
func (d *Drifts) Fleet(ctx context.Context) ([]Kind, error) {
	if err := d.catchUp(ctx); err != nil {
		return nil, err
	}
	type key struct{ release, set string }
	staged, kinds := map[string][]string{}, map[key]*Kind{}
	d.mu.Lock()
	for _, h := range d.of {
		if h.Environment == stage {
			if !slices.Contains(staged[h.Release], h.SetDigest) {
				staged[h.Release] = append(staged[h.Release], h.SetDigest)
			}
			continue
		}
		k := kinds[key{h.Release, h.SetDigest}]
		if k == nil {
			k = &Kind{Release: h.Release, Host: h.HostID}
			kinds[key{h.Release, h.SetDigest}] = k
		}
		k.Hosts, k.Host = k.Hosts+1, min(k.Host, h.HostID)
	}
	d.mu.Unlock()
	all := make([]Kind, 0, len(kinds))
	for of, k := range kinds {
		for _, s := range staged[of.release] {
			f, err := d.compare(ctx, s, of.set)
			if err != nil {
				return nil, err
			}
			k.Percent = max(k.Percent, f.percent())
		}
		all = append(all, *k)
	}
	slices.SortFunc(all, func(a, b Kind) int { return cmp.Or(cmp.Compare(a.Percent, b.Percent), cmp.Compare(a.Host, b.Host)) })
	return all, nil
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
