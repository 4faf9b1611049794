package api

import (
	"context"
	"encoding/base64"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// people: logins, and the trust root.
func (d *door) people() {
	open(d, operation{"challenge", http.MethodPost, "/login/challenge", "Ask for a challenge to log in with", ""}, d.challenge)
	open(d, operation{"login", http.MethodPost, "/login", "Answer a challenge", ""}, d.login)
	serve(d, operation{"logout", http.MethodDelete, "/session", "End the session", staff.OwnAccount}, d.logout)
	serve(d, operation{"whoami", http.MethodGet, "/whoami", "Who the session belongs to", staff.Read}, d.whoami)
	serve(d, operation{"trust-roots", http.MethodGet, "/trust-roots", "The chain of trust roots", staff.Read}, d.trustRoots)
	serve(d, operation{"advance-trust-root", http.MethodPost, "/trust-roots", "Put the next trust root in force",
		staff.AdvanceTrustRoot}, d.advance)
}

func (d *door) challenge(ctx context.Context, in *struct{ Body v1.Person }) (v1.Challenge, error) {
	c, err := d.Staff.Challenge(ctx, in.Body.Person)
	return challengeOf(c), err
}

func (d *door) login(ctx context.Context, in *struct{ Body v1.Login }) (v1.LoggedIn, error) {
	token, s, err := d.Staff.Login(ctx, in.Body.Person, in.Body.Challenge, in.Body.Signature, callerOf(ctx).from)
	return v1.LoggedIn{Token: token, Whoami: whoami(s)}, err
}

func (d *door) logout(ctx context.Context, s staff.Session, _ *struct{}) (none, error) {
	return none{}, d.Staff.Logout(ctx, s)
}

func (d *door) whoami(_ context.Context, s staff.Session, _ *struct{}) (v1.Whoami, error) {
	return whoami(s), nil
}

func whoami(s staff.Session) v1.Whoami {
	return v1.Whoami{Session: s.ID, Person: s.Person.ID, Name: s.Person.Name, Roles: list(s.Person.Roles), Way: s.Way, Key: s.KeyID,
		Actions: list(s.Reach()), MadeAt: s.MadeAt.UTC(), ExpiresAt: s.ExpiresAt}
}

func challengeOf(c staff.Challenge) v1.Challenge {
	out := v1.Challenge{Challenge: c.Challenge, Origin: c.Origin, ExpiresAt: c.ExpiresAt}
	if p := c.Passkey; p != nil {
		out.Passkey = &v1.PasskeyRequest{Challenge: base64.RawURLEncoding.EncodeToString(p.Challenge), RPID: p.RPID,
			AllowCredentials: credentials(p.Credentials), UserVerification: "required", Timeout: ceremony.Milliseconds()}
	}
	return out
}

type sinceVersion struct {
	Since int64 `query:"since" minimum:"1" default:"1" doc:"the first version wanted"`
}

func (d *door) trustRoots(ctx context.Context, _ staff.Session, in *sinceVersion) (v1.TrustRoots, error) {
	roots, err := d.Staff.Roots(ctx, in.Since)
	return v1.TrustRoots{Roots: list(roots)}, err
}

func (d *door) advance(ctx context.Context, s staff.Session, in *struct{ Body envelope.Envelope }) (v1.TrustRoot, error) {
	r, err := d.Staff.Advance(ctx, s.Person.ID, in.Body)
	if err != nil {
		return v1.TrustRoot{}, err
	}
	return trustRoot(r), nil
}

func trustRoot(r *trustroot.Root) v1.TrustRoot {
	return v1.TrustRoot{Version: r.Version, SHA256: r.Digest(), ExpiresAt: r.ExpiresAt}
}
