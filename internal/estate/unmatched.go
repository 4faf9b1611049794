package estate

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

// Unmatched is where the inventory and the enrolled hosts differ. Lists are cut after MaxList; the counts are of all.
type Unmatched struct {
	Records     []LoneRecord `json:"records"` // of no enrolled host
	Hosts       []LoneHost   `json:"hosts"`   // enrolled, without a record
	Environment []Differs    `json:"environment"`

	RecordCount      int `json:"record_count"`
	HostCount        int `json:"host_count"`
	EnvironmentCount int `json:"environment_count"`
}

// LoneRecord is a record without a host. Suggested are hosts without a record that it may be about, those with its serial
// number first: a person decides.
type LoneRecord struct {
	ID        string       `json:"id"`
	Hostname  string       `json:"hostname"`
	Suggested []Suggestion `json:"suggested"`
}

// Suggestion is a host that a record may be about, and what the two have in common: "serial number", "name", "address".
type Suggestion struct {
	LoneHost
	Because []string `json:"because"`
}

// LoneHost is a host without a record.
type LoneHost struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	ReportedName string `json:"reported_name"`
}

// Differs is a host whose record names another environment than the one the host enforces. The host's word holds: which
// orders it obeys is decided there, by a file of root's.
type Differs struct {
	Host   string `json:"host"`
	Name   string `json:"name"`
	Record string `json:"record"` // ID
	Is     string `json:"is"`
	Says   string `json:"says"` // the record
}

// Unmatched compares the inventory with the hosts. Nobody changes its lists.
func (e *Estate) Unmatched(ctx context.Context) (u Unmatched, err error) {
	err = e.current(ctx, func(d *directory) error {
		if known := d.unmatched.Load(); known != nil {
			u = *known
			return nil
		}
		u = d.compare()
		d.unmatched.Store(&u)
		return nil
	})
	return u, err
}

// compare looks once at every record and once at every host, whatever they have in common.
func (d *directory) compare() Unmatched {
	var lone []record.Record
	for _, rec := range d.records {
		if rec.Host == "" {
			lone = append(lone, rec)
		}
	}
	slices.SortFunc(lone, func(a, b record.Record) int {
		return cmp.Or(cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.ID, b.ID))
	})
	u := Unmatched{RecordCount: len(lone), Records: []LoneRecord{}, Hosts: []LoneHost{}, Environment: []Differs{}}
	lone = lone[:min(len(lone), MaxList)]
	with := map[trait][]LoneHost{} // hosts by what a record asks for, the first of them
	for _, rec := range lone {
		for _, t := range traits(rec.Serial, rec.Addresses, rec.Hostname) {
			with[t] = nil
		}
	}
	for _, h := range d.byName {
		switch {
		case h.cell[ByState] == string(Retired):
		case h.record == "":
			u.lone(h, with)
		case h.differs != "":
			if u.EnvironmentCount++; len(u.Environment) < MaxList {
				u.Environment = append(u.Environment, Differs{h.id, h.name, h.record, h.cell[ByEnvironment], h.differs})
			}
		}
	}
	for _, rec := range lone {
		u.Records = append(u.Records, LoneRecord{rec.ID, rec.Hostname, suggest(rec, with)})
	}
	return u
}

// lone takes a host without a record in, and notes it where a record asks for what it has.
func (u *Unmatched) lone(e *entry, with map[trait][]LoneHost) {
	h := LoneHost{e.id, e.name, e.reportedName}
	if u.HostCount++; len(u.Hosts) < MaxList {
		u.Hosts = append(u.Hosts, h)
	}
	if len(with) == 0 {
		return
	}
	for _, t := range traits(e.serial, strings.Fields(e.addresses), e.name, e.reportedName) {
		if hosts, asked := with[t]; asked && len(hosts) < mostSuggested {
			with[t] = append(hosts, h)
		}
	}
}

// suggest gives the hosts that have something in common with a record.
func suggest(rec record.Record, with map[trait][]LoneHost) []Suggestion {
	all := []Suggestion{}
	for _, t := range traits(rec.Serial, rec.Addresses, rec.Hostname) {
		for _, h := range with[t] {
			i := slices.IndexFunc(all, func(s Suggestion) bool { return s.ID == h.ID })
			switch {
			case i < 0 && len(all) < mostSuggested:
				all = append(all, Suggestion{h, []string{t.of}})
			case i >= 0 && !slices.Contains(all[i].Because, t.of):
				all[i].Because = append(all[i].Because, t.of)
			}
		}
	}
	return all
}

// trait is something that a record and its host have in common.
type trait struct{ of, value string }

// traits gives them, what tells machines apart best first. Names count in any case, whole and without a domain.
func traits(serial string, addresses []string, names ...string) (all []trait) {
	if serial = strings.ToLower(strings.TrimSpace(serial)); serial != "" {
		all = append(all, trait{"serial number", serial})
	}
	for _, name := range names {
		name = strings.ToLower(name)
		short, _, _ := strings.Cut(name, ".")
		for _, n := range []string{name, short} {
			if t := (trait{"name", n}); n != "" && !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	for _, address := range addresses {
		all = append(all, trait{"address", address})
	}
	return all
}

const mostSuggested = 5

// RecordOf gives the record about a host, and false where there is none.
func (e *Estate) RecordOf(ctx context.Context, host string) (rec record.Record, known bool, err error) {
	var id string
	err = e.current(ctx, func(d *directory) error {
		id, known = d.recordOf[host]
		return nil
	})
	if err == nil && known {
		rec, err = e.Records.Get(ctx, id)
	}
	return rec, known, err
}

// Link says that a record is about an enrolled host that is in service.
func (e *Estate) Link(ctx context.Context, who, id string, revision int64, host string) (record.Record, error) {
	h, err := e.Host(ctx, host)
	if err != nil {
		return record.Record{}, err
	}
	if !h.RetiredAt.IsZero() {
		return record.Record{}, fault.New(fault.Conflict, "host %s is retired", h.Name)
	}
	return e.Records.Link(ctx, who, id, revision, host)
}

// TellUnmatched is the sweep that writes, once a day, who is unmatched: one act with both lists as its fact.
func (e *Estate) TellUnmatched(ctx context.Context) error {
	const what = "unmatched"
	today := e.Now().UTC().Format(time.DateOnly)
	told, err := e.told(ctx, what)
	if err != nil || told == today {
		return err
	}
	u, err := e.Unmatched(ctx)
	if err != nil {
		return err
	}
	b, err := json.Marshal(u)
	if err != nil {
		return err
	}
	fact, err := blob.PutBytes(ctx, e.Blobs, b)
	if err != nil {
		return err
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		if first, err := tell(ctx, tx, what, today); err != nil || !first {
			return err
		}
		return e.act(ctx, tx, "estate.compared", "estate/"+today, "server", map[string]any{"records": u.RecordCount, "hosts": u.HostCount,
			"environment": u.EnvironmentCount}, fact)
	})
}

func (e *Estate) told(ctx context.Context, what string) (day string, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		day, err = lastTold(ctx, tx, what)
		return err
	})
	return day, err
}
