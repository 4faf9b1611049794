package web

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

type signInBody struct {
	To, Person string
	Providers  []string
	Sent       bool   // a form to To was sent before
	Held       string // the form, urlencoded
	Host       string // as the browser knows the server, for the command line
	Begun      bool   // the first trust root just came in force
	NoRoot     bool
	Challenge  string // the rest is for signing with an SSH key
	Command    string
}

func (s *site) signInPage(v *visit) error {
	to := local(v.r.URL.Query().Get("to"))
	if v.r.URL.Query().Get("again") == "" && v.cookie(sessionCookie) != "" && v.admit(staff.Read) == nil {
		return v.see(to, "")
	}
	there, err := v.rootThere()
	if err != nil {
		return err
	}
	body := s.signInBody(v, to)
	body.Begun, body.NoRoot = there && to == "/setup", !there
	return v.show(http.StatusOK, "sign-in", "Sign in", body)
}

func (s *site) signInBody(v *visit, to string) signInBody {
	body := signInBody{To: to, Host: v.r.Host}
	for _, p := range s.Staff.Providers {
		body.Providers = append(body.Providers, p.Name())
	}
	return body
}

// challengeOf is what an authenticator signs for a payload. Source: envelope, kind webauthn.
func challengeOf(payloadType string, payload []byte) string {
	sum := sha256.Sum256(envelope.PAE(payloadType, payload))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// login makes a challenge for whoever the form names, and the payload that answers it.
func (s *site) login(v *visit) (form url.Values, c staff.Challenge, payload []byte, err error) {
	if form, err = v.form(); err != nil {
		return form, c, nil, err
	}
	person := form.Get("person")
	if person == "" || len(person) > 64 || strings.Trim(person, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		return form, c, nil, fault.New(fault.Invalid, "a person's ID has the characters a-z 0-9 . -")
	}
	if c, err = s.Staff.Challenge(v.r.Context(), person); err != nil {
		return form, c, nil, err
	}
	payload, err = staff.EncodeLogin(person, c.Origin, c.Challenge)
	return form, c, payload, err
}

// challenge tells the page's script what a passkey signs to log in. It says nothing about whether the person exists.
func (s *site) challenge(v *visit) error {
	_, c, _, err := s.login(v)
	if err != nil {
		return err
	}
	if c.Passkey == nil {
		return fault.New(fault.Conflict, "this server has no host name that passkeys could be for: sign in with an SSH key")
	}
	var credentials []string
	for _, id := range c.Passkey.Credentials {
		credentials = append(credentials, base64.RawURLEncoding.EncodeToString(id))
	}
	v.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(v.w).Encode(struct {
		Challenge   string   `json:"challenge"` // to be handed in
		Sign        string   `json:"sign"`      // to be signed
		RPID        string   `json:"rp_id"`
		Credentials []string `json:"credentials"`
	}{c.Challenge, base64.RawURLEncoding.EncodeToString(c.Passkey.Challenge), c.Passkey.RPID, credentials})
}

// signInSSH shows what to sign with an SSH key on one's own machine.
func (s *site) signInSSH(v *visit) error {
	form, c, payload, err := s.login(v)
	if err != nil {
		return err
	}
	command := "printf %s '" + string(envelope.PAE(staff.LoginType, payload)) + "' | ssh-keygen -Y sign -n " +
		envelope.Namespace(staff.LoginType) + " -f ~/.ssh/id_ed25519"
	return v.show(http.StatusOK, "sign-in", "Sign in", signInBody{To: local(form.Get("to")), Person: form.Get("person"), Host: v.r.Host,
		Sent: form.Has("held"), Held: form.Get("held"), Challenge: c.Challenge, Command: command})
}

func (s *site) signIn(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	sig, err := signature(form)
	if err != nil {
		return err
	}
	token, session, err := s.Staff.Login(v.r.Context(), form.Get("person"), form.Get("challenge"), sig, address(v.r))
	if err != nil {
		return err
	}
	to := local(form.Get("to"))
	if !form.Has("held") {
		return v.enter(token, session, to)
	}
	if err := v.begin(token, session); err != nil {
		return err
	}
	return v.goOn(to, form.Get("held"))
}

// enter begins a session and leads on.
func (v *visit) enter(token string, session staff.Session, to string) error {
	if err := v.begin(token, session); err != nil {
		return err
	}
	return v.see(to, "")
}

// begin gives the browser a new session. One that was here before ends; none is taken over.
func (v *visit) begin(token string, session staff.Session) error {
	if old := v.cookie(sessionCookie); old != "" {
		if before, err := v.site.Staff.Authenticate(v.r.Context(), old, address(v.r)); err == nil {
			if err := v.site.Staff.Logout(v.r.Context(), before); err != nil {
				return err
			}
		}
	}
	v.session = session
	v.setCookie(sessionCookie, token, 0)
	return nil
}

// bindingLife is how long a login at a provider may take, in seconds.
const bindingLife = 600

// beginAtProvider sends the browser to an OpenID provider, with a secret by which it is known when it comes back.
func (s *site) beginAtProvider(v *visit) error {
	to, binding, err := s.Staff.BeginAt(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	v.setCookie(bindingCookie, binding, bindingLife)
	v.setCookie(toCookie, url.QueryEscape(local(v.r.URL.Query().Get("to"))), bindingLife)
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// backFromProvider takes what the browser brings back.
func (s *site) backFromProvider(v *visit) error {
	q := v.r.URL.Query()
	token, session, err := s.Staff.LoginBy(v.r.Context(), v.r.PathValue("id"), v.cookie(bindingCookie), q.Get("state"), q.Get("code"), address(v.r))
	v.setCookie(bindingCookie, "", -1)
	v.setCookie(toCookie, "", -1)
	if err != nil {
		return err
	}
	to, err := url.QueryUnescape(v.cookie(toCookie))
	if err != nil {
		to = "/"
	}
	return v.enter(token, session, local(to))
}

func (s *site) signOut(v *visit) error {
	if err := s.Staff.Logout(v.r.Context(), v.session); err != nil {
		return err
	}
	v.setCookie(sessionCookie, "", -1)
	return v.see("/sign-in", "")
}

// passkeyPrefix stands before the credential ID in a passkey's key ID. Source: envelope.Key.
const passkeyPrefix = "webauthn:"

// signature reads the one that a form hands in.
func (v *visit) signature() (envelope.Signature, error) {
	form, err := v.form()
	if err != nil {
		return envelope.Signature{}, err
	}
	return signature(form)
}

// signature reads a signature from a form: a passkey's assertion in base64url parts, or what ssh-keygen printed.
func signature(form url.Values) (envelope.Signature, error) {
	if armoured := form.Get("sshsig"); armoured != "" {
		sig, err := sshsig.Unarmor([]byte(strings.TrimSpace(armoured) + "\n"))
		if err != nil {
			return envelope.Signature{}, fault.New(fault.Invalid, "that is no SSH signature: paste everything from BEGIN to END")
		}
		return envelope.Signature{KeyID: ssh.FingerprintSHA256(sig.PublicKey), Kind: envelope.SSH, Sig: sig.Marshal()}, nil
	}
	part := func(name string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(form.Get(name))
		if err != nil {
			return nil
		}
		return b
	}
	s := envelope.Signature{KeyID: passkeyPrefix + form.Get("credential"), Kind: envelope.WebAuthn, Sig: part("signature"),
		Assertion: &envelope.Assertion{AuthenticatorData: part("authenticator_data"), ClientDataJSON: part("client_data")}}
	if len(s.Sig) == 0 || len(s.Assertion.AuthenticatorData) == 0 || len(s.Assertion.ClientDataJSON) == 0 {
		return envelope.Signature{}, fault.New(fault.Invalid, "the form brings no signature")
	}
	return s, nil
}

func (v *visit) chosenTheme() string {
	if t := v.cookie(themeCookie); t == "light" || t == "dark" {
		return t
	}
	return ""
}

// theme keeps the choice of light or dark; anything else follows the system again. A page with a script stays where it is, so that
// nothing typed on it is lost.
func (s *site) theme(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	age := 365 * 24 * 3600
	chosen := form.Get("theme")
	if chosen != "light" && chosen != "dark" {
		chosen, age = "", -1
	}
	v.setCookie(themeCookie, chosen, age)
	if v.part() {
		return v.showPart("trouble", "next-theme", chosen) // any page has the block
	}
	return v.see(local(cmp.Or(form.Get("to"), "/")), "")
}
