package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

func TestTheSpoolLetsTheOldestGo(t *testing.T) {
	a := &Agent{places: Places{State: t.TempDir()}}
	seen := func(text string) *observation {
		o := &observation{objects: map[string]object{}}
		o.At, o.PackageSet, o.inventory = time.Unix(1, 0), o.add(wire.PackagesObject, []byte(text)), envelope.Digest([]byte("i"))
		o.add(wire.InventoryObject, []byte("i"))
		return o
	}
	for _, text := range []string{"one", "one", "two", "three"} {
		if err := a.keep(seen(strings.Repeat(text, 100))); err != nil {
			t.Fatal(err)
		}
	}
	s := a.readSpool()
	if len(s.States) != 3 || s.Dropped != 0 {
		t.Fatalf("kept %d, dropped %d", len(s.States), s.Dropped)
	}
	if err := a.bound(s, 900); err != nil {
		t.Fatal(err)
	}
	s = a.readSpool()
	if len(s.States) != 2 || s.Dropped != 1 || s.States[0].PackageSet != envelope.Digest([]byte(strings.Repeat("two", 100))) {
		t.Errorf("kept %+v, dropped %d", s.States, s.Dropped)
	}
	if _, err := os.Stat(a.places.spool() + "/" + envelope.Digest([]byte(strings.Repeat("one", 100)))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the bytes of the oldest: %v", err)
	}
	var c wire.CheckIn
	o := seen("now")
	a.recall(o, &c)
	if c.Spooled == nil || len(c.Spooled.States) != 2 || c.Spooled.Dropped != 1 || len(o.objects) != 4 {
		t.Fatalf("told %+v with %d objects", c.Spooled, len(o.objects))
	}
	if err := a.told(o, true); err != nil {
		t.Fatal(err)
	}
	if s := a.readSpool(); len(s.States) != 0 {
		t.Errorf("after it was told: %+v", s)
	}
}

// TestTheSpoolFitsIntoACheckIn, of a host with many trees too: else the server would never hear of it again.
func TestTheSpoolFitsIntoACheckIn(t *testing.T) {
	a := &Agent{places: Places{State: t.TempDir()}}
	if err := os.MkdirAll(a.places.spool(), 0o700); err != nil {
		t.Fatal(err)
	}
	digest := envelope.Digest(nil)
	state := wire.State{At: time.Unix(1, 0), PackageSet: digest, Inventory: digest, Trees: map[string]string{}}
	for n := range wire.MaxRoots {
		state.Trees[fmt.Sprintf("/srv/%03d/%s", n, strings.Repeat("x", 100))] = digest
	}
	if err := a.bound(spooled{wire.Spooled{States: slices.Repeat([]wire.State{state}, wire.MaxSpooled)}}, maxSpool); err != nil {
		t.Fatal(err)
	}
	s := a.readSpool()
	b, err := json.Marshal(wire.CheckIn{Spooled: &s.Spooled, Trees: state.Trees})
	if err != nil || len(b) > wire.MaxDocument || len(s.States) < 10 || s.Dropped != int64(wire.MaxSpooled-len(s.States)) {
		t.Errorf("a check-in of %d bytes with %d states, %d dropped, %v", len(b), len(s.States), s.Dropped, err)
	}
}

func TestAJumpOfTheClockIsNoted(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	now := at
	a := &Agent{now: func() time.Time { return now }, log: discard()}
	a.memory.ContactAt = at.Add(time.Hour)
	a.watchClock()
	if a.clockJump != -time.Hour {
		t.Errorf("the clock went back before the agent started: %s", a.clockJump)
	}
	now = at.Add(5 * time.Minute)
	a.watchClock()
	if a.clockJump != -time.Hour {
		t.Errorf("time that passes is a jump: %s", a.clockJump)
	}
	for d, want := range map[time.Duration]time.Duration{time.Second: 0, -59 * time.Second: 0, time.Hour: time.Hour, -time.Hour: -time.Hour} {
		if got := significant(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
