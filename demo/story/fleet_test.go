//go:build world

package story

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/demo/world"
	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/retirement"
	"github.com/patchwarrant/patchwarrant/internal/silence"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// TestFleet is the life of twelve hosts under one server: two boot systemd; ten are light, which means real roots (bookworm,
// trixie, one whose books are rpm's) in which the packaged programs run as their users, without systemd's sandbox. The
// server is the packaged one under systemd, and people act by the command line. Everything runs on real time.
func TestFleet(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	s, err := Open(ctx, Config{World: "fleet", Programs: "../../bin", Packages: "../../dist", Out: t.TempDir(), Say: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	s.silent = 30 * time.Second
	must(t, s.Establish(ctx))
	must(t, s.gather(ctx))
	must(t, s.enlist(ctx))
	t.Run("all report", func(t *testing.T) { allReport(ctx, t, s) })
	must(t, s.hosts["bookworm-1"].Stop(ctx, agentUnit)) // silent from here on; found out below
	t.Run("cloned", func(t *testing.T) { cloned(ctx, t, s, "trixie-1") })
	t.Run("retired", func(t *testing.T) { retired(ctx, t, s, "trixie-2") })
	t.Run("silent", func(t *testing.T) { silent(ctx, t, s, "bookworm-1") })
	t.Run("counts at the end", func(t *testing.T) {
		wantCounts(ctx, t, s, map[string]int{"": 11, "silent": 0, "cloned": 0, "retired": 1})
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gather makes the ten light hosts beside the two that Open made.
func (s *Story) gather(ctx context.Context) error {
	ours := []string{"patchwarrant-agent", "patchwarrant-executor"}
	debs, err := s.files("_*_"+s.world.Release.Arch+".deb", ours...)
	if err != nil {
		return err
	}
	rpms, err := s.files("-[0-9]*.rpm", ours...)
	if err != nil {
		return err
	}
	for _, kind := range []struct {
		codename string
		count    int
		also     []string
	}{{"bookworm", 4, nil}, {"trixie", 5, []string{"rpm"}}} {
		var first *world.Host
		for i := range kind.count {
			name := fmt.Sprintf("%s-%d", kind.codename, i+1)
			h := first
			if i > 0 {
				h, err = s.world.Like(ctx, first, name)
			} else if h, err = s.world.Light(ctx, name, kind.codename, kind.also...); err == nil && kind.also != nil {
				err = s.rpmHost(ctx, h, rpms)
			}
			if i == 0 && err == nil {
				first, err = h, h.InstallDebs(ctx, debs...)
			}
			if err != nil {
				return fmt.Errorf("make %s: %w", name, err)
			}
			s.hosts[name] = &host{Host: h}
		}
	}
	return nil
}

// rpmHost makes rpm-1 from a root that has rpm: what dpkg knew is gone, and what is installed is what our .rpms bring.
func (s *Story) rpmHost(ctx context.Context, of *world.Host, rpms []string) error {
	h, err := s.world.Like(ctx, of, "rpm-1")
	if err != nil {
		return err
	}
	s.hosts["rpm-1"] = &host{Host: h}
	if err := h.TurnToRPM(ctx); err != nil {
		return err
	}
	return h.InstallRPMs(ctx, rpms...)
}

// enlist enrols all hosts and waits for what each reports.
func (s *Story) enlist(ctx context.Context) error {
	for name := range s.hosts {
		if err := s.join(ctx, name, "--name", name, "--environment", "production"); err != nil {
			return err
		}
	}
	for name := range s.hosts {
		if err := s.reported(ctx, name); err != nil {
			said, _ := s.hosts[name].Journal(ctx, agentUnit)
			return fmt.Errorf("%w; it said: %s", err, said)
		}
	}
	return nil
}

// wantCounts asks how many hosts are in a state; in service are all of "".
func wantCounts(ctx context.Context, t *testing.T, s *Story, want map[string]int) {
	t.Helper()
	for state, n := range want {
		var all v1.Hosts
		must(t, s.ask(ctx, "erin", &all, "host", "list", "--state", state))
		if len(all.Hosts) != n {
			t.Errorf("%d hosts in state %q, want %d", len(all.Hosts), state, n)
		}
	}
}

// life gives the acts of a host's life, in their order.
func (s *Story) life(ctx context.Context, t *testing.T, name string) (kinds []string) {
	t.Helper()
	var all v1.Acts
	must(t, s.ask(ctx, "alice", &all, "ledger", "list", "--subject", "host/"+s.hosts[name].id, "--limit", "1000"))
	for _, a := range all.Acts {
		switch a.Act.Kind {
		case "host.enrolled", "host.silent", "host.returned", "host.cloned", "host.reenrolled", "host.retired", "host.retired-spoke":
			kinds = append(kinds, a.Act.Kind)
		}
	}
	return kinds
}

func allReport(ctx context.Context, t *testing.T, s *Story) {
	wantCounts(ctx, t, s, map[string]int{"": 12, "silent": 0, "cloned": 0, "retired": 0})
	releases := map[string]int{}
	for name := range s.hosts {
		h, err := s.known(ctx, name)
		must(t, err)
		releases[h.Distribution+" "+h.Release]++
	}
	if fmt.Sprint(releases) != "map[debian bookworm:6 debian trixie:5 example example-1:1]" {
		t.Errorf("releases %v", releases)
	}
	said, err := s.run(ctx, "erin", "host", "packages", s.hosts["rpm-1"].id)
	must(t, err)
	if !strings.Contains(string(said), "patchwarrant-agent") || strings.Contains(string(said), "dpkg") {
		t.Errorf("the host of rpm has %s", said)
	}
}

// cloned: two machines with one disk are one host; it is found out, both are shut out, and one of them becomes the host again.
func cloned(ctx context.Context, t *testing.T, s *Story, name string) {
	h := s.hosts[name]
	must(t, h.Stop(ctx, agentUnit))
	twin, err := s.world.Clone(ctx, h.Host, "twin")
	must(t, err)
	must(t, twin.Start(ctx, agentUnit))
	must(t, h.Start(ctx, agentUnit))
	must(t, s.await(ctx, "the clone to be found out", time.Minute, func(ctx context.Context) (bool, error) {
		now, err := s.known(ctx, name)
		return !now.ClonedAt.IsZero(), err
	}))
	wantCounts(ctx, t, s, map[string]int{"": 12, "cloned": 1})
	for _, machine := range []*world.Host{h.Host, twin} {
		must(t, s.says(ctx, machine, wire.Cloned))
	}
	before := h.id
	must(t, h.Stop(ctx, agentUnit))
	must(t, s.join(ctx, name, "--host", before))
	must(t, s.reported(ctx, name))
	must(t, s.says(ctx, twin, "answers 401")) // its certificate is no host's any more
	now, err := s.known(ctx, name)
	must(t, err)
	if h.id != before || now.Name != name || !now.ClonedAt.IsZero() {
		t.Errorf("host %s became %s, cloned at %s", before, h.id, now.ClonedAt)
	}
	if acts := s.life(ctx, t, name); !slices.Equal(acts, []string{"host.enrolled", "host.cloned", "host.reenrolled"}) {
		t.Errorf("acts %v", acts)
	}
	wantCounts(ctx, t, s, map[string]int{"": 12, "cloned": 0})
	must(t, twin.Shutdown())
}

// says waits until an agent's journal says something.
func (s *Story) says(ctx context.Context, h *world.Host, what string) error {
	return s.await(ctx, h.Name+" to say "+what, time.Minute, func(ctx context.Context) (bool, error) {
		said, err := h.Journal(ctx, agentUnit)
		return strings.Contains(said, what), err
	})
}

// retired: with the second signature it counts nowhere; as its agent speaks on, that is an alarm.
func retired(ctx context.Context, t *testing.T, s *Story, name string) {
	id := s.hosts[name].id
	var r retirement.Retirement
	must(t, s.ask(ctx, "frank", &r, "host", "retire", id, "--reason", "its hall is closed"))
	must(t, s.ask(ctx, "bob", &r, "host", "retire", "approve", r.ID, "--digest", r.SHA256))
	wantCounts(ctx, t, s, map[string]int{"": 12, "retired": 0})
	must(t, s.ask(ctx, "alice", &r, "host", "retire", "approve", r.ID, "--digest", r.SHA256))
	wantCounts(ctx, t, s, map[string]int{"": 11, "retired": 1})
	must(t, s.says(ctx, s.hosts[name].Host, wire.Retired))
	if acts := s.life(ctx, t, name); !slices.Equal(acts, []string{"host.enrolled", "host.retired", "host.retired-spoke"}) {
		t.Errorf("acts %v", acts)
	}
}

// silent: a host whose agent stopped is found, its clock alarms, and both end when it comes back.
func silent(ctx context.Context, t *testing.T, s *Story, name string) {
	h := s.hosts[name]
	var all v1.Silences
	clock := func(runs bool) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			all = v1.Silences{}
			err := s.ask(ctx, "erin", &all, "host", "silences")
			ran := slices.ContainsFunc(all.Silences, func(x silence.Silence) bool { return x.Host == h.id && x.Clock == estate.Contact })
			return ran != runs, err
		}
	}
	must(t, s.await(ctx, "the clock of "+name+" to run out", 4*time.Minute, clock(false)))
	must(t, s.await(ctx, name+" to count as silent", 2*time.Minute, func(ctx context.Context) (bool, error) {
		now, err := s.known(ctx, name)
		return !now.SilentAt.IsZero(), err
	}))
	wantCounts(ctx, t, s, map[string]int{"": 11, "silent": 1})
	must(t, h.Start(ctx, agentUnit))
	must(t, s.await(ctx, name+" to come back", time.Minute, func(ctx context.Context) (bool, error) {
		now, err := s.known(ctx, name)
		return now.SilentAt.IsZero(), err
	}))
	wantCounts(ctx, t, s, map[string]int{"silent": 0})
	must(t, s.await(ctx, "the clock of "+name+" to run again", 3*time.Minute, clock(true)))
	if acts := s.life(ctx, t, name); !slices.Equal(acts, []string{"host.enrolled", "host.silent", "host.returned"}) {
		t.Errorf("acts %v", acts)
	}
}
