package server

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

const advisory = `{"document":{"category":"csaf_vex","csaf_version":"2.0","title":"tool","tracking":{"id":"CVE-2026-%d","current_release_date":"2026-01-%02dT00:00:00Z"}},
"product_tree":{"full_product_names":[{"product_id":"p","name":"tool","product_identification_helper":{"purl":"pkg:deb/debian/tool@1.%d-1?arch=source&distro=bookworm"}}]},
"vulnerabilities":[{"cve":"CVE-2026-%d","product_status":{"fixed":["p"]}}]}`

// csafSite is a CSAF provider: a directory whose documents a key signed.
type csafSite struct {
	*httptest.Server
	t      *testing.T
	signer *pgp.Signer
	files  map[string]string
}

func newProvider(t *testing.T) *csafSite {
	t.Helper()
	signer, err := pgp.Generate("Provider", "psirt@example.org", pgp.Ed25519, warranttest.Now.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	p := &csafSite{t: t, signer: signer, files: map[string]string{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, ok := p.files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// publish puts a document about CVE-2026-n, revised on a day of January, with a signature.
func (p *csafSite) publish(n, day int) (document, signature string) {
	p.t.Helper()
	document = fmt.Sprintf(advisory, n, day, day, n)
	private, err := p.signer.ArmouredPrivate()
	if err != nil {
		p.t.Fatal(err)
	}
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(private))
	if err != nil {
		p.t.Fatal(err)
	}
	var armoured strings.Builder
	config := &packet.Config{Time: func() time.Time { return warranttest.Now }, DefaultHash: crypto.SHA256}
	if err := openpgp.ArmoredDetachSign(&armoured, keys[0], strings.NewReader(document), config); err != nil {
		p.t.Fatal(err)
	}
	path := fmt.Sprintf("/white/cve-2026-%d.json", n)
	p.files[path], p.files[path+".asc"] = document, armoured.String()
	p.files["/white/changes.csv"] += fmt.Sprintf("\"cve-2026-%d.json\",\"2026-01-%02dT00:00:00Z\"\n", n, day)
	return document, armoured.String()
}

// TestASignedProviderIsFollowed: documents signed by a pinned key are taken and their signer is shown with the vulnerability;
// one under a bad signature, and an older one that is played again, are refused and hide nothing.
func TestASignedProviderIsFollowed(t *testing.T) {
	p := newProvider(t)
	public, err := p.signer.ArmouredPublic()
	if err != nil {
		t.Fatal(err)
	}
	keyring := filepath.Join(t.TempDir(), "provider.asc")
	if err := os.WriteFile(keyring, public, 0o600); err != nil {
		t.Fatal(err)
	}
	w := open(t, fmt.Sprintf("releases = [\"bookworm\"]\n[[source]]\nname = \"vendor\"\nkind = \"csaf\"\nurl = %q\nkeyring = %q\nfingerprints = [%q]\n",
		p.URL+"/white/", keyring, p.signer.Fingerprint()))
	admin := w.mustLogin("alice")
	fetch := func() (r v1.Receipt, err error) {
		return r, w.ask(admin, http.MethodPost, "/sources/vendor/fetches", nil, &r)
	}
	refused := func() (d v1.Documents) {
		t.Helper()
		if err := w.ask(admin, http.MethodGet, "/sources/vendor/documents?refused=true", nil, &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	old, oldSignature := p.publish(1, 1)
	p.publish(2, 1)
	if r, err := fetch(); err != nil || r.Documents != 2 || r.Statements != 2 {
		t.Fatal(r, err)
	}
	if r, err := fetch(); err != nil || !r.Unchanged {
		t.Fatal(r, err)
	}
	var c triage.Case
	if err := w.ask(admin, http.MethodGet, "/vulnerabilities/CVE-2026-1/tool", nil, &c); err != nil || len(c.Provenance) != 1 ||
		c.Provenance[0].SignedBy != p.signer.Fingerprint() || !strings.HasSuffix(c.Provenance[0].From, "/white/cve-2026-1.json") {
		t.Errorf("%+v, %v", c.Provenance, err)
	}
	p.files["/white/changes.csv"] = ""
	p.publish(1, 3)
	p.publish(2, 2)
	p.files["/white/cve-2026-2.json.asc"] = p.files["/white/cve-2026-1.json.asc"]
	if r, err := fetch(); err != nil || r.Documents != 2 || r.RefusedDocuments != 1 || r.Statements != 2 {
		t.Fatal(r, err)
	}
	if d := refused(); d.All != 1 || !strings.Contains(d.Documents[0].Refused, "signature") {
		t.Errorf("%+v", d)
	}
	p.files["/white/changes.csv"] = ""
	p.publish(2, 2)
	p.publish(1, 4) // listed as new, but the bytes are the old ones with their good signature
	p.files["/white/cve-2026-1.json"], p.files["/white/cve-2026-1.json.asc"] = old, oldSignature
	if r, err := fetch(); err != nil || r.RefusedDocuments != 1 {
		t.Fatal(r, err)
	}
	if d := refused(); d.All != 1 || !strings.Contains(d.Documents[0].Refused, "an older one came again") {
		t.Errorf("%+v", d)
	}
}

func TestSourcesThatCannotBe(t *testing.T) {
	for name, c := range map[string]Config{
		"no such kind":        {Sources: []Source{{Name: "x", Kind: "magic"}}},
		"a name twice":        {Sources: []Source{{Name: "kev"}, {Name: "kev"}}},
		"a name with a slash": {Sources: []Source{{Name: "../kev", Kind: "kev"}}},
		"another kind's name": {Sources: []Source{{Name: "kev", Kind: "epss"}}},
		"the archive":         {Sources: []Source{{Name: "debian-archive"}}},
		"a keyring alone":     {Sources: []Source{{Name: "x", Kind: "csaf", Keyring: "/k"}}},
		"keys for a file":     {Sources: []Source{{Name: "kev", Keyring: "/k", Fingerprints: []string{"00"}}}},
		"no address":          {Sources: []Source{{Name: "kev", URL: "ftp://example.org/x"}}},
		"a password":          {Sources: []Source{{Name: "kev", URL: "https://me:you@example.org/x"}}},
		"a file for redhat":   {Sources: []Source{{Name: "redhat-vex", URL: "https://example.org/x"}}},
	} {
		if err := c.checkSources(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := Config{Sources: []Source{{Name: "rh", Kind: "redhat-vex", URL: "https://example.org/vex/"}, {Name: "files", Kind: "osv"}, {Name: "kev", MaxAge: duration{time.Hour}}}}
	all, err := Sources(good, time.Now)
	if good.checkSources() != nil || err != nil || len(all) != 6 || all[0].Name != "debian-tracker" || all[1].Name != "rh" || all[3].Name != "files" {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestRealCollections: archives as publishers made them are taken whole through the door:
// what came is in force, refused or passed over.
func TestRealCollections(t *testing.T) {
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	w := open(t, "[[source]]\nname = \"redhat-vex\"\n[[source]]\nname = \"redhat-csaf\"\n[[source]]\nname = \"ubuntu-osv\"\n[[source]]\nname = \"osv\"\n[[source]]\nname = \"alma\"\nkind = \"osv\"\n")
	admin := w.mustLogin("alice")
	for _, c := range []struct {
		source, file                   string
		documents, refused, statements int
	}{
		{"redhat-vex", "redhat/csaf-vex/csaf_vex_2024-08-04.tar.zst", 5, 0, 74},
		{"redhat-csaf", "redhat/csaf-advisories/csaf_advisories_2024-08-11.tar.zst", 5, 0, 36},
		{"ubuntu-osv", "ubuntu/osv-all-sample.tar.xz", 3, 0, 634},
		{"osv", "osv/osv-debian-all.zip", 120, 0, 433},
		{"alma", "osv/osv-almalinux-all.zip", 121, 0, 43129},
	} {
		b, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
		}
		var r v1.Receipt
		if err := w.ask(admin, http.MethodPut, "/sources/"+c.source+"/content?from=test", b, &r); err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		if r.Documents != c.documents || r.RefusedDocuments != c.refused || r.Other != 0 || r.Statements != c.statements {
			t.Errorf("%s: %+v", c.source, r)
		}
	}
}

// silent is a ledger that keeps nothing.
type silent struct{}

func (silent) Append(context.Context, *db.Tx, proof.Act) (int64, error) { return 0, nil }

// TestAnOldSignedMailIsNoNews: who holds the list's mails back and plays an old one again, under a new date and Message-ID, does not
// keep the mailbox's clock alive. A quiet list whose last mail is within the term is no alarm.
func TestAnOldSignedMailIsNoNews(t *testing.T) {
	now := warranttest.Now
	signer, err := pgp.Generate("List", "team@example.org", pgp.Ed25519, now)
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
	clock := func() time.Time { return now }
	sources, err := Sources(Config{Sources: []Source{{Name: "list", Kind: "mbox", Keyring: keyring, Fingerprints: []string{signer.Fingerprint()}}}}, clock)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := intake.New(intake.Config{DB: dbtest.Open(t), Ledger: silent{}, Blobs: blobs, Sources: sources, Now: clock})
	signed := func(text string) string {
		b, err := signer.SignClearsigned([]byte(text), now)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	mailbox := ""
	came := func(days int, text string, wantSilent bool) {
		t.Helper()
		now = warranttest.Now.Add(time.Duration(days) * day)
		if text != "" {
			mailbox += fmt.Sprintf("From x\nFrom: team@example.org\nDate: %s\nMessage-ID: <%d@example.org>\n\n%s\n", now.Format(time.RFC1123Z), days, text)
		}
		if _, err := in.Import(t.Context(), "", "list", strings.NewReader(mailbox), "file"); err != nil {
			t.Fatal(err)
		}
		if err := in.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		states, err := in.States(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(states, func(s intake.SourceState) bool { return s.Name == "list" })
		if s := states[i]; s.SilentAt.IsZero() == wantSilent {
			t.Errorf("day %d: due %s, silent since %s", days, s.DueAt, s.SilentAt)
		}
	}
	first := signed("DSA-1-1\n")
	came(0, first, false)
	came(29, "", false)
	came(29, first, false)
	came(31, first, true)
	came(40, first, true)
	came(41, signed("DSA-2-1\n"), false)
}
