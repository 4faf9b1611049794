// Package silence makes what is not said a finding: a clock for each thing a host should tell again and again, and a planted
// vulnerability that must come out as a finding each day.
package silence

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// Term is how long a clock may run: after Alarm the silence is told, after Escalate it is told as critical. Both from what
// was last heard.
type Term struct{ Alarm, Escalate time.Duration }

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Estate tells what was last heard of each host.
type Estate interface {
	HeardBefore(ctx context.Context, c estate.Clock, before time.Time) ([]estate.Heard, error)
	Hosts(ctx context.Context) ([]estate.Host, error)
	Host(ctx context.Context, id string) (estate.Host, error)
	PackageSet(ctx context.Context, digest string) (pkgset.Set, error)
	Names(ctx context.Context, ids []string) (map[string]string, error)
}

// Config of a Watch.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Estate Estate
	Terms  map[estate.Clock]Term
	Now    func() time.Time
}

// Watch keeps the clocks.
type Watch struct{ Config }

// New makes a Watch.
func New(c Config) *Watch { return &Watch{c} }

// Silence is a clock of a host that ran out.
type Silence struct {
	Host        string       `json:"host"`
	Name        string       `json:"name"`
	Clock       estate.Clock `json:"clock"`
	Since       time.Time    `json:"since"` // what was last heard
	AlarmedAt   time.Time    `json:"alarmed_at"`
	EscalatedAt time.Time    `json:"escalated_at,omitzero"`
}

// change is what a sweep does to one silence.
type change struct {
	Silence
	kind string // of the act
}

// Kinds of act. Contact has its own for its begin and end (host.silent without a clock, host.returned), which the estate
// writes at the moment itself.
const (
	began     = "host.clock-ran-out"
	escalated = "host.silence-escalated"
	ended     = "host.clock-runs-again"
	stopped   = "host.clock-stopped" // the host is retired, or counts as cloned
)

// decide compares who is late on a clock with the silences known of it. The clocks of some hosts are not looked at any more.
func decide(late []estate.Heard, open []Silence, out map[string]bool, clock estate.Clock, term Term, now time.Time) (all []change) {
	known := make(map[string]Silence, len(open))
	for _, s := range open {
		known[s.Host] = s
	}
	for _, h := range late {
		s, told := known[h.Host]
		delete(known, h.Host)
		if !told {
			s = Silence{Host: h.Host, Name: h.Name, Clock: clock, Since: h.At, AlarmedAt: now}
			all = append(all, change{s, began})
		}
		if s.EscalatedAt.IsZero() && now.Sub(h.At) > term.Escalate {
			s.EscalatedAt = now
			all = append(all, change{s, escalated})
		}
	}
	for _, s := range open {
		_, over := known[s.Host]
		switch {
		case over && out[s.Host]:
			all = append(all, change{s, stopped})
		case over:
			all = append(all, change{s, ended})
		}
	}
	return all
}

// Sweep looks at all clocks.
func (w *Watch) Sweep(ctx context.Context) error {
	for _, clock := range estate.Clocks {
		term := w.Terms[clock]
		now := w.Now().UTC()
		late, err := w.Estate.HeardBefore(ctx, clock, now.Add(-term.Alarm))
		if err != nil {
			return err
		}
		out, err := w.out(ctx, clock, late)
		if err != nil {
			return err
		}
		err = w.DB.Write(ctx, func(tx *db.Tx) error {
			open, err := loadOpen(ctx, tx, clock)
			if err != nil {
				return err
			}
			for _, c := range decide(late, open, out, clock, term, now) {
				if err := w.take(ctx, tx, c, term); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// out gives the hosts whose clock ran out and that nobody looks at any more: retired, or in use by two machines.
func (w *Watch) out(ctx context.Context, clock estate.Clock, late []estate.Heard) (map[string]bool, error) {
	var open []Silence
	err := w.DB.Read(ctx, func(tx *db.Tx) (err error) {
		open, err = loadOpen(ctx, tx, clock)
		return err
	})
	still := make(map[string]bool, len(late))
	for _, h := range late {
		still[h.Host] = true
	}
	out := map[string]bool{}
	for _, s := range open {
		if err != nil || still[s.Host] {
			continue
		}
		var h estate.Host
		h, err = w.Estate.Host(ctx, s.Host)
		out[s.Host] = !h.RetiredAt.IsZero() || !h.ClonedAt.IsZero()
	}
	return out, err
}

func (w *Watch) take(ctx context.Context, tx *db.Tx, c change, term Term) error {
	detail := map[string]any{"clock": c.Clock, "since": c.Since}
	var err error
	switch c.kind {
	case began:
		detail["severity"], detail["term"] = "alarm", term.Alarm.String()
		err = save(ctx, tx, c.Silence)
	case escalated:
		detail["severity"], detail["term"] = "critical", term.Escalate.String()
		err = save(ctx, tx, c.Silence)
	case ended, stopped:
		err = drop(ctx, tx, c.Silence)
	}
	if err != nil || c.Clock == estate.Contact && c.kind != escalated {
		return err
	}
	return w.act(ctx, tx, c.kind, "host/"+c.Host, detail)
}

// Silences gives the clocks that ran out, those escalated first, then the longest; at most limit of them, and how many there
// are by clock.
func (w *Watch) Silences(ctx context.Context, limit int) (all []Silence, counts map[estate.Clock]int, err error) {
	err = w.DB.Read(ctx, func(tx *db.Tx) error {
		if counts, err = countOpen(ctx, tx); err != nil {
			return err
		}
		all, err = loadWorst(ctx, tx, limit)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return all, counts, w.name(ctx, all)
}

// Of gives the clocks of one host that ran out.
func (w *Watch) Of(ctx context.Context, host string) (all []Silence, err error) {
	err = w.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadOf(ctx, tx, host)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Silence) int { return a.Since.Compare(b.Since) })
	return all, w.name(ctx, all)
}

func (w *Watch) name(ctx context.Context, all []Silence) error {
	ids := make([]string, len(all))
	for i, s := range all {
		ids[i] = s.Host
	}
	names, err := w.Estate.Names(ctx, ids)
	for i := range all {
		all[i].Name = names[all[i].Host]
	}
	return err
}

func (w *Watch) act(ctx context.Context, tx *db.Tx, kind, subject string, detail map[string]any) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = w.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: subject, At: w.Now().UTC(), Who: "server", Detail: b})
	return err
}

// Health is what is wrong with the server itself, and the last planted vulnerability.
type Health struct {
	Ails   []Ail  `json:"ails"`
	Canary Canary `json:"canary"`
}

// Ail is something that is wrong with the server.
type Ail struct {
	What  string    `json:"what"`
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
}
