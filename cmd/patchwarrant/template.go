package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

func newOrderTemplate() *cobra.Command {
	return noun("template", "Templates of routine orders: list, save, drop, show", newTemplateList(), newTemplateSave(), newTemplateDrop(), newTemplateShow())
}

func newTemplateList() *cobra.Command {
	return verb("list", "All templates", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (t v1.Templates, err error) {
		return t, c.get(ctx, "/order-templates", &t)
	}, func(w io.Writer, all v1.Templates) {
		t := newTable("TEMPLATE", "STAGE", "PRODUCTION", "TIME ZONE", "AUDIENCE")
		for _, x := range all.Templates {
			t.add(x.Name, slotText(x.Stage), slotText(x.Production), x.Zone, x.Audience)
		}
		t.print(w)
	})
}

func newTemplateSave() *cobra.Command {
	var in v1.TemplateDefinition
	var stage, production string
	c := verb("save TEMPLATE --stage 'tuesday 22:00 4' --production 'thursday 22:00 4' --time-zone NAME", "Make a template, or change it",
		cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (t change.Template, err error) {
			if in.Stage, err = slotOf(stage); err != nil {
				return t, err
			}
			if in.Production, err = slotOf(production); err != nil {
				return t, err
			}
			return t, c.call(ctx, http.MethodPut, "/order-templates/"+segment(args[0]), in, &t)
		}, func(w io.Writer, t change.Template) {
			say(w, "saved %s; next: patchwarrant order propose --template %s --snapshot DIGEST", orderview.Clean(t.Name), orderview.Clean(t.Name))
		})
	f := c.Flags()
	f.StringVar(&stage, "stage", "", "weekday, time and hours of the window on stage")
	f.StringVar(&production, "production", "", "weekday, time and hours of the window on production")
	f.StringVar(&in.Zone, "time-zone", "UTC", "whose clocks, such as Europe/Zurich")
	places := "; may name " + strings.Join(change.Placeholders, ", ")
	f.StringVar(&in.Reason, "reason", "", "why"+places)
	f.StringVar(&in.Plan, "plan", "", "course of action and test plan"+places)
	f.StringVar(&in.BackOut, "back-out", "", "how to return"+places)
	f.StringVar(&in.Audience, "notice", "", "audience told of production when stage is proposed")
	for _, name := range []string{"stage", "production", "reason", "plan", "back-out"} {
		c.MarkFlagRequired(name)
	}
	return c
}

// slotOf reads "tuesday 22:00 4".
func slotOf(text string) (s change.Slot, err error) {
	words := strings.Fields(text)
	if len(words) == 3 {
		s.Weekday, s.At = strings.ToLower(words[0]), words[1]
		s.Hours, err = strconv.Atoi(words[2])
	}
	if len(words) != 3 || err != nil {
		return s, fault.New(fault.Invalid, "a window is a weekday, a time and hours, such as 'tuesday 22:00 4'")
	}
	return s, nil
}

func slotText(s change.Slot) string { return fmt.Sprintf("%s %s, %d h", s.Weekday, s.At, s.Hours) }

func newTemplateDrop() *cobra.Command {
	return verb("drop TEMPLATE", "Forget a template; its orders stay", cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (struct{}, error) {
		return struct{}{}, c.call(ctx, http.MethodDelete, "/order-templates/"+segment(args[0]), nil, nil)
	}, func(w io.Writer, _ struct{}) { say(w, "dropped") })
}

func newTemplateShow() *cobra.Command {
	return verb("show TEMPLATE", "One template", cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (t change.Template, err error) {
		return t, c.get(ctx, "/order-templates/"+segment(args[0]), &t)
	}, func(w io.Writer, x change.Template) {
		t := newTable("FIELD", "VALUE")
		for _, f := range [][2]any{{"template", x.Name}, {"stage", slotText(x.Stage)}, {"production", slotText(x.Production)}, {"time zone", x.Zone},
			{"reason", x.Reason}, {"plan", x.Plan}, {"back-out", x.BackOut}, {"notice to", x.Audience}, {"changed by", x.ChangedBy}, {"changed", x.ChangedAt}} {
			t.add(f[0], f[1])
		}
		t.print(w)
	})
}
