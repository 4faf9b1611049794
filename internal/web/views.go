package web

import (
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/savedview"
)

// viewsBar is the saved views of a list beside what the request filters by.
type viewsBar struct {
	List, Query string // Query is canonical; empty: no filter
	All         []savedview.View
	Saved       bool   // one of them is shown
	Own         string // ID of the visitor's own that is shown, or empty
}

func (s *site) viewsOf(v *visit, list string) (viewsBar, error) {
	bar := viewsBar{List: list}
	var err error
	if bar.Query, err = savedview.Canonical(v.r.URL.RawQuery); err != nil {
		bar.Query = "" // nothing that could be saved
	}
	if bar.All, err = s.Views.List(v.r.Context(), v.me(), list); err != nil {
		return bar, err
	}
	for _, x := range bar.All {
		if x.Query == bar.Query {
			bar.Saved = true
			if x.Person == v.me() {
				bar.Own = x.ID
			}
		}
	}
	return bar, nil
}

func (s *site) saveView(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	x, err := s.Views.Save(v.r.Context(), savedview.View{Person: v.me(), List: form.Get("list"), Name: form.Get("name"), Query: form.Get("query"),
		Shared: form.Get("shared") == "yes"})
	if err != nil {
		return err
	}
	return v.see("/"+x.List+"?"+x.Query, "")
}

func (s *site) dropView(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	list := form.Get("list")
	if !slices.Contains(savedview.Lists, list) {
		return fault.New(fault.Invalid, "say which list the view is of")
	}
	if err := s.Views.Drop(v.r.Context(), v.me(), v.r.PathValue("id")); err != nil {
		return err
	}
	return v.see("/"+list, "")
}
