//go:build world

package world

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var ourNames = []string{"patchwarrant", "patchwarrant-agent", "patchwarrant-executor", "patchwarrant-server"}

// nextVersion makes our packages once more, with the next version.
func nextVersion(t *testing.T, format string) []string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"cli", "agent", "executor", "server"} {
		make := exec.Command("go", "tool", "-modfile=tools/go.mod", "nfpm", "package", "--config", "packaging/"+name+"/nfpm.yaml",
			"--packager", format, "--target", dir)
		make.Dir, make.Env = "../..", append(os.Environ(), "VERSION=0.1.1", "ARCH="+runtime.GOARCH)
		if out, err := make.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	files, err := filepath.Glob(dir + "/*." + format)
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	return files
}

// What people and programs leave on a host: no package may touch it, neither when it is upgraded nor when it is purged.
var entrusted = map[string]string{
	"/etc/patchwarrant/agent.json":                               "root 644",
	"/etc/patchwarrant/server.toml":                              "root 640",
	"/var/lib/patchwarrant/ledger.guard":                         "patchwarrant 600",
	"/var/lib/patchwarrant-agent/identity.pem":                   "patchwarrant-agent 600",
	"/var/lib/patchwarrant-executor/report.key":                  "root 600",
	"/etc/systemd/system/patchwarrant-agent.service.d/site.conf": "root 644",
}

func leave(ctx context.Context, t *testing.T, h *Host) {
	t.Helper()
	for path, as := range entrusted {
		owner, mode, _ := strings.Cut(as, " ")
		if err := h.WriteFile(ctx, path, strings.NewReader("# "+path+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		run(ctx, t, h, "chown", owner, path)
		run(ctx, t, h, "chmod", mode, path)
	}
}

// kept also looks at what the packages promise about users and directories.
func kept(ctx context.Context, t *testing.T, h *Host) {
	t.Helper()
	for path, as := range entrusted {
		if text := run(ctx, t, h, "cat", path); text != "# "+path {
			t.Errorf("%s is %q", path, text)
		}
		if is := run(ctx, t, h, "stat", "--format=%U %a", path); is != as {
			t.Errorf("%s is of %s, not %s", path, is, as)
		}
	}
	for path, want := range map[string]string{"/etc/patchwarrant": "root root 755", "/var/lib/patchwarrant": "patchwarrant patchwarrant 700"} {
		if is := run(ctx, t, h, "stat", "--format=%U %G %a", path); is != want {
			t.Errorf("%s is %s, not %s", path, is, want)
		}
	}
	for _, user := range []string{"patchwarrant", "patchwarrant-agent"} {
		if f := strings.Split(run(ctx, t, h, "getent", "passwd", user), ":"); len(f) < 7 || !strings.HasSuffix(f[6], "nologin") || f[2] == "0" {
			t.Errorf("user %s: %v", user, f)
		}
	}
}

// units looks whether the units are enabled; gone: there are none, and nothing refers to them.
func units(ctx context.Context, t *testing.T, h *Host, want map[string]string) {
	t.Helper()
	for unit, state := range want {
		out, _ := h.Exec(ctx, "systemctl", "is-enabled", unit) // fails when it is not
		if is := strings.TrimSpace(string(out)); is != state {
			t.Errorf("%s is %q, want %q", unit, is, state)
		}
	}
}

var (
	agentUnit, executorUnit, processesUnit, serverUnit = "patchwarrant-agent.service", "patchwarrant-executor.socket",
		"patchwarrant-processes.socket", "patchwarrant-server.service"
	chosen = map[string]string{agentUnit: "enabled", executorUnit: "enabled", serverUnit: "enabled", processesUnit: "disabled"}
)

// goneForGood: no program, unit or link of ours is left.
func goneForGood(ctx context.Context, t *testing.T, h *Host) {
	t.Helper()
	left := run(ctx, t, h, "find", "/usr", "/etc/systemd", "-name", "*patchwarrant*", "-not", "-name", "*.d")
	if left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// packagesLive: installed, upgraded, removed, installed again and purged under a running systemd.
func packagesLive(ctx context.Context, t *testing.T, h *Host) {
	dpkg := func(what string) {
		t.Helper()
		run(ctx, t, h, append([]string{"dpkg", what}, ourNames...)...)
	}
	if err := h.InstallDebs(ctx, ourPackages(t)...); err != nil {
		t.Fatal(err)
	}
	leave(ctx, t, h)
	kept(ctx, t, h)
	run(ctx, t, h, "systemctl", "disable", "--now", processesUnit)
	broken := "/etc/systemd/system/" + agentUnit + ".d/broken.conf"
	if err := h.WriteFile(ctx, broken, strings.NewReader("[Service]\nExecStart=\nExecStart=/nonexistent\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.InstallDebs(ctx, nextVersion(t, "deb")...); err != nil { // also where the agent cannot start
		t.Fatal(err)
	}
	run(ctx, t, h, "rm", broken)
	run(ctx, t, h, "systemctl", "daemon-reload")
	for _, name := range ourNames {
		if v := run(ctx, t, h, "dpkg-query", "--show", "--showformat=${Version} ${db:Status-Status}", name); v != "0.1.1 installed" {
			t.Errorf("%s is %s", name, v)
		}
	}
	kept(ctx, t, h)
	units(ctx, t, h, chosen)
	if state, err := h.State(ctx, executorUnit); err != nil || state != "active" {
		t.Errorf("after the upgrade the executor's socket is %s, %v", state, err)
	}
	dpkg("--remove")
	kept(ctx, t, h)
	if state, err := h.State(ctx, executorUnit); err != nil || state != "inactive" {
		t.Errorf("after the removal the executor's socket is %s, %v", state, err)
	}
	if err := h.InstallDebs(ctx, ourPackages(t)...); err != nil {
		t.Fatal(err)
	}
	kept(ctx, t, h)
	units(ctx, t, h, chosen)
	dpkg("--purge")
	kept(ctx, t, h)
	goneForGood(ctx, t, h)
}

// rpmsLive: the same with rpm, in a root without a running systemd.
func rpmsLive(ctx context.Context, t *testing.T, w *World) {
	h, err := w.Light(ctx, "rpm", "trixie", "rpm")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.TurnToRPM(ctx); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../dist/*.rpm")
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v: run make packages", files, err)
	}
	if err := h.InstallRPMs(ctx, files...); err != nil {
		t.Fatal(err)
	}
	leave(ctx, t, h)
	kept(ctx, t, h)
	run(ctx, t, h, "systemctl", "disable", processesUnit)
	if err := h.InstallRPMs(ctx, nextVersion(t, "rpm")...); err != nil {
		t.Fatal(err)
	}
	for _, name := range ourNames {
		if v := run(ctx, t, h, "rpm", "--query", "--queryformat=%{VERSION} ", name); v != "0.1.1" {
			t.Errorf("%s is %s", name, v)
		}
		if out, err := h.Exec(ctx, "rpm", "--verify", "--nodeps", name); err != nil {
			t.Errorf("%s is not what was installed: %s", name, out)
		}
	}
	kept(ctx, t, h)
	units(ctx, t, h, chosen)
	run(ctx, t, h, append([]string{"rpm", "--erase", "--nodeps", "--noplugins"}, ourNames...)...)
	kept(ctx, t, h)
	goneForGood(ctx, t, h)
}
