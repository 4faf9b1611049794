package estate

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

// State is one word for a host's condition, the worst that holds.
type State string

// States, the worst first.
const (
	Retired     State = "retired"      // two people took it out of service; it counts nowhere
	Cloned      State = "cloned"       // two machines use its identity
	Silent      State = "silent"       // nothing was heard within the term
	Alarms      State = "alarms"       // the host raises an alarm of its own
	Reboot      State = "reboot"       // it waits for one
	ObserveOnly State = "observe-only" // no executor, or not the one it was enrolled with
	Reports     State = "reports"
)

// State gives the host's condition.
func (h Host) State() State {
	switch {
	case !h.RetiredAt.IsZero():
		return Retired
	case !h.ClonedAt.IsZero():
		return Cloned
	case !h.SilentAt.IsZero():
		return Silent
	case h.Alarm != "":
		return Alarms
	case h.RebootRequired:
		return Reboot
	case !h.CanExecute():
		return ObserveOnly
	}
	return Reports
}

// Filter chooses hosts: all set fields must hold. Retired hosts are chosen by their state alone.
type Filter struct {
	Environment string
	Release     string
	State       State
	Zone        string // this and what follows as the host's record has it
	Owner       string
	Unit        string
	Criticality string
	Exposure    string
	Group       string // its name
	Text        string // a part of the name, of the reported name or of the ID, in any case
}

// directory holds a few words of every host in memory, so that any list begins at any place without a look at all rows.
// It is brought up to date by the hosts and records that changed, whichever server changed them.
type directory struct {
	mu       sync.RWMutex
	upTo     version
	byID     map[string]*entry
	byName   []*entry // by name, then ID
	cells    map[cell]int
	records  map[string]record.Record // in the inventory, by ID
	recordOf map[string]string        // by host
	groups   *grouping
	words    map[string]string // few values stand for many hosts

	// Worked out from the above when first asked for; nil again with each change.
	unmatched atomic.Pointer[Unmatched]
	platforms atomic.Pointer[map[string]int]
	grouped   atomic.Pointer[Facets] // Groups and Failed of all hosts
	values    [properties]atomic.Pointer[map[string]string]
	members   atomic.Pointer[map[string]Membership]
}

// version is the last changes of hosts, of records and of groups that a directory knows.
type version struct{ hosts, records, groups int64 }

type entry struct {
	cell
	id, name, text string // text is what Filter.Text looks into
	reportedName   string
	serial         string
	addresses      string // one a line
	record         string // the inventory's about it, by ID; empty: none
	differs        string // the environment that the record names where the host enforces another

	distribution, arch, kernel string // for conditions of groups
	groups                     membership
}

// has reports whether a text, in lower case, is a part of what the host is called.
func (e *entry) has(text string) bool { return strings.Contains(e.text, text) }

func byName(a, b *entry) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id)) }

// take puts what changed in the place of what was there before.
func (d *directory) take(hosts []entry, records []record.Record, upTo version) {
	d.unmatched.Store(nil)
	d.platforms.Store(nil)
	d.grouped.Store(nil)
	d.members.Store(nil)
	for p := range d.values {
		d.values[p].Store(nil)
	}
	if d.byID == nil {
		d.byID, d.cells = make(map[string]*entry, len(hosts)), map[cell]int{}
		d.records, d.recordOf, d.words = make(map[string]record.Record, len(records)), map[string]string{}, map[string]string{}
		d.groups = newGrouping(nil)
	}
	sorted := true
	for _, e := range hosts {
		sorted = d.put(e) && sorted
	}
	for _, rec := range records {
		for _, e := range d.enter(rec) {
			d.put(e)
		}
	}
	if !sorted {
		slices.SortFunc(d.byName, byName)
	}
	d.upTo = upTo
}

// enter takes a record over and gives the hosts it was or is about.
func (d *directory) enter(rec record.Record) (concerned []entry) {
	for _, host := range []string{d.records[rec.ID].Host, rec.Host} {
		if e := d.byID[host]; e != nil {
			concerned = append(concerned, *e)
		}
	}
	if old := d.records[rec.ID].Host; d.recordOf[old] == rec.ID {
		delete(d.recordOf, old)
	}
	if delete(d.records, rec.ID); rec.DroppedAt.IsZero() {
		rec.Notes, rec.Maintenance = "", "" // long, and no list asks for them
		d.records[rec.ID] = rec
		if rec.Host != "" {
			d.recordOf[rec.Host] = rec.ID
		}
	}
	return concerned
}

// put takes an entry over, and reports whether the order by name is as it was.
func (d *directory) put(e entry) (sorted bool) {
	rec := d.records[d.recordOf[e.id]]
	e.record, e.differs = rec.ID, ""
	if rec.Environment != e.cell[ByEnvironment] {
		e.differs = d.word(rec.Environment)
	}
	e.cell[ByZone], e.cell[ByOwner], e.cell[ByUnit] = rec.Zone, rec.Owner, rec.Unit
	e.cell[ByCriticality], e.cell[ByExposure] = rec.Criticality, rec.Exposure
	for p, word := range e.cell {
		e.cell[p] = d.word(word)
	}
	e.distribution, e.arch, e.kernel = d.word(e.distribution), d.word(e.arch), d.word(e.kernel)
	e.groups = d.groups.evaluate(&e, rec, every)
	old := d.byID[e.id]
	d.cells[e.cell]++
	if old == nil {
		old = new(entry)
		d.byID[e.id], d.byName = old, append(d.byName, old)
	} else {
		if d.cells[old.cell]--; d.cells[old.cell] == 0 {
			delete(d.cells, old.cell)
		}
		sorted = old.name == e.name
	}
	*old = e
	return sorted
}

// word gives the one copy of a word.
func (d *directory) word(w string) string {
	if known, ok := d.words[w]; ok {
		return known
	}
	d.words[w] = w
	return w
}

// current runs do over the directory as of now.
func (e *Estate) current(ctx context.Context, do func(*directory) error) error {
	d := &e.directory
	latest, err := e.latest(ctx)
	if err != nil {
		return err
	}
	d.mu.RLock()
	fresh := d.upTo.hosts >= latest.hosts && d.upTo.records >= latest.records && d.upTo.groups >= latest.groups && d.byID != nil
	d.mu.RUnlock()
	if !fresh {
		if err := e.catchUp(ctx); err != nil {
			return err
		}
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return do(d)
}

func (e *Estate) latest(ctx context.Context) (v version, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		v.hosts, err = lastChange(ctx, tx)
		if err == nil && e.Records != nil {
			v.records, err = e.Records.Last(ctx, tx)
		}
		if err == nil && e.Groups != nil {
			v.groups, err = e.Groups.Last(ctx, tx)
		}
		return err
	})
	return v, err
}

func (e *Estate) catchUp(ctx context.Context) error {
	d := &e.directory
	d.mu.Lock()
	defer d.mu.Unlock()
	upTo := d.upTo
	var hosts []entry
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if upTo.hosts, err = lastChange(ctx, tx); err != nil || upTo.hosts <= d.upTo.hosts {
			return err
		}
		hosts, err = loadEntries(ctx, tx, d.upTo.hosts)
		return err
	})
	if err != nil {
		return err
	}
	var records []record.Record
	if e.Records != nil {
		if records, upTo.records, err = e.Records.Since(ctx, d.upTo.records); err != nil {
			return err
		}
	}
	d.take(hosts, records, upTo)
	if e.Groups == nil {
		return nil
	}
	return e.regroup(ctx)
}

// regroup takes groups over that changed; the caller holds the directory.
func (e *Estate) regroup(ctx context.Context) error {
	latest, err := e.latest(ctx) // before the list: a change between is taken over twice
	if err != nil || latest.groups <= e.directory.upTo.groups {
		return err
	}
	groups, err := e.Groups.List(ctx)
	if err == nil {
		e.directory.regroup(groups)
		e.directory.upTo.groups = latest.groups
	}
	return err
}

// MaxList is the most hosts List gives at once.
const MaxList = 1000

// List gives the hosts a filter chooses by name, at most limit of them, those after the host with the ID after; from the
// first where it is empty.
func (e *Estate) List(ctx context.Context, f Filter, after string, limit int) ([]Host, error) {
	limit = min(max(limit, 1), MaxList)
	var ids []string
	err := e.current(ctx, func(d *directory) (err error) {
		ids, err = d.choose(f, after, limit)
		return err
	})
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	var hosts []Host
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		hosts, err = loadThese(ctx, tx, ids)
		return err
	})
	for i := range hosts {
		e.beats.apply(&hosts[i])
	}
	return hosts, err
}

func (d *directory) choose(f Filter, after string, limit int) (ids []string, err error) {
	text, want, from := strings.ToLower(f.Text), f.cell(), 0
	group, err := d.groupBit(f)
	if err != nil {
		return nil, err
	}
	if after != "" {
		last := d.byID[after]
		if last == nil {
			return nil, fault.New(fault.Invalid, "there is no host to go on after")
		}
		from, _ = slices.BinarySearchFunc(d.byName, last, byName)
		from++
	}
	left := 0 // hosts that fit and were not met, at most
	for c, n := range d.cells {
		if c.fits(want) {
			left += n
		}
	}
	for _, h := range d.byName[from:] {
		if len(ids) == limit || left == 0 {
			break
		}
		if !h.cell.fits(want) {
			continue
		}
		left--
		if h.groups.in&group == group && h.has(text) {
			ids = append(ids, h.id)
		}
	}
	return ids, nil
}

// Names gives the names of hosts by ID; who is not known is left out. A host keeps its name, so only for one not met before
// the database is asked.
func (e *Estate) Names(ctx context.Context, ids []string) (map[string]string, error) {
	names := make(map[string]string, len(ids))
	look := func(d *directory) error {
		for _, id := range ids {
			if h := d.byID[id]; h != nil {
				names[id] = h.name
			}
		}
		return nil
	}
	e.directory.mu.RLock()
	err := look(&e.directory)
	e.directory.mu.RUnlock()
	if slices.ContainsFunc(ids, func(id string) bool { return names[id] == "" }) {
		err = e.current(ctx, look)
	}
	return names, err
}
