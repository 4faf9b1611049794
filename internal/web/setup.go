package web

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

type setupBody struct {
	Link     string // the secret of the bootstrap link, before it is used
	Identity string // what the first trust root says about the server
}

// setup is where the bootstrap link leads. Looking at it uses nothing up: mail scanners look, too.
func (s *site) setup(v *visit) error {
	if link := v.r.URL.Query().Get("link"); link != "" {
		return v.show(http.StatusOK, "setup", "Set up", setupBody{Link: link})
	}
	if err := v.admit(staff.InstallTrustRoot); err != nil {
		return err
	}
	return v.show(http.StatusOK, "setup", "Set up", setupBody{Identity: s.Identity})
}

func (s *site) useLink(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	token, session, err := s.Staff.UseLink(v.r.Context(), form.Get("link"), address(v.r))
	if err != nil {
		return err
	}
	return v.enter(token, session, "/setup")
}

// installRoot puts the first trust root in force, with which the visitor's session ends.
func (s *site) installRoot(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	var e envelope.Envelope
	if err := json.Unmarshal([]byte(form.Get("envelope")), &e); err != nil {
		return fault.New(fault.Invalid, "that is no trust root: paste the whole file")
	}
	digest := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(form.Get("digest"))), "sha256:")
	if _, err := s.Staff.Install(v.r.Context(), e, digest); err != nil {
		return err
	}
	v.setCookie(sessionCookie, "", -1)
	return v.see("/sign-in", "")
}
