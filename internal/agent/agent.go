// Package agent is the host's side of the protocol in package wire: it reports what the host is, and carries warrants to
// the executor. It runs without root, writes nothing outside its own state, and can do nothing to the host by itself.
package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Agent is one enrolled host's agent.
type Agent struct {
	places   Places
	config   Config
	version  string
	now      func() time.Time
	began    time.Time
	log      *slog.Logger
	identity *tls.Certificate
	client   *client
	root     *trustroot.Root
	later    []envelope.Envelope
	policy   filetree.Policy
	memory   memory
	last     wire.CheckIn // the newest check-in, repeated while the executor works

	lastRound   time.Time
	clockJump   time.Duration // not told yet
	rootSeen    map[string]rootFacts
	originsSeen map[string]originsSeen
	lagSeen     map[string]lagSeen
}

// memory is what the agent must not forget. It is written before each check-in leaves the host, so that the counter never
// goes back, whatever kills the agent.
type memory struct {
	Counter      int64        `json:"counter"`
	Log          wire.LogSeen `json:"log"`
	Published    publication  `json:"published,omitzero"`
	CheckpointAt time.Time    `json:"checkpoint_at"` // time in the newest checkpoint; of enrolment before the first
	ContactAt    time.Time    `json:"contact_at,omitzero"`
	Alarm        string       `json:"alarm,omitempty"`

	Trees map[string]seenTree `json:"trees"` // by root
	Told  wire.State          `json:"told"`  // the last state that the server took over

	Canary string `json:"canary,omitempty"` // what answers the seed of the last answer
}

func (c Config) scanEvery() time.Duration {
	if c.ScanHours == 0 {
		return time.Hour
	}
	return time.Duration(c.ScanHours) * time.Hour
}

// Open opens the agent of an enrolled host.
func Open(places Places, version string, now func() time.Time, log *slog.Logger) (*Agent, error) {
	config, err := readConfig(places)
	if err != nil {
		return nil, err
	}
	a := &Agent{places: places, config: config, version: version, now: now, began: now(), log: log,
		rootSeen: map[string]rootFacts{}, originsSeen: map[string]originsSeen{}, lagSeen: map[string]lagSeen{}}
	if err := a.loadRoot(); err != nil {
		return nil, err
	}
	if a.policy, err = readPolicy(places); err != nil {
		return nil, err
	}
	if err := readJSON(places.memory(), &a.memory); errors.Is(err, fs.ErrNotExist) {
		a.memory.CheckpointAt = now().UTC()
	} else if err != nil {
		return nil, err
	}
	if a.memory.Trees == nil {
		a.memory.Trees = map[string]seenTree{}
	}
	return a, a.connect()
}

// Run polls until ctx ends, at the server's pace and with jitter; after trouble it comes again sooner or later, never stops.
func (a *Agent) Run(ctx context.Context) error {
	const patience = 5 * time.Minute
	wait := 5 * time.Second
	for {
		next, err := a.Once(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			a.log.Error("round failed", "error", err, "code", fault.CodeOf(err))
			next = wait
			wait = min(wait*2, patience)
		default:
			wait = 5 * time.Second
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(jitter(next)):
		}
	}
}

// jitter spreads hosts: 80 to 120 % of d.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// Once does one round: check in, upload what the server lacks, take a step with the order in hand or take a new one. It
// gives the time until the next round.
func (a *Agent) Once(ctx context.Context) (time.Duration, error) {
	defer a.raise()
	a.watchClock()
	renewed := a.renew(ctx) // where it fails the host is looked at all the same, and what changed is kept
	e, err := a.readErrand()
	if err != nil {
		return 0, err
	}
	o, err := a.look(ctx, nil)
	if err != nil {
		return 0, errors.Join(renewed, err)
	}
	if renewed != nil {
		return 0, errors.Join(renewed, a.keep(o))
	}
	answer, err := a.checkIn(ctx, o, e)
	if err == nil && len(answer.Need) > 0 {
		if err = a.upload(ctx, o); err == nil {
			answer, err = a.checkIn(ctx, o, e)
		}
	}
	if err != nil {
		return 0, errors.Join(err, a.keep(o))
	}
	if len(answer.Need) == 0 {
		if err := a.told(o, a.last.Spooled != nil); err != nil {
			return 0, err
		}
		a.last.Spooled = nil
	}
	next := time.Duration(answer.NextSeconds) * time.Second
	if e == nil && answer.Work != nil {
		if e, err = a.accept(answer.Work); err != nil {
			return 0, err
		}
	}
	if e == nil {
		return next, nil
	}
	if err := a.carry(ctx, e); err != nil {
		return 0, fmt.Errorf("order %s, %s: %w", e.Order, e.Phase, err)
	}
	return time.Second, nil
}

// checkIn says what the host is and takes over what the answer says about trust.
func (a *Agent) checkIn(ctx context.Context, o *observation, e *errand) (*wire.CheckInAnswer, error) {
	key, err := readReportKey(a.places.reportKey())
	if err != nil {
		return nil, err
	}
	a.last = wire.CheckIn{AgentVersion: a.version, PackageSet: o.PackageSet, Origins: o.origins, Inventory: o.inventory,
		Roots: o.roots, Trees: o.Trees, ReportKey: key}
	a.recall(o, &a.last)
	return a.say(ctx, e)
}

// say sends the newest check-in under a new counter.
func (a *Agent) say(ctx context.Context, e *errand) (*wire.CheckInAnswer, error) {
	m := &a.memory
	m.Counter++
	if err := a.remember(); err != nil {
		return nil, err
	}
	c := a.last
	c.ClockJump = int64(a.clockJump / time.Second)
	c.Counter, c.At, c.Log, c.TrustRootVersion, c.Alarm = m.Counter, a.now().UTC(), m.Log, a.root.Version, m.Alarm
	c.Cost = cost(a.places.Root, a.now().Sub(a.began))
	c.ScannedAt, c.Canary, c.Published = a.scannedAt(), m.Canary, m.Published.Digest
	if e != nil {
		c.Doing = &wire.Doing{Order: e.Order, Phase: e.Phase}
	}
	var answer wire.CheckInAnswer
	if err := a.client.post(ctx, wire.CheckInPath, c, wire.MaxAnswer, &answer); err != nil {
		return nil, err
	}
	m.ContactAt, a.clockJump = a.now().UTC(), 0
	if m.Canary = ""; answer.Canary != "" {
		m.Canary = wire.CanaryVersion(answer.Canary, a.config.HostID)
	}
	err := a.follow(answer.TrustRoots)
	if err == nil {
		err = a.witness(&answer)
	}
	if err == nil {
		err = a.follows(answer.Published)
	}
	m.Alarm = m.judge(err, a.now())
	return &answer, errors.Join(err, a.remember())
}

// scannedAt is when the oldest of the roots' file states was begun; zero if one has none.
func (a *Agent) scannedAt() (oldest time.Time) {
	for i, root := range a.config.Roots {
		if at := a.memory.Trees[root].At; i == 0 || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

func (a *Agent) remember() error { return writeJSON(a.places.memory(), 0o600, a.memory) }

// raise alarms on the host itself, also when no server answers: a line of level ERROR in the system's journal each round.
func (a *Agent) raise() {
	if a.memory.Alarm == "" {
		a.memory.Alarm = a.memory.judge(nil, a.now())
	}
	if a.memory.Alarm != "" {
		a.log.Error("ALARM: the server or the way to it is not to be trusted", "code", a.memory.Alarm, "newest_checkpoint", a.memory.CheckpointAt)
	}
}

// Status is what the agent knows of itself, for the host's administrator.
type Status struct {
	HostID        string    `json:"host_id"`
	Server        string    `json:"server"`
	TrustRoot     int64     `json:"trust_root_version"`
	CertExpiresAt time.Time `json:"certificate_expires_at"`
	ContactAt     time.Time `json:"contact_at,omitzero"`
	CheckpointAt  time.Time `json:"checkpoint_at"`
	Counter       int64     `json:"counter"`
	Executor      bool      `json:"executor"` // false: observe-only
	Order         string    `json:"order,omitempty"`
	Phase         string    `json:"phase,omitempty"`
	Alarm         string    `json:"alarm,omitempty"`
}

// Status reads it without talking to anyone.
func (a *Agent) Status() (Status, error) {
	s := Status{HostID: a.config.HostID, Server: a.config.Server, TrustRoot: a.root.Version, CertExpiresAt: a.identity.Leaf.NotAfter,
		ContactAt: a.memory.ContactAt, CheckpointAt: a.memory.CheckpointAt, Counter: a.memory.Counter, Alarm: a.memory.Alarm, Executor: executorListens(a.places)}
	if s.Alarm == "" {
		s.Alarm = a.memory.judge(nil, a.now())
	}
	e, err := a.readErrand()
	if err == nil && e != nil {
		s.Order, s.Phase = e.Order, e.Phase
	}
	return s, err
}

// executorListens reports whether there is an executor to carry warrants to.
func executorListens(p Places) bool {
	info, err := os.Stat(p.Socket)
	return err == nil && info.Mode().Type() == fs.ModeSocket
}
