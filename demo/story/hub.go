package story

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/ProtonMail/go-crypto/openpgp"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/estate"
)

// ports of the server's doors, all on 127.0.0.1, which the hosts share with this machine.
type ports struct{ people, agents, repository int }

// freePorts finds ports nobody listens on.
func freePorts() (p ports, err error) {
	for _, port := range []*int{&p.people, &p.agents, &p.repository} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		defer l.Close()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// The server's unit, and where its package and its configuration have things.
const (
	serverUnit = "patchwarrant-server.service"
	serverData = "/var/lib/patchwarrant"
	keyring    = "/usr/share/keyrings/debian-archive-keyring.gpg"
)

// asServer runs patchwarrantd on the hub as the server's user.
func (s *Story) asServer(ctx context.Context, args ...string) ([]byte, error) {
	return s.hub.Exec(ctx, append([]string{"setpriv", "--reuid=patchwarrant", "--regid=patchwarrant", "--init-groups", "patchwarrantd"}, args...)...)
}

// configure writes the server's configuration: the real Debian archives, with their pinned keys, and a fast pace.
func (s *Story) configure(ctx context.Context) (err error) {
	if s.ports, err = freePorts(); err != nil {
		return err
	}
	release := s.world.Release
	main, security, err := pinned(release.Codename)
	if err != nil {
		return err
	}
	upstream := func(name, url, suite, maxAge, advisories string, fingerprints []string) map[string]any {
		return map[string]any{"name": name, "url": url, "suite": suite, "component": "main", "arch": release.Arch,
			"keyring": keyring, "fingerprints": fingerprints, "max_age": maxAge, "advisories": advisories}
	}
	text, err := toml.Marshal(map[string]any{
		"data": serverData, "origin": "patch.example.org/ledger", "names": []string{"127.0.0.1"},
		"listen": map[string]string{"people": local(s.ports.people), "agents": local(s.ports.agents), "repository": local(s.ports.repository)},
		"silent": s.silent.String(), "notice_hours": 0, "rest": "2s", "busy": "1s", "sweep": "1s", "releases": []string{release.Codename},
		"upstream": []any{
			// The security archive comes first; a point release names no end of its validity and may be months old.
			upstream("security", release.Security.URL, release.Security.Suite, "240h", release.Codename, security),
			upstream("main", release.Main.URL, release.Main.Suite, "8760h", "", main),
		},
	})
	if err != nil {
		return err
	}
	resolver, err := os.ReadFile("/etc/resolv.conf") // only the hub speaks to archives
	return errors.Join(err, s.hub.WriteFile(ctx, "/etc/resolv.conf", bytes.NewReader(resolver), 0o644),
		s.hub.WriteFile(ctx, "/etc/patchwarrant/server.toml", bytes.NewReader(text), 0o644))
}

// pinned takes the fingerprints of the keys that sign a release from this machine's own keyring.
func pinned(codename string) (main, security []string, err error) {
	f, err := os.Open(keyring)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	keys, err := openpgp.ReadKeyRing(f)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", keyring, err)
	}
	for _, key := range keys {
		for name := range key.Identities {
			if !strings.Contains(name, "/"+codename+")") {
				continue
			}
			fingerprint := fmt.Sprintf("%X", key.PrimaryKey.Fingerprint)
			if strings.Contains(name, "Security Archive") {
				security = append(security, fingerprint)
			} else {
				main = append(main, fingerprint)
			}
		}
	}
	if len(main) == 0 || len(security) == 0 {
		return nil, nil, fmt.Errorf("%s has no keys for %s", keyring, codename)
	}
	return main, security, nil
}

// Establish makes the server's keys, puts the first trust root in force under the signatures of two people, starts the
// server and logs everyone in.
func (s *Story) Establish(ctx context.Context) error {
	s.chapter("The server, and who may")
	err := errors.Join(s.hire(), s.show(ctx, "server set up on the hub", "its CA certificate", s.setUp))
	if err == nil {
		err = s.take(ctx, "trust root signed by two and installed", "trust-root.installed", "trust-root/1", s.signRoot)
	}
	if err == nil {
		err = s.take(ctx, "everyone logged in by SSH signature", "login.accepted", "person/erin", s.logIn)
	}
	return err
}

func (s *Story) setUp(ctx context.Context) (string, error) {
	if err := s.configure(ctx); err != nil {
		return "", err
	}
	identity, err := s.asServer(ctx, "init")
	if err != nil {
		return "", err
	}
	var keys struct {
		CA string `json:"ca_sha256"`
	}
	if err := json.Unmarshal(identity, &keys); err != nil {
		return "", err
	}
	s.ca = keys.CA
	s.say("patchwarrantd init made the keys of ledger, repository and CA; the CA's SHA-256 is %s", s.ca)
	s.say("configured for the demo: notice_hours = 0 (72 in real life), check-ins every 1 to 2 s")
	return s.ca, os.WriteFile(filepath.Join(s.dir, "server-keys.json"), identity, 0o600)
}

func (s *Story) signRoot(ctx context.Context) error {
	paper := filepath.Join(s.dir, "trust-root.json")
	people := map[string]any{"organisation": "Example CA", "person": []*person{s.people["alice"], s.people["bob"],
		s.people["carol"], s.people["dave"], s.people["erin"], s.people["frank"]}}
	text, err := toml.Marshal(people)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "people.toml"), text, 0o600); err != nil {
		return err
	}
	said, err := s.run(ctx, "erin", "trust-root", "draft", "--people", filepath.Join(s.dir, "people.toml"),
		"--server-keys", filepath.Join(s.dir, "server-keys.json"), "-o", paper)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(said)) {
		if digest, ok := strings.CutPrefix(line, "digest "); ok {
			s.root = strings.TrimSpace(digest)
		}
	}
	install := func() error {
		text, err := os.ReadFile(paper)
		if err != nil {
			return err
		}
		if err := s.hub.WriteFile(ctx, "/etc/patchwarrant/first-root.json", bytes.NewReader(text), 0o644); err != nil {
			return err
		}
		_, err = s.asServer(ctx, "trust-root", "install", "/etc/patchwarrant/first-root.json", "--sha256", s.root)
		return err
	}
	for _, who := range []string{"alice", "bob"} {
		if _, err := s.run(ctx, who, "trust-root", "sign", paper, "--person", who, "--key", s.people[who].key); err != nil {
			return err
		}
		s.say("%s signed trust root %s", who, s.root[:12])
		if err := install(); who == "alice" && (err == nil || !strings.Contains(err.Error(), "QUORUM")) {
			return fmt.Errorf("a trust root signed by one: want a refusal with QUORUM, have %w", err)
		} else if who == "bob" && err != nil {
			return err
		}
	}
	s.say("one signature was refused (QUORUM), two put it in force")
	return nil
}

func (s *Story) logIn(ctx context.Context) error {
	if err := s.hub.Start(ctx, serverUnit); err != nil {
		return err
	}
	err := s.await(ctx, "the server to listen", 20*time.Second, func(context.Context) (bool, error) {
		conn, err := net.Dial("tcp", local(s.ports.people))
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
	if err != nil {
		journal, _ := s.hub.Journal(ctx, serverUnit)
		return fmt.Errorf("%w; it said: %s", err, journal)
	}
	for _, who := range []string{"alice", "bob", "carol", "dave", "erin", "frank"} {
		p := s.people[who]
		if _, err := s.run(ctx, who, "login", "--server", "https://"+local(s.ports.people), "--ca", s.ca, "--person", who, "--key", p.key); err != nil {
			return err
		}
		s.say("%s logged in: %s", who, strings.Join(p.Roles, ", "))
	}
	return nil
}

// Stock looks at the upstream archives, enrols the hosts, and waits until the server knows what they have.
func (s *Story) Stock(ctx context.Context) error {
	s.chapter("Archives and hosts")
	for _, name := range []string{"security", "main"} {
		err := s.take(ctx, "upstream "+name+" refreshed", "mirror.refreshed", "upstream/"+name, func(ctx context.Context) error {
			var u v1.Upstream
			if err := s.ask(ctx, "erin", &u, "upstream", "refresh", name); err != nil {
				return err
			}
			s.say("%s of %s: %d packages, signed by %s", name, u.Date.Format(time.DateOnly), u.Packages, u.Fingerprint)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := s.Enrol(ctx, "stage-1", "stage"); err != nil {
		return err
	}
	return s.Enrol(ctx, "prod-1", "production")
}

// Enrol makes a new host one of the server's, and waits for its first inventory.
func (s *Story) Enrol(ctx context.Context, name, environment string) error {
	if err := s.join(ctx, name, "--name", name, "--environment", environment); err != nil {
		return err
	}
	return s.take(ctx, name+" enrolled in "+environment, "host.enrolled", "host/"+s.hosts[name].id, func(ctx context.Context) error {
		return s.reported(ctx, name)
	})
}

// join has root run an enrolment line on a host, and starts its agent; as says as whom.
func (s *Story) join(ctx context.Context, name string, as ...string) error {
	h := s.hosts[name]
	var line v1.EnrolmentLine
	if err := s.ask(ctx, "erin", &line, append([]string{"host", "enrol"}, as...)...); err != nil {
		return err
	}
	if err := h.Start(ctx, executorSocket); err != nil {
		return err
	}
	said, err := h.Exec(ctx, strings.Fields(line.Line)...)
	if err != nil {
		return errors.New("run the enrolment line on " + name + ": it failed") // the error repeats the line, which is secret
	}
	words := strings.Fields(string(said)) // enrolled as ID in ENVIRONMENT
	if len(words) < 3 {
		return fmt.Errorf("enrol %s: it said %q", name, said)
	}
	h.id = words[2]
	return h.Start(ctx, agentUnit)
}

// reported waits until the server has the inventory of a host.
func (s *Story) reported(ctx context.Context, name string) error {
	return s.await(ctx, "the inventory of "+name, 2*time.Minute, func(ctx context.Context) (bool, error) {
		e, err := s.known(ctx, name)
		if err != nil || e.PackageSet == "" || e.Trees["/"] == "" || !e.CanExecute() {
			return false, err
		}
		s.say("%s is %s: %s %s, packages %s, files %s", name, e.ID, e.Distribution, e.Release, e.PackageSet[:12], e.Trees["/"][:12])
		return true, nil
	})
}

// known gives what the server knows of a host.
func (s *Story) known(ctx context.Context, name string) (h estate.Host, err error) {
	return h, s.ask(ctx, "erin", &h, "host", "show", s.hosts[name].id)
}

// The units of a patched host.
const (
	agentUnit      = "patchwarrant-agent.service"
	executorSocket = "patchwarrant-executor.socket"
	executorUnits  = "patchwarrant-executor@*.service"
)
