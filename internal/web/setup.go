package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/setup"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// setupBody is the first half of the guided set-up: people, then signatures.
type setupBody struct {
	Link     string // the secret of the bootstrap link, before it is used
	Step     int    // from 1
	Identity string // what the first trust root says about the server
	setup.State
	Warnings, Missing []string
	Roles             []string
	Invited           *invited // just now; shown once
	At                string   // changes with what the live part shows
}

type invited struct {
	setup.Candidate
	Address   string
	ExpiresAt time.Time
}

// steps of the guided set-up, for its head.
var steps = []string{"People", "Signatures", "Upstream", "First host", "Findings"}

func (p *page) Steps() []string { return steps }

// StepName gives the name of a step, which counts from 1.
func (p *page) StepName(n int) string { return steps[n-1] }

// rootThere reports whether a trust root is in force.
func (v *visit) rootThere() (bool, error) {
	_, err := v.root()
	if fault.KindOf(err) == fault.Unavailable {
		return false, nil
	}
	return err == nil, err
}

// setup is where the bootstrap link leads, and where the set-up goes on for who signed in after it. Looking at the link
// uses nothing up: mail scanners look, too.
func (s *site) setup(v *visit) error {
	if link := v.r.URL.Query().Get("link"); link != "" {
		return v.show(http.StatusOK, "setup", "Set up", setupBody{Link: link})
	}
	there, err := v.rootThere()
	if err != nil {
		return err
	}
	if there {
		if err := v.admit(staff.Read); err != nil {
			return err
		}
		return s.beginWork(v)
	}
	if err := v.admit(staff.InstallTrustRoot); err != nil {
		return err
	}
	return s.showSetup(v, nil)
}

func (s *site) showSetup(v *visit, who *invited) error {
	body, err := s.setupBody(v)
	if err != nil {
		return err
	}
	body.Invited = who
	return v.show(http.StatusOK, "setup", "Set up: "+strings.ToLower(steps[body.Step-1]), body)
}

func (s *site) setupBody(v *visit) (body setupBody, err error) {
	body = setupBody{Identity: s.Identity, Step: 1, Roles: trustroot.Roles()}
	if body.State, err = s.Setup.Load(v.r.Context()); err != nil {
		return body, err
	}
	body.Warnings, body.Missing = body.State.Warnings(), body.State.Missing()
	if body.Draft != nil {
		body.Step = 2
	}
	body.At, err = mark(body.State)
	return body, err
}

// mark changes with the state.
func mark(state any) (string, error) {
	b, err := json.Marshal(state)
	return envelope.Digest(b)[:16], err
}

// progress answers a live part: with the block if what it shows changed, and by leading to another page if the step did.
func (v *visit) progress(to, page, block string, body any, step, at string) error {
	q := v.r.URL.Query()
	switch {
	case q.Get("step") != step:
		v.w.Header().Set("HX-Redirect", to)
	case q.Get("at") != at:
		return v.showPart(page, block, body)
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *site) setupProgress(v *visit) error {
	body, err := s.setupBody(v)
	if err != nil {
		return err
	}
	return v.progress("/setup", "setup", "candidates", body, steps[body.Step-1], body.At)
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

func (s *site) organise(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	if err := s.Setup.Organise(v.r.Context(), strings.TrimSpace(form.Get("organisation"))); err != nil {
		return err
	}
	return v.see("/setup", "kept")
}

func (s *site) nameCandidate(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	c := setup.Candidate{ID: strings.TrimSpace(form.Get("id")), Name: strings.TrimSpace(form.Get("name")),
		Mail: strings.TrimSpace(form.Get("mail")), Roles: form["role"]}
	if err := s.Setup.Propose(v.r.Context(), c); err != nil {
		return err
	}
	return v.see("/setup", "kept")
}

func (s *site) dropCandidate(v *visit) error {
	if err := s.Setup.Drop(v.r.Context(), v.r.PathValue("id")); err != nil {
		return err
	}
	return v.see("/setup", "over")
}

// invite shows a candidate's invitation, once.
func (s *site) invite(v *visit) error {
	state, err := s.Setup.Load(v.r.Context())
	if err != nil {
		return err
	}
	secret, expires, err := s.Setup.Invite(v.r.Context(), v.session, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	c, _ := state.Candidate(v.r.PathValue("id"))
	return s.showSetup(v, &invited{c, "https://" + v.r.Host + "/join?invitation=" + secret, expires})
}

func (s *site) makeDocument(v *visit) error {
	if _, err := s.Setup.Make(v.r.Context()); err != nil {
		return err
	}
	return v.see("/setup", "")
}

func (s *site) takeBackDocument(v *visit) error {
	if err := s.Setup.TakeBack(v.r.Context()); err != nil {
		return err
	}
	return v.see("/setup", "")
}

// installRoot puts a first trust root in force that was made by the command line alone.
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
