package web

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// visit is one request on its way through the site.
type visit struct {
	site    *site
	w       http.ResponseWriter
	r       *http.Request
	session staff.Session // of whoever is signed in
	now     time.Time
	polled  bool              // the page asks by itself, whether or not somebody is there
	trust   *trustroot.Root   // in force, once it was asked for
	names   map[string]string // of hosts, once they were asked for
}

// root gives the trust root in force, the same one for the whole visit.
func (v *visit) root() (root *trustroot.Root, err error) {
	if v.trust == nil {
		v.trust, err = v.site.Staff.CurrentRoot(v.r.Context())
	}
	return v.trust, err
}

// know asks for the names of hosts, all at once. One that has none keeps its ID.
func (v *visit) know(ids ...string) {
	names, err := v.site.Estate.Names(v.r.Context(), ids)
	if err != nil {
		v.site.Log.Error("names of hosts", "error", err)
	}
	if v.names == nil {
		v.names = make(map[string]string, len(ids))
	}
	for _, id := range ids {
		v.names[id] = cmp.Or(names[id], id)
	}
}

func (v *visit) me() string { return v.session.Person.ID }

// idsOf takes an ID out of each row.
func idsOf[T any](rows []T, id func(T) string) []string {
	all := make([]string, 0, len(rows))
	for _, r := range rows {
		all = append(all, id(r))
	}
	return all
}

// errSignIn sends the browser to the sign-in page.
var errSignIn = errors.New("sign in first")

// admit asks who it is, and whether they may. Whoever has no cookie is no failed attempt.
func (v *visit) admit(a staff.Action) error {
	if a == "" {
		return nil
	}
	name := sessionCookie
	if a == staff.JoinTrustRoot && v.cookie(invitedCookie) != "" {
		name = invitedCookie
	}
	token := v.cookie(name)
	if token == "" {
		return errSignIn
	}
	var err error
	authenticate := v.site.Staff.Authenticate
	if v.polled {
		authenticate = v.site.Staff.AuthenticateUnattended
	}
	v.session, err = authenticate(v.r.Context(), token, address(v.r))
	if fault.KindOf(err) == fault.Unauthenticated {
		v.setCookie(name, "", -1)
		return errSignIn
	}
	if err != nil {
		return err
	}
	return v.site.Staff.Authorize(v.r.Context(), v.session, a, address(v.r))
}

// part reports whether htmx asks for a part of a page.
func (v *visit) part() bool { return v.r.Header.Get("HX-Request") == "true" }

// asks reports whether a page's script asks.
func (v *visit) asks() bool { return v.part() || v.r.Header.Get("Accept") == "application/json" }

func (v *visit) cookie(name string) string {
	c, err := v.r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie sets one for this host and HTTPS only, hidden from scripts. age is in seconds: 0 until the browser closes, -1
// removes it.
func (v *visit) setCookie(name, value string, age int) {
	http.SetCookie(v.w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// Cookies. The prefix makes browsers refuse them from other hosts of the domain and over plain HTTP.
const (
	sessionCookie = "__Host-patchwarrant"
	invitedCookie = "__Host-patchwarrant-invited" // one may hold the bootstrap link and be invited, too
	bindingCookie = "__Host-patchwarrant-provider"
	toCookie      = "__Host-patchwarrant-to" // where to go on after a login at a provider
	themeCookie   = "__Host-patchwarrant-theme"
)

// local gives a path of this site to go on to; / for anything that could lead elsewhere.
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(to, "/") ||
		strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\t\r\n") {
		return "/"
	}
	return to
}

// form reads a posted form, lines ended with one character, where browsers send two; one that is too large or malformed is refused.
func (v *visit) form() (url.Values, error) {
	if err := v.r.ParseForm(); err != nil {
		return nil, fault.New(fault.Invalid, "the form is malformed or larger than %d MiB", maxForm>>20)
	}
	for _, values := range v.r.PostForm {
		for i, text := range values {
			values[i] = lines(text)
		}
	}
	return v.r.PostForm, nil
}

func lines(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

// go to a page of ours after something was done; said names what was done, see notices.
func (v *visit) see(path, said string) error {
	if said != "" {
		path += "?said=" + said
	}
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// status is the one place where kinds of error become HTTP status codes of pages.
var status = map[fault.Kind]int{
	fault.Invalid:         http.StatusUnprocessableEntity,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Denied:          http.StatusForbidden,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Internal:        http.StatusInternalServerError,
}

var trouble = map[fault.Kind]string{
	fault.Invalid:         "That cannot be done as it stands",
	fault.NotFound:        "Not found",
	fault.Conflict:        "Not now",
	fault.Denied:          "No leave",
	fault.Unauthenticated: "Not signed in",
	fault.Unavailable:     "Not available",
	fault.Internal:        "Something went wrong",
}

type troubleBody struct {
	Title, Code, Detail string
	Sent                []field // what was typed is not lost
}

// fail tells what is wrong. Our own faults are for the log, and the visitor learns no more than that.
func (s *site) fail(v *visit, err error) {
	if again := fault.CodeOf(err) == staff.StepUp; again || errors.Is(err, errSignIn) {
		if err = s.toSignIn(v, again); err == nil {
			return
		}
	}
	kind, detail := fault.KindOf(err), err.Error()
	if kind == fault.Internal {
		if v.r.Context().Err() != nil {
			return
		}
		s.Log.Error("page failed", "path", v.r.URL.Path, "error", err)
		detail = "The server's log says what."
	}
	body := troubleBody{trouble[kind], fault.CodeOf(err), detail, nil}
	if typed := !v.r.PostForm.Has("signature"); typed && v.me() != "" && (kind == fault.Invalid || kind == fault.Conflict) {
		body.Sent = fieldsOf(v.r.PostForm)
	}
	if err := v.show(status[kind], "trouble", trouble[kind], body); err != nil {
		s.Log.Error("page failed", "path", v.r.URL.Path, "error", err)
		http.Error(v.w, "something went wrong on the server; its log says what", http.StatusInternalServerError)
	}
}

// toSignIn leads to the sign-in page and, from there, back to the page that the visitor was on, or on with the form that they
// sent.
func (s *site) toSignIn(v *visit, again bool) error {
	back := v.r.URL.RequestURI()
	if first := strings.HasPrefix(v.r.URL.Path, "/join") || strings.HasPrefix(v.r.URL.Path, "/setup"); first {
		back = "/setup" // where the set-up goes on once a trust root is in force
	} else if held, err := s.holds(v); held || err != nil {
		return err
	} else if v.r.Method != http.MethodGet || v.part() {
		back = "/"
		if u, err := url.Parse(v.r.Referer()); err == nil && u.Host == v.r.Host {
			back = u.RequestURI()
		}
	}
	to := "/sign-in?to=" + url.QueryEscape(local(back))
	if again {
		to += "&again=yes"
	}
	if v.asks() {
		v.w.Header().Set("HX-Redirect", to)
		v.w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// show renders a page into its frame and sends it.
func (v *visit) show(status int, name, title string, body any) error {
	var b bytes.Buffer
	if err := v.site.pages[name].ExecuteTemplate(&b, "frame", v.page(title, body)); err != nil {
		return err
	}
	return v.send(status, b.Bytes())
}

// showPart renders one block of a page, for htmx.
func (v *visit) showPart(name, block string, body any) error {
	var b bytes.Buffer
	if err := v.site.pages[name].ExecuteTemplate(&b, block, v.page("", body)); err != nil {
		return err
	}
	return v.send(http.StatusOK, b.Bytes())
}

func (v *visit) send(status int, b []byte) error {
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	if _, err := v.w.Write(b); err != nil {
		v.site.Log.Debug("send page", "error", err)
	}
	return nil
}
