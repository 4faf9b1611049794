package api

import (
	"context"
	"net/http"
	"strings"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// bootstrap: the way in before there is a trust root, and never after.
func (d *door) bootstrap() {
	open(d, operation{"use-bootstrap-link", http.MethodPost, "/login/link", "Open the bootstrap link, once", ""}, d.useLink)
	serve(d, operation{"identity", http.MethodGet, "/bootstrap", "What the first trust root says about the server",
		staff.InstallTrustRoot}, d.identity)
	serve(d, operation{"install-trust-root", http.MethodPost, "/bootstrap/trust-root", "Put the first trust root in force",
		staff.InstallTrustRoot}, d.install)
	open(d, operation{"use-invitation", http.MethodPost, "/login/invitation", "Open an invitation to the first trust root, once", ""}, d.useInvitation)
	serve(d, operation{"first-draft", http.MethodGet, "/bootstrap/draft", "The first trust root as it is to be signed", staff.JoinTrustRoot}, d.firstDraft)
	serve(d, operation{"sign-first-draft", http.MethodPost, "/bootstrap/signatures", "Hand in a signature under the first trust root",
		staff.JoinTrustRoot}, d.signDraft)
}

func (d *door) useInvitation(ctx context.Context, in *struct{ Body v1.Link }) (v1.LoggedIn, error) {
	token, s, err := d.Staff.UseInvitation(ctx, in.Body.Secret, callerOf(ctx).from)
	return v1.LoggedIn{Token: token, Whoami: whoami(s)}, err
}

func (d *door) firstDraft(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Payload, error) {
	state, err := d.Setup.Load(ctx)
	if err != nil {
		return v1.Payload{}, err
	}
	if state.Draft == nil {
		return v1.Payload{}, fault.New(fault.Conflict, "the document is not made yet: it waits for %s", strings.Join(append(state.Missing(), "the set-up page"), ", "))
	}
	return v1.Payload{PayloadType: trustroot.PayloadType, Payload: state.Draft.Payload, SHA256: state.Draft.SHA256()}, nil
}

func (d *door) signDraft(ctx context.Context, s staff.Session, in *struct{ Body v1.FirstSignature }) (v1.FirstSigned, error) {
	inForce, err := d.Setup.Sign(ctx, s.Person.ID, in.Body.SHA256, in.Body.Signature)
	return v1.FirstSigned{SHA256: in.Body.SHA256, Person: s.Person.ID, Key: in.Body.Signature.KeyID, InForce: inForce}, err
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
