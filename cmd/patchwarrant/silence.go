package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/silence"
)

func newHostSilences() *cobra.Command {
	return verb("silences", "Clocks of hosts that ran out, the worst first", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (s v1.Silences, err error) {
			return s, c.get(ctx, "/silences?limit=1000", &s)
		}, func(w io.Writer, s v1.Silences) {
			t := newTable("HOST", "NAME", "CLOCK", "LAST HEARD", "ALARMED", "ESCALATED")
			for _, s := range s.Silences {
				t.add(s.Host, s.Name, string(s.Clock), s.Since, s.AlarmedAt, s.EscalatedAt)
			}
			t.print(w)
		})
}

func newHealthCommand() *cobra.Command {
	return verb("health", "What is wrong with the server itself, and the last planted vulnerability", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (h silence.Health, err error) {
			return h, c.get(ctx, "/health", &h)
		}, func(w io.Writer, h silence.Health) {
			t := newTable("WHAT", "SINCE", "WHY")
			for _, a := range h.Ails {
				t.add(a.What, a.Since, a.Why)
			}
			t.print(w)
			if c := h.Canary; c.ID != "" {
				say(w, "planted %s on %s at %s; found: %s", c.ID, c.Host, moment(c.PlantedAt), moment(c.FoundAt))
			}
		})
}
