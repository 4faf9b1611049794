//go:build world

package story

import (
	"context"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/demo/world"
	"github.com/patchwarrant/patchwarrant/internal/bundle"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/evidence"
)

// TestStory tells the demo's story with its attacks, looks at the hosts behind the programs' backs, upgrades our
// own programs by an order, and then kills each program at each step of a rollout. It is one test because making the world is what costs time.
func TestStory(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	s, err := Open(ctx, Config{World: "story", Programs: "../../bin", Packages: "../../dist", Out: t.TempDir(), Say: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Tell(ctx); err != nil {
		t.Fatal(err)
	}
	t.Run("hosts", func(t *testing.T) { patchedHosts(ctx, t, s) })
	t.Run("what the agent takes", func(t *testing.T) { agentCost(ctx, t, s) })
	t.Run("own upgrade", func(t *testing.T) { ownUpgrade(ctx, t, s) })
	t.Run("bundle", func(t *testing.T) { flippedBundle(t, s) })
	if err := s.Attack(ctx); err != nil {
		t.Fatal(err)
	}
	s.Table()
	t.Run("ledger", func(t *testing.T) {
		if said, err := s.run(ctx, "alice", "ledger", "audit"); err != nil {
			t.Errorf("%s, %v", said, err)
		}
	})
	t.Run("kill", func(t *testing.T) { killEverything(ctx, t, s) })
	t.Run("roots", func(t *testing.T) { rootsFollow(ctx, t, s) })
}

// patchedHosts: the first change and nothing else is on the hosts, done once, by programs under their own users.
func patchedHosts(ctx context.Context, t *testing.T, s *Story) {
	for name, h := range s.hosts {
		for _, pair := range s.world.Pairs {
			want := pair.Main
			for _, p := range s.changes[0].pairs {
				if p.Package == pair.Package {
					want = pair.Security
				}
			}
			got, err := h.Exec(ctx, "dpkg-query", "--show", "--showformat=${Version}", pair.Package)
			if err != nil || string(got) != want {
				t.Errorf("%s has %s %s (%v), not %s", name, pair.Package, got, err, want)
			}
		}
		if runs := aptRuns(ctx, t, h); runs != 1 {
			t.Errorf("apt ran %d times on %s", runs, name)
		}
	}
	if s.hub.Direct != "" {
		t.Skip("no units: " + s.hub.Direct)
	}
	for unit, want := range map[string]struct {
		host *world.Host
		user string
	}{serverUnit: {s.hub, "patchwarrant"}, agentUnit: {s.hosts["prod-1"].Host, "patchwarrant-agent"}} {
		got, err := want.host.Exec(ctx, "stat", "--format=%U", "/proc/"+mainProcess(ctx, t, want.host, unit))
		if err != nil || strings.TrimSpace(string(got)) != want.user {
			t.Errorf("%s runs as %q, %v", unit, got, err)
		}
	}
}

// mostMemory is what an agent may have resident at rest: 30 MiB.
const mostMemory = 30 << 10

// agentCost: at rest, after scans and two orders, an agent has no more resident than is promised. What it uses of a core is told
// only: here it checks in each second.
func agentCost(ctx context.Context, t *testing.T, s *Story) {
	for name := range s.hosts {
		var now estate.Host
		err := s.await(ctx, "the agent of "+name+" to be at rest", 30*time.Second, func(ctx context.Context) (_ bool, err error) {
			now, err = s.known(ctx, name)
			return now.Cost.MemoryKiB > 0 && now.Cost.MemoryKiB <= mostMemory, err
		})
		t.Logf("%s: %.1f MiB resident; %.2f %% of a core, %d ms in %d s and %d check-ins", name, now.Cost.MiB(), now.Cost.Percent(),
			now.Cost.CPUMillis, now.Cost.Seconds, now.Counter)
		if err != nil {
			t.Error(err)
		}
	}
}

// mainProcess gives the number of a unit's main process in its host.
func mainProcess(ctx context.Context, t *testing.T, h *world.Host, unit string) string {
	t.Helper()
	pid, err := h.Exec(ctx, "systemctl", "show", "--value", "--property=MainPID", unit)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(pid))
}

// aptRuns counts how often apt began to change a host.
func aptRuns(ctx context.Context, t *testing.T, h *host) int {
	t.Helper()
	log, err := h.ReadFile(ctx, "/var/log/apt/history.log")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(log), "\nCommandline: apt-get install ")
}

// flippedBundle: the real bundle is valid, and not when any byte of any member is another, though the container is sound.
func flippedBundle(t *testing.T, s *Story) {
	sealed, err := os.ReadFile(s.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Unpack(sealed)
	if err != nil {
		t.Fatal(err)
	}
	members := b.Members()
	for _, m := range members {
		at := rand.IntN(len(m.Data))
		m.Data[at] ^= 0x20
		cut, err := bundle.Pack(members)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := evidence.Verify(cut, evidence.Options{RootDigest: s.root}); err == nil {
			t.Errorf("still valid with another byte %d of %s", at, m.Name)
		}
		m.Data[at] ^= 0x20
	}
}
