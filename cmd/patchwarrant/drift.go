package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/drift"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

func newHostDrift() *cobra.Command {
	c := verb("drift HOST", "A production host beside its stage twin: the share of packages that are the same, and what differs", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (d drift.Drift, err error) {
			return d, c.get(ctx, "/hosts/"+segment(args[0])+"/drift", &d)
		}, func(w io.Writer, d drift.Drift) {
			if d.Twin == "" {
				say(w, "no stage host of its release has reported: nothing on stage stands for it")
				return
			}
			say(w, "%.1f %%: %d of %d packages are those of stage host %s", d.Percent, d.Same, d.Packages, orderview.Clean(d.TwinName))
			t := newTable("WHAT", "NAME", "STAGE", "PRODUCTION")
			for _, x := range d.Differences {
				t.add(x.What, x.Name, x.Stage, x.Production)
			}
			t.print(w)
		})
	c.AddCommand(verb("all", "Production by distinct package sets, the farthest from stage first", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (d v1.Drift, err error) {
			return d, c.get(ctx, "/drift", &d)
		}, func(w io.Writer, d v1.Drift) {
			t := newTable("PERCENT", "HOSTS", "RELEASE", "ONE OF THEM")
			for _, k := range d.Kinds {
				t.add(fmt.Sprintf("%.1f", k.Percent), k.Hosts, k.Release, k.Host)
			}
			t.print(w)
		}))
	return c
}
