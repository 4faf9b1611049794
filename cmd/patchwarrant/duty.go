package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/duty"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

func newDutyCommand() *cobra.Command {
	return noun("duty", "What has no owner: hosts, sources, roles and more of people who left or never were named",
		verb("list", "All of them, of now", cobra.NoArgs,
			func(ctx context.Context, c *client, _ []string) (all v1.Duties, err error) {
				return all, c.get(ctx, "/duties", &all)
			}, func(w io.Writer, all v1.Duties) {
				t := newTable("DUTY", "THINGS", "WHY", "MENDED BY")
				for _, d := range all.Duties {
					t.add(d.Subject, d.Count, d.Why, d.Mend)
				}
				t.print(w)
			}),
		verb("take DUTY", "Own one yourself", cobra.ExactArgs(1),
			func(ctx context.Context, c *client, args []string) (d duty.Duty, err error) {
				return d, c.post(ctx, "/duties/taken", v1.DutySubject{Subject: args[0]}, &d)
			}, func(w io.Writer, d duty.Duty) {
				say(w, "%s is %s's", orderview.Clean(d.Subject), orderview.Clean(d.Owner))
			}))
}
