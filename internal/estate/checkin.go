package estate

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// event is an act about a host, before it is written.
type event struct {
	kind   string
	detail map[string]any
	more   int64 // that it tells at once, beside itself
	fact   any   // what is too much for an act, which cites it; nil: nothing
}

func errCloned() error {
	return fault.Refuse(wire.Cloned, "this host's counter went back: two machines use its identity, or it was restored from a copy; enrol it again")
}

// facts are a check-in's digests with what the server reads in them.
type facts struct {
	packages  map[string]int  // by the digest of a set that is not known yet
	inventory *wire.Inventory // nil: the same as before
	roots     map[string]HostRoot
}

// CheckIn takes over what a host says. It gives the host as it now is and the digests whose bytes the server lacks; while
// there are any, contact is kept but the facts wait. Refused with CLONED when the counter does not grow, and with QUOTA where a host
// floods the record, see DailyNews.
func (e *Estate) CheckIn(ctx context.Context, hostID string, c wire.CheckIn) (host Host, need []string, err error) {
	need, err = e.lacking(ctx, c)
	if err != nil {
		return Host{}, nil, err
	}
	defer e.beats.turn(hostID)()
	if host, err = e.Host(ctx, hostID); err != nil {
		return Host{}, nil, err
	}
	var f *facts
	if len(need) == 0 {
		if f, err = e.read(ctx, c, host); err != nil {
			return Host{}, nil, err
		}
	}
	now := e.Now()
	before := host
	var events []event
	if host, events = before.hear(c, f, now); len(events) == 0 && isHeartbeat(before, host) {
		if e.beats.keep(host) {
			err = e.Flush(ctx)
		}
	} else {
		if host.ClonedAt.IsZero() {
			err = e.news.Take(hostID, news(before, host, events), now)
		}
		if err == nil {
			host, err = e.take(ctx, hostID, c, f, now)
		}
	}
	if err == nil && !host.RetiredAt.IsZero() {
		err = errRetired()
	} else if err == nil && !host.ClonedAt.IsZero() {
		err = errCloned()
	}
	return host, need, err
}

// take writes what a check-in brings.
func (e *Estate) take(ctx context.Context, hostID string, c wire.CheckIn, f *facts, now time.Time) (host Host, err error) {
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		before, err := loadHost(ctx, tx, hostID)
		if err != nil {
			return err
		}
		e.beats.apply(&before)
		var events []event
		host, events = before.hear(c, f, now)
		if err := saveHost(ctx, tx, host); err != nil {
			return err
		}
		if err := keepFileStates(ctx, tx, before, host, now); err != nil {
			return err
		}
		if f != nil {
			for digest, packages := range f.packages {
				if err := saveSet(ctx, tx, digest, packages, now); err != nil {
					return err
				}
			}
		}
		for _, v := range events {
			facts, err := e.keep(ctx, v)
			if err != nil {
				return err
			}
			if err := e.act(ctx, tx, v.kind, subject(hostID), subject(hostID), v.detail, facts...); err != nil {
				return err
			}
		}
		return nil
	})
	return host, err
}

// keep gives the digest of an event's fact, if it has one.
func (e *Estate) keep(ctx context.Context, v event) ([]string, error) {
	if v.fact == nil {
		return nil, nil
	}
	b, err := envelope.Encode(v.fact)
	if err != nil {
		return nil, err
	}
	digest, err := blob.PutBytes(ctx, e.Blobs, b)
	return []string{digest}, err
}

// hear decides what a check-in makes of a host, and which acts it is worth.
func (h Host) hear(c wire.CheckIn, f *facts, now time.Time) (Host, []event) {
	if !h.ClonedAt.IsZero() || !h.RetiredAt.IsZero() {
		return h, nil
	}
	if c.Counter <= h.Counter {
		h.ClonedAt = now
		return h, []event{{kind: "host.cloned", detail: map[string]any{"counter": c.Counter, "expected_over": h.Counter}}}
	}
	var events []event
	if !h.SilentAt.IsZero() {
		events = append(events, event{kind: "host.returned", detail: map[string]any{"silent_at": h.SilentAt, "last_seen": h.LastSeen}})
	}
	if c.ReportKey != h.SeenReportKey {
		events = append(events, event{kind: "host.report-key-changed", detail: map[string]any{"registered": h.ReportKey, "seen": c.ReportKey}})
	}
	if c.Log.Size < h.Log.Size {
		events = append(events, event{kind: "host.log-went-back", detail: map[string]any{"size": c.Log.Size, "before": h.Log.Size}})
	}
	if c.Alarm != h.Alarm {
		events = append(events, event{kind: "host.alarm-changed", detail: map[string]any{"alarm": c.Alarm, "before": h.Alarm}})
	}
	h.Counter, h.LastSeen, h.SilentAt = c.Counter, now, time.Time{}
	h.SeenReportKey, h.Log, h.Alarm = c.ReportKey, c.Log, c.Alarm
	h.TrustRootVersion, h.AgentVersion, h.Cost = c.TrustRootVersion, c.AgentVersion, c.Cost
	if c.ScannedAt.Before(now) && c.ScannedAt.After(h.ScannedAt) { // a host's clock is its own
		h.ScannedAt = c.ScannedAt.UTC().Truncate(time.Microsecond)
	}
	if c.ClockJump != 0 {
		events = append(events, event{kind: "host.clock-jumped", detail: map[string]any{"seconds": c.ClockJump}})
	}
	if f != nil {
		events = append(events, h.rootEvents(c, f)...)
		h.Origins, h.Roots = c.Origins, f.roots
		h.FactsAt, h.PackageSet, h.Inventory, h.Trees = now, c.PackageSet, c.Inventory, maps.Clone(c.Trees)
	}
	if f != nil && f.inventory != nil {
		i := f.inventory
		h.ReportedName, h.Distribution, h.Release, h.Arch = i.Hostname, i.Distribution, i.ReleaseName(), i.Arch
		h.KernelRunning, h.KernelVersion = i.Kernel.Running, i.Kernel.Version
		h.RebootRequired, h.IndexAt = i.RebootRequired, i.IndexAt
		h.Serial, h.Addresses = i.Hardware.Serial, i.Addresses
	}
	return h, events
}

// lacking gives the digests of a check-in whose bytes are not here.
func (e *Estate) lacking(ctx context.Context, c wire.CheckIn) ([]string, error) {
	all := append(slices.Collect(maps.Values(c.Trees)), c.PackageSet, c.Inventory)
	if c.Origins != "" {
		all = append(all, c.Origins)
	}
	for _, r := range c.Roots {
		all = append(all, r.PackageSet, r.Inventory)
		if r.Origins != "" {
			all = append(all, r.Origins)
		}
	}
	if c.Spooled != nil {
		for _, s := range c.Spooled.States {
			all = append(all, s.PackageSet, s.Inventory)
		}
	}
	slices.Sort(all)
	return e.Missing(ctx, slices.Compact(all))
}

// Missing gives those of the digests whose bytes are not here.
func (e *Estate) Missing(ctx context.Context, digests []string) ([]string, error) {
	var missing []string
	for _, d := range digests {
		has, err := e.Blobs.Has(ctx, d)
		if err != nil {
			return nil, err
		}
		if !has {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

// read reads what a check-in names, but for what the host is known to have.
func (e *Estate) read(ctx context.Context, c wire.CheckIn, known Host) (*facts, error) {
	f := &facts{packages: map[string]int{}}
	if c.Inventory != known.Inventory {
		i, err := e.InventoryOf(ctx, c.Inventory)
		if err != nil {
			return nil, fault.New(fault.Invalid, "inventory: %w", err)
		}
		f.inventory = &i
	}
	if err := e.readOrigins(ctx, c.Origins, known.Origins, c.PackageSet); err != nil {
		return nil, err
	}
	for path, r := range c.Roots {
		was := known.Roots[path]
		root := HostRoot{PackageSet: r.PackageSet, Origins: r.Origins, Inventory: r.Inventory, Distribution: was.Distribution, Release: was.Release,
			Arch: was.Arch, Lagging: was.Lagging, Copies: was.Copies, Changeable: was.Changeable}
		if r.Inventory != was.Inventory {
			i, err := e.InventoryOf(ctx, r.Inventory)
			if err != nil {
				return nil, fault.New(fault.Invalid, "inventory of a root: %w", err)
			}
			root.Distribution, root.Release, root.Arch = i.Distribution, i.ReleaseName(), i.Arch
			root.Lagging, root.Copies, root.Changeable = len(i.Lagging), len(i.Copies), i.Changeable
		}
		if err := e.readOrigins(ctx, r.Origins, was.Origins, r.PackageSet); err != nil {
			return nil, err
		}
		if f.roots == nil {
			f.roots = map[string]HostRoot{}
		}
		f.roots[path] = root
		if r.PackageSet != was.PackageSet {
			if err := e.count(ctx, r.PackageSet, f); err != nil {
				return nil, err
			}
		}
	}
	if c.PackageSet == known.PackageSet {
		return f, nil
	}
	return f, e.count(ctx, c.PackageSet, f)
}

// readOrigins checks origins that are new: they are of the set they come with.
func (e *Estate) readOrigins(ctx context.Context, digest, known, set string) error {
	if digest == "" || digest == known {
		return nil
	}
	o, err := e.OriginsOf(ctx, digest)
	if err == nil && o.PackageSet != set {
		err = fault.New(fault.Invalid, "they are of another package set")
	}
	if err != nil {
		return fault.New(fault.Invalid, "origins: %w", err)
	}
	return nil
}

// rootEvents are the acts that a change of roots is worth, and a spool that was told.
func (h Host) rootEvents(c wire.CheckIn, f *facts) []event {
	var events []event
	for _, path := range slices.Sorted(maps.Keys(h.Roots)) {
		if _, there := f.roots[path]; !there {
			events = append(events, event{kind: "host.root-gone", detail: map[string]any{"root": path, "package_set": h.Roots[path].PackageSet}})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(f.roots)) {
		if _, known := h.Roots[path]; !known {
			events = append(events, event{kind: "host.root-reported", detail: map[string]any{"root": path}})
		}
		if n := f.roots[path].Lagging; n > h.Roots[path].Lagging {
			events = append(events, event{kind: "host.copies-lag", detail: map[string]any{"root": path, "files": n}})
		}
	}
	if c.Spooled != nil {
		n := len(c.Spooled.States)
		events = append(events, event{kind: "host.caught-up", detail: map[string]any{"states": n, "dropped": c.Spooled.Dropped}, more: int64(n), fact: c.Spooled})
	}
	return events
}

// count reads a package set that was not seen before.
func (e *Estate) count(ctx context.Context, digest string, f *facts) error {
	known := false
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		known, err = knownSet(ctx, tx, digest)
		return err
	})
	if err != nil || known {
		return err
	}
	set, err := e.PackageSet(ctx, digest)
	if err != nil {
		return fault.New(fault.Invalid, "package set: %w", err)
	}
	f.packages[digest] = len(set)
	return nil
}

// Silence is the sweep that makes silence a finding: hosts not seen for longer than allowed count as silent, with
// one act each.
func (e *Estate) Silence(ctx context.Context) error {
	if err := e.Flush(ctx); err != nil {
		return err
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		now := e.Now()
		quiet, err := loadQuiet(ctx, tx, now.Add(-e.Silent))
		if err != nil {
			return err
		}
		for _, h := range quiet {
			if e.beats.apply(&h); !h.LastSeen.Before(now.Add(-e.Silent)) {
				continue // heard since the heartbeats were written
			}
			h.SilentAt = now
			if err := saveHost(ctx, tx, h); err != nil {
				return err
			}
			if err := e.act(ctx, tx, "host.silent", subject(h.ID), "server", map[string]any{"last_seen": h.LastSeen}); err != nil {
				return err
			}
		}
		return nil
	})
}
