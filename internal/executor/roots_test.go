package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/executor"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// newHostWithRoot is a host with another root, which its policy names; the order upgrades hello in it too.
func newHostWithRoot(t *testing.T) (h *host, root string) {
	if os.Getuid() != 0 {
		t.Skip("what stands beside the host's own root must be root's: this test runs as root")
	}
	h = newHost(t)
	root = h.path("chroot")
	h.write("chroot/etc/hostname", "inside\n")
	h.inside = map[string]string{"hello:amd64": "install installed 1.0", "other:amd64": "install installed 7"}
	h.order.Transactions = append(h.order.Transactions, warrant.Transaction{Hosts: []string{"hst_1"}, Root: root,
		Actions: h.order.Transactions[0].Actions[:1]})
	h.names(root)
	return h, root
}

// names writes the host's own policy.
func (h *host) names(root string) { h.write("etc/executor.json", fmt.Sprintf(`{"roots": [%q]}`, root)) }

// runInside is the package manager of the other root.
func (h *host) runInside(root, line string) ([]byte, error) {
	switch {
	case strings.HasPrefix(line, "apt-get --simulate install"):
		return []byte("Inst hello [1.0] (1.1  [amd64])\nConf hello (1.1  [amd64])\n"), nil
	case strings.HasPrefix(line, "apt-get --print-uris install"):
		a := h.order.Transactions[0].Actions[0]
		b, err := os.ReadFile(filepath.Join(root, ".patchwarrant", a.File))
		if err != nil || string(b) != debs["hello"] {
			h.t.Errorf("the copy in the root: %q, %v", b, err)
		}
		return fmt.Appendf(nil, "'file:/.patchwarrant/%s' hello_amd64.deb 9 SHA256:x\n", a.File), nil
	case strings.HasPrefix(line, "apt-get install"):
		h.inside["hello:amd64"] = "install installed 1.1"
	}
	return nil, nil
}

// bare demands that nothing of ours is left in the root.
func (h *host) bare(root string) {
	h.t.Helper()
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 {
		h.t.Errorf("the root holds %v, %v", entries, err)
	}
}

func TestObeyReachesIntoARoot(t *testing.T) {
	h, root := newHostWithRoot(t)
	document := h.document()
	r := h.obey(document)
	want := warrant.Observed{Root: root, Name: "hello", Arch: "amd64", From: "1.0", To: "1.1", Now: "1.1", Status: "installed"}
	if r.Outcome != warrant.Done || len(r.Packages) != 5 || r.Packages[0].Root != "" || r.Packages[4] != want {
		t.Fatalf("%+v", r)
	}
	h.bare(root)
	const inside = "in the root: apt-get install --yes --no-remove --mark-auto hello:amd64=1.1"
	first := slices.IndexFunc(h.ran, func(s string) bool { return strings.HasPrefix(s, "apt-get install") })
	looked := slices.IndexFunc(h.ran, func(s string) bool { return strings.HasPrefix(s, "in the root: apt-get --simulate install") })
	if second := slices.Index(h.ran, inside); first < 0 || looked < 0 || looked > first || second < first {
		t.Errorf("every root is looked at before anything is changed, then / comes first: it ran %q", h.ran)
	}
	session, err := os.ReadFile(h.path("state/sessions/ord_1/session.log"))
	if err != nil || !bytes.Contains(session, []byte(`# hello:amd64 "1.0" -> "1.1" installed in `+root+"\n")) {
		t.Errorf("%v: session %s", err, session)
	}
	ran := len(h.ran)
	if diff := cmp.Diff(r, h.obey(document)); diff != "" || len(h.ran) != ran {
		t.Errorf("the same order again: %s, ran %q", diff, h.ran[ran:])
	}
}

// An order may change another root alone.
func TestObeyReachesIntoARootAlone(t *testing.T) {
	h, root := newHostWithRoot(t)
	h.order.Transactions = h.order.Transactions[1:]
	before := maps.Clone(h.packages)
	if r := h.obey(h.document()); r.Outcome != warrant.Done || len(r.Packages) != 1 || r.Packages[0].Root != root || !maps.Equal(before, h.packages) {
		t.Errorf("%+v, the host has %v", r, h.packages)
	}
	h.bare(root)
}

// Each row: the order is refused whole, nothing is changed in any root, nothing is left there.
func TestObeyRefusesForARoot(t *testing.T) {
	for _, row := range []struct {
		name, code string
		do         func(h *host, root string)
	}{
		{"a host without a policy", fault.ForeignRoot, func(h *host, _ string) { os.Remove(h.path("etc/executor.json")) }},
		{"a policy that names no root", fault.ForeignRoot, func(h *host, _ string) { h.write("etc/executor.json", `{"classes": ["routine"]}`) }},
		{"a policy that names another root", fault.ForeignRoot, func(h *host, root string) { h.names(root + "2") }},
		{"a policy that names what is above", fault.ForeignRoot, func(h *host, root string) { h.names(filepath.Dir(root)) }},
		{"a root that is not there", fault.ForeignRoot, func(h *host, root string) { h.ok(os.RemoveAll(root)) }},
		{"a link in its place", fault.ForeignRoot, func(h *host, root string) {
			h.ok(errors.Join(os.Rename(root, h.path("elsewhere")), os.Symlink(h.path("elsewhere"), root)))
		}},
		{"a link above it", fault.ForeignRoot, func(h *host, root string) {
			h.ok(errors.Join(os.Mkdir(h.path("real"), 0o755), os.Rename(root, h.path("real/chroot")), os.Symlink(h.path("real"), h.path("link"))))
			h.order.Transactions[1].Root = h.path("link/chroot")
			h.names(h.path("link/chroot"))
		}},
		{"a root that belongs to somebody", fault.ForeignRoot, func(h *host, root string) { h.ok(os.Chown(root, 4711, 0)) }},
		{"a root in which a group writes", fault.ForeignRoot, func(h *host, root string) { h.ok(os.Chmod(root, 0o775)) }},
		{"somebody's directory above it", fault.ForeignRoot, func(h *host, root string) {
			h.ok(errors.Join(os.Mkdir(h.path("home"), 0o755), os.Chown(h.path("home"), 4711, 0), os.Rename(root, h.path("home/chroot"))))
			h.order.Transactions[1].Root = h.path("home/chroot")
			h.names(h.path("home/chroot"))
		}},
		{"other packages inside", fault.Plan, func(h *host, _ string) { h.inside["hello:amd64"] = "install installed 1.0.1" }},
		{"a package on hold inside", fault.Held, func(h *host, _ string) { h.inside["hello:amd64"] = "hold installed 1.0" }},
		{"apt inside would do more", fault.Plan, func(h *host, _ string) {
			run := h.config.Run
			h.config.Run = func(ctx context.Context, root, conf string, log io.Writer, name string, args ...string) ([]byte, error) {
				out, err := run(ctx, root, conf, log, name, args...)
				if root != "" && name == "apt-get" && args[0] == "--simulate" {
					out = append(out, "Inst evil (1 x [amd64])\n"...)
				}
				return out, err
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			h, root := newHostWithRoot(t)
			row.do(h, root)
			before, inside := maps.Clone(h.packages), maps.Clone(h.inside)
			r := h.obey(h.document())
			if r.Outcome != warrant.Refused || r.Code != row.code {
				t.Errorf("report %+v, want code %s", r, row.code)
			}
			if !maps.Equal(before, h.packages) || !maps.Equal(inside, h.inside) {
				t.Errorf("something was changed: %q", h.ran)
			}
			if _, err := os.Lstat(filepath.Join(root, ".patchwarrant")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("copies are left in the root: %v", err)
			}
		})
	}
}

// What was looked at is what is changed: a root that became another while the host's own packages were installed stays as it is.
func TestARootThatChangesMeanwhileIsLeft(t *testing.T) {
	for name, to := range map[string]string{"a package of the order": "hello:amd64", "any other package": "other:amd64"} {
		t.Run(name, func(t *testing.T) {
			h, root := newHostWithRoot(t)
			h.midway = func() { h.inside[to] = "install installed 1.0.7" }
			r := h.obey(h.document())
			if r.Outcome != warrant.RunFailed || r.Code != fault.Plan || r.Packages[0].Now != "1.1" || r.Packages[4].Now == "1.1" {
				t.Errorf("%+v", r)
			}
			if slices.ContainsFunc(h.ran, func(s string) bool { return strings.HasPrefix(s, "in the root: apt-get install") }) {
				t.Errorf("it ran %q", h.ran)
			}
			h.bare(root)
		})
	}
}

// A run that was killed before it came to the root is never run again, in any root.
func TestAKilledRunIsNotGoneOnWithInARoot(t *testing.T) {
	h, root := newHostWithRoot(t)
	document := h.document()
	h.die = true
	func() {
		defer func() {
			if _, ok := recover().(killed); !ok {
				t.Fatal("not killed")
			}
		}()
		h.obey(document)
	}()
	h.die, h.ran = false, nil
	r := h.obey(document)
	if r.Outcome != warrant.Interrupted || len(r.Packages) != 5 || r.Packages[4].Root != root || r.Packages[4].Now != "1.0" {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff([]string{"apt-get check", "in the root: apt-get check"}, h.ran); diff != "" {
		t.Errorf("after the kill it ran %s", diff)
	}
	h.bare(root)
}

// A link that someone put where the copies go leads the executor nowhere.
func TestALinkInARootLeadsNowhere(t *testing.T) {
	h, root := newHostWithRoot(t)
	h.write("precious/file", "the host's own")
	h.ok(os.Symlink(h.path("precious"), filepath.Join(root, ".patchwarrant")))
	if r := h.obey(h.document()); r.Outcome != warrant.Done {
		t.Errorf("%+v", r)
	}
	if entries, err := os.ReadDir(h.path("precious")); err != nil || len(entries) != 1 {
		t.Errorf("the host's own directory holds %v, %v", entries, err)
	}
	h.bare(root)
}

// What runs in a root stays in it, though it is root's: the program in testdata/escape tries the known ways out.
func TestWhatRunsInARootStaysThere(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can change roots")
	}
	root := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(root, "usr/bin/env"), "./testdata/escape")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(root, "mark"), []byte("inside"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	before, err := executor.Run(t.Context(), "", "", &log, "cat", "/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Run(t.Context(), root, "", &log, "env") // a name that there is outside too
	if err != nil {
		t.Errorf("%v: %s", err, log.String())
	}
	t.Logf("%s", out)
	after, err := executor.Run(t.Context(), "", "", &log, "cat", "/proc/self/status")
	if err != nil || bounding(before) == "" || bounding(before) != bounding(after) {
		t.Errorf("what runs in the host's own root may %s, before it was %s: %v", bounding(after), bounding(before), err)
	}
}

func bounding(status []byte) string {
	_, rest, _ := bytes.Cut(status, []byte("CapBnd:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return strings.TrimSpace(string(line))
}
