package server

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/job"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/silence"
)

// deadMan asks an outside switch for as long as all is well with the server itself: who hears nothing of it any more knows
// that the server is gone, stuck or blind. What is wrong is written down too, for people and into the ledger.
type deadMan struct {
	server *Server
	client *http.Client

	mu    sync.Mutex
	done  map[string]pass // by sweep
	began time.Time       // since when this server runs the timetable without a break
	seen  time.Time       // the last look
}

// pass is how a sweep last went.
type pass struct {
	every  time.Duration
	okAt   time.Time
	failed string // how it failed since
}

// watched has a sweep noted when it goes well.
func (m *deadMan) watched(s job.Sweep) job.Sweep {
	m.mu.Lock()
	m.done[s.Name] = pass{every: s.Every}
	m.mu.Unlock()
	do := s.Do
	s.Do = func(ctx context.Context) error {
		err := do(ctx)
		m.mu.Lock()
		defer m.mu.Unlock()
		p := m.done[s.Name]
		if p.failed = ""; err != nil {
			p.failed = err.Error()
		} else {
			p.okAt = m.server.now()
		}
		m.done[s.Name] = p
		return err
	}
	return s
}

// grace is what a sweep may take beyond three periods before it counts as stuck.
const grace = 10 * time.Minute

// stuck says which sweeps have not gone well for long.
func (m *deadMan) stuck(now time.Time) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.seen) > grace { // another server ran them meanwhile
		m.began = now
	}
	m.seen = now
	ails := map[string]string{}
	for name, p := range m.done {
		last := p.okAt
		if last.Before(m.began) {
			last = m.began
		}
		if now.Sub(last) > 3*p.every+grace {
			ails["sweep "+name] = fmt.Sprintf("has not gone well since %s: %.200s", last.UTC().Format(time.RFC3339), p.failed)
		}
	}
	return ails
}

// ails says what is wrong, by what it is wrong with.
func (m *deadMan) ails(ctx context.Context, now time.Time) (map[string]string, error) {
	ails := m.stuck(now)
	states, err := m.server.intake.States(ctx)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	for _, s := range states {
		if !s.SilentAt.IsZero() {
			ails["source "+s.Name] = "nothing heard within its term"
		}
	}
	return ails, nil
}

// Sweep looks whether all is well, and asks the switch only then.
func (m *deadMan) Sweep(ctx context.Context) error {
	ails, err := m.ails(ctx, m.server.now())
	if err != nil {
		return err
	}
	if url := m.server.config.DeadMan.URL; url != "" && len(ails) == 0 {
		if err := m.ask(ctx, url); err != nil {
			ails["dead man's switch"] = err.Error()
		}
	}
	return m.server.note(ctx, ails)
}

func (m *deadMan) ask(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("its address cannot be asked")
	}
	answer, err := m.client.Do(r)
	if err != nil {
		return fmt.Errorf("it cannot be reached") // the address may hold a secret
	}
	answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("it answers %s", answer.Status)
	}
	return nil
}

// note writes what is wrong now, with an act for what is newly wrong and for what is well again.
func (s *Server) note(ctx context.Context, ails map[string]string) error {
	known, err := s.Health(ctx)
	if err != nil {
		return err
	}
	before := map[string]bool{}
	for _, a := range known.Ails {
		before[a.What] = true
	}
	var began, ended []string
	for what := range ails {
		if !before[what] {
			began = append(began, what)
		}
	}
	for what := range before {
		if _, still := ails[what]; !still {
			ended = append(ended, what)
		}
	}
	if len(began)+len(ended) == 0 {
		return nil
	}
	slices.Sort(began)
	slices.Sort(ended)
	return s.db.Write(ctx, func(tx *db.Tx) error {
		for _, what := range began {
			if err := saveAil(ctx, tx, silence.Ail{What: what, Why: ails[what], Since: s.now().UTC()}); err != nil {
				return err
			}
		}
		for _, what := range ended {
			if err := dropAil(ctx, tx, what); err != nil {
				return err
			}
		}
		kind := "server.recovered"
		if len(ails) > 0 {
			kind = "server.ails"
		}
		detail, err := json.Marshal(map[string]any{"began": began, "ended": ended, "now": slices.Sorted(maps.Keys(ails))})
		if err != nil {
			return err
		}
		_, err = s.ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: "server/health", At: s.now().UTC(), Who: "server", Detail: detail})
		return err
	})
}

// Health says what is wrong with the server itself.
func (s *Server) Health(ctx context.Context) (h silence.Health, err error) {
	h.Ails = []silence.Ail{}
	h.Canary, err = s.silence.Canary(ctx)
	if err != nil {
		return h, err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		all, err := loadAils(ctx, tx)
		h.Ails = append(h.Ails, all...)
		return err
	})
	return h, err
}
