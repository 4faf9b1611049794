package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// cost tells what this process and the programs it ran take of the host, which the agent sees from root. What the kernel does not
// tell is 0.
// Source: getrusage(2), proc_pid_statm(5).
func cost(root string, runs time.Duration) wire.Cost {
	c := wire.Cost{Seconds: max(int64(runs/time.Second), 0)}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		if syscall.Getrusage(who, &used) == nil {
			c.CPUMillis += (used.Utime.Nano() + used.Stime.Nano()) / int64(time.Millisecond)
		}
	}
	if b, err := os.ReadFile(filepath.Join(root, "proc/self/statm")); err == nil {
		if f := bytes.Fields(b); len(f) > 1 {
			pages, _ := strconv.ParseInt(string(f[1]), 10, 64)
			c.MemoryKiB = pages * int64(os.Getpagesize()) / 1024
		}
	}
	return c
}
