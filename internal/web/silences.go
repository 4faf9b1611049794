package web

import (
	"cmp"
	"context"

	"github.com/patchwarrant/patchwarrant/internal/estate"
)

// mostUnheard bounds how many clocks of hosts Today names; contact has a list of its own there.
const mostUnheard = 8

// clockWords say what a clock is about.
var clockWords = map[estate.Clock]string{estate.Contact: "says nothing", estate.Facts: "does not say what it has", estate.Index: "does not fetch its package index",
	estate.Files: "does not look at its files"}

// unheard are the alarms about what is not heard: of the server itself, of the planted vulnerability, of hosts.
func (s *site) unheard(ctx context.Context) (all []alarm, err error) {
	h, err := s.Health.Health(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range h.Ails {
		all = append(all, alarm{"The server itself: " + a.What, "/ledger?kind=server.", a.Why, a.Since})
	}
	if c := h.Canary; !c.LostAt.IsZero() && c.FoundAt.IsZero() {
		all = append(all, alarm{"The planted vulnerability of " + c.Day + " was not found", "/hosts/" + c.Host,
			"somewhere between this host's agent and the verdict nothing gets through", c.LostAt})
	}
	silences, _, err := s.Silence.Silences(ctx, mostUnheard)
	if err != nil {
		return nil, err
	}
	for _, x := range silences {
		if x.Clock == estate.Contact && x.EscalatedAt.IsZero() {
			continue // stands under the silent hosts
		}
		why := "its clock ran out"
		if !x.EscalatedAt.IsZero() {
			why = "escalated: its second term ended"
		}
		all = append(all, alarm{"Host " + cmp.Or(x.Name, x.Host) + " " + clockWords[x.Clock], "/hosts/" + x.Host, why, x.Since})
	}
	return all, nil
}
