//go:build world

package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// moment is a step of a rollout as it can be seen from outside.
type moment struct {
	name string
	seen func(order string) bool
}

// mostTries is how often a step of few milliseconds is tried before it counts as one that cannot be hit: a failure, for it
// was not tried.
const mostTries = 12

var errMissed = errors.New("the step was not seen")

// killing is the state of the test that kills each program at each step of a rollout on stage-1.
type killing struct {
	*Story
	t      *testing.T
	c      *change
	host   *host
	old    []string // .debs of the versions to go back to, on the host
	orders []string
}

// killEverything: whatever is killed whenever, the run ends or is reported honestly, apt runs at most once for an order,
// and the next order finds the host in order.
func killEverything(ctx context.Context, t *testing.T, s *Story) {
	if s.hub.Direct != "" {
		t.Skip("nothing here starts again what was killed: " + s.hub.Direct)
	}
	k := &killing{Story: s, t: t, c: s.changes[0], host: s.hosts["stage-1"]}
	if err := k.bringOld(ctx); err != nil {
		t.Fatal(err)
	}
	var phases []moment
	for _, name := range []string{"taken", "fetched", "observed", "begun", "executed", "compared"} {
		phases = append(phases, moment{name, func(string) bool { return phase(k.host.Root) == name }})
	}
	journal := []moment{
		{"preparing", func(order string) bool {
			_, err := os.Stat(filepath.Join(k.host.Root, executorState, "sessions", order, "session.log"))
			return err == nil
		}},
		{"remembered", func(order string) bool { begun, _ := k.journal(order); return begun }},
		{"unpacking", func(string) bool { return k.unpacked() > 0 }},
		{"reported", func(order string) bool { _, reported := k.journal(order); return reported }},
	}
	approved := moment{"approved", func(string) bool { return true }}
	hub := s.hub
	for _, victim := range []struct {
		name    string
		kill    func() error
		moments []moment
	}{
		{"executor", func() error { return k.host.Kill(executorUnits, syscall.SIGKILL) }, journal},
		{"agent", func() error { return k.host.Kill(agentUnit, syscall.SIGKILL) }, append(slices.Clone(phases), journal[2])},
		{"server", func() error { return hub.Kill(serverUnit, syscall.SIGKILL) }, append([]moment{approved}, phases...)},
	} {
		for _, m := range victim.moments {
			t.Run(victim.name+" when "+m.name, func(t *testing.T) {
				k.t = t
				err := k.scenario(ctx, m, victim.kill)
				for again := 1; errors.Is(err, errMissed) && again < mostTries; again++ {
					err = k.scenario(ctx, m, victim.kill)
				}
				if err != nil {
					t.Error(err)
					k.tellJournals(ctx)
				}
			})
		}
	}
	t.Run("nothing stays in progress", func(t *testing.T) {
		for _, order := range k.orders {
			// An interrupted run leaves files that nobody staged: they are told, with their clock.
			if o, err := s.settled(ctx, order); err != nil || !slices.Contains([]string{"closed", "failed", "under-investigation"}, o.State) {
				t.Errorf("order %s is %s, %v", order, o.State, err)
			}
		}
	})
}

// tellJournals logs what the programs said last.
func (k *killing) tellJournals(ctx context.Context) {
	for _, unit := range []string{agentUnit, executorUnits} {
		said, err := k.host.Journal(ctx, unit)
		k.t.Logf("%s, %v: %s", unit, err, said[max(0, len(said)-3000):])
	}
	said, err := k.hub.Journal(ctx, serverUnit)
	k.t.Logf("%s, %v: %s", serverUnit, err, said[max(0, len(said)-3000):])
}

const executorState = "var/lib/patchwarrant-executor"

// journal tells whether the executor remembers that it began the order, and whether it has its report.
func (k *killing) journal(order string) (begun, reported bool) {
	var memory struct {
		Last struct {
			Report struct{ Order string }
			Signed *json.RawMessage
		}
	}
	b, err := os.ReadFile(filepath.Join(k.host.Root, executorState, "state.json"))
	if err != nil || json.Unmarshal(b, &memory) != nil {
		return false, false
	}
	begun = memory.Last.Report.Order == order
	return begun, begun && memory.Last.Signed != nil
}

// bringOld puts the packages of the versions before the change on the host.
func (k *killing) bringOld(ctx context.Context) error {
	dir := k.t.TempDir()
	cmd := exec.CommandContext(ctx, "apt-get", "download")
	for _, p := range k.c.pairs {
		cmd.Args = append(cmd.Args, p.Package+"="+p.Main)
	}
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", cmd.Args, err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	for _, file := range files {
		f, e := os.Open(file)
		if e != nil {
			return e
		}
		on := "/var/tmp/old/" + filepath.Base(file)
		err = errors.Join(err, k.host.WriteFile(ctx, on, f, 0o644), f.Close())
		k.old = append(k.old, on)
	}
	return err
}

// reset brings the host back to the old versions, behind the server's back, and waits until the server knows. It waits
// before, too: the report of what the last order did may still be on its way, and the server's list the old one for that.
func (k *killing) reset(ctx context.Context) error {
	if err := k.eventually("the server to know what the host has", func() (bool, error) { return k.known(ctx) }); err != nil {
		return err
	}
	if _, err := k.host.Exec(ctx, append([]string{"dpkg", "--install", "--force-downgrade"}, k.old...)...); err != nil {
		return err
	}
	if err := k.host.WriteFile(ctx, "/var/log/dpkg.log", strings.NewReader(""), 0o644); err != nil {
		return err
	}
	return k.eventually("the server to know the old versions", func() (bool, error) { return k.known(ctx) })
}

// known tells whether the server lists the change's packages in the versions that are installed on the host now.
func (k *killing) known(ctx context.Context) (bool, error) {
	var listed v1.Packages
	if err := k.ask(ctx, "erin", &listed, "host", "packages", k.hosts[k.host.Name].id); err != nil {
		return false, err
	}
	for _, p := range k.c.pairs {
		said, err := k.host.Exec(ctx, "dpkg-query", "--show", "--showformat=${Version} ${db:Status-Status}", p.Package)
		if err != nil {
			return false, err
		}
		version, installed := strings.CutSuffix(string(said), " installed")
		if installed && !slices.ContainsFunc(listed.Packages, func(x estate.Package) bool { return x.Name == p.Package && x.Version == version }) {
			return false, nil
		}
	}
	return true, nil
}

// eventually is await for a server that may be down just now.
func (k *killing) eventually(what string, done func() (bool, error)) error {
	deadline := time.Now().Add(time.Minute)
	for {
		ok, err := done()
		if ok {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("waited a minute for %s", what), err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// unpacked counts how often dpkg began to bring one of the change's packages to its new version.
func (k *killing) unpacked() (times int) {
	log, _ := os.ReadFile(filepath.Join(k.host.Root, "var/log/dpkg.log"))
	for line := range strings.Lines(string(log)) {
		f := strings.Fields(line) // date time upgrade name:arch old new
		if len(f) == 6 && f[2] == "upgrade" && strings.HasPrefix(f[3], k.c.pairs[0].Package+":") {
			times++
		}
	}
	return times
}

// scenario has an order carried out, kills when the moment is seen, and judges what became of it.
func (k *killing) scenario(ctx context.Context, m moment, kill func() error) error {
	if err := k.reset(ctx); err != nil {
		return err
	}
	before := aptRuns(ctx, k.t, k.host)
	o, err := k.propose(ctx, k.c, "stage")
	if err != nil {
		return err
	}
	if err := k.approve(ctx, o, "bob", "alice"); err != nil {
		return err
	}
	k.orders = append(k.orders, o.ID)
	missed := k.watch(ctx, o.ID, m)
	if missed == nil {
		missed = kill()
	}
	if missed == nil {
		k.say("killed; the agent was at %q", phase(k.host.Root))
	}
	if err := k.judge(ctx, o.ID, before); err != nil || missed == nil {
		return err
	}
	return fmt.Errorf("%w: %w", errMissed, missed)
}

// watch looks more than once a millisecond until the moment is there.
func (k *killing) watch(ctx context.Context, order string, m moment) error {
	ended := make(chan error, 1)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		o, err := k.ended(watching, order)
		ended <- errors.Join(err, fmt.Errorf("it ended before: %+v", o.Rollout))
	}()
	for !m.seen(order) {
		select {
		case err := <-ended:
			return err
		case <-time.After(300 * time.Microsecond):
		}
	}
	return nil
}

// ended waits until an order's rollout has ended and the agent has nothing in hand.
func (k *killing) ended(ctx context.Context, order string) (o orderState, err error) {
	return o, k.eventually("the rollout to end", func() (bool, error) {
		o = orderState{}
		err := k.ask(ctx, "carol", &o, "order", "show", order)
		return err == nil && o.Rollout.State == "ended" && phase(k.host.Root) == "" || ctx.Err() != nil, err
	})
}

// judge waits for the end of a run and compares what was reported with what the host says.
func (k *killing) judge(ctx context.Context, order string, runsBefore int) error {
	o, err := k.ended(ctx, order)
	if err != nil {
		return fmt.Errorf("%w; the run is %+v, the agent at %q", err, o.Rollout, phase(k.host.Root))
	}
	run := o.Rollout.Runs[0]
	k.say("reported: %s %s", run.State, run.Code)
	if runs := aptRuns(ctx, k.t, k.host) - runsBefore; runs > 1 || run.State == warrant.Done && runs != 1 {
		err = errors.Join(err, fmt.Errorf("the run is %s; apt ran %d times", run.State, runs))
	}
	if times := k.unpacked(); times > 1 {
		err = errors.Join(err, fmt.Errorf("dpkg unpacked %d times", times))
	}
	return errors.Join(err, k.honest(ctx, run.State, run.Code))
}

// honest tells whether an outcome agrees with the packages on the host.
func (k *killing) honest(ctx context.Context, outcome, code string) error {
	patched := 0
	for _, p := range k.c.pairs {
		got, err := k.host.Exec(ctx, "dpkg-query", "--show", "--showformat=${Version} ${db:Status-Status}", p.Package)
		if err != nil {
			return err
		}
		if string(got) == p.Security+" installed" {
			patched++
		}
	}
	switch all := patched == len(k.c.pairs); {
	case outcome == warrant.Done && all, (outcome == warrant.Interrupted || outcome == warrant.RunFailed) && !all && code != "":
		return nil
	}
	return fmt.Errorf("reported as %s %s, but %d of %d packages are patched", outcome, code, patched, len(k.c.pairs))
}
