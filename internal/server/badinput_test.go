package server

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/deb/debtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/mirror/mirrortest"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

// mirroring is a server with one upstream that was refreshed once.
type mirroring struct {
	*world
	*mirrortest.Archive
	admin string // token
}

const toolPath = "pool/main/tool.deb"

func openMirroring(t *testing.T) *mirroring {
	t.Helper()
	a := mirrortest.New(t, warranttest.Now.Add(-time.Hour))
	control := debtest.Control("tool", "1.1-1", "amd64")
	raw := debtest.Build(t, debtest.Spec{Control: control, Files: []debtest.File{
		{Path: "/usr/share/doc/tool/changelog.Debian.gz", Content: string(debtest.Gzip(t, []byte(changelog)))}}})
	a.Write(toolPath, raw)
	a.Stanzas = append(a.Stanzas, debtest.Stanza(control, toolPath, len(raw), envelope.Digest(raw)))
	a.Publish(warranttest.Now.Add(-time.Hour), warranttest.Now.Add(24*time.Hour))
	u := a.Upstream("security")
	keyring := filepath.Join(t.TempDir(), "keyring.asc")
	if err := os.WriteFile(keyring, u.Keyring, 0o600); err != nil {
		t.Fatal(err)
	}
	w := open(t, fmt.Sprintf("releases = [\"bookworm\"]\n[[upstream]]\nname = %q\nurl = %q\nsuite = %q\ncomponent = %q\narch = %q\nkeyring = %q\n"+
		"fingerprints = [%q]\nmax_age = \"240h\"\nadvisories = \"bookworm\"\n", u.Name, u.URL, u.Suite, u.Component, u.Arch, keyring, u.Fingerprints[0]))
	m := &mirroring{w, a, w.mustLogin("bob")}
	if err := m.refresh(); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *mirroring) refresh() error {
	return m.ask(m.admin, http.MethodPost, "/upstreams/security/refresh", nil, nil)
}

func (m *mirroring) upstream() v1.Upstream {
	m.t.Helper()
	var all v1.Upstreams
	if err := m.ask(m.admin, http.MethodGet, "/upstreams", nil, &all); err != nil || len(all.Upstreams) != 1 {
		m.t.Fatalf("upstreams %+v, %v", all, err)
	}
	return all.Upstreams[0]
}

// acts counts the acts of a kind in the ledger.
func (w *world) acts(token, kind string) int {
	w.t.Helper()
	var acts v1.Acts
	if err := w.ask(token, http.MethodGet, "/acts?kind="+kind, nil, &acts); err != nil {
		w.t.Fatal(err)
	}
	return len(acts.Acts)
}

// TestABadUpstreamIsRefusedAtTheDoor: whoever refreshes is told the code, the ledger and the list of upstreams tell everyone
// else, and what was accepted before stays.
func TestABadUpstreamIsRefusedAtTheDoor(t *testing.T) {
	const inRelease, index = "dists/stable/InRelease", "dists/stable/main/binary-amd64/"
	for name, c := range map[string]struct {
		code  string
		spoil func(m *mirroring)
	}{
		"corrupt InRelease": {fault.BadSignature, func(m *mirroring) {
			m.Write(inRelease, bytes.Replace(m.Read(inRelease), []byte("Codename: stable"), []byte("Codename: stably"), 1))
		}},
		"wrong key": {fault.BadSignature, func(m *mirroring) {
			other := mirrortest.New(t, warranttest.Now.Add(-time.Hour))
			other.Publish(warranttest.Now, warranttest.Now.Add(24*time.Hour))
			m.Write(inRelease, other.Read(inRelease))
		}},
		"expired metadata": {fault.Expired, func(m *mirroring) { m.now = m.now.Add(25 * time.Hour); m.admin = m.mustLogin("bob") }},
		"truncated index": {fault.MixMatch, func(m *mirroring) {
			m.Add("more", "1-1", "all")
			m.Publish(warranttest.Now, warranttest.Now.Add(24*time.Hour))
			if err := os.RemoveAll(filepath.Join(m.Dir, index, "by-hash")); err != nil {
				t.Fatal(err)
			}
			m.Write(index+"Packages.gz", m.Read(index + "Packages.gz")[:40])
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := openMirroring(t)
			before := m.upstream()
			c.spoil(m)
			if err := m.refresh(); fault.CodeOf(err) != c.code {
				t.Fatalf("refreshed: %v (code %q), want %s", err, fault.CodeOf(err), c.code)
			}
			after := m.upstream()
			if after.RefusedCode != c.code || after.RefusedAt.IsZero() || after.Refused == "" {
				t.Errorf("the alarm is %+v", after)
			}
			after.RefusedCode, after.Refused, after.RefusedAt = "", "", time.Time{}
			if after != before {
				t.Errorf("the accepted state was\n%+v and is\n%+v", before, after)
			}
			if n := m.acts(m.admin, "mirror.refused"); n != 1 {
				t.Errorf("%d acts mirror.refused", n)
			}
		})
	}
}

// TestAWrongPackageFileIsNotRead: a .deb with another digest than the signed index names is refused and said so, and what
// the archive stated before stays in force.
func TestAWrongPackageFileIsNotRead(t *testing.T) {
	m := openMirroring(t)
	analyst := m.mustLogin("alice")
	known := []byte(`{"release":"bookworm","sources":[{"source":"tool","entries":[{"version":"1.0-1","cves":["CVE-2026-0001"]}]}]}`)
	if err := m.ask(analyst, http.MethodPut, "/sources/debian-archive/content", known, nil); err != nil {
		t.Fatal(err)
	}
	before := m.source(analyst, "debian-archive")
	b := m.Read(toolPath)
	b[len(b)-1] ^= 1
	m.Write(toolPath, b)
	if err := m.server.archive.Sweep(t.Context()); fault.CodeOf(err) != fault.Arbitrary {
		t.Errorf("swept: %v, want %s", err, fault.Arbitrary)
	}
	if got := m.upstream().RefusedCode; got != fault.Arbitrary || m.acts(m.admin, "mirror.refused") != 1 {
		t.Errorf("no alarm (%q), or not one act", got)
	}
	if after := m.source(analyst, "debian-archive"); after.Digest != before.Digest {
		t.Errorf("the source was %+v and is %+v", before, after)
	}
}

func (w *world) source(token, name string) intake.SourceState {
	w.t.Helper()
	var all v1.Sources
	if err := w.ask(token, http.MethodGet, "/sources", nil, &all); err != nil {
		w.t.Fatal(err)
	}
	for _, s := range all.Sources {
		if s.Name == name {
			return s
		}
	}
	return intake.SourceState{}
}

// TestABadAdvisoryFileIsRefusedAtTheDoor: what is no JSON, or has lost half of what it said, changes nothing but the alarm.
func TestABadAdvisoryFileIsRefusedAtTheDoor(t *testing.T) {
	feed := func(n int) []byte {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"CVE-2026-%d":{"releases":{"bookworm":{"status":"resolved","fixed_version":"2-1"}}}`, 1000+i)
		}
		return []byte(`{"tool":{` + b.String()[1:] + `}}`)
	}
	for name, bad := range map[string][]byte{"not JSON": []byte("<html>maintenance</html>"), "cut": feed(100)[:500], "half": feed(50)} {
		t.Run(name, func(t *testing.T) {
			w := open(t, "releases = [\"bookworm\"]\n")
			token := w.mustLogin("alice")
			const path = "/sources/debian-tracker/content?from=test"
			if err := w.ask(token, http.MethodPut, path, feed(100), nil); err != nil {
				t.Fatal(err)
			}
			before := w.source(token, "debian-tracker")
			if err := w.ask(token, http.MethodPut, path, bad, nil); fault.KindOf(err) != fault.Invalid {
				t.Errorf("imported: %v", err)
			}
			after := w.source(token, "debian-tracker")
			if after.RefusedAt.IsZero() || after.Refused == "" || w.acts(token, "source.refused") != 1 {
				t.Errorf("no alarm: %+v", after)
			}
			if after.Digest != before.Digest || fmt.Sprint(after.Counts) != fmt.Sprint(before.Counts) || before.Counts["bookworm"] != 100 {
				t.Errorf("the state in force was %+v and is %+v", before, after)
			}
		})
	}
}
