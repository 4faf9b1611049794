package change

import (
	"context"
	"fmt"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// plan sets the environment and the stage evidence and works out the transactions.
func (c *Changes) plan(ctx context.Context, o *Order, p Proposal) (rollout.Plan, error) {
	var of Order
	if p.Kind != Stage {
		var err error
		if of, err = c.Get(ctx, p.Of); err != nil {
			return rollout.Plan{}, err
		}
	}
	switch p.Kind {
	case Stage:
		o.Environment = "stage"
	case Production:
		promoted, err := c.Curation.Channel(ctx, "production")
		if err != nil {
			return rollout.Plan{}, fmt.Errorf("channel production: %w", err)
		}
		if err := follows(of, p.Snapshot, promoted); err != nil {
			return rollout.Plan{}, err
		}
		o.Environment = "production"
		o.Stage = &warrant.StageRef{Order: of.ID, Manifest: of.Manifest}
		if err := c.acknowledge(ctx, o, p.Acknowledge); err != nil {
			return rollout.Plan{}, err
		}
	case BackOut:
		if err := undoable(of); err != nil {
			return rollout.Plan{}, err
		}
		o.Environment = of.Environment
	}
	hosts, err := c.hosts(ctx, o.Environment, p.Roots || p.Kind == BackOut)
	if err != nil {
		return rollout.Plan{}, fmt.Errorf("hosts of %s: %w", o.Environment, err)
	}
	if hosts, err = chosen(hosts, p.Hosts, o.Environment); err != nil {
		return rollout.Plan{}, err
	}
	return c.transactions(ctx, p, of, hosts)
}

// transactions works out what an order does on its hosts; of is the order it follows or undoes.
func (c *Changes) transactions(ctx context.Context, p Proposal, of Order, hosts []rollout.HostPackages) (rollout.Plan, error) {
	packages, err := c.Curation.Packages(ctx, p.Snapshot)
	if err != nil {
		return rollout.Plan{}, fmt.Errorf("packages of snapshot %s: %w", p.Snapshot, err)
	}
	var plan rollout.Plan
	var undone []warrant.Transaction
	if p.Kind == BackOut {
		undone = of.Transactions
		plan, err = rollout.PlanBackOut(undone, hosts, packages)
	} else {
		plan, err = rollout.PlanTransactions(hosts, packages)
	}
	if err != nil {
		return plan, err
	}
	contents := func(deb string) (explain.Contents, error) { return c.Integrity.Contents(ctx, deb) }
	return plan.Follow(hosts, packages, contents, undone)
}

// acknowledge puts what stage showed beyond the packages, and the proposer's word on it, into what people sign.
func (c *Changes) acknowledge(ctx context.Context, o *Order, word string) error {
	m, err := c.Integrity.Manifest(ctx, o.Stage.Manifest)
	if err != nil {
		return fmt.Errorf("manifest of order %s: %w", o.Stage.Order, err)
	}
	said, err := acknowledged(m, word)
	if said != "" {
		o.Reason += "\n" + said
	}
	return err
}

// hosts gives those of an environment that can be offered work and have said what they have, and with roots also what those of
// their other roots have in which an order may change something, copies among it: by the host's own policy, and of the host's own
// release, for a snapshot is of one.
func (c *Changes) hosts(ctx context.Context, environment string, roots bool) ([]rollout.HostPackages, error) {
	all, err := c.Estate.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	var some []rollout.HostPackages
	sets := map[string]pkgset.Set{}
	add := func(host, root, arch, digest string) error {
		set, ok := sets[digest]
		if !ok {
			if set, err = c.Estate.PackageSet(ctx, digest); err != nil {
				return fmt.Errorf("packages of host %s: %w", host, err)
			}
			sets[digest] = set
		}
		some = append(some, rollout.HostPackages{ID: host, Root: root, Arch: arch, Packages: set})
		return nil
	}
	for _, h := range all {
		if h.Environment != environment || !h.CanExecute() || h.PackageSet == "" {
			continue
		}
		if err := add(h.ID, "", h.Arch, h.PackageSet); err != nil {
			return nil, err
		}
		for path, r := range h.Roots {
			if !roots || !r.Changeable || r.Distribution != h.Distribution || r.Release != h.Release {
				continue
			}
			if err := add(h.ID, path, r.Arch, r.PackageSet); err != nil {
				return nil, err
			}
			if r.Lagging+r.Copies == 0 {
				continue
			}
			i, err := c.Estate.InventoryOf(ctx, r.Inventory)
			if err != nil {
				return nil, fmt.Errorf("copies in root %s of host %s: %w", path, h.ID, err)
			}
			some[len(some)-1].Copies = slices.Concat(i.Lagging, i.Copies)
		}
	}
	return some, nil
}

func chosen(hosts []rollout.HostPackages, names []string, environment string) ([]rollout.HostPackages, error) {
	if len(names) == 0 {
		return hosts, nil
	}
	var some []rollout.HostPackages
	for _, n := range names {
		i := slices.IndexFunc(hosts, func(h rollout.HostPackages) bool { return h.ID == n })
		if i < 0 {
			return nil, fault.New(fault.NotFound, "host %s is not in environment %s, or cannot be offered work", n, environment)
		}
		for ; i < len(hosts) && hosts[i].ID == n; i++ { // its roots stand together
			some = append(some, hosts[i])
		}
	}
	return some, nil
}
