package api

import (
	"context"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// groups: hosts by condition.
func (d *door) groups() {
	serve(d, operation{"groups", http.MethodGet, "/groups", "All groups of hosts, with the number of their hosts", staff.Read}, d.listGroups)
	serve(d, operation{"group", http.MethodGet, "/groups/{id}", "One group", staff.Read}, d.group)
	serve(d, operation{"save-group", http.MethodPut, "/groups/{id}", "Make a group, or change its condition", staff.EditRecord}, d.saveGroup)
	serve(d, operation{"drop-group", http.MethodDelete, "/groups/{id}", "Forget a group", staff.EditRecord}, d.dropGroup)
}

func (d *door) listGroups(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Groups, error) {
	all, err := d.Groups.List(ctx)
	if err != nil {
		return v1.Groups{}, err
	}
	counts, err := d.Estate.Facets(ctx, estate.Filter{})
	out := v1.Groups{Groups: []v1.Group{}, Fields: group.Language.Fields()}
	for _, g := range all {
		out.Groups = append(out.Groups, v1.Group{Group: g, Hosts: counts.Groups[g.Name], Failed: counts.Failed[g.Name]})
	}
	return out, err
}

func (d *door) group(ctx context.Context, _ staff.Session, in *Named) (v1.Group, error) {
	g, err := d.Groups.Get(ctx, in.ID)
	if err != nil {
		return v1.Group{}, err
	}
	counts, err := d.Estate.Facets(ctx, estate.Filter{})
	return v1.Group{Group: g, Hosts: counts.Groups[g.Name], Failed: counts.Failed[g.Name]}, err
}

func (d *door) saveGroup(ctx context.Context, s staff.Session, in *struct {
	Saved
	Body v1.GroupDefinition
}) (group.Group, error) {
	from, err := base(d, in.IfMatch, func() (v1.Group, error) { return d.group(ctx, s, &in.Named) })
	if err != nil {
		return group.Group{}, err
	}
	return d.Groups.Save(ctx, s.Person.ID, group.Group{Name: in.ID, Expression: in.Body.Expression, Note: in.Body.Note, ChangedAt: from.ChangedAt})
}

func (d *door) dropGroup(ctx context.Context, s staff.Session, in *Named) (none, error) {
	return none{}, d.Groups.Drop(ctx, s.Person.ID, in.ID)
}
