package web

import (
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// maxHeld is the size of a form, in bytes, that is carried through a sign-in, whose own form must hold it.
const maxHeld = maxForm / 2

// holds answers a form that came without a session, or with a login too old for it, with the sign-in page. The page carries
// the form along, so that nothing that was typed or signed is lost, and nothing of it stands on the server. It reports
// whether it did: a file, a page's script and what is too large are not carried.
func (s *site) holds(v *visit) (bool, error) {
	if v.r.Method != http.MethodPost || v.asks() || v.r.URL.Path == "/sign-out" || v.r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return false, nil
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxHeld)
	form, err := v.form()
	if err != nil {
		return false, nil
	}
	body := s.signInBody(v, v.r.URL.RequestURI())
	body.Person, body.Sent, body.Held = v.session.Person.ID, true, form.Encode()
	v.session = staff.Session{} // the page is an outsider's
	return true, v.show(http.StatusUnauthorized, "sign-in", "Sign in", body)
}

type goOnBody struct {
	To     string
	Fields []field
}

type field struct{ Name, Value string }

// goOn shows what was sent before the sign-in, to be sent now or not.
func (v *visit) goOn(to, held string) error {
	form, err := url.ParseQuery(held)
	if err != nil {
		return fault.New(fault.Invalid, "what was sent before the sign-in is malformed: send it again")
	}
	return v.show(http.StatusOK, "go-on", "Go on", goOnBody{to, fieldsOf(form)})
}

func fieldsOf(form url.Values) (all []field) {
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			all = append(all, field{name, value})
		}
	}
	return all
}

// above leads from the address of a form, which a browser shows for the page that answers it, to the page above: by a reload,
// a bookmark or a way back nobody ends at an address that only takes forms.
func above(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, local(path.Dir(r.URL.EscapedPath())), http.StatusSeeOther)
}
