package evidence

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// signedOrder is an order that had its quorum, with its act order.warranted.
type signedOrder struct {
	warrant.Order
	digest    string
	warranted entry
}

// orders checks the order and the stage order it rests on.
func (a *audit) orders() (string, error) {
	var told []string
	for id := a.contents.Order; id != ""; {
		o, people, err := a.order(id)
		if err != nil {
			return "", err
		}
		a.signed = append(a.signed, o)
		told = append(told, fmt.Sprintf("%s (%s) by %s approved by %s under trust root version %d", o.ID, o.Class, o.Author, strings.Join(people, " and "), o.TrustRoot.Version))
		if id = ""; o.Stage != nil {
			id = o.Stage.Order
			if len(a.signed) > 1 {
				return "", fault.Refuse(fault.MixMatch, "stage order %s rests on another order", o.ID)
			}
		}
	}
	if len(a.signed) == 2 && (a.signed[1].Class != trustroot.Stage || a.signed[1].Snapshot != a.signed[0].Snapshot || a.signed[1].Sequence >= a.signed[0].Sequence) {
		return "", fault.Refuse(fault.MixMatch, "order %s does not follow from a stage of the same snapshot", a.signed[0].ID)
	}
	return strings.Join(told, "; "), nil
}

func (a *audit) order(id string) (o signedOrder, people []string, err error) {
	warranted := a.on("order/"+id, "order.warranted")
	if len(warranted) != 1 || len(warranted[0].Facts) < 1 {
		return o, nil, fault.Refuse(fault.Unlogged, "order %s was warranted %d times in the ledger, not once", id, len(warranted))
	}
	o.warranted, o.digest = warranted[0], warranted[0].Facts[0]
	e, ok := a.envelopes[o.digest]
	if !ok {
		return o, nil, fault.Refuse(Lacking, "the signed order %s with digest %s is not in the bundle", id, o.digest)
	}
	if o.Order, err = warrant.DecodeOrder(e.Payload); err != nil {
		return o, nil, fault.Refuse(fault.Malformed, "%w", err)
	}
	if o.ID != id {
		return o, nil, fault.Refuse(fault.MixMatch, "entry %d warrants order %s with the bytes of order %s", o.warranted.index, id, o.ID)
	}
	root, err := a.root(o.TrustRoot, o.warranted)
	if err != nil {
		return o, nil, err
	}
	approvals, err := approvals(root, e, warrant.OrderType)
	if err == nil {
		err = root.Quorum(o.Class, o.Author, approvals, o.Places...)
	}
	if err != nil {
		return o, nil, fmt.Errorf("order %s: %w", id, err)
	}
	for _, p := range approvals {
		who := "person/" + p.Person.ID
		if !slices.ContainsFunc(a.on("order/"+id, "order.approved"), func(e entry) bool { return e.Who == who && slices.Contains(e.Facts, o.digest) }) {
			return o, nil, fault.Refuse(fault.Unlogged, "the approval of order %s by %s is not in the ledger", id, p.Person.ID)
		}
		people = append(people, p.Person.ID)
	}
	return o, people, nil
}

func approvals(root *trustroot.Root, e envelope.Envelope, payloadType string) ([]trustroot.Approval, error) {
	if e.PayloadType != payloadType {
		return nil, fault.Refuse(fault.Malformed, "payload type is %q, not %q", e.PayloadType, payloadType)
	}
	return root.Approvals(e)
}

// curations checks the record each order rests on, as hosts do: by the people of the order's trust root.
func (a *audit) curations() (string, error) {
	a.records = map[string]warrant.Record{}
	packages := 0
	for _, o := range a.signed {
		ref := o.Snapshot
		e, ok := a.envelopes[ref.Curation]
		if !ok {
			return "", fault.Refuse(Lacking, "the curation record %s of order %s is not in the bundle", ref.Curation, o.ID)
		}
		r, err := warrant.DecodeRecord(e.Payload)
		if err != nil {
			return "", fault.Refuse(fault.Malformed, "%w", err)
		}
		if r.Snapshot != ref.SHA256 || r.Index != ref.Index {
			return "", fault.Refuse(fault.MixMatch, "order %s names another snapshot or index than its curation record", o.ID)
		}
		root, err := a.root(o.TrustRoot, o.warranted)
		if err != nil {
			return "", err
		}
		signers, err := approvals(root, e, warrant.CurationType)
		if err == nil {
			err = root.Quorum(trustroot.Curation, r.Author, signers)
		}
		if err != nil {
			return "", fmt.Errorf("curation record %s: %w", ref.Curation, err)
		}
		a.records[ref.Curation] = r
	}
	for _, r := range a.records {
		packages += len(r.Packages)
	}
	return fmt.Sprintf("%d curation record(s) of %d packages, each under its quorum", len(a.records), packages), nil
}

// upstreams checks each record's packages against the index that the upstream's own key vouches for.
func (a *audit) upstreams() (string, error) {
	var told []string
	for _, digest := range slices.Sorted(maps.Keys(a.records)) {
		r := a.records[digest]
		for _, u := range r.Upstreams {
			n, err := a.upstream(r, u)
			if err != nil {
				return "", fmt.Errorf("upstream %s: %w", u.Name, err)
			}
			told = append(told, fmt.Sprintf("%s of %s signed by %s: %d packages in its index", u.Name, stamp(u.Date), u.Fingerprint, n))
		}
		for _, p := range r.Packages {
			if !slices.ContainsFunc(r.Upstreams, func(u warrant.UpstreamRef) bool { return u.Name == p.Upstream }) {
				return "", fault.Refuse(Upstream, "%s %s comes from upstream %q, which the record does not name", p.Name, p.Version, p.Upstream)
			}
		}
	}
	return strings.Join(told, "; "), nil
}

func (a *audit) upstream(r warrant.Record, u warrant.UpstreamRef) (int, error) {
	inRelease, haveRelease := a.facts[u.Release]
	packed, haveIndex := a.facts[u.Index]
	ring, haveRing := a.bundle.Get(keyringName(u.Name))
	if !haveRelease || !haveIndex || !haveRing {
		return 0, fault.Refuse(Lacking, "its release file, index or keyring is not in the bundle")
	}
	keys, err := pgp.LoadKeyring(ring)
	if err != nil {
		return 0, fault.Refuse(fault.Malformed, "%w", err)
	}
	text, _, err := pgp.VerifyClearsigned(inRelease, keys, []string{u.Fingerprint}, r.MadeAt)
	if err != nil {
		return 0, err
	}
	release, err := deb.ParseRelease(text)
	if err != nil {
		return 0, fault.Refuse(fault.Malformed, "%w", err)
	}
	if !release.Date.Equal(u.Date) {
		return 0, fault.Refuse(fault.MixMatch, "the record says its release is of %s, it is of %s", stamp(u.Date), stamp(release.Date))
	}
	ext, ok := "", false
	for name, f := range release.Files {
		if f.SHA256 == u.Index {
			ext, ok = path.Ext(name), true
		}
	}
	if !ok {
		return 0, fault.Refuse(Upstream, "its release file names no index with digest %s", u.Index)
	}
	want := map[string]warrant.CuratedRecord{}
	for _, p := range r.Packages {
		if p.Upstream == u.Name {
			want[p.SHA256] = p
		}
	}
	total := len(want)
	err = deb.Unpack(ext, bytes.NewReader(packed), func(plain io.Reader) error {
		for e, err := range deb.ParsePackages(plain) {
			if err != nil {
				return fault.Refuse(fault.Malformed, "%w", err)
			}
			if p, ok := want[e.SHA256]; ok && p.Name == e.Name && p.Arch == e.Arch && p.Version == e.Version && p.Size == e.Size {
				delete(want, e.SHA256)
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, digest := range slices.Sorted(maps.Keys(want)) {
		return 0, fault.Refuse(Upstream, "%s %s with sha256 %s is not in its index", want[digest].Name, want[digest].Version, digest)
	}
	return total, nil
}

// packages: what orders install is what was curated.
func (a *audit) packages() (string, error) {
	n := 0
	for _, o := range a.signed {
		curated, origins := map[warrant.SnapshotPackage]bool{}, map[warrant.Copy]bool{}
		for _, p := range a.records[o.Snapshot.Curation].Packages {
			curated[p.SnapshotPackage], origins[warrant.Copy{Package: p.Name, Version: p.Version, Deb: p.SHA256}] = true, true
		}
		for _, t := range o.Transactions {
			for _, x := range t.Actions {
				if x.File == "" {
					continue
				}
				n++
				if !curated[warrant.SnapshotPackage{Name: x.Name, Arch: x.Arch, Version: x.To, SHA256: x.SHA256, Size: x.Size, File: x.File}] {
					return "", fault.Refuse(fault.Arbitrary, "order %s: %s %s %s is not in the curation record", o.ID, x.Name, x.Arch, x.To)
				}
			}
			for _, c := range t.Copies {
				n++
				if !origins[warrant.Copy{Package: c.Package, Version: c.Version, Deb: c.Deb}] {
					return "", fault.Refuse(fault.Arbitrary, "order %s: %s is of %s %s, which is not in the curation record", o.ID, c.Path, c.Package, c.Version)
				}
			}
		}
	}
	return fmt.Sprintf("%d package action(s) and copied file(s), each of a curated package by sha256", n), nil
}
