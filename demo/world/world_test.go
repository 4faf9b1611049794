//go:build world

package world

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/deb"
)

var preferred = []string{"openssl", "libssl3", "xz-utils", "ca-certificates", "tzdata", "libexpat1"}

// TestWorld goes through the life of one world, since making hosts is what costs time.
func TestWorld(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	config := Config{Name: "test", Say: t.Output(), Preferred: preferred}
	w, err := Open(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if pids := livingIn(w.name, w.dir); len(pids) > 0 {
			t.Errorf("left running: %v", pids)
		}
		if left, err := os.ReadDir(w.dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}()

	t.Run("is open in one process only", func(t *testing.T) {
		if _, err := Open(ctx, config); err == nil {
			t.Error("opened twice")
		}
	})
	t.Run("takes the mirror from apt", func(t *testing.T) {
		if !strings.HasPrefix(w.Release.Main.URL, "http") {
			t.Errorf("the mirror is %q", w.Release.Main.URL)
		}
	})
	t.Run("without systemd-nspawn", func(t *testing.T) { directHost(ctx, t, w) })
	one, two := boot(ctx, t, w, "one"), boot(ctx, t, w, "two")
	if one.Direct != "" {
		t.Skip("systemd does not run in a container here: " + one.Direct)
	}
	t.Run("booted", func(t *testing.T) { bootedHosts(ctx, t, w, one, two) })
	t.Run("packages", func(t *testing.T) { packagesLive(ctx, t, two) })
	t.Run("packages of rpm", func(t *testing.T) { rpmsLive(ctx, t, w) })
	t.Run("after a crash", func(t *testing.T) {
		// Nobody shuts the hosts down, and the lock falls with the process.
		if err := w.lock.Close(); err != nil {
			t.Fatal(err)
		}
		w.lock, w.hosts = nil, nil
		again, err := Open(ctx, config)
		if err != nil {
			t.Fatal(err)
		}
		w = again
		for _, h := range []*Host{one, two} {
			select {
			case <-h.ended:
			case <-time.After(5 * time.Second):
				t.Errorf("the container of %s still runs", h.Name)
			}
		}
	})
}

func boot(ctx context.Context, t *testing.T, w *World, name string) *Host {
	t.Helper()
	h, err := w.Boot(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func run(ctx context.Context, t *testing.T, h *Host, argv ...string) string {
	t.Helper()
	out, err := h.Exec(ctx, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// ourPackages are our own .debs, made by `make packages`.
func ourPackages(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../dist/*.deb")
	if err != nil || len(files) != 4 {
		t.Fatalf("want our 4 packages in dist, have %d (%v): run make packages", len(files), err)
	}
	return files
}

func bootedHosts(ctx context.Context, t *testing.T, w *World, one, two *Host) {
	t.Run("have their own identity", func(t *testing.T) {
		if a, b := run(ctx, t, one, "hostname"), run(ctx, t, two, "hostname"); a != "one" || b != "two" {
			t.Errorf("hostnames %q, %q", a, b)
		}
		if a, b := run(ctx, t, one, "cat", "/etc/machine-id"), run(ctx, t, two, "cat", "/etc/machine-id"); a == b || len(a) != 32 {
			t.Errorf("machine IDs %q, %q", a, b)
		}
	})
	t.Run("have the older version of each pair", func(t *testing.T) {
		for _, p := range w.Pairs {
			got := run(ctx, t, one, "dpkg-query", "--show", "--showformat=${Version}", p.Package)
			if got != p.Main || deb.Compare(p.Security, got) <= 0 {
				t.Errorf("%s is %s; main has %s, security %s", p.Package, got, p.Main, p.Security)
			}
		}
	})
	t.Run("have their own cgroup", func(t *testing.T) {
		// In another host's cgroup a process has no ID here: it shows as 0. Source: cgroups(7), pid_namespaces(7).
		for _, h := range []*Host{one, two} {
			pids := run(ctx, t, h, "cat", "/sys/fs/cgroup/init.scope/cgroup.procs", "/sys/fs/cgroup/system.slice/dbus.service/cgroup.procs")
			if slices.Contains(strings.Fields(pids), "0") {
				t.Errorf("%s has processes of another host in its cgroups", h.Name)
			}
		}
	})
	t.Run("keep files apart", func(t *testing.T) {
		if err := one.WriteFile(ctx, "/etc/new/dir/file", strings.NewReader("x"), 0o640); err != nil {
			t.Fatal(err)
		}
		if got := run(ctx, t, one, "stat", "--format=%a %U", "/etc/new/dir/file"); got != "640 root" {
			t.Errorf("mode and owner %q", got)
		}
		if b, err := one.ReadFile(ctx, "/etc/new/dir/file"); err != nil || string(b) != "x" {
			t.Errorf("read %q, %v", b, err)
		}
		if _, err := two.ReadFile(ctx, "/etc/new/dir/file"); err == nil {
			t.Error("the other host has the file too")
		}
	})
	t.Run("come back after a reboot", func(t *testing.T) {
		run(ctx, t, two, "touch", "/run/until-reboot")
		if err := two.Reboot(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := two.ReadFile(ctx, "/run/until-reboot"); err == nil {
			t.Error("/run is still that of before")
		}
	})
	t.Run("run our units", func(t *testing.T) { ourUnits(ctx, t, one) })
	t.Run("tell of replaced libraries", func(t *testing.T) { replacedLibraries(ctx, t, w, one) })
}

// ourUnits installs our packages and checks what the sandbox promises, from inside it: a drop-in replaces the program by
// one that looks around.
func ourUnits(ctx context.Context, t *testing.T, h *Host) {
	if err := h.InstallDebs(ctx, ourPackages(t)...); err != nil {
		t.Fatal(err)
	}
	for unit, want := range map[string]string{
		"patchwarrant-executor.socket":  "active",
		"patchwarrant-processes.socket": "active",
		"patchwarrant-agent.service":    "inactive", // not enrolled yet
		"patchwarrant-server.service":   "inactive", // not configured yet
	} {
		if got, err := h.State(ctx, unit); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", unit, got, err, want)
		}
		if got := run(ctx, t, h, "systemctl", "is-enabled", unit); got != "enabled" {
			t.Errorf("%s is %s", unit, got)
		}
	}
	if got := run(ctx, t, h, "stat", "--format=%a %U %G", "/run/patchwarrant/executor.sock"); got != "660 root patchwarrant-agent" {
		t.Errorf("the socket is %s", got)
	}
	put(ctx, t, h, lookProgram(t), "/usr/local/bin/look")
	out, err := h.Exec(ctx, "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "/usr/local/bin/look", "connect")
	if err == nil || !strings.Contains(string(out), "permission denied") {
		t.Errorf("nobody connects: %s, %v", out, err)
	}
	replace(ctx, t, h, "patchwarrant-executor@.service", "/usr/local/bin/look serve")
	replace(ctx, t, h, "patchwarrant-agent.service", "/usr/local/bin/look ask")
	replace(ctx, t, h, "patchwarrant-server.service", "/usr/local/bin/look keep")
	run(ctx, t, h, "touch", "/etc/patchwarrant/agent.json", "/etc/patchwarrant/server.toml")
	run(ctx, t, h, "systemctl", "daemon-reload")
	said := ""
	for unit, last := range map[string]string{
		"patchwarrant-agent.service": "agent done", "patchwarrant-server.service": "server done",
	} {
		if err := h.Start(ctx, unit); err != nil {
			t.Fatal(err)
		}
		said += awaitJournal(ctx, t, h, unit, last)
	}
	t.Log(said)
	for _, want := range []string{
		"agent user patchwarrant-agent", "agent reads /etc/shadow: ok", "agent lists /usr/lib/modules: ok",
		"agent writes state: ok", "agent writes /etc: refused", "agent writes /var/tmp: refused", "agent opens TCP: ok",
		"agent opens netlink: refused", "agent connects: ok",
		"executor user root", "executor writes /usr: ok", "executor opens TCP: refused", "executor links: lo",
		"executor sets clock: refused", "executor mounts: refused", "executor reads /proc/1/root: ok",
		"executor asks systemd: ok", "executor writes state: ok",
		"server user patchwarrant", "server writes state: ok", "server writes /etc: refused", "server reads /etc/shadow: refused",
		"server opens TCP: ok", "server opens netlink: refused", "server connects: refused",
	} {
		if !strings.Contains(said, want+"\n") {
			t.Errorf("not said: %q", want)
		}
	}
	if err := h.Kill("patchwarrant-agent.service", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for strings.Count(awaitJournal(ctx, t, h, "patchwarrant-agent.service", "agent done"), "agent done") < 2 {
		if time.Now().After(deadline) {
			t.Fatal("the agent does not come back after kill -9")
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// lookProgram builds the program that stands in for agent and executor.
func lookProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "look")
	build := exec.Command("go", "build", "-o", path, "./testdata/look")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// withoutNspawn gives a PATH to everything but systemd-nspawn.
func withoutNspawn(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range []string{"/usr/bin", "/usr/sbin"} {
		entries, err := os.ReadDir(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() == nspawn {
				continue
			}
			if err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name())); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func put(ctx context.Context, t *testing.T, h *Host, file, path string) {
	t.Helper()
	if err := h.copyIn(ctx, file, path); err != nil {
		t.Fatal(err)
	}
	run(ctx, t, h, "chmod", "755", path)
}

func replace(ctx context.Context, t *testing.T, h *Host, unit, program string) {
	t.Helper()
	dropIn := "[Service]\nExecStart=\nExecStart=" + program + "\n"
	if err := h.WriteFile(ctx, "/etc/systemd/system/"+unit+".d/look.conf", strings.NewReader(dropIn), 0o644); err != nil {
		t.Fatal(err)
	}
}

func awaitJournal(ctx context.Context, t *testing.T, h *Host, unit, want string) string {
	t.Helper()
	for range 100 { // 20 s
		said, err := h.Journal(ctx, unit)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(said, want) {
			return said
		}
		time.Sleep(200 * time.Millisecond)
	}
	said, _ := h.Journal(ctx, unit)
	t.Fatalf("%s never said %q: %s", unit, want, said)
	return ""
}

func directHost(ctx context.Context, t *testing.T, w *World) {
	look := lookProgram(t)
	t.Setenv("PATH", withoutNspawn(t))
	h := boot(ctx, t, w, "direct")
	if !strings.Contains(h.Direct, "systemd-container") {
		t.Fatalf("not Direct, or it does not say what is lacking: %q", h.Direct)
	}
	if err := h.InstallDebs(ctx, ourPackages(t)...); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"patchwarrant-agent", "patchwarrant-executor"} {
		put(ctx, t, h, look, "/usr/bin/"+program)
	}
	for _, unit := range []string{"patchwarrant-executor.socket", "patchwarrant-agent.service"} {
		if err := h.Start(ctx, unit); err != nil {
			t.Fatal(err)
		}
		if state, err := h.State(ctx, unit); err != nil || state != "active" {
			t.Errorf("%s is %s, %v", unit, state, err)
		}
	}
	said := awaitJournal(ctx, t, h, "patchwarrant-agent.service", "agent done")
	for _, want := range []string{"agent user patchwarrant-agent", "agent reads /etc/shadow: ok", "agent writes /etc: refused",
		"agent connects: ok", "executor user root"} {
		if !strings.Contains(said, want+"\n") {
			t.Errorf("not said: %q in %s", want, said)
		}
	}
}
