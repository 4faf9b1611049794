package world

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupName is the name of a container's cgroup, and of the container.
func cgroupName(world, host string) string { return "patchwarrant-" + world + "-" + host }

// makeCgroup makes an empty cgroup (version 2) for a container, below that of this process. Each container needs its
// own: systemd-nspawn would put two of one parent into one cgroup, and each init would take the other's services for
// its own.
func makeCgroup(name string) (*os.File, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	dir := cgroupDir(string(mounts), string(own))
	if dir == "" {
		return nil, errors.New("no cgroup file system of version 2 is mounted here")
	}
	dir = filepath.Join(dir, name)
	if err := removeCgroup(dir); err != nil {
		return nil, fmt.Errorf("remove the cgroup of an earlier run: %w", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	return os.Open(dir)
}

// cgroupDir is where a process's cgroup of version 2 is, from the process's mountinfo and cgroup; empty if nowhere.
// Source: proc_pid_mountinfo(5), cgroups(7).
func cgroupDir(mounts, own string) string {
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(line, " - ")
		mount := strings.Fields(before)
		if len(mount) < 5 || !strings.HasPrefix(after, "cgroup2 ") {
			continue
		}
		for line := range strings.Lines(own) {
			if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
				return filepath.Join(mount[4], path)
			}
		}
	}
	return ""
}

// removeCgroup removes a cgroup and those below it, all without processes. It is no error that there is none.
func removeCgroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, path := range slices.Backward(dirs) {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// mainProcesses gives, as the machine numbers them, the processes of the units below a cgroup that the pattern names and
// that no process of the same unit started.
func mainProcesses(dir, pattern string) (pids []int, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a unit that ends meanwhile
		}
		if match, e := filepath.Match(pattern, d.Name()); err != nil || e != nil || !match || !d.IsDir() {
			return errors.Join(err, e)
		}
		procs, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		all := strings.Fields(string(procs))
		for _, pid := range all {
			if n, e := strconv.Atoi(pid); e == nil && !slices.Contains(all, parent(pid)) {
				pids = append(pids, n)
			}
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			return nil
		}
		return err
	})
	return pids, err
}

// parent gives the parent of a process; empty where it has ended. Source: proc_pid_status(5).
func parent(pid string) string {
	status, _ := os.ReadFile("/proc/" + pid + "/status")
	for line := range strings.Lines(string(status)) {
		if number, ok := strings.CutPrefix(line, "PPid:"); ok {
			return strings.TrimSpace(number)
		}
	}
	return ""
}

// sweep removes what an ended container leaves on the machine outside its root.
func sweep(cgroup *os.File) {
	for range 20 { // 1 s: its last processes may still be dying. Else the next container of the name removes it.
		if removeCgroup(cgroup.Name()) == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	name := filepath.Base(cgroup.Name())
	_ = removeCgroup(filepath.Join("/sys/fs/cgroup/systemd", name)) // a mirror, on a machine with both versions
	_ = os.Remove(filepath.Join("/run/systemd/nspawn/propagate", name))
	_ = cgroup.Close() // only ever a directory to start in
}
