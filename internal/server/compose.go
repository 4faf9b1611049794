package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// composer brings together what a snapshot is made of: curation knows neither decisions nor hosts.
type composer struct {
	triage   *triage.Triage
	estate   *estate.Estate
	curation *curation.Curation
	mirror   *mirror.Mirror
}

// Compose implements api.Composer.
func (c composer) Compose(ctx context.Context, who, release string, decisions, upstreams []string) (curation.Snapshot, error) {
	p := curation.Proposal{Upstreams: upstreams}
	if len(upstreams) == 0 {
		all, err := c.mirror.List(ctx)
		if err != nil {
			return curation.Snapshot{}, fmt.Errorf("compose snapshot: %w", err)
		}
		for _, u := range all {
			p.Upstreams = append(p.Upstreams, u.Name)
		}
	}
	accepted, err := c.triage.Accepted(ctx)
	if err != nil {
		return curation.Snapshot{}, fmt.Errorf("compose snapshot: %w", err)
	}
	if p.Accepted, err = choose(accepted, release, decisions); err != nil {
		return curation.Snapshot{}, fmt.Errorf("compose snapshot: %w", err)
	}
	if p.Sets, err = sets(ctx, c.estate, release); err != nil {
		return curation.Snapshot{}, fmt.Errorf("compose snapshot: %w", err)
	}
	return c.curation.Propose(ctx, who, p)
}

// choose takes the acceptances for a release, of all decisions or of those named, each of which must have one.
func choose(accepted []triage.Accepted, release string, decisions []string) ([]curation.Acceptance, error) {
	var all []curation.Acceptance
	met := map[string]bool{}
	for _, a := range accepted {
		if a.Release == release && (len(decisions) == 0 || slices.Contains(decisions, a.Decision)) {
			met[a.Decision] = true
			all = append(all, curation.Acceptance{Decision: a.Decision, Person: a.Person, Source: a.Source, Version: a.FixedVersion})
		}
	}
	for _, d := range decisions {
		if !met[d] {
			return nil, fault.New(fault.Conflict, "decision %s accepts no fix for %s, or is not in force", d, release)
		}
	}
	return all, nil
}

// sets gives the distinct package sets of a release's hosts.
func sets(ctx context.Context, e *estate.Estate, release string) ([]pkgset.Set, error) {
	hosts, _, err := e.HostSets(ctx, 0)
	if err != nil {
		return nil, err
	}
	hosts = slices.DeleteFunc(hosts, func(h estate.HostSet) bool { return h.Root != "" }) // no order reaches into a chroot
	var all []pkgset.Set
	for _, digest := range digests(hosts, release) {
		set, err := e.PackageSet(ctx, digest)
		if err != nil {
			return nil, err
		}
		all = append(all, set)
	}
	return all, nil
}

// digests gives the distinct package sets of a release's hosts by digest, sorted. A retired host has none.
func digests(hosts []estate.HostSet, release string) []string {
	var all []string
	for _, h := range hosts {
		if h.Release == release && h.SetDigest != "" {
			all = append(all, h.SetDigest)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
