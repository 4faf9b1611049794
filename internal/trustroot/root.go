// Package trustroot holds the one versioned document that says who may: people, their keys and roles, quorum rules per
// class of order, ledger and repository keys. It counts people, never keys.
package trustroot

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// PayloadType of a trust root envelope.
const PayloadType = "application/vnd.patchwarrant.trust-root.v1+json"

const predicateType = "https://patchwarrant.org/trust-root/v1"

// Root is the predicate of a trust root.
type Root struct {
	Version      int64      `json:"version"`
	Organisation string     `json:"organisation"`
	Previous     string     `json:"previous,omitempty"` // sha256 hex of version N-1's payload; empty for version 1
	MadeAt       time.Time  `json:"made_at"`
	ExpiresAt    time.Time  `json:"expires_at"`
	People       []Person   `json:"people"`
	Rules        []Rule     `json:"rules"`
	Ledger       Ledger     `json:"ledger"`
	Repository   Repository `json:"repository"`

	digest string // of the payload it was decoded from
}

// Person is someone with keys and roles. Source of the roles: R-101.
type Person struct {
	ID     string         `json:"id"` // lower case letters, digits, - and .; unique
	Name   string         `json:"name"`
	Mail   string         `json:"mail,omitempty"`
	Roles  []string       `json:"roles"`
	Keys   []envelope.Key `json:"keys"`
	Scopes []Scope        `json:"scopes,omitempty"` // none: the roles count everywhere
}

// Roles that fill seats, and roles that never do and go with no other.
var (
	approving = []string{"cirt-analyst", "product-manager", "risk-manager", "operations-manager", "system-owner"}
	apart     = []string{"administrator", "auditor"}
)

// Classes of what people sign. Under the last three nothing happens on hosts, so their rules have no window.
const (
	Stage      = "stage"
	Routine    = "routine"
	Emergency  = "emergency"
	Standing   = "standing"
	RetireHost = "retire-host"
	TrustRoot  = "trust-root"
	Curation   = "curation"
	Policy     = "policy" // limits for vulnerabilities
)

var classes = []string{Stage, Routine, Emergency, Standing, RetireHost, TrustRoot, Curation, Policy}

// Rule is the quorum of one class. Seats are filled by different people (bipartite assignment), none of them the author;
// each seat is the list of roles any one of which fills it. Local counts the signatures that must be sshsig from the CLI.
type Rule struct {
	Class          string     `json:"class"`
	Environments   []string   `json:"environments,omitempty"` // hosts of other environments refuse the class; empty: all
	Seats          [][]string `json:"seats"`
	Local          int        `json:"local"`
	MaxWindowHours int        `json:"max_window_hours"`
}

// Ledger names the log: its origin and its note verifier keys (golang.org/x/mod/sumdb/note form), and the oldest
// checkpoint a host accepts.
type Ledger struct {
	Origin                string   `json:"origin"`
	Keys                  []string `json:"keys"`
	MaxCheckpointAgeHours int      `json:"max_checkpoint_age_hours"`
}

// Repository holds the armoured OpenPGP public keys that sign the curated repository.
type Repository struct {
	Keys []string `json:"keys"`
}

// Encode gives the payload that people sign, after the checks of Decode.
func (r *Root) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
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
		return nil, err
	}
	r.digest = envelope.Digest(payload)
	return &r, nil
}

// Digest is the sha256 of the payload the root was decoded from; empty for a root that was not.
func (r *Root) Digest() string { return r.digest }

const maxHours = 24 * 90 // of windows and checkpoint ages

var personID = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)

func (r *Root) check() error {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "trust root: "+format, args...)
	}
	l := r.Ledger
	switch {
	case r.Version < 1 || (r.Version == 1) != (r.Previous == "") || r.Version > 1 && !envelope.ValidDigest(r.Previous):
		return bad("versions begin at 1, and every later one has the sha256 of its predecessor")
	case r.Organisation == "" || !r.MadeAt.Before(r.ExpiresAt):
		return bad("it needs an organisation, and to be made before it expires")
	case l.Origin == "" || strings.ContainsAny(l.Origin, "\n\t+ ") || len(l.Keys) == 0 || !hours(l.MaxCheckpointAgeHours):
		return bad("the ledger needs an origin without spaces, a key, and a checkpoint age of 1 to %d hours", maxHours)
	case len(r.Repository.Keys) == 0:
		return bad("the repository needs a key")
	}
	for _, k := range l.Keys {
		if _, err := note.NewVerifier(k); err != nil {
			return bad("ledger key: %w", err)
		}
	}
	for _, k := range r.Repository.Keys {
		if !strings.HasPrefix(k, "-----BEGIN PGP PUBLIC KEY BLOCK-----\n") {
			return bad("repository keys are armoured OpenPGP public keys")
		}
	}
	taken := map[string]bool{} // IDs, key IDs and public keys
	for _, p := range r.People {
		if why := p.check(taken); why != "" {
			return bad("person %q: %s", p.ID, why)
		}
	}
	for i, rule := range r.Rules {
		if slices.ContainsFunc(r.Rules[:i], func(e Rule) bool { return e.Class == rule.Class }) || !rule.valid() {
			return bad("rule %q: one for each known class, with two to eight seats of roles that approve (nothing is decided by one"+
				" person), at least one of them local, and a window of 1 to %d hours if hosts change", rule.Class, maxHours)
		}
		all := r.everyone()
		if !rule.timed() {
			all = at(nil, all)
		}
		if seated, local := seat(rule.Seats, all); seated < len(rule.Seats) || local < rule.Local {
			return bad("rule %q: the people of this trust root could never meet it (limited roles count only for orders and hosts)", rule.Class)
		}
		taken["rule for "+rule.Class] = true
	}
	if !taken["rule for "+TrustRoot] || !taken["rule for "+Curation] {
		return bad("classes %s and %s need rules", TrustRoot, Curation)
	}
	return nil
}

// Roles gives all roles: those that approve first.
func Roles() []string { return slices.Concat(approving, apart) }

// Check refuses a person that no trust root could hold; fault.Invalid.
func (p Person) Check() error {
	if why := p.check(map[string]bool{}); why != "" {
		return fault.New(fault.Invalid, "person %q: %s", p.ID, why)
	}
	return nil
}

func hours(n int) bool { return 1 <= n && n <= maxHours }

func (p Person) check(taken map[string]bool) string {
	if taken[p.ID] || !personID.MatchString(p.ID) || p.Name == "" {
		return "IDs are unique (a-z 0-9 . -), names are not empty"
	}
	taken[p.ID] = true
	for _, role := range p.Roles {
		if !slices.Contains(approving, role) && (!slices.Contains(apart, role) || len(p.Roles) > 1) {
			return "role " + role + " is unknown, or goes with no other"
		}
	}
	for _, s := range p.Scopes {
		if !s.valid(p.Roles) {
			return "a scope limits a role of theirs that approves, by at least one platform, business unit or zone"
		}
	}
	for _, k := range p.Keys {
		if err := k.Check(); err != nil {
			return err.Error()
		}
		if k.Kind == envelope.Ed25519 || taken[k.ID] || taken[k.Public] {
			return "key " + k.ID + " is no SSH key or passkey, or is there twice"
		}
		taken[k.ID], taken[k.Public] = true, true
	}
	return ""
}

func (rule Rule) valid() bool {
	for _, role := range slices.Concat(rule.Seats...) {
		if !slices.Contains(approving, role) {
			return false
		}
	}
	return slices.Contains(classes, rule.Class) && 2 <= len(rule.Seats) && len(rule.Seats) <= 8 &&
		1 <= rule.Local && rule.Local <= len(rule.Seats) && (rule.timed() && hours(rule.MaxWindowHours) || !rule.timed() && rule.MaxWindowHours == 0)
}

// timed reports whether what is signed under the rule touches hosts, within a window.
func (rule Rule) timed() bool {
	return !slices.Contains([]string{TrustRoot, Curation, Policy}, rule.Class)
}

// everyone gives the approvals there would be if all people signed with all their keys.
func (r *Root) everyone() (all []Approval) {
	for _, p := range r.People {
		for _, k := range p.Keys {
			all = append(all, Approval{p, envelope.Proof{KeyID: k.ID, Kind: k.Kind}})
		}
	}
	return all
}
