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
	in := &explain.Input{Order: "ord_x", Host: "hst_x", Actions: actions, Contents: contents, Roots: []explain.Inside{{chroot, actions, contents}}, Before: n.look()}
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

// All that a reconciliation rests on is cited, that of its roots too.
func TestFactsOfRootsAreCited(t *testing.T) {
	d := func(s string) string { return envelope.Digest([]byte(s)) }
	in := &explain.Input{Contents: []string{d("a")}, Roots: []explain.Inside{{Root: chroot, Contents: []string{d("b")}}},
		Before: wire.Observation{RootFacts: map[string]string{chroot: d("c")}}, After: wire.Observation{RootFacts: map[string]string{chroot: d("e")}}}
	if got := in.Facts(); len(got) != 4 {
		t.Errorf("%v", got)
	}
}
