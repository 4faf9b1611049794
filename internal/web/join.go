package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/setup"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// joinBody is what someone sees who was invited to the first trust root.
type joinBody struct {
	Invitation string // its secret, before it is used
	Step       int
	Me         setup.Candidate
	setup.State
	Passkeys  bool // the server has a name that they can be for
	Line      string
	LineEnds  time.Time
	HasSigned bool
	At        string
}

// join is where an invitation leads. Looking at it uses nothing up.
func (s *site) join(v *visit) error {
	if secret := v.r.URL.Query().Get("invitation"); secret != "" {
		return v.show(http.StatusOK, "join", "You are invited", joinBody{Invitation: secret})
	}
	there, err := v.rootThere()
	if err != nil {
		return err
	}
	if there {
		return v.see("/setup", "")
	}
	if err := v.admit(staff.JoinTrustRoot); err != nil {
		return err
	}
	return s.showJoin(v, "", time.Time{})
}

func (s *site) showJoin(v *visit, line string, ends time.Time) error {
	body, err := s.joinBody(v)
	if err != nil {
		return err
	}
	body.Line, body.LineEnds = line, ends
	return v.show(http.StatusOK, "join", "The first trust root", body)
}

func (s *site) joinBody(v *visit) (body joinBody, err error) {
	body.Step, body.Passkeys = 1, s.Staff.Passkeys.RPID != ""
	if body.State, err = s.Setup.Load(v.r.Context()); err != nil {
		return body, err
	}
	var named bool
	if body.Me, named = body.Candidate(v.me()); !named {
		return body, fault.New(fault.NotFound, "you are not among the people of this trust root any more: ask who invited you")
	}
	if body.Draft != nil {
		body.Step = 2
		body.HasSigned = slices.ContainsFunc(body.Draft.Signed, func(d setup.Signed) bool { return d.Person == v.me() })
	}
	body.At, err = mark(body.State)
	return body, err
}

func (s *site) joinProgress(v *visit) error {
	body, err := s.joinBody(v)
	if err != nil {
		return err
	}
	return v.progress("/join", "join", "progress", body, steps[body.Step-1], body.At)
}

func (s *site) useInvitation(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	token, _, err := s.Staff.UseInvitation(v.r.Context(), form.Get("invitation"), address(v.r))
	if err != nil {
		return err
	}
	v.setCookie(invitedCookie, token, 0)
	return v.see("/join", "")
}

func (s *site) handInKeys(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	if err := s.Setup.HandIn(v.r.Context(), v.me(), form.Get("keys")); err != nil {
		return err
	}
	return v.see("/join", "kept")
}

func (s *site) joinPasskey(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	_, err = s.Staff.RegisterPasskey(v.r.Context(), v.session, form.Get("challenge"), form.Get("name"), []byte(form.Get("response")))
	if err != nil {
		return err
	}
	return v.see("/join", "kept")
}

func (s *site) dropJoinPasskey(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	if err := s.Staff.DropPasskey(v.r.Context(), v.me(), form.Get("key")); err != nil {
		return err
	}
	return v.see("/join", "over")
}

// joinLine makes the line by which the command line fetches the document and brings the signature. It is shown once.
func (s *site) joinLine(v *visit) error {
	secret, expires, err := s.Setup.Invite(v.r.Context(), v.session, v.me())
	if err != nil {
		return err
	}
	return s.showJoin(v, "patchwarrant trust-root join --server https://"+v.r.Host+" --ca "+s.Estate.CA.Hash()+" --invitation "+secret, expires)
}
