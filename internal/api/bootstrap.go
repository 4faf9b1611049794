package api

import (
	"context"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// bootstrap: the way in before there is a trust root, and never after.
func (d *door) bootstrap() {
	open(d, operation{"use-bootstrap-link", http.MethodPost, "/login/link", "Open the bootstrap link, once", ""}, d.useLink)
	serve(d, operation{"identity", http.MethodGet, "/bootstrap", "What the first trust root says about the server",
		staff.InstallTrustRoot}, d.identity)
	serve(d, operation{"install-trust-root", http.MethodPost, "/bootstrap/trust-root", "Put the first trust root in force",
		staff.InstallTrustRoot}, d.install)
}

func (d *door) useLink(ctx context.Context, in *struct{ Body v1.Link }) (v1.LoggedIn, error) {
	token, s, err := d.Staff.UseLink(ctx, in.Body.Secret, callerOf(ctx).from)
	return v1.LoggedIn{Token: token, Whoami: whoami(s)}, err
}

func (d *door) identity(context.Context, staff.Session, *struct{}) (v1.Identity, error) {
	return d.Identity, nil
}

func (d *door) install(ctx context.Context, _ staff.Session, in *struct{ Body v1.FirstTrustRoot }) (v1.TrustRoot, error) {
	r, err := d.Staff.Install(ctx, in.Body.Envelope, in.Body.SHA256)
	if err != nil {
		return v1.TrustRoot{}, err
	}
	return trustRoot(r), nil
}
