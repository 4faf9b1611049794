package integrity

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
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
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// nano is a host in a directory: dpkg's own database and nothing else. The real dpkg installs small packages in it.
type nano struct {
	t       *testing.T
	root    string
	facts   map[string][]byte
	trees   []*filetree.State
	options []string // of dpkg
}

func newNano(t *testing.T) *nano {
	t.Helper()
	if _, err := exec.LookPath("dpkg"); err != nil || os.Getuid() != 0 {
		t.Skip("needs dpkg and root")
	}
	n := &nano{t: t, root: t.TempDir(), facts: map[string][]byte{}}
	for _, dir := range []string{"usr/lib", "etc/dpkg", "var/log", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		n.must(os.MkdirAll(n.at(dir), 0o755))
	}
	n.must(os.Symlink("usr/lib", n.at("lib")))
	n.write("/var/lib/dpkg/status", "")
	n.write("/var/lib/dpkg/available", "")
	n.write("/etc/passwd", "root:x:0:0::/:/bin/sh\nmail:x:8:8::/:\n")
	n.write("/etc/group", "root:x:0:\nmail:x:8:\n")
	return n
}

func (n *nano) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *nano) at(p string) string { return filepath.Join(n.root, p) }

func (n *nano) write(p, content string) {
	n.t.Helper()
	n.must(os.MkdirAll(filepath.Dir(n.at(p)), 0o755))
	n.must(os.WriteFile(n.at(p), []byte(content), 0o644))
}

// pack makes a .deb. A file whose content begins with "-> " is a symlink; conffiles are the files below /etc.
func (n *nano) pack(name, version string, files map[string]string) string {
	n.t.Helper()
	dir := n.t.TempDir()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: t\n", name, version)
	conffiles, sums := "", ""
	for _, p := range slices.Sorted(mapKeys(files)) {
		full := filepath.Join(dir, p)
		n.must(os.MkdirAll(filepath.Dir(full), 0o755))
		if target, ok := strings.CutPrefix(files[p], "-> "); ok {
			n.must(os.Symlink(target, full))
			continue
		}
		n.must(os.WriteFile(full, []byte(files[p]), 0o644))
		if strings.HasPrefix(p, "/etc/") {
			conffiles += p + "\n"
		} else {
			sums += fmt.Sprintf("%x  %s\n", md5.Sum([]byte(files[p])), p[1:])
		}
	}
	n.must(os.MkdirAll(filepath.Join(dir, "DEBIAN"), 0o755))
	n.must(os.WriteFile(filepath.Join(dir, "DEBIAN/control"), []byte(control), 0o644))
	n.must(os.WriteFile(filepath.Join(dir, "DEBIAN/md5sums"), []byte(sums), 0o644))
	if conffiles != "" {
		n.must(os.WriteFile(filepath.Join(dir, "DEBIAN/conffiles"), []byte(conffiles), 0o644))
	}
	out := filepath.Join(n.t.TempDir(), name+"_"+version+"_all.deb")
	if b, err := exec.Command("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", dir, out).CombinedOutput(); err != nil {
		n.t.Fatalf("dpkg-deb: %v\n%s", err, b)
	}
	return out
}

func mapKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (n *nano) dpkg(args ...string) {
	n.t.Helper()
	c := exec.Command("dpkg", append([]string{"--root=" + n.root, "--log=" + n.at("/var/log/dpkg.log"), "--force-bad-path", "--force-unsafe-io", "--force-confold"}, append(n.options, args...)...)...)
	if b, err := c.CombinedOutput(); err != nil {
		n.t.Fatalf("dpkg %v: %v\n%s", args, err, b)
	}
}

// fact keeps a document.
func (n *nano) fact(v any) string {
	n.t.Helper()
	b, err := envelope.Encode(v)
	n.must(err)
	n.facts[envelope.Digest(b)] = b
	return envelope.Digest(b)
}

func (n *nano) read(digest string) ([]byte, error) {
	if b, ok := n.facts[digest]; ok {
		return b, nil
	}
	return nil, fault.New(fault.NotFound, "no fact %s", digest)
}

// Get finds tree objects.
func (n *nano) Get(ctx context.Context, digest string) ([]byte, error) {
	for _, s := range n.trees {
		if b, err := s.Get(ctx, digest); err == nil {
			return b, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no object %s", digest)
}

// look observes the host.
func (n *nano) look(names ...string) wire.Observation {
	n.t.Helper()
	now := time.Now()
	s, err := filetree.Scan(n.t.Context(), n.root, filetree.Options{Start: now}, nil)
	n.must(err)
	n.trees = append(n.trees, s)
	facts, err := inventory.Collect(n.root, names, filetree.Policy{}, now)
	n.must(err)
	return wire.Observation{At: facts.At, Trees: map[string]string{"/": s.Digest}, Facts: n.fact(&facts)}
}

// upgrade takes the host from one set of packages to the next and gives the input of its reconciliation.
func (n *nano) upgrade(meddle func(), actions []warrant.Action, debs ...string) *Input {
	n.t.Helper()
	in := &Input{Order: "ord_x", Host: "hst_x", Actions: actions, Contents: []string{}}
	names := []string{}
	for i, file := range debs {
		f, err := os.Open(file)
		n.must(err)
		p, err := deb.Read(f)
		n.must(err)
		f.Close()
		in.Actions[i].SHA256, in.Actions[i].To, in.Actions[i].Arch = p.SHA256, p.Version, p.Arch
		c := ContentsOf(p)
		in.Contents = append(in.Contents, n.fact(&c))
	}
	for _, a := range actions {
		names = append(names, a.Name)
	}
	in.Before = n.look(names...)
	n.dpkg(append([]string{"-i"}, debs...)...)
	meddle()
	in.After = n.look(names...)
	return in
}

// report reconciles and checks that the work can be done again from the input and the trees.
func (n *nano) report(in *Input) *Report {
	n.t.Helper()
	b, r, err := observe(n.t.Context(), in, n, n.read)
	n.must(err)
	again, err := Redo(n.t.Context(), b, n, n.read)
	n.must(err)
	if x, y := n.fact(r), n.fact(again); x != y {
		n.t.Errorf("the work done again gives another report:\n%s\n%s", n.facts[x], n.facts[y])
	}
	return r
}

func (n *nano) verdicts(r *Report) map[string]string {
	out := map[string]string{}
	for _, l := range r.Lines {
		out[l.Path] = strings.TrimSuffix(string(l.Verdict)+" "+l.Rule, " ")
	}
	return out
}

func upgrades(names ...string) (all []warrant.Action) {
	for _, name := range names {
		all = append(all, warrant.Action{Do: "upgrade", Name: name, From: "1"})
	}
	return all
}

// richHost installs version 1 of two packages in a host with every kind of local setting, and gives version 2.
func richHost(t *testing.T) (n *nano, next []string) {
	n = newNano(t)
	v1 := map[string]string{
		"/usr/bin/tool": "1", "/usr/bin/same": "same", "/usr/share/t/gone": "1", "/usr/share/t/link": "-> one", "/usr/share/t/guest": "1",
		"/lib/module": "1", "/usr/sbin/owned": "1", "/usr/bin/diverted": "1", "/usr/share/doc/t/readme": "1", "/usr/share/dir/x": "1",
		"/etc/untouched": "1", "/etc/edited": "1", "/etc/edited-unchanged": "1", "/etc/deleted": "1", "/etc/same": "1", "/etc/obsolete": "1",
		"/etc/already": "1",
	}
	v2 := map[string]string{
		"/usr/bin/tool": "2", "/usr/bin/same": "same", "/usr/share/t/link": "-> two", "/usr/share/new/file": "2", "/lib/module": "2",
		"/usr/sbin/owned": "2", "/usr/bin/diverted": "2", "/usr/share/doc/t/readme": "2", "/usr/share/dir": "-> new",
		"/etc/untouched": "2", "/etc/edited": "2", "/etc/edited-unchanged": "1", "/etc/deleted": "2", "/etc/same": "1", "/etc/new": "2",
		"/etc/already": "2",
	}
	n.dpkg("-i", n.pack("tool", "1", v1), n.pack("other", "1", map[string]string{"/usr/share/t/other": "1"}))
	n.write("/etc/edited", "mine")
	n.write("/etc/edited-unchanged", "mine")
	n.write("/etc/already", "2")
	n.must(os.Remove(n.at("/etc/deleted")))
	n.must(os.Chmod(n.at("/etc/untouched"), 0o600))
	n.write("/var/lib/dpkg/statoverride", "root mail 2750 /usr/sbin/owned\n")
	n.must(os.Rename(n.at("/usr/bin/diverted"), n.at("/usr/bin/diverted.orig")))
	n.write("/usr/bin/diverted", "local")
	n.write("/var/lib/dpkg/diversions", "/usr/bin/diverted\n/usr/bin/diverted.orig\nlocal\n")
	n.write("/etc/dpkg/dpkg.cfg.d/lean", "path-exclude=/usr/share/doc/*\n")
	return n, []string{n.pack("tool", "2", v2)}
}

func TestPredictionEqualsWhatDpkgDoes(t *testing.T) {
	n, next := richHost(t)
	n.options = []string{"--path-exclude=/usr/share/doc/*"} // dpkg reads the machine's configuration, not the root's
	r := n.report(n.upgrade(func() {}, upgrades("tool"), next...))
	for _, l := range r.Discrepancies() {
		t.Errorf("%s %s %s: %s", l.Verdict, l.Path, l.Rule, l.Why)
	}
	got := n.verdicts(r)
	for path, want := range map[string]string{
		"/usr/bin/tool": "as shipped P1", "/usr/share/t/link": "as shipped P2", "/usr/share/new": "as shipped P3",
		"/usr/lib/module": "as shipped P1", "/usr/bin/diverted.orig": "as shipped P5", "/usr/sbin/owned": "as shipped P6",
		"/usr/share/t/gone": "as shipped P9", "/usr/share/doc/t/readme": "as shipped P9",
		"/etc/untouched": "as shipped P10", "/etc/edited.dpkg-dist": "as shipped P10",
		"/etc/deleted.dpkg-dist": "as shipped P10", "/etc/new": "as shipped P10", "/var/lib/dpkg/info/tool.list": "as shipped P11",
		"/var/lib/dpkg/status": "derived dpkg status", "/var/log/dpkg.log": "derived dpkg log",
	} {
		if got[path] != want {
			t.Errorf("%s: %q, want %q", path, got[path], want)
		}
	}
	for _, path := range []string{"/etc/edited", "/etc/edited-unchanged", "/etc/deleted", "/etc/obsolete", "/usr/bin/diverted", "/usr/share/dir", "/usr/bin/same", "/etc/already"} {
		if got[path] != "" {
			t.Errorf("%s should not have changed: %s", path, got[path])
		}
	}
}

func TestMeddlingIsUnexplained(t *testing.T) {
	for name, c := range map[string]struct {
		meddle func(n *nano)
		path   string
		want   string
	}{
		"shipped file altered": {func(n *nano) { n.write("/usr/bin/tool", "evil") }, "/usr/bin/tool", "unexplained P1"},
		"mode of shipped file": {func(n *nano) { n.must(os.Chmod(n.at("/usr/bin/tool"), 0o4755|os.ModeSetuid)) }, "/usr/bin/tool", "unexplained P1"},
		"file planted":         {func(n *nano) { n.write("/usr/bin/implant", "evil") }, "/usr/bin/implant", "unexplained"},
		"other file altered":   {func(n *nano) { n.write("/usr/share/t/other", "evil") }, "/usr/share/t/other", "unexplained"},
		"update held back":     {func(n *nano) { n.write("/usr/bin/tool", "1") }, "/usr/bin/tool", "missing P1"},
		"removed file kept":    {func(n *nano) { n.write("/usr/share/t/gone", "1") }, "/usr/share/t/gone", "missing P9"},
		"status of another": {func(n *nano) {
			b, _ := os.ReadFile(n.at("/var/lib/dpkg/status"))
			n.write("/var/lib/dpkg/status", strings.Replace(string(b), "Package: other\n", "Package: other\nEssential: yes\n", 1))
		}, "/var/lib/dpkg/status", "unexplained"},
		"log rewritten": {func(n *nano) {
			b, _ := os.ReadFile(n.at("/var/log/dpkg.log"))
			n.write("/var/log/dpkg.log", "x"+string(b[1:]))
		}, "/var/log/dpkg.log", "unexplained"},
		"log of another package": {func(n *nano) {
			b, _ := os.ReadFile(n.at("/var/log/dpkg.log"))
			n.write("/var/log/dpkg.log", string(b)+"2026-01-01 00:00:00 install implant:all <none> 1\n")
		}, "/var/log/dpkg.log", "unexplained"},
		"book executable": {func(n *nano) { n.must(os.Chmod(n.at("/var/lib/dpkg/status"), 0o755)) }, "/var/lib/dpkg/status", "unexplained"},
		"certificate link": {func(n *nano) {
			n.write("/etc/ssl/certs/x", "")
			n.must(os.Symlink("/tmp/x", n.at("/etc/ssl/certs/evil.pem")))
		}, "/etc/ssl/certs/evil.pem", "unexplained"},
		"unit link": {func(n *nano) {
			n.write("/etc/systemd/system/x", "")
			n.must(os.Symlink("/lib/systemd/system/evil.service", n.at("/etc/systemd/system/evil.service")))
		}, "/etc/systemd/system/evil.service", "unexplained"},
		"seed with another mode": {func(n *nano) { n.write("/var/lib/systemd/random-seed", "x") }, "/var/lib/systemd/random-seed", "unexplained"},
		"stamp with content":     {func(n *nano) { n.write("/var/lib/apt/periodic/x", "x") }, "/var/lib/apt/periodic/x", "unexplained"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNano(t)
			n.dpkg("-i", n.pack("tool", "1", map[string]string{"/usr/bin/tool": "1", "/usr/share/t/gone": "1", "/usr/share/t/x": "1"}),
				n.pack("other", "1", map[string]string{"/usr/share/t/other": "1"}))
			next := n.pack("tool", "2", map[string]string{"/usr/bin/tool": "2", "/usr/share/t/x": "1"})
			r := n.report(n.upgrade(func() { c.meddle(n) }, upgrades("tool"), next))
			if got := n.verdicts(r)[c.path]; got != c.want {
				t.Errorf("%s: %q, want %q", c.path, got, c.want)
			}
			if r.Clean() {
				t.Error("the reconciliation is clean")
			}
		})
	}
}

func TestStageExplainsWhatItShowed(t *testing.T) {
	script := func(n *nano) func() { return func() { n.write("/var/lib/tool/made", "by a script") } }
	setup := func() (*nano, string) {
		n := newNano(t)
		n.dpkg("-i", n.pack("tool", "1", map[string]string{"/usr/bin/tool": "1"}))
		return n, n.pack("tool", "2", map[string]string{"/usr/bin/tool": "2"})
	}
	stage, next := setup()
	report := stage.report(stage.upgrade(script(stage), upgrades("tool"), next))
	m := manifestOf("ord_s", map[string]*Report{"digest": report})
	if got := stage.verdicts(report)["/var/lib/tool/made"]; got != "unexplained" {
		t.Errorf("on stage itself: %q", got)
	}
	for content, want := range map[string]string{"by a script": "as staged", "by an intruder": "unexplained"} {
		n, _ := setup()
		in := n.upgrade(func() { n.write("/var/lib/tool/made", content) }, upgrades("tool"), next)
		in.Manifest = n.fact(&m)
		if got := n.verdicts(n.report(in))["/var/lib/tool/made"]; got != want {
			t.Errorf("content %q on production: %q, want %q", content, got, want)
		}
	}
}

func TestRedoRefusesAlteredFacts(t *testing.T) {
	n := newNano(t)
	n.dpkg("-i", n.pack("tool", "1", map[string]string{"/usr/bin/tool": "1"}))
	in := n.upgrade(func() {}, upgrades("tool"), n.pack("tool", "2", map[string]string{"/usr/bin/tool": "2"}))
	b, _, err := observe(t.Context(), in, n, n.read)
	n.must(err)
	for _, digest := range in.Facts() {
		altered := func(d string) ([]byte, error) {
			fact, err := n.read(d)
			if d == digest {
				fact = append(slices.Clone(fact), ' ')
			}
			return fact, err
		}
		if _, err := Redo(t.Context(), b, n, altered); fault.KindOf(err) != fault.Invalid {
			t.Errorf("fact %.12s altered: %v", digest, err)
		}
	}
	in.Known = in.Known[:len(in.Known)-1]
	less, err := in.Encode()
	n.must(err)
	if _, err := Redo(t.Context(), less, n, n.read); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a known path left out: %v", err)
	}
	if _, err := Redo(t.Context(), bytes.Replace(b, []byte(`"host"`), []byte(`"Host"`), 1), n, n.read); fault.KindOf(err) != fault.Invalid {
		t.Errorf("another spelling of a field: %v", err)
	}
}

func FuzzDecodeInput(f *testing.F) {
	good, err := (&Input{Order: "ord_x", Host: "hst_x", Actions: []warrant.Action{}, Contents: []string{}, Changes: []filetree.Change{}, Known: []Known{{Path: "/a"}}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := DecodeInput(b)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
			return
		}
		if again, err := in.Encode(); err != nil || string(again) != string(b) {
			t.Errorf("read %q, written %q, %v", b, again, err)
		}
	})
}
