package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/job"
)

// TestTheSwitchIsAskedOnlyWhileAllIsWell: a sweep that is stuck, or a source that is silent, lets it fall; both are told.
func TestTheSwitchIsAskedOnlyWhileAllIsWell(t *testing.T) {
	asked, status := 0, http.StatusOK
	outside := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked++
		if r.Method != http.MethodPost {
			t.Error(r.Method)
		}
		rw.WriteHeader(status)
	}))
	defer outside.Close()
	w := open(t, fmt.Sprintf("[dead_man]\nurl = %q\n", outside.URL))
	m := w.server.deadMan
	var broken error
	sweep := m.watched(job.Sweep{Name: "settle", Every: time.Minute, Do: func(context.Context) error { return broken }})
	look := func(want int, ails ...string) {
		t.Helper()
		w.now = w.now.Add(5 * time.Minute)
		if err := sweep.Do(t.Context()); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if err := m.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		h, err := w.server.Health(t.Context())
		if err != nil || asked != want || len(h.Ails) != len(ails) {
			t.Fatalf("asked %d times, want %d; %+v, %v", asked, want, h.Ails, err)
		}
		for i, what := range ails {
			if h.Ails[i].What != what {
				t.Errorf("%+v", h.Ails)
			}
		}
	}
	look(1)
	look(2)
	broken = errors.New("no space left")
	look(3)
	look(4)
	look(4, "sweep settle")
	look(4, "sweep settle")
	broken = nil
	look(5)
	status = http.StatusNotFound
	look(6, "dead man's switch")
	status = http.StatusOK
	look(7)
	token := w.mustLogin("frank")
	var acts struct {
		Acts []struct{ Act struct{ Kind string } }
	}
	if err := w.ask(token, http.MethodGet, "/acts?kind=server.", nil, &acts); err != nil || len(acts.Acts) != 4 {
		t.Errorf("%d acts, %v", len(acts.Acts), err)
	}
	w.now = w.now.Add(24 * time.Hour) // another server ran the timetable: what this one did not do is no sign
	look(8)
}

// TestSweepsHaveNamesOfTheirOwn: under one name for two, the one that goes well would hide the one that is stuck.
func TestSweepsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, sweep := range open(t, "").server.timetable().Sweeps {
		if seen[sweep.Name] {
			t.Errorf("two sweeps are called %q", sweep.Name)
		}
		seen[sweep.Name] = true
	}
}
