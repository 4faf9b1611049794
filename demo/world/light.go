package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// why a light host has no systemd.
const light = "it is a light host, one of many"

// Light makes a host without systemd, of another Debian release than the machine's if that is named, with packages beside those of
// every root; its programs run as on a Direct host. The first of a release is made by debootstrap, as a base root is.
func (w *World) Light(ctx context.Context, name, codename string, also ...string) (*Host, error) {
	base := w.base
	if codename != w.Release.Codename || len(also) > 0 {
		cache, err := cacheDir()
		if err != nil {
			return nil, err
		}
		r := w.Release
		r.Codename = codename
		if base, err = makeBase(ctx, r, nil, also, cache, w.say); err != nil {
			return nil, err
		}
	}
	h := w.place(name)
	if err := unpack(ctx, base, h.Root); err != nil {
		return nil, err
	}
	return h, h.personalize()
}

// Clone copies a light host's disk, identity and all; what no package may change is shared with it. Nothing runs on the copy.
func (w *World) Clone(ctx context.Context, of *Host, name string) (*Host, error) {
	h := w.place(name)
	if err := os.MkdirAll(filepath.Dir(h.Root), 0o755); err != nil {
		return nil, err
	}
	for _, step := range [][]string{
		{"cp", "--archive", "--link", of.Root, h.Root},
		{"rm", "--recursive", filepath.Join(h.Root, "etc"), filepath.Join(h.Root, "var"), filepath.Join(h.Root, "run")},
		{"cp", "--archive", filepath.Join(of.Root, "etc"), filepath.Join(of.Root, "var"), h.Root},
		{"mkdir", filepath.Join(h.Root, "run")},
	} {
		if out, err := exec.CommandContext(ctx, step[0], step[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("copy %s: %s: %w: %s", of.Name, step[0], err, tail(out))
		}
	}
	return h, nil
}

// Like makes one more light host of the kind of another that nobody has enrolled yet.
func (w *World) Like(ctx context.Context, of *Host, name string) (*Host, error) {
	h, err := w.Clone(ctx, of, name)
	return h, errors.Join(err, h.personalize())
}

func (w *World) place(name string) *Host {
	dir := filepath.Join(w.dir, name)
	h := &Host{Name: name, Root: filepath.Join(dir, "root"), console: filepath.Join(dir, "console.log"), Direct: light, programs: &programs{}}
	w.hosts = append(w.hosts, h)
	return h
}

// TurnToRPM makes a light host that has rpm one whose packages are rpm's: what dpkg knew is gone, nothing is installed yet.
func (h *Host) TurnToRPM(ctx context.Context) error {
	for _, gone := range []string{"var/lib/dpkg", "etc/dpkg", "etc/apt", "etc/os-release"} {
		if err := os.RemoveAll(filepath.Join(h.Root, gone)); err != nil {
			return err
		}
	}
	return h.WriteFile(ctx, "/etc/os-release", strings.NewReader("ID=example\nVERSION_ID=1\n"), 0o644)
}

// InstallRPMs installs or upgrades the machine's package files with rpm, all in one run. Its database knows of no shell and no
// systemd that they could depend on, and its plugins want a root that is mounted.
func (h *Host) InstallRPMs(ctx context.Context, files ...string) error {
	return h.install(ctx, []string{"rpm", "--upgrade", "--nodeps", "--noplugins"}, files)
}
