// Package record keeps the inventory: one record per machine, with or without an agent, as people or their asset database
// say it is. What hosts report about themselves is not here.
package record

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// Fields are what a person says about a machine. All but the hostname may be empty. Source: R-301.
type Fields struct {
	Hostname    string   `json:"hostname"` // unique among the records
	Vendor      string   `json:"vendor,omitempty"`
	Model       string   `json:"model,omitempty"`
	Serial      string   `json:"serial,omitempty"`
	Maintenance string   `json:"maintenance,omitempty"` // contact
	Rack        string   `json:"rack,omitempty"`        // location
	Use         string   `json:"use,omitempty"`         // intended
	Addresses   []string `json:"addresses,omitempty"`   // IP addresses, sorted
	Zone        string   `json:"zone,omitempty"`
	Environment string   `json:"environment,omitempty"`
	Ring        string   `json:"ring,omitempty"`
	QuorumGroup string   `json:"quorum_group,omitempty"`
	Criticality string   `json:"criticality,omitempty"` // see Criticalities
	Exposure    string   `json:"exposure,omitempty"`    // see Exposures
	Owner       string   `json:"owner,omitempty"`       // system owner: a person of the trust root
	Unit        string   `json:"unit,omitempty"`        // business unit
	Build       string   `json:"build,omitempty"`       // standard build it came from
	StageTwin   string   `json:"stage_twin,omitempty"`  // hostname of the stage host that stands for it
	Notes       string   `json:"notes,omitempty"`
}

// Criticalities, the least first.
var Criticalities = []string{"low", "medium", "high", "critical"}

// Exposures, the most exposed first.
var Exposures = []string{"internet", "dmz", "internal", "isolated"}

// Record is one machine of the inventory.
type Record struct {
	ID string `json:"id"`
	Fields
	Host      string    `json:"host,omitempty"` // ID of the enrolled host it is about, once a person said so
	Revision  int64     `json:"revision"`       // grows with each change
	ChangedAt time.Time `json:"changed_at"`
	DroppedAt time.Time `json:"dropped_at,omitzero"` // since then it is no part of the inventory
}

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Root gives the trust root in force, whose people own systems.
type Root interface {
	CurrentRoot(ctx context.Context) (*trustroot.Root, error)
}

// Config of Records.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Blobs  blob.Store
	Root   Root
	Now    func() time.Time
}

// Records is the inventory.
type Records struct{ Config }

// New makes Records.
func New(c Config) *Records { return &Records{c} }

func stale(hostname string) error {
	return db.Outdated("the record of %s was changed since you read it; look again", hostname)
}

// Get gives a record, dropped ones too, or NotFound.
func (r *Records) Get(ctx context.Context, id string) (rec Record, err error) {
	err = r.DB.Read(ctx, func(tx *db.Tx) error {
		rec, err = load(ctx, tx, id)
		return err
	})
	return rec, err
}

// Filter chooses records: all set fields must hold.
type Filter struct {
	Zone, Environment, Owner, Unit, Criticality, Exposure, Build string

	Text     string // a part of the hostname or the serial number, in any case
	Unlinked bool   // only those without a host
}

// MaxList is the most records List gives at once.
const MaxList = 1000

// List gives records by hostname, at most limit of them, from after a hostname on.
func (r *Records) List(ctx context.Context, f Filter, after string, limit int) (all []Record, err error) {
	err = r.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadList(ctx, tx, f, after, min(max(limit, 1), MaxList))
		return err
	})
	return all, err
}

// Owners counts the records that are about no enrolled host by their owner; the empty one is nobody.
func (r *Records) Owners(ctx context.Context) (owners map[string]int, err error) {
	err = r.DB.Read(ctx, func(tx *db.Tx) error {
		owners, err = countOwners(ctx, tx)
		return err
	})
	return owners, err
}

// Last gives the number of the last change.
func (r *Records) Last(ctx context.Context, tx *db.Tx) (int64, error) { return lastChange(ctx, tx) }

// Since gives the records changed after the change number since, dropped ones too, and the number of the last change.
func (r *Records) Since(ctx context.Context, since int64) (all []Record, upTo int64, err error) {
	err = r.DB.Read(ctx, func(tx *db.Tx) error {
		if upTo, err = lastChange(ctx, tx); err != nil || upTo <= since {
			return err
		}
		all, err = loadSince(ctx, tx, since)
		return err
	})
	return all, upTo, err
}

// Create makes a record.
func (r *Records) Create(ctx context.Context, who string, f Fields) (rec Record, err error) {
	if f, err = r.checked(ctx, f, Fields{}); err != nil {
		return rec, err
	}
	err = r.DB.Write(ctx, func(tx *db.Tx) error {
		rec, err = r.create(ctx, tx, who, f)
		return err
	})
	return rec, err
}

func (r *Records) create(ctx context.Context, tx *db.Tx, who string, f Fields) (Record, error) {
	if err := vacant(ctx, tx, f.Hostname, ""); err != nil {
		return Record{}, err
	}
	rec := Record{ID: id.New("rec", r.Now()), Fields: f}
	return r.keep(ctx, tx, who, "record.created", rec, map[string]any{"after": diff(Fields{}, f).after})
}

// Change replaces a record's fields, if it still has the revision the change was made from; Conflict with code STALE if not.
// Nothing is written where nothing differs.
func (r *Records) Change(ctx context.Context, who, id string, revision int64, f Fields) (rec Record, err error) {
	now, err := r.Get(ctx, id)
	if err != nil {
		return rec, err
	}
	if f, err = r.checked(ctx, f, now.Fields); err != nil {
		return rec, err
	}
	err = r.DB.Write(ctx, func(tx *db.Tx) error {
		if rec, err = at(ctx, tx, id, revision); err != nil {
			return err
		}
		rec, err = r.change(ctx, tx, who, rec, f)
		return err
	})
	return rec, err
}

func (r *Records) change(ctx context.Context, tx *db.Tx, who string, rec Record, f Fields) (Record, error) {
	d := diff(rec.Fields, f)
	if len(d.fields) == 0 {
		return rec, nil
	}
	if f.Hostname != rec.Hostname {
		if err := vacant(ctx, tx, f.Hostname, rec.ID); err != nil {
			return rec, err
		}
	}
	rec.Fields = f
	return r.keep(ctx, tx, who, "record.changed", rec, map[string]any{"before": d.before, "after": d.after})
}

// Drop takes a record that is about no host out of the inventory. It can still be read.
func (r *Records) Drop(ctx context.Context, who, id string, revision int64) error {
	return r.DB.Write(ctx, func(tx *db.Tx) error {
		rec, err := at(ctx, tx, id, revision)
		if err != nil {
			return err
		}
		if rec.Host != "" {
			return fault.New(fault.Conflict, "the record is about an enrolled host; unlink it first")
		}
		rec.DroppedAt = r.Now().UTC()
		_, err = r.keep(ctx, tx, who, "record.dropped", rec, map[string]any{"before": diff(Fields{}, rec.Fields).after})
		return err
	})
}

// Link says that a record is about an enrolled host; the caller knows that there is such a host. An empty host unlinks.
func (r *Records) Link(ctx context.Context, who, id string, revision int64, host string) (rec Record, err error) {
	err = r.DB.Write(ctx, func(tx *db.Tx) error {
		if rec, err = at(ctx, tx, id, revision); err != nil || rec.Host == host {
			return err
		}
		kind, detail := "record.linked", map[string]any{"host": host, "before": rec.Host}
		if host == "" {
			kind = "record.unlinked"
		} else if other, err := ofHost(ctx, tx, host); err != nil {
			return err
		} else if other != "" {
			return fault.New(fault.Conflict, "host %s has a record already: %s", host, other)
		}
		rec.Host = host
		rec, err = r.keep(ctx, tx, who, kind, rec, detail)
		return err
	})
	return rec, err
}

// at loads a record that is in the inventory and has the revision.
func at(ctx context.Context, tx *db.Tx, id string, revision int64) (Record, error) {
	rec, err := load(ctx, tx, id)
	switch {
	case err != nil:
		return rec, err
	case !rec.DroppedAt.IsZero():
		return rec, fault.New(fault.Conflict, "the record was dropped")
	case rec.Revision != revision:
		return rec, stale(rec.Hostname)
	}
	return rec, nil
}

// vacant refuses a hostname that another record has.
func vacant(ctx context.Context, tx *db.Tx, hostname, but string) error {
	other, err := named(ctx, tx, hostname)
	if err == nil && other.ID != "" && other.ID != but {
		err = fault.New(fault.Conflict, "hostname: there is a record of %s already", hostname)
	}
	return err
}

// keep saves a record as its next revision, with the act.
func (r *Records) keep(ctx context.Context, tx *db.Tx, who, kind string, rec Record, detail map[string]any) (Record, error) {
	rec.Revision, rec.ChangedAt = rec.Revision+1, r.Now().UTC().Truncate(time.Microsecond)
	if err := save(ctx, tx, rec); err != nil {
		return rec, err
	}
	full := map[string]any{"hostname": rec.Hostname, "revision": rec.Revision}
	maps.Copy(full, detail)
	return rec, r.act(ctx, tx, who, kind, "record/"+rec.ID, nil, full)
}

func (r *Records) act(ctx context.Context, tx *db.Tx, who, kind, subject string, facts []string, detail map[string]any) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = r.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: subject, At: r.Now().UTC(), Who: "person/" + who, Facts: facts, Detail: b})
	return err
}
