package world

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Host is one Debian host of the world. It shares the machine's network, so a server on the machine's 127.0.0.1 is
// on the host's too; everything else is its own.
type Host struct {
	Name string
	Root string // its file tree, seen from the machine; what it mounts itself (/run, /tmp) is not seen there
	// Direct is empty when systemd runs the host. Else it says why it cannot on this machine: then there is no
	// init; Start runs a unit's program as its user in a chroot, and none of the unit's sandbox is real.
	Direct string

	cgroup    string        // the directory of its cgroup, once it has one
	console   string        // file that takes what the container's console says
	container atomic.Int64  // process ID of its systemd-nspawn, 0 if none
	ended     chan struct{} // closed when the container has ended for good; nil if there never was one
	programs  *programs     // what Start started, when Direct
}

// How long to wait for a boot and for a shutdown; half a second is usual for either.
const (
	bootTime     = 60 * time.Second
	shutdownTime = 10 * time.Second
)

// Boot makes a new host from the base root and starts it. Where the machine cannot run systemd in a container the
// host is Direct.
func (w *World) Boot(ctx context.Context, name string) (*Host, error) {
	dir := filepath.Join(w.dir, name)
	h := &Host{Name: name, Root: filepath.Join(dir, "root"), console: filepath.Join(dir, "console.log")}
	if err := unpack(ctx, w.base, h.Root); err != nil {
		return nil, err
	}
	if err := h.personalize(); err != nil {
		return nil, fmt.Errorf("give host %s its identity: %w", name, err)
	}
	w.hosts = append(w.hosts, h)
	err := h.boot(ctx, cgroupName(w.name, name))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		fmt.Fprintf(w.say, "host %s runs without systemd: %s\n", name, err)
		h.Direct, h.programs = err.Error(), &programs{}
		return h, h.Shutdown()
	}
	return h, nil
}

// personalize writes what two hosts must not share.
func (h *Host) personalize() error {
	id := make([]byte, 16)
	rand.Read(id)
	for path, text := range map[string]string{
		"etc/machine-id": hex.EncodeToString(id),
		"etc/hostname":   h.Name,
		"etc/hosts":      "127.0.0.1 localhost " + h.Name,
	} {
		if err := os.WriteFile(filepath.Join(h.Root, path), []byte(text+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Exec runs a program in the host as root and gives its standard output. There is no shell; the environment is bare.
func (h *Host) Exec(ctx context.Context, argv ...string) ([]byte, error) {
	return h.ExecInput(ctx, nil, argv...)
}

// ExecInput is Exec with a standard input.
func (h *Host) ExecInput(ctx context.Context, stdin io.Reader, argv ...string) ([]byte, error) {
	cmd, err := h.command(ctx, argv)
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("on %s: %s: %w: %s", h.Name, strings.Join(argv, " "), err,
			tail(append(stdout.Bytes(), stderr.Bytes()...)))
	}
	return stdout.Bytes(), nil
}

// command prepares a program to run in the host: in the namespaces of its init, or in a chroot that has /proc.
func (h *Host) command(ctx context.Context, argv []string) (*exec.Cmd, error) {
	var enter []string
	if h.Direct != "" {
		enter = []string{"unshare", "--mount", "--mount-proc", "--root=" + h.Root, "--"}
	} else {
		init, err := h.init()
		if err != nil {
			return nil, err
		}
		enter = []string{"nsenter", fmt.Sprintf("--target=%d", init), "--mount", "--pid", "--uts", "--ipc",
			"--root", "--wd", "--"}
	}
	enter = append(enter, argv...)
	cmd := exec.CommandContext(ctx, enter[0], enter[1:]...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		"LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	cmd.WaitDelay = time.Second
	return cmd, nil
}

// ReadFile gives a file as the host sees it.
func (h *Host) ReadFile(ctx context.Context, path string) ([]byte, error) {
	return h.Exec(ctx, "cat", "--", path)
}

// WriteFile writes a file as the host sees it, owned by root, and makes its directories.
func (h *Host) WriteFile(ctx context.Context, path string, content io.Reader, mode os.FileMode) error {
	_, err := h.ExecInput(ctx, content, "install", "-D", "-T", fmt.Sprintf("--mode=%04o", mode), "/dev/stdin", path)
	return err
}

// InstallDebs installs the machine's package files on the host with dpkg, all in one run.
func (h *Host) InstallDebs(ctx context.Context, files ...string) error {
	return h.install(ctx, []string{"dpkg", "--install"}, files)
}

func (h *Host) install(ctx context.Context, install, files []string) error {
	remove := []string{"rm", "--"}
	for _, file := range files {
		in := "/var/tmp/" + filepath.Base(file)
		if err := h.copyIn(ctx, file, in); err != nil {
			return err
		}
		install, remove = append(install, in), append(remove, in)
	}
	_, err := h.Exec(ctx, install...)
	_, removed := h.Exec(ctx, remove...)
	return errors.Join(err, removed)
}

func (h *Host) copyIn(ctx context.Context, file, path string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return h.WriteFile(ctx, path, f, 0o644)
}

// Shutdown stops the host and waits for it; its root stays until the world is closed. It is safe to call it twice.
func (h *Host) Shutdown() error {
	if h.programs != nil {
		h.programs.stopAll()
	}
	if h.ended == nil {
		return nil
	}
	if init, err := h.init(); err == nil {
		// SIGRTMIN+4 asks systemd to power off. Source: systemd(1), "Signals".
		const sigrtmin = 34
		if err := syscall.Kill(init, sigrtmin+4); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ask %s to power off: %w", h.Name, err)
		}
	}
	select {
	case <-h.ended:
		return nil
	case <-time.After(shutdownTime):
	}
	// Source: cgroups(7) and the kernel's cgroup-v2.rst, cgroup.kill.
	if err := os.WriteFile(filepath.Join(h.cgroup, "cgroup.kill"), []byte("1"), 0); err != nil {
		return fmt.Errorf("end the container of %s: %w", h.Name, err)
	}
	<-h.ended
	return nil
}
