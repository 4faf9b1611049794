// Package world makes real Debian hosts on this machine, for the demo and the world test: roots by debootstrap from
// the machine's own apt sources, systemd as their PID 1 in a container that shares the machine's network.
//
// A world has a name and a directory below the cache. Opening it clears whatever a crashed run of the same name left;
// closing it stops its hosts and removes their roots. Nothing is ever mounted in the machine's own mount namespace.
package world

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// World is a set of hosts under one lock. Only one process at a time has the world of a name open.
type World struct {
	name  string
	dir   string
	base  string
	lock  *os.File
	hosts []*Host
	say   io.Writer

	// Pairs are the packages installed in every new host for which the security archive has a newer version.
	Pairs []Pair
	// Release is what the hosts run.
	Release Release
}

// Config says which world to open.
type Config struct {
	Name string    // letters and digits; part of paths and of the hosts' cgroups
	Say  io.Writer // progress, one line each
	// Preferred names packages in order of preference; those with a newer version in the security archive than in the
	// main archive are installed in the hosts, in the older version.
	Preferred []string
	// Also names packages to install in any case.
	Also []string
}

// Open gives an empty world. The first time on a machine it builds the base root (about a minute and 60 MB);
// later it finds it in the cache.
func Open(ctx context.Context, c Config) (*World, error) {
	if err := lacking(); err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	w := &World{name: c.Name, dir: filepath.Join(cache, "worlds", c.Name), say: c.Say}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the world's directory: %w", err)
	}
	if w.lock, err = lockFile(w.dir + ".lock"); err != nil {
		return nil, fmt.Errorf("world %s is open in another process: %w", c.Name, err)
	}
	if err := w.fill(ctx, c, cache); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *World) fill(ctx context.Context, c Config, cache string) (err error) {
	if err := clearDir(w.name, w.dir); err != nil {
		return fmt.Errorf("clear what an earlier run left in %s: %w", w.dir, err)
	}
	if w.Release, err = ThisRelease(ctx); err != nil {
		return err
	}
	if w.Pairs, err = w.Release.OlderInMain(ctx, c.Preferred); err != nil {
		return err
	}
	if len(w.Pairs) == 0 {
		return fmt.Errorf("%s-security has nothing newer than %s for %s: prefer other packages",
			w.Release.Codename, w.Release.Codename, strings.Join(c.Preferred, ", "))
	}
	w.base, err = makeBase(ctx, w.Release, w.Pairs, c.Also, cache, c.Say)
	return err
}

// Close stops all hosts, removes their roots and gives the world's name free. It is safe to call it twice.
func (w *World) Close() error {
	var errs []error
	for _, h := range w.hosts {
		errs = append(errs, h.Shutdown())
	}
	w.hosts = nil
	errs = append(errs, clearDir(w.name, w.dir))
	if w.lock != nil {
		errs = append(errs, w.lock.Close())
		w.lock = nil
	}
	return errors.Join(errs...)
}

// lacking says what this machine needs before any world can be made, all of it at once.
func lacking() error {
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root (run with sudo)")
	}
	for _, tool := range []struct{ name, pkg string }{
		{"debootstrap", "debootstrap"}, {"zstd", "zstd"}, {"tar", "tar"}, {"apt-get", "apt"},
		{"nsenter", "util-linux"}, {"unshare", "util-linux"},
	} {
		if _, err := exec.LookPath(tool.name); err != nil {
			missing = append(missing, fmt.Sprintf("%s (apt-get install %s)", tool.name, tool.pkg))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("this machine cannot make hosts; it lacks: %s", strings.Join(missing, "; "))
	}
	return nil
}

// cacheDir is $PATCHWARRANT_CACHE, else patchwarrant below the user's cache directory.
func cacheDir() (string, error) {
	dir := os.Getenv("PATCHWARRANT_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a cache directory (or set PATCHWARRANT_CACHE): %w", err)
		}
		dir = filepath.Join(user, "patchwarrant")
	}
	return filepath.Abs(dir)
}

// lockFile takes the lock without waiting; the kernel gives it back when the process ends, however it ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
