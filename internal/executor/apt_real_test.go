package executor_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/executor"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// realApt makes the host's apt the machine's own, over a dpkg database of the test: it reads the index and plans; only the
// installation itself stays fake. stanzas makes the index from the packages.
func (h *host) realApt(stanzas func(p warrant.CuratedRecord) string) {
	h.t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		h.t.Skip("apt-get is not installed here")
	}
	signer, err := pgp.Generate("Repository", "r@example.org", pgp.Ed25519, time.Now().Add(-time.Hour))
	h.ok(err)
	public, err := signer.ArmouredPublic()
	h.ok(err)
	root := *h.Root
	root.Repository.Keys = []string{string(public)}
	h.SetRoot(root)
	h.pin()

	var text strings.Builder
	for _, p := range h.record.Packages {
		text.WriteString(stanzas(p))
	}
	actions := h.order.Transactions[0].Actions
	h.record = h.Record([]byte(text.String()), h.record.Packages...)
	h.order = h.Order(h.record)
	h.order.Transactions[0].Actions = actions
	h.carry()
	h.write("carry/ord_1/Packages", text.String())
	stamp := func(d time.Duration) string { return time.Now().Add(d).UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC") }
	release := fmt.Sprintf("Origin: Example\nSuite: snapshots/%[1]s\nCodename: snapshots/%[1]s\nDate: %s\nValid-Until: %s\nArchitectures: amd64\n"+
		"Components: main\nNo-Support-for-Architecture-all: Packages\nSHA256:\n %s %d main/binary-amd64/Packages\n",
		h.record.Snapshot, stamp(-time.Minute), stamp(time.Hour), h.record.Index, text.Len())
	signed, err := signer.SignClearsigned([]byte(release), time.Now())
	h.ok(err)
	h.write("carry/ord_1/InRelease", string(signed))

	h.write("status", installed("hello", "1.0", "amd64")+installed("libhello", "1.0", "amd64")+installed("old", "3", "all"))
	h.config.Run = func(ctx context.Context, root, conf string, log io.Writer, name string, args ...string) ([]byte, error) {
		if name != "apt-get" || slices.Contains([]string{"install", "check"}, args[0]) {
			return h.run(ctx, root, conf, log, name, args...)
		}
		b, err := os.ReadFile(conf)
		h.ok(err)
		h.write("apt.conf", string(b)+fmt.Sprintf("Dir::State::status %q; Dir::State::extended_states %q; APT::Architecture \"amd64\"; APT::Architectures { \"amd64\"; };\n",
			h.path("status"), h.path("extended")))
		return executor.Run(ctx, root, h.path("apt.conf"), log, name, args...)
	}
}

func (h *host) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func installed(name, version, arch string) string {
	return fmt.Sprintf("Package: %s\nStatus: install ok installed\nArchitecture: %s\nVersion: %s\nMaintainer: x <x@example.org>\nDescription: x\n\n", name, arch, version)
}

func stanza(p warrant.CuratedRecord, file, digest string, size int64) string {
	return fmt.Sprintf("Package: %s\nArchitecture: %s\nVersion: %s\nMaintainer: x <x@example.org>\nFilename: %s\nSize: %d\nSHA256: %s\nDescription: x\n\n",
		p.Name, p.Arch, p.Version, file, size, digest)
}

// The index is the server's, people sign its digest alone: it must not lead apt to a file that nobody signed, such as one
// that the agent laid down beside the order's.
func TestAptTakesNothingButTheCopies(t *testing.T) {
	const evil = "hello 1.1, but with a back door"
	elsewhere := func(p warrant.CuratedRecord, file string) string {
		return stanza(p, file, envelope.Digest([]byte(evil)), int64(len(evil)))
	}
	honest := func(p warrant.CuratedRecord) string { return stanza(p, p.File, p.SHA256, p.Size) }
	for name, c := range map[string]struct {
		index func(p warrant.CuratedRecord) string
		code  string
	}{
		"honest":                {honest, ""},
		"outside of the copies": {func(p warrant.CuratedRecord) string { return elsewhere(p, "../../carry/ord_1/pool/evil.deb") }, fault.Plan},
		"outside beside the real one": {func(p warrant.CuratedRecord) string {
			return elsewhere(p, "../../carry/ord_1/pool/evil.deb") + honest(p)
		}, fault.Plan},
		"another file of the order": {func(p warrant.CuratedRecord) string {
			return stanza(p, "pool/main/newdep_2.0_amd64.deb", p.SHA256, p.Size)
		}, fault.Plan},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.realApt(func(p warrant.CuratedRecord) string {
				if p.Name == "hello" {
					return c.index(p)
				}
				return honest(p)
			})
			h.write("carry/ord_1/pool/evil.deb", evil)
			r := h.obey(h.document())
			if r.Code != c.code || (r.Outcome == warrant.Done) != (c.code == "") {
				session, _ := os.ReadFile(h.path("state/sessions/ord_1/session.log"))
				t.Errorf("%s %s: %s\n%s", r.Outcome, r.Code, r.Reason, session)
			}
		})
	}
}
