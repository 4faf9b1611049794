package api

import (
	"context"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/once"
	"github.com/patchwarrant/patchwarrant/internal/savedview"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// views: filters of lists with a name.
func (d *door) views() {
	serve(d, operation{"views", http.MethodGet, "/views", "One's own saved views, and those shared with all", staff.Read}, d.listViews)
	create(d, operation{"save-view", http.MethodPost, "/views", "Save a view; one's own of the same list and name is replaced", staff.SaveView},
		once.Answer, d.saveView)
	serve(d, operation{"drop-view", http.MethodDelete, "/views/{id}", "Drop one of one's own views", staff.SaveView}, d.dropView)
}

type chosenViews struct {
	List string `query:"list" enum:"vulnerabilities,hosts,changes" doc:"only of this list"`
}

func (d *door) listViews(ctx context.Context, s staff.Session, in *chosenViews) (v1.Views, error) {
	all, err := d.Views.List(ctx, s.Person.ID, in.List)
	return v1.Views{Views: list(all)}, err
}

func (d *door) saveView(ctx context.Context, s staff.Session, in *v1.NewView) (savedview.View, error) {
	return d.Views.Save(ctx, savedview.View{Person: s.Person.ID, List: in.List, Name: in.Name, Query: in.Query, Shared: in.Shared})
}

func (d *door) dropView(ctx context.Context, s staff.Session, in *Named) (none, error) {
	return none{}, d.Views.Drop(ctx, s.Person.ID, in.ID)
}
