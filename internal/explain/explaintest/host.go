// Package explaintest has a host in a directory, upgraded by the real dpkg, for tests of what explains its changes.
package explaintest

import (
	"context"
	"crypto/md5"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agent/inventory"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Host is a host in a directory: dpkg's own database and nothing else. The real dpkg installs small packages in it.
type Host struct {
	Facts   map[string][]byte
	Trees   []*filetree.State
	Options []string // of dpkg

	t    *testing.T
	root string
	now  func() time.Time
}

// New makes one, or skips the test where dpkg or root is missing. now is the machine's clock, by which files are written.
func New(t *testing.T, now func() time.Time) *Host {
	t.Helper()
	if _, err := exec.LookPath("dpkg"); err != nil || os.Getuid() != 0 {
		t.Skip("needs dpkg and root")
	}
	h := &Host{t: t, root: t.TempDir(), now: now, Facts: map[string][]byte{}}
	h.furnish()
	return h
}

// Inside makes another one in a directory of this host: a chroot. It keeps its facts with the host's.
func (h *Host) Inside(path string) *Host {
	h.t.Helper()
	in := &Host{t: h.t, root: h.At(path), now: h.now, Facts: h.Facts}
	in.furnish()
	return in
}

func (h *Host) furnish() {
	h.t.Helper()
	for _, dir := range []string{"usr/lib", "etc/dpkg", "var/log", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		h.Must(os.MkdirAll(h.At(dir), 0o755))
	}
	h.Must(os.Symlink("usr/lib", h.At("lib")))
	h.Write("/var/lib/dpkg/status", "")
	h.Write("/var/lib/dpkg/available", "")
	h.Write("/etc/passwd", "root:x:0:0::/:/bin/sh\nmail:x:8:8::/:\n")
	h.Write("/etc/group", "root:x:0:\nmail:x:8:\n")
}

// Must ends the test on an error.
func (h *Host) Must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// At gives where a path of the host is on the machine.
func (h *Host) At(p string) string { return filepath.Join(h.root, p) }

// Write makes a file, with the directories above it.
func (h *Host) Write(p, content string) {
	h.t.Helper()
	h.Must(os.MkdirAll(filepath.Dir(h.At(p)), 0o755))
	h.Must(os.WriteFile(h.At(p), []byte(content), 0o644))
}

// Pack makes a .deb. A file whose content begins with "-> " is a symlink; conffiles are the files below /etc.
func (h *Host) Pack(name, version string, files map[string]string) string {
	h.t.Helper()
	dir := h.t.TempDir()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: t\n", name, version)
	conffiles, sums := "", ""
	for _, p := range slices.Sorted(maps.Keys(files)) {
		full := filepath.Join(dir, p)
		h.Must(os.MkdirAll(filepath.Dir(full), 0o755))
		if target, ok := strings.CutPrefix(files[p], "-> "); ok {
			h.Must(os.Symlink(target, full))
			continue
		}
		h.Must(os.WriteFile(full, []byte(files[p]), 0o644))
		if strings.HasPrefix(p, "/etc/") {
			conffiles += p + "\n"
		} else {
			sums += fmt.Sprintf("%x  %s\n", md5.Sum([]byte(files[p])), p[1:])
		}
	}
	h.Must(os.MkdirAll(filepath.Join(dir, "DEBIAN"), 0o755))
	h.Must(os.WriteFile(filepath.Join(dir, "DEBIAN/control"), []byte(control), 0o644))
	h.Must(os.WriteFile(filepath.Join(dir, "DEBIAN/md5sums"), []byte(sums), 0o644))
	if conffiles != "" {
		h.Must(os.WriteFile(filepath.Join(dir, "DEBIAN/conffiles"), []byte(conffiles), 0o644))
	}
	out := filepath.Join(h.t.TempDir(), name+"_"+version+"_all.deb")
	if b, err := exec.Command("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", dir, out).CombinedOutput(); err != nil {
		h.t.Fatalf("dpkg-deb: %v\n%s", err, b)
	}
	return out
}

// Dpkg runs it on the host.
func (h *Host) Dpkg(args ...string) {
	h.t.Helper()
	c := exec.Command("dpkg", append([]string{"--root=" + h.root, "--log=" + h.At("/var/log/dpkg.log"), "--force-bad-path", "--force-unsafe-io", "--force-confold"}, append(h.Options, args...)...)...)
	if b, err := c.CombinedOutput(); err != nil {
		h.t.Fatalf("dpkg %v: %v\n%s", args, err, b)
	}
}

// Fact keeps a document and gives its digest.
func (h *Host) Fact(v any) string {
	h.t.Helper()
	b, err := envelope.Encode(v)
	h.Must(err)
	h.Facts[envelope.Digest(b)] = b
	return envelope.Digest(b)
}

// Read is explain.Facts of what was kept.
func (h *Host) Read(digest string) ([]byte, error) {
	if b, ok := h.Facts[digest]; ok {
		return b, nil
	}
	return nil, fault.New(fault.NotFound, "no fact %s", digest)
}

// Get finds tree objects.
func (h *Host) Get(ctx context.Context, digest string) ([]byte, error) {
	for _, s := range h.Trees {
		if b, err := s.Get(ctx, digest); err == nil {
			return b, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no object %s", digest)
}

// Observe looks at the host, with the facts about packages.
func (h *Host) Observe(names ...string) wire.Observation {
	h.t.Helper()
	now := h.now()
	s, err := filetree.Scan(h.t.Context(), h.root, filetree.Options{Start: now}, nil)
	h.Must(err)
	h.Trees = append(h.Trees, s)
	facts, err := inventory.Collect(h.root, names, filetree.Policy{}, now)
	h.Must(err)
	return wire.Observation{At: facts.At, Trees: map[string]string{"/": s.Digest}, Facts: h.Fact(&facts)}
}

// Upgrade takes the host from one set of packages to the next and gives the input of its reconciliation.
func (h *Host) Upgrade(meddle func(), actions []warrant.Action, debs ...string) *explain.Input {
	h.t.Helper()
	in := &explain.Input{Order: "ord_x", Host: "hst_x", Actions: actions, Contents: []string{}}
	names := []string{}
	for i, file := range debs {
		f, err := os.Open(file)
		h.Must(err)
		p, err := deb.Read(f)
		h.Must(err)
		f.Close()
		in.Actions[i].SHA256, in.Actions[i].To, in.Actions[i].Arch = p.SHA256, p.Version, p.Arch
		c := explain.ContentsOf(p)
		in.Contents = append(in.Contents, h.Fact(&c))
	}
	for _, a := range actions {
		names = append(names, a.Name)
	}
	in.Before = h.Observe(names...)
	h.Dpkg(append([]string{"-i"}, debs...)...)
	meddle()
	in.After = h.Observe(names...)
	return in
}

// Upgrades are the actions that bring version 1 of packages to another.
func Upgrades(names ...string) (all []warrant.Action) {
	for _, name := range names {
		all = append(all, warrant.Action{Do: "upgrade", Name: name, From: "1"})
	}
	return all
}
