package exposure_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/bench/fleet"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// moving is a fleet of which a part has other packages at each look.
type moving struct {
	*world
	changed []estate.HostSet
	number  int64
}

func (m *moving) HostSets(_ context.Context, since int64) ([]estate.HostSet, int64, error) {
	switch {
	case since == 0:
		return m.hosts, m.number, nil
	case since < m.number:
		return m.changed, m.number, nil
	}
	return nil, m.number, nil
}

// BenchmarkHistory sweeps 100,000 hosts (600 source packages, some 5,000 vulnerabilities) after 1,000 of them changed; the
// first sweep, which writes every episode, is told apart.
func BenchmarkHistory(b *testing.B) {
	const hosts, images, moves = 100_000, 10_000, 1_000
	f, err := fleet.Generate(b.TempDir(), 600, 12)
	if err != nil {
		b.Fatal(err)
	}
	m := &moving{world: newWorld(b, dbtest.Open(b)), number: 1}
	var sets []string
	for i := range images {
		s := f.Host(i)
		m.sets[s.Digest()] = s
		sets = append(sets, s.Digest())
	}
	m.hosts = nil
	for i := range hosts {
		m.hosts = append(m.hosts, estate.HostSet{HostID: fmt.Sprintf("hst_%06d", i), Release: fleet.Release, Environment: "production", SetDigest: sets[i%images]})
	}
	slices.SortStableFunc(f.Statements, intake.Compare)
	m.known = &intake.Knowledge{Statements: f.Statements}
	c := m.triage
	c.Estate = m
	judge := triage.New(c)
	m.Triage = judge
	view, err := judge.Vulnerabilities(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d findings, %d vulnerabilities", view.Findings, view.Vulnerabilities)
	for n := 0; b.Loop(); n++ {
		if n > 0 {
			b.StopTimer()
			m.number++
			m.changed = nil
			for i := range moves {
				h := &m.hosts[(n*moves+i)%hosts]
				h.SetDigest = sets[(n*7919+i)%images]
				m.changed = append(m.changed, *h)
			}
			if _, err := judge.Vulnerabilities(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		began := time.Now()
		if err := m.Sweep(b.Context()); err != nil {
			b.Fatal(err)
		}
		if n == 0 {
			b.ReportMetric(float64(time.Since(began).Milliseconds()), "first-ms")
		}
	}
}
