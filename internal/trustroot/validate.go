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

// Classes of orders have windows; nothing happens on hosts under the others.
var (
	windowed   = []string{Stage, Routine, Emergency, Standing, RetireHost}
	windowless = []string{TrustRoot, Curation}
)

const maxHours = 24 * 90 // of windows and checkpoint ages

var personID = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)

// Encode gives the payload that people sign, after the checks of Decode.
func (r *Root) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fault.New(fault.Invalid, "trust root version %d: %w", r.Version, err)
	}
	return envelope.EncodeStatement(predicateType, nil, r)
}

// Decode reads a payload, strictly, and checks that the document is sane: what it cannot say is that anyone signed it.
func Decode(payload []byte) (*Root, error) {
	r, _, err := envelope.DecodeStatement[Root](payload, predicateType)
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "trust root version %d: %w", r.Version, err)
	}
	r.digest = envelope.Digest(payload)
	return &r, nil
}

// Digest is the sha256 of the payload the root was decoded from; empty for a root that was not.
func (r *Root) Digest() string { return r.digest }

func bad(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }

func (r *Root) check() error {
	switch l := r.Ledger; {
	case r.Version < 1 || (r.Version == 1) != (r.Previous == "") || r.Version > 1 && !envelope.ValidDigest(r.Previous):
		return bad("versions begin at 1, and every later one has the sha256 of its predecessor")
	case r.Organisation == "" || !r.MadeAt.Before(r.ExpiresAt):
		return bad("it needs an organisation, and to be made before it expires")
	case l.Origin == "" || strings.ContainsAny(l.Origin, "\n\t+ ") || l.MaxCheckpointAgeHours < 1 || l.MaxCheckpointAgeHours > maxHours:
		return bad("the ledger needs an origin without spaces, and a checkpoint age of 1 to %d hours", maxHours)
	case len(l.Keys) == 0 || len(r.Repository.Keys) == 0:
		return bad("ledger and repository need keys")
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
		return err
	}
	for i, rule := range r.Rules {
		if err := r.checkRule(rule, r.Rules[:i]); err != nil {
			return bad("rule %q: %w", rule.Class, err)
		}
	}
	for _, class := range windowless {
		if _, ok := r.Rule(class); !ok {
			return bad("class %s needs a rule", class)
		}
	}
	return nil
}

func (r *Root) checkPeople() error {
	taken := map[string]string{} // IDs, key IDs and public keys
	for _, p := range r.People {
		if _, twice := taken[p.ID]; twice || !personID.MatchString(p.ID) || p.Name == "" {
			return bad("person %q: IDs are unique (a-z 0-9 . -), names are not empty", p.ID)
		}
		taken[p.ID] = p.ID
		for _, role := range p.Roles {
			if !slices.Contains(approving, role) && (!slices.Contains(apart, role) || len(p.Roles) > 1) {
				return bad("person %s: role %q is unknown, or goes with no other", p.ID, role)
			}
		}
		for _, k := range p.Keys {
			if err := k.Check(); err != nil {
				return bad("person %s: %w", p.ID, err)
			}
			if k.Kind == envelope.Ed25519 {
				return bad("person %s: people sign with SSH keys and passkeys, not %s", p.ID, k.ID)
			}
			for _, name := range []string{k.ID, k.Public} {
				if other, twice := taken[name]; twice {
					return bad("person %s: key %s is already a key of %s", p.ID, k.ID, other)
				}
				taken[name] = p.ID
			}
		}
	}
	return nil
}

func (r *Root) checkRule(rule Rule, earlier []Rule) error {
	timed := slices.Contains(windowed, rule.Class)
	switch {
	case !timed && !slices.Contains(windowless, rule.Class):
		return bad("unknown class")
	case slices.ContainsFunc(earlier, func(e Rule) bool { return e.Class == rule.Class }):
		return bad("there are two")
	case len(rule.Seats) < 2 || len(rule.Seats) > 8 || rule.Local < 1 || rule.Local > len(rule.Seats):
		return bad("two to eight seats, at least one of them local: nothing is decided by one person")
	case timed && (rule.MaxWindowHours < 1 || rule.MaxWindowHours > maxHours), !timed && rule.MaxWindowHours != 0:
		return bad("windows of orders are 1 to %d hours long; other classes have none", maxHours)
	}
	for _, seat := range rule.Seats {
		if slices.ContainsFunc(seat, func(role string) bool { return !slices.Contains(approving, role) }) {
			return bad("a seat has a role that never approves")
		}
	}
	var everyone []Approval
	for _, p := range r.People {
		for _, k := range p.Keys {
			everyone = append(everyone, Approval{p, envelope.Proof{KeyID: k.ID, Kind: k.Kind}})
		}
	}
	if seated, local := seat(rule.Seats, everyone); seated < len(rule.Seats) || local < rule.Local {
		return bad("the people of this trust root could never meet it")
	}
	return nil
}
