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
	var stage, production, zone, reason, plan, backOut, audience string
	var c *cobra.Command
	c = verb("save TEMPLATE --stage 'tuesday 22:00 4' --production 'thursday 22:00 4' --time-zone NAME", "Make a template, or change what is named of one",
		cobra.ExactArgs(1), func(ctx context.Context, client *client, args []string) (t change.Template, err error) {
			var now change.Template
			return t, client.put(ctx, "/order-templates/"+segment(args[0]), &now, func() (any, error) {
				in := v1.TemplateDefinition{Zone: now.Zone, Stage: now.Stage, Production: now.Production, Reason: now.Reason, Plan: now.Plan,
					BackOut: now.BackOut, Audience: now.Audience}
				said := func(name string) bool { return now.Name == "" || c.Flags().Changed(name) }
				for name, to := range map[string]struct{ field, text *string }{"time-zone": {&in.Zone, &zone}, "reason": {&in.Reason, &reason},
					"plan": {&in.Plan, &plan}, "back-out": {&in.BackOut, &backOut}, "notice": {&in.Audience, &audience}} {
					if said(name) {
						*to.field = *to.text
					}
				}
				for name, to := range map[string]struct {
					slot *change.Slot
					text string
				}{"stage": {&in.Stage, stage}, "production": {&in.Production, production}} {
					if said(name) {
						if *to.slot, err = slotOf(to.text); err != nil {
							return nil, err
						}
					}
				}
				return in, nil
			}, &t)
		}, func(w io.Writer, t change.Template) {
			say(w, "saved %s; next: patchwarrant order propose --template %s --snapshot DIGEST", orderview.Clean(t.Name), orderview.Clean(t.Name))
		})
	f := c.Flags()
	f.StringVar(&stage, "stage", "", "weekday, time and hours of the window on stage")
	f.StringVar(&production, "production", "", "weekday, time and hours of the window on production")
	f.StringVar(&zone, "time-zone", "UTC", "whose clocks, such as Europe/Zurich")
	places := "; may name " + strings.Join(change.Placeholders, ", ")
	f.StringVar(&reason, "reason", "", "why"+places)
	f.StringVar(&plan, "plan", "", "course of action and test plan"+places)
	f.StringVar(&backOut, "back-out", "", "how to return"+places)
	f.StringVar(&audience, "notice", "", "audience told of production when stage is proposed")
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
