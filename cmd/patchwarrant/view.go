package main

import (
	"context"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/savedview"
)

func newViewCommand() *cobra.Command {
	return noun("view", "Saved views of lists: your own, and those shared with all", newViewList(), newViewSave(), newViewDrop())
}

func newViewList() *cobra.Command {
	return verb("list", "All views that you see", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (v v1.Views, err error) {
		return v, c.get(ctx, "/views", &v)
	}, func(w io.Writer, all v1.Views) {
		t := newTable("VIEW", "LIST", "NAME", "OF", "SHARED", "FILTER")
		for _, v := range all.Views {
			t.add(v.ID, v.List, v.Name, v.Person, yes(v.Shared), v.Query)
		}
		t.print(w)
	})
}

func newViewSave() *cobra.Command {
	var in v1.NewView
	c := verb("save NAME --list LIST --filter QUERY", "Save a view; yours of the same list and name is replaced", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (v savedview.View, err error) {
			in.Name = args[0]
			return v, c.post(ctx, "/views", in, &v)
		}, func(w io.Writer, v savedview.View) { say(w, "%s", orderview.Clean(v.ID)) })
	c.Flags().StringVar(&in.List, "list", "", "vulnerabilities, hosts or changes")
	c.Flags().StringVar(&in.Query, "filter", "", "what follows ? in the address of the page, such as state=silent")
	c.Flags().BoolVar(&in.Shared, "shared", false, "with all")
	c.MarkFlagRequired("list")
	c.MarkFlagRequired("filter")
	return c
}

func newViewDrop() *cobra.Command {
	return verb("drop VIEW", "Drop a view of your own", cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (v struct{}, err error) {
		return v, c.call(ctx, http.MethodDelete, "/views/"+segment(args[0]), nil, nil)
	}, func(w io.Writer, _ struct{}) { say(w, "dropped") })
}
