// Package wire is what an agent and the server say to each other: the documents of protocol version 1 with their limits,
// and the checks both sides make on what they hear. docs/protocol.md tells it to a stranger.
package wire

import (
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
)

// Routes of the agents' door. All of them stand under one prefix, so that a proxy or a firewall can tell the door.
const (
	Prefix      = "/agent/v1/"
	EnrolPath   = Prefix + "enrol"
	RenewPath   = Prefix + "renew"
	CheckInPath = Prefix + "checkin"
	MissingPath = Prefix + "objects/missing"
	ObjectPath  = Prefix + "objects/" // + digest
	FilePath    = Prefix + "files/"   // + order + "/" + path
	BeginPath   = Prefix + "begin"
	ReportPath  = Prefix + "report"
)

// Limits. Each holds on both sides; what is over is refused unread.
const (
	MaxDocument = 1 << 20  // bytes of any JSON document but a report and the server's answers with work
	MaxReport   = 4 << 20  // bytes of a report, the executor's envelope included
	MaxAnswer   = 32 << 20 // bytes of an answer to a check-in (a warrant for many hosts is large)
	MaxObject   = 32 << 20 // bytes of one uploaded object, as for a directory of a file tree
	MaxMissing  = 4096     // digests in one question
	MaxFile     = 2 << 30  // bytes of one carried file
	MaxFiles    = 10_000   // files of one order
	MaxPath     = 240      // bytes of a carried file's path
	MaxRoots    = 64       // file-system roots of a host; also trust roots in one answer
	MaxName     = 253      // bytes of a host name
	MaxSpooled  = 200      // states in one check-in
)

// Kinds of object, sent as the Content-Type of an upload. The kind decides how the server checks the bytes.
const (
	TreeObject      = "application/vnd.patchwarrant.tree.v1"       // a directory of a file tree
	TreeDelta       = "application/vnd.patchwarrant.tree-delta.v1" // the same, as what differs from another one
	PackagesObject  = "application/vnd.patchwarrant.packages.v1"   // a package set
	InventoryObject = "application/vnd.patchwarrant.inventory.v1"  // an Inventory
	OriginsObject   = "application/vnd.patchwarrant.origins.v1"    // Origins of a package set
	FactsObject     = "application/vnd.patchwarrant.facts.v1"      // HostFacts: what a prediction needs
	SessionObject   = "application/vnd.patchwarrant.session.v1"    // the log of an executor's session
)

// EnrolRequest spends a one-time token. It is the only request without a client certificate.
type EnrolRequest struct {
	Token     string `json:"token"`
	Name      string `json:"name"`                 // the host's own name; kept beside the one the token was made for
	CSR       []byte `json:"csr"`                  // PKCS #10, DER; ECDSA P-256; only its key is used
	ReportKey string `json:"report_key,omitempty"` // base64 of the executor's Ed25519 key; empty: observe-only
}

// EnrolAnswer makes the sender a host.
type EnrolAnswer struct {
	HostID      string              `json:"host_id"`
	Environment string              `json:"environment"`
	Certificate []byte              `json:"certificate"` // DER, 72 h
	CA          []byte              `json:"ca"`          // DER; its SHA-256 must be the enrolment line's
	TrustRoots  []envelope.Envelope `json:"trust_roots"` // from the one the line pins to the newest
}

// RenewRequest asks for a new certificate, under the one still valid.
type RenewRequest struct {
	CSR []byte `json:"csr"`
}

// RenewAnswer brings it. The old certificate holds until the new one is first used.
type RenewAnswer struct {
	Certificate []byte `json:"certificate"`
}

// CheckIn is what a host says at each poll: digests first, the things themselves only where the server asks.
type CheckIn struct {
	Counter          int64             `json:"counter"` // grows with every attempt; a repeat is a clone
	At               time.Time         `json:"at"`
	AgentVersion     string            `json:"agent_version"`
	PackageSet       string            `json:"package_set"`
	Inventory        string            `json:"inventory"`
	Origins          string            `json:"origins,omitempty"` // of PackageSet
	Roots            map[string]Root   `json:"roots,omitempty"`   // those beside / that have packages of their own
	Trees            map[string]string `json:"trees"`             // root → digest of its file tree
	Spooled          *Spooled          `json:"spooled,omitempty"`
	ClockJump        int64             `json:"clock_jump_seconds,omitempty"` // by which the host's clock jumped since the last check-in; also the length of a sleep
	ScannedAt        time.Time         `json:"scanned_at,omitzero"`          // when the oldest of Trees was begun
	Canary           string            `json:"canary,omitempty"`             // CanaryVersion of the last answer's seed
	Published        string            `json:"published,omitempty"`          // digest of the newest release file of the host's channel that it was shown
	Log              LogSeen           `json:"log"`
	TrustRootVersion int64             `json:"trust_root_version"`
	ReportKey        string            `json:"report_key,omitempty"` // empty: no executor here, observe-only
	Alarm            string            `json:"alarm,omitempty"`      // what the agent alarms about locally, e.g. FREEZE
	Cost             Cost              `json:"cost,omitzero"`
	Doing            *Doing            `json:"doing,omitempty"`
}

// Cost is what the agent takes of its host, as it says itself; without the helper that looks at processes.
type Cost struct {
	MemoryKiB int64 `json:"memory_kib"` // resident at this moment
	CPUMillis int64 `json:"cpu_ms"`     // user and system time since it was started, with that of the programs it ran
	Seconds   int64 `json:"seconds"`    // since it was started
}

// MiB is what is resident.
func (c Cost) MiB() float64 { return float64(c.MemoryKiB) / 1024 }

// Percent is the average use of one core since the start.
func (c Cost) Percent() float64 {
	if c.Seconds == 0 {
		return 0
	}
	return float64(c.CPUMillis) / float64(c.Seconds) / 10
}

// Root is what a host says of one of its file-system roots that has packages of its own, by digest.
type Root struct {
	PackageSet string `json:"package_set"`
	Origins    string `json:"origins,omitempty"`
	Inventory  string `json:"inventory"`
}

// Spooled is what a host kept while no server answered: each state that differed from the one before, oldest first.
type Spooled struct {
	States  []State `json:"states"`
	Dropped int64   `json:"dropped,omitempty"` // older ones that the spool's bound cost
}

// State is a host's state at a moment, by digest. The bytes behind Trees are not kept in a spool.
type State struct {
	At         time.Time         `json:"at"`
	PackageSet string            `json:"package_set"`
	Inventory  string            `json:"inventory"`
	Trees      map[string]string `json:"trees"`
}

// LogSeen is the newest checkpoint of the ledger the host has verified; Size 0 when none.
type LogSeen struct {
	Size int64  `json:"size"`
	Root string `json:"root"` // lower hex
}

// Doing tells of the order in hand and how far it is; a host with an order in hand is offered no other.
type Doing struct {
	Order string `json:"order"`
	Phase string `json:"phase"`
}

// CheckInAnswer says when to come again and what to do until then.
type CheckInAnswer struct {
	NextSeconds int                 `json:"next_seconds"`
	Need        []string            `json:"need"`                  // digests of the check-in the server lacks; upload, then check in again
	Checkpoint  string              `json:"checkpoint"`            // signed note
	Consistency [][]byte            `json:"consistency,omitempty"` // from the host's Log to Checkpoint
	TrustRoots  []envelope.Envelope `json:"trust_roots,omitempty"` // newer than the host's, oldest first
	Work        *Work               `json:"work,omitempty"`
	Published   []byte              `json:"published,omitempty"` // the release file of the host's channel, if it is another than the host was shown
	Canary      string              `json:"canary,omitempty"`    // a seed that the next check-in answers; see CanaryVersion
}

// Work is a warrant to carry to the executor, with the files it needs.
type Work struct {
	OrderID string `json:"order_id"`
	Warrant []byte `json:"warrant"` // the document of package warrant, byte for byte
	Files   []File `json:"files"`
}

// File is one carried file; Path is relative to the carry directory and the files route.
type File struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Missing asks which of the digests the server lacks; the answer has the same shape.
type Missing struct {
	Digests []string `json:"digests"`
}

// Begin says that the host is about to hand an order to its executor. The server may still say no (Conflict), which ends
// the run on the host before anything happened.
type Begin struct {
	Order  string      `json:"order"`
	Before Observation `json:"before"`
}

// Observation is the state of a host at one moment, by digest.
type Observation struct {
	At         time.Time         `json:"at"`
	PackageSet string            `json:"package_set"`
	Trees      map[string]string `json:"trees"`
	Facts      string            `json:"facts,omitempty"`      // a HostFacts object
	RootFacts  map[string]string `json:"root_facts,omitempty"` // likewise, of other roots that the order changes
}

// Report ends a run: what the executor signed (a report of package warrant), what the host looked like before and after. The
// session log that the signed report names has been uploaded.
type Report struct {
	Order    string            `json:"order"`
	Envelope envelope.Envelope `json:"envelope"` // by the host's report key
	Before   Observation       `json:"before"`
	After    Observation       `json:"after"`
}

// Cloned is the code of the refusal that ends a host's identity: its counter went back, so two machines use it, or one was
// restored from a copy. Only a new enrolment helps.
const Cloned = "CLONED"

// Retired is the code of the refusal of a host that two people took out of service: its identity is gone for good.
const Retired = "RETIRED"

// Quota is the code of the refusal of what is more than a host may bring in a day: bytes of objects, or news for the record.
const Quota = "QUOTA"

// Problem is how the door answers an error (after RFC 9457): the kind and code of package fault, and a sentence.
type Problem struct {
	Kind   string `json:"kind"`
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail"`
}
