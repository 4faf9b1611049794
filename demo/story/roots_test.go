//go:build world

package story

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

const (
	chroot = "/srv/chroot"
	jail   = "/srv/jail" // without packages: files that were copied from the host's
)

// rootsFollow: a chroot that stayed behind on each host is patched by the host's own executor, with the chroot's own apt, under
// the order that patches its host or under one of its own, once the host's own policy names it, and never before; and so are files
// that were copied into a root without packages.
func rootsFollow(ctx context.Context, t *testing.T, s *Story) {
	k := &killing{Story: s, t: t, c: s.changes[0], host: s.hosts["stage-1"]}
	must(t, k.bringOld(ctx))
	must(t, k.reset(ctx))
	for _, name := range []string{"stage-1", "prod-1"} {
		must(t, s.world.Chroot(ctx, s.hosts[name].Host, chroot))
		_, err := s.hosts[name].Exec(ctx, "mkdir", "-p", jail)
		must(t, err)
		must(t, s.watchRoot(ctx, name))
	}
	if o, err := s.propose(ctx, k.c, "stage", "--roots"); err != nil || len(transactions(t, o.Payload)) != 1 {
		t.Errorf("a root that no host names is not part of an order: %s, %v", o.Payload, err)
	}
	for _, name := range []string{"stage-1", "prod-1"} {
		must(t, s.openRoot(ctx, name))
	}

	copied, err := s.copyOut(ctx, "stage-1")
	must(t, err)
	refused, err := s.propose(ctx, k.c, "stage", "--roots")
	must(t, err)
	must(t, s.hosts["stage-1"].WriteFile(ctx, localPolicy, strings.NewReader("{}"), 0o644))
	must(t, s.approve(ctx, refused, "bob", "alice"))
	o, err := s.settled(ctx, refused.ID)
	if run := o.Rollout.Runs[0]; err != nil || run.State != warrant.Refused || run.Code != fault.ForeignRoot {
		t.Errorf("an order for a root that the host names no more is %+v, %v", run, err)
	}
	for _, root := range []string{"/", chroot} {
		s.has(ctx, t, "stage-1", root, false)
	}
	must(t, s.openRoot(ctx, "stage-1"))
	must(t, s.await(ctx, "the copies in the jail of stage-1", 2*time.Minute, func(ctx context.Context) (bool, error) {
		h, err := s.known(ctx, "stage-1")
		return err == nil && h.Roots[jail].Copies == len(copied) && h.Roots[jail].Changeable, err
	}))

	stage, err := s.propose(ctx, k.c, "stage", "--roots")
	must(t, err)
	if all := transactions(t, stage.Payload); len(all) != 3 || all[0].Root != "" || all[1].Root != chroot || all[2].Root != jail || len(all[2].Actions) != 0 {
		t.Fatalf("the order is not for all three: %s", stage.Payload)
	}
	must(t, s.approve(ctx, stage, "bob", "alice"))
	if o, err = s.settled(ctx, stage.ID); err != nil || o.State != "closed" {
		t.Fatalf("%v, %v", s.unexpected(ctx, o), err)
	}
	for _, path := range copied {
		outside, err := s.hosts["stage-1"].ReadFile(ctx, path)
		must(t, err)
		inside, err := s.hosts["stage-1"].ReadFile(ctx, jail+path)
		if err != nil || !bytes.Equal(inside, outside) {
			t.Errorf("the copy of %s did not follow: %v", path, err)
		}
	}
	s.say("stage-1 patched /, %s and %d copied files in %s under one order", chroot, len(transactions(t, stage.Payload)[2].Copies), jail)

	must(t, s.promote(ctx, k.c, "production"))
	prod, err := s.propose(ctx, k.c, "production", "--roots", "--class", "routine", "--of", stage.ID, "--notice", "all users of prod-1") // stage showed nothing to acknowledge
	must(t, err)
	if all := transactions(t, prod.Payload); len(all) != 1 || all[0].Root != chroot {
		t.Fatalf("prod-1 has the patch, only its root lags: %s", prod.Payload)
	}
	must(t, s.approve(ctx, prod, "dave", "bob"))
	if o, err = s.settled(ctx, prod.ID); err != nil || o.State != "closed" {
		t.Fatalf("%v, %v", s.unexpected(ctx, o), err)
	}
	s.say("prod-1 patched %s; every changed file is explained", chroot)
	for _, name := range []string{"stage-1", "prod-1"} {
		for _, root := range []string{"/", chroot} {
			s.has(ctx, t, name, root, true)
		}
		if _, err := os.Lstat(filepath.Join(s.hosts[name].Root, chroot, ".patchwarrant")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: copies are left in the root: %v", name, err)
		}
	}
}

// copyOut copies programs and libraries of the first change's package into the jail of a host, and gives their paths.
func (s *Story) copyOut(ctx context.Context, name string) (paths []string, err error) {
	h := s.hosts[name]
	list, err := h.Exec(ctx, "dpkg-query", "--listfiles", s.changes[0].pairs[0].Package)
	if err != nil {
		return nil, err
	}
	for path := range strings.Lines(string(list)) {
		path = strings.TrimSpace(path)
		info, err := os.Lstat(filepath.Join(h.Root, path))
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 || !strings.HasPrefix(path, "/usr/bin/") && !strings.HasPrefix(path, "/usr/lib/") {
			continue
		}
		if _, err := h.Exec(ctx, "cp", "--parents", "--archive", path, jail); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s has no program or library to copy", s.changes[0].pairs[0].Package)
	}
	return paths, nil
}

func transactions(t *testing.T, payload []byte) []warrant.Transaction {
	t.Helper()
	o, err := warrant.DecodeOrder(payload)
	must(t, err)
	return o.Transactions
}

// watchRoot has the agent of a host watch the chroot, and waits until the server knows it.
func (s *Story) watchRoot(ctx context.Context, name string) error {
	h := s.hosts[name]
	const file = "/etc/patchwarrant/agent.json"
	b, err := h.ReadFile(ctx, file)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(b, &config); err != nil {
		return err
	}
	config["roots"] = []string{"/", chroot, jail}
	if b, err = json.Marshal(config); err != nil {
		return err
	}
	if err := errors.Join(h.WriteFile(ctx, file, strings.NewReader(string(b)), 0o644), h.Stop(ctx, agentUnit), h.Start(ctx, agentUnit)); err != nil {
		return err
	}
	return s.await(ctx, "the root of "+name, 2*time.Minute, func(ctx context.Context) (bool, error) {
		h, err := s.known(ctx, name)
		if err == nil && h.Roots[chroot].Changeable {
			err = fmt.Errorf("%s says that orders may change its root, which nobody named", name)
		}
		return err == nil && h.Roots[chroot].PackageSet != "", err
	})
}

const localPolicy = "/etc/patchwarrant/executor.json"

// openRoot has the policy of a host name its root, and waits until the server knows.
func (s *Story) openRoot(ctx context.Context, name string) error {
	if err := s.hosts[name].WriteFile(ctx, localPolicy, strings.NewReader(`{"roots": ["`+chroot+`", "`+jail+`"]}`), 0o644); err != nil {
		return err
	}
	return s.await(ctx, name+" to say that its root may be changed", time.Minute, func(ctx context.Context) (bool, error) {
		h, err := s.known(ctx, name)
		return err == nil && h.Roots[chroot].Changeable, err
	})
}

// has demands that the packages of the first change are patched in a root of a host, or that none is.
func (s *Story) has(ctx context.Context, t *testing.T, name, root string, patched bool) {
	t.Helper()
	for _, p := range s.changes[0].pairs {
		want := p.Main
		if patched {
			want = p.Security
		}
		got, err := s.hosts[name].Exec(ctx, "dpkg-query", "--admindir="+filepath.Join(root, "var/lib/dpkg"), "--show", "--showformat=${Version} ${db:Status-Status}", p.Package)
		if err != nil || string(got) != want+" installed" {
			t.Errorf("%s has %s %s in %s (%v), not %s", name, p.Package, got, root, err, want)
		}
	}
}
