package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/draft"
)

type peopleBody struct {
	Root     *trustroot.Root
	Digest   string
	Versions []version
	Accounts []staff.Account
	Sessions []staff.OpenSession
	Pending  []staff.Passkey
	Roles    []string // those that can be limited: who has none of them signs nothing
}

// version is one trust root of the chain.
type version struct {
	*trustroot.Root
	Digest  string
	Signers []string // who signed it, by the keys they have in it
}

// mostVersions of the trust root's chain are shown, the newest.
const mostVersions = 10

func (s *site) people(v *visit) error {
	ctx := v.r.Context()
	root, err := v.root()
	if err != nil {
		return err
	}
	body := peopleBody{Root: root, Digest: root.Digest(), Roles: slices.DeleteFunc(trustroot.Roles(), func(role string) bool {
		return !staff.Can(trustroot.Person{Roles: []string{role}}, staff.Approve)
	})}
	chain, err := s.Staff.Roots(ctx, max(1, root.Version-mostVersions+1))
	if err != nil {
		return err
	}
	for _, e := range chain {
		r, err := trustroot.Decode(e.Payload)
		if err != nil {
			return err
		}
		one := version{Root: r, Digest: r.Digest()}
		for _, sig := range e.Signatures {
			one.Signers = append(one.Signers, ownerOf(r, sig.KeyID))
		}
		body.Versions = append(body.Versions, one)
	}
	slices.Reverse(body.Versions)
	if v.session.Can(staff.SeeAccounts) {
		if err := body.accounts(s, v); err != nil {
			return err
		}
	}
	return v.show(http.StatusOK, "people", "People and trust root", body)
}

// accounts adds what only those see who look after accounts.
func (b *peopleBody) accounts(s *site, v *visit) (err error) {
	ctx := v.r.Context()
	if b.Accounts, err = s.Staff.Accounts(ctx); err != nil {
		return err
	}
	if b.Sessions, err = s.Staff.Sessions(ctx, ""); err != nil {
		return err
	}
	b.Pending, err = s.Staff.PendingKeys(ctx)
	return err
}

// ownerOf names whose key it is, or the key where nobody has it.
func ownerOf(r *trustroot.Root, key string) string {
	for _, p := range r.People {
		if slices.ContainsFunc(p.Keys, func(k envelope.Key) bool { return k.ID == key }) {
			return p.Name
		}
	}
	return key
}

// draftScope gives the next trust root, in which one role of a person counts only for some hosts, as a file for people to sign by
// the command line, which shows all of it.
func (s *site) draftScope(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	root, err := v.root()
	if err != nil {
		return err
	}
	next, err := draft.Scoped(root, form.Get("person"), trustroot.Scope{Role: form.Get("role"), Platforms: listed(form.Get("platforms")),
		Units: listed(form.Get("units")), Zones: listed(form.Get("zones"))}, v.now)
	if err != nil {
		return err
	}
	payload, err := next.Encode()
	if err != nil {
		return err
	}
	b, err := envelope.Encode(envelope.Envelope{PayloadType: trustroot.PayloadType, Payload: payload, Signatures: []envelope.Signature{}})
	if err != nil {
		return err
	}
	v.download("trust-root.json")
	_, err = v.w.Write(b)
	return err
}

// listed reads a list written with commas between.
func listed(text string) (all []string) {
	for _, w := range strings.Split(text, ",") {
		if w = strings.TrimSpace(w); w != "" {
			all = append(all, w)
		}
	}
	return all
}

func (s *site) reviewAccount(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	shown, err := strconv.ParseInt(form.Get("version"), 10, 64)
	if err != nil {
		return fault.New(fault.Invalid, "the form names no version of the trust root")
	}
	if err := s.Staff.Review(v.r.Context(), v.me(), v.r.PathValue("id"), shown, form.Get("comment")); err != nil {
		return err
	}
	return v.see("/people", "reviewed-account")
}

func (s *site) giveNotice(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	if err := s.Staff.GiveNotice(v.r.Context(), v.me(), v.r.PathValue("id"), form.Get("reason")); err != nil {
		return err
	}
	return v.see("/people", "notice")
}

func (s *site) withdrawNotice(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	if err := s.Staff.WithdrawNotice(v.r.Context(), v.me(), v.r.PathValue("id"), form.Get("reason")); err != nil {
		return err
	}
	return v.see("/people", "notice-withdrawn")
}

func (s *site) endSession(v *visit) error {
	if err := s.Staff.EndSession(v.r.Context(), v.me(), v.r.PathValue("id"), v.r.PathValue("session")); err != nil {
		return err
	}
	return v.see("/people", "over")
}
