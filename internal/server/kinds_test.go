package server

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

const (
	osvRecord = `{"schema_version":"1.7.3","modified":"2026-01-28T10:18:35Z","id":"%s","upstream":["CVE-2026-0001"],"affected":[
{"package":{"name":"tool","ecosystem":"%s"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.2-1"}]}]}]}`
	csafRecord = `{"document":{"category":"csaf_vex","csaf_version":"2.0","title":"tool","publisher":{"name":"Example"},"tracking":{"id":"CVE-2026-0001","current_release_date":"2026-01-01T00:00:00Z"}},
"product_tree":{"branches":[{"category":"product_name","name":"9","product":{"product_id":"R9","name":"9","product_identification_helper":{"cpe":"cpe:/o:redhat:enterprise_linux:9"}}},
{"category":"product_version","name":"tool","product":{"product_id":"tool","name":"tool","product_identification_helper":{"purl":"pkg:rpm/redhat/tool@1.2-3.el9?arch=src"}}}],
"relationships":[{"category":"default_component_of","product_reference":"tool","relates_to_product_reference":"R9","full_product_name":{"product_id":"R9:tool","name":"tool"}}]},
"vulnerabilities":[{"cve":"CVE-2026-0001","product_status":{"fixed":["R9:tool"]}}]}`
	openVEX = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.org/vex/1","author":"Example","timestamp":"2026-08-04T10:00:00Z","version":1,
"statements":[{"vulnerability":{"name":"CVE-2026-0001"},"status":"under_investigation","products":[{"@id":"pkg:deb/debian/tool?arch=source&distro=debian-12"}]}]}`
	noticePage = `{"notices":[{"id":"USN-1-1","cves_ids":["CVE-2026-0001"],"release_packages":{"jammy":[{"name":"tool","version":"1.0-1","is_source":true}]}}]}`
	ovalFile   = `<oval_definitions><definitions><definition id="oval:com.ubuntu.jammy:def:1"><metadata><title>x</title><advisory><cve>CVE-2026-0001</cve></advisory></metadata>
<criteria><criterion comment="tool package in jammy is affected and needs fixing."/></criteria></definition></definitions></oval_definitions>`
	nvdPage   = `{"vulnerabilities":[{"cve":{"id":"CVE-2026-0001","metrics":{"cvssMetricV31":[{"source":"nvd@nist.gov","cvssData":{"vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}]}}}]}`
	cveRecord = `{"dataType":"CVE_RECORD","cveMetadata":{"cveId":"CVE-2026-0001","state":"PUBLISHED"},"containers":{"cna":{"descriptions":[{"lang":"en","value":"text"}]}}}`
	plainMail = "From: team@example.org\nMessage-ID: <a@example.org>\nDate: Thu, 18 Jun 2026 10:00:00 -0000\nSubject: DSA-1-1\n\nCVE-2026-0001\n"
)

// files holds a file of each kind, as a person without a network would bring it: by the name of a document in an archive, or ""
// for one that is the file itself.
var files = map[string]struct{ document, text string }{
	"debian-tracker":    {"", trackerFile},
	"redhat-vex":        {"2026/cve-2026-0001.json", csafRecord},
	"redhat-csaf":       {"2026/rhsa-2026_1.json", csafRecord},
	"debian-cves":       {"", "CVE-2026-0001 (a description)\n\t- tool 1.3-1 (bug #1; low)\n\t[bookworm] - tool <no-dsa> (Minor issue)\n"},
	"debian-advisories": {"", "[20 Aug 2026] DSA-2-1 tool - security update\n\t{CVE-2026-0001}\n\t[bookworm] - tool 1.2-1+deb12u2\n"},
	"ubuntu-osv":        {"USN-1-1.json", fmt.Sprintf(osvRecord, "UBUNTU-CVE-2026-0001", "Ubuntu:22.04:LTS")},
	"ubuntu-oval":       {"", ovalFile},
	"ubuntu-notices":    {"1.json", noticePage},
	"osv":               {"a.json", fmt.Sprintf(osvRecord, "DEBIAN-CVE-2026-0001", "Debian:12")},
	"csaf":              {"a.json", fmt.Sprintf(advisory, 1, 1, 1, 1)},
	"openvex":           {"a.json", openVEX},
	"distro-support":    {"debian.csv", "version,codename,series,created,release,eol\n12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-06-10\n"},
	"nvd":               {"1.json", nvdPage},
	"cve5":              {"CVE-2026-0001.json", cveRecord},
	"mbox":              {"", "From team Thu Jun 18\n" + plainMail},
	"maildir":           {"cur/1", plainMail},
	"feed":              {"", "<rss><item><guid>a</guid><title>CVE-2026-0001</title></item></rss>"},
	"kev":               {"", `{"count":1,"vulnerabilities":[{"cveID":"CVE-2026-0001","dateAdded":"2026-01-02"}]}`},
	"epss":              {"", "cve,epss,percentile\nCVE-2026-0001,0.4,0.9\n"},
}

// archived makes a zip of one document, or gives the text itself.
func archived(t *testing.T, document, text string) []byte {
	t.Helper()
	if document == "" {
		return []byte(text)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create(document)
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestEveryKindComesFromAFile: a site without a network has every source but the archive, whose upstream may be a directory; each is
// documented, keeps its bytes, and says where they came from.
func TestEveryKindComesFromAFile(t *testing.T) {
	config := ""
	for _, k := range kinds {
		if k.name != debian.ArchiveSource {
			config += fmt.Sprintf("[[source]]\nname = %q\n", k.name)
		}
	}
	w := open(t, config)
	admin := w.mustLogin("alice")
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "operate.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "### Sources\n")
	for _, k := range kinds {
		if rows := strings.Split(table, "\n|"); !slices.ContainsFunc(rows, func(row string) bool { return strings.Contains(strings.Split(row, "|")[0], "`"+k.name+"`") }) {
			t.Errorf("%s: not in the table of docs/operate.md", k.name)
		}
		if k.name == debian.ArchiveSource {
			continue
		}
		f, known := files[k.name]
		if !known {
			t.Errorf("%s: no file of it is tried", k.name)
			continue
		}
		var r v1.Receipt
		if err := w.ask(admin, http.MethodPut, "/sources/"+k.name+"/content?from=stick", archived(t, f.document, f.text), &r); err != nil {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		if r.Statements+r.Signals+r.Support+r.New == 0 || r.Digest == "" || r.From != "stick" || (f.document != "") != (r.Documents == 1) {
			t.Errorf("%s: %+v", k.name, r)
		}
	}
}

// TestWhoSpeaksOfAVulnerability: a signed mail, an unsigned one, NVD, a CVE record and the catalogue stand with the vulnerability,
// each with its bytes, when and from where they came, and who signed.
func TestWhoSpeaksOfAVulnerability(t *testing.T) {
	signer, err := pgp.Generate("List", "team@example.org", pgp.Ed25519, warranttest.Now.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	public, err := signer.ArmouredPublic()
	if err != nil {
		t.Fatal(err)
	}
	keyring := filepath.Join(t.TempDir(), "list.asc")
	if err := os.WriteFile(keyring, public, 0o600); err != nil {
		t.Fatal(err)
	}
	w := open(t, fmt.Sprintf("[[source]]\nname = \"announce\"\nkind = \"maildir\"\nkeyring = %q\nfingerprints = [%q]\n[[source]]\nname = \"nvd\"\n[[source]]\nname = \"cve5\"\n",
		keyring, signer.Fingerprint()))
	admin := w.mustLogin("alice")
	signed, err := signer.SignClearsigned([]byte("DSA-1-1 is about CVE-2026-0001.\n"), warranttest.Now)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	const head = "From: team@example.org\nDate: %s\nMessage-ID: <%s>\nSubject: %[2]s\n\n"
	for name, text := range map[string]string{"cur/1": fmt.Sprintf(head, warranttest.Now.Format(time.RFC1123Z), "signed") + string(signed),
		"cur/2": fmt.Sprintf(head, warranttest.Now.Add(-time.Hour).Format(time.RFC1123Z), "unsigned") + "CVE-2026-0001 is harmless.\n",
		"cur/3": fmt.Sprintf(head, warranttest.Now.Add(-2*time.Hour).Format(time.RFC1123Z), "changed") + strings.Replace(string(signed), "CVE-2026-0001", "CVE-2026-0001 and -2", 1)} {
		f, err := z.Create(name)
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for source, content := range map[string][]byte{"announce": b.Bytes(), "debian-tracker": []byte(trackerFile), "kev": []byte(files["kev"].text),
		"nvd": archived(t, "1.json", nvdPage), "cve5": archived(t, "CVE-2026-0001.json", cveRecord)} {
		if err := w.ask(admin, http.MethodPut, "/sources/"+source+"/content?from=stick", content, nil); err != nil {
			t.Fatalf("%s: %v", source, err)
		}
	}
	var c triage.Case
	if err := w.ask(admin, http.MethodGet, "/vulnerabilities/CVE-2026-0001/openssl", nil, &c); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range c.Mentions {
		line := m.Source + " " + m.Says + " " + m.Bytes.Path
		if m.Bulletin != nil {
			_, why, _ := strings.Cut(m.Bulletin.Signature, ":")
			line += " " + m.Bulletin.ID + " " + strings.TrimSuffix(m.Bulletin.Signature, why)
			if (m.Bulletin.ID == "signed") != (m.Bulletin.SignedBy == signer.Fingerprint()) {
				t.Errorf("%s: signed by %q", line, m.Bulletin.SignedBy)
			}
		}
		if got = append(got, line); len(m.Bytes.Digest) != 64 || m.Bytes.From != "stick" || !m.Bytes.FetchedAt.Equal(w.now) {
			t.Errorf("%s: bytes %+v", line, m.Bytes)
		}
	}
	want := []string{"nvd scores 1.json", "cve5 scores CVE-2026-0001.json", "kev exploited ", "announce announced cur/1 signed good",
		"announce announced cur/2 unsigned none", "announce announced cur/3 changed counts for nothing:"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if err := w.ask(admin, http.MethodGet, "/vulnerabilities/CVE-2026-0002/openssl", nil, &c); fault.KindOf(err) != fault.NotFound {
		t.Errorf("what a bulletin alone names is no vulnerability of ours: %v", err)
	}
	source, known := w.server.intake.Source("announce")
	if !known || source.Heard == nil || source.Heard(intake.Bulletin{}) || !source.Heard(intake.Bulletin{SignedBy: "x"}) {
		t.Error("with pinned keys only signed mail sets the clock")
	}
}
