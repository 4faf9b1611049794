package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// beginBody is the second half of the guided set-up, for who signed in: upstream, host, findings. How far it has come is
// read from what there is.
type beginBody struct {
	Step      int // that is shown
	Open      int // that comes next
	Upstreams []upstreamRow
	Presets   []mirror.Upstream
	Keyring   string       // where the presets' keys are
	Host      *estate.Host // the first that reported
	Sources   []intake.SourceState
	At        string
}

// beginWork shows the step that comes next, or the one asked for if it is open already.
func (s *site) beginWork(v *visit) error {
	body, err := s.beginBody(v, v.r.URL.Query().Get("host"))
	if err != nil {
		return err
	}
	if asked, err := strconv.Atoi(v.r.URL.Query().Get("step")); err == nil && 3 <= asked && asked < body.Step {
		body.Step = asked
	}
	return v.show(http.StatusOK, "begin", "Set up: "+strings.ToLower(steps[body.Step-1]), body)
}

// beginBody looks at what there is; host is the one whose findings are awaited, or the first.
func (s *site) beginBody(v *visit, host string) (body beginBody, err error) {
	ctx := v.r.Context()
	body = beginBody{Step: 3, Presets: mirror.Presets(), Keyring: mirror.DebianKeyring}
	if body.Upstreams, err = s.upstreams(ctx); err != nil {
		return body, err
	}
	if body.Sources, err = s.Intake.States(ctx); err != nil {
		return body, err
	}
	known := slices.ContainsFunc(body.Sources, func(x intake.SourceState) bool { return x.Digest != "" && x.Name != intake.Own })
	if known || slices.ContainsFunc(body.Upstreams, func(u upstreamRow) bool { return u.State.InRelease != "" }) {
		body.Step = 4
	}
	hosts, err := s.Estate.List(ctx, estate.Filter{}, "", 1)
	if host != "" {
		var one estate.Host
		one, err = s.Estate.Host(ctx, host)
		hosts = []estate.Host{one}
	}
	if err != nil {
		return body, err
	}
	if len(hosts) > 0 && hosts[0].PackageSet != "" {
		body.Host = &hosts[0]
		if body.Step == 4 {
			body.Step = 5
		}
	}
	body.Open = body.Step
	body.At, err = mark(body.Upstreams)
	return body, err
}

// setupUpstreams is the live part of the step: what became of the upstreams.
func (s *site) setupUpstreams(v *visit) error {
	body, err := s.beginBody(v, "")
	if err != nil {
		return err
	}
	return v.progress("/setup", "begin", "upstreams", body, strconv.Itoa(body.Open), body.At)
}

// setupFindings waits for the findings of a host, and ends the set-up on its page when there are any.
func (s *site) setupFindings(v *visit) error {
	findings, err := s.Triage.Findings(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if slices.ContainsFunc(findings, func(f verdict.Finding) bool { return f.Verdict.Status == verdict.Affected }) {
		v.w.Header().Set("HX-Redirect", "/hosts/"+url.PathEscape(v.r.PathValue("id"))+"?said=set-up")
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

// addUpstream pins a known archive whose keys the person confirmed, or any other.
func (s *site) addUpstream(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	u, err := upstreamOf(form)
	if err != nil {
		return err
	}
	if err := s.Mirror.Add(v.r.Context(), "person/"+v.me(), u); err != nil {
		return err
	}
	if form.Get("setup") != "" {
		return v.see("/setup", "added")
	}
	return v.see("/repository", "added")
}

// upstreamOf reads a form.
func upstreamOf(form url.Values) (mirror.Upstream, error) {
	if name := form.Get("preset"); name != "" {
		u, err := mirror.Preset(name)
		if err == nil && !slices.Equal(form["fingerprint"], u.Fingerprints) {
			err = fault.New(fault.Invalid, "say that you checked the key's fingerprint: %s", strings.Join(u.Fingerprints, ", "))
		}
		return u, err
	}
	field := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	days, err := strconv.Atoi(field("max_age_days"))
	if err != nil || days < 1 || days > 3650 {
		return mirror.Upstream{}, fault.New(fault.Invalid, "say how many days old its release file may be")
	}
	return mirror.Upstream{Name: field("name"), URL: field("url"), Suite: field("suite"), Component: field("component"), Arch: field("arch"),
		Keyring: []byte(form.Get("keyring")), Fingerprints: strings.FieldsFunc(form.Get("fingerprints"), func(r rune) bool { return r == '\n' || r == '\r' || r == ',' }),
		MaxAge: time.Duration(days) * 24 * time.Hour, Advisories: field("advisories")}, nil
}

func (s *site) removeUpstream(v *visit) error {
	if err := s.Mirror.Remove(v.r.Context(), "person/"+v.me(), v.r.PathValue("id")); err != nil {
		return err
	}
	return v.see("/repository", "over")
}

// arrival waits for a host whose enrolment line was made at a time: it leads on when the host has reported since.
func (s *site) arrival(v *visit) error {
	q := v.r.URL.Query()
	since, err := strconv.ParseInt(q.Get("since"), 10, 64)
	if err != nil {
		return fault.New(fault.Invalid, "since when?")
	}
	host, err := s.arrived(v.r.Context(), v.r.PathValue("name"), time.Unix(since, 0))
	if err != nil {
		return err
	}
	if host != "" {
		to := "/hosts/" + host
		if q.Get("setup") != "" {
			to = "/setup?host=" + host
		}
		v.w.Header().Set("HX-Redirect", to)
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

// arrived gives the ID of a host of a name that has reported since; "" if there is none. The name may be a part of many others.
func (s *site) arrived(ctx context.Context, name string, since time.Time) (string, error) {
	for after := ""; ; {
		hosts, err := s.Estate.List(ctx, estate.Filter{Text: name}, after, estate.MaxList)
		if err != nil {
			return "", err
		}
		for _, h := range hosts {
			if after = h.ID; h.Name == name && h.PackageSet != "" && !h.FactsAt.Before(since) {
				return h.ID, nil
			}
		}
		if len(hosts) < estate.MaxList {
			return "", nil
		}
	}
}
