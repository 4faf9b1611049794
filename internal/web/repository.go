package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

type upstreamRow struct {
	mirror.Upstream
	State mirror.Release
}

type repositoryBody struct {
	Upstreams []upstreamRow
	Accepted  []triage.Accepted
	Releases  []string // of the accepted fixes
	Snapshots []curation.Snapshot
	Further   string // record after which the next page begins
	Channels  []curation.Channel
	Signed    []curation.Snapshot // may be promoted
}

const snapshotsPage = 15

func (s *site) repository(v *visit) error {
	ctx := v.r.Context()
	var body repositoryBody
	var err error
	if body.Upstreams, err = s.upstreams(ctx); err != nil {
		return err
	}
	if body.Accepted, err = s.Triage.Accepted(ctx); err != nil {
		return err
	}
	for _, a := range body.Accepted {
		body.Releases = append(body.Releases, a.Release)
	}
	slices.Sort(body.Releases)
	body.Releases = slices.Compact(body.Releases)
	all, err := s.Curation.SnapshotsAfter(ctx, v.r.URL.Query().Get("after"), snapshotsPage+1)
	if err != nil {
		return err
	}
	if body.Snapshots = all; len(all) > snapshotsPage {
		body.Snapshots, body.Further = all[:snapshotsPage], all[snapshotsPage-1].Ref.Curation
	}
	body.Signed = slices.DeleteFunc(slices.Clone(body.Snapshots), func(x curation.Snapshot) bool { return x.SignedAt.IsZero() })
	if body.Channels, err = s.Curation.ChannelStates(ctx); err != nil {
		return err
	}
	return v.show(http.StatusOK, "repository", "Repository", body)
}

// upstreams gives all with what is accepted of them.
func (s *site) upstreams(ctx context.Context) ([]upstreamRow, error) {
	all, err := s.Mirror.List(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]upstreamRow, len(all))
	for i, u := range all {
		r, err := s.Mirror.State(ctx, u.Name)
		if err != nil {
			return nil, err
		}
		rows[i] = upstreamRow{u, r}
	}
	return rows, nil
}

func (s *site) refreshUpstream(v *visit) error {
	if _, err := s.Mirror.Refresh(v.r.Context(), v.r.PathValue("id")); err != nil {
		return err
	}
	return v.see("/repository", "refreshed")
}

func (s *site) proposeSnapshot(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	made, err := s.Composer.Compose(v.r.Context(), v.me(), form.Get("release"), form["decision"], nil)
	if err != nil {
		return err
	}
	return v.see("/repository/snapshots/"+made.Ref.Curation, "proposed")
}

type snapshotBody struct {
	curation.Snapshot
	Packages cut[warrant.CuratedRecord]
	Channels []curation.Channel // that point at it
	Older    []curation.Snapshot
	Seats    [][]string
	MaySign  bool
	WhyNot   string
	Sign     signing
}

func (s *site) snapshot(v *visit) error {
	ctx := v.r.Context()
	x, err := s.Curation.Proposed(ctx, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	body := snapshotBody{Snapshot: x, Packages: paged(v, x.Record.Packages, 100), Sign: v.signing(warrant.CurationType, x.Payload)}
	channels, err := s.Curation.ChannelStates(ctx)
	if err != nil {
		return err
	}
	for _, c := range channels {
		if c.Snapshot == x.Ref.SHA256 {
			body.Channels = append(body.Channels, c)
		}
	}
	if body.Older, err = s.Curation.SnapshotsAfter(ctx, x.Ref.Curation, snapshotsPage); err != nil {
		return err
	}
	root, err := v.root()
	if err != nil {
		return err
	}
	rule, _ := root.Rule(trustroot.Curation)
	body.Seats = rule.Seats
	body.MaySign, body.WhyNot = signable(root, trustroot.Curation, x.Record.Author, v.session.Person, signedBy(x.Signatures, v.me()), x.SignedAt.IsZero())
	return v.show(http.StatusOK, "snapshot", "Snapshot "+x.Ref.SHA256[:12], body)
}

func signedBy(all []curation.Signature, person string) bool {
	return slices.ContainsFunc(all, func(x curation.Signature) bool { return x.Person == person })
}

// signable says whether a person is offered to sign, or why not. It only spares them a refusal: the room decides.
func signable(root *trustroot.Root, class, author string, p trustroot.Person, already, open bool, touched ...trustroot.Place) (bool, string) {
	switch {
	case !open:
		return false, ""
	case p.ID == author:
		return false, "You are the author: others sign it."
	case already:
		return false, "You have signed it."
	case !seatFor(root, class, p, touched...):
		return false, "None of your roles fills a seat of the class " + class + " for all hosts that are touched."
	}
	return true, ""
}

func (s *site) signSnapshot(v *visit) error {
	sig, err := v.signature()
	if err != nil {
		return err
	}
	signed, err := s.Curation.Sign(v.r.Context(), v.me(), v.r.PathValue("id"), sig)
	if err == nil && signed.Envelope != "" {
		err = s.Curation.Publish(v.r.Context())
	}
	if err != nil {
		return err
	}
	return v.see("/repository/snapshots/"+v.r.PathValue("id"), "signed")
}

func (s *site) promote(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	_, err = s.Curation.Promote(v.r.Context(), v.me(), v.r.PathValue("id"), form.Get("snapshot"))
	if err == nil {
		err = s.Curation.Publish(v.r.Context())
	}
	if err != nil {
		return err
	}
	return v.see("/repository", "promoted")
}

// difference is one package of two snapshots.
type difference struct {
	Name, Arch, Before, After string
	Source                    string
}

type compareBody struct {
	A, B    curation.Snapshot
	Changes cut[difference]
	Same    int
}

// compareSnapshots shows what a snapshot (b) has that another (a) has not, and the other way round.
func (s *site) compareSnapshots(v *visit) error {
	q := v.r.URL.Query()
	a, err := s.Curation.Proposed(v.r.Context(), q.Get("a"))
	if err != nil {
		return err
	}
	b, err := s.Curation.Proposed(v.r.Context(), q.Get("b"))
	if err != nil {
		return err
	}
	changes, same := differences(a.Record.Packages, b.Record.Packages)
	return v.show(http.StatusOK, "compare", "Snapshots compared", compareBody{a, b, paged(v, changes, 100), same})
}

// differences compares packages by name and architecture, sorted by both.
func differences(a, b []warrant.CuratedRecord) (changes []difference, same int) {
	found := map[[2]string]*difference{}
	for _, p := range a {
		found[[2]string{p.Name, p.Arch}] = &difference{Name: p.Name, Arch: p.Arch, Before: p.Version, Source: p.Source}
	}
	for _, p := range b {
		d := found[[2]string{p.Name, p.Arch}]
		if d == nil {
			d = &difference{Name: p.Name, Arch: p.Arch, Source: p.Source}
			found[[2]string{p.Name, p.Arch}] = d
		}
		d.After = p.Version
	}
	for _, d := range found {
		if d.Before == d.After {
			same++
		} else {
			changes = append(changes, *d)
		}
	}
	slices.SortFunc(changes, func(x, y difference) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Arch, y.Arch))
	})
	return changes, same
}
