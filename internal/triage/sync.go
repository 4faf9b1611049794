package triage

import (
	"context"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// read runs do over what is stated, installed and decided now. Many read at once; do changes nothing.
func (t *Triage) read(ctx context.Context, do func()) error {
	t.mu.RLock()
	seen, placed, decided, ready := t.knowledge, t.placed, t.decided, t.inForce != nil && t.day == t.Now().UTC().Format(time.DateOnly)
	t.mu.RUnlock()
	known, err := t.Intake.Knowledge(ctx)
	if err != nil {
		return err
	}
	_, upTo, err := t.Estate.HostSets(ctx, placed)
	if err != nil {
		return err
	}
	last, err := t.lastDecision(ctx)
	if err != nil {
		return err
	}
	if !ready || known != seen || upTo != placed || last != decided {
		if err := t.sync(ctx); err != nil {
			return err
		}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	do()
	return nil
}

// sync brings the fleet up to date: what is stated, who has what, and what is decided.
func (t *Triage) sync(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, err := t.Intake.Knowledge(ctx)
	if err != nil {
		return err
	}
	if known != t.knowledge {
		if _, again := t.fleet.Learn(known.Statements); again {
			t.placed = 0
		}
		t.knowledge, t.view = known, nil // signals changed, if nothing else
	}
	now := t.Now().UTC()
	t.fleet.Support(known.Support, now)
	t.day = now.Format(time.DateOnly)
	changed, upTo, err := t.Estate.HostSets(ctx, t.placed)
	if err != nil {
		return err
	}
	t.leave(changed)
	for _, h := range changed {
		if h.SetDigest == "" {
			continue
		}
		foreign, err := t.foreign(ctx, h)
		if err != nil {
			return err
		}
		c := verdict.Class{Release: h.Release, Environment: h.Environment, SetDigest: h.SetDigest, Foreign: foreign,
			Kernel: verdict.Kernel{Release: h.KernelRunning, Version: h.KernelVersion, None: h.Root != ""}}
		err = t.fleet.Place(h.HostID+h.Root, c, func() (pkgset.Set, error) { return t.Estate.PackageSet(ctx, h.SetDigest) })
		if err != nil {
			return err
		}
	}
	t.placed = upTo
	t.fleet.Sort()
	last, err := t.lastDecision(ctx)
	if err != nil || t.inForce != nil && last == t.decided {
		return err
	}
	all, err := t.current(ctx)
	if err == nil {
		t.inForce, t.decided = append([]PastDecision{}, all...), last
	}
	return err
}

// leave takes out of the fleet the places of changed hosts that have no package set any more: a host's own, or a root's.
func (t *Triage) leave(changed []estate.HostSet) {
	now := make(map[string]bool, len(changed))
	roots := map[string][]string{}
	for _, h := range changed {
		now[h.HostID+h.Root] = h.SetDigest != ""
		if h.Root != "" {
			roots[h.HostID] = append(roots[h.HostID], h.HostID+h.Root)
		}
	}
	for _, h := range changed {
		if h.Root != "" {
			continue
		}
		for _, place := range append(t.roots[h.HostID], h.HostID) {
			if now[place] {
				continue
			}
			if had, was := t.fleet.Remove(place); was {
				t.departed[had]++
			}
		}
		if delete(t.roots, h.HostID); len(roots[h.HostID]) > 0 {
			t.roots[h.HostID] = roots[h.HostID]
		}
	}
}

// hostCount counts hosts, however many roots each has.
func (t *Triage) hostCount() int {
	n := t.fleet.Len()
	for _, places := range t.roots {
		n -= len(places)
	}
	return n
}

// mostOrigins bounds how many hosts' origins are remembered.
const mostOrigins = 200_000

// foreign gives Class.Foreign of a place.
func (t *Triage) foreign(ctx context.Context, h estate.HostSet) (string, error) {
	if h.Origins == "" {
		return "", nil
	}
	if known, ok := t.foreigners[h.Origins]; ok {
		return known, nil
	}
	o, err := t.Origins(ctx, h.Origins)
	if err != nil || o.PackageSet != h.SetDigest {
		return "", err
	}
	text, err := verdict.Foreign(o, func() (pkgset.Set, error) { return t.Estate.PackageSet(ctx, h.SetDigest) })
	if err != nil {
		return "", err
	}
	if len(t.foreigners) >= mostOrigins {
		clear(t.foreigners)
	}
	t.foreigners[h.Origins] = text
	return text, nil
}
