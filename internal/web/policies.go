package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

type policyBody struct {
	policy.Policy // in force, or as shipped: then its version is 0
	Open          []deadline.Adoption
	Past          []deadline.Adoption // the newest first
	Profiles      []policy.Policy
	Statement     string // for section 6.7 of a CP or CPS
	NoRule        bool   // the trust root does not say who signs policies
}

func (s *site) policyInForce(v *visit) error {
	ctx := v.r.Context()
	now, err := s.Deadlines.InForce(ctx)
	if err != nil {
		return err
	}
	root, err := v.root()
	if err != nil {
		return err
	}
	all, err := s.Deadlines.Policies(ctx)
	if err != nil {
		return err
	}
	body := policyBody{Policy: now.Policy, Profiles: policy.Profiles(), Statement: now.Statement(root.Organisation)}
	_, there := root.Rule(trustroot.Policy)
	body.NoRule = !there
	for _, a := range all {
		if a.State == deadline.Proposed {
			body.Open = append(body.Open, a)
		} else {
			body.Past = append(body.Past, a)
		}
	}
	return v.show(http.StatusOK, "policy", "Limits", body)
}

// policyText is the text for a CP or CPS alone.
func (s *site) policyText(v *visit) error {
	now, err := s.Deadlines.InForce(v.r.Context())
	if err != nil {
		return err
	}
	root, err := v.root()
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := v.w.Write([]byte(now.Statement(root.Organisation))); err != nil {
		s.Log.Debug("send policy", "error", err)
	}
	return nil
}

type policyDraft struct {
	Text    string // as it was typed
	Problem string
	Preview *deadline.Preview // nil before it was tried
}

// policyEditor begins with a profile, or with what is in force.
func (s *site) policyEditor(v *visit) error {
	var from policy.Policy
	now, err := s.Deadlines.InForce(v.r.Context())
	if err == nil {
		from = now.Policy
		if name := v.r.URL.Query().Get("from"); name != "" {
			from, err = policy.Profile(name)
		}
	}
	if err != nil {
		return err
	}
	text, err := editable(from)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "policy-draft", "Draft a policy", policyDraft{Text: text})
}

// editable writes a policy as people edit it: without what is filled in when it is proposed.
func editable(p policy.Policy) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(struct {
		Name  string        `json:"name"`
		Title string        `json:"title"`
		Basis string        `json:"basis"`
		Note  string        `json:"note,omitempty"`
		Rules []policy.Rule `json:"rules"`
	}{p.Name, p.Title, p.Basis, p.Note, p.Rules})
	return b.String(), err
}

// typed reads the policy of the editor. What is wrong with it is shown beside it, and nothing typed is lost.
func (v *visit) typed() (p policy.Policy, draft policyDraft, err error) {
	form, err := v.form()
	if err != nil {
		return p, draft, err
	}
	draft.Text = form.Get("policy")
	if p, err = policy.Read([]byte(draft.Text)); fault.KindOf(err) == fault.Invalid {
		draft.Problem, err = err.Error(), nil
	}
	return p, draft, err
}

func (v *visit) showDraft(d policyDraft) error {
	code := http.StatusOK
	if d.Problem != "" {
		code = http.StatusUnprocessableEntity
	}
	return v.show(code, "policy-draft", "Draft a policy", d)
}

func (s *site) tryPolicy(v *visit) error {
	p, draft, err := v.typed()
	if err != nil {
		return err
	}
	if draft.Problem == "" {
		draft.Preview, err = s.dryRun(v.r.Context(), p)
	}
	if err != nil {
		return err
	}
	return v.showDraft(draft)
}

func (s *site) dryRun(ctx context.Context, p policy.Policy) (*deadline.Preview, error) {
	preview, err := s.Deadlines.Try(ctx, p)
	return &preview, err
}

func (s *site) proposePolicy(v *visit) error {
	p, draft, err := v.typed()
	if err != nil {
		return err
	}
	if draft.Problem != "" {
		return v.showDraft(draft)
	}
	a, err := s.Deadlines.Propose(v.r.Context(), v.me(), p)
	if err != nil {
		return err
	}
	return v.see("/policies/"+a.Digest, "proposed")
}

type adoptionBody struct {
	deadline.Adoption
	Rule    trustroot.Rule
	Local   int // signatures made by the command line
	MaySign bool
	WhyNot  string
	Sign    signing
	Preview *deadline.Preview // of what is not in force yet
	Text    string            // the payload, indented for people
}

func (s *site) policy(v *visit) error {
	ctx := v.r.Context()
	a, err := s.Deadlines.Policy(ctx, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	root, err := v.root()
	if err != nil {
		return err
	}
	body := adoptionBody{Adoption: a, Sign: v.signing(policy.Type, a.Payload)}
	body.Rule, _ = root.Rule(trustroot.Policy)
	for _, x := range a.Approvals {
		if x.Signature.Kind == envelope.SSH {
			body.Local++
		}
	}
	body.MaySign, body.WhyNot = signable(root, trustroot.Policy, a.Person, v.session.Person, approvedBy(a, v.me()), a.State == deadline.Proposed)
	if a.State == deadline.Proposed {
		if body.Preview, err = s.dryRun(ctx, a.Policy); err != nil {
			return err
		}
	}
	if body.Text, err = indented(a.Payload); err != nil {
		return err
	}
	return v.show(http.StatusOK, "adoption", a.Title, body)
}

func approvedBy(a deadline.Adoption, person string) bool {
	return slices.ContainsFunc(a.Approvals, func(x deadline.Approval) bool { return x.Person == person })
}

func (s *site) signPolicy(v *visit) error {
	sig, err := v.signature()
	if err != nil {
		return err
	}
	a, err := s.Deadlines.Sign(v.r.Context(), v.me(), v.r.PathValue("id"), sig)
	if err != nil {
		return err
	}
	if a.State == deadline.InForce {
		return v.see("/policy", "adopted")
	}
	return v.see("/policies/"+a.Digest, "signed")
}

func (s *site) withdrawPolicy(v *visit) error {
	id := v.r.PathValue("id")
	if err := s.Deadlines.Withdraw(v.r.Context(), v.me(), id); err != nil {
		return err
	}
	return v.see("/policies/"+id, "over")
}

// unsignedPolicies are the policies that wait for a person's signature.
func (s *site) unsignedPolicies(ctx context.Context, root *trustroot.Root, me trustroot.Person) (all []duty, err error) {
	if !seatFor(root, trustroot.Policy, me) {
		return nil, nil
	}
	policies, err := s.Deadlines.Policies(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range policies {
		if a.State == deadline.Proposed && a.Person != me.ID && !approvedBy(a, me.ID) {
			all = append(all, duty{"Sign the limits: " + a.Title, "/policies/" + a.Digest, "nothing changes before", a.MadeAt})
		}
	}
	return all, nil
}
