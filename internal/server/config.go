// Package server makes one server of all rooms: configuration, keys, doors and the timetable.
package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/silence"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/staff/oidc"
	"github.com/patchwarrant/patchwarrant/internal/staff/passkey"
)

// Config is the configuration file, in TOML. Unknown keys are refused.
type Config struct {
	Data     string   `toml:"data"`     // directory of everything the server keeps: database, blobs, keys
	Database string   `toml:"database"` // "sqlite:/path/x.db" or "postgres://…"; default: a SQLite file in Data
	Origin   string   `toml:"origin"`   // the ledger's name, such as "patch.example.org/ledger"; never changes
	Names    []string `toml:"names"`    // DNS names and addresses by which people and agents reach the server
	URL      string   `toml:"url"`      // by which people's browsers reach the server; default https:// the first name and the port
	Listen   Listen   `toml:"listen"`

	NoticeHours int      `toml:"notice_hours"` // how long before its window scheduled maintenance is announced; default 72
	Silent      duration `toml:"silent"`       // after which a host that says nothing is a finding; default 1h
	Rest        duration `toml:"rest"`         // between the check-ins of a host without work; default 5m
	Busy        duration `toml:"busy"`         // and of one with work; default 15s
	Sweep       duration `toml:"sweep"`        // between passes over what is due, six times that between passes over clocks; default 10s

	Clocks  Clocks  `toml:"clocks"`   // when what a host does not tell becomes a finding
	DeadMan DeadMan `toml:"dead_man"` // who learns that the server itself fell silent

	Releases  []string   `toml:"releases"` // whose statements are kept, such as "bookworm", "jammy", "rhel-9", "rhel-9.2", "rocky-9"; all when there is none
	Sources   []Source   `toml:"source"`
	Upstreams []Upstream `toml:"upstream"`
	Providers []Provider `toml:"provider"`
}

// Clocks are the terms of silence; contact's first is Silent.
type Clocks struct {
	Contact Term `toml:"contact"` // default: escalated after 24h
	Facts   Term `toml:"facts"`   // default: 6h, 24h
	Index   Term `toml:"index"`   // of packages; default: 48h, 168h
	Files   Term `toml:"files"`   // default: 24h, 72h
}

// Term of a clock, from what was last heard.
type Term struct {
	Alarm    duration `toml:"alarm"`
	Escalate duration `toml:"escalate"`
}

// DeadMan is an outside switch that raises an alarm when it is not asked for long.
type DeadMan struct {
	URL   string   `toml:"url"`   // asked with POST, only while all is well; empty: there is none
	Every duration `toml:"every"` // default 5m
}

// Provider is an OpenID provider that says who people are; see oidc.Config. It sends browsers back to
// URL/sign-in/provider/NAME.
type Provider struct {
	Name             string `toml:"name"` // as people see it in addresses: a-z 0-9 -
	Issuer           string `toml:"issuer"`
	ClientID         string `toml:"client_id"`
	ClientSecretFile string `toml:"client_secret_file"` // readable by the server only
	Claim            string `toml:"claim"`              // that names the person's ID in the trust root
}

var providerName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// providers reads the secrets of the configured providers.
func (c Config) providers(now func() time.Time) ([]staff.Provider, error) {
	var all []staff.Provider
	for _, p := range c.Providers {
		if !providerName.MatchString(p.Name) || !strings.HasPrefix(p.Issuer, "https://") || p.ClientID == "" || p.Claim == "" {
			return nil, fault.New(fault.Invalid, "provider %q: want a name (a-z 0-9 -), an https issuer, client_id and claim", p.Name)
		}
		client, err := secret(p.ClientSecretFile)
		if err != nil {
			return nil, fmt.Errorf("provider %s: client_secret_file: %w", p.Name, err)
		}
		all = append(all, oidc.New(oidc.Config{Name: p.Name, Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: string(client),
			Claim: p.Claim, RedirectURL: strings.TrimSuffix(c.URL, "/") + "/sign-in/provider/" + p.Name,
			Client: &http.Client{Timeout: 20 * time.Second}, Now: now}))
	}
	return all, nil
}

// Listen are the addresses of the doors, host:port.
type Listen struct {
	People     string `toml:"people"`     // HTTPS; default :8443
	Agents     string `toml:"agents"`     // HTTPS with client certificates; default :8444
	Repository string `toml:"repository"` // HTTP: the curated repository and the ledger's checkpoint; default :8080
}

// Upstream is a vendor's archive to mirror, beside those that people add; see mirror.Upstream.
type Upstream struct {
	Name         string   `toml:"name"`
	URL          string   `toml:"url"`
	Suite        string   `toml:"suite"`
	Component    string   `toml:"component"`
	Arch         string   `toml:"arch"`
	Keyring      string   `toml:"keyring"` // file
	Fingerprints []string `toml:"fingerprints"`
	MaxAge       duration `toml:"max_age"`
	Advisories   string   `toml:"advisories"` // a release's codename: the changelogs of this archive are a source for it; at most one
}

// duration is written as "90s", "15m" or "240h".
type duration struct{ time.Duration }

func (d *duration) UnmarshalText(b []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(b))
	if err == nil && d.Duration <= 0 {
		err = fault.New(fault.Invalid, "a duration is more than nothing")
	}
	return err
}

// Load reads a configuration file.
func Load(path string) (Config, error) {
	c, err := load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fault.New(fault.Invalid, "there is no configuration %s: write one as docs/operate.md shows, or name another with --config", path)
	}
	if err != nil {
		return Config{}, fault.New(fault.Invalid, "configuration %s: %w", path, err)
	}
	return c, nil
}

func load(path string) (Config, error) {
	c := Config{
		Listen: Listen{People: ":8443", Agents: ":8444", Repository: ":8080"}, NoticeHours: 72,
		Silent: duration{time.Hour}, Rest: duration{5 * time.Minute}, Busy: duration{15 * time.Second}, Sweep: duration{10 * time.Second},
		Clocks: Clocks{Contact: term(0, 24), Facts: term(6, 24), Index: term(48, 168), Files: term(24, 72)}, DeadMan: DeadMan{Every: duration{5 * time.Minute}},
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	meta, err := toml.Decode(string(b), &c)
	if err != nil {
		return c, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return c, fault.New(fault.Invalid, "unknown key %s", unknown[0])
	}
	if c.Database == "" {
		c.Database = "sqlite:" + filepath.Join(c.Data, "patchwarrant.db")
	}
	if err := c.check(); err != nil {
		return c, err
	}
	if c.URL == "" {
		c.URL = origin(c.Names[0], c.Listen.People)
	}
	_, err = c.site()
	return c, err
}

func term(alarm, escalate time.Duration) Term {
	return Term{duration{alarm * time.Hour}, duration{escalate * time.Hour}}
}

// terms are those of all clocks.
func (c Config) terms() map[estate.Clock]silence.Term {
	of := func(t Term) silence.Term { return silence.Term{Alarm: t.Alarm.Duration, Escalate: t.Escalate.Duration} }
	all := map[estate.Clock]silence.Term{estate.Contact: of(c.Clocks.Contact), estate.Facts: of(c.Clocks.Facts), estate.Index: of(c.Clocks.Index),
		estate.Files: of(c.Clocks.Files)}
	contact := all[estate.Contact]
	contact.Alarm = c.Silent.Duration
	all[estate.Contact] = contact
	return all
}

func (c Config) checkClocks() error {
	if c.Clocks.Contact.Alarm.Duration != 0 {
		return fault.New(fault.Invalid, "clocks.contact: its alarm is silent, outside the table")
	}
	for clock, t := range c.terms() {
		if t.Escalate < t.Alarm {
			return fault.New(fault.Invalid, "clocks.%s: it escalates before it alarms", clock)
		}
	}
	if u, err := url.Parse(c.DeadMan.URL); c.DeadMan.URL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
		return fault.New(fault.Invalid, "dead_man.url: want http or https")
	}
	return nil
}

func (c Config) check() error {
	if err := c.checkClocks(); err != nil {
		return err
	}
	switch {
	case !filepath.IsAbs(c.Data):
		return fault.New(fault.Invalid, "data: want an absolute path")
	case c.Origin == "" || strings.ContainsAny(c.Origin, " +\n\t"):
		return fault.New(fault.Invalid, "origin: want a name without spaces, such as patch.example.org/ledger")
	case len(c.Names) == 0:
		return fault.New(fault.Invalid, "names: want at least one name by which agents reach the server")
	case len(slices.DeleteFunc(slices.Clone(c.Upstreams), func(u Upstream) bool { return u.Advisories == "" })) > 1:
		return fault.New(fault.Invalid, "advisories: only one upstream can be a source")
	case c.NoticeHours < 0:
		return fault.New(fault.Invalid, "notice_hours: want 0 or more")
	}
	for _, address := range []string{c.Listen.People, c.Listen.Agents, c.Listen.Repository} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fault.New(fault.Invalid, "listen: want host:port: %w", err)
		}
	}
	return c.checkSources()
}

// agentsURL is where agents find their door.
func (c Config) agentsURL() string {
	return "https://" + net.JoinHostPort(c.Names[0], port(c.Listen.Agents))
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address) // checked by check
	return port
}

// origin is how browsers write the address of a door: without the port where it is the usual one.
func origin(name, address string) string {
	if port(address) == "443" {
		return "https://" + name
	}
	return "https://" + net.JoinHostPort(name, port(address))
}

// site is what passkeys are made for: the host people see. Browsers make none for addresses.
func (c Config) site() (staff.Passkeys, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.TrimSuffix(c.URL, "/") != "https://"+u.Host {
		return staff.Passkeys{}, fault.New(fault.Invalid, "url: want https://HOST or https://HOST:PORT")
	}
	if net.ParseIP(u.Hostname()) != nil {
		return staff.Passkeys{}, nil
	}
	return staff.Passkeys{RPID: u.Hostname(), Origins: []string{"https://" + u.Host}, Attest: passkey.Attest}, nil
}

// upstreams reads the keyrings of the configured upstreams.
func (c Config) upstreams() ([]mirror.Upstream, error) {
	var all []mirror.Upstream
	for _, u := range c.Upstreams {
		keyring, err := os.ReadFile(u.Keyring)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: read keyring: %w", u.Name, err)
		}
		all = append(all, mirror.Upstream{Name: u.Name, URL: u.URL, Suite: u.Suite, Component: u.Component, Arch: u.Arch,
			Keyring: keyring, Fingerprints: u.Fingerprints, MaxAge: u.MaxAge.Duration, Advisories: u.Advisories})
	}
	return all, nil
}
