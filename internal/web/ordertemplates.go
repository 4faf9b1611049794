package web

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

type templatesBody struct {
	Templates    []change.Template
	Placeholders []string
	Weekdays     []string
	Staged       []change.Order // closed stage orders, the newest first
	New          change.Template
	Chosen       change.Template // to be changed
}

// newTemplate is what the form of a new one begins with.
var newTemplate = change.Template{Zone: "UTC", Stage: change.Slot{At: "22:00", Hours: 4}, Production: change.Slot{At: "22:00", Hours: 4},
	Reason: "Routine patches: {vulnerabilities}"}

func (s *site) templates(v *visit) error {
	ctx := v.r.Context()
	all, err := s.Changes.Templates(ctx)
	if err != nil {
		return err
	}
	body := templatesBody{Templates: all, Placeholders: change.Placeholders, Weekdays: change.Weekdays, New: newTemplate}
	if i := slices.IndexFunc(all, func(t change.Template) bool { return t.Name == v.r.URL.Query().Get("change") }); i >= 0 {
		body.Chosen = all[i]
	}
	orders, err := s.Changes.List(ctx, ordersPage)
	if err != nil {
		return err
	}
	for _, o := range orders {
		if o.Kind == change.Stage && o.State == change.Closed {
			body.Staged = append(body.Staged, o)
		}
	}
	return v.show(http.StatusOK, "order-templates", "Templates of orders", body)
}

func (s *site) saveTemplate(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	slot := func(kind string) (w change.Slot, err error) {
		w.Weekday, w.At = form.Get(kind+"_weekday"), form.Get(kind+"_at")
		if w.Hours, err = strconv.Atoi(form.Get(kind + "_hours")); err != nil {
			err = fault.New(fault.Invalid, "say how many hours the window on %s is long", kind)
		}
		return w, err
	}
	t := change.Template{Name: form.Get("name"), Zone: form.Get("time_zone"), Reason: form.Get("reason"), Plan: form.Get("plan"),
		BackOut: form.Get("back_out"), Audience: form.Get("audience")}
	if t.ChangedAt, err = changedAt(form); err != nil {
		return err
	}
	if t.Stage, err = slot("stage"); err != nil {
		return err
	}
	if t.Production, err = slot("production"); err != nil {
		return err
	}
	if _, err := s.Changes.SaveTemplate(v.r.Context(), v.me(), t); err != nil {
		return err
	}
	return v.see("/changes/templates", "recorded")
}

func (s *site) dropTemplate(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	if err := s.Changes.DropTemplate(v.r.Context(), v.me(), form.Get("name")); err != nil {
		return err
	}
	return v.see("/changes/templates", "over")
}
