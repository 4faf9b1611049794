package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const nspawn = "systemd-nspawn"

// boot starts systemd as PID 1 of a container and waits until it has started everything. The error says what the
// machine lacks.
func (h *Host) boot(ctx context.Context, name string) error {
	path, err := exec.LookPath(nspawn)
	if err != nil {
		return errors.New("there is no systemd-nspawn here (apt-get install systemd-container)")
	}
	cgroup, err := makeCgroup(name)
	if err != nil {
		return err
	}
	h.cgroup = cgroup.Name()
	console, err := os.Create(h.console)
	if err != nil {
		return errors.Join(err, cgroup.Close())
	}
	// Neither a bus nor machined is needed on the machine: the container stays in the cgroup it is started in.
	args := []string{nspawn, "-D", h.Root, "--quiet", "--boot", "--machine=" + name, "--hostname=" + h.Name,
		"--register=no", "--keep-unit", "--console=pipe", "--resolv-conf=off", "--timezone=off"}
	started := make(chan error, 1)
	h.ended = make(chan struct{})
	go h.keep(path, args, cgroup, console, started)
	if err := <-started; err != nil {
		return fmt.Errorf("start systemd-nspawn: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	return h.awaitBoot(ctx)
}

// rebooted is how systemd-nspawn ends when, with --keep-unit, the container asked for a reboot: it wants to be started
// again. Source: RestartForceExitStatus= in systemd-nspawn@.service.
const rebooted = 133

// keep runs the container, again after each reboot, until it ends. It has a thread of its own as long as the
// container lives: the death signal (which systemd-nspawn takes as a wish to power off) of a child comes when the thread that started it ends, not when the process does.
// Source: prctl(2), PR_SET_PDEATHSIG.
func (h *Host) keep(path string, args []string, cgroup, console *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer close(h.ended)
	defer console.Close()
	defer sweep(cgroup)
	for {
		cmd := exec.Cmd{Path: path, Args: args, Stdout: console, Stderr: console,
			// Without it the container's systemd looks for cgroups of version 1 on a machine that has both, and hangs.
			Env: append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1"),
			SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM,
				UseCgroupFD: true, CgroupFD: int(cgroup.Fd())},
		}
		err := cmd.Start()
		if started != nil {
			started <- err
			started = nil
		}
		if err != nil {
			return
		}
		h.container.Store(int64(cmd.Process.Pid))
		_ = cmd.Wait() // if it did not reboot it has ended, however; the console says why
		h.container.Store(0)
		if cmd.ProcessState.ExitCode() != rebooted {
			return
		}
	}
}

func (h *Host) awaitBoot(ctx context.Context) error {
	for {
		// Fails until systemd answers, and when the state is degraded: only what it says counts.
		out, _ := h.Exec(ctx, "systemctl", "is-system-running", "--wait")
		switch state := strings.TrimSpace(string(out)); {
		case state == "running" || state == "degraded":
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("systemd did not come up in the container (%s): %w: %s", state, ctx.Err(), h.consoleTail())
		}
		select {
		case <-h.ended:
			return fmt.Errorf("the container ended while starting: %s", h.consoleTail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (h *Host) consoleTail() string {
	out, err := os.ReadFile(h.console)
	if err != nil {
		return err.Error()
	}
	return tail(out)
}

// init finds the container's PID 1 among the children of systemd-nspawn. It changes when the host reboots.
func (h *Host) init() (int, error) {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", h.container.Load()))
	if err != nil {
		return 0, fmt.Errorf("host %s is not running: %w", h.Name, err)
	}
	for _, child := range strings.Fields(string(children)) {
		status, err := os.ReadFile("/proc/" + child + "/status")
		if err == nil && isInit(string(status)) {
			return strconv.Atoi(child)
		}
	}
	return 0, fmt.Errorf("host %s has no init now: it is starting, rebooting or down", h.Name)
}

// isInit tells PID 1 of a namespace by the last number of the line NSpid. Source: proc_pid_status(5).
func isInit(status string) bool {
	for line := range strings.Lines(status) {
		if pids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			f := strings.Fields(pids)
			return len(f) > 1 && f[len(f)-1] == "1"
		}
	}
	return false
}

// Reboot reboots the host and waits until it is up again.
func (h *Host) Reboot(ctx context.Context) error {
	if h.Direct != "" {
		return fmt.Errorf("host %s cannot reboot: %s", h.Name, h.Direct)
	}
	before, err := h.init()
	if err != nil {
		return err
	}
	if _, err := h.Exec(ctx, "systemctl", "--no-block", "reboot"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	for {
		if after, err := h.init(); err == nil && after != before {
			return h.awaitBoot(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("host %s does not come back after a reboot: %w: %s", h.Name, ctx.Err(), h.consoleTail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Unit states, as systemctl says them. Source: systemctl(1), "is-active".
var settled = []string{"active", "inactive", "failed"}

// Start starts a unit of the host; when it returns without error the unit is active (a socket listens).
func (h *Host) Start(ctx context.Context, unit string) error {
	if h.Direct != "" {
		return h.programs.start(h, unit)
	}
	_, err := h.Exec(ctx, "systemctl", "start", unit)
	return err
}

// Stop stops a unit as a person would.
func (h *Host) Stop(ctx context.Context, unit string) error {
	if h.Direct != "" {
		return h.programs.signal(unit, syscall.SIGTERM)
	}
	_, err := h.Exec(ctx, "systemctl", "stop", unit)
	return err
}

// Kill sends a signal to the main process of a unit, or of each unit that the pattern names: kill -9, say. It goes
// straight to the process, within a millisecond. That nothing runs is an error.
func (h *Host) Kill(unit string, sig syscall.Signal) error {
	if h.Direct != "" {
		return h.programs.signal(unit, sig)
	}
	pids, err := mainProcesses(h.cgroup, unit)
	if err == nil && len(pids) == 0 {
		err = errors.New("nothing runs")
	}
	for _, pid := range pids {
		err = errors.Join(err, syscall.Kill(pid, sig))
	}
	if err != nil {
		return fmt.Errorf("send %s to %s on %s: %w", sig, unit, h.Name, err)
	}
	return nil
}

// State gives the settled state of a unit: active, inactive or failed.
func (h *Host) State(ctx context.Context, unit string) (string, error) {
	if h.Direct != "" {
		return h.programs.state(unit), nil
	}
	for {
		out, err := h.Exec(ctx, "systemctl", "show", "--value", "--property=ActiveState", unit)
		if err != nil {
			return "", err
		}
		if state := strings.TrimSpace(string(out)); slices.Contains(settled, state) {
			return state, nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Journal gives what a unit, or each unit that the pattern names, has said.
func (h *Host) Journal(ctx context.Context, unit string) (string, error) {
	if h.Direct != "" {
		return h.programs.journal(h, unit)
	}
	out, err := h.Exec(ctx, "journalctl", "--no-pager", "--output=cat", "--unit="+unit)
	return string(out), err
}
