//go:build world

package world

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agent/processes"
)

// explained are units that one of the two names and the other does not, with the reason.
//
// needrestart also looks at Java, at containers and at sessions of users; none is in this world. It names the unit of a process's
// parent, where that is a unit too. A program whose own file is gone it skips, and we name.
var explained = map[string]string{
	"init.scope":      "the unit of systemd's own process; needrestart calls it systemd-manager",
	"systemd-manager": "what needrestart calls init.scope; it is restarted by systemctl daemon-reexec",
}

// replacedLibraries upgrades a library under a running service and a module under a running Perl program, and compares what our helper in
// its sandbox says with what needrestart says as root.
func replacedLibraries(ctx context.Context, t *testing.T, w *World, h *Host) {
	resolver, err := os.ReadFile("/etc/resolv.conf") // the machine's network is the host's
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"/etc/resolv.conf": string(resolver),
		"/etc/apt/sources.list": fmt.Sprintf("deb %s %s main\n", w.Release.Main.URL, w.Release.Codename)} {
		if err := h.WriteFile(ctx, path, strings.NewReader(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(ctx, t, h, "apt-get", "update")
	run(ctx, t, h, "apt-get", "install", "--yes", "--no-install-recommends", "needrestart")
	for path, text := range map[string]string{
		"/etc/systemd/system/old.service":    "[Service]\nExecStart=/usr/bin/openssl s_server -nocert -quiet -unix /run/old.sock\n",
		"/etc/systemd/system/script.service": "[Service]\nExecStart=/usr/local/sbin/script\n",
		"/usr/local/sbin/script":             "#!/usr/bin/perl -w\nuse Module::Find;\nsleep 1 while 1;\n",
	} {
		if err := h.WriteFile(ctx, path, strings.NewReader(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(ctx, t, h, "systemctl", "daemon-reload")
	for _, unit := range []string{"old.service", "script.service"} {
		if err := h.Start(ctx, unit); err != nil {
			t.Fatal(err)
		}
	}
	if before := ours(ctx, t, h); before["old.service"]+before["script.service"] != "" {
		t.Fatalf("before the upgrade: %v", before)
	}
	time.Sleep(3 * time.Second) // needrestart counts in whole seconds when a program was started and when its files changed
	run(ctx, t, h, "apt-get", "install", "--yes", "--reinstall", "libssl3", "libmodule-find-perl")
	us, them := ours(ctx, t, h), theirs(ctx, t, h)
	t.Logf("ours %v, needrestart's %v", us, them)
	if !strings.Contains(us["old.service"], "/libcrypto.so.3") || !slices.Contains(them, "old.service") {
		t.Errorf("the service that runs the old library: ours %v, needrestart's %v", us, them)
	}
	if us["script.service"] != " /usr/share/perl5/Module/Find.pm" || !slices.Contains(them, "script.service") {
		t.Errorf("the program that has the old module: ours %v, needrestart's %v", us, them)
	}
	for unit := range us {
		if !slices.Contains(them, unit) && explained[unit] == "" {
			t.Errorf("we name %s (%s), needrestart does not", unit, us[unit])
		}
	}
	for _, unit := range them {
		if us[unit] == "" && explained[unit] == "" {
			t.Errorf("needrestart names %s, we do not", unit)
		}
	}
	run(ctx, t, h, "systemctl", "restart", "old.service", "script.service")
	if after := ours(ctx, t, h); after["old.service"]+after["script.service"] != "" {
		t.Errorf("after its restart: %v", after)
	}
}

// ours asks the helper over its socket, as the agent does, and gives units with their old files.
func ours(ctx context.Context, t *testing.T, h *Host) map[string]string {
	t.Helper()
	init, err := h.init()
	if err != nil {
		t.Fatal(err)
	}
	r, err := processes.Ask(ctx, fmt.Sprintf("/proc/%d/root/run/patchwarrant/processes.sock", init))
	if err != nil {
		t.Fatal(err)
	}
	if r.Processes.Unseen+r.Processes.Unjudged > 0 {
		t.Errorf("the helper cannot read %d processes, nor the programs of %d", r.Processes.Unseen, r.Processes.Unjudged)
	}
	units := map[string]string{}
	for _, p := range r.Processes.Old {
		for _, f := range p.Old {
			units[p.Unit] += " " + f.Path
		}
	}
	return units
}

// theirs gives the units that needrestart names. Source: README.batch.md of needrestart.
func theirs(ctx context.Context, t *testing.T, h *Host) []string {
	t.Helper()
	units := map[string]bool{}
	for line := range strings.Lines(run(ctx, t, h, "needrestart", "-b", "-r", "l")) {
		if unit, ok := strings.CutPrefix(strings.TrimSpace(line), "NEEDRESTART-SVC: "); ok {
			units[unit] = true
		}
	}
	return slices.Sorted(maps.Keys(units))
}
