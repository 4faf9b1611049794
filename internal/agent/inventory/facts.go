package inventory

import (
	"bytes"
	"crypto/md5" // dpkg's own digest of conffiles, not for security
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// What Collect tells of every host: dpkg's and apt's books, and files that are derived from packages. Globs as of path.Match.
var (
	books = []string{
		"var/lib/dpkg/status", "var/lib/dpkg/status-old", "var/lib/dpkg/diversions", "var/lib/dpkg/statoverride",
		"var/lib/dpkg/triggers/*", "etc/dpkg/dpkg.cfg", "etc/dpkg/dpkg.cfg.d/*",
		"var/log/dpkg.log", "var/log/alternatives.log", "var/log/apt/history.log", "var/log/apt/term.log",
		"var/log/apt/eipp.log.xz", "var/lib/apt/extended_states",
		"var/cache/debconf/config.dat", "var/cache/debconf/config.dat-old",
		"var/cache/debconf/templates.dat", "var/cache/debconf/templates.dat-old",
		"etc/ld.so.cache", "etc/ca-certificates.conf", "etc/ssl/certs/ca-certificates.crt",
		"var/lib/systemd/deb-systemd-helper-*/*.dsh-also", "etc/machine-id",
	}
	certificates = []string{
		"usr/share/ca-certificates/*.crt", "usr/share/ca-certificates/*/*.crt", "usr/local/share/ca-certificates/*.crt",
	}
	heads = []string{ // large: only their headers are told
		"var/cache/apt/*.bin", "var/cache/ldconfig/aux-cache", "var/log/journal/*/*.journal",
	}
)

// Collect reads the facts of the tree at root that concern packages (names without architecture). Files are opened below
// root only, and only regular ones; what cannot be read, is secret by the policy or exceeds wire's bounds is left without content.
func Collect(root string, packages []string, policy filetree.Policy, now time.Time) (wire.HostFacts, error) {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return wire.HostFacts{}, fmt.Errorf("collect facts: %w", err)
	}
	defer dir.Close()
	c := &collector{root: dir, tree: dir.FS(), policy: policy, found: map[string]wire.FactFile{}}
	for _, glob := range books {
		c.glob(glob)
	}
	if slices.Contains(packages, "ca-certificates") {
		for _, glob := range certificates {
			c.glob(glob)
		}
	}
	c.lists(packages)
	c.head = true
	for _, glob := range heads {
		c.glob(glob)
	}
	f := wire.HostFacts{At: now.UTC().Truncate(time.Microsecond), Shared: c.shared}
	for _, file := range c.found {
		f.Files = append(f.Files, file)
	}
	slices.SortFunc(f.Files, func(a, b wire.FactFile) int { return strings.Compare(a.Path, b.Path) })
	return f, nil
}

type collector struct {
	root   *os.Root
	tree   fs.FS
	policy filetree.Policy
	head   bool // tell only the beginning of files
	found  map[string]wire.FactFile
	total  int
	shared []string
}

func (c *collector) glob(pattern string) {
	names, _ := fs.Glob(c.tree, pattern) // the patterns are ours and well-formed
	for _, name := range names {
		c.add(name)
	}
}

// add reads one file into found and gives its content.
func (c *collector) add(name string) []byte {
	key := filetree.Quote("/" + name)
	if len(c.found) >= wire.MaxFactFiles || c.policy.IsSecret("/"+name) {
		return nil
	}
	f, err := c.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	out := wire.FactFile{Path: key, Size: info.Size(), Head: c.head}
	limit := min(wire.MaxFactFile, wire.MaxFactBytes-c.total)
	if c.head {
		limit = wire.FactHead
	}
	content, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if c.head {
		content = content[:min(len(content), limit)]
	}
	if err == nil && len(content) <= limit {
		out.Content = content
		c.total += len(content)
	}
	c.found[key] = out
	return out.Content
}

// conffile tells a configuration file's md5, not its content: it may hold secrets.
func (c *collector) conffile(name string) {
	if c.policy.IsSecret("/" + name) { // a short secret can be guessed from its md5
		return
	}
	f, err := c.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	sum := md5.New()
	if _, err := io.Copy(sum, io.LimitReader(f, wire.MaxFile)); err == nil {
		key := filetree.Quote("/" + name)
		out := c.found[key] // some are told in full as well
		out.Path, out.Size, out.MD5 = key, info.Size(), hex.EncodeToString(sum.Sum(nil))
		c.found[key] = out
	}
}

const infoDir = "var/lib/dpkg/info"

// lists tells the packages' own lists and conffiles, and which of their files other packages list too.
func (c *collector) lists(packages []string) {
	all, _ := fs.Glob(c.tree, infoDir+"/*.list")
	ours := map[string]bool{}
	var others []string
	for _, name := range all {
		owner, _, _ := strings.Cut(strings.TrimSuffix(path.Base(name), ".list"), ":")
		if !slices.Contains(packages, owner) {
			others = append(others, name)
			continue
		}
		for line := range bytes.Lines(c.add(name)) {
			ours[strings.TrimSuffix(string(line), "\n")] = true
		}
		base := strings.TrimSuffix(name, ".list")
		for line := range bytes.Lines(c.add(base + ".conffiles")) {
			c.conffile(strings.TrimPrefix(strings.TrimSuffix(string(line), "\n"), "/"))
		}
	}
	shared := map[string]bool{}
	for _, name := range others {
		b, err := c.root.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(b) {
			if p := strings.TrimSuffix(string(line), "\n"); ours[p] {
				shared[p] = true
			}
		}
	}
	for p := range shared {
		if info, err := c.root.Lstat(strings.TrimPrefix(p, "/")); err == nil && !info.IsDir() && len(c.shared) < wire.MaxFactFiles {
			c.shared = append(c.shared, filetree.Quote(p))
		}
	}
	slices.Sort(c.shared)
}
