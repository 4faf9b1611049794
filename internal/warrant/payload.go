package warrant

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

const (
	orderPredicate    = "https://patchwarrant.org/order/v1"
	curationPredicate = "https://patchwarrant.org/curation/v1"

	// MaxWarrant bounds a warrant document, in bytes.
	MaxWarrant = 4 << 20
)

// Forms of the words that reach a command line or a path. Source: Debian policy 5.6.1, 5.6.8, 5.6.12.
var (
	word        = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`) // order, host and person IDs, environments
	packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{1,127}$`)
	archName    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	versionForm = regexp.MustCompile(`^[0-9][A-Za-z0-9.+~:-]{0,254}$`)
	poolFile    = regexp.MustCompile(`^pool/[A-Za-z0-9.+~:%_/-]{1,500}\.deb$`)
)

// Encode gives the payload that people sign, after the checks of DecodeOrder.
func (o Order) Encode() ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return envelope.EncodeStatement(orderPredicate, o.subjects(), o)
}

// DecodeOrder reads a payload strictly: its subjects are the .debs of its actions, its transactions are sorted and well
// formed, every host is in one of them.
func DecodeOrder(payload []byte) (Order, error) {
	o, subjects, err := envelope.DecodeStatement[Order](payload, orderPredicate)
	if err == nil {
		err = o.check()
	}
	if err == nil && !slices.Equal(subjects, o.subjects()) {
		err = fault.New(fault.Invalid, "order %s: its subjects are not the packages of its actions", o.ID)
	}
	return o, err
}

func (o Order) subjects() []envelope.Subject {
	out := []envelope.Subject{}
	for _, t := range o.Transactions {
		for _, a := range t.Actions {
			if a.File != "" {
				out = append(out, envelope.Subject{Name: a.File, Digest: envelope.DigestSet{SHA256: a.SHA256}})
			}
		}
	}
	slices.SortFunc(out, func(a, b envelope.Subject) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Digest.SHA256, b.Digest.SHA256))
	})
	return slices.Compact(out)
}

func (o Order) check() error {
	bad := func(why string) error { return fault.New(fault.Invalid, "order %s: %s", o.ID, why) }
	classes := []string{trustroot.Stage, trustroot.Routine, trustroot.Emergency, trustroot.Standing, trustroot.RetireHost}
	switch {
	case !word.MatchString(o.ID) || !word.MatchString(o.Environment) || !word.MatchString(o.Author):
		return bad("ID, environment and author are lower case words")
	case !slices.Contains(classes, o.Class):
		return bad("unknown class " + o.Class)
	case o.Sequence < 1 || o.TrustRoot.Version < 1 || !envelope.ValidDigest(o.TrustRoot.SHA256):
		return bad("it needs a sequence number from 1 and a trust root")
	case !o.MadeAt.Before(o.ExpiresAt) || !o.Window.OpensAt.Before(o.Window.ClosesAt):
		return bad("times are out of order")
	case o.Reason == "" || len(o.Transactions) == 0:
		return bad("it needs a reason and a transaction")
	case o.Stage != nil && (!word.MatchString(o.Stage.Order) || !envelope.ValidDigest(o.Stage.Manifest)):
		return bad("the stage evidence needs an order ID and a manifest digest")
	case len(o.subjects()) > 0 && !(envelope.ValidDigest(o.Snapshot.SHA256) && envelope.ValidDigest(o.Snapshot.Index) &&
		envelope.ValidDigest(o.Snapshot.Curation)):
		return bad("the snapshot needs its three digests")
	}
	hosts := map[string]bool{}
	for _, t := range o.Transactions {
		if len(t.Hosts) == 0 || (len(t.Actions) == 0) != (o.Class == trustroot.RetireHost) {
			return bad("a transaction needs hosts, and actions unless hosts are retired")
		}
		for _, h := range t.Hosts {
			if !word.MatchString(h) || hosts[h] {
				return bad("host " + h + " is no host ID or is named twice")
			}
			hosts[h] = true
		}
		if !slices.IsSortedFunc(t.Actions, func(a, b Action) int { return cmp.Or(compareActions(a, b), 1) }) {
			return bad("actions are not sorted by name and architecture, or repeat a package")
		}
		for _, a := range t.Actions {
			if err := a.check(); err != nil {
				return bad(err.Error())
			}
		}
	}
	return nil
}

func compareActions(a, b Action) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch))
}

func (a Action) check() error {
	install, remove := a.Do == "install", a.Do == "remove"
	files := poolFile.MatchString(a.File) && path.Clean(a.File) == a.File && envelope.ValidDigest(a.SHA256) && a.Size > 0
	switch {
	case !packageName.MatchString(a.Name) || !archName.MatchString(a.Arch):
		return fault.New(fault.Invalid, "package %q of architecture %q is not well named", a.Name, a.Arch)
	case !install && !remove && a.Do != "upgrade" && a.Do != "downgrade":
		return fault.New(fault.Invalid, "%s: unknown verb %q", a.Name, a.Do)
	case install != (a.From == "") || !install && !versionForm.MatchString(a.From):
		return fault.New(fault.Invalid, "%s: %s with wrong version %q to go from", a.Name, a.Do, a.From)
	case remove && (a.To != "" || a.File != "" || a.SHA256 != "" || a.Size != 0):
		return fault.New(fault.Invalid, "%s: a removal has no package", a.Name)
	case !remove && (!versionForm.MatchString(a.To) || !files):
		return fault.New(fault.Invalid, "%s: %s needs a version and a pool file with sha256 and size", a.Name, a.Do)
	}
	return nil
}

// Encode gives the payload that people sign, after the checks of DecodeRecord.
func (r Record) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return envelope.EncodeStatement(curationPredicate, r.subjects(), r)
}

// DecodeRecord reads a payload strictly: its subjects are its packages, and its snapshot digest is theirs.
func DecodeRecord(payload []byte) (Record, error) {
	r, subjects, err := envelope.DecodeStatement[Record](payload, curationPredicate)
	if err == nil {
		err = r.check()
	}
	if err == nil && !slices.Equal(subjects, r.subjects()) {
		err = fault.New(fault.Invalid, "curation record: its subjects are not its packages")
	}
	return r, err
}

func (r Record) subjects() []envelope.Subject {
	out := []envelope.Subject{}
	for _, p := range r.Packages {
		out = append(out, envelope.Subject{Name: p.File, Digest: envelope.DigestSet{SHA256: p.SHA256}})
	}
	return out
}

func (r Record) check() error {
	packages := make([]SnapshotPackage, len(r.Packages))
	for i, p := range r.Packages {
		packages[i] = p.SnapshotPackage
		if i > 0 && compareSnapshot(packages[i-1], packages[i]) >= 0 {
			return fault.New(fault.Invalid, "curation record: packages are not sorted by name, architecture, version at %s", p.Name)
		}
	}
	digest, err := SnapshotDigest(packages)
	if err != nil || r.Snapshot != digest || !envelope.ValidDigest(r.Index) {
		return fault.New(fault.Invalid, "curation record: snapshot is not the digest of its packages, or index is no digest")
	}
	if !word.MatchString(r.Author) || r.TrustRoot.Version < 1 || !envelope.ValidDigest(r.TrustRoot.SHA256) {
		return fault.New(fault.Invalid, "curation record: it needs an author and a trust root")
	}
	return nil
}

func compareSnapshot(a, b SnapshotPackage) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch), strings.Compare(a.Version, b.Version))
}

// SnapshotDigest names a snapshot by its packages, which are sorted by name, architecture, version.
func SnapshotDigest(packages []SnapshotPackage) (string, error) {
	b, err := envelope.Encode(packages)
	return envelope.Digest(b), err
}
