package web

import (
	"net/http"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/group"
)

type groupsBody struct {
	Groups []group.Group
	estate.Facets
	Fields []string
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
	return v.show(http.StatusOK, "groups", "Groups", groupsBody{all, n, group.Language.Fields()})
}

func (s *site) saveGroup(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	_, err = s.Groups.Save(v.r.Context(), v.me(), group.Group{Name: form.Get("name"), Expression: form.Get("expression"), Note: form.Get("note")})
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
