//go:build pages

package world

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/web"
)

// shown is what the browser's side learns of a site.
type shown struct {
	URL     string             `json:"url"`
	Address string             `json:"address"` // where that really is
	Pin     string             `json:"pin"`     // of the CA's key
	CA      string             `json:"ca"`      // its hash, for the command line
	Root    string             `json:"root"`    // digest of the trust root
	CLI     string             `json:"cli"`
	Mark    string             `json:"mark,omitempty"`
	People  map[string]*person `json:"people"`
	Hosts   map[string]string  `json:"hosts"` // IDs by name
	Story   settled            `json:"story"`
	First   *first             `json:"first,omitempty"`
	Routes  []web.Route        `json:"routes"` // the whole site

	Provider string `json:"provider"`           // pin of the OpenID provider's key
	Controls string `json:"controls,omitempty"` // address of what tests do to the world
}

func (s *site) show(told settled) shown {
	s.t.Helper()
	cli, err := filepath.Abs("../../../bin/patchwarrant")
	s.ok(err)
	if _, err := os.Stat(cli); err != nil {
		s.t.Fatalf("make build comes first: %v", err)
	}
	out := shown{URL: "https://" + name, Address: s.config.Listen.People, Pin: s.pin(), CA: s.keys.CA.Hash(), Root: s.root, CLI: cli, Mark: s.mark,
		People: s.people, Provider: s.provider, Hosts: map[string]string{}, Story: told, Routes: web.Routes()}
	for name, m := range s.hosts {
		out.Hosts[name] = m.ID
	}
	return out
}

// node runs a program of the browser's side with what it learns of sites in a file.
func node(t *testing.T, sites map[string]shown, args ...string) {
	t.Helper()
	b, err := json.Marshal(sites)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sites.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "node", args...)
	c.Dir, c.Stdout, c.Stderr = "..", os.Stdout, os.Stderr
	c.Env = append(os.Environ(), "SITES="+file)
	if err := c.Run(); err != nil {
		t.Errorf("node: %v", err)
	}
}

// hostile text is in everything that comes from outside. It would be an element of the page if it were not text.
const hostile = `<i data-evil>"'&amp;`

func TestPages(t *testing.T) {
	sites := map[string]shown{}
	s, told := tell(t, "", "")
	plain := s.show(told)
	plain.Controls = s.controls()
	sites["plain"] = plain
	s, told = tell(t, hostile, "")
	sites["hostile"] = s.show(told)
	s = begin(t, "", "", 0)
	f := s.virgin()
	fresh := s.show(settled{})
	fresh.First = f
	sites["new"] = fresh
	node(t, sites, "--test", "--test-concurrency=1", "--test-reporter=spec")
}

// TestPagesOnPostgres goes through all pages, and through the story, with PostgreSQL beneath.
func TestPagesOnPostgres(t *testing.T) {
	database := dbtest.Address(t)
	if database == "" {
		t.Skipf("%s names no server", dbtest.Postgres)
	}
	s, told := tell(t, "", database)
	node(t, map[string]shown{"plain": s.show(told)}, "--test", "--test-concurrency=1", "--test-reporter=spec", "pages.test.mjs", "story.test.mjs")
}
