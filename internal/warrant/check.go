package warrant

import (
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// skew is how far a host's clock may be behind the ledger's.
const skew = 5 * time.Minute

// Parse reads a warrant document of at most MaxWarrant bytes, strictly. Nothing in it is believed before Check.
func Parse(b []byte) (*Warrant, error) {
	w := new(Warrant)
	if err := envelope.DecodeUpTo(MaxWarrant, b, w); err != nil {
		return nil, fault.Refuse(fault.Malformed, "%w", err)
	}
	return w, nil
}

// Encode gives the form that Parse reads.
func (w *Warrant) Encode() ([]byte, error) { return envelope.Encode(w) }

// RefOf pins a trust root that was decoded.
func RefOf(r *trustroot.Root) RootRef { return RootRef{r.Version, r.Digest()} }

// Host is what a host knows of itself and remembers of earlier warrants.
type Host struct {
	ID, Environment string          // the environment may be empty: then it is not checked
	Root            *trustroot.Root // in force; never nil
	LastSequence    int64           // of the last order obeyed
	LatestTime      time.Time       // latest time seen, by own clock or checkpoint
	LogSize         int64           // of the last checkpoint seen
	LogRoot         [32]byte
	Now             time.Time
}

// Leave is what a warrant allows one host to do.
type Leave struct {
	Order        Order
	OrderDigest  string
	Transactions []Transaction // the host's, at least one, in their order
	Record       *Record       // nil when no package is installed
	Approvals    []trustroot.Approval
	Root         *trustroot.Root // the newest, to be kept
	Checkpoint   proof.Checkpoint
}

// Check decides whether w gives h leave to act at h.Now. The checks come in this order, and the first that fails gives its
// code: clock (CLOCK); trust roots (ROOT-CHAIN, SIGNATURE, QUORUM, ROOT-EXPIRED); the order's signatures, form and quorum
// (SIGNATURE, MALFORMED, AUTHOR, CLASS, QUORUM, SCOPE, LOCAL) and its root (ROOT-ROLLBACK, ROOT-CHAIN); the curation record's
// likewise; what they say together (MIXMATCH, ARBITRARY, DOWNGRADE); whether it is for this host, now (ENVIRONMENT,
// WRONG-HOST, REPLAY, EXPIRED, WINDOW-TOO-LONG, WINDOW); the ledger (UNLOGGED, LOG-ROLLBACK, FREEZE, CLOCK).
func (w *Warrant) Check(h Host) (*Leave, error) {
	if h.Now.Add(skew).Before(h.LatestTime) {
		return nil, fault.Refuse(fault.Clock, "the clock says %s, but the host has seen %s", stamp(h.Now), stamp(h.LatestTime))
	}
	root, err := h.Root.Follow(w.Roots)
	if err == nil {
		err = root.Current(h.Now)
	}
	l := &Leave{Root: root, OrderDigest: envelope.Digest(w.Order.Payload)}
	for _, step := range []func(*Warrant, Host) error{l.signedOrder, l.signedRecord, l.together, l.forHost, l.logged} {
		if err == nil {
			err = step(w, h)
		}
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (l *Leave) signedOrder(w *Warrant, _ Host) (err error) {
	l.Order, l.Approvals, err = signed(l.Root, w.Order, OrderType, DecodeOrder)
	switch ref := l.Order.TrustRoot; {
	case err != nil:
		return err
	case ref.Version < l.Root.Version:
		return fault.Refuse(fault.RootRollback, "order %s was made under trust root version %d; version %d is in force: it must be signed again",
			l.Order.ID, ref.Version, l.Root.Version)
	case ref != RefOf(l.Root):
		return fault.Refuse(fault.RootChain, "order %s was made under a trust root version %d that the host does not have", l.Order.ID, ref.Version)
	}
	return nil
}

func (l *Leave) signedRecord(w *Warrant, _ Host) error {
	if w.Curation == nil {
		return nil
	}
	r, _, err := signed(l.Root, *w.Curation, CurationType, DecodeRecord)
	l.Record = &r
	return err
}

// signed opens what people signed: every signature verifies, and the people fill the quorum of its class.
func signed[T predicate](root *trustroot.Root, e envelope.Envelope, payloadType string, decode func([]byte) (T, error)) (T, []trustroot.Approval, error) {
	var none T
	if e.PayloadType != payloadType {
		return none, nil, fault.Refuse(fault.Malformed, "payload type is %q, not %q", e.PayloadType, payloadType)
	}
	approvals, err := root.Approvals(e)
	if err != nil {
		return none, nil, err
	}
	p, err := decode(e.Payload)
	if err != nil {
		return none, nil, fault.Refuse(fault.Malformed, "%w", err)
	}
	class, author, touched := p.quorum()
	if _, known := root.Person(author); !known {
		return none, nil, fault.Refuse(fault.Author, "the author %q is not a person of trust root version %d", author, root.Version)
	}
	return p, approvals, root.Quorum(class, author, approvals, touched...)
}

func (l *Leave) together(w *Warrant, _ Host) error {
	curated := map[SnapshotPackage]bool{}
	if l.Record != nil {
		if (SnapshotRef{l.Record.Snapshot, l.Record.Index, envelope.Digest(w.Curation.Payload)}) != l.Order.Snapshot {
			return fault.Refuse(fault.MixMatch, "order %s was made for another snapshot, index or curation record than the warrant carries", l.Order.ID)
		}
		for _, p := range l.Record.Packages {
			curated[p.SnapshotPackage] = true
		}
	} else if len(l.Order.subjects()) > 0 {
		return fault.Refuse(fault.MixMatch, "order %s installs packages, but the warrant has no curation record", l.Order.ID)
	}
	for _, t := range l.Order.Transactions {
		for _, a := range t.Actions {
			from, to := versionKey(a.From), versionKey(a.To)
			if a.File != "" && !curated[SnapshotPackage{a.Name, a.Arch, a.To, a.SHA256, a.Size, a.File}] {
				return fault.Refuse(fault.Arbitrary, "%s %s %s with sha256 %s is not in the curation record", a.Name, a.Arch, a.To, a.SHA256)
			}
			if a.Do == "upgrade" && from >= to || a.Do == "downgrade" && from <= to {
				return fault.Refuse(fault.Downgrade, "%s of %s goes from %s to %s", a.Do, a.Name, a.From, a.To)
			}
		}
	}
	return nil
}

func (l *Leave) forHost(_ *Warrant, h Host) error {
	o := l.Order
	rule, _ := l.Root.Rule(o.Class)
	if h.Environment != "" && h.Environment != o.Environment ||
		len(rule.Environments) > 0 && !slices.Contains(rule.Environments, o.Environment) {
		return fault.Refuse(fault.Environment, "order %s of class %s is for %s, the host is in %q", o.ID, o.Class, o.Environment, h.Environment)
	}
	if l.Transactions = o.For(h.ID); len(l.Transactions) == 0 {
		return fault.Refuse(fault.WrongHost, "order %s does not name host %s", o.ID, h.ID)
	}
	switch opens, closes := o.Window.OpensAt, o.Window.ClosesAt; {
	case o.Sequence <= h.LastSequence:
		return fault.Refuse(fault.Replay, "order %s has sequence number %d, the host has obeyed %d", o.ID, o.Sequence, h.LastSequence)
	case !h.Now.Before(o.ExpiresAt):
		return fault.Refuse(fault.Expired, "order %s expired at %s", o.ID, stamp(o.ExpiresAt))
	case closes.Sub(opens) > time.Duration(rule.MaxWindowHours)*time.Hour:
		return fault.Refuse(fault.WindowTooLong, "the window of order %s is longer than the %d h of class %s", o.ID, rule.MaxWindowHours, o.Class)
	case h.Now.Before(opens) || !h.Now.Before(closes):
		return fault.Refuse(fault.OutsideWindow, "the window of order %s is %s to %s; it is %s", o.ID, stamp(opens), stamp(closes), stamp(h.Now))
	}
	return nil
}

func (l *Leave) logged(w *Warrant, h Host) (err error) {
	var act proof.Act
	if act, l.Checkpoint, err = w.Logged.Verify(l.Root.Ledger.Keys, l.Root.Ledger.Origin); err != nil {
		return err
	}
	c, oldest := l.Checkpoint, time.Duration(l.Root.Ledger.MaxCheckpointAgeHours)*time.Hour
	switch {
	case act.Kind != "order.warranted" || act.Subject != "order/"+l.Order.ID || len(act.Facts) == 0 || act.Facts[0] != l.OrderDigest:
		return fault.Refuse(fault.Unlogged, "entry %d of the ledger is not the warrant of order %s", w.Logged.Index, l.Order.ID)
	case c.Size < h.LogSize || c.Size == h.LogSize && c.Root != h.LogRoot:
		return fault.Refuse(fault.LogRollback, "the ledger has %d acts and is not the one of %d acts the host has seen", c.Size, h.LogSize)
	case h.Now.Sub(c.At) > oldest:
		return fault.Refuse(fault.Freeze, "the checkpoint is of %s, older than %s", stamp(c.At), oldest)
	case c.At.Sub(h.Now) > skew:
		return fault.Refuse(fault.Clock, "the clock says %s, but the checkpoint is of %s", stamp(h.Now), stamp(c.At))
	}
	return nil
}
