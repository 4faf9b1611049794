package world

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clearDir ends every process that still works in a root below dir, then removes what is in dir.
func clearDir(dir string) error {
	for range 100 { // 5 s
		pids := livingIn(dir)
		if len(pids) == 0 {
			break
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end process %d of an earlier run: %w", pid, err)
			}
		}
		time.Sleep(50 * time.Millisecond)
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

// livingIn lists the containers whose root is below dir, and the processes that were started in such a root.
// Killing a container's systemd-nspawn kills all that runs in it.
func livingIn(dir string) []int {
	below := func(path string) bool { return strings.HasPrefix(path, dir+"/") }
	procs, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, proc := range procs {
		pid, _ := strconv.Atoi(filepath.Base(proc))
		root, _ := os.Readlink(proc + "/root")
		cmdline, _ := os.ReadFile(proc + "/cmdline") // empty for a zombie
		argv := bytes.Split(cmdline, []byte{0})
		container := string(argv[0]) == nspawn && len(argv) > 2 && below(string(argv[2]))
		if container || (below(root) && len(cmdline) > 0) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// removeTree removes a root. It refuses while anything is mounted in it: a mounted /dev there would be the machine's own.
func removeTree(root string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	escaped := strings.ReplaceAll(root, " ", `\040`)
	for line := range strings.Lines(string(mounts)) {
		// Source of the fields: proc_pid_mountinfo(5), the fifth is the mount point.
		f := strings.Fields(line)
		if len(f) > 4 && (f[4] == escaped || strings.HasPrefix(f[4], escaped+"/")) {
			return fmt.Errorf("%s is mounted; unmount it, then try again", f[4])
		}
	}
	return os.RemoveAll(root)
}
