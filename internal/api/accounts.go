package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/once"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// accounts: what lets people and their programs in, and the clocks beside the trust root.
func (d *door) accounts() {
	serve(d, operation{"sessions", http.MethodGet, "/sessions", "One's own sessions", staff.OwnAccount}, d.ownSessions)
	serve(d, operation{"end-session", http.MethodDelete, "/sessions/{id}", "End a session of one's own", staff.OwnAccount}, d.endOwnSession)
	serve(d, operation{"tokens", http.MethodGet, "/tokens", "One's own tokens", staff.OwnAccount}, d.ownTokens)
	create(d, operation{"make-token", http.MethodPost, "/tokens", "Make a token for a program", staff.MakeToken}, once.Secret, d.makeToken)
	serve(d, operation{"end-token", http.MethodDelete, "/tokens/{id}", "Revoke a token of one's own", staff.OwnAccount}, d.endOwnToken)
	serve(d, operation{"new-passkey", http.MethodPost, "/passkeys/registration", "Begin to register a passkey", staff.RegisterKey}, d.newPasskey)
	serve(d, operation{"register-passkey", http.MethodPost, "/passkeys", "Offer a passkey for the next trust root", staff.RegisterKey},
		d.registerPasskey)
	serve(d, operation{"drop-passkey", http.MethodDelete, "/passkeys/{id}", "Take back a passkey that waits", staff.OwnAccount}, d.dropPasskey)
	serve(d, operation{"pending-keys", http.MethodGet, "/people/pending-keys", "The passkeys that wait for the next trust root",
		staff.Read}, d.pendingKeys)
	serve(d, operation{"accounts", http.MethodGet, "/accounts", "The people with their clocks", staff.SeeAccounts}, d.listAccounts)
	serve(d, operation{"all-sessions", http.MethodGet, "/accounts/sessions", "Everyone's sessions", staff.SeeAccounts}, d.allSessions)
	serve(d, operation{"all-tokens", http.MethodGet, "/accounts/tokens", "Everyone's tokens", staff.SeeAccounts}, d.allTokens)
	serve(d, operation{"end-persons-session", http.MethodDelete, "/accounts/{person}/sessions/{id}", "End a session of a person",
		staff.EndSessions}, d.endSession)
	serve(d, operation{"end-persons-token", http.MethodDelete, "/accounts/{person}/tokens/{id}", "Revoke a token of a person",
		staff.EndSessions}, d.endToken)
	serve(d, operation{"give-notice", http.MethodPost, "/accounts/{id}/notice", "Say that a person leaves: the account is off at once",
		staff.GiveNotice}, d.giveNotice)
	serve(d, operation{"withdraw-notice", http.MethodPost, "/accounts/{id}/notice/withdrawal", "Take back a notice that was a mistake",
		staff.GiveNotice}, d.withdrawNotice)
	serve(d, operation{"review-account", http.MethodPost, "/accounts/{id}/reviews", "Say that a person's roles and keys are right",
		staff.ReviewAccount}, d.reviewAccount)
}

// ceremony is how long a browser may take to ask an authenticator.
const ceremony = 5 * time.Minute

func credentials(ids [][]byte) []v1.Credential {
	all := make([]v1.Credential, len(ids))
	for i, id := range ids {
		all[i] = v1.Credential{Type: "public-key", ID: base64.RawURLEncoding.EncodeToString(id)}
	}
	return all
}

func (d *door) ownSessions(ctx context.Context, s staff.Session, _ *struct{}) (v1.Sessions, error) {
	all, err := d.Staff.Sessions(ctx, s.Person.ID)
	return v1.Sessions{Sessions: list(all)}, err
}

func (d *door) allSessions(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Sessions, error) {
	all, err := d.Staff.Sessions(ctx, "")
	return v1.Sessions{Sessions: list(all)}, err
}

func (d *door) endOwnSession(ctx context.Context, s staff.Session, in *Named) (none, error) {
	return none{}, d.Staff.EndSession(ctx, s.Person.ID, s.Person.ID, in.ID)
}

type ofPerson struct {
	Named
	Person string `path:"person" maxLength:"100"`
}

func (d *door) endSession(ctx context.Context, s staff.Session, in *ofPerson) (none, error) {
	return none{}, d.Staff.EndSession(ctx, s.Person.ID, in.Person, in.ID)
}

func (d *door) ownTokens(ctx context.Context, s staff.Session, _ *struct{}) (v1.Tokens, error) {
	all, err := d.Staff.Tokens(ctx, s.Person.ID)
	return v1.Tokens{Tokens: list(all)}, err
}

func (d *door) allTokens(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Tokens, error) {
	all, err := d.Staff.Tokens(ctx, "")
	return v1.Tokens{Tokens: list(all)}, err
}

func (d *door) makeToken(ctx context.Context, s staff.Session, in *v1.NewToken) (v1.MadeToken, error) {
	secret, token, err := d.Staff.MakeToken(ctx, s, in.Name, in.Actions, time.Duration(in.Days)*24*time.Hour)
	return v1.MadeToken{Secret: secret, Token: token}, err
}

func (d *door) endOwnToken(ctx context.Context, s staff.Session, in *Named) (none, error) {
	return none{}, d.Staff.EndToken(ctx, s.Person.ID, s.Person.ID, in.ID)
}

func (d *door) endToken(ctx context.Context, s staff.Session, in *ofPerson) (none, error) {
	return none{}, d.Staff.EndToken(ctx, s.Person.ID, in.Person, in.ID)
}

func (d *door) newPasskey(ctx context.Context, s staff.Session, _ *struct{}) (v1.Registration, error) {
	r, err := d.Staff.NewPasskey(ctx, s)
	const es256 = -7 // the one kind of passkey that hosts verify
	return v1.Registration{
		Challenge: r.Challenge, RP: v1.RelyingParty{ID: r.RPID, Name: "Patchwarrant"},
		User:             v1.User{ID: base64.RawURLEncoding.EncodeToString(r.User), Name: s.Person.ID, DisplayName: s.Person.Name},
		PubKeyCredParams: []v1.CredentialParam{{Type: "public-key", Alg: es256}}, ExcludeCredentials: credentials(r.Exclude),
		AuthenticatorSelection: v1.Selection{UserVerification: "required", ResidentKey: "discouraged"},
		Attestation:            "direct", Timeout: ceremony.Milliseconds(),
	}, err
}

func (d *door) registerPasskey(ctx context.Context, s staff.Session, in *struct{ Body v1.NewPasskey }) (staff.Passkey, error) {
	response, err := json.Marshal(in.Body.Credential)
	if err != nil {
		return staff.Passkey{}, fault.New(fault.Invalid, "credential: %w", err)
	}
	return d.Staff.RegisterPasskey(ctx, s, in.Body.Challenge, in.Body.Name, response)
}

func (d *door) dropPasskey(ctx context.Context, s staff.Session, in *Named) (none, error) {
	return none{}, d.Staff.DropPasskey(ctx, s.Person.ID, in.ID)
}

func (d *door) pendingKeys(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Passkeys, error) {
	all, err := d.Staff.PendingKeys(ctx)
	return v1.Passkeys{Passkeys: list(all)}, err
}

func (d *door) listAccounts(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Accounts, error) {
	root, err := d.Staff.CurrentRoot(ctx)
	if err != nil {
		return v1.Accounts{}, err
	}
	all, err := d.Staff.Accounts(ctx)
	return v1.Accounts{TrustRoot: root.Version, Accounts: list(all)}, err
}

func (d *door) giveNotice(ctx context.Context, s staff.Session, in *because) (none, error) {
	return none{}, d.Staff.GiveNotice(ctx, s.Person.ID, in.ID, in.Body.Reason)
}

func (d *door) withdrawNotice(ctx context.Context, s staff.Session, in *because) (none, error) {
	return none{}, d.Staff.WithdrawNotice(ctx, s.Person.ID, in.ID, in.Body.Reason)
}

type accountReview struct {
	Named
	Body v1.AccountReview
}

func (d *door) reviewAccount(ctx context.Context, s staff.Session, in *accountReview) (none, error) {
	return none{}, d.Staff.Review(ctx, s.Person.ID, in.ID, in.Body.TrustRoot, in.Body.Comment)
}
