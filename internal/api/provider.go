package api

import (
	"context"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
)

// providers: logins by way of somebody else who says who people are.
func (d *door) providers() {
	open(d, operation{"providers", http.MethodGet, "/login/providers", "The OpenID providers by name", ""}, d.listProviders)
	open(d, operation{"begin-login", http.MethodPost, "/login/providers/{id}", "Begin a login at a provider", ""}, d.beginAt)
	open(d, operation{"finish-login", http.MethodPost, "/login/providers/{id}/answer", "Hand in what the browser brought back", ""}, d.loginBy)
}

func (d *door) listProviders(context.Context, *struct{}) (v1.Providers, error) {
	out := v1.Providers{Providers: []string{}}
	for _, p := range d.Staff.Providers {
		out.Providers = append(out.Providers, p.Name())
	}
	return out, nil
}

func (d *door) beginAt(ctx context.Context, in *Named) (v1.BegunLogin, error) {
	url, binding, err := d.Staff.BeginAt(ctx, in.ID)
	return v1.BegunLogin{URL: url, Binding: binding}, err
}

type brought struct {
	Named
	Body v1.BroughtBack
}

func (d *door) loginBy(ctx context.Context, in *brought) (v1.LoggedIn, error) {
	token, s, err := d.Staff.LoginBy(ctx, in.ID, in.Body.Binding, in.Body.State, in.Body.Code, callerOf(ctx).from)
	return v1.LoggedIn{Token: token, Whoami: whoami(s)}, err
}
