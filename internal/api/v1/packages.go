package v1

import (
	"time"

	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Findings are the vulnerabilities on a host.
type Findings struct {
	Findings []verdict.Finding `json:"findings"`
}

// Draft says what a person wants to decide about a vulnerability, or about several in one document.
type Draft struct {
	Vulnerability string            `json:"vulnerability"`
	Also          []string          `json:"also,omitempty" doc:"further vulnerabilities of one decision; at most 999"`
	Kind          string            `json:"kind"`
	Scope         string            `json:"scope,omitempty"`
	Justification string            `json:"justification,omitempty"`
	Reason        string            `json:"reason"`
	Exception     *triage.Exception `json:"exception,omitempty"`
	Until         time.Time         `json:"until,omitzero"`
}

// WaitingDecisions are decisions that a second person has to agree to, the oldest first.
type WaitingDecisions struct {
	Decisions []triage.Waiting `json:"decisions"`
}

// Refusal says why a decision that waits comes to nothing.
type Refusal struct {
	Reason string `json:"reason" minLength:"1" maxLength:"4000"`
}

// Payload is what a person signs. A client shows it to them, and nothing else.
type Payload struct {
	PayloadType string `json:"payload_type"`
	Payload     []byte `json:"payload"`
	SHA256      string `json:"sha256"`
}

// Accepted are the fixes that decisions in force let in.
type Accepted struct {
	Accepted []triage.Accepted `json:"accepted"`
}

// Upstream is the accepted state of a vendor's archive.
type Upstream struct {
	Name        string    `json:"name"`
	URL         string    `json:"url"`
	Suite       string    `json:"suite"`
	Component   string    `json:"component"`
	Arch        string    `json:"arch"`
	Advisories  string    `json:"advisories,omitempty"` // the release that its changelogs are a source for
	Release     string    `json:"release"`              // digest of InRelease
	Index       string    `json:"index"`                // digest of Packages
	Date        time.Time `json:"date,omitzero"`
	ValidUntil  time.Time `json:"valid_until,omitzero"`
	Fingerprint string    `json:"fingerprint"` // of the pinned key that verified it
	Packages    int       `json:"packages"`
	SeenAt      time.Time `json:"seen_at,omitzero"`
	RefusedAt   time.Time `json:"refused_at,omitzero"` // alarm: what upstream shows now is refused
	RefusedCode string    `json:"refused_code,omitempty"`
	Refused     string    `json:"refused,omitempty"`
}

// Upstreams are all mirrored archives.
type Upstreams struct {
	Upstreams []Upstream `json:"upstreams"`
}

// NewUpstream pins a vendor's archive: one that is known, by its preset and nothing else, or any.
type NewUpstream struct {
	Preset string `json:"preset,omitempty"` // such as bookworm-security; the keyring is the server's own copy of Debian's

	Name         string   `json:"name,omitempty"` // a-z 0-9 -; never used again
	URL          string   `json:"url,omitempty"`  // https://… or http://…: trust is in signatures
	Suite        string   `json:"suite,omitempty"`
	Component    string   `json:"component,omitempty"`
	Arch         string   `json:"arch,omitempty"`
	Keyring      []byte   `json:"keyring,omitempty"`      // OpenPGP public keys, binary or armoured
	Fingerprints []string `json:"fingerprints,omitempty"` // of the primary keys that may sign; with a preset, those expected
	MaxAgeHours  int      `json:"max_age_hours,omitempty" maximum:"87600"`
	Advisories   string   `json:"advisories,omitempty"` // a release's codename: its changelogs are a source for that
}

// Preset is an archive that is known.
type Preset struct {
	Name         string   `json:"name"`
	URL          string   `json:"url"`
	Suite        string   `json:"suite"`
	Component    string   `json:"component"`
	Arch         string   `json:"arch"`
	Fingerprints []string `json:"fingerprints"`
	Advisories   string   `json:"advisories,omitempty"`
}

// Presets are the archives that are known.
type Presets struct {
	Presets []Preset `json:"presets"`
}

// SnapshotProposal asks for a snapshot of accepted fixes for the hosts of a release.
type SnapshotProposal struct {
	Release   string   `json:"release"`
	Decisions []string `json:"decisions,omitempty"` // that accept the fixes; empty: all in force
	Upstreams []string `json:"upstreams,omitempty"` // first the one to prefer; empty: all, as configured
}

// Snapshot is a set of packages with its curation record. A record is named by the digest of its payload, which is what
// people sign; the snapshot, by the digest of its packages.
type Snapshot struct {
	Record     string                  `json:"record"`
	Snapshot   string                  `json:"snapshot"`
	Index      string                  `json:"index"`
	Author     string                  `json:"author"`
	MadeAt     time.Time               `json:"made_at"`
	SignedAt   time.Time               `json:"signed_at,omitzero"` // zero: the quorum is not there
	Signatures []Signature             `json:"signatures,omitempty"`
	Packages   []warrant.CuratedRecord `json:"packages,omitempty"`
	Payload    []byte                  `json:"payload,omitempty"`
}

// Snapshots are all snapshots, newest first, without payloads and packages.
type Snapshots struct {
	Snapshots []Snapshot `json:"snapshots"`
}

// Channel is a name that hosts follow and the snapshot it points at.
type Channel struct {
	Name       string    `json:"name"`
	Version    int64     `json:"version"` // grows with each promotion
	Snapshot   string    `json:"snapshot,omitempty"`
	PromotedBy string    `json:"promoted_by,omitempty"`
	PromotedAt time.Time `json:"promoted_at,omitzero"`
}

// Channels are all channels in the order of promotion.
type Channels struct {
	Channels []Channel `json:"channels"`
}

// Promotion points a channel at a signed snapshot.
type Promotion struct {
	Snapshot string `json:"snapshot"`
}

// Investigations are all investigations, newest first.
type Investigations struct {
	Investigations []integrity.Investigation `json:"investigations"`
}
