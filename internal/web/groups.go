package web

import (
	"net/http"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/group"
)

type groupsBody struct {
	Groups []group.Group
	estate.Facets
	Fields []string
	Chosen group.Group // to be changed
}

func (s *site) groups(v *visit) error {
	ctx := v.r.Context()
	all, err := s.Groups.List(ctx)
	if err != nil {
		return err
	}
	n, err := s.Estate.Facets(ctx, estate.Filter{})
	if err != nil {
		return err
	}
	body := groupsBody{Groups: all, Facets: n, Fields: group.Language.Fields()}
	if i := slices.IndexFunc(all, func(g group.Group) bool { return g.Name == v.r.URL.Query().Get("change") }); i >= 0 {
		body.Chosen = all[i]
	}
	return v.show(http.StatusOK, "groups", "Groups", body)
}

func (s *site) saveGroup(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	from, err := changedAt(form)
	if err != nil {
		return err
	}
	_, err = s.Groups.Save(v.r.Context(), v.me(), group.Group{Name: form.Get("name"), Expression: form.Get("expression"), Note: form.Get("note"), ChangedAt: from})
	if err != nil {
		return err
	}
	return v.see("/hosts/groups", "recorded")
}

func (s *site) dropGroup(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	if err := s.Groups.Drop(v.r.Context(), v.me(), form.Get("name")); err != nil {
		return err
	}
	return v.see("/hosts/groups", "over")
}
