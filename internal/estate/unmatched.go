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

// LoneRecord is a record without a host. Suggested are hosts without a record that have its name: a person decides.
type LoneRecord struct {
	ID        string     `json:"id"`
	Hostname  string     `json:"hostname"`
	Suggested []LoneHost `json:"suggested"`
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
		u = Unmatched{Records: []LoneRecord{}, Hosts: []LoneHost{}, Environment: []Differs{}}
		for _, rec := range d.records {
			if rec.Host == "" {
				u.Records = append(u.Records, LoneRecord{rec.ID, rec.Hostname, []LoneHost{}})
			}
		}
		slices.SortFunc(u.Records, func(a, b LoneRecord) int { return cmp.Or(cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.ID, b.ID)) })
		u.RecordCount, u.Records = len(u.Records), u.Records[:min(len(u.Records), MaxList)]
		named := map[string][]*LoneRecord{}
		for i := range u.Records {
			for _, name := range namesOf(u.Records[i].Hostname) {
				named[name] = append(named[name], &u.Records[i])
			}
		}
		for _, h := range d.byName {
			switch {
			case h.cell[ByState] == string(Retired):
			case h.record == "":
				u.lone(LoneHost{h.id, h.name, h.reportedName}, named)
			case h.differs != "":
				if u.EnvironmentCount++; len(u.Environment) < MaxList {
					u.Environment = append(u.Environment, Differs{h.id, h.name, h.record, h.cell[ByEnvironment], h.differs})
				}
			}
		}
		d.unmatched.Store(&u)
		return nil
	})
	return u, err
}

// lone takes a host without a record in, and suggests it where a record has one of its names.
func (u *Unmatched) lone(h LoneHost, named map[string][]*LoneRecord) {
	if u.HostCount++; len(u.Hosts) < MaxList {
		u.Hosts = append(u.Hosts, h)
	}
	if len(named) == 0 {
		return
	}
	for _, name := range namesOf(h.Name, h.ReportedName) {
		for _, rec := range named[name] {
			if len(rec.Suggested) < mostSuggested && !slices.Contains(rec.Suggested, h) {
				rec.Suggested = append(rec.Suggested, h)
			}
		}
	}
}

// namesOf gives the names by which a host may stand in the inventory: whole, and without a domain.
func namesOf(names ...string) (all []string) {
	for _, n := range names {
		n = strings.ToLower(n)
		short, _, _ := strings.Cut(n, ".")
		all = append(all, n, short)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(n string) bool { return n == "" })
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
