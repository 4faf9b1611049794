// Package warrant is leave to act: the order people sign, the curation record it rests on, the executor's report, and the
// checks by which a host (or anyone) decides whether an order with its signatures is a warrant. One code per kind of attack.
package warrant

import (
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// Payload types of what people sign, and of an executor's report, which the host's report key signs.
const (
	OrderType    = "application/vnd.patchwarrant.order.v1+json"
	CurationType = "application/vnd.patchwarrant.curation.v1+json"
	ReportType   = "application/vnd.patchwarrant.report.v1+json"
)

// Their predicate types.
const (
	orderPredicate    = "https://patchwarrant.org/order/v1"
	curationPredicate = "https://patchwarrant.org/curation/v1"
	reportPredicate   = "https://patchwarrant.org/report/v1"
)

// MaxWarrant bounds a warrant document, in bytes.
const MaxWarrant = 4 << 20

// Order is a change order: which hosts get which exact set, when, and why.
type Order struct {
	ID              string            `json:"id"`
	Class           string            `json:"class"`
	Environment     string            `json:"environment"`
	Sequence        int64             `json:"sequence"` // grows over all orders; a host never goes back
	Author          string            `json:"author"`   // person ID; never counts among the approvers
	TrustRoot       RootRef           `json:"trust_root"`
	MadeAt          time.Time         `json:"made_at"`
	ExpiresAt       time.Time         `json:"expires_at"`
	Window          Window            `json:"window"`
	Reason          string            `json:"reason"`
	Vulnerabilities []string          `json:"vulnerabilities"` // "CVE-…/source"
	Snapshot        SnapshotRef       `json:"snapshot"`
	Stage           *StageRef         `json:"stage,omitempty"` // production orders: the stage evidence
	Plan            string            `json:"plan"`            // course of action and test plan, for people
	BackOut         string            `json:"back_out"`
	Notices         []Notice          `json:"notices"`
	Places          []trustroot.Place `json:"places,omitempty"` // where its hosts stand, each once: scopes of approvers cover all
	Transactions    []Transaction     `json:"transactions"`
}

// RootRef pins the trust root an order was made under.
type RootRef struct {
	Version int64  `json:"version"`
	SHA256  string `json:"sha256"`
}

// Window is when the order may begin on a host: OpensAt <= now < ClosesAt.
type Window struct {
	OpensAt  time.Time `json:"opens_at"`
	ClosesAt time.Time `json:"closes_at"`
}

// SnapshotRef pins the curated packages: the snapshot digest, the sha256 of its Packages index and of the curation
// record's payload.
type SnapshotRef struct {
	SHA256   string `json:"sha256"`
	Index    string `json:"index"`
	Curation string `json:"curation"`
}

// StageRef pins what stage showed: the order run there and the sha256 of the manifest made from it.
type StageRef struct {
	Order    string `json:"order"`
	Manifest string `json:"manifest"`
}

// Notice announces a change. Due: at least 72 h ahead for scheduled maintenance.
type Notice struct {
	At       time.Time `json:"at"`
	Audience string    `json:"audience"`
}

// Transaction is the exact set for hosts with equal need; Actions sorted by name, arch. Root is the file-system root of the
// hosts that it changes, as their own configuration names it; empty: the host's own. What an order does on a host is done in
// the order in which its transactions stand. Copies, sorted by path, are only in another root, and are done after its Actions.
type Transaction struct {
	Hosts   []string `json:"hosts"`
	Root    string   `json:"root,omitempty"`
	Actions []Action `json:"actions"`
	Copies  []Copy   `json:"copies,omitempty"`
}

// Copy renews a file of a root that was copied from a package of the hosts' own root: at Path below the root, the
// content From gives way to To, Size bytes, which Version of Package has at that path. The bytes are those of the host's own
// file; type, mode, owner and extended attributes stay. Deb is the package in the curation record.
type Copy struct {
	Path    string `json:"path"`
	From    string `json:"from"` // sha256
	To      string `json:"to"`   // sha256
	Size    int64  `json:"size"`
	Package string `json:"package"`
	Version string `json:"version"`
	Deb     string `json:"deb"` // sha256
}

// Action is one package's change. Do: install, upgrade, downgrade, remove. From is empty for install, To, SHA256, Size and
// File for remove. File is the pool path in the curated repository. The verb decides from the versions, see Check.
type Action struct {
	Do     string `json:"do"`
	Name   string `json:"name"`
	Arch   string `json:"arch"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Size   int64  `json:"size,omitempty"`
	File   string `json:"file,omitempty"`
}

// Record is the curation record: which packages are in a snapshot and who accepted each.
type Record struct {
	Snapshot  string          `json:"snapshot"` // sha256 of envelope.Encode of []SnapshotPackage
	Index     string          `json:"index"`    // sha256 of the Packages file served
	Author    string          `json:"author"`
	TrustRoot RootRef         `json:"trust_root"`
	MadeAt    time.Time       `json:"made_at"`
	Upstreams []UpstreamRef   `json:"upstreams"`
	Packages  []CuratedRecord `json:"packages"` // sorted by name, arch, version
}

// UpstreamRef is the verified origin of packages.
type UpstreamRef struct {
	Name        string    `json:"name"`
	Release     string    `json:"release"` // sha256 of InRelease
	Index       string    `json:"index"`   // sha256 of Packages
	Date        time.Time `json:"date"`
	Fingerprint string    `json:"fingerprint"` // of the pinned key that verified it
}

// SnapshotPackage identifies one .deb in a snapshot.
type SnapshotPackage struct {
	Name    string `json:"name"`
	Arch    string `json:"arch"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	Size    int64  `json:"size"`
	File    string `json:"file"` // pool/…
}

// CuratedRecord is a package of a snapshot with who let it in. Because is "accepted" or "dependency of NAME".
type CuratedRecord struct {
	SnapshotPackage
	Source        string `json:"source"`
	SourceVersion string `json:"source_version"`
	Upstream      string `json:"upstream"`
	AcceptedBy    string `json:"accepted_by"`
	Decision      string `json:"decision"`
	Because       string `json:"because"`
}

// Warrant is the document carried to a host.
type Warrant struct {
	Roots    []envelope.Envelope `json:"roots,omitempty"` // trust roots newer than the host's, oldest first
	Order    envelope.Envelope   `json:"order"`
	Curation *envelope.Envelope  `json:"curation,omitempty"`
	Logged   proof.Logged        `json:"logged"` // the act "order.warranted", Facts[0] = sha256 of the order's payload
}

// Outcomes of an order on a host. Refused: nothing was changed.
const (
	Done        = "done"
	Refused     = "refused"
	RunFailed   = "failed"
	Interrupted = "interrupted"
)

// Report says what a host's executor did with a warrant. Order is what the warrant claims to be; where the outcome is
// refused nothing in it may have been signed by anyone, and for a document that cannot be read it is empty.
type Report struct {
	Host        string     `json:"host"`
	Order       string     `json:"order"`
	OrderDigest string     `json:"order_digest"` // of the order's payload
	Outcome     string     `json:"outcome"`
	Code        string     `json:"code,omitempty"` // of a fault, unless done
	Reason      string     `json:"reason,omitempty"`
	BegunAt     time.Time  `json:"begun_at"`
	EndedAt     time.Time  `json:"ended_at"`
	Packages    []Observed `json:"packages"`          // the order's, as found at the end; empty when refused
	Session     string     `json:"session,omitempty"` // sha256 of the recorded session
	LogSize     int64      `json:"log_size"`          // of the newest checkpoint this host has acted on
	LogRoot     string     `json:"log_root"`          // lower hex
}

// Observed is one package's change as found on the host. Now and Status are empty where it is not installed. A copy stands after
// the packages of its root, with its path for a name, digests for versions, no architecture and the status "copy"; Now is empty
// where it cannot be had.
type Observed struct {
	Root   string `json:"root,omitempty"` // of the transaction
	Name   string `json:"name"`
	Arch   string `json:"arch"`
	From   string `json:"from,omitempty"` // by the order
	To     string `json:"to,omitempty"`   // by the order
	Now    string `json:"now,omitempty"`
	Status string `json:"status,omitempty"` // dpkg's, such as "installed"
}
