// Package estate knows the hosts: how one is enrolled, what it last said, and when it falls silent.
package estate

import (
	"bytes"
	"context"
	"hash/maphash"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Host is a host as the estate knows it. Facts (package set, inventory, trees) are of FactsAt, which can be older than
// LastSeen while the server waits for their bytes.
type Host struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"` // given by the person who made the enrolment token
	ReportedName string    `json:"reported_name"`
	Environment  string    `json:"environment"`
	EnrolledAt   time.Time `json:"enrolled_at"`
	LastSeen     time.Time `json:"last_seen"`
	SilentAt     time.Time `json:"silent_at,omitzero"` // since when it counts as silent; zero: it speaks
	ClonedAt     time.Time `json:"cloned_at,omitzero"` // when its counter went back; it must be enrolled again
	FactsAt      time.Time `json:"facts_at,omitzero"`
	ScannedAt    time.Time `json:"scanned_at,omitzero"` // when its files were last looked at whole
	RetiredAt    time.Time `json:"retired_at,omitzero"` // since then it counts nowhere
	SpokeAt      time.Time `json:"spoke_at,omitzero"`   // when it was last told of as one that speaks although it is retired

	PackageSet     string              `json:"package_set"`
	Origins        string              `json:"origins,omitempty"` // of the package set
	Inventory      string              `json:"inventory"`
	Roots          map[string]HostRoot `json:"roots,omitempty"` // beside /, those with packages of their own
	Trees          map[string]string   `json:"trees"`
	Distribution   string              `json:"distribution"`
	Release        string              `json:"release"`
	Arch           string              `json:"arch"`
	KernelRunning  string              `json:"kernel_running"`
	KernelVersion  string              `json:"kernel_version"`
	RebootRequired bool                `json:"reboot_required"`
	IndexAt        time.Time           `json:"index_at,omitzero"`
	Serial         string              `json:"serial,omitempty"` // of the machine
	Addresses      []string            `json:"addresses,omitempty"`

	ReportKey        string       `json:"report_key,omitempty"`      // registered at enrolment; empty: observe-only
	SeenReportKey    string       `json:"seen_report_key,omitempty"` // what the host says now
	Counter          int64        `json:"counter"`
	Log              wire.LogSeen `json:"log"`
	TrustRootVersion int64        `json:"trust_root_version"`
	AgentVersion     string       `json:"agent_version"`
	Cost             wire.Cost    `json:"cost,omitzero"`   // of the agent, at the newest check-in
	Alarm            string       `json:"alarm,omitempty"` // the host's own alarm

	CertExpiresAt time.Time `json:"cert_expires_at"`
	cert          string    // sha256 of the certificate in use
	nextCert      string    // sha256 of a renewed one, not yet used
}

// HostRoot is one of a host's file-system roots that has packages of its own: a chroot, a mounted image.
type HostRoot struct {
	PackageSet   string `json:"package_set"`
	Origins      string `json:"origins,omitempty"`
	Inventory    string `json:"inventory"`
	Distribution string `json:"distribution"`
	Release      string `json:"release"`
	Arch         string `json:"arch"`
	Lagging      int    `json:"lagging"`              // files that were copies of the host's and stayed behind
	Copies       int    `json:"copies,omitempty"`     // files that are copies of the host's and did not
	Changeable   bool   `json:"changeable,omitempty"` // the host's own policy lets orders change it
}

// CanExecute reports whether the host may be offered work: it has an executor, and the one it was enrolled with.
func (h Host) CanExecute() bool {
	return h.ReportKey != "" && h.ReportKey == h.SeenReportKey && h.ClonedAt.IsZero() && h.RetiredAt.IsZero()
}

// HostSet is a host's package set with what matching it needs.
type HostSet struct {
	HostID        string
	Root          string // empty: the host's own; else no kernel runs in it
	Release       string
	Environment   string
	SetDigest     string
	Origins       string // digest; empty: not reported
	KernelRunning string
	KernelVersion string
}

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Config of an Estate.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Blobs  blob.Store
	CA     *CA
	Now    func() time.Time
	Silent time.Duration // after which a host that says nothing counts as silent

	Records *record.Records // the inventory; nil: there is none
	Groups  *group.Groups   // nil: there are none
}

// Estate is the hosts.
type Estate struct {
	Config
	directory directory
	beats     heartbeats
	news      Quota
}

// New makes an Estate.
func New(c Config) *Estate {
	return &Estate{Config: c, beats: heartbeats{of: map[string]heartbeat{}, seed: maphash.MakeSeed()},
		news: Quota{What: "pieces of news", Most: DailyNews}}
}

// Host gives one host, or NotFound.
func (e *Estate) Host(ctx context.Context, id string) (host Host, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		host, err = loadHost(ctx, tx, id)
		return err
	})
	e.beats.apply(&host)
	return host, err
}

// Hosts gives all hosts by name but those retired.
func (e *Estate) Hosts(ctx context.Context) (hosts []Host, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		hosts, err = loadHosts(ctx, tx)
		return err
	})
	return hosts, err
}

// HostSets gives the sets of the hosts that changed after the change number since, and the number of the last one: the host's
// own first, then those of its other roots. A host that no set is known of has an empty one. All hosts have changed since 0.
func (e *Estate) HostSets(ctx context.Context, since int64) (sets []HostSet, upTo int64, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		if upTo, err = lastChange(ctx, tx); err != nil || upTo <= since {
			return err
		}
		sets, err = loadSets(ctx, tx, since)
		return err
	})
	return sets, upTo, err
}

// Changed gives the hosts that changed after the change number since, and the number of the last one.
func (e *Estate) Changed(ctx context.Context, since int64) (ids []string, upTo int64, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		if upTo, err = lastChange(ctx, tx); err != nil || upTo <= since {
			return err
		}
		ids, err = loadChanged(ctx, tx, since)
		return err
	})
	return ids, upTo, err
}

// InventoryOf gives an inventory by digest.
func (e *Estate) InventoryOf(ctx context.Context, digest string) (i wire.Inventory, err error) {
	return i, e.document(ctx, digest, wire.MaxDocument, &i)
}

// OriginsOf gives origins by digest.
func (e *Estate) OriginsOf(ctx context.Context, digest string) (o wire.Origins, err error) {
	return o, e.document(ctx, digest, wire.MaxObject, &o)
}

func (e *Estate) document(ctx context.Context, digest string, limit int64, v wire.Checker) error {
	b, err := blob.ReadAll(ctx, e.Blobs, digest, limit)
	if err != nil {
		return err
	}
	return wire.Decode(bytes.NewReader(b), limit, v)
}

// PackageSet gives a set by digest.
func (e *Estate) PackageSet(ctx context.Context, digest string) (pkgset.Set, error) {
	b, err := blob.ReadAll(ctx, e.Blobs, digest, wire.MaxObject)
	if err != nil {
		return nil, err
	}
	return pkgset.Parse(b)
}

func subject(host string) string { return "host/" + host }
