package web

import (
	"context"
	"net/http"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/retirement"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

type retirementBody struct {
	retirement.Retirement
	Rule    trustroot.Rule
	Sign    signing
	MaySign bool
	WhyNot  string
}

func (s *site) retirement(v *visit) error {
	r, err := s.Retirements.Get(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	root, err := v.root()
	if err != nil {
		return err
	}
	body := retirementBody{Retirement: r, Sign: v.signing(retirement.PayloadType, r.Payload)}
	body.Rule, _ = root.Rule(trustroot.RetireHost)
	already := slices.ContainsFunc(r.Signatures, func(x retirement.Signature) bool { return x.Person == v.me() })
	body.MaySign, body.WhyNot = signable(root, trustroot.RetireHost, r.Author, v.session.Person, already, r.State == retirement.Proposed, r.Place)
	return v.show(http.StatusOK, "retirement", "Retire "+r.Name, body)
}

func (s *site) proposeRetirement(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	r, err := s.Retirements.Propose(v.r.Context(), v.me(), form.Get("host"), form.Get("reason"))
	if err != nil {
		return err
	}
	return v.see("/hosts/retirements/"+r.ID, "proposed")
}

func (s *site) approveRetirement(v *visit) error {
	sig, err := v.signature()
	if err != nil {
		return err
	}
	r, err := s.Retirements.Approve(v.r.Context(), v.me(), v.r.PathValue("id"), sig)
	if err != nil {
		return err
	}
	if r.State == retirement.InForce {
		return v.see("/hosts/"+r.Host, "retired")
	}
	return v.see("/hosts/retirements/"+r.ID, "approved")
}

func (s *site) endRetirement(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	if err := s.Retirements.End(v.r.Context(), v.me(), id, form.Get("reason")); err != nil {
		return err
	}
	return v.see("/hosts/retirements/"+id, "over")
}

// retiring are the retirements that wait for a person's signature.
func (s *site) retiring(ctx context.Context, root *trustroot.Root, me trustroot.Person) (all []duty, err error) {
	if !seatFor(root, trustroot.RetireHost, me) {
		return nil, nil
	}
	open, err := s.Retirements.List(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, r := range open {
		if r.Author != me.ID && !slices.ContainsFunc(r.Signatures, func(x retirement.Signature) bool { return x.Person == me.ID }) {
			all = append(all, duty{"Sign the retirement of " + r.Name, "/hosts/retirements/" + r.ID, r.Reason, r.MadeAt})
		}
	}
	return all, nil
}
