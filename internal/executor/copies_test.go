package executor_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// newHostWithCopies is a host with another root that has no packages: copies of two files of the host's package hello, which the
// order upgrades. names gives their paths, on the host and in the root.
func newHostWithCopies(t *testing.T) (h *host, root string, names []string) {
	h, root = newHostWithRoot(t)
	names = []string{h.path("own/a.so"), h.path("own/b.so")}
	var copies []warrant.Copy
	for _, name := range names {
		h.ok(errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.MkdirAll(filepath.Dir(root+name), 0o755)))
		h.ok(errors.Join(os.WriteFile(name, []byte("old"), 0o644), os.WriteFile(root+name, []byte("old"), 0o644)))
		copies = append(copies, warrant.Copy{Path: name, From: envelope.Digest([]byte("old")), To: envelope.Digest([]byte("new")), Size: 3,
			Package: "hello", Version: "1.1", Deb: h.order.Transactions[0].Actions[0].SHA256})
	}
	h.order.Transactions[1].Actions, h.order.Transactions[1].Copies = []warrant.Action{}, copies
	h.midway = func() {
		for _, name := range names {
			h.ok(os.WriteFile(name, []byte("new"), 0o644))
		}
	}
	return h, root, names
}

// holds demands what the copies in the root hold, and that nothing lies beside them.
func (h *host) holds(root string, names []string, want ...string) {
	h.t.Helper()
	for i, name := range names {
		if b, err := os.ReadFile(root + name); err != nil || string(b) != want[i] {
			h.t.Errorf("%s holds %q, %v, want %q", root+name, b, err, want[i])
		}
	}
	if all, err := os.ReadDir(filepath.Dir(root + names[0])); err != nil || len(all) != len(names) {
		h.t.Errorf("beside the copies lie %v, %v", all, err)
	}
}

// A root without a package manager follows its host: the bytes are the host's own after the upgrade, owner and mode stay, and a
// set-user-ID file keeps just the mode that it had.
func TestCopiesFollowUnderTheSameOrder(t *testing.T) {
	h, root, names := newHostWithCopies(t)
	h.ok(errors.Join(os.Chown(root+names[0], 4711, 4712), os.Chmod(root+names[0], 0o750|os.ModeSetuid)))
	document := h.document()
	r := h.obey(document)
	old, fresh := envelope.Digest([]byte("old")), envelope.Digest([]byte("new"))
	want := warrant.Observed{Root: root, Name: names[0], From: old, To: fresh, Now: fresh, Status: "copy"}
	if r.Outcome != warrant.Done || len(r.Packages) != 6 || r.Packages[4] != want || r.Packages[5].Name != names[1] {
		t.Fatalf("%+v", r)
	}
	h.holds(root, names, "new", "new")
	info, err := os.Stat(root + names[0])
	h.ok(err)
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 4711 || st.Gid != 4712 || info.Mode() != 0o750|os.ModeSetuid {
		t.Errorf("it belongs to %d:%d with mode %s", st.Uid, st.Gid, info.Mode())
	}
	if info, err := os.Stat(root + names[1]); err != nil || info.Mode() != 0o644 {
		t.Errorf("the other has mode %v, %v", info.Mode(), err)
	}
	for _, line := range h.ran {
		if strings.HasPrefix(line, "in the root: ") {
			t.Errorf("in a root without packages it ran %s", line)
		}
	}
	session, err := os.ReadFile(h.path("state/sessions/ord_1/session.log"))
	if err != nil || !strings.Contains(string(session), names[0]+`: "`+old+`" -> "`+fresh+`" copy in `+root) {
		t.Errorf("%v: session %s", err, session)
	}
	h.ok(os.WriteFile(root+names[0], []byte("meanwhile"), 0o644))
	if again := h.obey(document); again.EndedAt != r.EndedAt {
		t.Errorf("the same order ran again: %+v", again)
	}
	h.holds(root, names, "meanwhile", "new")
}

// An order for copies alone: the host's own package was upgraded before.
func TestCopiesFollowAlone(t *testing.T) {
	h, root, names := newHostWithCopies(t)
	h.midway()
	h.order.Transactions = h.order.Transactions[1:]
	packages := maps.Clone(h.packages)
	if r := h.obey(h.document()); r.Outcome != warrant.Done || len(r.Packages) != 2 || !maps.Equal(packages, h.packages) || len(h.ran) != 0 {
		t.Errorf("%+v; it ran %q", r, h.ran)
	}
	h.holds(root, names, "new", "new")
}

// Each row is an attack or an accident: the order is refused whole, before anything is changed on the host.
func TestCopiesThatAreRefused(t *testing.T) {
	for _, row := range []struct {
		name, code string
		do         func(h *host, root string, file string)
	}{
		{"a root that the policy does not name", fault.ForeignRoot, func(h *host, root, _ string) { h.names(root + "2") }},
		{"a root in which others write", fault.ForeignRoot, func(h *host, root, _ string) { h.ok(os.Chmod(root, 0o775)) }},
		{"another content", fault.Plan, func(h *host, _, file string) { h.ok(os.WriteFile(file, []byte("mine"), 0o644)) }},
		{"the new content already", fault.Plan, func(h *host, _, file string) { h.ok(os.WriteFile(file, []byte("new"), 0o644)) }},
		{"no file", fault.ForeignRoot, func(h *host, _, file string) { h.ok(os.Remove(file)) }},
		{"no directory", fault.ForeignRoot, func(h *host, _, file string) { h.ok(os.RemoveAll(filepath.Dir(file))) }},
		{"a link to the host's own file", fault.ForeignRoot, func(h *host, root, file string) {
			h.ok(errors.Join(os.Remove(file), os.Symlink(strings.TrimPrefix(file, root), file)))
		}},
		{"a link to a file in the root", fault.ForeignRoot, func(h *host, _, file string) {
			h.ok(errors.Join(os.Rename(file, file+".real"), os.Symlink(filepath.Base(file)+".real", file)))
		}},
		{"a link out of the root in place of the directory", fault.ForeignRoot, func(h *host, root, file string) {
			dir := filepath.Dir(file)
			h.ok(errors.Join(os.RemoveAll(dir), os.Symlink(strings.TrimPrefix(dir, root), dir)))
		}},
		{"a link within the root in place of the directory", fault.ForeignRoot, func(h *host, _, file string) {
			dir := filepath.Dir(file)
			h.ok(errors.Join(os.Rename(dir, dir+"2"), os.Symlink(filepath.Base(dir)+"2", dir)))
		}},
		{"a link that climbs", fault.ForeignRoot, func(h *host, root, file string) {
			dir := filepath.Dir(file)
			h.ok(errors.Join(os.RemoveAll(dir), os.Symlink(strings.Repeat("../", 20)+strings.TrimPrefix(dir, root+"/"), dir)))
		}},
		{"a directory", fault.ForeignRoot, func(h *host, _, file string) { h.ok(errors.Join(os.Remove(file), os.Mkdir(file, 0o755))) }},
		{"a pipe", fault.ForeignRoot, func(h *host, _, file string) { h.ok(errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o644))) }},
		{"somebody's directory", fault.ForeignRoot, func(h *host, _, file string) { h.ok(os.Chown(filepath.Dir(file), 4711, 0)) }},
		{"a directory in which a group writes", fault.ForeignRoot, func(h *host, _, file string) { h.ok(os.Chmod(filepath.Dir(file), 0o775)) }},
		{"a directory in which all write", fault.ForeignRoot, func(h *host, _, file string) {
			h.ok(os.Chmod(filepath.Dir(file), 0o777|os.ModeSticky))
		}},
		{"a file with extended attributes", fault.ForeignRoot, func(h *host, _, file string) {
			if err := unix.Setxattr(file, "trusted.mark", []byte("x"), 0); err != nil {
				h.t.Skip("this file system has no extended attributes: ", err)
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			h, root, names := newHostWithCopies(t)
			row.do(h, root, root+names[1])
			packages := maps.Clone(h.packages)
			r := h.obey(h.document())
			if r.Outcome != warrant.Refused || r.Code != row.code || len(r.Packages) != 0 {
				t.Errorf("report %+v, want code %s", r, row.code)
			}
			if b, err := os.ReadFile(names[0]); err != nil || string(b) != "old" || !maps.Equal(packages, h.packages) {
				t.Errorf("something was changed: %q, %q", b, h.ran)
			}
		})
	}
}

// A mount in the root leads to files that are not the root's: the host's own, say.
func TestACopyOnAnotherMountIsRefused(t *testing.T) {
	h, root, names := newHostWithCopies(t)
	dir := filepath.Dir(root + names[0])
	if err := unix.Mount(filepath.Dir(names[0]), dir, "", unix.MS_BIND, ""); err != nil {
		t.Skip("no mounts here: ", err)
	}
	t.Cleanup(func() { h.ok(unix.Unmount(dir, unix.MNT_DETACH)) })
	if r := h.obey(h.document()); r.Outcome != warrant.Refused || r.Code != fault.ForeignRoot {
		t.Errorf("%+v", r)
	}
}

// What goes wrong while the host's own packages are installed leaves every copy of the root as it was, and nothing beside.
func TestCopiesAreAllOrNone(t *testing.T) {
	for _, row := range []struct {
		name, code string
		do         func(h *host, root string, names []string)
	}{
		{"the upgrade brings another content", fault.Arbitrary, func(h *host, _ string, names []string) {
			h.ok(errors.Join(os.WriteFile(names[0], []byte("new"), 0o644), os.WriteFile(names[1], []byte("bad"), 0o644)))
		}},
		{"the upgrade brings more bytes", fault.Arbitrary, func(h *host, _ string, names []string) {
			h.ok(errors.Join(os.WriteFile(names[0], []byte("new"), 0o644), os.WriteFile(names[1], []byte("nearly"), 0o644)))
		}},
		{"the host's own became a link", fault.Arbitrary, func(h *host, _ string, names []string) {
			h.ok(errors.Join(os.WriteFile(names[0], []byte("new"), 0o644), os.Remove(names[1]), os.Symlink(names[0], names[1])))
		}},
		{"the copy became another file", fault.Plan, func(h *host, root string, names []string) {
			h.ok(os.WriteFile(names[0], []byte("new"), 0o644))
			h.ok(errors.Join(os.WriteFile(names[1], []byte("new"), 0o644), os.WriteFile(root+names[1], []byte("old2"), 0o644)))
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			h, root, names := newHostWithCopies(t)
			h.midway = func() { row.do(h, root, names) }
			r := h.obey(h.document())
			if r.Outcome != warrant.RunFailed || r.Code != row.code || r.Packages[0].Now != "1.1" || r.Packages[4].Now != envelope.Digest([]byte("old")) {
				t.Errorf("%+v", r)
			}
			was := "old"
			if row.code == fault.Plan {
				was = "old2"
			}
			h.holds(root, names, "old", was)
		})
	}
}

// A directory that becomes a link to the host's own between the look and the change leads nowhere.
func TestACopyIsLookedAtAgain(t *testing.T) {
	h, root, names := newHostWithCopies(t)
	upgrade := h.midway
	h.midway = func() {
		upgrade()
		dir := filepath.Dir(names[0])
		h.ok(os.WriteFile(names[1], []byte("old"), 0o644))
		h.ok(errors.Join(os.RemoveAll(root+dir), os.Symlink(dir, root+dir)))
	}
	r := h.obey(h.document())
	if r.Outcome != warrant.RunFailed || r.Code != fault.ForeignRoot || r.Packages[4].Now != "" {
		t.Errorf("%+v", r)
	}
	if b, err := os.ReadFile(names[1]); err != nil || string(b) != "old" {
		t.Errorf("the host's own file holds %q, %v", b, err)
	}
}

// A run that was cut off is never gone on with: what it left beside is taken away, and each copy is told as it is.
func TestCopiesOfARunThatWasCutOff(t *testing.T) {
	for _, row := range []struct {
		name, outcome string
		left          []string // what the copies hold when the machine comes back
		packages      bool     // the host's own packages came to their end
	}{
		{"before the copies", warrant.Interrupted, []string{"old", "old"}, true},
		{"between two copies", warrant.Interrupted, []string{"new", "old"}, true},
		{"after the last", warrant.Done, []string{"new", "new"}, true},
		{"in the packages", warrant.Interrupted, []string{"old", "old"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			h, root, names := newHostWithCopies(t)
			document, run := h.document(), h.config.Run
			h.config.Run = func(ctx context.Context, in, conf string, log io.Writer, name string, args ...string) ([]byte, error) {
				install := name == "apt-get" && args[0] == "install"
				if install && !row.packages {
					h.die = true
				}
				out, err := run(ctx, in, conf, log, name, args...)
				if install {
					panic(killed{})
				}
				return out, err
			}
			func() {
				defer func() {
					if _, ok := recover().(killed); !ok {
						t.Fatal("not killed")
					}
				}()
				h.obey(document)
			}()
			h.config.Run, h.die = run, false
			for i, text := range row.left {
				h.ok(os.WriteFile(root+names[i], []byte(text), 0o644))
			}
			h.ok(os.WriteFile(root+names[1]+".patchwarrant", []byte("ne"), 0o600))
			r := h.obey(document)
			if r.Outcome != row.outcome || r.Packages[4].Now != envelope.Digest([]byte(row.left[0])) || r.Packages[5].Now != envelope.Digest([]byte(row.left[1])) {
				t.Errorf("%+v", r)
			}
			h.holds(root, names, row.left...)
			if again := h.obey(document); again.EndedAt != r.EndedAt || again.Outcome != r.Outcome {
				t.Errorf("asked again: %+v", again)
			}
		})
	}
}
