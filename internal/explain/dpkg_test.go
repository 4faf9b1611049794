package explain_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/explain/explaintest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// report reconciles and checks that the work can be done again from the input and the trees.
func report(t *testing.T, n *explaintest.Host, in *explain.Input) *explain.Report {
	t.Helper()
	b, r, err := explain.Reconcile(t.Context(), in, n, n.Read)
	n.Must(err)
	again, err := explain.Redo(t.Context(), b, n, n.Read)
	n.Must(err)
	if x, y := n.Fact(r), n.Fact(again); x != y {
		t.Errorf("the work done again gives another report:\n%s\n%s", n.Facts[x], n.Facts[y])
	}
	return r
}

func verdicts(r *explain.Report) map[string]string {
	out := map[string]string{}
	for _, l := range r.Lines {
		out[l.Path] = strings.TrimSuffix(string(l.Verdict)+" "+l.Rule, " ")
	}
	return out
}

// richHost installs version 1 of two packages in a host with every kind of local setting, and gives version 2.
func richHost(t *testing.T) (n *explaintest.Host, next []string) {
	n = explaintest.New(t, time.Now)
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
	n.Dpkg("-i", n.Pack("tool", "1", v1), n.Pack("other", "1", map[string]string{"/usr/share/t/other": "1"}))
	n.Write("/etc/edited", "mine")
	n.Write("/etc/edited-unchanged", "mine")
	n.Write("/etc/already", "2")
	n.Must(os.Remove(n.At("/etc/deleted")))
	n.Must(os.Chmod(n.At("/etc/untouched"), 0o600))
	n.Write("/var/lib/dpkg/statoverride", "root mail 2750 /usr/sbin/owned\n")
	n.Must(os.Rename(n.At("/usr/bin/diverted"), n.At("/usr/bin/diverted.orig")))
	n.Write("/usr/bin/diverted", "local")
	n.Write("/var/lib/dpkg/diversions", "/usr/bin/diverted\n/usr/bin/diverted.orig\nlocal\n")
	n.Write("/etc/dpkg/dpkg.cfg.d/lean", "path-exclude=/usr/share/doc/*\n")
	return n, []string{n.Pack("tool", "2", v2)}
}

func TestPredictionEqualsWhatDpkgDoes(t *testing.T) {
	n, next := richHost(t)
	n.Options = []string{"--path-exclude=/usr/share/doc/*"} // dpkg reads the machine's configuration, not the root's
	r := report(t, n, n.Upgrade(func() {}, explaintest.Upgrades("tool"), next...))
	for _, l := range r.Discrepancies() {
		t.Errorf("%s %s %s: %s", l.Verdict, l.Path, l.Rule, l.Why)
	}
	got := verdicts(r)
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
		meddle func(n *explaintest.Host)
		path   string
		want   string
	}{
		"shipped file altered": {func(n *explaintest.Host) { n.Write("/usr/bin/tool", "evil") }, "/usr/bin/tool", "unexplained P1"},
		"mode of shipped file": {func(n *explaintest.Host) { n.Must(os.Chmod(n.At("/usr/bin/tool"), 0o4755|os.ModeSetuid)) }, "/usr/bin/tool", "unexplained P1"},
		"file planted":         {func(n *explaintest.Host) { n.Write("/usr/bin/implant", "evil") }, "/usr/bin/implant", "unexplained"},
		"other file altered":   {func(n *explaintest.Host) { n.Write("/usr/share/t/other", "evil") }, "/usr/share/t/other", "unexplained"},
		"update held back":     {func(n *explaintest.Host) { n.Write("/usr/bin/tool", "1") }, "/usr/bin/tool", "missing P1"},
		"removed file kept":    {func(n *explaintest.Host) { n.Write("/usr/share/t/gone", "1") }, "/usr/share/t/gone", "missing P9"},
		"status of another": {func(n *explaintest.Host) {
			b, _ := os.ReadFile(n.At("/var/lib/dpkg/status"))
			n.Write("/var/lib/dpkg/status", strings.Replace(string(b), "Package: other\n", "Package: other\nEssential: yes\n", 1))
		}, "/var/lib/dpkg/status", "unexplained"},
		"log rewritten": {func(n *explaintest.Host) {
			b, _ := os.ReadFile(n.At("/var/log/dpkg.log"))
			n.Write("/var/log/dpkg.log", "x"+string(b[1:]))
		}, "/var/log/dpkg.log", "unexplained"},
		"log of another package": {func(n *explaintest.Host) {
			b, _ := os.ReadFile(n.At("/var/log/dpkg.log"))
			n.Write("/var/log/dpkg.log", string(b)+"2026-01-01 00:00:00 install implant:all <none> 1\n")
		}, "/var/log/dpkg.log", "unexplained"},
		"book executable": {func(n *explaintest.Host) { n.Must(os.Chmod(n.At("/var/lib/dpkg/status"), 0o755)) }, "/var/lib/dpkg/status", "unexplained"},
		"certificate link": {func(n *explaintest.Host) {
			n.Write("/etc/ssl/certs/x", "")
			n.Must(os.Symlink("/tmp/x", n.At("/etc/ssl/certs/evil.pem")))
		}, "/etc/ssl/certs/evil.pem", "unexplained"},
		"unit link": {func(n *explaintest.Host) {
			n.Write("/etc/systemd/system/x", "")
			n.Must(os.Symlink("/lib/systemd/system/evil.service", n.At("/etc/systemd/system/evil.service")))
		}, "/etc/systemd/system/evil.service", "unexplained"},
		"seed with another mode": {func(n *explaintest.Host) { n.Write("/var/lib/systemd/random-seed", "x") }, "/var/lib/systemd/random-seed", "unexplained"},
		"stamp with content":     {func(n *explaintest.Host) { n.Write("/var/lib/apt/periodic/x", "x") }, "/var/lib/apt/periodic/x", "unexplained"},
	} {
		t.Run(name, func(t *testing.T) {
			n := explaintest.New(t, time.Now)
			n.Dpkg("-i", n.Pack("tool", "1", map[string]string{"/usr/bin/tool": "1", "/usr/share/t/gone": "1", "/usr/share/t/x": "1"}),
				n.Pack("other", "1", map[string]string{"/usr/share/t/other": "1"}))
			next := n.Pack("tool", "2", map[string]string{"/usr/bin/tool": "2", "/usr/share/t/x": "1"})
			r := report(t, n, n.Upgrade(func() { c.meddle(n) }, explaintest.Upgrades("tool"), next))
			if got := verdicts(r)[c.path]; got != c.want {
				t.Errorf("%s: %q, want %q", c.path, got, c.want)
			}
			if r.Clean() {
				t.Error("the reconciliation is clean")
			}
		})
	}
}

func TestStageExplainsWhatItShowed(t *testing.T) {
	script := func(n *explaintest.Host) func() { return func() { n.Write("/var/lib/tool/made", "by a script") } }
	setup := func() (*explaintest.Host, string) {
		n := explaintest.New(t, time.Now)
		n.Dpkg("-i", n.Pack("tool", "1", map[string]string{"/usr/bin/tool": "1"}))
		return n, n.Pack("tool", "2", map[string]string{"/usr/bin/tool": "2"})
	}
	stage, next := setup()
	shown := report(t, stage, stage.Upgrade(script(stage), explaintest.Upgrades("tool"), next))
	m := explain.ManifestOf("ord_s", map[string]*explain.Report{"digest": shown})
	if got := verdicts(shown)["/var/lib/tool/made"]; got != "unexplained" {
		t.Errorf("on stage itself: %q", got)
	}
	for content, want := range map[string]string{"by a script": "as staged", "by an intruder": "unexplained"} {
		n, _ := setup()
		in := n.Upgrade(func() { n.Write("/var/lib/tool/made", content) }, explaintest.Upgrades("tool"), next)
		in.Manifest = n.Fact(&m)
		if got := verdicts(report(t, n, in))["/var/lib/tool/made"]; got != want {
			t.Errorf("content %q on production: %q, want %q", content, got, want)
		}
	}
}

func TestRedoRefusesAlteredFacts(t *testing.T) {
	n := explaintest.New(t, time.Now)
	n.Dpkg("-i", n.Pack("tool", "1", map[string]string{"/usr/bin/tool": "1"}))
	in := n.Upgrade(func() {}, explaintest.Upgrades("tool"), n.Pack("tool", "2", map[string]string{"/usr/bin/tool": "2"}))
	b, _, err := explain.Reconcile(t.Context(), in, n, n.Read)
	n.Must(err)
	for _, digest := range in.Facts() {
		altered := func(d string) ([]byte, error) {
			fact, err := n.Read(d)
			if d == digest {
				fact = append(slices.Clone(fact), ' ')
			}
			return fact, err
		}
		if _, err := explain.Redo(t.Context(), b, n, altered); fault.KindOf(err) != fault.Invalid {
			t.Errorf("fact %.12s altered: %v", digest, err)
		}
	}
	in.Known = in.Known[:len(in.Known)-1]
	less, err := in.Encode()
	n.Must(err)
	if _, err := explain.Redo(t.Context(), less, n, n.Read); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a known path left out: %v", err)
	}
	if _, err := explain.Redo(t.Context(), bytes.Replace(b, []byte(`"host"`), []byte(`"Host"`), 1), n, n.Read); fault.KindOf(err) != fault.Invalid {
		t.Errorf("another spelling of a field: %v", err)
	}
}

func FuzzDecodeInput(f *testing.F) {
	good, err := (&explain.Input{Order: "ord_x", Host: "hst_x", Actions: []warrant.Action{}, Contents: []string{}, Changes: []filetree.Change{}, Known: []explain.Known{{Path: "/a"}}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := explain.DecodeInput(b)
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
