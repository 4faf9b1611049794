//go:build pages

package world

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/patchwarrant/patchwarrant/internal/deb/debtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
)

// first is a server that nobody has set up, and what those who do have at hand.
type first struct {
	Link    string            `json:"link"`    // the one that the server prints
	Keys    map[string]string `json:"keys"`    // people's SSH public keys
	Tracker string            `json:"tracker"` // a file of advisories
	Host    string            `json:"host"`    // takes an enrolment line, as root of a new machine does
	Archive struct {
		URL         string `json:"url"`
		Keyring     string `json:"keyring"`
		Fingerprint string `json:"fingerprint"`
	} `json:"archive"`
}

// virgin makes such a server. The archive that it will mirror names a vulnerability in a changelog.
func (s *site) virgin() *first {
	s.t.Helper()
	s.ok(s.server.Close())
	s.config.Upstreams = nil
	s.open()
	s.serve()
	link, _, err := s.server.BootstrapLink(s.t.Context())
	s.ok(err)
	f := &first{Link: link, Keys: map[string]string{}, Tracker: filepath.Join(s.dir, "tracker.json")}
	for _, e := range employed {
		f.Keys[e.ID] = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.people[e.ID].signer.PublicKey())))
	}
	b, err := json.Marshal(s.tracker())
	s.ok(err)
	s.ok(os.WriteFile(f.Tracker, b, 0o600))
	root := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		line, err := io.ReadAll(r.Body)
		s.ok(err)
		io.WriteString(w, s.machine("web-01", string(line), "6.1.0-40-amd64", packages("web")).ID)
	}))
	s.t.Cleanup(root.Close)
	f.Host = root.URL

	s.changelog("curl", "7.88.1-10+deb12u14", "CVE-2026-33019")
	s.archive.Publish(s.now().Add(-time.Minute), time.Now().Add(7*24*time.Hour))
	served := httptest.NewServer(http.FileServer(http.Dir(s.archive.Dir)))
	s.t.Cleanup(served.Close)
	u := s.archive.Upstream("x")
	f.Archive.URL, f.Archive.Keyring, f.Archive.Fingerprint = served.URL, string(u.Keyring), u.Fingerprints[0]
	return f
}

// changelog adds a package of a source to the archive whose changelog names a vulnerability.
func (s *site) changelog(source, version, cve string) {
	text := source + " (" + version + ") bookworm-security; urgency=high\n\n  * Fix " + cve + ".\n\n -- A Maintainer <a@example.org>  Fri, 20 Nov 2026 12:00:00 +0000\n"
	control := debtest.Control(source+"-doc", version, "amd64", "Source: "+source)
	raw := debtest.Build(s.t, debtest.Spec{Control: control, Files: []debtest.File{{Path: "/usr/share/doc/" + source + "-doc/changelog.Debian.gz",
		Content: string(debtest.Gzip(s.t, []byte(text)))}}})
	path := "pool/main/" + source + "-doc.deb"
	s.archive.Write(path, raw)
	s.archive.Stanzas = append(s.archive.Stanzas, debtest.Stanza(control, path, len(raw), envelope.Digest(raw)))
}
