package web

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

type accountBody struct {
	Sessions []staff.OpenSession
	Tokens   []staff.Token
	Pending  []staff.Passkey
	Current  string // ID of the session of this visit
	Scopes   []staff.Action
	Secret   string // of a token just made
	Passkeys bool   // the server has a name that they can be for
}

func (s *site) account(v *visit) error { return s.showAccount(v, "") }

func (s *site) showAccount(v *visit, secret string) error {
	ctx := v.r.Context()
	body := accountBody{Current: v.session.ID, Secret: secret, Passkeys: s.Staff.Passkeys.RPID != "", Scopes: scopes(v.session)}
	var err error
	if body.Sessions, err = s.Staff.Sessions(ctx, v.me()); err != nil {
		return err
	}
	if body.Tokens, err = s.Staff.Tokens(ctx, v.me()); err != nil {
		return err
	}
	pending, err := s.Staff.PendingKeys(ctx)
	if err != nil {
		return err
	}
	body.Pending = slices.DeleteFunc(pending, func(p staff.Passkey) bool { return p.Person != v.me() })
	return v.show(http.StatusOK, "account", "Your account", body)
}

// scopes are what a token of the visitor's can be made for.
func scopes(session staff.Session) (all []staff.Action) {
	for _, a := range []staff.Action{staff.Read, staff.Audit, staff.ImportAdvisories, staff.RefreshMirror, staff.ProposeSnapshot,
		staff.ProposeOrder, staff.Promote, staff.CancelOrder, staff.EnrolHost} {
		token := staff.Session{Person: session.Person, Way: staff.ByToken, Actions: []staff.Action{a}}
		if token.Can(a) {
			all = append(all, a)
		}
	}
	return all
}

func (s *site) endOwnSession(v *visit) error {
	if err := s.Staff.EndSession(v.r.Context(), v.me(), v.me(), v.r.PathValue("id")); err != nil {
		return err
	}
	return v.see("/account", "over")
}

// makeToken shows the secret of a new token, once.
func (s *site) makeToken(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	days, err := strconv.Atoi(form.Get("days"))
	if err != nil || days < 1 {
		return fault.New(fault.Invalid, "say for how many days the token is good")
	}
	var actions []staff.Action
	for _, a := range form["action"] {
		actions = append(actions, staff.Action(a))
	}
	secret, _, err := s.Staff.MakeToken(v.r.Context(), v.session, form.Get("name"), actions, time.Duration(days)*24*time.Hour)
	if err != nil {
		return err
	}
	return s.showAccount(v, secret)
}

func (s *site) endOwnToken(v *visit) error {
	if err := s.Staff.EndToken(v.r.Context(), v.me(), v.me(), v.r.PathValue("id")); err != nil {
		return err
	}
	return v.see("/account", "over")
}

// newPasskey tells the page's script what to ask an authenticator for.
func (s *site) newPasskey(v *visit) error {
	r, err := s.Staff.NewPasskey(v.r.Context(), v.session)
	if err != nil {
		return err
	}
	exclude := []string{}
	for _, id := range r.Exclude {
		exclude = append(exclude, base64.RawURLEncoding.EncodeToString(id))
	}
	v.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(v.w).Encode(struct {
		Challenge string   `json:"challenge"`
		RPID      string   `json:"rp_id"`
		User      string   `json:"user"` // an opaque handle
		Person    string   `json:"person"`
		Name      string   `json:"name"`
		Exclude   []string `json:"exclude"`
	}{r.Challenge, r.RPID, base64.RawURLEncoding.EncodeToString(r.User), v.me(), v.session.Person.Name, exclude})
}

func (s *site) registerPasskey(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	_, err = s.Staff.RegisterPasskey(v.r.Context(), v.session, form.Get("challenge"), form.Get("name"), []byte(form.Get("response")))
	if err != nil {
		return err
	}
	return v.see("/account", "registered")
}

func (s *site) dropPasskey(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	if err := s.Staff.DropPasskey(v.r.Context(), v.me(), form.Get("key")); err != nil {
		return err
	}
	return v.see("/account", "over")
}
