// Package evidence seals everything that proves a change into one bundle, and checks such a bundle with no server and no
// network: from the pinned trust root to the last file explained.
package evidence

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// Members of a bundle. The contents list everything that the ledger's own proofs do not cover, and the act evidence.sealed
// holds the digest of the contents: so each byte of each member is anchored in a signed checkpoint or in the pinned root.
const (
	contentsName   = "contents.json"   // Contents
	sealName       = "seal.json"       // included: the act evidence.sealed, Facts[0] = sha256 of contents.json
	checkpointName = "checkpoint.note" // the signed checkpoint all proofs are under
	actsPrefix     = "acts/"           // <index>.json, included
	rootsPrefix    = "roots/"          // <version>.json, trust root envelopes from version 1 on
	seenPrefix     = "seen/"           // <size>.json, seen
	keyringsPrefix = "keyrings/"       // <upstream>.pgp
	factsPrefix    = "facts/"          // <sha256>
)

// Contents says what a bundle holds and what it leaves out.
type Contents struct {
	Order    string     `json:"order"`
	Acts     []Listed   `json:"acts"`     // by index
	Members  []Named    `json:"members"`  // roots, keyrings, facts; by name
	Withheld []Withheld `json:"withheld"` // facts that acts cite and the bundle lacks, by digest
}

// Listed is an act of the bundle; one that is removed is named by this.
type Listed struct {
	Index   int64  `json:"index"`
	Kind    string `json:"kind"`
	Subject string `json:"subject"`
}

// Named is a member by digest.
type Named struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// Reasons to withhold a fact.
const (
	aside  = "aside"  // other business of a host, an upstream or a channel, which the change does not rest on
	bulk   = "bulk"   // over maxFact
	absent = "absent" // the server no longer has it
)

// Withheld is a cited fact that is not in the bundle.
type Withheld struct {
	SHA256 string `json:"sha256"`
	Why    string `json:"why"`
}

// maxFact is the largest fact a bundle holds, in bytes. Debian's largest index has about 10 MB packed.
const maxFact = 64 << 20

// maxContents bounds contents.json when it is read, in bytes.
const maxContents = 64 << 20

// included is an act with the proof that it is under the bundle's checkpoint.
type included struct {
	Index  int64    `json:"index"`
	Entry  []byte   `json:"entry"`
	Hashes [][]byte `json:"hashes"`
}

// seen proves that the checkpoint a host acted on is a beginning of the bundle's.
type seen struct {
	Size   int64    `json:"size"`
	Root   string   `json:"root"` // lower hex
	Hashes [][]byte `json:"hashes"`
}

func actName(index int64) string         { return fmt.Sprintf("%s%012d.json", actsPrefix, index) }
func rootName(version int64) string      { return fmt.Sprintf("%s%06d.json", rootsPrefix, version) }
func keyringName(upstream string) string { return keyringsPrefix + upstream + ".pgp" }

// seenName tells checkpoints of one size apart by their roots: a host that was shown another log must not vanish.
func seenName(s seen) string { return fmt.Sprintf("%s%012d-%.16s.json", seenPrefix, s.Size, s.Root) }

// objects gives directory objects of file trees from wherever facts are.
type objects func(digest string) ([]byte, error)

// Get implements filetree.Objects.
func (o objects) Get(_ context.Context, digest string) ([]byte, error) { return o(digest) }

// asEnvelope reads a fact as an envelope, or says that it is none.
func asEnvelope(fact []byte) (e envelope.Envelope, ok bool) {
	ok = envelope.DecodeUpTo(maxFact, fact, &e) == nil && e.PayloadType != ""
	return e, ok
}

// asReconciliation reads a fact as what integrity found on one host, or says that it is none.
func asReconciliation(fact []byte) (r explain.Report, ok bool) {
	ok = envelope.DecodeUpTo(maxFact, fact, &r) == nil && r.Input != ""
	return r, ok
}

// asManifest reads a fact as a manifest, or says that it is none.
func asManifest(fact []byte) (m explain.Manifest, ok bool) {
	ok = envelope.DecodeUpTo(maxFact, fact, &m) == nil && len(m.Hosts) > 0
	return m, ok
}

// Acts of package integrity.
const (
	observedKind = "host.observed"          // its facts are input and result of a host's reconciliation
	openedKind   = "investigation.opened"   // its fact is the reconciliation that found something
	ratifiedKind = "investigation.ratified" // two people call the change legitimate
)

// decisionKind is the act that records a decision; decisionOf gives the decision's ID.
const decisionKind = "decision.made"

func decisionOf(a proof.Act) string {
	var detail struct {
		Decision string `json:"decision"`
	}
	if a.Kind != decisionKind || json.Unmarshal(a.Detail, &detail) != nil {
		return ""
	}
	return detail.Decision
}
