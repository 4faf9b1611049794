// Package mirrortest makes small signed archives in a directory for tests, in the form of Debian's.
package mirrortest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/deb/debtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
)

// Archive is an archive with one suite "stable", component main, architecture amd64. Its index exists as Packages.gz; the
// plain form is only listed, as Debian does it.
type Archive struct {
	TB      testing.TB
	Dir     string
	Signer  *pgp.Signer
	Stanzas []string // of the index
}

// New makes an empty archive with a key made at now.
func New(tb testing.TB, now time.Time) *Archive {
	tb.Helper()
	s, err := pgp.Generate("Archive", "archive@example.org", pgp.Ed25519, now)
	if err != nil {
		tb.Fatal(err)
	}
	return &Archive{TB: tb, Dir: tb.TempDir(), Signer: s}
}

// Add puts a package into the archive; extra are further lines of its control file. Publish makes it visible.
func (a *Archive) Add(name, version, arch string, extra ...string) deb.IndexEntry {
	a.TB.Helper()
	control := debtest.Control(name, version, arch, extra...)
	raw := debtest.Build(a.TB, debtest.Spec{Control: control, Files: []debtest.File{{Path: "/usr/share/" + name, Content: version}}})
	stanza := debtest.Stanza(control, "pool/main/"+name+"_"+version+"_"+arch+".deb", len(raw), envelope.Digest(raw))
	for e, err := range deb.ParsePackages(bytes.NewReader([]byte(stanza))) {
		if err != nil {
			a.TB.Fatal(err)
		}
		a.Write(e.Filename, raw)
		a.Stanzas = append(a.Stanzas, stanza)
		return e
	}
	panic("a stanza gives an entry")
}

// Remove takes all versions of a package out of the index.
func (a *Archive) Remove(name string) {
	a.Stanzas = slices.DeleteFunc(a.Stanzas, func(s string) bool { return bytes.HasPrefix([]byte(s), []byte("Package: "+name+"\n")) })
}

// Publish writes index and release file, dated date; a zero until gives no Valid-Until.
func (a *Archive) Publish(date, until time.Time) {
	a.TB.Helper()
	var plain bytes.Buffer
	for _, s := range a.Stanzas {
		plain.WriteString(s + "\n")
	}
	packed := debtest.Gzip(a.TB, plain.Bytes())
	const index = "main/binary-amd64/Packages"
	a.Write("dists/stable/"+index+".gz", packed)
	a.Write("dists/stable/main/binary-amd64/by-hash/SHA256/"+envelope.Digest(packed), packed)
	text := "Suite: oldname\nCodename: stable\nAcquire-By-Hash: yes\nDate: " + deb.FormatDate(date) + "\n"
	if !until.IsZero() {
		text += "Valid-Until: " + deb.FormatDate(until) + "\n"
	}
	text += fmt.Sprintf("SHA256:\n %s %d %s\n %s %d %s.gz\n", envelope.Digest(plain.Bytes()), plain.Len(), index, envelope.Digest(packed), len(packed), index)
	a.Sign(a.Signer, text, date)
}

// Sign writes a release file with a text of its own.
func (a *Archive) Sign(s *pgp.Signer, text string, at time.Time) {
	a.TB.Helper()
	signed, err := s.SignClearsigned([]byte(text), at)
	if err != nil {
		a.TB.Fatal(err)
	}
	a.Write("dists/stable/InRelease", signed)
}

// Write puts a file below the archive's root.
func (a *Archive) Write(path string, b []byte) {
	a.TB.Helper()
	full := filepath.Join(a.Dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		a.TB.Fatal(err)
	}
	if err := os.WriteFile(full, b, 0o644); err != nil {
		a.TB.Fatal(err)
	}
}

// Read gives a file below the archive's root.
func (a *Archive) Read(path string) []byte {
	a.TB.Helper()
	b, err := os.ReadFile(filepath.Join(a.Dir, path))
	if err != nil {
		a.TB.Fatal(err)
	}
	return b
}

// Upstream describes the archive, with a file URL, to a mirror.
func (a *Archive) Upstream(name string) mirror.Upstream {
	a.TB.Helper()
	public, err := a.Signer.ArmouredPublic()
	if err != nil {
		a.TB.Fatal(err)
	}
	return mirror.Upstream{Name: name, URL: "file://" + a.Dir, Suite: "stable", Component: "main", Arch: "amd64",
		Keyring: public, Fingerprints: []string{a.Signer.Fingerprint()}, MaxAge: 30 * 24 * time.Hour}
}
