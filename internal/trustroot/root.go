// Package trustroot holds the one versioned document that says who may: people, keys, roles, quorum rules per class of
// order, ledger and repository keys. It counts people, never keys.
package trustroot

import (
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
)

// PayloadType of a trust root envelope.
const PayloadType = "application/vnd.patchwarrant.trust-root.v1+json"

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

// Person is someone with keys and roles. Roles: cirt-analyst, product-manager, risk-manager, operations-manager,
// system-owner, administrator, auditor. Administrators and auditors never approve.
type Person struct {
	ID    string         `json:"id"` // lower case letters, digits, - and .; unique
	Name  string         `json:"name"`
	Mail  string         `json:"mail,omitempty"`
	Roles []string       `json:"roles"`
	Keys  []envelope.Key `json:"keys"`
}

// Classes of what people sign.
const (
	Stage      = "stage"
	Routine    = "routine"
	Emergency  = "emergency"
	Standing   = "standing"
	RetireHost = "retire-host"
	TrustRoot  = "trust-root"
	Curation   = "curation"
)

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
