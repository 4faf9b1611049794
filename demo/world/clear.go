package world

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clearDir ends every process of the world's hosts, then removes what is in its directory.
func clearDir(world, dir string) error {
	if err := endAll(world, dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// livingIn lists the processes in the containers of a world, their systemd-nspawn included, and those that were started
// in a root below its directory.
func livingIn(world, dir string) []int {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, proc := range procs {
		pid, _ := strconv.Atoi(filepath.Base(proc))
		root, _ := os.Readlink(proc + "/root")
		cgroups, _ := os.ReadFile(proc + "/cgroup")
		cmdline, _ := os.ReadFile(proc + "/cmdline") // empty for what has ended already
		inContainer := strings.Contains(string(cgroups), "/"+cgroupName(world, ""))
		if len(cmdline) > 0 && (inContainer || strings.HasPrefix(root, dir+"/")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// endAll kills what lives in a world until nothing does. Killing only a container's systemd-nspawn would leave its init.
func endAll(world, dir string) error {
	var pids []int
	for range 100 { // 5 s
		if pids = livingIn(world, dir); len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end process %d: %w", pid, err)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("these processes do not end: %v", pids)
}

// removeTree removes a root. It refuses while anything is mounted in it: a mounted /dev there would be the machine's own.
func removeTree(root string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if mount := mountIn(string(mounts), root); mount != "" {
		return fmt.Errorf("%s is mounted; unmount it, then try again", mount)
	}
	return os.RemoveAll(root)
}

// mountIn finds a mount point at or below root. Source: proc_pid_mountinfo(5): it is the fifth field, a space is \040.
func mountIn(mounts, root string) string {
	root = strings.ReplaceAll(root, " ", `\040`)
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) > 4 && (f[4] == root || strings.HasPrefix(f[4], root+"/")) {
			return f[4]
		}
	}
	return ""
}
