package web

import (
	"context"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// duty is something that waits for the visitor.
type duty struct {
	What, Link, Why string
	Since           time.Time
}

// seatFor reports whether a person fills a seat of a class for what touches hosts at some places; none: at all.
func seatFor(root *trustroot.Root, class string, p trustroot.Person, touched ...trustroot.Place) bool {
	rule, ok := root.Rule(class)
	return ok && slices.ContainsFunc(rule.Seats, func(seat []string) bool {
		return trustroot.Seated([][]string{seat}, []trustroot.Approval{{Person: p}}, touched...)
	})
}

// duties are all things that wait for the visitor.
func (s *site) duties(v *visit, orders []change.Order, investigations []integrity.Investigation, view triage.View) ([]duty, error) {
	ctx, me := v.r.Context(), v.session.Person
	root, err := v.root()
	if err != nil {
		return nil, err
	}
	var all []duty
	for _, o := range orders {
		if o.State != change.Proposed || o.Author == me.ID {
			continue
		}
		full, err := s.Changes.Get(ctx, o.ID)
		if err != nil {
			return nil, err
		}
		if seatFor(root, o.Class, me, full.Places...) && !slices.ContainsFunc(full.Signatures, func(x change.Signature) bool { return x.Person == me.ID }) {
			all = append(all, duty{"Sign the " + o.Class + " order", "/changes/" + o.ID, o.Reason, o.MadeAt})
		}
	}
	unsigned, err := s.unsigned(ctx, root, me)
	if err != nil {
		return nil, err
	}
	all = append(all, unsigned...)
	leaving, err := s.retiring(ctx, root, me)
	if err != nil {
		return nil, err
	}
	all = append(all, leaving...)
	policies, err := s.unsignedPolicies(ctx, root, me)
	if err != nil {
		return nil, err
	}
	all = append(all, policies...)
	agreements, err := s.agreements(v, root)
	if err != nil {
		return nil, err
	}
	all = append(all, agreements...)
	waiting, _, err := s.suspected(ctx, v)
	if err != nil {
		return nil, err
	}
	all = append(all, waiting...)
	answers, err := s.answers(v, investigations)
	if err != nil {
		return nil, err
	}
	all = append(all, answers...)
	undecided, err := s.undecided(v, view)
	return append(all, undecided...), err
}

// answers are the investigations that wait for a person's word.
func (s *site) answers(v *visit, investigations []integrity.Investigation) (all []duty, err error) {
	if !v.session.Can(staff.Investigate) {
		return nil, nil
	}
	hosts := make([]string, 0, len(investigations))
	for _, i := range investigations {
		hosts = append(hosts, i.Host)
	}
	places, err := s.Estate.PlaceOfEach(v.r.Context(), hosts)
	if err != nil {
		return nil, err
	}
	me := v.session.Person
	for _, i := range investigations {
		switch {
		case !integrity.MayAnswer(me, places[i.Host]):
		case i.State == integrity.Open:
			all = append(all, duty{"Explain a discrepancy", "/investigations/" + i.ID, "files changed that nothing explains", i.OpenedAt})
		case i.State == integrity.Proposed && i.ProposedBy != me.ID:
			all = append(all, duty{"Ratify or refuse", "/investigations/" + i.ID, "one person calls the change legitimate", i.OpenedAt})
		}
	}
	return all, nil
}

// undecided is what waits for a review or a decision.
func (s *site) undecided(v *visit, view triage.View) (all []duty, err error) {
	if !v.session.Can(staff.Decide) {
		return nil, nil
	}
	queue, n, err := s.Intake.Queue(v.r.Context(), 1)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		all = append(all, duty{count(n) + " advisories to review", "/sources#queue", "relevant here or not", queue[0].FirstAt})
	}
	if view.Undecided > 0 {
		all = append(all, duty{count(view.Undecided) + " vulnerabilities to decide", "/vulnerabilities?decision=none&state=affected",
			"affected hosts, no decision in force", time.Time{}})
	}
	return all, nil
}

// unsigned are the snapshots that wait for a person's signature.
func (s *site) unsigned(ctx context.Context, root *trustroot.Root, me trustroot.Person) (all []duty, err error) {
	if !seatFor(root, trustroot.Curation, me) {
		return nil, nil
	}
	snapshots, err := s.Curation.SnapshotsAfter(ctx, "", snapshotsPage)
	if err != nil {
		return nil, err
	}
	for _, x := range snapshots {
		if x.SignedAt.IsZero() && x.Record.Author != me.ID && !signedBy(x.Signatures, me.ID) {
			all = append(all, duty{"Sign a snapshot of " + count(len(x.Record.Packages)) + " packages", "/repository/snapshots/" + x.Ref.Curation,
				"its packages reach no host before", x.Record.MadeAt})
		}
	}
	return all, nil
}
