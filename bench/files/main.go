// Command files measures the file state of a real tree side by side with AIDE: a full scan, and a rescan of the unchanged
// tree. Both look at the same attributes, hash with SHA-256 and use two workers. Warm cache, programs taking turns, median of
// all runs. The last lines are the ratios.
package main

import (
	"errors"
	"flag"
	"fmt"
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

func main() {
	tree := flag.String("tree", "", "`DIR` to scan; empty: a copy of this machine's /usr and /etc")
	runs := flag.Int("runs", 5, "`N` runs of each program")
	flag.Parse()
	if err := run(*tree, *runs); err != nil {
		fmt.Fprintln(os.Stderr, "bench-files:", err)
		os.Exit(1)
	}
}

func run(tree string, runs int) error {
	if _, err := exec.LookPath("aide"); err != nil {
		return errors.New("needs AIDE: apt-get install aide")
	}
	work, err := os.MkdirTemp("", "bench-files-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &bench{work: work, tree: tree}
	if tree == "" {
		if err := b.copyTree("/usr", "/etc"); err != nil {
			return err
		}
	}
	if b.tree, err = filepath.Abs(b.tree); err != nil {
		return err
	}
	if err := b.prepare(); err != nil {
		return err
	}
	if err := b.describe(); err != nil {
		return err
	}
	for i := range runs {
		fmt.Printf("run %d of %d\n", i+1, runs)
		for _, c := range b.all {
			if err := c.measure(); err != nil {
				return err
			}
		}
	}
	return b.print()
}

type bench struct {
	work, tree string
	all        []*contest
}

// contest is one program doing one job.
type contest struct {
	name   string
	before func() error // outside the measured time
	argv   []string
	result string // file whose size is told
	took   []time.Duration
	cpu    []time.Duration
	peak   int64 // bytes
}

func (b *bench) copyTree(from ...string) error {
	b.tree = filepath.Join(b.work, "tree")
	for _, dir := range from {
		to := filepath.Join(b.tree, dir)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if out, err := exec.Command("cp", "-a", "--one-file-system", "--reflink=auto", dir, to).CombinedOutput(); err != nil {
			return fmt.Errorf("copy %s: %w\n%s", dir, err, out)
		}
	}
	syscall.Sync() // nobody should wait for the copy's own writing
	return nil
}

func (b *bench) at(name string) string { return filepath.Join(b.work, name) }

// attributes are, for AIDE, those of our file state: permissions, type, owner, size, link target, extended attributes.
const attributes = "p+ftype+u+g+s+l+xattrs+sha256"

func (b *bench) prepare() error {
	if out, err := exec.Command("go", "build", "-trimpath", "-o", b.at("agent"), "./cmd/patchwarrant-agent").CombinedOutput(); err != nil {
		return fmt.Errorf("build the agent: %w\n%s", err, out)
	}
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
	b.all = []*contest{
		{name: "AIDE --init", before: nothing, argv: []string{"aide", "--init", "--config", b.at("aide.conf")}, result: b.at("aide.db.new")},
		{name: "AIDE --check", before: adopt, argv: []string{"aide", "--check", "--config", b.at("aide.conf")}, result: b.at("aide.db")},
		{name: "patchwarrant full", before: forget, argv: ours, result: b.at("state")},
		{name: "patchwarrant rescan", before: nothing, argv: ours, result: b.at("state")},
	}
	return nil
}

// describe counts the tree, which also warms the cache of its directories.
func (b *bench) describe() error {
	files, others, bytes := 0, 0, int64(0)
	err := filepath.WalkDir(b.tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			others++
			return err
		}
		info, err := d.Info()
		if err == nil {
			files++
			bytes += info.Size()
		}
		return err
	})
	fmt.Printf("%s: %d files, %d other entries, %d bytes\n", b.tree, files, others, bytes)
	if err != nil {
		return err
	}
	return (&contest{name: "warming up", before: b.all[2].before, argv: b.all[2].argv}).measure()
}

func (c *contest) measure() error {
	if err := c.before(); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2")
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start)
	if err != nil {
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
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "program\tmedian s\tleast\tmost\tCPU s\tpeak MB\tresult MB\t")
	for _, c := range b.all {
		info, err := os.Stat(c.result)
		if errors.Is(err, fs.ErrNotExist) { // AIDE's new database has become the old one
			info, err = os.Stat(strings.TrimSuffix(c.result, ".new"))
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%d\t%.1f\t\n", c.name, median(c.took).Seconds(), slices.Min(c.took).Seconds(),
			slices.Max(c.took).Seconds(), median(c.cpu).Seconds(), c.peak>>20, float64(info.Size())/1e6)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	ratio := func(slow, fast int) float64 {
		return median(b.all[slow].took).Seconds() / median(b.all[fast].took).Seconds()
	}
	fmt.Printf("full scan: AIDE --init takes %.1f times as long\n", ratio(0, 2))
	fmt.Printf("unchanged rescan: AIDE --check takes %.1f times as long\n", ratio(1, 3))
	fmt.Printf("unchanged rescan: AIDE --init takes %.1f times as long\n", ratio(0, 3))
	return nil
}
