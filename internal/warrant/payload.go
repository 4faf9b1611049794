package warrant

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// Forms of what reaches a path or a command line. Source: Debian policy 5.6.1, 5.6.8, 5.6.12.
const (
	named   = ` [a-z0-9][a-z0-9+.-]{1,127} [a-z0-9][a-z0-9-]{0,31} ` // name and architecture
	version = `[0-9][A-Za-z0-9.+~:-]{0,254}`
	file    = ` [0-9a-f]{64} [1-9][0-9]* pool/[A-Za-z0-9.+~:%_/-]{1,500}\.deb`
)

var (
	word       = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`) // order, host and person IDs, environments
	rootForm   = regexp.MustCompile(`^((/[A-Za-z0-9_@+.-]+)+)?$`)
	actionForm = regexp.MustCompile(`^(install` + named + ` ` + version + file +
		`|(up|down)grade` + named + version + ` ` + version + file + `|remove` + named + version + `   0 )$`)
	copyForm = regexp.MustCompile(`^[A-Za-z0-9_@+.,:~%=/-]{2,1000} ([0-9a-f]{64} ){2}[1-9][0-9]* [a-z0-9][a-z0-9+.-]{1,127} ` + version + ` [0-9a-f]{64}$`)
)

// Encode gives the payload that people sign, after the checks of DecodeOrder.
func (o Order) Encode() ([]byte, error) { return encode(orderPredicate, o) }

// DecodeOrder reads a payload strictly: its subjects are the .debs of its actions, its transactions are sorted and well
// formed, every host is in one of them.
func DecodeOrder(payload []byte) (Order, error) { return decode[Order](payload, orderPredicate) }

// Encode gives the payload that people sign, after the checks of DecodeRecord.
func (r Record) Encode() ([]byte, error) { return encode(curationPredicate, r) }

// DecodeRecord reads a payload strictly: its subjects are its packages, and its snapshot digest is theirs.
func DecodeRecord(payload []byte) (Record, error) { return decode[Record](payload, curationPredicate) }

// Encode gives the payload that the host signs.
func (r Report) Encode() ([]byte, error) { return envelope.EncodeStatement(reportPredicate, nil, r) }

// OpenReport verifies a report by its host's key and reads it. Refusals have the codes SIGNATURE and MALFORMED.
func OpenReport(e envelope.Envelope, key envelope.Key) (r Report, err error) {
	if e.PayloadType != ReportType || len(e.Signatures) != 1 {
		return r, fault.Refuse(fault.Malformed, "report: want one signature on payload type %s", ReportType)
	}
	if _, err := key.Verify(e.PayloadType, e.Payload, e.Signatures[0]); err != nil {
		return r, err
	}
	if r, err = decode[Report](e.Payload, reportPredicate); err != nil {
		return r, fault.Refuse(fault.Malformed, "report: %w", err)
	}
	return r, nil
}

// predicate is what a payload says: it knows what is wrong with it, the .debs it is about, and whose quorum it needs.
type predicate interface {
	check() error
	subjects() []envelope.Subject
	quorum() (class, author string, touched []trustroot.Place)
}

func encode(predicateType string, p predicate) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	return envelope.EncodeStatement(predicateType, p.subjects(), p)
}

func decode[T predicate](payload []byte, predicateType string) (T, error) {
	p, subjects, err := envelope.DecodeStatement[T](payload, predicateType)
	if err == nil {
		err = p.check()
	}
	if err == nil && !slices.Equal(subjects, p.subjects()) {
		err = fault.New(fault.Invalid, "its subjects are not its packages")
	}
	return p, err
}

// For gives the transactions of a host, in their order.
func (o Order) For(host string) []Transaction {
	return slices.DeleteFunc(slices.Clone(o.Transactions), func(t Transaction) bool { return !slices.Contains(t.Hosts, host) })
}

func (o Order) subjects() (out []envelope.Subject) {
	for _, t := range o.Transactions {
		for _, a := range t.Actions {
			if a.File != "" {
				out = append(out, envelope.Subject{Name: a.File, Digest: envelope.DigestSet{SHA256: a.SHA256}})
			}
		}
	}
	slices.SortFunc(out, func(a, b envelope.Subject) int { return compare(a.Name, b.Name, a.Digest.SHA256, b.Digest.SHA256) })
	return slices.Compact(out)
}

// compare orders by pairs of strings, the first that differ deciding.
func compare(pairs ...string) int {
	for i := 0; i < len(pairs); i += 2 {
		if c := strings.Compare(pairs[i], pairs[i+1]); c != 0 {
			return c
		}
	}
	return 0
}

func (o Order) check() error {
	bad := func(why string) error { return fault.New(fault.Invalid, "order %s: %s", o.ID, why) }
	classes := []string{trustroot.Stage, trustroot.Routine, trustroot.Emergency, trustroot.Standing, trustroot.RetireHost}
	switch {
	case !word.MatchString(o.ID) || !word.MatchString(o.Environment) || !word.MatchString(o.Author):
		return bad("ID, environment and author are lower case words")
	case !slices.Contains(classes, o.Class) || o.Sequence < 1 || o.Reason == "" || len(o.Transactions) == 0:
		return bad("it needs a class, a sequence number from 1, a reason and a transaction")
	case !o.MadeAt.Before(o.ExpiresAt) || !o.Window.OpensAt.Before(o.Window.ClosesAt):
		return bad("times are out of order")
	}
	hosts := map[string]bool{}
	for _, t := range o.Transactions {
		if len(t.Hosts) == 0 || (len(t.Actions)+len(t.Copies) == 0) != (o.Class == trustroot.RetireHost) || t.Root == "" && len(t.Copies) > 0 {
			return bad("a transaction needs hosts, and actions, or copies in another root, unless hosts are retired")
		}
		if !rootForm.MatchString(t.Root) || t.Root != "" && path.Clean(t.Root) != t.Root {
			return bad("root " + t.Root + " is no clean absolute path of letters, digits and _@+.-")
		}
		for _, h := range t.Hosts {
			if !word.MatchString(h) || hosts[h+t.Root] {
				return bad("host " + h + " is no host ID or is named twice")
			}
			hosts[h+t.Root] = true
		}
		for i, a := range t.Actions {
			form := fmt.Sprintf("%s %s %s %s %s %s %d %s", a.Do, a.Name, a.Arch, a.From, a.To, a.SHA256, a.Size, a.File)
			if !actionForm.MatchString(form) || a.File != "" && path.Clean(a.File) != a.File {
				return bad("not an action: " + form)
			}
			if i > 0 && compare(t.Actions[i-1].Name, a.Name, t.Actions[i-1].Arch, a.Arch) >= 0 {
				return bad("actions are not sorted by name and architecture at " + a.Name)
			}
		}
		for i, c := range t.Copies {
			if !c.Sound() || i > 0 && t.Copies[i-1].Path >= c.Path {
				return bad("not a copy, or not sorted by path: " + c.Path)
			}
		}
	}
	return nil
}

// Sound reports whether an order may name a copy.
func (c Copy) Sound() bool {
	return copyForm.MatchString(fmt.Sprintf("%s %s %s %d %s %s %s", c.Path, c.From, c.To, c.Size, c.Package, c.Version, c.Deb)) &&
		path.Clean("/"+c.Path) == c.Path && c.From != c.To
}

func (r Record) subjects() (out []envelope.Subject) {
	for _, p := range r.Packages {
		out = append(out, envelope.Subject{Name: p.File, Digest: envelope.DigestSet{SHA256: p.SHA256}})
	}
	return out
}

func (r Record) check() error {
	packages := make([]SnapshotPackage, len(r.Packages))
	for i, p := range r.Packages {
		packages[i] = p.SnapshotPackage
		if last := packages[max(0, i-1)]; i > 0 && compare(last.Name, p.Name, last.Arch, p.Arch, last.Version, p.Version) >= 0 {
			return fault.New(fault.Invalid, "curation record: packages are not sorted by name, architecture, version at %s", p.Name)
		}
	}
	if digest, err := SnapshotDigest(packages); err != nil || r.Snapshot != digest || !envelope.ValidDigest(r.Index) {
		return fault.New(fault.Invalid, "curation record: snapshot is not the digest of its packages, or index is no digest")
	}
	return nil
}

// SnapshotDigest names a snapshot by its packages, which are sorted by name, architecture, version.
func SnapshotDigest(packages []SnapshotPackage) (string, error) {
	b, err := envelope.Encode(packages)
	return envelope.Digest(b), err
}

func (o Order) quorum() (string, string, []trustroot.Place) { return o.Class, o.Author, o.Places }
func (r Record) quorum() (string, string, []trustroot.Place) {
	return trustroot.Curation, r.Author, nil
}
func (r Report) quorum() (string, string, []trustroot.Place) { return "", "", nil }
func (r Report) subjects() (_ []envelope.Subject)            { return nil }

func (r Report) check() error {
	if !slices.Contains([]string{Done, Refused, RunFailed, Interrupted}, r.Outcome) {
		return fault.New(fault.Invalid, "report: unknown outcome %q", r.Outcome)
	}
	return nil
}

// versionKey gives a string whose byte order is dpkg's order of versions. Source: deb-version(7).
func versionKey(v string) string {
	epoch, rest, ok := strings.Cut(v, ":")
	if !ok {
		epoch, rest = "0", v
	}
	upstream, revision := rest, "0"
	if i := strings.LastIndexByte(rest, '-'); i >= 0 {
		upstream, revision = rest[:i], rest[i+1:]
	}
	return partKey(epoch) + partKey(upstream) + partKey(revision)
}

// partKey writes runs of other characters and numbers in turn. In a run a tilde (1) is before the run's end (2), that is
// before letters, those before all others. A number is its length and its digits, without leading zeros.
func partKey(part string) string {
	const digits = "0123456789"
	var b []byte
	for first := true; first || part != ""; first = false {
		for ; part != "" && !strings.ContainsRune(digits, rune(part[0])); part = part[1:] {
			switch c := part[0]; {
			case c == '~':
				b = append(b, 1)
			case 'a' <= c|0x20 && c|0x20 <= 'z':
				b = append(b, c)
			default:
				b = append(b, c|0x80)
			}
		}
		rest := strings.TrimLeft(part, digits)
		number := strings.TrimLeft(part[:len(part)-len(rest)], "0")
		b, part = append(append(b, 2, byte(len(number))), number...), rest
	}
	return string(append(b, 2))
}
