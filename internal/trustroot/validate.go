package trustroot

import (
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const predicateType = "https://patchwarrant.org/trust-root/v1"

// Roles that fill seats, and roles that never do and go with no other.
var (
	approving = []string{"cirt-analyst", "product-manager", "risk-manager", "operations-manager", "system-owner"}
	apart     = []string{"administrator", "auditor"}
)

// classes whose rules have no window: nothing happens on hosts.
var windowless = []string{TrustRoot, Curation}

var orderClasses = []string{Stage, Routine, Emergency, Standing, RetireHost}

var personID = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)

// Encode gives the payload that people sign, after the checks of Decode.
func (r *Root) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return envelope.EncodeStatement(predicateType, nil, r)
}

// Decode reads a payload, strictly, and checks that the document is sane: what it cannot say is that anyone signed it.
func Decode(payload []byte) (*Root, error) {
	r, _, err := envelope.DecodeStatement[*Root](payload, predicateType)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, fault.New(fault.Invalid, "trust root: no document")
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	r.digest = envelope.Digest(payload)
	return r, nil
}

// Digest is the sha256 of the payload the root was decoded from; empty for a root that was not.
func (r *Root) Digest() string { return r.digest }

func (r *Root) check() error {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "trust root version %d: "+format, append([]any{r.Version}, args...)...)
	}
	switch {
	case r.Version < 1 || (r.Version == 1) != (r.Previous == ""):
		return bad("versions begin at 1, and every later one names its predecessor")
	case r.Previous != "" && !envelope.ValidDigest(r.Previous):
		return bad("previous is not a sha256 digest")
	case r.Organisation == "" || !r.MadeAt.Before(r.ExpiresAt):
		return bad("it needs an organisation, and to be made before it expires")
	case r.Ledger.Origin == "" || strings.ContainsAny(r.Ledger.Origin, "\n+ ") || len(r.Ledger.Keys) == 0:
		return bad("the ledger needs an origin without spaces, and a key")
	case r.Ledger.MaxCheckpointAgeHours < 1 || r.Ledger.MaxCheckpointAgeHours > 24*90:
		return bad("the oldest checkpoint must be between 1 hour and 90 days old")
	case len(r.Repository.Keys) == 0:
		return bad("the repository needs a key")
	}
	for _, k := range r.Ledger.Keys {
		if _, err := note.NewVerifier(k); err != nil {
			return bad("ledger key: %w", err)
		}
	}
	for _, k := range r.Repository.Keys {
		if !strings.HasPrefix(k, "-----BEGIN PGP PUBLIC KEY BLOCK-----\n") {
			return bad("repository keys are armoured OpenPGP public keys")
		}
	}
	if err := r.checkPeople(); err != nil {
		return bad("%w", err)
	}
	if err := r.checkRules(); err != nil {
		return bad("%w", err)
	}
	return nil
}

func (r *Root) checkPeople() error {
	people, keys := map[string]bool{}, map[string]string{}
	for _, p := range r.People {
		if !personID.MatchString(p.ID) || people[p.ID] || p.Name == "" {
			return fault.New(fault.Invalid, "person %q: IDs are unique (a-z 0-9 . -), names are not empty", p.ID)
		}
		people[p.ID] = true
		for i, role := range p.Roles {
			if slices.Contains(p.Roles[:i], role) || !slices.Contains(approving, role) && !slices.Contains(apart, role) {
				return fault.New(fault.Invalid, "person %s: role %q is unknown or named twice", p.ID, role)
			}
			if slices.Contains(apart, role) && len(p.Roles) > 1 {
				return fault.New(fault.Invalid, "person %s: an %s has no other role", p.ID, role)
			}
		}
		for _, k := range p.Keys {
			if k.Kind != envelope.SSH && k.Kind != envelope.WebAuthn {
				return fault.New(fault.Invalid, "person %s: people sign with SSH keys and passkeys, not %q", p.ID, k.Kind)
			}
			if err := k.Check(); err != nil {
				return fault.New(fault.Invalid, "person %s: %w", p.ID, err)
			}
			for _, name := range []string{k.ID, k.Public} {
				if other, used := keys[name]; used {
					return fault.New(fault.Invalid, "person %s: key %s is already a key of %s", p.ID, k.ID, other)
				}
				keys[name] = p.ID
			}
		}
	}
	return nil
}

func (r *Root) checkRules() error {
	seen := map[string]bool{}
	for _, rule := range r.Rules {
		bad := func(why string) error { return fault.New(fault.Invalid, "rule %q: %s", rule.Class, why) }
		timed := slices.Contains(orderClasses, rule.Class)
		switch {
		case seen[rule.Class] || !timed && !slices.Contains(windowless, rule.Class):
			return bad("the class is unknown or has another rule")
		case len(rule.Seats) < 2 || len(rule.Seats) > 8:
			return bad("two to eight seats: nothing is decided by one person")
		case rule.Local < 1 || rule.Local > len(rule.Seats):
			return bad("at least one signature, at most one per seat, must be local")
		case timed && (rule.MaxWindowHours < 1 || rule.MaxWindowHours > 24*90), !timed && rule.MaxWindowHours != 0:
			return bad("windows of orders are 1 hour to 90 days long; other classes have none")
		}
		seen[rule.Class] = true
		for _, seat := range rule.Seats {
			if len(seat) == 0 || slices.ContainsFunc(seat, func(role string) bool { return !slices.Contains(approving, role) }) {
				return bad("every seat needs roles that may approve")
			}
		}
		if err := r.Quorum(rule.Class, "", r.everyone()); err != nil {
			return bad("the people of this trust root could never meet it")
		}
	}
	if !seen[TrustRoot] || !seen[Curation] {
		return fault.New(fault.Invalid, "the classes %s and %s need rules", TrustRoot, Curation)
	}
	return nil
}

// everyone gives the approvals there would be if all people signed with all their keys.
func (r *Root) everyone() []Approval {
	var all []Approval
	for _, p := range r.People {
		for _, k := range p.Keys {
			all = append(all, Approval{p, envelope.Proof{KeyID: k.ID, Kind: k.Kind}})
		}
	}
	return all
}
