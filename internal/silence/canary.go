package silence

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// CanarySource is who states the planted vulnerability. No such source is ever fed, and nothing it states is counted.
const CanarySource = "patchwarrant-canary"

// CanaryTerm is how long a planted vulnerability may take to come out as a finding.
const CanaryTerm = 6 * time.Hour

// Canary is the vulnerability planted on a day: one host is told a random seed, must report a package whose version follows
// from it, and matching must find that version affected.
type Canary struct {
	Day       string    `json:"day"`
	ID        string    `json:"id"`   // TEST-…
	Host      string    `json:"host"` // ID
	PlantedAt time.Time `json:"planted_at"`
	FoundAt   time.Time `json:"found_at,omitzero"`
	LostAt    time.Time `json:"lost_at,omitzero"` // its term ended before it was found

	seed string
}

// statement is what is stated about the planted package.
func (c Canary) statement(release string) intake.Statement {
	return intake.Statement{Source: CanarySource, Package: wire.CanaryPackage, Release: release, ID: c.ID, Status: intake.Fixed,
		FixedVersion: wire.CanaryVersion(c.seed, c.Host) + "+fixed"}
}

// finds reports whether matching finds the planted vulnerability on its host, in the version that only today's seed gives.
// The set is what the host reported, with the package it carried beside it.
func (c Canary) finds(h estate.Host, set pkgset.Set, said string) (bool, error) {
	set = append(slices.Clone(set), pkgset.Package{Name: wire.CanaryPackage, Arch: "all", Version: said, Source: wire.CanaryPackage, SourceVersion: said})
	fleet := verdict.NewFleet()
	fleet.Learn([]intake.Statement{c.statement(h.Release)})
	class := verdict.Class{Release: h.Release, Environment: h.Environment, SetDigest: h.PackageSet}
	if err := fleet.Place(h.ID, class, func() (pkgset.Set, error) { return set, nil }); err != nil {
		return false, err
	}
	return slices.ContainsFunc(fleet.Findings(h.ID), func(f verdict.Finding) bool {
		return f.ID == c.ID && f.Verdict.Status == verdict.Affected && f.Version == wire.CanaryVersion(c.seed, c.Host)
	}), nil
}

// Plant is the sweep that plants a vulnerability each day, and tells of one that did not come out within its term.
func (w *Watch) Plant(ctx context.Context) error {
	now := w.Now().UTC()
	c, err := w.Canary(ctx)
	if err != nil {
		return err
	}
	if c.Day != "" && c.FoundAt.IsZero() && c.LostAt.IsZero() {
		if now.Sub(c.PlantedAt) <= CanaryTerm {
			return nil // also over midnight: the next one is planted when it is known what became of this one
		}
		if err := w.lose(ctx, c); err != nil {
			return err
		}
	}
	if c.Day == now.Format(time.DateOnly) {
		return nil
	}
	host, err := w.pick(ctx)
	if err != nil || host == "" {
		return err
	}
	var random [16]byte
	rand.Read(random[:])
	c = Canary{Day: now.Format(time.DateOnly), Host: host, PlantedAt: now, seed: hex.EncodeToString(random[:])}
	c.ID = "TEST-" + c.Day + "-" + c.seed[:8]
	return w.DB.Write(ctx, func(tx *db.Tx) error {
		if first, err := plant(ctx, tx, c); err != nil || !first {
			return err
		}
		return w.act(ctx, tx, "canary.planted", "canary/"+c.Day, map[string]any{"id": c.ID, "host": c.Host})
	})
}

// pick chooses a host that speaks, "" where there is none. Nobody can foresee which.
func (w *Watch) pick(ctx context.Context) (string, error) {
	hosts, err := w.Estate.Hosts(ctx)
	if err != nil {
		return "", err
	}
	hosts = slices.DeleteFunc(hosts, func(h estate.Host) bool {
		return h.PackageSet == "" || !h.SilentAt.IsZero() || !h.ClonedAt.IsZero()
	})
	if len(hosts) == 0 {
		return "", nil
	}
	n, err := rand.Int(rand.Reader, big.NewInt(int64(len(hosts))))
	if err != nil {
		return "", err
	}
	return hosts[n.Int64()].ID, nil
}

func (w *Watch) lose(ctx context.Context, c Canary) error {
	return w.DB.Write(ctx, func(tx *db.Tx) error {
		now, err := latestCanary(ctx, tx)
		if err != nil || now.Day != c.Day || !now.FoundAt.IsZero() || !now.LostAt.IsZero() {
			return err
		}
		before, err := canaryBefore(ctx, tx, c.Day)
		if err != nil {
			return err
		}
		severity := "alarm"
		if !before.LostAt.IsZero() && before.FoundAt.IsZero() {
			severity = "critical" // the second one in a row
		}
		now.LostAt = w.Now().UTC()
		if err := saveCanary(ctx, tx, now); err != nil {
			return err
		}
		return w.act(ctx, tx, "canary.lost", "canary/"+c.Day, map[string]any{"id": c.ID, "host": c.Host, "severity": severity})
	})
}

// Canary gives the one planted last; the zero Canary before the first.
func (w *Watch) Canary(ctx context.Context) (c Canary, err error) {
	err = w.DB.Read(ctx, func(tx *db.Tx) error {
		c, err = latestCanary(ctx, tx)
		return err
	})
	return c, err
}

// Seed gives what a host is to report back today, "" for all but one host.
func (w *Watch) Seed(ctx context.Context, host string) (string, error) {
	c, err := w.Canary(ctx)
	if err != nil || c.Host != host || !c.FoundAt.IsZero() {
		return "", err
	}
	return c.seed, nil
}

// Heard takes the canary that a host carries beside its package set, and has it matched.
func (w *Watch) Heard(ctx context.Context, host, said string) error {
	c, err := w.Canary(ctx)
	if err != nil || said == "" || c.Host != host || !c.FoundAt.IsZero() {
		return err
	}
	h, err := w.Estate.Host(ctx, host)
	if err != nil || h.PackageSet == "" {
		return err
	}
	set, err := w.Estate.PackageSet(ctx, h.PackageSet)
	if err != nil {
		return err
	}
	found, err := c.finds(h, set, said)
	if err != nil || !found {
		return err // its term ends with an alarm
	}
	return w.DB.Write(ctx, func(tx *db.Tx) error {
		now, err := latestCanary(ctx, tx)
		if err != nil || now.Day != c.Day || !now.FoundAt.IsZero() {
			return err
		}
		now.FoundAt = w.Now().UTC()
		if err := saveCanary(ctx, tx, now); err != nil {
			return err
		}
		return w.act(ctx, tx, "canary.found", "canary/"+c.Day, map[string]any{"id": c.ID, "host": host, "took_seconds": int64(now.FoundAt.Sub(c.PlantedAt).Seconds())})
	})
}
