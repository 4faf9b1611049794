package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/bench/fleet"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// oneHost compares whole processes on the same status file and the same data: start, feed, packages, verdicts.
func oneHost(w *fleet.World, peer *debsecan) ([]ratio, error) {
	program := filepath.Join(w.Dir, "patchwarrant")
	build := exec.Command("go", "build", "-o", program, "./cmd/patchwarrant")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build patchwarrant: %w", err)
	}
	const rounds = 5
	fmt.Printf("\none host, whole process (best of %d); we parse the tracker's whole JSON, debsecan a digest of it\n", rounds)
	var ours, theirs cost
	for i := range rounds {
		_, c, err := scan(program, w)
		if err != nil {
			return nil, err
		}
		if i == 0 || c.cpu < ours.cpu {
			ours = c
		}
	}
	out, _, err := scan(program, w, "--json")
	if err != nil {
		return nil, err
	}
	var rows []verdict.Row
	if err := json.Unmarshal(out, &rows); err != nil {
		return nil, err
	}
	found := affected(rows)
	fmt.Printf("  %-24s %8.0f ms CPU %8.0f MiB %8d findings (vulnerability x source)\n", "patchwarrant scan", ms(ours.cpu), float64(ours.peak)/1024, len(found))
	if peer == nil {
		return nil, nil
	}
	var peers map[finding]bool
	for i := range rounds {
		f, c, err := peer.run(w.Status, w.Base)
		if err != nil {
			return nil, err
		}
		if i == 0 || c.cpu < theirs.cpu {
			theirs = c
		}
		peers = f
	}
	fmt.Printf("  %-24s %8.0f ms CPU %8.0f MiB %8d findings\n", "debsecan", ms(theirs.cpu), float64(theirs.peak)/1024, len(peers))
	printAgreement(found, peers)
	return []ratio{
		{"debsecan / patchwarrant scan, CPU, one host, whole process", float64(theirs.cpu) / float64(ours.cpu)},
		{"debsecan / patchwarrant scan, peak memory, one host", float64(theirs.peak) / float64(ours.peak)},
	}, nil
}

// scan runs our program; like debsecan it prints what is affected, unless asked for every verdict.
func scan(program string, w *fleet.World, more ...string) ([]byte, cost, error) {
	command := exec.Command(program, append([]string{"scan", "--status", w.Status, "--release", fleet.Release, "--tracker", w.Tracker}, more...)...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, cost{}, fmt.Errorf("patchwarrant scan: %w", err)
	}
	return out, costOf(command.ProcessState), nil
}

func affected(rows []verdict.Row) map[finding]bool {
	found := make(map[finding]bool)
	for _, r := range rows {
		if r.Verdict == verdict.Affected {
			found[finding{r.CVE, r.Source}] = true
		}
	}
	return found
}

func printAgreement(ours, theirs map[finding]bool) {
	both := 0
	for f := range ours {
		if theirs[f] {
			both++
		}
	}
	fmt.Printf("  both say affected: %d; only we: %d; only debsecan: %d\n", both, len(ours)-both, len(theirs)-both)
}

// sampled is how many of the simulated hosts debsecan judges; its cost for all is that mean times the hosts, since each
// run is a process of its own.
const sampled = 10

// manyHosts matches simulated hosts from nothing: feed, every distinct set parsed once from its canonical bytes, all hosts
// placed, everything counted. Making the simulated bytes is inside our time.
func manyHosts(w *fleet.World, hosts int, peer *debsecan) ([]ratio, error) {
	digests := make([]string, hosts) // what an agent sends when its set is known
	for i := range digests {
		digests[i] = w.Host(i).Digest()
	}
	runtime.GC()
	begin, wall := ourCPU(), time.Now()
	statements, err := w.Feed()
	if err != nil {
		return nil, err
	}
	f := verdict.NewFleet()
	f.Learn(statements)
	distinct := 0
	for i, digest := range digests {
		err := f.Place(fmt.Sprintf("hst_%06d", i), verdict.Class{Release: fleet.Release, SetDigest: digest}, func() (pkgset.Set, error) {
			distinct++
			return pkgset.Parse(w.Host(i).Canonical())
		})
		if err != nil {
			return nil, err
		}
	}
	tallied := time.Now()
	counts := f.Tally()
	tally, cpu := time.Since(tallied), ourCPU()-begin
	findings, vulnerabilities := 0, 0
	for _, c := range counts {
		findings += c.Affected
		vulnerabilities += min(1, c.Affected)
	}
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	fmt.Printf("\n%d simulated hosts, %d distinct package sets\n", hosts, distinct)
	fmt.Printf("  ours: %.2f s CPU, %.2f s wall, %.1f us CPU per host, heap %d MiB; %d findings are %d vulnerabilities\n",
		cpu.Seconds(), time.Since(wall).Seconds(), us(cpu)/float64(hosts), memory.HeapAlloc>>20, findings, vulnerabilities)
	hosted, counted := oneMore(f, statements)
	fmt.Printf("  of that: counting everything %.2f ms; afterwards, best of %d: one new advisory and its hosts by verdict: %.2f ms, and counting everything again: %.2f ms\n",
		ms(tally), again, ms(hosted), ms(counted))
	fmt.Printf("  everything stated again, matched and counted: %.2f ms; peak memory of this process so far %d MiB\n", ms(rematch(f, statements)), ourPeak()>>10)
	if peer == nil {
		return nil, nil
	}
	theirs, err := sample(w, hosts, peer)
	if err != nil {
		return nil, err
	}
	fmt.Printf("  debsecan: %.0f ms CPU per host (mean of %d of these hosts), so %.0f s for all\n", ms(theirs), sampled, theirs.Seconds()*float64(hosts))
	return []ratio{{fmt.Sprintf("debsecan / patchwarrant, CPU per host, %d hosts", hosts), float64(theirs) * float64(hosts) / float64(cpu)}}, nil
}

// again is how often the short measurements are taken; the best counts, since others use the machine, too.
const again = 5

// oneMore is the time from a new advisory, parsed, to the hosts that it affects, and to new counts of everything.
func oneMore(f *verdict.Fleet, statements []intake.Statement) (hosts, counts time.Duration) {
	for n := range again {
		next := slices.Clone(statements)
		i := len(next) / 2
		more := next[i]
		more.ID = fmt.Sprintf("CVE-2099-%04d", n)
		next = slices.Insert(next, i+1, more)
		slices.SortStableFunc(next, intake.Compare)
		begin := time.Now()
		f.Learn(next)
		f.CountHosts(more.ID, more.Package)
		took := time.Since(begin)
		f.Tally()
		hosts, counts = best(n, hosts, took), best(n, counts, time.Since(begin))
	}
	return hosts, counts
}

// rematch is the time to make every rule book again and to count everything.
func rematch(f *verdict.Fleet, statements []intake.Statement) (took time.Duration) {
	for n := range again {
		f.Learn(nil)
		begin := time.Now()
		f.Learn(statements)
		f.Tally()
		took = best(n, took, time.Since(begin))
	}
	return took
}

func best(n int, before, now time.Duration) time.Duration {
	if n == 0 {
		return now
	}
	return min(before, now)
}

// sample runs debsecan on some of the hosts and checks that it and we agree about them.
func sample(w *fleet.World, hosts int, peer *debsecan) (time.Duration, error) {
	var total time.Duration
	ours, theirs := make(map[finding]bool), make(map[finding]bool)
	for i := range sampled {
		set := w.Host(i * hosts / sampled)
		path := filepath.Join(w.Dir, "host.status")
		if err := writeStatus(path, set); err != nil {
			return 0, err
		}
		found, c, err := peer.run(path, set)
		if err != nil {
			return 0, err
		}
		total += c.cpu
		tag := fmt.Sprint(i, " ")
		for f := range found {
			theirs[finding{tag + f.id, f.source}] = true
		}
		for f := range affected(verdict.Scan(fleet.Release, set, w.Statements)) {
			ours[finding{tag + f.id, f.source}] = true
		}
	}
	printAgreement(ours, theirs)
	return total / sampled, nil
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// writeStatus writes a set as the least a dpkg status file holds, so that a peer has little to parse.
func writeStatus(path string, set pkgset.Set) error {
	var b bytes.Buffer
	for _, p := range set {
		fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nArchitecture: %s\nSource: %s (%s)\nVersion: %s\n\n", p.Name, p.Arch, p.Source, p.SourceVersion, p.Version)
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
