// Match measures version comparison and fleet matching beside debsecan, go-deb-version and dpkg on the same data, and
// prints the ratios last. Usage: go run ./bench/match (or make bench-match).
//
// Data: the shared sample data (PATCHWARRANT_SHARED, else ../shared/data) where it is present, else generated. All
// randomness has a fixed seed.
package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/patchwarrant/patchwarrant/bench/fleet"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench/match:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "bench-match-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w, err := fleet.Load(dir)
	if err != nil {
		return err
	}
	fmt.Printf("data: %s; %d packages, %d statements; %s, %d CPUs\n", w.Origin, len(w.Base), len(w.Statements), runtime.Version(), runtime.NumCPU())

	var ratios []ratio
	versions, err := compareVersions(w)
	if err != nil {
		return err
	}
	ratios = append(ratios, versions...)
	peer, err := startDebsecan(w)
	if err != nil {
		return err
	}
	defer peer.close()
	single, err := oneHost(w, peer)
	if err != nil {
		return err
	}
	ratios = append(ratios, single...)
	for _, hosts := range []int{10_000, 100_000} {
		r, err := manyHosts(w, hosts, peer)
		if err != nil {
			return err
		}
		ratios = append(ratios, r...)
	}
	fmt.Println("\nratios (peer's cost / ours; above 1 we are cheaper)")
	for _, r := range ratios {
		fmt.Printf("  %-64s %12.1f\n", r.what, r.value)
	}
	return nil
}

// ratio is a peer's cost divided by ours.
type ratio struct {
	what  string
	value float64
}

// cost is what a measured piece of work took.
type cost struct {
	cpu  time.Duration // user and system time
	peak int64         // resident memory at its highest, KiB; of child processes only
}

// ourCPU is the CPU time of this process until now, all threads, garbage collection included.
func ourCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot happen: the arguments are constant
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func costOf(state *os.ProcessState) cost {
	c := cost{cpu: state.UserTime() + state.SystemTime()}
	if u, ok := state.SysUsage().(*syscall.Rusage); ok {
		c.peak = u.Maxrss
	}
	return c
}

// ourPeak is this process's resident memory at its highest, KiB.
func ourPeak() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot happen: the arguments are constant
	}
	return u.Maxrss
}
