//go:build world

package story

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/patchwarrant/patchwarrant/internal/agent/agenttest"
	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/retirement"
	"github.com/patchwarrant/patchwarrant/internal/scans"
	"github.com/patchwarrant/patchwarrant/internal/scans/scanstest"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// TestSectigo is the case that a certificate authority reported: a scanner's 418 findings, which nobody could work through,
// are 26 vulnerabilities. The server is the program that is packaged, people act by the command line and look at its pages;
// the hosts are sixteen real agents, each in a directory. A seventeenth that the scanner saw is in no inventory.
func TestSectigo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := &Story{Config: Config{Programs: "../../bin"}, dir: t.TempDir()}
	const term = 8 * time.Second // in which the tracker has to be heard
	began := time.Now()
	must(t, s.site(ctx, t, term))
	var names, hosts []string
	for i := range 17 {
		names = append(names, fmt.Sprintf("ca%d.example.net", i+1))
		if i < 16 {
			hosts = append(hosts, s.agent(ctx, t, fmt.Sprintf("ca%d", i+1)))
		}
	}
	flaws := scanstest.Flaws(26, "libssl3", "3.0.9-1", "3.0.11-1~deb12u1")
	report, tracker := filepath.Join(s.dir, "report.nessus"), filepath.Join(s.dir, "tracker.json")
	must(t, os.WriteFile(report, scanstest.Nessus(418, names, flaws, time.Now().Add(-time.Hour)), 0o600))
	records := map[string]any{}
	for _, f := range flaws {
		records[f.CVE] = map[string]any{"releases": map[string]any{"bookworm": map[string]string{"status": "resolved", "fixed_version": f.Fixed, "urgency": "high"}}}
	}
	text, err := json.Marshal(map[string]any{"openssl": records})
	must(t, err)
	must(t, os.WriteFile(tracker, text, 0o600))
	_, err = s.run(ctx, "erin", "source", "import", "debian-tracker", tracker)
	must(t, err)

	var reports []scans.Report
	must(t, s.ask(ctx, "erin", &reports, "scan-report", "import", report))
	if r := reports[0]; r.Findings != 418 || r.Vulnerabilities != 26 || r.Hosts != 17 || r.UnknownHosts != 1 || r.Records != r.Accepted {
		t.Errorf("the report: %+v", r)
	}
	s.shows(ctx, t, "/scans", "418 26 17 1") // findings, vulnerabilities, hosts, of them not in the inventory
	s.counts(ctx, t, 16, 416, 26, 26)

	s.decides(ctx, t, flaws[:1]) // sixteen findings at once
	s.counts(ctx, t, 16, 416, 26, 25)
	s.decides(ctx, t, flaws[1:])
	s.counts(ctx, t, 16, 416, 26, 0)

	var leaves retirement.Retirement
	must(t, s.ask(ctx, "frank", &leaves, "host", "retire", hosts[0], "--reason", "its hall is closed"))
	for _, who := range []string{"bob", "alice"} {
		must(t, s.ask(ctx, who, &leaves, "host", "retire", "approve", leaves.ID, "--digest", leaves.SHA256))
	}
	s.counts(ctx, t, 15, 390, 26, 0)

	must(t, s.await(ctx, "the tracker's clock to run out", time.Minute, func(ctx context.Context) (bool, error) {
		var all v1.Sources
		err := s.ask(ctx, "frank", &all, "source", "list")
		i := slices.IndexFunc(all.Sources, func(x intake.SourceState) bool { return x.Name == "debian-tracker" })
		if err != nil || i < 0 || all.Sources[i].SilentAt.IsZero() {
			return false, err
		}
		if at := all.Sources[i]; at.SilentAt.Before(at.DueAt) || !at.DueAt.Equal(at.CheckedAt.Add(term)) {
			t.Errorf("heard at %s, due at %s, silent at %s", at.CheckedAt, at.DueAt, at.SilentAt)
		}
		return true, nil
	}))
	s.shows(ctx, t, "/sources", "silent")
	s.counts(ctx, t, 15, 390, 26, 0) // silence clears nothing
	t.Logf("took %s", time.Since(began).Round(time.Second))
}

// site configures a server, has two people sign who may, starts it, and logs everyone in. The tracker may be silent for term.
func (s *Story) site(ctx context.Context, t *testing.T, term time.Duration) error {
	must(t, s.hire())
	ports, err := freePorts()
	must(t, err)
	s.ports = ports
	config := s.paper("server.toml")
	text, err := toml.Marshal(map[string]any{
		"data": s.paper("data"), "origin": "patch.example.org/ledger", "names": []string{"127.0.0.1"}, "releases": []string{"bookworm"},
		"listen":       map[string]string{"people": local(ports.people), "agents": local(ports.agents), "repository": local(ports.repository)},
		"notice_hours": 0, "rest": "1s", "busy": "1s", "sweep": "200ms", "source": []any{map[string]any{"name": "debian-tracker", "max_age": term.String()}},
	})
	must(t, err)
	must(t, os.WriteFile(config, text, 0o600))
	daemon := func(args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, filepath.Join(s.Programs, "patchwarrantd"), append([]string{"--config", config}, args...)...)
	}
	identity, err := daemon("init").Output()
	must(t, err)
	var keys struct {
		CA string `json:"ca_sha256"`
	}
	must(t, json.Unmarshal(identity, &keys))
	s.ca = keys.CA
	var all []*person
	for _, p := range s.people {
		all = append(all, p)
	}
	people, err := toml.Marshal(map[string]any{"organisation": "Example CA", "person": all})
	must(t, err)
	must(t, os.WriteFile(s.paper("people.toml"), people, 0o600))
	must(t, os.WriteFile(s.paper("keys.json"), identity, 0o600))
	said, err := s.run(ctx, "erin", "trust-root", "draft", "--people", s.paper("people.toml"), "--server-keys", s.paper("keys.json"), "-o", s.paper("root.json"))
	must(t, err)
	_, rest, _ := strings.Cut(string(said), "digest ")
	digest, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	for _, who := range []string{"alice", "bob"} {
		_, err := s.run(ctx, who, "trust-root", "sign", s.paper("root.json"), "--person", who, "--key", s.people[who].key)
		must(t, err)
	}
	if said, err := daemon("trust-root", "install", s.paper("root.json"), "--sha256", digest).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	server := daemon("serve")
	server.Cancel = nil // it is told to stop
	log, err := os.Create(s.paper("server.log"))
	must(t, err)
	server.Stderr = log
	must(t, server.Start())
	t.Cleanup(func() {
		must(t, server.Process.Signal(syscall.SIGTERM))
		if err := server.Wait(); err != nil {
			said, _ := os.ReadFile(log.Name())
			t.Errorf("the server ended with %v: %s", err, said)
		}
	})
	return s.await(ctx, "the people to log in", time.Minute, func(ctx context.Context) (bool, error) {
		for _, p := range s.people {
			if _, err := os.Stat(p.session); err == nil {
				continue
			}
			if _, err := s.run(ctx, p.ID, "login", "--server", "https://"+local(ports.people), "--ca", s.ca, "--person", p.ID, "--key", p.key); err != nil {
				return false, nil // it does not listen yet
			}
		}
		return true, nil
	})
}

func (s *Story) paper(name string) string { return filepath.Join(s.dir, name) }

// agent enrols a machine with one outdated library, and has its agent report it.
func (s *Story) agent(ctx context.Context, t *testing.T, name string) (id string) {
	var made v1.EnrolmentLine
	must(t, s.ask(ctx, "erin", &made, "host", "enrol", "--name", name, "--environment", "production"))
	h, err := agenttest.New(time.Now, map[string]string{
		"etc/os-release": "ID=debian\nVERSION_CODENAME=bookworm\n", "etc/hostname": name + "\n", "var/lib/dpkg/arch": "amd64\n",
		"proc/sys/kernel/osrelease": "6.1.0-30-amd64\n", "proc/sys/kernel/version": "#1 SMP Debian 6.1.124-1\n",
		"var/lib/dpkg/status": "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl\nVersion: 3.0.9-1\nMaintainer: x <x@example.org>\nDescription: x\n\n",
	})
	must(t, err)
	must(t, h.Enrol(ctx, made.Line, ""))
	must(t, h.Open(ctx, "test"))
	t.Cleanup(func() { must(t, h.Close()) })
	return h.ID
}

// counts demands the same numbers of the command line's answer, which is the API's, and of the page.
func (s *Story) counts(ctx context.Context, t *testing.T, hosts, findings, vulnerabilities, undecided int) {
	t.Helper()
	var got triage.View
	must(t, s.ask(ctx, "frank", &got, "vulnerability", "list"))
	if got.Hosts != hosts || got.Findings != findings || got.Vulnerabilities != vulnerabilities || got.Undecided != undecided {
		t.Errorf("%d findings of %d vulnerabilities on %d hosts, %d undecided; want %d, %d, %d, %d", got.Findings, got.Vulnerabilities, got.Hosts, got.Undecided,
			findings, vulnerabilities, hosts, undecided)
	}
	s.shows(ctx, t, "/vulnerabilities", fmt.Sprintf("%d findings", findings), fmt.Sprintf("%d vulnerabilities", vulnerabilities), fmt.Sprintf("%d undecided", undecided))
}

// decides has alice sign by one command what happens about vulnerabilities.
func (s *Story) decides(ctx context.Context, t *testing.T, flaws []scanstest.Flaw) {
	t.Helper()
	args := []string{"vulnerability", "decide"}
	for _, f := range flaws {
		args = append(args, f.CVE+"/openssl")
	}
	_, err := s.run(ctx, "alice", append(args, "--kind", "accept", "--reason", "goes with the next window")...)
	must(t, err)
}

// markup is what stands around the text of a page.
var markup = regexp.MustCompile(`(<[^>]*>|\s)+`)

// shows demands texts of a page, as frank sees it.
func (s *Story) shows(ctx context.Context, t *testing.T, path string, texts ...string) {
	t.Helper()
	b, err := os.ReadFile(s.people["frank"].session)
	must(t, err)
	var session struct {
		Token string `json:"token"`
	}
	must(t, json.Unmarshal(b, &session))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+local(s.ports.people)+path, nil)
	must(t, err)
	r.AddCookie(&http.Cookie{Name: "__Host-patchwarrant", Value: session.Token})
	door := http.Client{Transport: &http.Transport{TLSClientConfig: wire.Pinned(s.ca, "127.0.0.1", time.Now)}}
	defer door.CloseIdleConnections()
	answer, err := door.Do(r)
	must(t, err)
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	must(t, err)
	read := markup.ReplaceAllString(string(page), " ")
	for _, text := range texts {
		if answer.StatusCode != http.StatusOK || !strings.Contains(read, text) {
			t.Errorf("%s answers %s and does not show %q: %s", path, answer.Status, text, read)
		}
	}
}
