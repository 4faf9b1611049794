package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

func newHostCommand() *cobra.Command {
	return noun("host", "Hosts: enrol, list, look at", newHostEnrol(), newHostList(), newHostShow())
}

func newHostEnrol() *cobra.Command {
	in := v1.Enrolment{}
	c := verb("enrol --name NAME --environment ENV", "Make the line that root runs on a new host, once", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (line v1.EnrolmentLine, err error) {
			return line, c.post(ctx, "/enrolments", in, &line)
		}, func(w io.Writer, line v1.EnrolmentLine) {
			say(w, "%s\n# good once, until %s; it carries a secret", orderview.Clean(line.Line), moment(line.ExpiresAt))
		})
	c.Flags().StringVar(&in.Name, "name", "", "name of the new host")
	c.Flags().StringVar(&in.Environment, "environment", "", "stage, production, …")
	c.Flags().StringVar(&in.Host, "host", "", "ID of a host enrolled before, instead of a name")
	c.Flags().IntVar(&in.Hours, "hours", 1, "how long the line is good")
	return c
}

func newHostList() *cobra.Command {
	return verb("list", "All hosts", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (h v1.Hosts, err error) {
		return h, c.get(ctx, "/hosts", &h)
	}, func(w io.Writer, h v1.Hosts) {
		t := newTable("HOST", "NAME", "ENVIRONMENT", "RELEASE", "STATE", "LAST SEEN", "EXECUTOR", "ALARM")
		for _, h := range h.Hosts {
			t.add(h.ID, h.Name, h.Environment, h.Release, hostState(h), h.LastSeen, yes(h.CanExecute()), h.Alarm)
		}
		t.print(w)
	})
}

func newHostShow() *cobra.Command {
	return verb("show HOST", "One host", cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (h estate.Host, err error) {
		return h, c.get(ctx, "/hosts/"+segment(args[0]), &h)
	}, func(w io.Writer, h estate.Host) {
		t := newTable("FIELD", "VALUE")
		for _, f := range [][2]any{{"host", h.ID}, {"name", h.Name}, {"says it is", h.ReportedName}, {"environment", h.Environment},
			{"state", hostState(h)}, {"enrolled", h.EnrolledAt}, {"last seen", h.LastSeen}, {"facts of", h.FactsAt},
			{"distribution", h.Distribution + " " + h.Release + " " + h.Arch}, {"kernel running", h.KernelVersion},
			{"reboot required", yes(h.RebootRequired)}, {"package index of", h.IndexAt}, {"package set", h.PackageSet},
			{"file state of /", h.Trees["/"]}, {"can be offered work", yes(h.CanExecute())}, {"ledger size seen", h.Log.Size},
			{"trust root version", h.TrustRootVersion}, {"agent", h.AgentVersion}, {"its own alarm", h.Alarm}} {
			t.add(f[0], f[1])
		}
		t.print(w)
	})
}

func hostState(h estate.Host) string {
	switch {
	case !h.ClonedAt.IsZero():
		return "cloned"
	case !h.SilentAt.IsZero():
		return "silent since " + h.SilentAt.UTC().Format(time.RFC3339)
	case h.LastSeen.IsZero():
		return "enrolled"
	}
	return "active"
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
