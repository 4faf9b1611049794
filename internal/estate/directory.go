package estate

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// State is one word for a host's condition, the worst that holds.
type State string

// States, the worst first.
const (
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

// Filter chooses hosts: all set fields must hold.
type Filter struct {
	Environment string
	Release     string
	State       State
	Text        string // a part of the name, of the reported name or of the ID, in any case
}

// Facets counts hosts by each property, under the filter's other fields.
type Facets struct {
	Hosts        int // under the whole filter
	Environments map[string]int
	Releases     map[string]int
	States       map[State]int
}

// directory holds a few words of every host in memory, so that any list begins at any place without a look at all rows.
// It is brought up to date by the hosts that changed, whichever server changed them.
type directory struct {
	mu     sync.RWMutex
	upTo   int64
	byID   map[string]*entry
	byName []*entry // by name, then ID
	cells  map[cell]int
}

// cell is what facets count.
type cell struct {
	environment, release string
	state                State
}

type entry struct {
	cell
	id, name, text string // text is what Filter.Text looks into
}

func byName(a, b *entry) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id)) }

// take puts entries in the place of those with the same ID.
func (d *directory) take(changed []entry, upTo int64) {
	if d.byID == nil {
		d.byID, d.cells = make(map[string]*entry, len(changed)), map[cell]int{}
	}
	sorted := true
	for _, e := range changed {
		old := d.byID[e.id]
		d.cells[e.cell]++
		if old == nil {
			old = new(entry)
			d.byID[e.id], d.byName, sorted = old, append(d.byName, old), false
		} else {
			d.cells[old.cell]--
			sorted = sorted && old.name == e.name
		}
		*old = e
	}
	if !sorted {
		slices.SortFunc(d.byName, byName)
	}
	d.upTo = upTo
}

func (f Filter) cell(c cell) bool {
	return (f.Environment == "" || f.Environment == c.environment) && (f.Release == "" || f.Release == c.release) &&
		(f.State == "" || f.State == c.state)
}

func (f *Facets) add(by Filter, c cell, n int) {
	if by.cell(c) {
		f.Hosts += n
	}
	without := by
	if without.Environment = ""; without.cell(c) {
		f.Environments[c.environment] += n
	}
	without = by
	if without.Release = ""; without.cell(c) {
		f.Releases[c.release] += n
	}
	without = by
	if without.State = ""; without.cell(c) {
		f.States[c.state] += n
	}
}

// current runs do over the directory as of now.
func (e *Estate) current(ctx context.Context, do func(*directory) error) error {
	d := &e.directory
	var latest int64
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		latest, err = lastChange(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	d.mu.RLock()
	fresh := d.upTo >= latest
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

func (e *Estate) catchUp(ctx context.Context) error {
	d := &e.directory
	d.mu.Lock()
	defer d.mu.Unlock()
	return e.DB.Read(ctx, func(tx *db.Tx) error {
		latest, err := lastChange(ctx, tx)
		if err != nil || latest <= d.upTo {
			return err
		}
		changed, err := loadEntries(ctx, tx, d.upTo)
		if err == nil {
			d.take(changed, latest)
		}
		return err
	})
}

// MaxList is the most hosts List gives at once.
const MaxList = 1000

// List gives the hosts a filter chooses by name, at most limit of them, those after the host with the ID after; from the
// first where it is empty.
func (e *Estate) List(ctx context.Context, f Filter, after string, limit int) ([]Host, error) {
	limit = min(max(limit, 1), MaxList)
	text := strings.ToLower(f.Text)
	var ids []string
	err := e.current(ctx, func(d *directory) error {
		from := 0
		if after != "" {
			last := d.byID[after]
			if last == nil {
				return fault.New(fault.Invalid, "there is no host to go on after")
			}
			from, _ = slices.BinarySearchFunc(d.byName, last, byName)
			from++
		}
		for _, h := range d.byName[from:] {
			if len(ids) == limit {
				break
			}
			if f.cell(h.cell) && strings.Contains(h.text, text) {
				ids = append(ids, h.id)
			}
		}
		return nil
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

// Facets counts the hosts a filter chooses.
func (e *Estate) Facets(ctx context.Context, f Filter) (Facets, error) {
	all := Facets{Environments: map[string]int{}, Releases: map[string]int{}, States: map[State]int{}}
	text := strings.ToLower(f.Text)
	err := e.current(ctx, func(d *directory) error {
		if text == "" {
			for c, n := range d.cells {
				if n > 0 {
					all.add(f, c, n)
				}
			}
			return nil
		}
		for _, h := range d.byName {
			if strings.Contains(h.text, text) {
				all.add(f, h.cell, 1)
			}
		}
		return nil
	})
	return all, err
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
