package explain_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/explain/explaintest"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

const chroot = "/srv/chroot"

// nested is a host with another root in it.
type nested struct {
	t            *testing.T
	host, inside *explaintest.Host
}

func newNested(t *testing.T) nested {
	n := nested{t: t, host: explaintest.New(t, time.Now)}
	n.inside = n.host.Inside(chroot)
	for _, m := range []*explaintest.Host{n.host, n.inside} {
		m.Dpkg("-i", m.Pack("tool", "1", map[string]string{"/usr/bin/tool": "1", "/etc/tool": "1"}))
	}
	return n
}

// look observes host and root. The file tree of the host holds the root's too.
func (n nested) look() wire.Observation {
	o, inside := n.host.Observe("tool"), n.inside.Observe("tool")
	n.host.Trees = append(n.host.Trees, n.inside.Trees...)
	o.Trees[chroot], o.RootFacts = inside.Trees["/"], map[string]string{chroot: inside.Facts}
	return o
}

// upgrade takes host and root to version 2 and gives the input of the reconciliation.
func (n nested) upgrade(do func(next string)) *explain.Input {
	next := n.host.Pack("tool", "2", map[string]string{"/usr/bin/tool": "2", "/etc/tool": "2"})
	f, err := os.Open(next)
	n.host.Must(err)
	p, err := deb.Read(f)
	n.host.Must(err)
	f.Close()
	c := explain.ContentsOf(p)
	actions := explaintest.Upgrades("tool")
	actions[0].SHA256, actions[0].To, actions[0].Arch = p.SHA256, p.Version, p.Arch
	contents := []string{n.host.Fact(&c)}
	in := &explain.Input{Order: "ord_x", Host: "hst_x", Actions: actions, Contents: contents, Roots: []explain.Inside{{Root: chroot, Actions: actions, Contents: contents}}, Before: n.look()}
	do(next)
	in.After = n.look()
	return in
}

func TestARootIsReconciledLikeAHost(t *testing.T) {
	n := newNested(t)
	r := report(n.t, n.host, n.upgrade(func(next string) {
		n.host.Dpkg("-i", next)
		n.inside.Dpkg("-i", next)
	}))
	for _, l := range r.Discrepancies() {
		t.Errorf("%s %s %s: %s", l.Verdict, l.Path, l.Rule, l.Why)
	}
	got := verdicts(r)
	for path, want := range map[string]string{"/usr/bin/tool": "as shipped P1", "/etc/tool": "as shipped P10", "/var/lib/dpkg/status": "derived dpkg status"} {
		if got[path] != want || got[chroot+path] != want {
			t.Errorf("%s: %q on the host, %q in the root, want %q", path, got[path], got[chroot+path], want)
		}
	}
	seen := map[string]int{}
	for _, l := range r.Lines {
		if seen[l.Path]++; seen[l.Path] > 1 {
			t.Errorf("%s is told twice", l.Path)
		}
	}
}

// What an order did in one root explains nothing in another, and what was to be done in a root is missed there.
func TestWhatNothingExplainsInARootShows(t *testing.T) {
	n := newNested(t)
	in := n.upgrade(func(next string) {
		n.host.Dpkg("-i", next)
		n.inside.Write("/usr/bin/implant", "evil")
		n.host.Write("/var/log/dpkg.log", "")
	})
	r := report(n.t, n.host, in)
	got := verdicts(r)
	for path, want := range map[string]string{
		"/usr/bin/tool": "as shipped P1", chroot + "/usr/bin/tool": "missing P1", chroot + "/etc/tool": "missing P10",
		chroot + "/usr/bin/implant": "unexplained", "/var/log/dpkg.log": "unexplained",
	} {
		if got[path] != want {
			t.Errorf("%s: %q, want %q", path, got[path], want)
		}
	}

	in.Roots = nil // an order that did not name the root
	for _, l := range report(n.t, n.host, in).Lines {
		if strings.HasPrefix(l.Path, chroot) && l.Verdict != explain.Unexplained {
			t.Errorf("without an order for the root %s is %s", l.Path, l.Verdict)
		}
	}

	in = n.upgrade(func(next string) { n.inside.Dpkg("-i", next) }) // the host has version 2 already
	in.Actions, in.Contents = in.Actions[:0], in.Contents[:0]
	if r := report(n.t, n.host, in); !r.Clean() {
		t.Errorf("an order for the root alone: %+v", r.Discrepancies())
	}
}

// What stage showed in its root passes in production's, and not elsewhere on the host.
func TestARootsChangesAreAsStaged(t *testing.T) {
	n := newNested(t)
	in := n.upgrade(func(next string) {
		n.host.Dpkg("-i", next)
		n.inside.Dpkg("-i", next)
		n.inside.Write("/var/lib/made", "by a script")
	})
	r := report(n.t, n.host, in)
	if got := verdicts(r)[chroot+"/var/lib/made"]; got != "unexplained" {
		t.Fatalf("on stage it is %q", got)
	}
	digest := n.host.Fact(r)
	m := explain.ManifestOf("ord_stage", map[string]*explain.Report{digest: r})
	in.Manifest = n.host.Fact(&m)
	if got := verdicts(report(n.t, n.host, in))[chroot+"/var/lib/made"]; got != "as staged" {
		t.Errorf("on production it is %q", got)
	}
	in.Roots = nil
	if got := verdicts(report(n.t, n.host, in))[chroot+"/var/lib/made"]; got != "as staged" {
		t.Errorf("told by the host's own tree it is %q", got)
	}
}

// A copied file is explained by the order that names it, with the content that its package has there, and by nothing else (P14).
func TestACopyFollowsItsPackage(t *testing.T) {
	d := func(s string) string { return envelope.Digest([]byte(s)) }
	for name, row := range map[string]struct {
		to      string // what the order says that it shall have
		do      func(inside *explaintest.Host)
		without bool // the content list of its package
		want    string
	}{
		"as signed":       {"22", func(inside *explaintest.Host) { inside.Write("/usr/bin/tool", "22") }, false, "as shipped P14"},
		"not done":        {"22", func(*explaintest.Host) {}, false, "missing P14"},
		"another content": {"22", func(inside *explaintest.Host) { inside.Write("/usr/bin/tool", "ev") }, false, "unexplained P14"},
		"another mode": {"22", func(inside *explaintest.Host) {
			inside.Write("/usr/bin/tool", "22")
			inside.Must(os.Chmod(inside.At("/usr/bin/tool"), 0o4755))
		}, false, "unexplained P14"},
		"gone":                       {"22", func(inside *explaintest.Host) { inside.Must(os.Remove(inside.At("/usr/bin/tool"))) }, false, "unexplained P14"},
		"what the package never had": {"ev", func(inside *explaintest.Host) { inside.Write("/usr/bin/tool", "ev") }, false, "unexplained"},
		"a package nobody can see":   {"22", func(inside *explaintest.Host) { inside.Write("/usr/bin/tool", "22") }, true, "unexplained"},
	} {
		t.Run(name, func(t *testing.T) {
			n := nested{t: t, host: explaintest.New(t, time.Now)}
			n.inside = n.host.Inside(chroot)
			n.host.Dpkg("-i", n.host.Pack("tool", "1", map[string]string{"/usr/bin/tool": "1"}))
			n.inside.Write("/usr/bin/tool", "1")
			next := n.host.Pack("tool", "2", map[string]string{"/usr/bin/tool": "22"})
			f, err := os.Open(next)
			n.host.Must(err)
			p, err := deb.Read(f)
			n.host.Must(err)
			f.Close()
			c := explain.ContentsOf(p)
			actions := explaintest.Upgrades("tool")
			actions[0].SHA256, actions[0].To, actions[0].Arch = p.SHA256, p.Version, p.Arch
			contents := []string{n.host.Fact(&c)}
			copied := explain.Inside{Root: chroot, Actions: []warrant.Action{}, Contents: []string{}, Origins: contents, Copies: []warrant.Copy{
				{Path: "/usr/bin/tool", From: d("1"), To: d(row.to), Size: 2, Package: "tool", Version: "2", Deb: p.SHA256}}}
			if row.without {
				copied.Origins = nil
			}
			in := &explain.Input{Order: "ord_x", Host: "hst_x", Actions: actions, Contents: contents, Roots: []explain.Inside{copied}, Before: n.look()}
			n.host.Dpkg("-i", next)
			row.do(n.inside)
			in.After = n.look()
			r := report(t, n.host, in)
			got := verdicts(r)
			if got["/usr/bin/tool"] != "as shipped P1" || got[chroot+"/usr/bin/tool"] != row.want {
				t.Errorf("%q on the host, %q in the root, want %q", got["/usr/bin/tool"], got[chroot+"/usr/bin/tool"], row.want)
			}
			if r.Clean() != (row.want == "as shipped P14") {
				t.Errorf("%+v", r.Discrepancies())
			}
		})
	}
}

// A package's file has one content whichever way its path is written; a configuration file is the root's own.
func TestOriginalsOfCopies(t *testing.T) {
	c := explain.Contents{Conffiles: []string{"/etc/tool"}, Files: []explain.Shipped{{Path: "/lib/tool.so", Type: "f", SHA256: "a"},
		{Path: "/usr/bin/tool", Type: "f", SHA256: "b"}, {Path: "/etc/tool", Type: "f", SHA256: "c"}, {Path: "/usr/lib", Type: "d"}}}
	for path, want := range map[string]string{"/lib/tool.so": "a", "/usr/lib/tool.so": "a", "/bin/tool": "b", "/usr/bin/tool": "b", "/etc/tool": "", "/usr/lib": "", "/usr/bin/other": ""} {
		if f, ok := c.Original(path); f.SHA256 != want || ok != (want != "") {
			t.Errorf("%s: %+v, %v", path, f, ok)
		}
	}
}

// All that a reconciliation rests on is cited, that of its roots too.
func TestFactsOfRootsAreCited(t *testing.T) {
	d := func(s string) string { return envelope.Digest([]byte(s)) }
	in := &explain.Input{Contents: []string{d("a")}, Roots: []explain.Inside{{Root: chroot, Contents: []string{d("b")}, Origins: []string{d("f")}}},
		Before: wire.Observation{RootFacts: map[string]string{chroot: d("c")}}, After: wire.Observation{RootFacts: map[string]string{chroot: d("e")}}}
	if got := in.Facts(); len(got) != 5 {
		t.Errorf("%v", got)
	}
}
