package web

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// decisionForm is what the form of a decision offers.
type decisionForm struct {
	Kinds          []kindOfDecision
	Justifications []string
	Grounds        []string
	People         []trustroot.Person // who may own a risk
	Groups         []group.Group      // that it can be for
}

type kindOfDecision struct {
	Kind, About string
	Two         bool // it needs a second person
	Off         bool
}

// aboutKinds says in a line what each kind of decision is.
var aboutKinds = map[string]string{
	triage.Accept:       "Patch: accept the vendor's fix",
	triage.Configure:    "Configure: remediate without a patch; say how",
	triage.NotConcerned: "Not affected: it cannot harm here",
	triage.Reject:       "Reject: it does not exist here",
	triage.AcceptRisk:   "Accept the risk until a date, with a control and an owner",
	triage.Defer:        "Defer: decide again by a date",
	triage.Reopen:       "Re-open: undo what was decided for these hosts",
}

// decisionForm says what there is to decide: no patch while no source knows one for some of the vulnerabilities.
func (s *site) decisionForm(v *visit, unfixed []string, decided bool) (f decisionForm, err error) {
	root, err := v.root()
	if err != nil {
		return f, err
	}
	f = decisionForm{Justifications: triage.Justifications, Grounds: triage.Grounds, People: root.People}
	if f.Groups, err = s.Groups.List(v.r.Context()); err != nil {
		return f, err
	}
	for _, kind := range triage.Kinds() {
		k := kindOfDecision{Kind: kind, About: aboutKinds[kind], Two: len(triage.Seats(kind)) > 1}
		switch {
		case kind == triage.Accept && len(unfixed) > 0:
			k.About, k.Off = k.About+" (no source knows one for "+few(unfixed)+")", true
		case kind == triage.Reopen && !decided:
			k.About, k.Off = k.About+" (nothing is in force)", true
		}
		f.Kinds = append(f.Kinds, k)
	}
	return f, nil
}

type draftBody struct {
	triage.Decision
	Subject subject
	Seats   [][]string // roles whose agreement it needs
	Payload string     // base64
	Text    string     // the payload, indented for people
	Sign    signing
}

// wanted reads the decision that a form asks for, about one vulnerability or several.
func wanted(form url.Values) (d triage.Decision, err error) {
	names, err := chosen(form)
	if err != nil {
		return d, err
	}
	d = triage.Decision{Vulnerability: names[0], Kind: form.Get("kind"), Scope: form.Get("scope"), Reason: form.Get("reason")}.Together(names)
	switch d.Kind {
	case triage.NotConcerned:
		d.Justification = form.Get("justification")
	case triage.AcceptRisk:
		d.Exception = &triage.Exception{Ground: form.Get("ground"), Control: form.Get("control"), Owner: form.Get("owner"), Plan: form.Get("plan")}
	}
	d.Until, err = day(form.Get("until"))
	return d, err
}

// draftDecision completes a decision and shows exactly what is to be signed.
func (s *site) draftDecision(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	d, err := wanted(form)
	if err != nil {
		return err
	}
	payload, err := s.Triage.Draft(v.r.Context(), v.me(), d)
	if err != nil {
		return err
	}
	if d, err = triage.DecodeDecision(payload); err != nil {
		return err
	}
	text, err := indented(payload)
	if err != nil {
		return err
	}
	about, err := s.subjectOf(v.r.Context(), d.About())
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "decision", "Decide about "+few(d.About()), draftBody{d, about, triage.Seats(d.Kind),
		base64.StdEncoding.EncodeToString(payload), text, v.signing(triage.DecisionType, payload)})
}

// signed reads a payload that a form carries with its signature.
func (v *visit) signed(payloadType string) (envelope.Envelope, error) {
	form, err := v.form()
	if err != nil {
		return envelope.Envelope{}, err
	}
	sig, err := signature(form)
	if err != nil {
		return envelope.Envelope{}, err
	}
	payload, err := base64.StdEncoding.DecodeString(form.Get("payload"))
	if err != nil {
		return envelope.Envelope{}, fault.New(fault.Invalid, "the form brings nothing that was signed")
	}
	return envelope.Envelope{PayloadType: payloadType, Payload: payload, Signatures: []envelope.Signature{sig}}, nil
}

func (s *site) decide(v *visit) error {
	e, err := v.signed(triage.DecisionType)
	if err != nil {
		return err
	}
	d, err := s.Triage.Decide(v.r.Context(), v.me(), e)
	if err != nil {
		return err
	}
	return v.seeDecided(d)
}

// seeDecided leads to what a signature brought about.
func (v *visit) seeDecided(d triage.Decided) error {
	switch {
	case !d.InForce:
		return v.see("/decisions/"+d.ID, "waits")
	case len(d.Also) > 0:
		return v.see("/decisions/"+d.ID, "decided")
	default:
		return v.see(vulnerabilityPath(d.Vulnerability), "decided")
	}
}

type waitingBody struct {
	triage.Waiting
	Subject  subject
	Text     string // the payload, indented for people
	Sign     signing
	Others   []trustroot.Person // who may agree
	MayAgree bool
}

// decision is the page of a decision, which waits or was made.
func (s *site) decision(v *visit) error {
	w, err := s.Triage.WaitingDecision(v.r.Context(), v.r.PathValue("id"))
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return s.madeDecision(v)
	case err != nil:
		return err
	}
	return s.waitingDecision(v, w)
}

// waitingDecision is a decision that waits for a second person, as exactly as the first one signed it.
func (s *site) waitingDecision(v *visit, w triage.Waiting) error {
	root, err := v.root()
	if err != nil {
		return err
	}
	body := waitingBody{Waiting: w, Sign: v.signing(triage.DecisionType, w.Payload)}
	if body.Subject, err = s.subjectOf(v.r.Context(), w.About()); err != nil {
		return err
	}
	if body.Others, err = s.agreeing(v.r.Context(), root, w); err != nil {
		return err
	}
	body.MayAgree = v.session.Can(staff.Decide) && slices.ContainsFunc(body.Others, func(p trustroot.Person) bool { return p.ID == v.me() })
	if body.Text, err = indented(w.Payload); err != nil {
		return err
	}
	return v.show(http.StatusOK, "waiting", "Decision about "+few(w.About()), body)
}

// agreeing are the people with whose signature a decision that waits has all it needs. It only spares the others a refusal: the
// room decides.
func (s *site) agreeing(ctx context.Context, root *trustroot.Root, w triage.Waiting) (all []trustroot.Person, err error) {
	touched, err := s.Triage.Touched(ctx, w.Decision)
	if err != nil {
		return nil, err
	}
	author, _ := root.Person(w.Person)
	for _, p := range root.People {
		if p.ID != author.ID && trustroot.Seated(w.Needs, []trustroot.Approval{{Person: author}, {Person: p}}, touched...) {
			all = append(all, p)
		}
	}
	return all, nil
}

func (s *site) agreeDecision(v *visit) error {
	sig, err := v.signature()
	if err != nil {
		return err
	}
	d, err := s.Triage.Agree(v.r.Context(), v.me(), v.r.PathValue("id"), sig)
	if err != nil {
		return err
	}
	return v.seeDecided(d)
}

func (s *site) refuseDecision(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	w, err := s.Triage.WaitingDecision(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := s.Triage.Refuse(v.r.Context(), v.me(), w.ID, form.Get("reason")); err != nil {
		return err
	}
	if len(w.Also) > 0 {
		return v.see("/vulnerabilities", "refused")
	}
	return v.see(vulnerabilityPath(w.Vulnerability), "refused")
}

// agreements are the decisions that wait for the visitor.
func (s *site) agreements(v *visit, root *trustroot.Root) (all []duty, err error) {
	if !v.session.Can(staff.Decide) {
		return nil, nil
	}
	waiting, err := s.Triage.WaitingDecisions(v.r.Context())
	if err != nil {
		return nil, err
	}
	for _, w := range waiting {
		others, err := s.agreeing(v.r.Context(), root, w)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(others, func(p trustroot.Person) bool { return p.ID == v.me() }) {
			all = append(all, duty{"Agree, or refuse: " + say(w.Kind) + " for " + few(w.About()), "/decisions/" + w.ID, w.Reason, w.MadeAt})
		}
	}
	return all, nil
}
