package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/deb/debtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/mirror/mirrortest"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

const changelog = `tool (1.1-1) bookworm-security; urgency=high

  * Fix CVE-2026-0002.

 -- A Person <a@example.org>  Fri, 20 Nov 2026 12:00:00 +0000

tool (1.0-1) bookworm; urgency=medium

  * Fix CVE-2026-0001.

 -- A Person <a@example.org>  Thu, 19 Nov 2026 12:00:00 +0000
`

// TestAnArchiveIsASourceWithoutAFeed: fixes named in changelogs of an upstream's packages become statements.
func TestAnArchiveIsASourceWithoutAFeed(t *testing.T) {
	upstream := mirrortest.New(t, warranttest.Now.Add(-time.Hour))
	publish := func(name string, files ...debtest.File) {
		control := debtest.Control(name, "1.1-1", "amd64", "Source: tool")
		raw := debtest.Build(t, debtest.Spec{Control: control, Files: files})
		path := "pool/main/" + name + ".deb"
		upstream.Write(path, raw)
		upstream.Stanzas = append(upstream.Stanzas, debtest.Stanza(control, path, len(raw), envelope.Digest(raw)))
	}
	publish("tool-data") // the smallest has none
	publish("tool", debtest.File{Path: "/usr/share/doc/tool/changelog.Debian.gz", Content: string(debtest.Gzip(t, []byte(changelog)))})
	upstream.Publish(warranttest.Now.Add(-time.Hour), time.Time{})
	u := upstream.Upstream("security")
	keyring := filepath.Join(t.TempDir(), "keyring.asc")
	if err := os.WriteFile(keyring, u.Keyring, 0o600); err != nil {
		t.Fatal(err)
	}
	w := open(t, fmt.Sprintf("[[upstream]]\nname = %q\nurl = %q\nsuite = %q\ncomponent = %q\narch = %q\nkeyring = %q\nfingerprints = [%q]\n"+
		"max_age = \"240h\"\nadvisories = \"bookworm\"\n", u.Name, u.URL, u.Suite, u.Component, u.Arch, keyring, u.Fingerprints[0]))

	if err := w.server.archive.Sweep(t.Context()); err != nil {
		t.Errorf("before the first refresh: %v", err)
	}
	var state v1.Upstream
	if err := w.ask(w.mustLogin("bob"), http.MethodPost, "/upstreams/security/refresh", nil, &state); err != nil || state.Packages != 2 {
		t.Fatalf("refresh: %+v, %v", state, err)
	}
	// What was stated before is read about again, and so is what hosts have.
	known, err := debian.Archive{Release: "bookworm", Sources: []debian.ArchiveHistory{{Source: "tool",
		Entries: []debian.ArchiveEntry{{Version: "1.0-1", CVEs: []string{"CVE-2026-0001"}}}}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.ask(w.mustLogin("alice"), http.MethodPut, "/sources/debian-archive/content", known, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing new
		if err := w.server.archive.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	knowledge, err := w.server.intake.Knowledge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range knowledge.Statements {
		got[s.ID+"/"+s.Package+"/"+s.Release] = s.FixedVersion
	}
	want := map[string]string{"CVE-2026-0001/tool/bookworm": "1.0-1", "CVE-2026-0002/tool/bookworm": "1.1-1"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("statements %v, want %v", got, want)
	}
}
