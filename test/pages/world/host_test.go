//go:build pages

package world

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agent/agenttest"
	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// machine is a host whose executor does what warrants say to dpkg's status and to one file of each package, and to nothing
// else.
type machine struct {
	*agenttest.Host
	site    *site
	meddled bool // somebody plants files while an order is carried out
	stop    func()
}

// installed is a binary package of a host.
type installed struct{ name, source, version string }

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
	files := map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/bash\n", "etc/group": "root:x:0:\n", "etc/os-release": "ID=debian\nVERSION_CODENAME=bookworm\n", "etc/hostname": name + "\n",
		"proc/sys/kernel/osrelease": s.text(kernel) + "\n", "proc/sys/kernel/version": "#1 SMP PREEMPT_DYNAMIC Debian 6.1.153-1 (2025-09-20)\n",
		"var/lib/dpkg/arch": "amd64\n",
	}
	for _, p := range packages {
		files[dpkgStatus] += fmt.Sprintf("Package: %s\nStatus: install ok installed\nArchitecture: amd64\nSource: %s\nVersion: %s\nMaintainer: x <x@example.org>\nDescription: x\n\n", p.name, p.source, p.version)
		files["usr/share/"+p.name] = p.version
		files["var/lib/dpkg/info/"+p.name+".list"] = "/.\n/usr\n/usr/share\n/usr/share/" + p.name + "\n"
	}
	h, err := agenttest.New(s.now, files)
	s.ok(err)
	m := &machine{site: s, Host: h}
	m.Install = m.install
	m.Refused = func(err error) { s.t.Errorf("%s: %v", name, err) }
	s.hosts[name] = m
	s.ok(m.Enrol(s.t.Context(), line, "https://"+s.config.Listen.Agents))
	s.ok(m.Write("etc/hostname", s.text(name)+"\n"))
	s.ok(m.Open(s.t.Context(), "0.1.0"))
	m.stop = m.Work(func() { s.pause(700 * time.Millisecond) })
	s.t.Cleanup(func() {
		m.stop()
		s.ok(m.Close())
	})
	return m
}

const dpkgStatus = "var/lib/dpkg/status"

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
		if err := m.Write("usr/share/"+a.Name, a.To); err != nil {
			return "", nil, err
		}
	}
	if m.meddled {
		planted := strings.ReplaceAll(m.site.text("update.php"), "/", "\\")
		err = errors.Join(m.Write("var/www/uploads/"+planted, "<?php system($_GET['c']);"), m.Write("etc/cron.d/sysupdate", "* * * * * root /tmp/.x\n"))
	}
	return log, seen, errors.Join(err, m.Write(dpkgStatus, strings.Join(stanzas, "")))
}
