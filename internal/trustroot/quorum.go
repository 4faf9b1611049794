package trustroot

import (
	"maps"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// maxSignatures bounds an envelope.
const maxSignatures = 16

// Approval is a verified signature of a person of the root.
type Approval struct {
	Person Person
	Proof  envelope.Proof
}

// Approvals verifies every signature of an envelope. One by an unknown key, or one that does not verify, spoils the whole
// (SIGNATURE): honest envelopes have none.
func (r *Root) Approvals(e envelope.Envelope) (out []Approval, err error) {
	if len(e.Signatures) > maxSignatures {
		return nil, fault.Refuse(fault.BadSignature, "%d signatures are over the limit of %d", len(e.Signatures), maxSignatures)
	}
	for _, s := range e.Signatures {
		p, k := r.owner(s.KeyID)
		if k.ID == "" {
			return nil, fault.Refuse(fault.BadSignature, "trust root version %d has no key %q", r.Version, s.KeyID)
		}
		proof, err := k.Verify(e.PayloadType, e.Payload, s)
		if err != nil {
			return nil, err
		}
		out = append(out, Approval{p, proof})
	}
	return out, nil
}

// owner finds a key and whose it is; the zero Key if there is none.
func (r *Root) owner(keyID string) (Person, envelope.Key) {
	for _, p := range r.People {
		for _, k := range p.Keys {
			if k.ID == keyID {
				return p, k
			}
		}
	}
	return Person{}, envelope.Key{}
}

// Person finds a person by ID.
func (r *Root) Person(id string) (Person, bool) {
	return find(r.People, func(p Person) bool { return p.ID == id })
}

// Rule gives the quorum rule of a class.
func (r *Root) Rule(class string) (Rule, bool) {
	return find(r.Rules, func(rule Rule) bool { return rule.Class == class })
}

func find[T any](list []T, is func(T) bool) (found T, ok bool) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	return found, false
}

// Quorum decides whether approvals fill every seat of the class's rule with a different person, none of them the author
// (empty where there is none), and at least Local of them with a local signature. A role that is limited counts only if its
// scope covers all places of the hosts that are touched; without places it never does. Codes: CLASS, SCOPE, AUTHOR, QUORUM,
// LOCAL. Source.
func (r *Root) Quorum(class, author string, approvals []Approval, places ...Place) error {
	rule, ok := r.Rule(class)
	if !ok {
		return fault.Refuse(fault.Class, "trust root version %d has no rule for class %q", r.Version, class)
	}
	n := len(rule.Seats)
	others := slices.DeleteFunc(slices.Clone(approvals), func(a Approval) bool { return a.Person.ID == author })
	seated, local := seat(rule.Seats, at(places, others))
	if seated == n && local >= rule.Local {
		return nil
	}
	if seated == n {
		return fault.Refuse(fault.Local, "class %s needs %d signatures made by the CLI with an SSH key, and has %d", class, rule.Local, local)
	}
	if anywhere, _ := seat(rule.Seats, others); anywhere == n {
		return fault.Refuse(fault.Scope, "class %s: %d of %d seats are filled by people whose scope covers all hosts that are touched", class, seated, n)
	}
	if withAuthor, _ := seat(rule.Seats, approvals); withAuthor == n {
		return fault.Refuse(fault.Author, "class %s: the approval of its author %s does not count", class, author)
	}
	return fault.Refuse(fault.Quorum, "class %s needs %d different people in their seats, and has %d", class, n, seated)
}

// Seated decides whether approvals fill every seat with a different person; the roles named in a seat are those any one of
// which fills it, within their scopes. It is for what has no class, such as decisions.
func Seated(seats [][]string, approvals []Approval, places ...Place) bool {
	n, _ := seat(seats, at(places, approvals))
	return n == len(seats)
}

// seat fills as many seats as possible with different people, and among those ways takes one with the most people who
// signed locally. These come first: who is seated may be moved by a later one but never loses all seats (augmenting
// paths), so no later person takes a local one's place.
func seat(seats [][]string, approvals []Approval) (seated, local int) {
	roles, isLocal := map[string][]string{}, map[string]bool{}
	for _, a := range approvals {
		roles[a.Person.ID] = a.Person.Roles
		isLocal[a.Person.ID] = isLocal[a.Person.ID] || a.Proof.Kind == envelope.SSH
	}
	holder := make([]string, len(seats))
	var place func(id string, tried []bool) bool
	place = func(id string, tried []bool) bool {
		for i, fitting := range seats {
			if tried[i] || !slices.ContainsFunc(roles[id], func(role string) bool { return slices.Contains(fitting, role) }) {
				continue
			}
			tried[i] = true
			if holder[i] == "" || place(holder[i], tried) {
				holder[i] = id
				return true
			}
		}
		return false
	}
	for _, locals := range []bool{true, false} {
		for _, id := range slices.Sorted(maps.Keys(roles)) {
			if isLocal[id] == locals && place(id, make([]bool, len(seats))) {
				seated++
			}
		}
		if locals {
			local = seated
		}
	}
	return seated, local
}

// First takes a root as the first one a host or server knows: its payload has the digest given out of band, it stands
// under a quorum of its own, and it has not expired at now.
func First(e envelope.Envelope, wantDigest string, now time.Time) (*Root, error) {
	r, err := open(e)
	if err == nil && r.digest != wantDigest {
		err = fault.Refuse(fault.RootChain, "the trust root is not the pinned one: its sha256 is %s, not %s", r.digest, wantDigest)
	}
	if err == nil {
		err = r.approved(e)
	}
	if err != nil {
		return nil, err
	}
	return r, r.Current(now)
}

// Next takes version N+1 after r, version N: it names r's digest, stands under a quorum of both, and has not expired.
func (r *Root) Next(e envelope.Envelope, now time.Time) (*Root, error) {
	next, err := r.Follow([]envelope.Envelope{e})
	if err != nil {
		return nil, err
	}
	if next == r {
		return nil, fault.New(fault.Conflict, "trust root version %d is already in force", r.Version)
	}
	return next, next.Current(now)
}

// Follow walks from r along newer roots, oldest first, and gives the last. Roots that expired on the way are followed
// (the host was away); the caller checks the last with Current. Versions r already covers are passed over, except that
// another document of r's own version is refused.
func (r *Root) Follow(roots []envelope.Envelope) (*Root, error) {
	for _, e := range roots {
		next, err := open(e)
		if err != nil {
			return nil, err
		}
		if next.Version < r.Version || next.digest == r.digest {
			continue
		}
		if next.Version != r.Version+1 || next.Previous != r.digest {
			return nil, fault.Refuse(fault.RootChain, "trust root version %d does not follow the host's version %d", next.Version, r.Version)
		}
		for _, by := range []*Root{r, next} {
			if err := by.approved(e); err != nil {
				return nil, err
			}
		}
		r = next
	}
	return r, nil
}

// Current refuses a root that has expired at now (ROOT-EXPIRED).
func (r *Root) Current(now time.Time) error {
	if now.Before(r.ExpiresAt) {
		return nil
	}
	return fault.Refuse(fault.RootExpired, "trust root version %d expired at %s", r.Version, r.ExpiresAt.Format(time.RFC3339))
}

// approved checks the quorum for trust roots under r. Signatures by keys r does not know are those of the neighbour
// version's people and count there.
func (r *Root) approved(e envelope.Envelope) error {
	e.Signatures = slices.DeleteFunc(slices.Clone(e.Signatures), func(s envelope.Signature) bool {
		_, k := r.owner(s.KeyID)
		return k.ID == ""
	})
	approvals, err := r.Approvals(e)
	if err != nil {
		return err
	}
	return r.Quorum(TrustRoot, "", approvals)
}

func open(e envelope.Envelope) (*Root, error) {
	if e.PayloadType != PayloadType {
		return nil, fault.Refuse(fault.Malformed, "payload type %q is not a trust root's", e.PayloadType)
	}
	r, err := Decode(e.Payload)
	if err != nil {
		return nil, fault.Refuse(fault.Malformed, "%w", err)
	}
	return r, nil
}
