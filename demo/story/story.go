// Package story is one security patch from the advisory to the evidence on real Debian hosts, and attacks on it, as the
// demo tells them and the world test checks them. People act through the command line, programs run as their units.
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/patchwarrant/patchwarrant/demo/world"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// preferred are packages that Debian's security archive often has newer than its main archive.
var preferred = []string{"openssl", "libssl3", "xz-utils", "ca-certificates", "tzdata", "libexpat1"}

// Config says where a story takes place.
type Config struct {
	World    string    // name of the world; one process at a time plays in it
	Programs string    // directory of the built programs
	Packages string    // directory of our .deb packages
	Out      string    // directory that takes the evidence
	Say      io.Writer // the narration
}

// Story is a world with a server, hosts and people in it.
type Story struct {
	Config
	began time.Time
	dir   string // keys, sessions and papers of the people; gone with the story
	world *world.World
	hub   *world.Host // has the server
	hosts map[string]*host

	people  map[string]*person
	ports   ports
	ca      string // SHA-256 of the server's CA certificate
	root    string // SHA-256 of the first trust root
	changes []*change
	steps   []step
	silent  time.Duration // after which a host counts as silent
}

// host is a patched host: the machine, and what the server calls it.
type host struct {
	*world.Host
	id string
}

// change is one source package's way to production.
type change struct {
	source          string
	pairs           []world.Pair // its packages that are outdated on the hosts
	vulnerabilities []triage.Vulnerability
	decisions       []string
	snapshot        string
	stage, prod     string // orders
}

// Open makes the world: one host for the server and two to be patched, with our packages installed.
func Open(ctx context.Context, c Config) (*Story, error) {
	s := &Story{Config: c, began: time.Now(), hosts: map[string]*host{}, silent: time.Hour}
	var err error
	if s.dir, err = os.MkdirTemp("", "patchwarrant-story-"); err != nil {
		return nil, err
	}
	if err := s.furnish(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Story) furnish(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.Out, 0o755); err != nil {
		return err
	}
	s.chapter("The world: three Debian hosts")
	if s.world, err = world.Open(ctx, world.Config{Name: s.World, Say: s.Say, Preferred: preferred}); err != nil {
		return err
	}
	if s.hub, err = s.boot(ctx, "hub", "patchwarrant-server"); err != nil {
		return err
	}
	for _, name := range []string{"stage-1", "prod-1"} {
		if _, err := s.AddHost(ctx, name); err != nil {
			return err
		}
	}
	for _, p := range s.world.Pairs {
		s.say("%s %s is installed; %s-security has %s", p.Package, p.Main, s.world.Release.Codename, p.Security)
	}
	return nil
}

// AddHost makes one more host to be patched. It is not enrolled yet.
func (s *Story) AddHost(ctx context.Context, name string) (*world.Host, error) {
	h, err := s.boot(ctx, name, "patchwarrant-agent", "patchwarrant-executor")
	if err != nil {
		return nil, err
	}
	s.hosts[name] = &host{Host: h}
	return h, nil
}

// boot makes a host with some of our packages installed.
func (s *Story) boot(ctx context.Context, name string, packages ...string) (*world.Host, error) {
	h, err := s.world.Boot(ctx, name)
	if err != nil {
		return nil, err
	}
	files, err := s.files("_*_"+s.world.Release.Arch+".deb", packages...)
	if err != nil {
		return nil, err
	}
	if err := h.InstallDebs(ctx, files...); err != nil {
		return nil, err
	}
	if h.Direct != "" {
		s.say("%s runs our programs as their users, but without their units' sandboxes: %s", name, h.Direct)
	} else {
		s.say("%s runs systemd", name)
	}
	return h, nil
}

// files finds our package of each name, with what follows the name in its file's.
func (s *Story) files(rest string, packages ...string) (files []string, err error) {
	for _, p := range packages {
		found, err := filepath.Glob(filepath.Join(s.Packages, p+rest))
		if err != nil || len(found) != 1 {
			return nil, fmt.Errorf("want one package %s in %s, have %d (%v): run make packages", p, s.Packages, len(found), err)
		}
		files = append(files, found[0])
	}
	return files, nil
}

// Close removes the world and the people's papers. What is in Out stays.
func (s *Story) Close() error {
	var err error
	if s.world != nil {
		err = s.world.Close()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *Story) chapter(title string) { fmt.Fprintf(s.Say, "\n%s\n", title) }

// say tells what happened, with the seconds since the beginning.
func (s *Story) say(format string, args ...any) {
	fmt.Fprintf(s.Say, "%4.0fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// await asks until there is an answer, and gives up after the patience.
func (s *Story) await(ctx context.Context, what string, patience time.Duration, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := done(ctx)
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waited %s for %s", patience, what), err)
		case <-time.After(200 * time.Millisecond):
		}
		if err != nil && !isConflict(err) {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
	}
}

// window is the length of the orders' windows.
const window = time.Hour
