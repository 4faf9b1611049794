package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

func newHostCommand() *cobra.Command {
	return noun("host", "Hosts: enrol, list, look at", newHostEnrol(), newHostList(), newHostShow(), newHostPackages(),
		newHostProcesses(), newHostSources(), newHostStates(), newHostUnmatched(), newHostRetire(), newHostSilences(), newHostDrift())
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
	c.Flags().StringVar(&in.Host, "host", "", "ID of a host enrolled before (reinstalled, or cloned), instead of a name: it keeps its ID and history")
	c.Flags().IntVar(&in.Hours, "hours", 1, "how long the line is good")
	return c
}

func newHostList() *cobra.Command {
	by := newFilter("q", "environment", "release", "state", "zone", "owner", "unit", "criticality", "exposure", "group")
	c := verb("list", "All hosts", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (h v1.Hosts, err error) {
		return h, c.get(ctx, "/hosts"+by.query(), &h)
	}, func(w io.Writer, h v1.Hosts) {
		t := newTable("HOST", "NAME", "ENVIRONMENT", "RELEASE", "STATE", "LAST SEEN", "EXECUTOR", "ALARM")
		for _, h := range h.Hosts {
			t.add(h.ID, h.Name, h.Environment, h.Release, hostState(h), h.LastSeen, yes(h.CanExecute()), h.Alarm)
		}
		t.print(w)
	})
	by.flags(c)
	return c
}

// filter is the query of a list, as flags.
type filter map[string]*string

func newFilter(names ...string) filter {
	f := filter{}
	for _, name := range names {
		f[name] = new(string)
	}
	return f
}

func (f filter) flags(c *cobra.Command) {
	for name, value := range f {
		c.Flags().StringVar(value, name, "", "only those with this "+name)
	}
}

func (f filter) query() string {
	q := url.Values{}
	for name, value := range f {
		if *value != "" {
			q.Set(name, *value)
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

func newHostUnmatched() *cobra.Command {
	return verb("unmatched", "Records without a host, hosts without a record, other environments", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (u estate.Unmatched, err error) {
			return u, c.get(ctx, "/unmatched", &u)
		}, func(w io.Writer, u estate.Unmatched) {
			t := newTable("WHAT", "NAME", "ID", "NOTE")
			for _, r := range u.Records {
				note := ""
				for _, h := range r.Suggested {
					note += "perhaps " + h.Name + " " + h.ID + " (same " + strings.Join(h.Because, ", ") + ") "
				}
				t.add("record without host", r.Hostname, r.ID, note)
			}
			for _, h := range u.Hosts {
				t.add("host without record", h.Name, h.ID, "calls itself "+h.ReportedName)
			}
			for _, d := range u.Environment {
				t.add("other environment", d.Name, d.Host, "the host enforces "+d.Is+", the record says "+d.Says)
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
			{"trust root version", h.TrustRootVersion}, {"agent", h.AgentVersion}, {"the agent takes", agentCost(h.Cost)},
			{"its own alarm", h.Alarm}, {"serial number", h.Serial}, {"addresses", strings.Join(h.Addresses, " ")}} {
			t.add(f[0], f[1])
		}
		for _, path := range slices.Sorted(maps.Keys(h.Roots)) {
			r := h.Roots[path]
			t.add("root "+path, fmt.Sprintf("%s %s, package set %s, file state %s, %d old copies, %d copies, orders may change it: %s",
				r.Distribution, r.Release, r.PackageSet, h.Trees[path], r.Lagging, r.Copies, yes(r.Changeable)))
		}
		t.print(w)
	})
}

func newHostStates() *cobra.Command {
	return verb("states HOST", "The newest file states of a host", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (s v1.FileStates, err error) {
			return s, c.get(ctx, "/hosts/"+segment(args[0])+"/states", &s)
		}, func(w io.Writer, all v1.FileStates) {
			t := newTable("FIRST REPORTED", "TREE", "SHA-256")
			for _, s := range all.States {
				t.add(s.FirstAt, s.Tree, s.Digest)
			}
			t.print(w)
		})
}

func hostState(h estate.Host) string {
	switch {
	case !h.RetiredAt.IsZero():
		return "retired"
	case !h.ClonedAt.IsZero():
		return "cloned"
	case !h.SilentAt.IsZero():
		return "silent since " + h.SilentAt.UTC().Format(time.RFC3339)
	case h.LastSeen.IsZero():
		return "enrolled"
	}
	return "active"
}

func agentCost(c wire.Cost) string {
	if c.Seconds == 0 {
		return "not told"
	}
	return fmt.Sprintf("%.1f MiB resident, %.2f %% of a core in %s", c.MiB(), c.Percent(), time.Duration(c.Seconds)*time.Second)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
