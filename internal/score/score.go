// Package score says how the owners, units and zones of hosts stand: what is open with each, worst first.
package score

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// Card is what is open with one owner, unit or zone. A vulnerability leaves it when the fix is observed on the last of its hosts:
// no decision takes it off.
type Card struct {
	Name            string `json:"name"` // empty: hosts of which no record says it
	Hosts           int    `json:"hosts"`
	Findings        int    `json:"findings"`
	Vulnerabilities int    `json:"vulnerabilities"` // distinct
	Undecided       int    `json:"undecided"`       // of those
	Exploited       int    `json:"exploited"`       // of those
	Overdue         int    `json:"overdue"`         // of those, a clock ran out
}

// By are the properties that there are cards by.
var By = []string{"owner", "unit", "zone"}

var properties = map[string]estate.Property{"owner": estate.ByOwner, "unit": estate.ByUnit, "zone": estate.ByZone}

// Triage tells what affects which hosts.
type Triage interface {
	Vulnerabilities(ctx context.Context) (triage.View, error)
	Shares(ctx context.Context, of func(host string) string, sets ...map[string]bool) (map[string]*verdict.Share, error)
}

// Estate tells a property of every host, by ID; the same pointer while none changed.
type Estate interface {
	Values(ctx context.Context, p estate.Property) (*map[string]string, error)
}

// Deadlines tells which vulnerabilities have a clock that ran out.
type Deadlines interface {
	Overdue(ctx context.Context) (map[string]bool, error)
}

// Scores makes the cards.
type Scores struct {
	triage    Triage
	estate    Estate
	deadlines Deadlines

	mu   sync.Mutex
	last map[string]made // by property
}

// made is what cards were made of.
type made struct {
	version triage.Version
	values  *map[string]string
	shares  map[string]*verdict.Share
	overdue map[string]bool
}

// New makes Scores.
func New(t Triage, e Estate, d Deadlines) *Scores {
	return &Scores{triage: t, estate: e, deadlines: d, last: map[string]made{}}
}

// Cards gives all cards by a property, the most findings first. One that is not in By is Invalid.
func (s *Scores) Cards(ctx context.Context, by string) ([]Card, error) {
	property, known := properties[by]
	if !known {
		return nil, fault.New(fault.Invalid, "scores are by %s", strings.Join(By, ", "))
	}
	view, err := s.triage.Vulnerabilities(ctx)
	if err != nil {
		return nil, err
	}
	values, err := s.estate.Values(ctx, property)
	if err != nil {
		return nil, err
	}
	overdue, err := s.deadlines.Overdue(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.last[by]
	if m.shares == nil || m.version != view.Version || m.values != values || !sameSet(m.overdue, overdue) {
		m = made{version: view.Version, values: values, overdue: overdue}
		undecided, exploited := sets(view)
		m.shares, err = s.triage.Shares(ctx, func(place string) string {
			host, _ := verdict.HostOf(place)
			return (*values)[host]
		}, undecided, exploited, overdue)
		if err != nil {
			return nil, err
		}
		s.last[by] = m
	}
	return cards(m.shares), nil
}

func sets(view triage.View) (undecided, exploited map[string]bool) {
	undecided, exploited = map[string]bool{}, map[string]bool{}
	for i := range view.Rows {
		r := &view.Rows[i]
		undecided[r.Name], exploited[r.Name] = len(r.Decisions) == 0, r.Exploited != nil
	}
	return undecided, exploited
}

func cards(shares map[string]*verdict.Share) []Card {
	all := make([]Card, 0, len(shares))
	for name, s := range shares {
		all = append(all, Card{name, s.Hosts, s.Findings, s.Vulnerabilities, s.Of[0], s.Of[1], s.Of[2]})
	}
	slices.SortFunc(all, func(a, b Card) int { return cmp.Or(cmp.Compare(b.Findings, a.Findings), cmp.Compare(a.Name, b.Name)) })
	return all
}

func sameSet(a, b map[string]bool) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return true
}
