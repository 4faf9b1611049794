package server

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

// standings joins what rules of the policy ask about hosts: the estate knows the environment, the inventory the rest. It
// follows both by what changed.
type standings struct {
	estate  *estate.Estate
	records *record.Records

	mu            sync.RWMutex
	hosts, record int64 // the last changes seen
	version       int   // how often any changed
	environment   map[string]string
	recorded      map[string]deadline.Standing // by host
	linked        map[string]string            // host by record, and record by host
	groups        map[string][]string          // by host, sorted; of the memberships last seen
	memberships   *map[string]estate.Membership
}

// Standings implements deadline.Standings.
func (s *standings) Standings(ctx context.Context) (of func(string) deadline.Standing, version int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.environment == nil {
		s.environment, s.recorded, s.linked = map[string]string{}, map[string]deadline.Standing{}, map[string]string{}
	}
	hosts, upTo, err := s.estate.HostSets(ctx, s.hosts)
	if err != nil {
		return nil, 0, err
	}
	for _, h := range hosts {
		s.environment[h.HostID] = h.Environment
	}
	s.hosts = upTo
	records, upTo, err := s.records.Since(ctx, s.record)
	if err != nil {
		return nil, 0, err
	}
	for _, r := range records {
		s.take(r)
	}
	s.record = upTo
	regrouped, err := s.regroup(ctx)
	if err != nil {
		return nil, 0, err
	}
	if len(hosts)+len(records) > 0 || regrouped {
		s.version++
	}
	return s.of, s.version, nil
}

// regroup follows who is in which group.
func (s *standings) regroup(ctx context.Context) (changed bool, err error) {
	now, err := s.estate.Members(ctx)
	if err != nil || now == s.memberships {
		return false, err
	}
	last := s.memberships
	if s.memberships = now; last != nil && maps.EqualFunc(*now, *last, func(a, b estate.Membership) bool { return maps.Equal(a.Hosts, b.Hosts) }) {
		return false, nil
	}
	s.groups = map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(*now)) {
		for host := range (*now)[name].Hosts {
			s.groups[host] = append(s.groups[host], name)
		}
	}
	return true, nil
}

// take follows one record, which may have been linked to another host before, to which another record is linked now, or dropped.
func (s *standings) take(r record.Record) {
	if before := s.linked[r.ID]; s.linked[before] == r.ID {
		delete(s.recorded, before)
		delete(s.linked, before)
	}
	delete(s.linked, r.ID)
	if r.Host == "" || !r.DroppedAt.IsZero() {
		return
	}
	s.linked[r.ID], s.linked[r.Host] = r.Host, r.ID
	s.recorded[r.Host] = deadline.Standing{Zone: r.Zone, Exposure: r.Exposure, Criticality: r.Criticality, Unit: r.Unit}
}

// of takes a host, or a root of one: its ID and then a path.
func (s *standings) of(host string) deadline.Standing {
	host, _, _ = strings.Cut(host, "/")
	s.mu.RLock()
	defer s.mu.RUnlock()
	standing := s.recorded[host]
	standing.Environment, standing.Groups = s.environment[host], s.groups[host]
	return standing
}
