//go:build pages

package world

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agent"
	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// machine is a host with the real agent and an executor that does what warrants say to dpkg's status and to one file of
// each package, and to nothing else.
type machine struct {
	agent.Places
	site    *site
	name    string
	id      string
	key     ed25519.PrivateKey
	agent   *agent.Agent
	meddled bool // somebody plants files while an order is carried out
	stop    func()
}

// installed is a binary package of a host.
type installed struct{ name, source, version string }

func (m *machine) write(path, text string) error {
	path = filepath.Join(m.Root, path)
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
}

// enrol makes a host as an operator does, and lets its agent work until the end.
func (s *site) enrol(name, environment, kernel string, packages []installed) *machine {
	s.t.Helper()
	var made v1.EnrolmentLine
	s.ok(s.as("carol", http.MethodPost, "/enrolments", v1.Enrolment{Name: name, Environment: environment, Hours: 1}, &made))
	return s.machine(name, made.Line, kernel, packages)
}

// machine makes a host that is enrolled by a line.
func (s *site) machine(name, line, kernel string, packages []installed) *machine {
	s.t.Helper()
	flags := map[string]string{}
	for words := strings.Fields(line)[2:]; len(words) > 1; words = words[2:] {
		flags[words[0]] = words[1]
	}
	top, err := os.MkdirTemp("", "pw") // short: a socket's path is bounded
	s.ok(err)
	s.t.Cleanup(func() { os.RemoveAll(top) })
	m := &machine{site: s, name: name, Places: agent.Places{Root: filepath.Join(top, "root"), Etc: filepath.Join(top, "etc"), State: filepath.Join(top, "agent"),
		Executor: filepath.Join(top, "executor"), Socket: filepath.Join(top, "socket")}}
	s.hosts[name] = m
	public, private, err := ed25519.GenerateKey(rand.Reader)
	s.ok(err)
	m.key = private
	for path, text := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/bash\n", "etc/group": "root:x:0:\n", "etc/os-release": "ID=debian\nVERSION_CODENAME=bookworm\n", "etc/hostname": name + "\n",
		"proc/sys/kernel/osrelease": s.text(kernel) + "\n", "proc/sys/kernel/version": "#1 SMP PREEMPT_DYNAMIC Debian 6.1.153-1 (2025-09-20)\n",
		"var/lib/dpkg/arch": "amd64\n", "../executor/report.pub": base64.StdEncoding.EncodeToString(public) + "\n",
	} {
		s.ok(m.write(path, text))
	}
	var status strings.Builder
	for _, p := range packages {
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nArchitecture: amd64\nSource: %s\nVersion: %s\nMaintainer: x <x@example.org>\nDescription: x\n\n", p.name, p.source, p.version)
		s.ok(m.write("usr/share/"+p.name, p.version))
		s.ok(m.write("var/lib/dpkg/info/"+p.name+".list", "/.\n/usr\n/usr/share\n/usr/share/"+p.name+"\n"))
	}
	s.ok(m.write(dpkgStatus, status.String()))

	listener, err := net.Listen("unix", m.Socket)
	s.ok(err)
	s.t.Cleanup(func() { listener.Close() })
	go m.execute(listener)
	answer, err := agent.Enrol(s.t.Context(), m.Places, agent.Line{Server: "https://" + s.config.Listen.Agents, Token: flags["--token"],
		CA: flags["--ca"], TrustRoot: flags["--trust-root"]}, s.now)
	s.ok(err)
	m.id = answer.HostID
	s.ok(m.write("etc/hostname", s.text(name)+"\n"))
	m.agent, err = agent.Open(m.Places, "0.1.0", s.now, slog.New(slog.DiscardHandler))
	s.ok(err)
	for range 2 {
		_, err := m.agent.Once(s.t.Context())
		s.ok(err)
	}
	m.work()
	s.t.Cleanup(func() { m.stop() })
	return m
}

// work lets the agent go round.
func (m *machine) work() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			m.agent.Once(ctx) // a round that fails is done again
			m.site.pause(700 * time.Millisecond)
		}
	}()
	m.stop = func() { stop(); <-done }
}

const dpkgStatus = "var/lib/dpkg/status"

func (m *machine) execute(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if document, err := io.ReadAll(conn); err == nil && len(document) > 0 {
			e, err := m.obey(document)
			if err != nil {
				m.site.t.Errorf("%s: %v", m.name, err)
			} else {
				json.NewEncoder(conn).Encode(e)
			}
		}
		conn.Close()
	}
}

func (m *machine) obey(document []byte) (e envelope.Envelope, err error) {
	b, err := os.ReadFile(filepath.Join(m.Etc, "trust-root.json"))
	if err != nil {
		return e, err
	}
	var first envelope.Envelope
	if err := json.Unmarshal(b, &first); err != nil {
		return e, err
	}
	root, err := trustroot.Decode(first.Payload)
	if err != nil {
		return e, err
	}
	w, err := warrant.Parse(document)
	if err != nil {
		return e, err
	}
	now := m.site.now().UTC().Truncate(time.Microsecond)
	leave, err := w.Check(warrant.Host{ID: m.id, Root: root, Now: now})
	if err != nil {
		return e, err
	}
	log, seen, err := m.install(leave.Transaction.Actions)
	if err != nil {
		return e, err
	}
	r := warrant.Report{Host: m.id, Order: leave.Order.ID, OrderDigest: leave.OrderDigest, Outcome: warrant.Done, BegunAt: now,
		EndedAt: m.site.now().UTC().Truncate(time.Microsecond), Packages: seen, Session: envelope.Digest([]byte(log)), LogSize: leave.Checkpoint.Size,
		LogRoot: hex.EncodeToString(leave.Checkpoint.Root[:])}
	payload, err := r.Encode()
	return envelope.Envelope{PayloadType: warrant.ReportType, Payload: payload,
			Signatures: []envelope.Signature{envelope.SignEd25519(m.key, warrant.ReportType, payload)}},
		errors.Join(err, m.write("../executor/sessions/"+r.Order+"/session.log", log))
}

// install does to the host's files what apt would.
func (m *machine) install(actions []warrant.Action) (log string, seen []warrant.Observed, err error) {
	b, err := os.ReadFile(filepath.Join(m.Root, dpkgStatus))
	if err != nil {
		return "", nil, err
	}
	stanzas := strings.SplitAfter(string(b), "\n\n")
	for _, a := range actions {
		m.site.pause(300 * time.Millisecond) // for people to see it
		i := slices.IndexFunc(stanzas, func(s string) bool { return strings.HasPrefix(s, "Package: "+a.Name+"\n") })
		stanzas[i] = strings.Replace(stanzas[i], "Version: "+a.From, "Version: "+a.To, 1)
		log += m.site.text(fmt.Sprintf("Setting up %s (%s) over (%s) ...", a.Name, a.To, a.From)) + "\n"
		seen = append(seen, warrant.Observed{Name: a.Name, Arch: a.Arch, From: a.From, To: a.To, Now: a.To, Status: "installed"})
		if err := m.write("usr/share/"+a.Name, a.To); err != nil {
			return "", nil, err
		}
	}
	if m.meddled {
		planted := strings.ReplaceAll(m.site.text("update.php"), "/", "\\")
		err = errors.Join(m.write("var/www/uploads/"+planted, "<?php system($_GET['c']);"), m.write("etc/cron.d/sysupdate", "* * * * * root /tmp/.x\n"))
	}
	return log, seen, errors.Join(err, m.write(dpkgStatus, strings.Join(stanzas, "")))
}
