package server

import (
	"bytes"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
)

// TestAFreshServerHasACleanLog: before there is a trust root and with it no sweep fails and no page complains. After a long stop
// others' sources are silent, our own is not.
func TestAFreshServerHasACleanLog(t *testing.T) {
	w := bare(t, "")
	var log bytes.Buffer
	w.server.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	doors, err := w.server.doors()
	if err != nil {
		t.Fatal(err)
	}
	w.doors[0].Config.Handler = doors[0].Handler
	sweeps := w.server.timetable().Sweeps
	look := func(when string) {
		t.Helper()
		for _, s := range sweeps {
			if err := s.Do(t.Context()); err != nil {
				t.Errorf("%s: sweep %s: %v", when, s.Name, err)
			}
		}
		for _, path := range []string{"/", "/setup", "/setup?link=x", "/join", "/sign-in", "/favicon.ico"} {
			answer, err := http.DefaultClient.Get(w.doors[0].URL + path)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
		}
		health, err := w.server.Health(t.Context())
		if err != nil || len(health.Ails) > 0 || log.Len() > 0 {
			t.Errorf("%s: %+v, %v, log %q", when, health.Ails, err, log.String())
		}
	}
	look("without a trust root")
	w.now = w.now.Add(time.Minute)
	look("a minute later")
	if _, err := w.server.Staff.Install(t.Context(), w.RootEnvelope, envelope.Digest(w.RootEnvelope.Payload)); err != nil {
		t.Fatal(err)
	}
	look("with a trust root")
	w.now = w.now.Add(20 * 24 * time.Hour)
	for _, s := range sweeps {
		if err := s.Do(t.Context()); err != nil {
			t.Errorf("after a long stop: sweep %s: %v", s.Name, err)
		}
	}
	states, err := w.server.intake.States(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if told := w.acts(w.mustLogin("frank"), "source.silent"); len(states) < 2 || told != len(states)-1 {
		t.Errorf("after a long stop %d of %d sources were told to be silent, want all but our own", told, len(states))
	}
}
