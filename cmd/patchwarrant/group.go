package main

import (
	"context"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

func newGroupCommand() *cobra.Command {
	return noun("group", "Groups of hosts by condition: list, save, drop, show", newGroupList(), newGroupSave(), newGroupDrop(), newGroupShow())
}

func newGroupList() *cobra.Command {
	return verb("list", "All groups", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (g v1.Groups, err error) {
		return g, c.get(ctx, "/groups", &g)
	}, func(w io.Writer, g v1.Groups) {
		t := newTable("GROUP", "HOSTS", "CONDITION", "NOTE")
		for _, g := range g.Groups {
			t.add(g.Name, g.Hosts, g.Expression, g.Note)
		}
		t.print(w)
	})
}

func newGroupSave() *cobra.Command {
	var in v1.GroupDefinition
	var c *cobra.Command
	c = verb("save GROUP --condition EXPRESSION", "Make a group, or change what is named of one", cobra.ExactArgs(1),
		func(ctx context.Context, client *client, args []string) (g group.Group, err error) {
			var now v1.Group
			return g, client.put(ctx, "/groups/"+segment(args[0]), &now, func() (any, error) {
				if !c.Flags().Changed("condition") {
					in.Expression = now.Expression
				}
				if !c.Flags().Changed("note") {
					in.Note = now.Note
				}
				return in, nil
			}, &g)
		}, func(w io.Writer, g group.Group) {
			say(w, "saved %s; its hosts: patchwarrant host list --group %s", orderview.Clean(g.Name), orderview.Clean(g.Name))
		})
	c.Flags().StringVar(&in.Expression, "condition", "", `such as 'zone == "dmz" && criticality in ["high", "critical"]'`)
	c.Flags().StringVar(&in.Note, "note", "", "what it is for")
	return c
}

func newGroupDrop() *cobra.Command {
	return verb("drop GROUP", "Forget a group", cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (struct{}, error) {
		return struct{}{}, c.call(ctx, http.MethodDelete, "/groups/"+segment(args[0]), nil, nil)
	}, func(w io.Writer, _ struct{}) { say(w, "dropped") })
}

func newGroupShow() *cobra.Command {
	return verb("show GROUP", "One group", cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (g v1.Group, err error) {
		return g, c.get(ctx, "/groups/"+segment(args[0]), &g)
	}, func(w io.Writer, g v1.Group) {
		t := newTable("FIELD", "VALUE")
		for _, f := range [][2]any{{"group", g.Name}, {"condition", g.Expression}, {"note", g.Note}, {"hosts", g.Hosts}, {"cannot be evaluated for", g.Failed},
			{"changed by", g.ChangedBy}, {"changed", g.ChangedAt}} {
			t.add(f[0], f[1])
		}
		t.print(w)
	})
}
