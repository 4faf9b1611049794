package agent

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Bounds of what is kept while no server answers, in bytes: of all, and of the list, which one check-in must carry.
const (
	maxSpool  = 16 << 20
	maxListed = wire.MaxDocument / 2
)

// spooled is the list of the states kept while no server answers, oldest first, and how many of them the bound has cost.
// Outcomes of work are not in it: an errand keeps its own file until its report was taken, however long that is.
type spooled struct {
	wire.Spooled
}

func (a *Agent) spoolList() string { return filepath.Join(a.places.spool(), "states.json") }

// readSpool gives what waits. A damaged list is given up, loudly: what the host is now matters more.
func (a *Agent) readSpool() spooled {
	var s spooled
	if err := readJSON(a.spoolList(), &s); err != nil && !isMissing(err) {
		a.log.Error("what was kept while no server answered is lost", "error", err)
		s.Dropped++
	}
	return s
}

// keep adds a state to the spool if it differs from the last one known to the server or kept: its package set and inventory
// with their bytes, its trees by name.
func (a *Agent) keep(o *observation) error {
	state := wire.State{At: o.At, PackageSet: o.PackageSet, Inventory: o.inventory, Trees: o.Trees}
	s := a.readSpool()
	last := a.memory.Told
	if n := len(s.States); n > 0 {
		last = s.States[n-1]
	}
	if last.PackageSet == state.PackageSet && last.Inventory == state.Inventory && maps.Equal(last.Trees, state.Trees) {
		return nil
	}
	if err := os.MkdirAll(a.places.spool(), 0o700); err != nil {
		return err
	}
	for _, digest := range []string{state.PackageSet, state.Inventory} {
		if err := writeFile(filepath.Join(a.places.spool(), digest), 0o600, o.objects[digest].bytes); err != nil {
			return err
		}
	}
	s.States = append(s.States, state)
	return a.bound(s, maxSpool)
}

// bound lets the oldest states go until the rest has at most so many bytes, and writes the list.
func (a *Agent) bound(s spooled, most int64) error {
	for {
		need := s.objects()
		total, err := a.sweepSpool(need)
		if err != nil {
			return err
		}
		list, err := json.Marshal(s.States)
		if err != nil {
			return err
		}
		if total <= most && len(list) <= maxListed && len(s.States) <= wire.MaxSpooled || len(s.States) <= 1 {
			return writeJSON(a.spoolList(), 0o600, s)
		}
		s.States = s.States[1:]
		s.Dropped++
	}
}

func (s spooled) objects() map[string]string {
	need := map[string]string{}
	for _, state := range s.States {
		need[state.PackageSet], need[state.Inventory] = wire.PackagesObject, wire.InventoryObject
	}
	return need
}

// sweepSpool removes the files that no state needs and gives the bytes of the others.
func (a *Agent) sweepSpool(need map[string]string) (total int64, err error) {
	entries, err := os.ReadDir(a.places.spool())
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return 0, err
		}
		switch {
		case need[e.Name()] != "":
			total += info.Size()
		case envelope.ValidDigest(e.Name()) || strings.HasPrefix(e.Name(), ".new-"):
			if err := os.Remove(filepath.Join(a.places.spool(), e.Name())); err != nil {
				return 0, err
			}
		}
	}
	return total, nil
}

// recall adds to a check-in what waits in the spool, and to the observation the bytes behind it.
func (a *Agent) recall(o *observation, c *wire.CheckIn) {
	s := a.readSpool()
	if len(s.States) == 0 && s.Dropped == 0 {
		return
	}
	for digest, kind := range s.objects() {
		b, err := readFile(filepath.Join(a.places.spool(), digest), wire.MaxObject)
		if err == nil && envelope.Digest(b) == digest {
			o.objects[digest] = object{kind, b}
		}
	}
	here := func(digest string) bool { _, ok := o.objects[digest]; return ok }
	whole := slices.DeleteFunc(slices.Clone(s.States), func(state wire.State) bool { return !here(state.PackageSet) || !here(state.Inventory) })
	c.Spooled = &wire.Spooled{States: whole, Dropped: s.Dropped + int64(len(s.States)-len(whole))}
}

// told empties the spool, after the server took a check-in over with all it named.
func (a *Agent) told(o *observation, had bool) error {
	a.memory.Told = wire.State{At: o.At, PackageSet: o.PackageSet, Inventory: o.inventory, Trees: o.Trees}
	if !had {
		return nil
	}
	return errors.Join(remove(a.spoolList()), os.RemoveAll(a.places.spool()))
}

// jumpLeast is by how much the clock must leave the time that passed to be told.
const jumpLeast = time.Minute

// jumped gives by how much the host's clock jumped between two readings: what it shows to have passed less what passed, by
// the kernel's own timer where both readings have it. That timer stands still while the machine sleeps.
func jumped(before, now time.Time) time.Duration {
	if before.IsZero() {
		return 0
	}
	return significant(now.Round(0).Sub(before.Round(0)) - now.Sub(before))
}

func significant(d time.Duration) time.Duration {
	if cmp.Compare(d.Abs(), jumpLeast) < 0 {
		return 0
	}
	return d
}

// watchClock notes a jump of the clock since the last round: by the kernel's timer or, after a start of the agent, when the
// clock shows a time before the last contact.
func (a *Agent) watchClock() {
	now := a.now()
	jump := jumped(a.lastRound, now)
	if a.lastRound.IsZero() && now.Before(a.memory.ContactAt) {
		jump = significant(now.Sub(a.memory.ContactAt))
	}
	a.lastRound = now
	if jump != 0 {
		a.clockJump += jump
		a.log.Warn("the clock jumped, or the machine slept", "by", jump)
	}
}
