// Command files measures the file state of a real tree side by side with AIDE under the same rules (same attributes, SHA-256, two
// workers), debsums, and plain digests by sha256sum and openssl in two processes: a full scan, and a rescan of the unchanged tree.
// Warm, from a copy in memory, and cold, where the system lets go of its cache, from one on disk; programs take turns, median of all
// runs. Then two trees of 200,000 files that differ in ten: the comparison, and what an agent uploads. Renews bench/files/results.txt.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

const resultsFile = "bench/files/results.txt"

func main() {
	tree := flag.String("tree", "", "`DIR` whose copies are scanned; empty: where most files of this machine's packages lie")
	runs := flag.Int("runs", 5, "`N` runs of each program")
	flag.Parse()
	var results bytes.Buffer
	err := run(*tree, *runs, io.MultiWriter(os.Stdout, &results))
	if err == nil {
		err = os.WriteFile(resultsFile, results.Bytes(), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-files:", err)
		os.Exit(1)
	}
}

// inMemory is where Linux has a file system that lies in memory.
const inMemory = "/dev/shm"

func run(tree string, runs int, out io.Writer) error {
	work, err := os.MkdirTemp("", "bench-files-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &bench{work: work, from: []string{tree}, out: out}
	if tree == "" {
		b.from = []string{"/etc", "/usr/bin", "/usr/sbin", "/usr/share", "/var/lib/dpkg"}
		more, err := filepath.Glob("/usr/lib/*-linux-gnu")
		if err != nil {
			return err
		}
		b.from = append(b.from, more...)
	}
	if out, err := exec.Command("go", "build", "-trimpath", "-o", b.at("agent"), "./cmd/patchwarrant-agent").CombinedOutput(); err != nil {
		return fmt.Errorf("build the agent: %w\n%s", err, out)
	}
	version, err := exec.Command("aide", "--version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("aide: %w; make need installs it", err)
	}
	first, _, _ := strings.Cut(string(version), "\n")
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s; load before the first run: %s", first, load)
	// Some systems let go of files that nobody has read for half a minute, so a program that follows a slow one would find them gone.
	// What lies in a file system in memory is equally warm for all.
	memory, err := os.MkdirTemp(inMemory, "bench-files-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(memory)
	if err := b.settle(memory); err != nil {
		return err
	}
	if err := b.round("warm, in memory", runs, func() error { return nil }); err != nil {
		return err
	}
	if err := os.RemoveAll(memory); err != nil {
		return err
	}
	if err := b.settle(work); err != nil {
		return err
	}
	if err := dropCaches(); err != nil {
		fmt.Fprintf(out, "\ncold cache: not measured, the system keeps its cache (%v)\n", err)
	} else if err := b.round("cold cache", runs, dropCaches); err != nil {
		return err
	}
	return compareTrees(out, runs) // last: what this program itself uses would count as its children's peak
}

func dropCaches() error {
	syscall.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}

// round lets all programs take turns and prints what they needed.
func (b *bench) round(name string, runs int, before func() error) error {
	for _, c := range b.all {
		c.took, c.cpu, c.peak = nil, nil, 0
	}
	for i := range runs {
		fmt.Fprintf(os.Stderr, "%s, run %d of %d\n", name, i+1, runs)
		for _, c := range b.all {
			if err := c.measure(before); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(b.out, "%s, median of %d:\n", name, runs)
	return b.print()
}

type bench struct {
	work string
	from []string // directories whose copy is the tree
	tree string
	out  io.Writer
	all  []*contest
}

// contest is one program doing one job.
type contest struct {
	name    string
	before  func() error // outside the measured time
	argv    []string
	result  string // file whose size is told; empty: none
	differs bool   // it may end with a code that says that files differ
	took    []time.Duration
	cpu     []time.Duration
	peak    int64 // bytes
}

// settle copies the tree below a directory and has all programs work there.
func (b *bench) settle(below string) error {
	b.tree = filepath.Join(below, "tree")
	for _, dir := range b.from {
		to := filepath.Join(b.tree, dir)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if out, err := exec.Command("cp", "-a", "--one-file-system", "--reflink=auto", dir, to).CombinedOutput(); err != nil {
			return fmt.Errorf("copy %s: %w\n%s", dir, err, out)
		}
	}
	syscall.Sync() // nobody should wait for the copy's own writing
	return errors.Join(b.prepare(), b.list())
}

func (b *bench) at(name string) string { return filepath.Join(b.work, name) }

// attributes are, for AIDE, those of our file state: permissions, type, owner, size, link target, extended attributes.
const attributes = "p+ftype+u+g+s+l+xattrs+sha256"

func (b *bench) prepare() error {
	if strings.ContainsAny(b.tree, " \n\\") {
		return fmt.Errorf("tree %q has a space or backslash in its path, which AIDE's rules do not take plainly", b.tree)
	}
	config := fmt.Sprintf("database_in=file:%[1]s\ndatabase_out=file:%[1]s.new\ngzip_dbout=no\nnum_workers=2\nreport_url=stdout\n%[2]s %[3]s\n",
		b.at("aide.db"), b.tree, attributes)
	if err := os.WriteFile(b.at("aide.conf"), []byte(config), 0o600); err != nil {
		return err
	}
	forget := func() error {
		if err := os.Remove(b.at("state")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	adopt := func() error { return os.Rename(b.at("aide.db.new"), b.at("aide.db")) }
	nothing := func() error { return nil }
	ours := []string{b.at("agent"), "tree", b.tree, "-o", b.at("state")}
	// xargs starts the digest programs; it has no part of its own in their time.
	plain := func(program ...string) []string {
		return append([]string{"xargs", "-0", "-a", b.at("files"), "-P2", "-n500"}, program...)
	}
	b.all = []*contest{
		{name: "AIDE --init", before: nothing, argv: []string{"aide", "--init", "--config", b.at("aide.conf")}, result: b.at("aide.db.new")},
		{name: "AIDE --check", before: adopt, argv: []string{"aide", "--check", "--config", b.at("aide.conf")}, result: b.at("aide.db")},
		{name: "patchwarrant full", before: forget, argv: ours, result: b.at("state")},
		{name: "patchwarrant rescan", before: nothing, argv: ours, result: b.at("state")},
		{name: "openssl dgst", before: nothing, argv: plain("openssl", "dgst", "-sha256", "-r")},
		{name: "sha256sum", before: nothing, argv: plain("sha256sum")},
	}
	if _, err := os.Stat(filepath.Join(b.tree, "var/lib/dpkg/info")); err == nil {
		b.all = append(b.all, &contest{name: "debsums (md5, packages' files)", before: nothing, argv: []string{"debsums", "-s", "-a", "--root", b.tree}, differs: true})
	}
	for _, c := range b.all {
		if _, err := exec.LookPath(c.argv[0]); err != nil {
			return fmt.Errorf("%s: %w; make need installs it", c.name, err)
		}
	}
	return nil
}

// list counts the tree and lists its files for the digest programs.
func (b *bench) list() error {
	files, others, size := 0, 0, int64(0)
	var names bytes.Buffer
	err := filepath.WalkDir(b.tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			others++
			return err
		}
		info, err := d.Info()
		if err == nil {
			files++
			size += info.Size()
			names.WriteString(path + "\x00")
		}
		return err
	})
	if err == nil {
		err = os.WriteFile(b.at("files"), names.Bytes(), 0o600)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\ntree: %d files, %d other entries, %d bytes\n", files, others, size)
	return nil
}

func (c *contest) measure(cache func() error) error {
	if err := errors.Join(c.before(), cache()); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2")
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start)
	if failed := new(exec.ExitError); err != nil && !(c.differs && errors.As(err, &failed)) {
		return fmt.Errorf("%s: %w\n%s", c.name, err, out[:min(len(out), 2000)])
	}
	c.took = append(c.took, took)
	c.cpu = append(c.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.peak = max(c.peak, usage.Maxrss<<10)
	}
	return nil
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func (b *bench) print() error {
	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "program\tmedian s\tleast\tmost\tCPU s\tpeak MB\tresult MB\t")
	for _, c := range b.all {
		size := ""
		if c.result != "" {
			info, err := os.Stat(c.result)
			if errors.Is(err, fs.ErrNotExist) { // AIDE's new database has become the old one
				info, err = os.Stat(strings.TrimSuffix(c.result, ".new"))
			}
			if err != nil {
				return err
			}
			size = fmt.Sprintf("%.1f", float64(info.Size())/1e6)
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%d\t%s\t\n", c.name, median(c.took).Seconds(), slices.Min(c.took).Seconds(),
			slices.Max(c.took).Seconds(), median(c.cpu).Seconds(), c.peak>>20, size)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	const aideInit, aideCheck, full, rescan = 0, 1, 2, 3
	ratio := func(what string, slow, fast int) {
		a, b := b.all[slow], b.all[fast]
		fmt.Fprintf(w, "%s: %s takes %.1f times as long, %.1f times the CPU\n", what, a.name, median(a.took).Seconds()/median(b.took).Seconds(),
			median(a.cpu).Seconds()/median(b.cpu).Seconds())
	}
	ratio("full scan", aideInit, full)
	ratio("full scan", aideCheck, full)
	for i := rescan + 1; i < len(b.all); i++ {
		ratio("full scan", i, full)
	}
	ratio("unchanged rescan", aideInit, rescan)
	ratio("unchanged rescan", aideCheck, rescan)
	return w.Flush()
}
