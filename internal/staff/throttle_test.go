package staff_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// TestFailingCostsTimeAndTheRightKeyNone: whoever hammers at alice's name, from her own address, does not keep her waiting.
func TestFailingCostsTimeAndTheRightKeyNone(t *testing.T) {
	w := open(t, dbtest.Open(t))
	fail := func(name, from string) time.Duration {
		t.Helper()
		w.held = 0
		challenge, sig := w.answer(t, "bob")
		if _, _, err := w.Login(t.Context(), name, challenge, sig, from); fault.KindOf(err) != fault.Unauthenticated {
			t.Fatalf("Login: %v", err)
		}
		return w.held
	}
	var got []time.Duration
	for range 13 {
		got = append(got, fail("alice", "192.0.2.1"))
	}
	const ms = time.Millisecond
	want := []time.Duration{0, 0, 0, 0, 0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms}
	if !slices.Equal(got, want) {
		t.Errorf("held back %v, want %v", got, want)
	}
	w.held = 0
	w.mustLogin(t, "alice") // from 192.0.2.1
	if w.held > 0 {
		t.Errorf("alice waited %s", w.held)
	}
	if d := fail("alice", "198.51.100.7"); d != 5*time.Second {
		t.Errorf("another address against the same name: %s", d)
	}
	if d := fail("nobody", "192.0.2.1"); d != 5*time.Second {
		t.Errorf("the same address against another name: %s", d)
	}
	if d := fail("dave", "203.0.113.9"); d != 0 {
		t.Errorf("another address and name: %s", d)
	}
	for i := range 5 {
		fail("nobody"+string(rune('a'+i)), "2001:db8::"+string(rune('a'+i)))
	}
	if d := fail("nobodyz", "2001:db8::ffff"); d == 0 {
		t.Error("another address of the same /64 is free")
	}
	w.now = w.now.Add(10 * time.Minute)
	if d := fail("alice", "192.0.2.1"); d != 0 {
		t.Errorf("ten minutes later: %s", d)
	}
}

// TestWhoGoesAwayIsCountedAllTheSame: nobody guesses without a trace by hanging up while the answer is held back.
func TestWhoGoesAwayIsCountedAllTheSame(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		challenge, sig := w.answer(t, "bob")
		for range 8 {
			ctx, cancel := context.WithCancel(t.Context())
			w.Hold = func(context.Context, time.Duration) { cancel() }
			if _, _, err := w.Login(ctx, "alice", challenge, sig, "192.0.2.1"); fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("Login: %v", err)
			}
			cancel()
		}
		w.now = w.now.Add(11 * time.Minute)
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		e, err := w.Ledger.Entry(t.Context(), 2)
		if err != nil || e.Act.Kind != "attempts.counted" || !strings.Contains(string(e.Act.Detail), `"more":7,`) {
			t.Errorf("%s %s, %v", e.Act.Kind, e.Act.Detail, err)
		}
	})
}
